"""Portfolios: by hand, against quantstats on the same returns, and against chance that is known."""

import datetime as dt

import numpy as np
import pandas as pd
import polars as pl
import pytest
import quantstats.stats as qs

from breadthflow_pipelines.errors import RequestError
from breadthflow_pipelines.evaluation.backtest import (
    LONG_FLAT,
    OVERLAY,
    UNTIL_TOLD,
    Plan,
    backtest,
    by_threshold,
    plan_of,
    targets,
)
from breadthflow_pipelines.evaluation.figures import figures
from breadthflow_pipelines.evaluation.outcomes import windows
from breadthflow_pipelines_tests.evaluation import made
from breadthflow_pipelines_tests.evaluation.made import day


def test_a_trade_by_hand() -> None:
    level = made.levels([100.0, 100.0, 110.0, 121.0, 100.0, 50.0])
    got = backtest(made.signals([0]), level, Plan(hold=2), cost=10.0)
    # known at the close of 0, bought at the close of 1, earns on 2 and 3, sold at the close of 3
    assert got.daily["weight"].to_list() == [0.0, 1.0, 1.0, 0.0, 0.0]
    assert got.daily["turnover"].to_list() == [0.0, 1.0, 0.0, 1.0, 0.0]
    assert got.daily["return"].to_list() == pytest.approx([0.0, 0.1 - 0.001, 0.1, -0.001, 0.0])
    trade = got.trades.row(0, named=True)
    assert (trade["entry_session"], trade["exit_session"], trade["sessions"]) == (day(1), day(3), 2)
    assert trade["market"] == pytest.approx(0.21)
    assert trade["return"] == pytest.approx(0.21 - 0.002)
    assert (trade["signal_id"], trade["signals"]) == (made.signals([0])["signal_id"][0], 1)
    assert got.monthly.rows() == [(2000, 1, pytest.approx(1.099 * 1.1 * 0.999 - 1))]


def test_the_return_of_a_trade_is_that_of_its_outcome() -> None:
    """Both enter and leave at the same closes, whatever the horizon."""
    level = made.levels(made.walk(np.random.default_rng(1), 300))
    followed = windows(level, made.sessions(300), (21,)).select("session", change="return")
    said = made.signals([10, 60, 200])
    got = backtest(said, level, Plan(hold=21), cost=0.0).trades
    expected = said.join(followed, on="session")["change"].to_list()
    assert got["return"].to_list() == pytest.approx(expected)
    assert got["signal_id"].to_list() == said["signal_id"].to_list()


@pytest.mark.parametrize(
    ("plan", "actions", "expected"),
    [
        (Plan(hold=2), {1: "buy"}, [0, 1, 1, 0, 0, 0]),
        (Plan(hold=3), {1: "buy", 3: "buy"}, [0, 1, 1, 1, 1, 1]),  # a second one extends the first
        (Plan(hold=None), {1: "buy", 4: "hold"}, [0, 1, 1, 1, 0, 0]),  # until it is told otherwise
        (Plan(base=0.6, bought=0.8, sold=0.4, hold=2), {1: "buy", 2: "sell"}, [0.6, 0.8, 0.4, 0.4, 0.6, 0.6]),
        (Plan(base=1.0, sold=0.0, hold=1), {2: "sell"}, [1, 1, 0, 1, 1, 1]),  # out of a market one is in
    ],
)
def test_what_is_wanted_at_each_close(plan: Plan, actions: dict[int, str], expected: list[float]) -> None:
    said = pl.concat([made.signals([number], action=action) for number, action in actions.items()])
    got = targets(said, made.sessions(6)["session"], plan)
    assert got["target"].to_list() == expected


def test_a_signal_of_a_day_without_a_level_counts_from_the_next() -> None:
    days = made.sessions(6)["session"].filter(pl.Series([True, True, False, True, True, True]))
    got = targets(made.signals([2]), days, Plan(hold=1))
    assert got.filter(target=1.0)["session"].to_list() == [day(3)]  # and not on 1, before it was known


def test_thresholds_with_a_band_between() -> None:
    said = by_threshold(made.scores([50.0, 61.0, 58.0, 54.0, 57.0, 62.0]), 60.0, 55.0)
    assert targets(said, made.sessions(6)["session"], UNTIL_TOLD)["target"].to_list() == [0, 1, 1, 0, 0, 1]


def test_months_are_quantstats() -> None:
    level = made.levels(made.walk(np.random.default_rng(7), 500))
    got = backtest(made.signals([0, 100, 300]), level)
    series = pd.Series(got.daily["return"].to_numpy(), index=pd.DatetimeIndex(got.daily["session"].to_list()))
    table = qs.monthly_returns(series, eoy=False)
    for year, month, value in got.monthly.iter_rows():
        name = dt.date(2000, month, 1).strftime("%b").upper()
        assert table.loc[str(year), name] == pytest.approx(value, abs=1e-10)


