"""Estimates against the libraries that have them: statsmodels, arch, scipy."""

import numpy as np
import pytest
from arch.bootstrap import StationaryBootstrap
from scipy.stats import binom
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import proportion_confint

from breadthflow_pipelines.evaluation.estimates import holm, smallest_told, stationary_bootstrap, wilson


@pytest.mark.parametrize("p", [[0.04, 0.001, 0.9, 0.04], [0.5], [0.6, 0.7, 0.8]])
def test_holm_is_statsmodels(p: list[float]) -> None:
    assert holm(np.array(p)) == pytest.approx(multipletests(p, method="holm")[1])


@pytest.mark.parametrize(("rate", "n"), [(1.0, 12), (0.0, 5), (0.7, 30)])
def test_wilson_is_statsmodels(rate: float, n: int) -> None:
    assert wilson(rate, n, 0.05) == pytest.approx(proportion_confint(rate * n, n, alpha=0.05, method="wilson"))


@pytest.mark.parametrize("block", [1, 4])
def test_the_bootstrap_is_that_of_arch(block: int) -> None:
    """Means of a clustered series: the same spread, within what 4,000 resamples leave open, and the same links."""
    values = np.repeat(np.random.default_rng(3).normal(size=20), 3)
    drawn = stationary_bootstrap(len(values), block, 4_000, seed=1)
    theirs = StationaryBootstrap(block, values, seed=1)
    means = np.array([float(positional[0].mean()) for positional, _ in theirs.bootstrap(4_000)])
    assert values[drawn].mean(axis=1).std() == pytest.approx(means.std(), rel=0.06)
    linked = np.mean(np.diff(drawn, axis=1) % len(values) == 1)
    # A block goes on, or a new one begins by chance where the old one would have gone on.
    assert linked == pytest.approx(1 - 1 / block + 1 / block / len(values), abs=0.01)


@pytest.mark.parametrize(
    ("n", "rate"),
    [
        (14, 1.0),  # more than 13 of 14, 92.9 %
        (48, 41 / 48),  # more than 40 of 48, 83.3 %
        (9, np.nan),  # 0.73 ** 9 is 5.9 %: nothing could be told
        (10, 1.0),  # 4.3 %
        (0, np.nan),
    ],
)
def test_the_smallest_hit_rate_that_could_be_told(n: int, rate: float) -> None:
    """Half a year ahead, where 73 % of all windows rise."""
    got = smallest_told(np.array([n]), np.array([0.73]), 0.05)[0]
    assert got == pytest.approx(rate, nan_ok=True)
    if n and not np.isnan(rate):
        hits = round(rate * n)
        assert sum(binom.pmf(k, n, 0.73) for k in range(hits, n + 1)) <= 0.05
        assert sum(binom.pmf(k, n, 0.73) for k in range(hits - 1, n + 1)) > 0.05
