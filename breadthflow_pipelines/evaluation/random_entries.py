"""What random entries would have made of as many trades, of the same lengths and at the same cost."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from breadthflow_pipelines.evaluation.figures import BASIS, Floats, growth, max_drawdown, net, sharpe_ratio
from breadthflow_pipelines.evaluation.paths import Between, Paths, one_after_another
from breadthflow_pipelines.evaluation.returns import YEAR

RANDOM_RUNS = 1_000
SEED = 20_011
CHANCE_FIGURES = ("cagr", "sharpe", "max_drawdown")
BLOCK = 500_000  # stretches that are held in memory, about: of a long history, runs are followed some at a time
_ROUNDING = 1e-12

Numbers = npt.NDArray[np.int64]

_CHANCE_SCHEMA = {
    "figure": pl.String,
    **dict.fromkeys(("rule", "p05", "median", "p95", "share_as_good"), pl.Float64),
}


@dataclass(frozen=True)
class Entries:
    """Runs that leave the base as often and for as long as a rule did, at random times.

    first, end: sessions, of each stretch of the rule in which it holds something else than the base: its first, and the
    one after it. start: a row for each run: on which session each of its stretches begins, in order. stretch: of the
    same shape, which of the rule's it is.
    """

    first: Numbers
    end: Numbers
    start: Numbers
    stretch: Numbers


def chance(daily: pl.DataFrame, base: float, cost: float) -> pl.DataFrame:
    """Backtest.chance, of a rule's daily rows at a cost in basis points. base: the weight while nothing speaks."""
    market, cash, weight = (daily[name].to_numpy() for name in ("market", "cash", "weight"))
    runs = random_entries(weight, base, RANDOM_RUNS, SEED)
    if runs is None:
        return pl.DataFrame(schema=_CHANCE_SCHEMA)
    followed = _Followed(weight, base, market, cash, cost / BASIS)
    parts = [_figures(followed.of(runs, some), len(weight)) for some in _blocks(runs)]
    returns = net(weight, market, cash, cost)
    own = (growth(returns), sharpe_ratio(returns - cash) or 0.0, max_drawdown(returns))
    rows = []
    for name, rule, others in zip(CHANCE_FIGURES, own, np.hstack(parts), strict=True):
        low, median, high = np.quantile(others, (0.05, 0.5, 0.95))
        as_good = (1 + int((others >= rule - _ROUNDING).sum())) / (1 + len(others))
        rows.append((name, rule, low, median, high, as_good))
    return pl.DataFrame(rows, schema=_CHANCE_SCHEMA, orient="row")


