"""Portfolios: by hand, against quantstats on the same returns, and against chance that is known."""

import datetime as dt
from itertools import groupby

import numpy as np
import pandas as pd
import polars as pl
import pytest
import quantstats.stats as qs
from polars.testing import assert_frame_equal

from breadthflow_pipelines.errors import RequestError
from breadthflow_pipelines.evaluation.backtest import (
    FIGURES,
    LONG_FLAT,
    MIN_SAMPLE,
    OVERLAY,
    UNTIL_TOLD,
    Plan,
    backtest,
    by_threshold,
    figures,
    random_entries,
    targets,
    walk_forward,
)
from breadthflow_pipelines.evaluation.outcomes import windows
from breadthflow_pipelines_tests.evaluation import made
from breadthflow_pipelines_tests.evaluation.made import day


def scores(values: list[float]) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "session": [day(i) for i in range(len(values))],
            "value": values,
            "signal_id": [f"score {i}" for i in range(len(values))],
        }
    )


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
    said = by_threshold(scores([50.0, 61.0, 58.0, 54.0, 57.0, 62.0]), 60.0, 55.0)
    assert targets(said, made.sessions(6)["session"], UNTIL_TOLD)["target"].to_list() == [0, 1, 1, 0, 0, 1]


SHAPES = {
    "wild": np.random.default_rng(2).normal(0.0005, 0.02, 800),
    "steady": np.abs(np.random.default_rng(3).normal(0.0005, 0.001, 300)),  # never loses: some figures have no value
    "falls at once": np.concatenate([[-0.1], np.random.default_rng(4).normal(0.001, 0.01, 400)]),
    "mostly in cash": np.random.default_rng(5).normal(0.001, 0.01, 900) * (np.arange(900) % 5 == 0),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_figures_are_quantstats(shape: str) -> None:
    returns = SHAPES[shape]
    days = pd.bdate_range("2001-01-01", periods=len(returns))
    series = pd.Series(returns, index=days)
    got = figures(returns, np.zeros(len(returns)), [stamp.date() for stamp in days])
    expected = {
        "cagr": qs.cagr(series),
        "volatility": qs.volatility(series),
        "sharpe": qs.sharpe(series),
        "sortino": qs.sortino(series),
        "calmar": qs.calmar(series) if (returns < 0).any() else None,
        "max_drawdown": qs.max_drawdown(series),
        "hit_rate": qs.win_rate(series),
        "profit_factor": qs.profit_factor(series) if (returns < 0).any() else None,
    }
    for name, value in expected.items():
        value = None if value is not None and not np.isfinite(value) else value
        assert got[name] == pytest.approx(value, abs=1e-10), name
    assert list(got) == list(FIGURES)


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
    got = figures(returns, np.full(4, 0.001), [day(i) for i in range(4)])
    beyond = returns - 0.001
    assert got["sharpe"] == pytest.approx(beyond.mean() / beyond.std(ddof=1) * 252**0.5)
    assert got["volatility"] == pytest.approx(returns.std(ddof=1) * 252**0.5)
    level = made.levels([100.0, 100.0, 100.0])
    rates = pl.DataFrame({"session": [day(-1)], "rate": [5.0]})
    flat = backtest(made.signals([]), level, rates=rates)
    assert flat.daily["return"].to_list() == pytest.approx([1.05 ** (1 / 252) - 1] * 2)  # no signal: all in cash
    half = backtest(made.signals([]), level, Plan(base=0.5), rates=rates, cost=0.0)
    assert half.daily["return"].to_list() == pytest.approx([(1.05 ** (1 / 252) - 1) / 2] * 2)


@pytest.mark.parametrize(
    ("returns", "peak", "trough", "recovered"),
    [
        ([0.1, -0.5, 0.2, 1.0], 0, 1, 3),
        ([-0.5, 0.2, 0.1], None, 0, None),  # from before the first session, and never back
        ([0.1, 0.1], None, None, None),  # it never fell
        ([0.1, -0.2, 0.25, -0.1], 0, 1, 2),  # the deeper fall of two
    ],
)
def test_the_days_of_the_deepest_fall(
    returns: list[float], peak: int | None, trough: int | None, recovered: int | None
) -> None:
    got = figures(np.array(returns), np.zeros(len(returns)), [day(i) for i in range(len(returns))])
    expected = [None if number is None else day(number) for number in (peak, trough, recovered)]
    assert [got[f"{name}_session"] for name in ("peak", "trough", "recovered")] == expected


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


def test_random_entries_go_as_often_and_for_as_long() -> None:
    weight = np.array([0, 0, 1, 1, 0, 0, 0, 0.5, 0, 0, 1, 1, 1, 0, 0, 0], dtype=float)

    def stretches(run: np.ndarray) -> list[tuple[float, int]]:
        found = [(value, len(list(same))) for value, same in groupby(run.tolist())]
        return sorted(pair for pair in found if pair[0])

    runs = list(random_entries(weight, 0.0, 4_000, 1))
    for run in runs:
        assert len(run) == len(weight)
        assert stretches(run) == stretches(weight)
    # as likely everywhere: each session is held with the mean exposure, but for the ends
    mean = np.mean(runs, axis=0)
    assert mean[4:-4] == pytest.approx(np.full(8, mean[4:-4].mean()), abs=0.06)
    turnover = [np.abs(np.diff(run, prepend=0.0, append=0.0)).sum() for run in runs]
    assert set(turnover) == {np.abs(np.diff(weight, prepend=0.0, append=0.0)).sum()}
    assert len({tuple(run) for run in runs}) > 300


def test_every_way_to_enter_is_as_likely() -> None:
    """Two stretches of one session among five: by hand there are (0 2), (0 3), (0 4), (1 3), (1 4), (2 4)."""
    runs = list(random_entries(np.array([1.0, 0, 0, 1.0, 0]), 0.0, 6_000, 2))
    found = [tuple(np.flatnonzero(run).tolist()) for run in runs]
    counts = {one: found.count(one) for one in set(found)}
    assert set(counts) == {(0, 2), (0, 3), (0, 4), (1, 3), (1, 4), (2, 4)}
    assert all(count == pytest.approx(1_000, abs=4 * 29) for count in counts.values())


@pytest.mark.parametrize("weight", [[0.0] * 9, [1.0] * 9])  # never there, never away
def test_without_a_choice_there_is_no_chance(weight: list[float]) -> None:
    assert list(random_entries(np.array(weight), 0.0, 10, 1)) == []


def test_chance_of_a_rule_that_knows_and_of_one_that_does_not() -> None:
    dice = np.random.default_rng(10)
    level = made.walk(dice, 1_200)
    rises = np.argsort(level[22:] / level[:-22])[-40:]
    knowing = backtest(made.signals(np.sort(rises)), made.levels(level), Plan(hold=21)).chance
    assert knowing.filter(figure="cagr")["share_as_good"].item() == pytest.approx(1 / 1001)
    shares = []
    for _ in range(6):
        said = made.signals(np.sort(dice.choice(1_150, 8, replace=False)))
        shares.append(backtest(said, made.levels(level), Plan(hold=21)).chance["share_as_good"][0])
    assert min(shares) > 0.02
    assert 0.2 < np.mean(shares) < 0.8
    none = backtest(made.signals([]), made.levels(level))
    assert none.chance.is_empty()
    assert none.trades.is_empty()


def test_history_to_come_changes_no_day_and_no_choice() -> None:
    dice = np.random.default_rng(11)
    count = MIN_SAMPLE + 4 * 366
    level, score = made.levels(made.walk(dice, count)), scores(list(dice.normal(50, 10, count)))
    cut = day(count - 400).replace(month=12, day=31)
    known = pl.col("session") <= cut
    levels_asked = [45.0, 50.0, 55.0]
    choices, after = walk_forward(score, level, levels_asked, horizon=63)
    early, before = walk_forward(score.filter(known), level.filter(known), levels_asked, horizon=63)
    assert after is not None
    assert before is not None
    assert early.height >= 2
    assert_frame_equal(choices.filter(pl.col("year") <= cut.year), early, check_exact=True)
    assert_frame_equal(after.daily.filter(known), before.daily, check_exact=True)


def test_a_threshold_is_chosen_by_the_years_before_and_judged_by_its_own() -> None:
    """The score says which days rise, but only above 70; in the last year it is the other way round."""
    dice = np.random.default_rng(12)
    count = MIN_SAMPLE + 2 * 366
    value = dice.uniform(0, 100, count)
    last = (dt.date(day(count - 1).year, 1, 1) - made.FIRST).days
    change = dice.normal(0, 0.005, count)
    change[2:] += np.where(value[:-2] > 70, 0.01, -0.01)
    change[last:] *= -1
    level = made.levels(np.exp(np.cumsum(change)))
    choices, after = walk_forward(scores(value.tolist()), level, [30.0, 70.0], horizon=63, cost=0.0)
    assert after is not None
    assert set(choices["threshold"]) == {70.0}
    final = choices.row(-1, named=True)
    assert final["in_sample"] > 3 > 0 > final["out_of_sample"]
    for row in choices.iter_rows(named=True):
        first_of_year = (dt.date(row["year"], 1, 1) - made.FIRST).days
        # day 0 has no return; the last of the sample lies 63 sessions before the last of the year before
        assert (row["sample_from"], row["sample_to"]) == (day(1), day(first_of_year - 64))
    assert after.daily["session"].min() == dt.date(choices["year"][0], 1, 1)


def test_too_short_a_past_chooses_nothing() -> None:
    dice = np.random.default_rng(13)
    choices, after = walk_forward(scores([50.0] * 400), made.levels(made.walk(dice, 400)), [50.0], horizon=63)
    assert choices.is_empty()
    assert choices.columns == ["year", "threshold", "sample_from", "sample_to", "in_sample", "out_of_sample"]
    assert after is None


def test_plans_are_what_they_say() -> None:
    assert (LONG_FLAT.base, LONG_FLAT.bought, LONG_FLAT.hold) == (0.0, 1.0, 63)
    assert UNTIL_TOLD.hold is None
    assert OVERLAY.bought - OVERLAY.base == pytest.approx(OVERLAY.base - OVERLAY.sold) == pytest.approx(0.2)
