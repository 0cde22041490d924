"""Figures equal quantstats'; the days of the deepest fall by hand."""

import numpy as np
import pandas as pd
import polars as pl
import pytest
import quantstats.stats as qs

from breadthflow_pipelines.evaluation.figures import FIGURES, figures
from breadthflow_pipelines_tests.evaluation.made import day

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
    got = figures(returns, np.zeros(len(returns)), pl.Series([stamp.date() for stamp in days]))
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


def test_days_in_cash_are_neither_up_nor_down() -> None:
    cash = np.full(6, 0.0001)
    returns = np.array([0.0001, 0.02, -0.01, 0.0001, 0.00005, 0.0001])  # in the market on three of six days
    got = figures(returns, cash, pl.Series([day(i) for i in range(6)]))
    assert got["hit_rate"] == pytest.approx(1 / 3)
    assert got["profit_factor"] == pytest.approx(0.0199 / (0.0101 + 0.00005))


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
    got = figures(np.array(returns), np.zeros(len(returns)), pl.Series([day(i) for i in range(len(returns))]))
    expected = [None if number is None else day(number) for number in (peak, trough, recovered)]
    assert [got[f"{name}_session"] for name in ("peak", "trough", "recovered")] == expected
