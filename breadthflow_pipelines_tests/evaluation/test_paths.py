"""Stretches that are put together have the figures that their sessions give one by one."""

import numpy as np
import pytest

from breadthflow_pipelines.evaluation.paths import Between, Paths, one_after_another

CASH = 0.0001
RETURNS = np.append(np.random.default_rng(3).normal(0, 0.05, 21), [-1.0, 0.3])  # the last but one loses everything


def by_hand(returns: np.ndarray) -> list[float]:
    """beyond, squares, growth, lowest, below, deepest."""
    wealth = np.concatenate([[1.0], np.cumprod(1 + returns)])
    falls = wealth / np.maximum.accumulate(wealth)
    beyond = returns - CASH
    return [beyond.sum(), (beyond**2).sum(), wealth[-1], wealth.min(), falls[-1], falls.min()]


def figures(paths: Paths) -> np.ndarray:
    return np.stack([paths.beyond, paths.squares, paths.growth, paths.lowest, paths.below, paths.deepest], axis=-1)


@pytest.mark.parametrize("length", [1, 2, 7, 8, 23])
def test_the_stretch_between_any_two_sessions_is_what_they_make(length: int) -> None:
    returns = RETURNS[-length:]
    between = Between(Paths.of(returns, np.full(length, CASH)))
    ends = [(first, end) for first in range(length + 1) for end in range(first, length + 1)]
    first, end = (np.array(side) for side in zip(*ends, strict=True))
    expected = [by_hand(returns[i:j]) for i, j in ends]
    assert figures(between.of(first, end)) == pytest.approx(np.array(expected), abs=1e-14)


def test_stretches_in_their_order_are_one() -> None:
    parts = [Paths.of(np.array([value, -value]), np.full(2, CASH)) for value in RETURNS[:9]]
    expected = [by_hand(RETURNS[:9]), by_hand(-RETURNS[:9])]
    assert figures(one_after_another(parts, 2)) == pytest.approx(np.array(expected), abs=1e-14)
    assert figures(one_after_another([], 1)) == pytest.approx(np.array([by_hand(RETURNS[:0])]))
