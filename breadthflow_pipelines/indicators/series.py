"""Building blocks of indicators: a count, a share, a trend, a window, each over one series in session order.

Nulls: an unknown session is null, enters no recursion and no window, and leaves the state of both unchanged. Indicators
themselves are in issues.py, mcclellan.py, volume.py, extremes.py, participation.py, omens.py.
"""

import math
from collections.abc import Callable

import polars as pl

from breadthflow_pipelines.indicators.price import moving_average

PUBLISHABLE = 1e-3  # weight that the seed may still have in a published value
SETTLED = 1e-6  # weight of the seed from which on a value no longer depends on where history began


def count(name: str) -> pl.Expr:
    """A column of counts, as Float64: counts read elsewhere may be unsigned, where 300 - 310 is 4,294,967,286."""
    return pl.col(name).cast(pl.Float64)


def share(part: pl.Expr, whole: pl.Expr) -> pl.Expr:
    """part / whole, null where the whole is zero or unknown; the same digits however many rows there are.

    A whole that is one value for all rows, as a join with one row leaves it, Polars divides by through its reciprocal,
    which is off in the last digit. shift(0) makes it a column like others.
    """
    return pl.when(whole != 0).then(part / whole.shift(0))


def flag(condition: pl.Expr) -> pl.Expr:
    """1 where the condition holds, 0 where it does not, null where it is unknown."""
    return condition.cast(pl.Float64)


def burn_in(alpha: float, seed_weight: float = PUBLISHABLE) -> int:
    """Observations k after which the first value weighs at most ``seed_weight``: (1 - alpha)^k <= seed_weight.

    A trend is publishable from its observation k + 1 on: 35 for 2/11, 66 for 0.10, 135 for 0.05.
    """
    return math.ceil(math.log(seed_weight) / math.log(1 - alpha))


def trend(values: pl.Expr, alpha: float) -> pl.Expr:
    """Exponential average T' = T + alpha * (x - T), in the units of x.

    Seed: the first value. Null: through the burn-in of alpha, and wherever x is null; the state stays.
    Source: Haurlan 1968; Stocks & Commodities, Traders' Tips 1993, for the seed.
    """
    # min_samples counts observations, not rows; ignore_nulls gives a null session no weight.
    return values.ewm_mean(alpha=alpha, adjust=False, ignore_nulls=True, min_samples=burn_in(alpha) + 1)


def window_sum(values: pl.Expr, length: int) -> pl.Expr:
    """Sum of the last ``length`` observations, this one included; null until there are so many, and where x is null."""
    return _of_observations(values, lambda observed: observed.rolling_sum(length))


def window_mean(values: pl.Expr, length: int) -> pl.Expr:
    """Mean of the last ``length`` observations, from these alone; null as window_sum."""
    return _of_observations(values, lambda observed: mean_of_last(observed, length))


def mean_of_last(values: pl.Expr, length: int) -> pl.Expr:
    """Mean of the last ``length`` values, which are never null, from these alone; null until there are so many.

    Trap: rolling_mean keeps the rounding errors of values that have left the window. It gives 100.00000000000001 per
    cent, and a negative mean for positive prices that were a quintillion times as high before.
    """
    return values.map_batches(lambda known: moving_average(known, length), pl.Float64)


def window_ratio(part: pl.Expr, whole: pl.Expr, length: int) -> pl.Expr:
    """Sum of part over sum of whole, of the last ``length`` sessions on which both are known; null as share and sum.

    A ratio of sums, not a mean of ratios: days on which more moved weigh more.
    """
    both = part.is_not_null() & whole.is_not_null()
    sums = (window_sum(pl.when(both).then(values), length) for values in (part, whole))
    return share(*sums)


def scattered(observed: pl.Expr, known: pl.Expr) -> pl.Expr:
    """Values computed over the known sessions only, put back at those sessions; null at the others."""
    return observed.gather(pl.when(known).then(known.cast(pl.Int64).cum_sum() - 1))


def _of_observations(values: pl.Expr, window: Callable[[pl.Expr], pl.Expr]) -> pl.Expr:
    """The window over the observations, as if null sessions did not exist; null on those."""
    return scattered(window(values.drop_nulls()), values.is_not_null())
