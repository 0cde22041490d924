"""What random entries would have made of as many trades, of the same lengths and at the same cost."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from breadthflow_pipelines.evaluation.figures import BASIS, Floats, net
from breadthflow_pipelines.evaluation.returns import YEAR

RANDOM_RUNS = 1_000
SEED = 20_011
CHANCE_FIGURES = ("cagr", "sharpe", "max_drawdown")
BLOCK = 1_000_000  # numbers in an array, about: runs of a long history are followed some at a time
_ROUNDING = 1e-12

Numbers = npt.NDArray[np.int64]

_CHANCE_SCHEMA = {
    "figure": pl.String,
    **dict.fromkeys(("rule", "p05", "median", "p95", "share_as_good"), pl.Float64),
}


@dataclass(frozen=True)
class Entries:
    """Runs that leave the base as often and for as long as a rule did, at random times.

    session: a row for each run: the sessions on which it holds something else than the base, and the one after each
    such stretch, in order. A session of ``length`` lies after the last one. source: of the same shape, the session of
    the rule whose weight it has there. held: the rule's weights, and the base after the last of them.
    """

    session: Numbers
    source: Numbers
    held: Floats
    base: float

    @property
    def length(self) -> int:
        """How many sessions there are."""
        return len(self.held) - 1

    def whole(self) -> Floats:
        """The weight on every session."""
        return self.everywhere(np.full(self.length, self.base), self.held[self.source])

    def everywhere(self, quiet: Floats, values: Floats) -> Floats:
        """A row for each run: these values on its sessions, and on all others what they have in ``quiet``."""
        found = np.empty((len(self.session), self.length + 1))
        found[:, :-1] = quiet
        np.put_along_axis(found, self.session, values, axis=1)
        return found[:, :-1]


def chance(daily: pl.DataFrame, base: float, cost: float) -> pl.DataFrame:
    """Backtest.chance, of a rule's daily rows at a cost in basis points. base: the weight while nothing speaks."""
    market, cash, weight = (daily[name].to_numpy() for name in ("market", "cash", "weight"))
    # Sessions on which nothing is held and cash earns nothing need not be looked at.
    everywhere = bool(base) or bool(cash.any())
    runs = random_entries(weight, base, RANDOM_RUNS, SEED, everywhere=everywhere)
    parts = [_three(_returns(some, market, cash, cost, everywhere), cash, len(weight)) for some in runs]
    if not parts:
        return pl.DataFrame(schema=_CHANCE_SCHEMA)
    own = _three(net(weight[None], market, cash, cost), cash, len(weight))
    rows = []
    for name, [rule], others in zip(CHANCE_FIGURES, own, np.hstack(parts), strict=True):
        low, median, high = np.quantile(others, (0.05, 0.5, 0.95))
        as_good = (1 + int((others >= rule - _ROUNDING).sum())) / (1 + len(others))
        rows.append((name, rule, low, median, high, as_good))
    return pl.DataFrame(rows, schema=_CHANCE_SCHEMA, orient="row")


def _returns(runs: Entries, market: Floats, cash: Floats, cost: float, everywhere: bool) -> Floats:
    """The returns of each run, as ``net`` gives them, on every session or on its own. Each array is filled once."""
    rate = cost / BASIS
    after = np.append(market - cash, 0.0)
    paid = (np.abs(np.diff(runs.held, prepend=runs.base)) * rate).take(runs.source)
    found = runs.held.take(runs.source)
    # What is held on the first session is bought for it.
    paid[:, 0] = np.where(runs.session[:, 0] == 0, np.abs(found[:, 0]) * rate, paid[:, 0])
    found *= after.take(runs.session)
    if everywhere:
        found += np.append(cash, 0.0).take(runs.session)
        found -= paid
        quiet = runs.base * after[:-1] + cash
        quiet[0] -= abs(runs.base) * rate
        return runs.everywhere(quiet, found)
    found -= paid
    found[runs.session[:, -1] == runs.length, -1] = 0.0  # a stretch that reaches the end is not sold
    return found


def _three(returns: Floats, cash: Floats, length: int) -> Floats:
    """CHANCE_FIGURES of each row of returns, of which those of zero may be left out. length: how many there are."""
    beyond = returns - cash if cash.any() else returns
    mean = beyond.sum(axis=1) / length
    spread = np.sqrt(np.maximum(np.einsum("ij,ij->i", beyond, beyond) - length * mean**2, 0) / max(1, length - 1))
    sharpe = np.divide(mean * YEAR**0.5, spread, out=np.zeros_like(mean), where=spread > 0)
    steps = np.ascontiguousarray(returns.T)
    steps += 1
    # How far wealth is below its peak, all runs at once: session by session, but with the runs as one vector.
    peak, depth, deepest = (np.ones(len(returns)) for _ in range(3))
    for step in steps:
        np.multiply(depth, step, out=depth)
        np.minimum(depth, peak, out=depth)
        np.minimum(deepest, depth, out=deepest)
    return np.stack([steps.prod(axis=0) ** (YEAR / length) - 1, sharpe, deepest - 1])


def random_entries(weight: Floats, base: float, runs: int, seed: int, *, everywhere: bool = True) -> Iterator[Entries]:
    """Runs that leave the base as often and for as long as these weights, in another order and at other times.

    Every order of the stretches, and every way to part the sessions at the base between them, at least one each, is as
    likely. Each change of weight comes back, so that the cost does too, but for a stretch that falls on either end.
    In blocks, smaller where they are to be followed ``everywhere``; nothing where there is no stretch, or nothing else.
    """
    away = weight != base
    edges = np.flatnonzero(np.diff(np.concatenate([[False], away, [False]]).astype(np.int8)))
    origin, lengths = edges[::2], edges[1::2] - edges[::2]
    number = len(origin)
    free = int((~away).sum()) - (number - 1)
    if not number or free <= 0:
        return
    dice = np.random.default_rng(seed)
    held = np.append(weight, base)
    # Stars and bars: the places of the bars among the free sessions are a sample without replacement.
    all_bars = _samples(dice, free + number, number, runs)
    orders = dice.permuted(np.tile(np.arange(number), (runs, 1)), axis=1)
    size = len(weight) if everywhere else int(lengths.sum()) + number
    for part in np.array_split(np.arange(runs), -(-runs * size // BLOCK)):
        bars, order = all_bars[part], orders[part]
        taken = lengths[order] + 1  # with the session after it
        # Before a stretch: the free sessions, the stretches before it, and one session after each of those.
        start = bars - np.arange(number) + np.cumsum(taken, axis=1) - taken
        begun = origin[order]
        flat = taken.ravel()
        source = np.arange(int(flat.sum()))
        source += np.repeat(begun.ravel() - (np.cumsum(flat) - flat), flat)
        session = np.repeat((start - begun).ravel(), flat)
        session += source
        yield Entries(session.reshape(len(part), -1), source.reshape(len(part), -1), held, base)


def _samples(dice: np.random.Generator, among: int, size: int, count: int) -> Numbers:
    """Samples without replacement of this size from range(among), a sorted row for each (Floyd, in Bentley 1987)."""
    drawn = np.full((count, size), -1)
    for taken, last in enumerate(range(among - size, among)):
        new = dice.integers(0, last + 1, count)
        drawn[:, taken] = np.where((drawn[:, :taken] == new[:, None]).any(axis=1), last, new)
    return np.sort(drawn, axis=1)
