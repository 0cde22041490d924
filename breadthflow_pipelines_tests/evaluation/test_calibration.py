"""Sums of months, and what they come to: against loops, and against statsmodels' clustered errors."""

import datetime as dt
from collections.abc import Sequence

import numpy as np
import polars as pl
import pytest
import statsmodels.api as sm
from polars.testing import assert_frame_equal

from breadthflow_pipelines.evaluation.calibration import (
    GROUP,
    SUMS_SCHEMA,
    calibration,
    calibration_sums,
    sessions_closing,
)
from breadthflow_pipelines.evaluation.member_windows import member_prices
from breadthflow_pipelines.signals.symbols import VOTE_COLUMNS
from breadthflow_pipelines_tests.evaluation import made
from breadthflow_pipelines_tests.evaluation.made import day
from breadthflow_pipelines_tests.indicators.markets import Row

LENGTH, MEMBERS, HORIZON = 90, 25, 5
EVER = (day(0), day(LENGTH))


def prices(seed: int = 1, length: int = LENGTH, members: int = MEMBERS) -> pl.DataFrame:
    """Closes of a market with a mood of its own on each session, from which a bar is missing now and then."""
    dice = np.random.default_rng(seed)
    moves = dice.normal(0, 0.02, (length, 1)) * dice.normal(1, 0.5, members) + dice.normal(0, 0.02, (length, members))
    rows = [
        (security, day(i), float(close), None)
        for i, closes in enumerate(np.exp(np.cumsum(moves, axis=0)))
        for security, close in enumerate(closes)
        if dice.random() > 0.02
    ]
    schema = {"security_id": pl.Int64, "session": pl.Date, "close": pl.Float64, "close_adjusted": pl.Float64}
    return pl.DataFrame(rows, schema=schema, orient="row")


