"""What chance gives: all rotations of a list of events against a history, one at a time and for a family at once.

A rotation moves all events by the same number of sessions, round the end to the beginning. It keeps how many there are
and how they cluster, and keeps how returns overlap; all it takes away is their timing. Numbers in, numbers out.
"""

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]


def rotated_sums(events: npt.NDArray[np.bool_], values: Array) -> Array:
    """The sum of the values that the events meet, for each of the n rotations; the first is no rotation at all.

    events: n flags. values: n numbers, or k rows of n, and the result is the same shape. sums[k] is the sum of values
    at (position + k) mod n, over the events' positions: a circular correlation, by Fourier transform.
    """
    n = values.shape[-1]
    spectrum = np.fft.rfft(values) * np.conj(np.fft.rfft(events.astype(np.float64)))
    return np.fft.irfft(spectrum, n)


def share_as_high(sums: Array) -> float:
    """The p-value of a sum: the share of all rotations, itself among them, whose sum is as high.

    A tie counts, up to the rounding of the transform.
    """
    tie = 1e-9 * max(1.0, float(np.abs(sums).max()))
    return float(np.mean(sums >= sums[0] - tie))


def studentised(sums: Array) -> Array:
    """Each rotation's distance from the mean of all, in standard deviations of all; 0 where none differs."""
    spread = sums.std()
    if spread <= 1e-12 * max(1.0, float(np.abs(sums).max())):
        return np.zeros_like(sums)
    return np.asarray((sums - sums.mean()) / spread, dtype=np.float64)


def family_draws(draws: int, seed: int) -> Array:
    """How far the whole family is turned in each draw, as parts of a circle, from 0 to below 1."""
    return np.random.default_rng(seed).random(draws)


def drawn(scores: Array, turns: Array) -> Array:
    """One member's score in each draw. scores: of all its rotations, as studentised gives them."""
    return np.asarray(scores[(turns * len(scores)).astype(np.int64)], dtype=np.float64)


def adjusted(observed: Array, draws: Array) -> Array:
    """p-values that hold for the family: that of the highest score is White's (2000), the others step down.

    observed: the score of each member. draws: one row for each member, one column for each draw, in which all members
    were turned alike. Romano and Wolf (2005): the highest score is held against the highest of all members in each
    draw, the second against the highest of all but the first, and so on; no p-value is below one of a higher score.
    """
    order = np.argsort(-observed, kind="stable")
    least = np.zeros(len(observed))
    highest = np.full(draws.shape[1], -np.inf)
    for member in order[::-1]:
        highest = np.maximum(highest, draws[member])
        least[member] = (1 + np.sum(highest >= observed[member] - 1e-9)) / (1 + draws.shape[1])
    p = np.empty_like(least)
    p[order] = np.maximum.accumulate(least[order])
    return p
