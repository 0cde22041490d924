"""What one security's own bars say on each session: direction, place against its averages, new extremes.

Every function takes and gives one row per bar, sorted by security and session. Windows count the security's own traded
bars, so that a halt or a vendor's outage shifts a window but never breaks it. After LONGEST_SILENCE days without a bar
a new history begins, and no window looks across. Knows no universe: see counts.py.

No value depends on where the history was cut, as long as WARM_UP_BARS bars precede the first row that is used: each is
computed from its window alone. Hence sums by doubling instead of a running sum, whose rounding depends on everything
before the window (windows.py, which is imported where it is used: numpy would delay commands that list indicators).
"""

from itertools import pairwise

import polars as pl

from breadthflow_pipelines.errors import BreadthFlowError
from breadthflow_pipelines.indicators.conventions import LONGEST_SILENCE
from breadthflow_pipelines.model.vocabulary import AVERAGES, MONTH, YEAR

WARM_UP_BARS = YEAR  # own bars of each security that must precede the first session to be counted
# Relative: a close nearer to its average than this is at it. Rounding of a 200-bar sum is some 1e-15, a tick far more.
TIE = 1e-9
TICK_PARTS = 1_000_000  # points are added up as whole millionths, so that no sum depends on the order of its parts
MOST_SUMMED = 1e12  # price units; greater closes come from past reverse splits, and would dominate the sum of points
bar_number = pl.col("bar")  # the number of a bar in its history, from 0
HISTORY = ("security_id", "history")  # what windows and recursions are computed over


def by_history(bars: pl.DataFrame) -> pl.DataFrame:
    """Bars in order of security and session, with HISTORY and ``bar``, the number in its history, from 0."""
    silence = pl.col("session").diff().dt.total_days() > LONGEST_SILENCE
    first = (pl.col("security_id").ne_missing(pl.col("security_id").shift(1)) | silence).fill_null(value=True)
    row = pl.int_range(pl.len())
    return in_order(bars).with_columns(
        history=silence.fill_null(value=False).cum_sum(), bar=row - pl.when(first).then(row).forward_fill()
    )


def in_order(bars: pl.DataFrame) -> pl.DataFrame:
    """The bars by security and session. The store gives them so, and to look takes a tenth of sorting."""
    security, session = pl.col("security_id"), pl.col("session")
    later = (security > security.shift(1)) | ((security == security.shift(1)) & (session >= session.shift(1)))
    return bars if bars.select(later.all()).item() else bars.sort("security_id", "session")


