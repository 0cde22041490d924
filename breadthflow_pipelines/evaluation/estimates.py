"""Estimates that statistics libraries have too: adjusted p-values, intervals, resamples, tails of distributions.

Importing those libraries takes seconds, scipy.special alone half a second, and every run judges. So they stand here,
and tests hold them against statsmodels, arch and scipy.
"""

from functools import lru_cache
from math import log, log1p
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Numbers = npt.NDArray[np.int64]


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


def stationary_bootstrap(size: int, block: int, resamples: int, seed: int) -> Numbers:
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


def smallest_told(n: Numbers, base_rate: Floats, level: float) -> Floats:
    """The smallest hit rate of n that a one-sided binomial test tells from the base rate; nan where none."""
    told = np.full(len(n), np.nan)
    for i, (size, rate) in enumerate(zip(n.tolist(), base_rate.tolist(), strict=True)):
        enough = np.flatnonzero(binomial_tail(size, rate) <= level)
        if size and len(enough):
            told[i] = enough[0] / size
    return told


def binomial_tail(n: int, rate: float) -> Floats:
    """The probability of at least so many hits of n, for 0 to n hits."""
    hits = np.arange(n + 1)
    if rate in (0.0, 1.0):
        return np.where(hits <= n * rate, 1.0, 0.0)
    just = np.exp(_ways(n) + hits * log(rate / (1 - rate)) + n * log1p(-rate))
    return np.asarray(np.cumsum(just[::-1])[::-1])


@lru_cache(maxsize=128)
def _ways(n: int) -> Floats:
    """The logarithm of how many ways there are to choose 0 to n of n."""
    factorials = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, n + 1)))])
    return np.asarray(factorials[n] - factorials - factorials[::-1])


def student_tail(score: Floats, degrees: Numbers) -> Floats:
    """The probability of as high a score, or a higher one, of Student's t; nan of nan.

    degrees: of freedom, whole numbers from 1 on; for these the distribution is a finite sum (26.7.3 and 26.7.4 in
    Abramowitz and Stegun, Handbook of Mathematical Functions, 1964).
    """
    angle = np.arctan(score / np.sqrt(degrees))
    cosine, odd, terms = np.cos(angle), degrees % 2, degrees // 2
    term = np.where(odd, cosine, 1.0)
    total = np.where(terms > 0, term, 0.0)
    for i in range(1, int(terms.max(initial=0))):
        term = term * cosine**2 * ((2 * i - 1 + odd) / (2 * i + odd))
        total += np.where(i < terms, term, 0.0)
    within = np.sin(angle) * total
    beyond = (1 - np.where(odd, 2 / np.pi * (angle + within), within)) / 2
    return np.asarray(beyond.clip(0, 1))  # rounding may leave them
