"""Reliability, returns by decile, and errors: against loops, and against statsmodels' clustered errors."""

import numpy as np
import polars as pl
import pytest
import statsmodels.api as sm
from polars.testing import assert_frame_equal

from breadthflow_pipelines.evaluation.calibration import GROUP, calibration, calibration_sums, member_outcomes
from breadthflow_pipelines.signals.symbols import VOTE_COLUMNS
from breadthflow_pipelines_tests.evaluation import made
from breadthflow_pipelines_tests.evaluation.made import day
from breadthflow_pipelines_tests.indicators.markets import Row


def bars(closes: dict[int, list[float | None]], adjusted: dict[int, list[float | None]] | None = None) -> pl.DataFrame:
    rows = [
        (security, day(i), close, (adjusted or {}).get(security, [None] * len(own))[i])
        for security, own in closes.items()
        for i, close in enumerate(own)
        if close is not None
    ]
    schema = {"security_id": pl.Int64, "session": pl.Date, "close": pl.Float64, "close_adjusted": pl.Float64}
    return pl.DataFrame(rows, schema=schema, orient="row")


def held(securities: list[int], numbers: list[int]) -> pl.DataFrame:
    rows = [("u", security, day(number)) for security in securities for number in numbers]
    return pl.DataFrame(rows, schema={"universe": pl.String, "security_id": pl.Int64, "session": pl.Date}, orient="row")


def told(frame: pl.DataFrame) -> dict[int, float]:
    return dict(frame.select("security_id", "relative").iter_rows())


def test_a_members_outcome_by_hand() -> None:
    prices = bars({1: [1.0, 10.0, 99.0, 11.0], 2: [1.0, 20.0, 99.0, 18.0]})
    got = member_outcomes(prices, held([1, 2], [0]), made.sessions(4), (2,))
    assert told(got) == pytest.approx({1: 0.1, 2: -0.1})  # 10 % up and 10 % down, from session 1 to 3


def test_dividends_count_where_both_bars_have_them() -> None:
    prices = bars({1: [1.0, 10.0, 5.0], 2: [1.0, 10.0, 10.0]}, {1: [1.0, 5.0, 5.0], 2: [1.0, 10.0, None]})
    got = member_outcomes(prices, held([1, 2], [0]), made.sessions(3), (1,))
    assert told(got) == pytest.approx({1: 0.0, 2: 0.0})


def test_who_ended_on_the_way_left_at_the_last_close() -> None:
    prices = bars({1: [1.0, 10.0, 2.0, None, None], 2: [1.0, 10.0, 10.0, 10.0, 10.0], 3: [1.0, None, 10.0, 20.0, 30.0]})
    got = member_outcomes(prices, held([1, 2, 3], [0]), made.sessions(5), (3,))
    # left out is 3 alone, which had no bar to enter at; leaving 1 out would hide a loss of 80 %
    assert told(got) == pytest.approx({1: -0.4, 2: 0.4})


def test_only_windows_that_have_closed_are_told_of() -> None:
    prices = bars({1: [1.0] * 6, 2: [1.0] * 6})
    got = member_outcomes(prices, held([1, 2], [0, 1, 2, 3]), made.sessions(30), (2, 3))
    closed = got.group_by("horizon").agg(pl.col("session").max()).sort("horizon")
    assert closed.rows() == [(2, day(2)), (3, day(1))]  # the last bar is of session 5


