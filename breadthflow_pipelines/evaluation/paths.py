"""Wealth over stretches of sessions: as much of its course as says how it grew, how it varied and how deep it fell.

Two stretches, one after the other, are again one, whatever their sessions were. So the figures of many long runs come
from those of the parts that they share. Numbers in, numbers out.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt

from breadthflow_pipelines.evaluation.figures import Floats

Places = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Paths:
    """Many stretches, an array of one shape for each figure.

    beyond, squares: the sums of what the sessions earned beyond cash, and of its squares. growth: what wealth becomes,
    from 1. lowest: its lowest on the way, 1 or less. below: its last by its highest, 1 or less; deepest: the least that
    this was on the way.
    """

    beyond: Floats
    squares: Floats
    growth: Floats
    lowest: Floats
    below: Floats
    deepest: Floats

    @classmethod
    def still(cls, *shape: int) -> Paths:
        """Stretches without a session."""
        return cls(*(np.full(shape, value) for value in (0.0, 0.0, 1.0, 1.0, 1.0, 1.0)))

    @classmethod
    def of(cls, returns: Floats, cash: Floats) -> Paths:
        """Stretches of one session each, from what they returned and what cash did."""
        beyond, step = returns - cash, 1 + returns
        fallen = np.minimum(step, 1)
        return cls(beyond, beyond**2, step, fallen, fallen, fallen)

    def then(self, later: Paths) -> Paths:
        """Each stretch with another one after it."""
        return Paths(
            beyond=self.beyond + later.beyond,
            squares=self.squares + later.squares,
            growth=self.growth * later.growth,
            lowest=np.minimum(self.lowest, self.growth * later.lowest),
            # The highest lies in the later stretch, or before it.
            below=np.minimum(self.below * later.growth, later.below),
            deepest=np.minimum(np.minimum(self.deepest, self.below * later.lowest), later.deepest),
        )

    def __getitem__(self, places: slice | Places | tuple[slice, int]) -> Paths:
        return Paths(*(values[places] for values in self._figures()))

    def and_one_more(self, other: Paths) -> Paths:
        """With other stretches at the end."""
        return Paths(*map(np.append, self._figures(), other._figures()))

    def put(self, places: tuple[Places, ...], paths: Paths) -> None:
        """Write other stretches over those at these places."""
        for mine, others in zip(self._figures(), paths._figures(), strict=True):
            mine[places] = others

    def _figures(self) -> tuple[Floats, ...]:
        return tuple(getattr(self, field.name) for field in fields(self))


class Between:
    """The stretch between any two sessions, of sessions that are known one by one."""

    def __init__(self, sessions: Paths) -> None:
        """sessions: one stretch for each session, in order."""
        self._doubled: list[Paths] = []  # of 1, 2, 4, ... sessions, from each on; the last one of each has none
        paths, step = sessions, 1
        while len(paths.growth):
            self._doubled.append(paths.and_one_more(Paths.still(1)))
            paths = paths[: max(0, len(paths.growth) - step)].then(paths[step:])
            step *= 2

    def of(self, first: Places, end: Places) -> Paths:
        """From each first session through the one before the end."""
        found, length, at = Paths.still(len(first)), end - first, first
        for power, paths in enumerate(self._doubled):
            wanted = (length >> power) & 1
            found = found.then(paths[np.where(wanted, at, -1)])
            at = at + (wanted << power)
        return found


def one_after_another(parts: Iterable[Paths], length: int) -> Paths:
    """All of these in their order, each of so many stretches."""
    whole = Paths.still(length)
    for part in parts:
        whole = whole.then(part)
    return whole
