"""Means and extremes of windows equal their brute-force twins, also where the column is shorter than the window."""

import math
import statistics

import numpy as np
import pytest

from breadthflow_pipelines.indicators.windows import (
    greatest,
    known,
    least,
    means,
    prior_greatest,
    prior_least,
    squares,
)

LENGTHS = (1, 2, 3, 20, 64, 252)
VALUES = np.array([30 + 10 * math.sin(i) + i % 7 for i in range(400)])


@pytest.mark.parametrize("rows", [0, 1, 19, 20, 21, 400])  # around a window's length, and none at all
def test_every_window_is_its_twin(rows: int) -> None:
    column = VALUES[:rows]
    found = (means(column, LENGTHS), prior_greatest(column, LENGTHS), prior_least(column, LENGTHS))
    for length, mean, high_before, low_before in zip(LENGTHS, *found, strict=True):
        high, low, squared = greatest(column, length), least(column, length), squares(column, length)
        for row in range(rows):
            own, prior = column[row + 1 - length : row + 1], column[row - length : row]
            if row + 1 < length:
                assert not any(known(each)[row] for each in (mean, high, low, squared))
            else:
                assert mean[row] == pytest.approx(statistics.fmean(own), rel=1e-12)
                assert (high[row], low[row]) == (max(own), min(own))
                assert squared[row] == pytest.approx(statistics.pvariance(own) * length, rel=1e-12, abs=1e-12)
            if row < length:
                assert not known(high_before)[row]
                assert not known(low_before)[row]
            else:
                assert (high_before[row], low_before[row]) == (max(prior), min(prior))


def test_what_is_missing_is_missing_in_each_window_that_it_lies_in_and_in_no_other() -> None:
    column = VALUES[:10].copy()
    column[4] = np.nan
    (before,) = prior_greatest(column, (3,))
    assert known(before).tolist() == [False] * 3 + [True] * 2 + [False] * 3 + [True] * 2


def test_windows_do_not_depend_on_those_beside_them() -> None:
    for length, mean in zip(LENGTHS, means(VALUES, LENGTHS), strict=True):
        assert np.array_equal(mean, means(VALUES, (length,))[0], equal_nan=True)
