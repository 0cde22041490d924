"""What one security's own bars say on each session: direction, place against its averages, new extremes.

Every function takes and gives one row per bar, sorted by security and session. Windows count the security's own traded
bars, so that a halt or a vendor's outage shifts a window but never breaks it. After LONGEST_SILENCE days without a bar
a new history begins, and no window looks across. Knows no universe: see counts.py.

No value depends on where the history was cut, as long as WARM_UP_BARS bars precede the first row that is used: each is
computed from its window alone. Hence sums by doubling instead of a running sum, whose rounding depends on everything
before the window.
"""

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
    return bars.sort("security_id", "session").with_columns(
        history=silence.fill_null(value=False).cum_sum(), bar=row - pl.when(first).then(row).forward_fill()
    )


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
    ordered = by_history(bars.join(sessions, on="session", how="left"))
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
    it. Null where not able.
    """
    close = bars.get_column("close")
    columns = []
    for window in AVERAGES:
        able = bar_number >= window - 1
        above = (close > moving_average(close, window) * (1 + TIE)).alias(f"above_{window}")
        columns += [pl.when(able).then(above).alias(f"above_{window}"), able.alias(f"able_{window}")]
    return bars.with_columns(columns)


def with_extremes(bars: pl.DataFrame) -> pl.DataFrame:
    """Add new extremes against the own bars before this one: of a year, of a month, and of a year in total return.

    ``new_high``: the high is strictly above the greatest of the prior YEAR highs; ``new_low``: the low is strictly
    below the least of the prior lows. A price that does not move makes neither. ``able_252``: that many prior bars
    exist; null where not. The same with _20 for MONTH. With _total_return highs and lows are scaled by close_adjusted /
    close, as vendors do that chart total returns; null where any of those bars has no close_adjusted.
    """
    scale = pl.col("close_adjusted") / pl.col("close")
    high, low = pl.col("high"), pl.col("low")
    year, month = bar_number >= YEAR, bar_number >= MONTH
    total_high, total_low = high * scale, low * scale
    total = year & _prior_high(total_high, YEAR).is_not_null() & scale.is_not_null()
    return bars.with_columns(
        new_high=pl.when(year).then(high > _prior_high(high, YEAR)),
        new_low=pl.when(year).then(low < _prior_low(low, YEAR)),
        able_252=year,
        new_high_20=pl.when(month).then(high > _prior_high(high, MONTH)),
        new_low_20=pl.when(month).then(low < _prior_low(low, MONTH)),
        able_extremes_20=month,
        # Scaling rounds, so a tie is a tie only within TIE.
        new_high_total_return=pl.when(total).then(total_high > _prior_high(total_high, YEAR) * (1 + TIE)),
        new_low_total_return=pl.when(total).then(total_low < _prior_low(total_low, YEAR) * (1 - TIE)),
        able_252_total_return=total,
    )


def _prior_high(values: pl.Expr, window: int) -> pl.Expr:
    return values.rolling_max(window).shift(1)


def _prior_low(values: pl.Expr, window: int) -> pl.Expr:
    return values.rolling_min(window).shift(1)


def moving_average(values: pl.Series, window: int) -> pl.Series:
    """Simple mean of each row and the ``window - 1`` before it, in the units of the values; null until they exist.

    The order of the additions depends on the window alone: blocks of 1, 2, 4, ... rows are built by doubling, and those
    that make up the window are added, for 200 rows blocks of 8, 64 and 128. rolling_mean keeps rounding errors of
    earlier rows, so that its last bits depend on where the frame begins. The caller has to mask rows whose window
    reaches back into another security.
    """
    total = pl.zeros(len(values), eager=True)
    block, size, taken = values, 1, 0
    while size <= window:
        if window & size:
            total = total + block.shift(taken)
            taken += size
        block, size = block + block.shift(size), 2 * size
    return total / window


def squares(values: pl.Series, window: int) -> pl.Series:
    """Sum of the squared deviations from their mean of each row and the ``window - 1`` before it; as moving_average.

    Blocks are put together by Chan, Golub and LeVeque (Updating Formulae and a Pairwise Algorithm for Computing Sample
    Variances, 1979), so that nothing cancels: values that are all the same give 0.
    """
    block: _Block = (1, values, pl.zeros(len(values), eager=True))
    taken: _Block | None = None
    while block[0] <= window:
        if window & block[0]:
            taken = block if taken is None else _joined(block, taken)
        block = _joined(block, block)
    if taken is None:
        raise ValueError(f"a window of {window} rows has no squares; take one of at least 1")
    return taken[2]


_Block = tuple[int, pl.Series, pl.Series]  # rows, their mean, and the sum of their squared deviations, at the last one


def _joined(earlier: _Block, later: _Block) -> _Block:
    """Blocks that follow each other, as one."""
    size = earlier[0] + later[0]
    mean, squared = earlier[1].shift(later[0]), earlier[2].shift(later[0])
    apart = later[1] - mean
    return (
        size,
        mean + apart * (later[0] / size),
        squared + later[2] + apart * apart * (earlier[0] * later[0] / size),
    )
