"""Recursions over many histories at once: averages and sums that never forget their first bar.

One history after the other, short ones cost more in calls than in figures. Here all of them take a step together, from
bar to bar, the longest first, so that those which still have a bar are always the first ones. Which recursions there
are, and what they are made of: technical.py.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl

STATE = "_state"  # a column of it: what a recursion was on the bar from which the frame goes on
ROW = "row"  # the number of that bar in the frame

_Floats = npt.NDArray[np.float64]
_Numbers = npt.NDArray[np.int64]


class Recursion(NamedTuple):
    """T' = T + alpha * (x - T); without alpha a running sum, T' = T + x.

    values: x, over rows in the order of by_history. On bar ``at`` T is the sum of the last ``window`` values through
    that bar over ``divisor``, and null before. A null adds nothing to that sum, and later leaves T as it is. In a frame
    that begins later than the history, T is its own state on the bar that goes on, and null before. seed_told: whether
    T is told on the bar ``at``. gaps: whether x may be null in that window or later.
    """

    values: pl.Expr
    at: int
    window: int
    divisor: int
    alpha: float | None
    seed_told: bool = True
    gaps: bool = False


class _Firsts(NamedTuple):
    """Where a recursion begins: the ``line`` of it, and for each history its rank, the bar, and T on that bar."""

    line: int
    rank: _Numbers
    bar: _Numbers
    value: _Floats


@dataclass(frozen=True)
class _Histories:
    """Where the rows of each history lie, and when they take their turn.

    start, length, rank: of each history: its first row, how many it has, its place among all by length, longest first.
    turn: of each row: its place in the order of bars, and of ranks within a bar. row: of such a place. alive: by bar,
    how many histories have it. resumed: the histories that go on from a state.
    """

    start: _Numbers
    length: _Numbers
    rank: _Numbers
    turn: _Numbers
    row: _Numbers
    alive: _Numbers
    resumed: _Numbers

    @classmethod
    def of(cls, bar: _Numbers, going_on: _Numbers) -> "_Histories":
        start = np.flatnonzero(bar == 0)
        length = np.diff(np.append(start, len(bar)))
        rank = np.empty_like(start)
        rank[np.argsort(-length, kind="stable")] = np.arange(len(start))
        alive = len(start) - np.cumsum(np.bincount(length))[:-1]
        turn = (np.cumsum(alive) - alive)[bar] + np.repeat(rank, length)
        row = np.empty_like(turn)
        row[turn] = np.arange(len(turn))
        return cls(start, length, rank, turn, row, alive, np.searchsorted(start, going_on, side="right") - 1)

    def seeded(self, bar: int) -> _Numbers:
        """The histories that reach this bar and do not go on from a state."""
        reach = self.length > bar
        reach[self.resumed] = False
        return np.flatnonzero(reach)


def followed(rows: pl.DataFrame, recursions: Mapping[str, Recursion], states: pl.DataFrame) -> pl.DataFrame:
    """The rows with a column (Float64) for each recursion.

    rows: in the order of by_history, with ``bar`` and what the values are made of. states: ROW and STATE columns, of at
    most one bar of a history.
    """
    bar, going_on = rows["bar"].to_numpy(), states[ROW].to_numpy()
    histories = _Histories.of(bar, going_on)
    values = rows.select(each.values.cast(pl.Float64).alias(name) for name, each in recursions.items())
    steps = np.empty((len(recursions), rows.height))
    firsts = []
    for line, (name, each) in enumerate(recursions.items()):
        known = values[name].to_numpy()
        known.take(histories.row, out=steps[line], mode="clip")  # nothing to clip; other modes copy once more
        begun = histories.seeded(each.at)
        seeds = _seeds(each, known, histories.start[begun] + each.at)
        firsts.append(_Firsts(line, histories.rank[begun], np.full(len(begun), each.at), seeds))
        firsts.append(_Firsts(line, histories.rank[histories.resumed], bar[going_on], states[name + STATE].to_numpy()))
    _run(steps, list(recursions.values()), histories.alive, _by_bar(firsts))
    for line, each in enumerate(recursions.values()):
        if not each.seed_told:
            steps[line, histories.turn[histories.start[histories.seeded(each.at)] + each.at]] = np.nan
    told = zip(recursions, steps, strict=True)
    return rows.with_columns(
        pl.Series(name, line.take(histories.turn, mode="clip"), nan_to_null=True) for name, line in told
    )


def _seeds(recursion: Recursion, values: _Floats, row: _Numbers) -> _Floats:
    """What the recursion is on each of these rows, on which it begins; values are added in their order."""
    total = np.zeros(len(row))
    for back in reversed(range(recursion.window)):
        value = values[row - back]
        total += np.nan_to_num(value) if recursion.gaps else value
    return total / recursion.divisor


def _by_bar(firsts: list[_Firsts]) -> dict[int, list[_Firsts]]:
    """What begins on each bar."""
    found: dict[int, list[_Firsts]] = {}
    for first in firsts:
        order = np.argsort(first.bar, kind="stable")
        bars, begins = np.unique(first.bar[order], return_index=True)
        for bar, of_bar in zip(bars.tolist(), np.split(order, begins)[1:], strict=True):
            found.setdefault(bar, []).append(
                _Firsts(first.line, first.rank[of_bar], first.bar[of_bar], first.value[of_bar])
            )
    return found


def _run(steps: _Floats, recursions: list[Recursion], alive: _Numbers, begin: Mapping[int, list[_Firsts]]) -> None:
    """Put in the place of every value, a line for each recursion, what the recursion is after it.

    alive: by bar, how many histories have it. begin: by bar.
    """
    alpha = np.array([[1.0 if each.alpha is None else each.alpha] for each in recursions])
    weight = np.array([[0.0 if each.alpha is None else 1.0] for each in recursions])  # of T in what is added to it
    gaps = any(each.gaps for each in recursions)
    now = np.full((len(steps), alive.max(initial=0)), np.nan)
    change, end = np.empty_like(now), 0
    for bar, many in enumerate(alive.tolist()):
        value, kept, step = steps[:, end : end + many], now[:, :many], change[:, :many]
        end += many
        np.multiply(kept, weight, out=step)
        np.subtract(value, step, out=step)
        np.multiply(step, alpha, out=step)
        if gaps:
            np.copyto(step, 0.0, where=np.isnan(value))
        np.add(kept, step, out=kept)
        for first in begin.get(bar, ()):
            kept[first.line, first.rank] = first.value
        value[...] = kept
