"""Estimates that statistics libraries have too: adjusted p-values, intervals, resamples, the power of a test.

Importing those libraries takes seconds, and every run judges. So they stand here, and tests hold them against
statsmodels, arch and scipy.
"""

from statistics import NormalDist

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


def holm(p: Floats) -> Floats:
    """p-values adjusted for how many there are, of whatever dependence (Holm, 1979)."""
    order = np.argsort(p, kind="stable")
    stepped = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(stepped, 1.0)
    return adjusted


def wilson(rate: float, n: int, level: float) -> tuple[float, float]:
    """The interval of a rate of n draws, 1 - level of the time around the true one (Wilson, 1927)."""
    square = NormalDist().inv_cdf(1 - level / 2) ** 2
    centre = (rate + square / (2 * n)) / (1 + square / n)
    reach = (square * (rate * (1 - rate) / n + square / (4 * n * n))) ** 0.5 / (1 + square / n)
    return centre - reach, centre + reach


def stationary_bootstrap(size: int, block: int, resamples: int, seed: int) -> npt.NDArray[np.int64]:
    """Which observations each resample is made of, one row each: blocks in their order, round the end to the beginning.

    Of geometric length, ``block`` on average (Politis and Romano, The Stationary Bootstrap, 1994).
    """
    dice = np.random.default_rng(seed)
    begins = dice.random((resamples, size)) < 1 / block
    begins[:, 0] = True
    at = np.arange(size)
    begun = np.maximum.accumulate(np.where(begins, at, 0), axis=1)
    starts = np.take_along_axis(dice.integers(size, size=(resamples, size)), begun, axis=1)
    return np.asarray((starts + at - begun) % size)


def smallest_told(n: npt.NDArray[np.int64], base_rate: Floats, level: float) -> Floats:
    """The smallest hit rate of n that a one-sided binomial test tells from the base rate; nan where none."""
    from scipy.special import bdtrc

    low, high = np.zeros(len(n), np.int64), n + 1  # low hits are too few; high are enough, or more than there are
    while (open_ := high - low > 1).any():
        middle = (low + high) // 2
        told = bdtrc(middle - 1, n, base_rate) <= level  # the probability of as many hits or more
        low, high = np.where(open_ & ~told, middle, low), np.where(open_ & told, middle, high)
    return np.where((high <= n) & (n > 0), high / np.maximum(n, 1), np.nan)