def market(seed: int, count: int = 40, members: int = 30) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Signals and outcomes whose sessions have a mood of their own, so that rows of a session go together."""
    dice = np.random.default_rng(seed)
    rows: list[Row] = []
    followed: list[Row] = []
    for number in range(count):
        mood = dice.normal(0, 0.02)
        for security in range(dice.integers(members // 2, members)):
            strength = round(dice.uniform(-1, 1), 1)  # ties
            key = {"universe": "u", "security_id": security, "session": day(number)}
            action = "buy" if strength >= 0.35 else "sell" if strength <= -0.35 else "hold"
            votes = {name: dice.choice([None, -0.5, 0.0, 0.7]) for name in VOTE_COLUMNS}
            rows.append(key | {"action": action, "confidence": abs(strength), "strength": strength} | votes)
            change = mood * strength + dice.normal(0, 0.05)
            followed += [key | {"horizon": horizon, "relative": change / horizon} for horizon in (5, 21)]
    signals = pl.DataFrame(rows, schema_overrides=dict.fromkeys(VOTE_COLUMNS, pl.Float64))
    return signals, pl.DataFrame(followed, schema_overrides={"horizon": pl.Int32, "security_id": pl.Int64})


@pytest.fixture(scope="module")
def made_market() -> tuple[pl.DataFrame, pl.DataFrame]:
    return market(1)


def group(got: pl.DataFrame, measure: str, action: str, label: str, horizon: int = 5) -> Row:
    return got.filter(measure=measure, action=action, bin=label, horizon=horizon).row(0, named=True)


@pytest.mark.parametrize(
    ("measure", "action", "label", "wanted"),
    [
        ("all", "buy", "all", pl.lit(value=True)),
        ("action", "sell", "all", pl.col("action") == "sell"),
        ("action", "hold", "all", pl.col("action") == "hold"),
        ("confidence", "buy", "0.5", (pl.col("action") == "buy") & pl.col("confidence").is_between(0.5, 0.599)),
        ("confidence", "buy", "0.9", (pl.col("action") == "buy") & (pl.col("confidence") >= 0.9)),  # 1.0 belongs to it
        ("vote_rsi", "all", "against", pl.col("vote_rsi") < 0),
        ("vote_rsi", "all", "neither", pl.col("vote_rsi") == 0),
    ],
)
def test_means_and_errors_are_those_of_a_regression_with_clusters(
    measure: str, action: str, label: str, wanted: pl.Expr, made_market: tuple[pl.DataFrame, pl.DataFrame]
) -> None:
    signals, followed = made_market
    row = group(calibration(calibration_sums(signals, followed)), measure, action, label)
    rows = signals.join(followed.filter(horizon=5), on=["universe", "security_id", "session"]).filter(wanted)
    relative, session = rows["relative"].to_numpy(), rows["session"].to_physical().to_numpy()
    for name, values in (
        ("return", relative),
        ("hit", (relative < 0 if action == "sell" else relative > 0).astype(float)),
    ):
        clusters = {"groups": session, "use_correction": False}
        fit = sm.OLS(values, np.ones(len(values))).fit(cov_type="cluster", cov_kwds=clusters)
        mean, error = ("mean_return", "return_error") if name == "return" else ("hit_rate", "hit_error")
        if name == "hit" and action == "hold":
            assert row[mean] is row[error] is None
            continue
        assert row[mean] == pytest.approx(fit.params[0], abs=1e-12)
        assert row[error] == pytest.approx(fit.bse[0], rel=1e-9)
    assert (row["n"], row["sessions"]) == (rows.height, rows["session"].n_unique())
    assert row["return_t"] == pytest.approx(row["mean_return"] / row["return_error"] / 5**0.5)


def test_brier_scores_are_those_of_a_loop(made_market: tuple[pl.DataFrame, pl.DataFrame]) -> None:
    signals, followed = made_market
    got = calibration(calibration_sums(signals, followed))
    rows = signals.join(followed.filter(horizon=21), on=["universe", "security_id", "session"])
    base = (rows["relative"] < 0).mean()
    told = [(row["confidence"], float(row["relative"] < 0)) for row in rows.filter(action="sell").to_dicts()]
    row = group(got, "action", "sell", "all", 21)
    assert row["base_rate"] == pytest.approx(base)
    assert row["brier"] == pytest.approx(np.mean([(said - came) ** 2 for said, came in told]))
    assert row["brier_base"] == pytest.approx(np.mean([(base - came) ** 2 for _, came in told]))
    assert row["skill"] == pytest.approx(1 - row["brier"] / row["brier_base"])
    assert row["confidence"] == pytest.approx(np.mean([said for said, _ in told]))
    assert group(got, "action", "hold", "all")["brier"] is None


def test_a_confidence_that_means_what_it_says_lies_on_the_diagonal_and_beats_the_base_rate() -> None:
    dice = np.random.default_rng(2)
    count = 20_000
    confidence = dice.random(count)
    key = {"universe": ["u"] * count, "security_id": range(count), "session": [day(i % 500) for i in range(count)]}
    votes = dict.fromkeys(VOTE_COLUMNS, [None] * count)
    signals = pl.DataFrame(
        {**key, "action": ["buy"] * count, "confidence": confidence, "strength": confidence, **votes},
        schema_overrides=dict.fromkeys(VOTE_COLUMNS, pl.Float64),
    )
    came = np.where(dice.random(count) < confidence, 0.01, -0.01)
    followed = pl.DataFrame({**key, "horizon": [5] * count, "relative": came}, schema_overrides={"horizon": pl.Int32})
    got = calibration(calibration_sums(signals, followed))
    curve = got.filter(measure="confidence").sort("bin")
    assert curve["bin"].to_list() == [f"0.{i}" for i in range(10)]
    for row in curve.iter_rows(named=True):
        assert row["hit_rate"] == pytest.approx(row["confidence"], abs=4 * row["hit_error"])
    # of a uniform forecast that is right: 1/6, where the base rate of a half has 1/4
    assert group(got, "action", "buy", "all")["brier"] == pytest.approx(1 / 6, abs=0.005)
    assert group(got, "action", "buy", "all")["skill"] == pytest.approx(1 / 3, abs=0.02)
    # overconfident: what said to be sure was right half of the time
    sure = signals.with_columns(confidence=pl.lit(1.0))
    assert group(calibration(calibration_sums(sure, followed)), "action", "buy", "all")["skill"] < -0.9


def test_deciles_of_strength_are_those_of_the_session() -> None:
    count = 20
    key = {"universe": ["u"] * 2 * count, "security_id": [*range(count)] * 2}
    key |= {"session": [day(0)] * count + [day(1)] * count}
    strength = [i / 100 for i in range(count)] + [0.9 + i / 1000 for i in range(count)]  # a weak and a strong session
    votes = dict.fromkeys(VOTE_COLUMNS, [None] * 2 * count)
    signals = pl.DataFrame(
        {**key, "action": ["hold"] * 2 * count, "confidence": [0.1] * 2 * count, "strength": strength, **votes},
        schema_overrides=dict.fromkeys(VOTE_COLUMNS, pl.Float64),
    )
    relative = [i / 1000 for i in range(count)] * 2
    followed = pl.DataFrame(
        {**key, "horizon": [5] * 2 * count, "relative": relative}, schema_overrides={"horizon": pl.Int32}
    )
    got = calibration(calibration_sums(signals, followed)).filter(measure="strength").sort("bin")
    assert got["bin"].to_list() == [f"{i:02d}" for i in range(1, 11)]
    assert got["n"].to_list() == [4] * 10
    assert got["mean_return"].to_list() == pytest.approx([(2 * i + 0.5) / 1000 for i in range(10)])


def test_tenths_are_exact_whatever_the_number_of_members() -> None:
    sizes = [*range(1, 60), 93, 497]
    rows = [(size, i) for size in sizes for i in range(size)]
    key = {"universe": "u", "security_id": [i for _, i in rows], "session": [day(size) for size, _ in rows]}
    strength = {"action": "hold", "confidence": 0.0, "strength": [i / 1000 for _, i in rows]}
    votes = [pl.lit(None, pl.Float64).alias(name) for name in VOTE_COLUMNS]
    signals = pl.DataFrame({**key, **strength}).with_columns(votes)
    followed = pl.DataFrame({**key, "horizon": 5, "relative": 0.0}, schema_overrides={"horizon": pl.Int32})
    got = calibration(calibration_sums(signals, followed)).filter(measure="strength").sort("bin")
    tenths = [-(-10 * (i + 1) // size) for size, i in rows]
    assert dict(got.select("bin", "n").iter_rows()) == {f"{i:02d}": tenths.count(i) for i in range(1, 11)}


def test_sums_of_years_add_up_to_those_of_the_whole(made_market: tuple[pl.DataFrame, pl.DataFrame]) -> None:
    signals, followed = made_market
    early, late = pl.col("session") < day(13), pl.col("session") >= day(13)
    parts = pl.concat([calibration_sums(signals.filter(part), followed) for part in (late, early)])
    assert parts.height > calibration_sums(signals, followed).height
    assert_frame_equal(calibration(parts), calibration(calibration_sums(signals, followed)), abs_tol=1e-12)
    assert calibration(parts).select(GROUP).is_unique().all()


def test_signals_whose_window_is_open_are_left_out(made_market: tuple[pl.DataFrame, pl.DataFrame]) -> None:
    signals, followed = made_market
    closed = followed.filter((pl.col("horizon") == 5) | (pl.col("session") < day(20)))
    got = calibration(calibration_sums(signals, closed))
    assert group(got, "all", "buy", "all", 21)["sessions"] == 20
    assert group(got, "all", "buy", "all", 5)["sessions"] == 40