def _blocks(runs: Entries) -> list[Numbers]:
    """The runs, so many at a time that their stretches fit into memory."""
    return np.array_split(np.arange(len(runs.start)), -(-runs.start.size // BLOCK))


def _figures(paths: Paths, length: int) -> Floats:
    """CHANCE_FIGURES of each. length: of how many sessions they are."""
    mean = paths.beyond / length
    spread = np.sqrt(np.maximum(paths.squares - length * mean**2, 0) / max(1, length - 1))
    sharpe = np.divide(mean * YEAR**0.5, spread, out=np.zeros_like(mean), where=spread > 0)
    return np.stack([paths.growth ** (YEAR / length) - 1, sharpe, paths.deepest - 1])


class _Followed:
    """What runs earn, after costs, as ``net`` has it: each stretch of the rule from any session on, and the base."""

    def __init__(self, weight: Floats, base: float, market: Floats, cash: Floats, rate: float) -> None:
        """rate: the cost of a turnover of 1."""
        self._weight, self._base, self._rate = weight, base, rate
        self._after, self._cash = np.append(market - cash, 0.0), np.append(cash, 0.0)  # nothing happens after the last
        quiet = base * self._after + self._cash
        quiet[0] -= abs(base) * rate  # what is held on the first session is bought for it
        self._quiet = Between(Paths.of(quiet, self._cash)) if quiet.any() else None

    def of(self, runs: Entries, some: Numbers) -> Paths:
        """Of some of the runs, one path each."""
        start, stretch = runs.start[some], runs.stretch[some]
        stretches = self._stretches(runs, start, stretch)
        end = start + (runs.end - runs.first)[stretch] + 1  # the session after each belongs to it
        return one_after_another(self._alternating(start, np.minimum(end, len(self._weight)), stretches), len(some))

    def _alternating(self, start: Numbers, end: Numbers, stretches: Paths) -> Iterator[Paths]:
        """The base and the stretches, in turn."""
        reached = np.zeros(len(start), np.int64)
        for place in range(start.shape[1]):
            if self._quiet is not None:
                yield self._quiet.of(reached, start[:, place])
            yield stretches[:, place]
            reached = end[:, place]
        if self._quiet is not None:
            yield self._quiet.of(reached, np.full(len(start), len(self._weight)))

    def _stretches(self, runs: Entries, start: Numbers, stretch: Numbers) -> Paths:
        """Of the shape of ``start``: what each stretch makes where it begins there."""
        found = Paths.still(*start.shape)
        kinds, of_kind = self._kinds(runs)
        kind = of_kind[stretch]
        before: tuple[float, ...] = ()
        paths = Paths.still(len(self._weight) + 1)
        for number, weights in enumerate(kinds):
            if before != weights[: len(before)]:
                before, paths = (), Paths.still(len(self._weight) + 1)
            for place in range(len(before), len(weights)):
                held = weights[place - 1] if place else self._base
                paths = self._with_session(paths, place, weights[place], held)
            before = weights
            places = np.nonzero(kind == number)
            whole = self._with_session(paths, len(weights), self._base, weights[-1])
            found.put(places, whole[start[places]])
        return found

    def _with_session(self, paths: Paths, place: int, weight: float, before: float) -> Paths:
        """Stretches from each session on, with one session more: its place in them, its weight and the one before."""
        sessions = slice(place, None)
        returns = weight * self._after[sessions] + self._cash[sessions] - abs(weight - before) * self._rate
        if place == 0:  # what is held on the first session is bought for it, from nothing
            returns[0] += (abs(weight - before) - abs(weight)) * self._rate
        returns[-1] = 0.0  # a stretch that reaches the end is not sold
        return paths[: len(returns)].then(Paths.of(returns, self._cash[sessions]))

    def _kinds(self, runs: Entries) -> tuple[list[tuple[float, ...]], Numbers]:
        """The rule's stretches that differ, as weights, each after those it begins with; and which each of them is."""
        all_weights = [tuple(self._weight[first:end]) for first, end in zip(runs.first, runs.end, strict=True)]
        kinds = sorted(set(all_weights))
        number = {weights: place for place, weights in enumerate(kinds)}
        return kinds, np.array([number[weights] for weights in all_weights])


def random_entries(weight: Floats, base: float, runs: int, seed: int) -> Entries | None:
    """Runs that leave the base as often and for as long as these weights, in another order and at other times.

    Every order of the stretches, and every way to part the sessions at the base between them, at least one each, is as
    likely. Each change of weight comes back, so that the cost does too, but for a stretch that falls on either end.
    None where there is no stretch, or nothing else.
    """
    away = weight != base
    edges = np.flatnonzero(np.diff(np.concatenate([[False], away, [False]]).astype(np.int8)))
    first, end = edges[::2], edges[1::2]
    number = len(first)
    free = int((~away).sum()) - (number - 1)
    if not number or free <= 0:
        return None
    dice = np.random.default_rng(seed)
    # Stars and bars: the places of the bars among the free sessions are a sample without replacement.
    bars = _samples(dice, free + number, number, runs)
    order = dice.permuted(np.tile(np.arange(number), (runs, 1)), axis=1)
    taken = (end - first)[order] + 1  # with the session after it
    # Before a stretch: the free sessions, the stretches before it, and one session after each of those.
    start = bars - np.arange(number) + np.cumsum(taken, axis=1) - taken
    return Entries(first, end, start, order)


def _samples(dice: np.random.Generator, among: int, size: int, count: int) -> Numbers:
    """Samples without replacement of this size from range(among), a sorted row for each (Floyd, in Bentley 1987)."""
    drawn = np.full((count, size), -1)
    for taken, last in enumerate(range(among - size, among)):
        new = dice.integers(0, last + 1, count)
        drawn[:, taken] = np.where((drawn[:, :taken] == new[:, None]).any(axis=1), last, new)
    return np.sort(drawn, axis=1)
