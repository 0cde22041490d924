"""Means and extremes of moving windows over whole columns, by blocks that are doubled. What they are for: price.py.

Windows of all lengths share their blocks, so that five means cost little more than one. No value depends on rows
outside its window.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]


def means(values: Numbers, windows: Sequence[int]) -> list[Numbers]:
    """The mean of each row and the ``window - 1`` before it, for each of these windows; NaN until they exist.

    The order of the additions depends on the window alone: blocks of 1, 2, 4, ... rows are built by doubling, and those
    that make up the window are added, for 200 rows blocks of 8, 64 and 128. A running sum keeps rounding errors of
    earlier rows, so that its last bits depend on where the frame begins.
    """
    totals = [np.zeros_like(values) for _ in windows]
    block, size = values, 1
    while size <= max(windows):
        for total, window in zip(totals, windows, strict=True):
            if window & size:
                smaller = window & (size - 1)  # rows of the blocks that are in the sum already
                total[smaller:] += block[: max(0, len(block) - smaller)]
                total[:smaller] = np.nan
        block, size = _with_earlier(np.add, block, size), 2 * size
    for total, window in zip(totals, windows, strict=True):
        total *= 1 / window
    return totals


def prior_greatest(values: Numbers, windows: Sequence[int]) -> list[Numbers]:
    """The greatest of the rows before each, as many as each window has; NaN where one of them is, or is missing.

    windows: in ascending order.
    """
    return _prior(values, windows, np.maximum)


def prior_least(values: Numbers, windows: Sequence[int]) -> list[Numbers]:
    """The least of them."""
    return _prior(values, windows, np.minimum)


def greatest(values: Numbers, window: int) -> Numbers:
    """The greatest of each row and the ``window - 1`` before it; NaN where one of them is, or is missing."""
    return _extreme(values, window, np.maximum)


def least(values: Numbers, window: int) -> Numbers:
    """The least of them."""
    return _extreme(values, window, np.minimum)


def squares(values: Numbers, window: int) -> Numbers:
    """Sum of the squared deviations from their mean of each row and the ``window - 1`` before it; NaN as in greatest.

    Blocks are put together by Chan, Golub and LeVeque (Updating Formulae and a Pairwise Algorithm for Computing Sample
    Variances, 1979), so that nothing cancels: values that are all the same give 0.
    """
    block = _Block(1, values, np.zeros_like(values))
    taken: _Block | None = None
    while block.rows <= window:
        if window & block.rows:
            taken = block if taken is None else _joined(block, taken)
        block = _joined(block, block)
    if taken is None:
        raise ValueError(f"a window of {window} rows has no squares; take one of at least 1")
    return taken.squared


def known(values: Numbers) -> NDArray[np.bool_]:
    """Whether each is a number."""
    return ~np.isnan(values)


def _prior(values: Numbers, windows: Sequence[int], further: np.ufunc) -> list[Numbers]:
    """Two blocks of the largest power of two that fits make up a window: an extreme may be looked at twice."""
    found, block, size = [], values, 1
    for window in windows:
        while 2 * size <= window:
            block, size = _with_earlier(further, block, size), 2 * size
        prior = np.empty_like(values)
        prior[:1] = np.nan
        prior[1:] = _with_earlier(further, block, window - size)[:-1]
        found.append(prior)
    return found


def _extreme(values: Numbers, window: int, further: np.ufunc) -> Numbers:
    block, size = values, 1
    while 2 * size <= window:
        block, size = _with_earlier(further, block, size), 2 * size
    return _with_earlier(further, block, window - size) if window > size else block


class _Block(NamedTuple):
    """Of a window that ends on each row: how many rows it has, their mean, the sum of their squared deviations."""

    rows: int
    mean: Numbers
    squared: Numbers


def _joined(earlier: _Block, later: _Block) -> _Block:
    """Blocks that follow each other, as one."""
    rows, shift = earlier.rows + later.rows, later.rows
    before = slice(max(0, len(later.mean) - shift))
    mean, squared = np.full_like(later.mean, np.nan), np.full_like(later.mean, np.nan)
    apart = later.mean[shift:] - earlier.mean[before]
    np.add(earlier.squared[before], later.squared[shift:], out=squared[shift:])
    squared[shift:] += apart * apart * (earlier.rows * later.rows / rows)
    apart *= later.rows / rows
    np.add(earlier.mean[before], apart, out=mean[shift:])
    return _Block(rows, mean, squared)


def _with_earlier(join: np.ufunc, block: Numbers, rows: int) -> Numbers:
    """Each row joined with the one that many rows before; NaN where there is none."""
    joined = np.empty_like(block)
    joined[:rows] = np.nan
    join(block[rows:], block[: max(0, len(block) - rows)], out=joined[rows:])
    return joined
