from itertools import pairwise

import numpy as np
import pytest

from breadthflow_pipelines.evaluation.episodes import effective_n, episode_count, episodes


@pytest.mark.parametrize(
    ("numbers", "expected"),
    [
        ([], []),  # nothing happened
        ([7], [0]),
        ([0, 20], [0, 0]),  # closer than 21 sessions, a month
        ([0, 21], [0, 1]),  # a month apart
        ([0, 15, 30, 45], [0, 0, 0, 0]),  # chained: no month was quiet
        ([0, 1, 50, 51, 100], [0, 0, 1, 1, 2]),
    ],
)
def test_events_of_a_month_are_one_episode(numbers: list[int], expected: list[int]) -> None:
    assert episodes(numbers).tolist() == expected
    assert episode_count(numbers) == len(set(expected))


@pytest.mark.parametrize(
    ("numbers", "horizon", "expected"),
    [
        ([], 5, 0),
        ([3], 252, 1),
        ([0, 5], 5, 2),  # the second begins where the first ends
        ([0, 4], 5, 1),
        ([0, 4, 5, 9, 10], 5, 3),  # 0, 5, 10
        (list(range(252)), 252, 1),  # a year of days is one year
    ],
)
def test_windows_that_do_not_overlap(numbers: list[int], horizon: int, expected: int) -> None:
    assert effective_n(np.array(numbers), horizon) == expected


def test_no_choice_of_windows_is_larger() -> None:
    dice = np.random.default_rng(1)
    for _ in range(50):
        numbers = np.flatnonzero(dice.random(14) < 0.5).tolist()
        best = max(
            (bin(chosen).count("1") for chosen in range(2 ** len(numbers)) if _apart(numbers, chosen, 3)), default=0
        )
        assert effective_n(numbers, 3) == best


def _apart(numbers: list[int], chosen: int, horizon: int) -> bool:
    taken = [number for i, number in enumerate(numbers) if chosen >> i & 1]
    return all(later - earlier >= horizon for earlier, later in pairwise(taken))
