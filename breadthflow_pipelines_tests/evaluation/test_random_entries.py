"""Random entries: as often, for as long, each as likely."""

from itertools import groupby

import numpy as np
import polars as pl
import pytest

from breadthflow_pipelines.evaluation import random_entries as random_entries_module
from breadthflow_pipelines.evaluation.backtest import Plan, backtest
from breadthflow_pipelines.evaluation.figures import figures, net
from breadthflow_pipelines.evaluation.random_entries import RANDOM_RUNS, SEED, chance, random_entries
from breadthflow_pipelines_tests.evaluation import made


def whole(weight: np.ndarray, runs: int, seed: int, base: float = 0.0) -> np.ndarray:
    """The weight of each run on every session."""
    found = random_entries(weight, base, runs, seed)
    assert found is not None
    weights = np.full((runs, len(weight)), base)
    for run, starts, stretches in zip(weights, found.start, found.stretch, strict=True):
        for start, stretch in zip(starts, stretches, strict=True):
            held = weight[found.first[stretch] : found.end[stretch]]
            assert (run[max(0, start - 1) : start + len(held) + 1] == base).all()  # a session at least lies between
            run[start : start + len(held)] = held
    return weights


def test_random_entries_go_as_often_and_for_as_long() -> None:
    weight = np.array([0, 0, 1, 1, 0, 0, 0, 0.5, 0, 0, 1, 1, 1, 0, 0, 0], dtype=float)

    def stretches(run: np.ndarray) -> list[tuple[float, int]]:
        found = [(value, len(list(same))) for value, same in groupby(run.tolist())]
        return sorted(pair for pair in found if pair[0])

    runs = whole(weight, 4_000, 1)
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
    runs = whole(np.array([1.0, 0, 0, 1.0, 0]), 6_000, 2)
    found = [tuple(np.flatnonzero(run).tolist()) for run in runs]
    counts = {one: found.count(one) for one in set(found)}
    assert set(counts) == {(0, 2), (0, 3), (0, 4), (1, 3), (1, 4), (2, 4)}
    assert all(count == pytest.approx(1_000, abs=4 * 29) for count in counts.values())


@pytest.mark.parametrize("weight", [[0.0] * 9, [1.0] * 9])  # never there, never away
def test_without_a_choice_there_is_no_chance(weight: list[float]) -> None:
    assert random_entries(np.array(weight), 0.0, 10, 1) is None


@pytest.mark.parametrize("block", [random_entries_module.BLOCK, 700])  # all runs at once, or some
@pytest.mark.parametrize(("base", "rate"), [(0.0, 0.0), (1.0, 0.0), (0.0, 2.0), (0.6, 2.0)])
def test_the_figures_of_runs_are_those_of_portfolios(
    base: float, rate: float, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where sessions on which nothing is held are left out, and where a stretch reaches either end."""
    monkeypatch.setattr(random_entries_module, "BLOCK", block)
    dice = np.random.default_rng(12)
    market, cash = dice.normal(0, 0.02, 40), np.full(40, rate / 25_200)
    weight = np.full(40, base)
    weight[3:9], weight[20:24], weight[30], weight[33:36] = 0.3, 0.9, 0.3, (0.3, 0.3, 0.8)
    daily = pl.DataFrame({"market": market, "cash": cash, "weight": weight})
    got = {row["figure"]: row for row in chance(daily, base, 10.0).iter_rows(named=True)}
    runs = whole(weight, RANDOM_RUNS, SEED, base)
    assert any(run[0] != base for run in runs)
    assert any(run[-1] != base for run in runs)
    days = pl.Series([made.day(i) for i in range(40)])
    of = [figures(net(run, market, cash, 10.0), cash, days) for run in runs]
    own = figures(net(weight, market, cash, 10.0), cash, days)
    for name, row in got.items():
        values = [one[name] for one in of]
        assert row["rule"] == pytest.approx(own[name], abs=1e-12)
        expected = np.quantile(values, [0.05, 0.5, 0.95])
        assert [row["p05"], row["median"], row["p95"]] == pytest.approx(expected, abs=1e-12)
        as_good = sum(value >= own[name] - 1e-12 for value in values)  # some are the rule's own, but for rounding
        assert row["share_as_good"] == (1 + as_good) / 1_001


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
