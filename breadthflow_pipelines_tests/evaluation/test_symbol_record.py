"""Verdicts on symbol signals: by the formula, right about noise, alert to what is planted, and of their time."""

import datetime as dt

import numpy as np
import numpy.typing as npt
import polars as pl
import pytest
from polars.testing import assert_frame_equal
from scipy import stats

from breadthflow_pipelines.evaluation.calibration import GROUP, SUMS_SCHEMA, calibration, calibration_sums
from breadthflow_pipelines.evaluation.estimates import holm
from breadthflow_pipelines.evaluation.family import SYMBOL_FAMILY
from breadthflow_pipelines.evaluation.symbol_record import RECORDS_SCHEMA, judged, symbol_records
from breadthflow_pipelines.signals.symbols import VOTE_COLUMNS
from breadthflow_pipelines_tests.evaluation import made

MEMBERS = 30
Floats = npt.NDArray[np.float64]


def lasting(dice: np.random.Generator, length: int, memory: float) -> Floats:
    """Scores of members that know nothing of returns, and of themselves what they were the day before."""
    scores = dice.normal(size=(length, MEMBERS))
    for i in range(1, length):
        scores[i] = memory * scores[i - 1] + (1 - memory**2) ** 0.5 * scores[i]
    return scores


def market_of(seed: int, length: int, memory: float, edge: float = 0.0) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Signals and bars of a market with moods. edge: what a member with a score of 1 gains on each session after."""
    dice = np.random.default_rng(seed)
    scores = [lasting(dice, length, memory) for _ in range(7)]
    moves = dice.normal(0, 0.01, (length, 1)) * dice.normal(1, 0.4, MEMBERS) + dice.normal(0, 0.015, (length, MEMBERS))
    moves[2:] += edge * scores[0][:-2]
    days = made.sessions(length)["session"].gather(np.repeat(np.arange(length), MEMBERS))
    action = np.where(scores[0] > 0.8, "buy", np.where(scores[0] < -0.8, "sell", "hold"))
    strength = np.clip(scores[0] / 3, -1, 1)
    key = {"session": days, "security_id": np.tile(np.arange(MEMBERS), length)}
    said = {"action": action.ravel(), "confidence": np.abs(strength).ravel(), "strength": strength.ravel()}
    votes = {
        vote: np.where(np.abs(score) > 0.5, np.sign(score), 0.0).ravel()
        for vote, score in zip(VOTE_COLUMNS, scores[1:], strict=True)
    }
    signals = pl.DataFrame({**key, **said, **votes}).with_columns(universe=pl.lit("u"))
    bars = pl.DataFrame({**key, "close": np.exp(np.cumsum(moves, axis=0)).ravel()})
    return signals, bars.with_columns(close_adjusted=pl.lit(None, pl.Float64))


def sums_of(
    seed: int, length: int, memory: float, edge: float = 0.0, horizons: tuple[int, ...] = (5, 21)
) -> pl.DataFrame:
    """The sums of such a market."""
    signals, bars = market_of(seed, length, memory, edge)
    ever = (made.day(0), made.day(length))
    return calibration_sums(signals, bars, made.sessions(length), ever, horizons)


def verdicts(sums: pl.DataFrame) -> pl.DataFrame:
    return judged(calibration(sums)).drop_nulls("verdict")


@pytest.fixture(scope="module")
def noise() -> pl.DataFrame:
    return sums_of(1, 500, 0.9)


def test_only_registered_claims_have_a_verdict(noise: pl.DataFrame) -> None:
    found = judged(calibration(noise))
    told = found.drop_nulls("verdict")
    assert set(told.select("rule", "action", "horizon").rows()) == {
        (claim.rule, claim.side, horizon) for claim in SYMBOL_FAMILY.claims for horizon in (5, 21)
    }
    assert set(told["grouped_by"]) == {"all"}
    assert found.height == calibration(noise).height


def test_p_is_students_t_with_the_error_of_windows_that_overlap(noise: pl.DataFrame) -> None:
    for row in verdicts(noise).iter_rows(named=True):
        windows = row["sessions"] // row["horizon"]
        error = row["lift_error"] * (row["horizon"] * windows / (windows - 1)) ** 0.5
        assert row["windows"] == windows
        assert row["p"] == pytest.approx(stats.t.sf(row["lift"] / error, windows - 1))


def test_p_of_the_family_is_holms_of_each_universe() -> None:
    both = pl.concat([sums_of(seed, 500, 0.9).with_columns(universe=pl.lit(f"u{seed}")) for seed in (1, 2)])
    for part in verdicts(both).partition_by("universe"):
        assert part.height == 28
        assert part["p_family"].to_list() == pytest.approx(holm(part["p"].to_numpy()).tolist())


def test_too_few_windows_and_a_rule_that_says_the_same_of_all_cannot_be_judged() -> None:
    short = verdicts(sums_of(3, 110, 0.5))  # 104 sessions with five after them, 88 with twenty-one
    assert set(short.filter(horizon=5)["verdict"]) == {"not distinguishable"}
    assert set(short.filter(horizon=21)["reason"]) == {"4 of the 5 windows that are needed"}
    assert short.filter(horizon=21)["p"].null_count() == 14
    same = sums_of(3, 300, 0.5).filter(grouped_by="strength").group_by("universe", "month", "horizon")
    columns = [name for name in SUMS_SCHEMA if name not in ("universe", "month", *GROUP)]
    everybody = same.agg(pl.col(columns).sum()).with_columns(
        pl.lit(0, pl.Int32).alias("bin"),
        *(pl.lit(value).alias(name) for name, value in (("rule", "trend"), ("action", "buy"), ("grouped_by", "all"))),
        *(pl.lit(0.0).alias(name) for name in ("lift_squared", "lift_signals")),
        expected=pl.col("hits"),
    )
    assert set(verdicts(everybody)["reason"]) == {"it says the same of every member"}


@pytest.mark.parametrize(
    ("memory", "seeds"),
    [
        (0.95, 30),
        pytest.param(0.0, 100, marks=pytest.mark.slow),  # signals that change every day
        pytest.param(0.9, 300, marks=pytest.mark.slow),
        pytest.param(0.99, 300, marks=pytest.mark.slow),  # that hardly ever do
    ],
)
def test_noise_looks_suggestive_no_more_often_than_stated(memory: float, seeds: int) -> None:
    found = pl.concat([verdicts(sums_of(seed, 400, memory)) for seed in range(seeds)])
    # Records of one market know of each other, so the spread is that of the markets and not of their records.
    told = found.filter(pl.col("p").is_not_null())
    assert told.height == 28 * seeds
    assert (told["p"] <= 0.05).mean() < 0.05 + 2 * (0.05 * 0.95 / seeds / 14) ** 0.5
    assert found.filter(verdict="survives").height <= 0.05 * seeds + 2 * (0.05 * 0.95 * seeds) ** 0.5


def test_what_is_planted_is_found_and_nothing_else() -> None:
    found = verdicts(sums_of(4, 600, 0.97, edge=0.001)).filter(horizon=5)
    assert found.filter(rule="combined")["verdict"].to_list() == ["survives"] * 2
    assert set(found.filter(pl.col("rule") != "combined")["verdict"]) <= {"not distinguishable", "suggestive"}
    harmful = verdicts(sums_of(4, 600, 0.97, edge=-0.001)).filter(horizon=5, rule="combined")
    assert set(harmful["verdict"]) == {"not distinguishable"}  # it claims to do better, and does worse


@pytest.fixture(scope="module")
def long() -> pl.DataFrame:
    return sums_of(5, 900, 0.95, edge=0.0005, horizons=(5, 63))


def test_a_record_is_of_windows_that_closed_before_the_month(long: pl.DataFrame) -> None:
    records = symbol_records(long)
    assert records.schema == RECORDS_SCHEMA
    month = dt.date(2001, 6, 1)
    known = long.filter(pl.col("month") < month)
    wanted = verdicts(known).filter(horizon=63).sort("rule", "action")
    got = records.filter(month=month).sort("rule", "action")
    assert got.height == 14
    assert got["record_n"].to_list() == wanted["signals"].to_list()
    for name, of in (("record_hit_rate", "hit_rate"), ("record_base_rate", "base_rate")):
        assert got[name].to_list() == pytest.approx(wanted[of].to_list())
    assert got["verdict"].to_list() == wanted["verdict"].to_list()


def test_a_record_is_what_its_signals_and_bars_say_by_hand() -> None:
    """The same market, signal by signal: what had closed before the month, and nothing else."""
    signals, bars = market_of(5, 900, 0.95, 0.0005)
    close = bars["close"].to_numpy().reshape(-1, MEMBERS)
    said = signals["action"].to_numpy().reshape(-1, MEMBERS)
    records = symbol_records(sums_of(5, 900, 0.95, 0.0005, horizons=(5, 63))).filter(rule="combined")
    assert records.height > 10
    for row in records.iter_rows(named=True):
        hits, others, count = 0, 0.0, 0
        for i in range(900 - 64):
            if made.day(i + 64) >= row["month"]:
                break
            beside = close[i + 64] / close[i + 1] - 1
            beside -= beside.mean()
            right = beside > 0 if row["action"] == "buy" else beside < 0
            own = said[i] == row["action"]
            hits, count = hits + int(right[own].sum()), count + int(own.sum())
            others += own.sum() * right.mean()
        assert row["record_n"] == count
        assert row["record_hit_rate"] == pytest.approx(hits / count)
        assert row["record_base_rate"] == pytest.approx(others / count)


def test_what_comes_later_changes_no_record(long: pl.DataFrame) -> None:
    month = dt.date(2001, 6, 1)
    whole = symbol_records(long).filter(pl.col("month") <= month)
    then = long.filter(pl.col("month") <= month)
    assert_frame_equal(symbol_records(then), whole, check_exact=True)
    # Nor does the month itself: what closes in it may close after the signal.
    otherwise = then.with_columns(hits=pl.when(month=month).then(0.0).otherwise("hits"))
    assert_frame_equal(symbol_records(otherwise), whole, check_exact=True)


def test_there_is_no_record_before_there_is_enough(long: pl.DataFrame) -> None:
    records = symbol_records(long)
    # Five windows of 63 sessions are 315, the first of them closes on session 64: every day is one here.
    enough = made.day(64 + 315)
    assert records["month"].min() == enough.replace(day=1).replace(month=enough.month + 1)
    assert symbol_records(long.filter(pl.col("month") < dt.date(2000, 9, 1))).is_empty()
    assert symbol_records(long.clear()).is_empty()
