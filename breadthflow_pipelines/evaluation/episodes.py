"""How many independent things happened: events that belong together, and windows that do not overlap.

Twelve buys in one fortnight are one fact. Positions are numbers of sessions, in order.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from breadthflow_pipelines.signals.rules import EPISODE

Numbers = npt.NDArray[np.int64]


def episodes(numbers: Sequence[int] | Numbers, merge: int = EPISODE) -> Numbers:
    """Which episode each event belongs to, from 0. An event at most ``merge`` sessions after the one before joins it.

    Chained: an episode lasts for as long as no month is quiet.
    """
    at = np.asarray(numbers, dtype=np.int64)
    return np.concatenate([[0], np.cumsum(np.diff(at) > merge)]).astype(np.int64)[: len(at)]


def episode_count(numbers: Sequence[int] | Numbers, merge: int = EPISODE) -> int:
    """How many episodes there are."""
    return int(np.count_nonzero(np.diff(numbers) > merge)) + 1 if len(numbers) else 0


def effective_n(numbers: Sequence[int] | Numbers, horizon: int) -> int:
    """How many windows of ``horizon`` sessions, one from each event taken, fit without overlapping.

    Taken greedily from the first event on, which is the most that fit. What the overlapping ones add is dependent
    (Jegadeesh and Karceski, Long-run performance evaluation, 2009).
    """
    taken, free = 0, -np.inf
    for number in np.asarray(numbers).tolist():
        if number >= free:
            taken, free = taken + 1, number + horizon
    return taken