def signals(seed: int = 2, length: int = LENGTH, members: int = MEMBERS, universe: str = "u") -> pl.DataFrame:
    dice = np.random.default_rng(seed)
    rows: list[Row] = []
    for number in range(length):
        for security in range(dice.integers(members // 2, members)):
            strength = round(dice.uniform(-1, 1), 1)  # ties
            action = "buy" if strength >= 0.35 else "sell" if strength <= -0.35 else "hold"
            key = {"universe": universe, "session": day(number), "security_id": security}
            votes = {name: dice.choice([None, -0.5, 0.0, 0.7]) for name in VOTE_COLUMNS}
            rows.append(key | {"action": action, "confidence": abs(strength), "strength": strength} | votes)
    return pl.DataFrame(rows, schema_overrides=dict.fromkeys(VOTE_COLUMNS, pl.Float64))


def followed(signals: pl.DataFrame, bars: pl.DataFrame, horizon: int = HORIZON) -> pl.DataFrame:
    """Each signal whose window has closed, with its return less the mean of its session's."""
    number = [(session - made.FIRST).days for session in signals["session"]]
    change = member_prices(bars, made.sessions(LENGTH)).changes(
        np.array(number), signals["security_id"].to_numpy(), horizon
    )
    told = signals.with_columns(change=pl.Series(change, nan_to_null=True)).drop_nulls("change")
    return told.with_columns(relative=pl.col("change") - pl.col("change").mean().over("universe", "session"))


@pytest.fixture(scope="module")
def told() -> tuple[pl.DataFrame, pl.DataFrame]:
    """The signals that were followed, and their calibration."""
    market, said = prices(), signals()
    sums = calibration_sums(said, market, made.sessions(LENGTH), EVER, (HORIZON, 21))
    return followed(said, market), calibration(sums)


def group(got: pl.DataFrame, rule: str, action: str, grouped_by: str = "all", tenth: int = 0) -> Row:
    return got.filter(horizon=HORIZON, rule=rule, action=action, grouped_by=grouped_by, bin=tenth).row(0, named=True)


SURE = pl.col("confidence")
CASES = [
    ("combined", "buy", "all", 0, pl.col("action") == "buy"),
    ("combined", "sell", "all", 0, pl.col("action") == "sell"),
    ("combined", "hold", "all", 0, pl.col("action") == "hold"),
    ("combined", "buy", "confidence", 5, (pl.col("action") == "buy") & SURE.is_between(0.499, 0.599)),
    ("combined", "sell", "confidence", 7, (pl.col("action") == "sell") & SURE.is_between(0.699, 0.799)),
    ("combined", "buy", "confidence", 9, (pl.col("action") == "buy") & (SURE > 0.899)),  # 1.0 belongs to it
    ("rsi", "buy", "all", 0, pl.col("vote_rsi") > 0),
    ("rsi", "sell", "all", 0, pl.col("vote_rsi") < 0),
    ("rsi", "hold", "all", 0, pl.col("vote_rsi") == 0),
]


@pytest.mark.parametrize(("rule", "action", "grouped_by", "tenth", "wanted"), CASES)
def test_rates_and_errors_are_those_of_regressions_with_clusters(
    rule: str, action: str, grouped_by: str, tenth: int, wanted: pl.Expr, told: tuple[pl.DataFrame, pl.DataFrame]
) -> None:
    rows, got = told
    row = group(got, rule, action, grouped_by, tenth)
    right = pl.col("relative") < 0 if action == "sell" else pl.col("relative") > 0
    every = rows.with_columns(right=right.cast(pl.Float64))
    own = every.with_columns(base=pl.col("right").mean().over("session")).filter(wanted)
    clusters = {"groups": own["session"].to_physical().to_numpy(), "use_correction": False}

    def regressed(values: pl.Series) -> Sequence[float]:
        fit = sm.OLS(values.to_numpy(), np.ones(len(values))).fit(cov_type="cluster", cov_kwds=clusters)
        return (fit.params[0], fit.bse[0])

    assert (row["signals"], row["sessions"]) == (own.height, own["session"].n_unique())
    assert (row["relative"], row["relative_error"]) == pytest.approx(regressed(own["relative"]), rel=1e-7, abs=1e-12)
    if action == "hold":
        assert {row[name] for name in ("hit_rate", "base_rate", "lift", "lift_error", "brier", "skill")} == {None}
        return
    assert (row["hit_rate"], row["base_rate"]) == pytest.approx((own["right"].mean(), own["base"].mean()))
    assert (row["lift"], row["lift_error"]) == pytest.approx(regressed(own["right"] - own["base"]), rel=1e-7)


def test_brier_scores_are_those_of_a_loop(told: tuple[pl.DataFrame, pl.DataFrame]) -> None:
    rows, got = told
    sells = [(row["confidence"], float(row["relative"] < 0)) for row in rows.filter(action="sell").to_dicts()]
    row = group(got, "combined", "sell")
    assert row["brier"] == pytest.approx(np.mean([(said - came) ** 2 for said, came in sells]))
    assert row["brier_base"] == pytest.approx(np.mean([(row["base_rate"] - came) ** 2 for _, came in sells]))
    assert row["skill"] == pytest.approx(1 - row["brier"] / row["brier_base"])
    assert row["confidence"] == pytest.approx(np.mean([said for said, _ in sells]))
    assert group(got, "trend", "sell")["brier"] is None  # a vote has no confidence of its own


def test_a_confidence_that_means_what_it_says_beats_the_base_rate() -> None:
    """One of two members wins on each session, the first as often as its confidence says."""
    dice = np.random.default_rng(3)
    length = 3000
    said = dice.random(length)
    won = dice.random(length) < said
    moves = np.ones((length + 2, 2))
    moves[2:, 0], moves[2:, 1] = np.where(won, 1.01, 0.99), np.where(won, 0.99, 1.01)
    level = np.cumprod(moves, axis=0)
    sessions = made.sessions(length + 2)
    days = sessions["session"]
    bars = pl.DataFrame(
        {
            "security_id": [0, 1] * (length + 2),
            "session": [session for session in days for _ in range(2)],
            "close": level.ravel(),
            "close_adjusted": pl.Series([None] * 2 * (length + 2), dtype=pl.Float64),
        }
    )
    both = {
        "universe": "u",
        "session": [session for session in days[:length] for _ in range(2)],
        "security_id": [0, 1] * length,
        "action": ["buy", "hold"] * length,
        "confidence": [value for own in said for value in (own, 0.0)],
        "strength": [value for own in said for value in (own, 0.0)],
    }
    votes = [pl.lit(None, pl.Float64).alias(name) for name in VOTE_COLUMNS]
    calm = pl.DataFrame(both).with_columns(votes)
    got = calibration(calibration_sums(calm, bars, sessions, (days[0], days[-1]), (1,)))
    whole = got.filter(rule="combined", action="buy", grouped_by="all").row(0, named=True)
    for row in got.filter(grouped_by="confidence").iter_rows(named=True):
        assert row["hit_rate"] == pytest.approx(row["confidence"], abs=0.08)
    # Of a forecast that is right and spread evenly: 1/6, where always saying a half has 1/4.
    assert whole["brier"] == pytest.approx(1 / 6, abs=0.01)
    assert whole["skill"] == pytest.approx(1 / 3, abs=0.04)
    sure = calibration_sums(calm.with_columns(confidence=pl.lit(1.0)), bars, sessions, (days[0], days[-1]), (1,))
    assert calibration(sure).filter(grouped_by="confidence")["skill"].to_list() < [-0.9]


def test_tenths_of_strength_are_those_of_the_session() -> None:
    """A weak and a strong session: each has its own weakest and strongest."""
    count = 20
    market = prices(length=10, members=count).filter(pl.col("session") <= day(9))
    weak, strong = [i / 100 for i in range(count)], [0.8 + i / 100 for i in range(count)]
    said = pl.DataFrame(
        {
            "universe": "u",
            "session": [day(0)] * count + [day(1)] * count,
            "security_id": [*range(count)] * 2,
            "action": "hold",
            "confidence": 0.1,
            "strength": weak + strong,
        }
    ).with_columns(pl.lit(None, pl.Float64).alias(name) for name in VOTE_COLUMNS)
    whole = market.group_by("security_id").agg(pl.len()).filter(len=10)["security_id"]
    rows = followed(said, market).with_columns(tenth=pl.col("security_id") // 2 + 1)
    expected = dict(rows.group_by("tenth").agg(pl.len()).iter_rows())
    assert len(whole) > 10
    got = calibration(calibration_sums(said, market, made.sessions(10), EVER, (HORIZON,))).filter(grouped_by="strength")
    assert dict(got.select("bin", "signals").iter_rows()) == expected
    assert dict(got.select("bin", "relative").iter_rows()) == pytest.approx(
        dict(rows.group_by("tenth").agg(pl.col("relative").mean()).iter_rows())
    )


@pytest.mark.parametrize("size", [1, 2, 3, 7, 10, 11, 59, 93])
def test_tenths_are_exact_whatever_the_number_of_members(size: int) -> None:
    said = pl.DataFrame(
        {
            "universe": "u",
            "session": [day(0)] * size,
            "security_id": range(size),
            "action": "hold",
            "confidence": 0.0,
            "strength": [i / 1000 for i in range(size)],
        }
    ).with_columns(pl.lit(None, pl.Float64).alias(name) for name in VOTE_COLUMNS)
    bars = pl.DataFrame(
        {"security_id": [*range(size)] * 3, "session": [day(i) for i in range(3) for _ in range(size)], "close": 1.0}
    ).with_columns(close_adjusted=pl.lit(None, pl.Float64))
    got = calibration_sums(said, bars, made.sessions(3), (day(0), day(2)), (1,)).filter(grouped_by="strength")
    tenths = [-(-10 * (i + 1) // size) for i in range(size)]
    assert dict(got.select("bin", "signals").iter_rows()) == {i: tenths.count(i) for i in sorted({*tenths})}


def test_windows_are_summed_in_the_month_in_which_they_close() -> None:
    got = calibration_sums(signals(), prices(), made.sessions(LENGTH), EVER, (HORIZON, 21))
    assert set(got["month"]) == {dt.date(2000, 1, 1), dt.date(2000, 2, 1), dt.date(2000, 3, 1), dt.date(2000, 4, 1)}
    rows = followed(signals(), prices()).with_columns(exit=pl.col("session") + pl.duration(days=HORIZON + 1))
    wanted = rows.group_by(month=pl.col("exit").dt.truncate("1mo")).agg(pl.len()).sort("month")
    own = got.filter(horizon=HORIZON, rule="combined", grouped_by="strength")
    assert own.group_by("month").agg(pl.col("signals").sum()).sort("month").rows() == wanted.rows()


def test_months_alone_give_the_rows_of_all_at_once() -> None:
    """To the last digit: a daily run and a backfill must not differ. Two universes, and bars of another order."""
    said = pl.concat([signals(), signals(7, universe="v")])
    market = prices()
    whole = calibration_sums(said, market, made.sessions(LENGTH), EVER, (HORIZON, 21))
    parts = []
    for month in (1, 2, 3, 4):
        exits = (dt.date(2000, month, 1), dt.date(2000, month + 1, 1) - dt.timedelta(days=1))
        stretches = sessions_closing(made.sessions(LENGTH), exits, (HORIZON, 21))
        within = pl.any_horizontal(pl.col("session").is_between(*stretch) for stretch in stretches)
        bars = market.filter(pl.col("session").is_between(stretches[0][0], exits[1])).sample(fraction=1, shuffle=True)
        own = said.filter(within).sample(fraction=1, shuffle=True)
        parts.append(calibration_sums(own, bars, made.sessions(LENGTH), exits, (HORIZON, 21)))
    assert_frame_equal(pl.concat(parts).sort("universe", "month", *GROUP), whole, check_exact=True)


def test_bars_that_come_later_change_no_month_that_is_over() -> None:
    after = prices()
    same = after.filter(pl.col("session") < day(60))
    february = (day(28), day(56))
    told = calibration_sums(signals(), same, made.sessions(LENGTH), february, (HORIZON, 21))
    assert told.height > 0
    assert_frame_equal(
        calibration_sums(signals(), after, made.sessions(LENGTH), february, (HORIZON, 21)), told, check_exact=True
    )


@pytest.mark.parametrize(
    ("horizons", "expected"),
    [
        ((5,), [(34, 43)]),  # exits 40 to 49: entered 5 before, said a session before that
        ((5, 21), [(18, 27), (34, 43)]),
        ((5, 12), [(27, 43)]),  # stretches that touch are one
        ((5, 63), [(0, 0), (34, 43)]),  # before the calendar there is nothing
    ],
)
def test_which_sessions_windows_close_then(horizons: tuple[int, ...], expected: list[tuple[int, int]]) -> None:
    got = sessions_closing(made.sessions(LENGTH), (day(40), day(49)), horizons)
    assert [((first - made.FIRST).days, (last - made.FIRST).days) for first, last in got] == expected


@pytest.mark.parametrize("exits", [(day(LENGTH), day(LENGTH + 30)), (day(0), day(3))])
def test_where_no_window_closes_there_are_no_sums(exits: tuple[dt.date, dt.date]) -> None:
    got = calibration_sums(signals(), prices(), made.sessions(LENGTH), exits)
    assert (got.height, got.schema) == (0, SUMS_SCHEMA)
    assert calibration(got).is_empty()
