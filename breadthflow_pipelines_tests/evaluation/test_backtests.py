"""The backtests that are kept: of every registered rule, with its trades, or why there is none."""

import datetime as dt

import numpy as np
import polars as pl
import pytest

from breadthflow_pipelines.evaluation.backtest import backtest, plan_of
from breadthflow_pipelines.evaluation.backtests import FIGURES_SCHEMA, REGISTERED, backtests
from breadthflow_pipelines.evaluation.family import FAMILY
from breadthflow_pipelines.evaluation.growth import growth
from breadthflow_pipelines.evaluation.walk_forward import MIN_SAMPLE
from breadthflow_pipelines_tests.evaluation import made
from breadthflow_pipelines_tests.evaluation.made import day

DAYS = MIN_SAMPLE + 600
LEVEL = made.walk(np.random.default_rng(21), DAYS)


def levels(universe: str = "NASDAQ") -> pl.DataFrame:
    return made.levels(LEVEL, universe).with_columns(held=pl.lit("index"))


def score() -> pl.DataFrame:
    """A score that wanders, on every session."""
    value = 50 + 20 * np.sin(np.arange(DAYS) / 40)
    action = pl.when(pl.col("value") >= 60).then(pl.lit("buy")).when(pl.col("value") <= 40).then(pl.lit("sell"))
    said = made.signals(np.arange(DAYS), "breadth_score").with_columns(value=pl.Series(value))
    return said.with_columns(action=action.otherwise(pl.lit("hold")))


def signals() -> pl.DataFrame:
    events = [made.signals([100, 400, 900]), made.signals([200, 700], "hindenburg_omen", "sell")]
    return pl.concat([*(part.with_columns(value=pl.lit(1.0)) for part in events), score()])


@pytest.fixture(scope="module")
def kept() -> pl.DataFrame:
    return backtests(signals(), pl.concat([levels(), levels("empty")]), levels().clear()).figures


def test_every_registered_rule_is_listed_in_every_universe(kept: pl.DataFrame) -> None:
    for universe in ("NASDAQ", "empty"):
        assert set(kept.filter(universe=universe, thresholds="fixed")["rule"]) == {c.rule for c in FAMILY.claims}
    untold = kept.filter(pl.col("reason").is_not_null())
    assert set(untold["reason"]) == {"no signal"}
    assert untold.filter(universe="NASDAQ").height == len(REGISTERED) - 3
    assert set(kept.filter(thresholds="walk forward")["rule"]) == {"breadth_score"}  # of scores alone


def test_a_universe_without_an_index_says_so() -> None:
    got = backtests(signals(), levels().clear(), levels().clear())
    assert set(got.figures["reason"]) == {"no index, and no returns of members"}
    assert got.trades.is_empty()


@pytest.mark.parametrize("rule", ["appel_time_trend", "hindenburg_omen", "breadth_score"])
def test_what_is_kept_is_what_a_backtest_says(kept: pl.DataFrame, rule: str) -> None:
    alone = backtest(signals().filter(rule=rule), levels(), plan_of(rule))
    of = kept.filter(universe="NASDAQ", rule=rule, thresholds="fixed")
    assert of.select(alone.figures.columns).equals(alone.figures)
    own = of.filter(portfolio="rule", cost=10.0).row(0, named=True)
    chance = {row["figure"]: row for row in alone.chance.iter_rows(named=True)}
    for figure in ("cagr", "sharpe", "max_drawdown"):
        assert own[f"{figure}_random"] == chance[figure]["median"]
        assert own[f"{figure}_as_good"] == chance[figure]["share_as_good"]
    assert own["trades"] == alone.trades.height
    assert of.filter(pl.col("cagr_random").is_not_null()).height == 1  # and of no other cost or portfolio


def test_out_of_sample_begins_where_the_first_threshold_was_chosen() -> None:
    got = backtests(score(), levels(), levels().clear())
    out = got.figures.filter(thresholds="walk forward")
    assert set(out["first_session"].dt.year()) == {got.years["year"].min()}
    # Each sample ends more than 63 sessions before its year: every day is a session here.
    ends = [dt.date(year, 1, 1) - dt.timedelta(days=63) for year in got.years["year"]]
    assert all(last < end for last, end in zip(got.years["sample_to"], ends, strict=True))
    assert got.trades.filter(thresholds="walk forward")["entry_session"].min() >= got.years["sample_to"].min()


def test_a_benchmark_stands_beside_as_long_as_it_has_closes() -> None:
    other = made.levels(LEVEL[: DAYS - 100] * 2).with_columns(held=pl.lit("SPY"), basis=pl.lit("total return"))
    other = other.filter(pl.col("session") >= day(50), pl.col("session") != day(70))
    got = backtests(made.signals([100, 400]).with_columns(value=pl.lit(1.0)), levels(), other).figures
    own = got.filter(portfolio="benchmark").row(0, named=True)
    assert (own["held"], own["basis"]) == ("SPY", "total return")
    assert (own["first_session"], own["last_session"]) == (day(51), day(DAYS - 101))
    sessions = DAYS - 101 - 51 + 1
    made_of = LEVEL[DAYS - 101] / LEVEL[50] * (1 - 0.001 / (LEVEL[51] / LEVEL[50]))
    assert own["cagr"] == pytest.approx(made_of ** (252 / sessions) - 1)
    assert set(got.filter(portfolio="rule", rule="appel_time_trend")["held"]) == {"index"}


def test_interest_is_said() -> None:
    said = made.signals([100]).with_columns(value=pl.lit(1.0))
    for first, expected in ((-1, "the risk-free rate"), (300, "a rate in part of the time"), (DAYS, "nothing")):
        rates = pl.DataFrame({"session": [day(first)], "rate": [3.0]})
        got = backtests(said, levels(), levels().clear(), rates).figures
        assert set(got["cash"].drop_nulls()) == {expected}
    assert set(backtests(said, levels(), levels().clear()).figures["cash"].drop_nulls()) == {"nothing"}


@pytest.mark.parametrize("rule", ["appel_time_trend", "hindenburg_omen", "breadth_score"])
@pytest.mark.parametrize("rate", [None, 3.0])
def test_wealth_from_the_trades_is_that_of_the_backtest(rule: str, rate: float | None) -> None:
    rates = None if rate is None else pl.DataFrame({"session": [day(-1)], "rate": [rate]})
    alone = backtest(signals().filter(rule=rule), levels(), plan_of(rule), rates=rates)
    got = growth(levels(), alone.trades, plan_of(rule).base, 10.0, rates=rates)
    assert got["session"].equals(alone.daily["session"])
    assert got["wealth"].to_list() == pytest.approx(alone.daily["wealth"].to_list(), rel=1e-12)
    held = alone.figures.filter(portfolio="buy and hold")["cagr"].item()
    assert got["held"][-1] == pytest.approx((1 + held) ** (got.height / 252))
    none = growth(levels().head(1), alone.trades, 0.0, 10.0)
    assert (none.height, none.columns) == (0, got.columns)


def test_the_schema_is_that_of_the_rows(kept: pl.DataFrame) -> None:
    assert kept.schema == FIGURES_SCHEMA
