import numpy as np
import pytest

from breadthflow_pipelines.evaluation import rotation


@pytest.mark.parametrize("length", [1, 2, 97, 360])  # a prime length has no fast transform of its own
def test_all_rotations_are_those_of_a_loop(length: int) -> None:
    dice = np.random.default_rng(length)
    events, values = dice.random(length) < 0.3, dice.normal(size=(2, length))
    got = rotation.rotated_sums(events, values)
    for shift in range(length):
        for row in (0, 1):
            told = sum(values[row][(place + shift) % length] for place in np.flatnonzero(events))
            assert got[row][shift] == pytest.approx(told, abs=1e-9)


@pytest.mark.parametrize(
    ("sums", "p"),
    [
        ([3.0, 1.0, 2.0, 0.0], 1 / 4),  # only itself is as high
        ([3.0, 3.0, 2.0, 3.0], 3 / 4),  # ties count against it
        ([0.0, 1.0, 2.0, 3.0], 1.0),
        ([3.0, 3.0 + 1e-12, 0.0, 0.0], 2 / 4),  # what the transform adds does not decide
    ],
)
def test_the_share_of_rotations_as_high(sums: list[float], p: float) -> None:
    assert rotation.share_as_high(np.array(sums)) == p


def test_the_p_value_of_noise_is_uniform() -> None:
    dice = np.random.default_rng(8)
    found = []
    for _ in range(400):
        values = np.convolve(dice.normal(size=420), np.ones(21), "valid")  # windows of 21 that overlap
        events = np.zeros(len(values), dtype=bool)
        for start in dice.choice(len(values) - 10, 6, replace=False):
            events[start : start + 8] = True  # and events that cluster
        found.append(rotation.share_as_high(rotation.rotated_sums(events, values)))
    for level in (0.05, 0.25, 0.5, 0.75):
        assert np.mean(np.array(found) <= level) == pytest.approx(level, abs=3 * (level * (1 - level) / 400) ** 0.5)


def test_scores_are_studentised_and_still_ones_are_nought() -> None:
    assert rotation.studentised(np.array([1.0, 2.0, 3.0])).tolist() == pytest.approx([-(1.5**0.5), 0, 1.5**0.5])
    assert rotation.studentised(np.full(7, 0.1) * 3).tolist() == [0.0] * 7


def test_all_members_are_turned_alike_and_no_turn_is_left_out() -> None:
    turns = rotation.family_draws(20_000, seed=1)
    assert (turns == rotation.family_draws(20_000, seed=1)).all()
    short, long = rotation.drawn(np.arange(100.0), turns), rotation.drawn(np.arange(1000.0), turns)
    assert (long // 10 == short).all()  # the same part of each circle
    assert set(short) == set(range(100))
    assert np.bincount(short.astype(int)).std() < 25  # each as often: 200 times, give or take 14


def test_family_p_values_step_down_as_by_hand() -> None:
    observed = np.array([1.0, 3.0, 2.0])
    draws = np.array(
        [
            # four draws; the highest of all: 4, 1, 2, 3; without the member of 3.0: 4, 1, 0, 2; the last alone: 0 1 0 2
            [0.0, 1.0, 0.0, 2.0],
            [0.0, 0.0, 2.0, 3.0],
            [4.0, 0.0, 0.0, 0.0],
        ]
    )
    # 3.0 against 4 1 2 3: two as high; 2.0 against 4 1 0 2: two; 1.0 against 0 1 0 2: two
    assert rotation.adjusted(observed, draws).tolist() == [3 / 5, 3 / 5, 3 / 5]
    observed = np.array([0.5, 3.5, 2.5])
    # 3.5: one (4); 2.5: one (4); 0.5 against 0 1 0 2: two
    assert rotation.adjusted(observed, draws).tolist() == [3 / 5, 2 / 5, 2 / 5]


def test_a_lower_score_never_has_a_lower_p_value_and_none_is_below_its_own() -> None:
    dice = np.random.default_rng(2)
    draws = dice.normal(size=(12, 500))
    observed = dice.normal(1.5, 1, size=12)
    got = rotation.adjusted(observed, draws)
    assert (np.diff(got[np.argsort(-observed)]) >= 0).all()
    alone = [(1 + (row >= score).sum()) / 501 for row, score in zip(draws, observed, strict=True)]
    assert (got >= np.array(alone)).all()
    white = (1 + (draws.max(axis=0) >= observed.max()).sum()) / 501
    assert got.min() == white


def test_one_in_twenty_families_of_noise_has_a_discovery() -> None:
    dice = np.random.default_rng(5)
    found = 0
    for _ in range(400):
        common = dice.normal(size=300)
        draws = 0.7 * common + 0.7 * dice.normal(size=(20, 300))  # members that depend on each other
        observed = 0.7 * dice.normal() + 0.7 * dice.normal(size=20)
        found += rotation.adjusted(observed, draws).min() <= 0.05
    assert found / 400 == pytest.approx(0.05, abs=0.033)  # three standard errors
