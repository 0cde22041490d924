"""What random entries would have made of as many trades, of the same lengths and at the same cost."""

from collections.abc import Iterator

import numpy as np
import polars as pl

from breadthflow_pipelines.evaluation.figures import Floats, growth, max_drawdown, net, sharpe_ratio

RANDOM_RUNS = 1_000
SEED = 20_011

_CHANCE_SCHEMA = {
    "figure": pl.String,
    **dict.fromkeys(("rule", "p05", "median", "p95", "share_as_good"), pl.Float64),
}


def chance(daily: pl.DataFrame, base: float, cost: float) -> pl.DataFrame:
    """Backtest.chance, of a rule's daily rows at a cost in basis points. base: the weight while nothing speaks."""
    market, cash, weight = (daily[name].to_numpy() for name in ("market", "cash", "weight"))
    runs = [_three(net(one, market, cash, cost), cash) for one in random_entries(weight, base, RANDOM_RUNS, SEED)]
    own = _three(net(weight, market, cash, cost), cash)
    rows = []
    for name, rule, *others in zip(("cagr", "sharpe", "max_drawdown"), own, *runs, strict=True):
        if others:
            low, median, high = np.quantile(others, (0.05, 0.5, 0.95))
            as_good = (1 + sum(other >= rule for other in others)) / (1 + len(others))
            rows.append((name, rule, low, median, high, as_good))
    return pl.DataFrame(rows, schema=_CHANCE_SCHEMA, orient="row")


def _three(returns: Floats, cash: Floats) -> tuple[float, float, float]:
    return growth(returns), sharpe_ratio(returns - cash) or 0.0, max_drawdown(returns)


def random_entries(weight: Floats, base: float, runs: int, seed: int) -> Iterator[Floats]:
    """Weights that leave the base as often and for as long as these, in another order and at other times.

    Every order of the stretches, and every way to part the sessions at the base between them, at least one each, is as
    likely. Each change of weight comes back, so that the cost does too, but for a stretch that falls on either end.
    Nothing where there is no stretch, or nothing else.
    """
    away = weight != base
    edges = np.flatnonzero(np.diff(np.concatenate([[False], away, [False]]).astype(np.int8)))
    stretches = [weight[start:stop] for start, stop in edges.reshape(-1, 2)]
    free = int((~away).sum()) - (len(stretches) - 1)
    if not stretches or free <= 0:
        return
    dice = np.random.default_rng(seed)
    for _ in range(runs):
        # Stars and bars: the places of the bars among the free sessions are a sample without replacement.
        bars = np.sort(dice.choice(free + len(stretches), len(stretches), replace=False))
        gaps = np.diff(bars, prepend=-1, append=free + len(stretches)) - 1
        gaps[1:-1] += 1
        parts = [np.full(gaps[0], base)]
        for place, gap in zip(dice.permutation(len(stretches)), gaps[1:], strict=True):
            parts += [stretches[place], np.full(gap, base)]
        yield np.concatenate(parts)