def test_cash_is_what_is_earned_beyond() -> None:
    returns = np.array([0.01, -0.02, 0.03, 0.0])
    got = figures(returns, np.full(4, 0.001), pl.Series([day(i) for i in range(4)]))
    beyond = returns - 0.001
    assert got["sharpe"] == pytest.approx(beyond.mean() / beyond.std(ddof=1) * 252**0.5)
    assert got["volatility"] == pytest.approx(returns.std(ddof=1) * 252**0.5)
    level = made.levels([100.0, 100.0, 100.0])
    rates = pl.DataFrame({"session": [day(-1)], "rate": [5.0]})
    flat = backtest(made.signals([]), level, rates=rates)
    assert flat.daily["return"].to_list() == pytest.approx([1.05 ** (1 / 252) - 1] * 2)  # no signal: all in cash
    half = backtest(made.signals([]), level, Plan(base=0.5), rates=rates, cost=0.0)
    assert half.daily["return"].to_list() == pytest.approx([(1.05 ** (1 / 252) - 1) / 2] * 2)


def test_the_rule_stands_beside_what_needs_no_rule() -> None:
    level = made.levels(made.walk(np.random.default_rng(8), 600))
    got = backtest(made.signals([10, 200, 400]), level, OVERLAY, cost=10.0)
    rule = got.figures.filter(portfolio="rule").sort("cost")
    assert rule["cost"].to_list() == [0.0, 5.0, 10.0, 25.0]
    assert rule["cagr"].is_sorted(descending=True)
    held, same = (got.figures.filter(portfolio=name).row(0, named=True) for name in ("buy and hold", "same exposure"))
    own = rule.row(2, named=True)
    assert same["exposure"] == pytest.approx(own["exposure"])
    assert own["exposure"] == pytest.approx(0.6 + 0.2 * 3 * 63 / 599)
    assert held["cagr"] == pytest.approx((level["level"][-1] / level["level"][0] * 1.0) ** (252 / 599) - 1, abs=1e-3)
    assert held["sharpe"] == pytest.approx(same["sharpe"], abs=0.02)  # a part of the same thing
    # six changes of 0.2, and 0.6 to begin with
    assert own["turnover"] == pytest.approx((0.6 + 6 * 0.2) * 252 / 599)
    at_ten = got.daily["return"].to_numpy()
    assert own["cagr"] == pytest.approx(np.prod(1 + at_ten) ** (252 / 599) - 1)


def test_a_cost_of_ones_own_is_told_beside_the_usual_ones() -> None:
    got = backtest(made.signals([1]), made.levels([1.0, 2.0, 3.0, 4.0, 5.0]), cost=7.5)
    assert got.figures.filter(portfolio="rule")["cost"].to_list() == [0.0, 5.0, 7.5, 10.0, 25.0]


def test_a_report_of_a_part_buys_what_it_holds() -> None:
    level = made.levels(made.walk(np.random.default_rng(9), 100))
    got = backtest(made.signals([10]), level, start=day(30), end=day(50))
    assert (got.daily["session"].min(), got.daily["session"].max()) == (day(30), day(50))
    assert got.daily["weight"].to_list() == [1.0] * 21  # bought before, and still held
    assert got.daily["turnover"][0] == 1.0
    assert got.trades["exit_session"].to_list() == [None]
    with pytest.raises(RequestError, match="No two levels lie between 2000-05-02 and the last"):
        backtest(made.signals([10]), level, start=day(120))


def test_plans_are_what_they_say() -> None:
    assert (LONG_FLAT.base, LONG_FLAT.bought, LONG_FLAT.hold) == (0.0, 1.0, 63)
    assert UNTIL_TOLD.hold is None
    assert OVERLAY.bought - OVERLAY.base == pytest.approx(OVERLAY.base - OVERLAY.sold) == pytest.approx(0.2)


@pytest.mark.parametrize(
    ("rule", "overlay", "expected"),
    [
        ("appel_time_trend", False, Plan(base=0.0, bought=1.0, sold=0.0, hold=63)),  # an event counts for a quarter
        ("hindenburg_omen", False, Plan(base=1.0, bought=1.0, sold=0.0, hold=63)),  # who is warned was in the market
        ("breadth_score", False, UNTIL_TOLD),  # says something on every session
        ("breadth_score", True, Plan(base=0.6, bought=0.8, sold=0.4, hold=None)),
    ],
)
def test_a_rule_is_followed_by_what_it_claims(rule: str, *, overlay: bool, expected: Plan) -> None:
    assert plan_of(rule, overlay=overlay) == expected


def test_what_claims_nothing_cannot_be_followed() -> None:
    with pytest.raises(RequestError, match="claims nothing"):
        plan_of("whaley_adt5_capitulation")