def portions(bars: pl.DataFrame, most: int) -> list[pl.DataFrame]:
    """Bars in order, cut into parts of about so many, of whole securities; at least one part, which may be empty."""
    import numpy as np  # here, because commands that list indicators import this module

    security = bars["security_id"].to_numpy()
    begin = np.flatnonzero(np.diff(security, prepend=security[:1] - 1))  # the first row of each
    cut = begin[np.flatnonzero(np.diff(begin // most, prepend=0))].tolist()
    return [bars[start:end] for start, end in pairwise([0, *cut, bars.height])]


def earlier(values: pl.Expr, bars: int) -> pl.Expr:
    """The values of so many bars before in the same history, over rows of by_history; null on its first bars."""
    return pl.when(bar_number >= bars).then(values.shift(bars))


def windowed(values: pl.Expr, length: int) -> pl.Expr:
    """The values of a window of ``length`` bars, null where it would reach into another history."""
    return pl.when(bar_number >= length - 1).then(values)


def own_bars(bars: pl.DataFrame, sessions: pl.DataFrame) -> pl.DataFrame:
    """Bars in order, with ``counted`` and ``ordinal`` of their session and ``bar``, from 0 for each history.

    bars: security_id, session, high, low, close, volume, close_adjusted. sessions: session, ordinal, counted.

    Raises:
        BreadthFlowError: a bar lies on a day that is not among the sessions.
    """
    ordered = by_history(bars.join(sessions, on="session", how="left", maintain_order="left"))
    stray = ordered.filter(pl.col("ordinal").is_null())
    if stray.height:
        first = stray.select(pl.col("session").min()).item()
        raise BreadthFlowError(
            f"{stray.height} bars lie on no known session, the first on {first}. "
            "Pass every session from the first bar through the last."
        )
    return ordered


def with_direction(bars: pl.DataFrame) -> pl.DataFrame:
    """Add ``direction`` (1 advance, -1 decline, 0 unchanged, null when unknown), ``points``, ``no_prior`` and ``gap``.

    The exact sign of the close against the previous bar's close, known only if that bar is of the previous exchange
    session. points: how far the close moved, in whole millionths of a price unit (Int64); null where either close is
    above MOST_SUMMED. The first bar of a history is ``no_prior``; one whose predecessor is older is a ``gap``.
    """
    no_prior = bar_number == 0
    gap = ~no_prior & (pl.col("ordinal") - pl.col("ordinal").shift(1) != 1)
    move = pl.when(~no_prior & ~gap).then(pl.col("close") - pl.col("close").shift(1))
    summed = pl.max_horizontal(pl.col("close"), pl.col("close").shift(1)) <= MOST_SUMMED
    return bars.with_columns(
        direction=move.sign().cast(pl.Int8),
        points=(pl.when(summed).then(move.abs()) * TICK_PARTS).round().cast(pl.Int64),
        no_prior=no_prior,
        gap=gap,
    )


def with_participation(bars: pl.DataFrame) -> pl.DataFrame:
    """Add ``above_N`` and ``able_N`` for each N of AVERAGES: is the close above the mean of the last N own closes?

    able_N: N bars exist, this one included. above_N is strict, beyond TIE: a flat price is at its average, not above
    it. False where not able.
    """
    from breadthflow_pipelines.indicators.windows import means

    close, number = (bars.get_column(name).to_numpy() for name in ("close", "bar"))
    columns = []
    for window, mean in zip(AVERAGES, means(close, AVERAGES), strict=True):
        able = number >= window - 1
        columns += [
            pl.Series(f"above_{window}", able & (close > mean * (1 + TIE))),
            pl.Series(f"able_{window}", able),
        ]
    return bars.with_columns(columns)


def with_extremes(bars: pl.DataFrame) -> pl.DataFrame:
    """Add new extremes against the own bars before this one: of a year, of a month, and of a year in total return.

    ``new_high``: the high is strictly above the greatest of the prior YEAR highs; ``new_low``: the low is strictly
    below the least of the prior lows. A price that does not move makes neither. ``able_252``: that many prior bars
    exist; False where not. The same with _20 for MONTH. With _total_return highs and lows are scaled by close_adjusted
    / close, as vendors do that chart total returns; not able where any of those bars has no close_adjusted.
    """
    from breadthflow_pipelines.indicators.windows import known, prior_greatest, prior_least

    high, low, close, number = (bars.get_column(name).to_numpy() for name in ("high", "low", "close", "bar"))
    scale = bars.get_column("close_adjusted").cast(pl.Float64).to_numpy() / close
    year, month = number >= YEAR, number >= MONTH
    highest_month, highest = prior_greatest(high, (MONTH, YEAR))
    lowest_month, lowest = prior_least(low, (MONTH, YEAR))
    total_high, total_low = high * scale, low * scale
    (highest_total,), (lowest_total,) = prior_greatest(total_high, (YEAR,)), prior_least(total_low, (YEAR,))
    total = year & known(highest_total) & known(scale)
    marks = {
        "new_high": year & (high > highest),
        "new_low": year & (low < lowest),
        "able_252": year,
        "new_high_20": month & (high > highest_month),
        "new_low_20": month & (low < lowest_month),
        "able_extremes_20": month,
        # Scaling rounds, so a tie is a tie only within TIE.
        "new_high_total_return": total & (total_high > highest_total * (1 + TIE)),
        "new_low_total_return": total & (total_low < lowest_total * (1 - TIE)),
        "able_252_total_return": total,
    }
    return bars.with_columns(pl.Series(name, mark) for name, mark in marks.items())


def moving_average(values: pl.Series, window: int) -> pl.Series:
    """Simple mean of each row and the ``window - 1`` before it, in the units of the values; null until they exist.

    The caller has to mask rows whose window reaches back into another security.
    """
    from breadthflow_pipelines.indicators.windows import means

    (mean,) = means(values.cast(pl.Float64).to_numpy(), (window,))
    return pl.Series(values.name, mean, nan_to_null=True)
