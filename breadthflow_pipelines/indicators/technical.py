"""Technical indicators of one security, by TA-Lib's conventions: one function and one entry each, then all of them.

Each function takes expressions over the bars of many securities, in the order of price.by_history, and gives one over
the same rows. Windows and recursions count a security's own traded bars, not days: a halt shifts a window. A recursion
starts with the plain mean of its first bars and never forgets it, so every value rests on the security's whole history,
which starts over after a long silence. It need not be read again: a recursion goes on, to the last bit, from its state
on an earlier bar, and everything else from a window. A division by zero gives null where TA-Lib gives 0.

Knows no universe: comparisons with other members are in relative.py, signals in signals/symbols.py.
"""

import hashlib
import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple, TypeVar

import numpy as np
import polars as pl

from breadthflow_pipelines.indicators.conventions import LONGEST_SILENCE
from breadthflow_pipelines.indicators.definition import Indicator
from breadthflow_pipelines.indicators.price import bar_number, by_history, earlier, in_order, portions, windowed
from breadthflow_pipelines.indicators.recursions import ROW, STATE, Recursion, followed
from breadthflow_pipelines.indicators.series import share
from breadthflow_pipelines.indicators.windows import Numbers, greatest, least, means, squares
from breadthflow_pipelines.model.vocabulary import YEAR

FAMILY = "Per symbol"

LENGTHS = (20, 50, 200)  # bars: the averages that chart services draw
WILDER = 14  # bars: what Wilder 1978 uses for RSI, ATR and ADX
MACD_FAST, MACD_SLOW, MACD_SIGNAL = 12, 26, 9  # bars; Appel
BAND, BAND_WIDTH = 20, 2.0  # bars, standard deviations; Bollinger
STOCHASTIC, STOCHASTIC_SLOWING = 14, 3  # bars; Lane, "slow": both lines are means of 3
ROC_SHORT, ROC_LONG = 10, 63  # bars: two weeks; a quarter
VOLUME_BARS = 20  # bars: about a month
VOLATILITY_BARS = 20  # returns: about a month
SESSIONS_OF_A_YEAR = 252  # by which a daily variance is multiplied to be a year's

_MACD_BURN_IN = MACD_SLOW + MACD_SIGNAL - 2  # bars: two windows end to end, the first signal's
_STOCHASTIC_BURN_IN = STOCHASTIC + 2 * STOCHASTIC_SLOWING - 3  # bars: three windows end to end


def seeded_average(values: pl.Expr, length: int, alpha: float, at: int) -> Recursion:
    """The average seeded on bar ``at`` with the mean of the ``length`` values that end there."""
    return Recursion(values, at, length, length, alpha)


def wilder_average(values: pl.Expr) -> Recursion:
    """Wilder's average of what only a second bar has, a change or a range: alpha 1/14, seeded with bars 1 to 14."""
    return seeded_average(values, WILDER, 1 / WILDER, at=WILDER)


def wilder_sum(values: pl.Expr) -> Recursion:
    """Wilder's running sum over 14, divided by 14: S' = S - S / 14 + x, seeded with the sum of bars 1 to 13.

    Its first full value is on bar 14. Only ratios of it are used, in which the division cancels.
    """
    return Recursion(values, WILDER - 1, WILDER - 1, WILDER, 1 / WILDER, seed_told=False)


class Window(NamedTuple):
    """What ``of`` makes of the last ``length`` values alone; null until they exist, and where one of them is null."""

    values: pl.Expr
    of: Callable[[Numbers, int], Numbers]
    length: int


def _computed(window: Window) -> pl.Expr:
    def made(values: pl.Series) -> pl.Series:
        return pl.Series(window.of(values.cast(pl.Float64).to_numpy(), window.length), nan_to_null=True)

    return windowed(window.values.map_batches(made, pl.Float64), window.length)


def mean_of(values: pl.Expr, length: int) -> Window:
    """Simple moving average of the last ``length`` bars, in the units of the values."""
    return Window(values, lambda known, window: means(known, (window,))[0], length)


def deviation_of(values: pl.Expr, length: int, freedom: int) -> Window:
    """Standard deviation of the last ``length`` values: the root of their squared deviations over ``freedom``."""
    return Window(values, lambda known, window: np.sqrt(squares(known, window) / freedom), length)


def ema(values: pl.Expr, length: int) -> Recursion:
    """Exponential moving average, alpha = 2 / (length + 1), in the units of the values.

    Seed: the simple average of the first ``length`` bars, on the last of them; null before. pandas and Metastock start
    with the first value instead and differ for hundreds of bars.
    """
    return seeded_average(values, length, 2 / (length + 1), at=length - 1)


def change(values: pl.Expr) -> pl.Expr:
    """The value less that of the bar before; null on the first."""
    return values - earlier(values, 1)


def true_range(high: pl.Expr, low: pl.Expr, close: pl.Expr) -> pl.Expr:
    """max(H - L, abs(C' - H), abs(C' - L)), in price, C' the close of the bar before.

    On the first bar, which has none, H - L; no average takes that bar in.
    """
    before = earlier(close, 1)
    return pl.max_horizontal(high - low, (high - before).abs(), (low - before).abs())


def rsi() -> pl.Expr:
    """Relative Strength Index: 100 * G / (G + L) of Wilder's averages of gains and losses, from bar 14 on.

    Null where G + L is 0: a price that never moved is neither strong nor weak. TA-Lib gives 0 there, others 50.
    """
    # Wilder's average is linear: that of gains + losses is that of the absolute changes.
    return 100 * share(pl.col("rsi_gains"), pl.col("rsi_changes"))


def macd() -> pl.Expr:
    """EMA 12 - EMA 26 of the close, in price, from bar 33 on, when its signal exists too.

    Trap: the seed windows of both averages end on the same bar (bars 14 to 25 and 0 to 25), so for some hundred bars it
    is not the difference of the two published averages.
    """
    return pl.when(pl.col("macd_signal").is_not_null()).then(_macd_line())


def macd_signal() -> Recursion:
    """EMA 9 of the MACD, in price, seeded with the mean of its first 9 values (bars 25 to 33); from bar 33 on."""
    return seeded_average(_macd_line(), MACD_SIGNAL, 2 / (MACD_SIGNAL + 1), at=_MACD_BURN_IN)


def macd_histogram() -> pl.Expr:
    """MACD - signal, in price, from bar 33 on."""
    return _macd_line() - pl.col("macd_signal")


def _macd_line() -> pl.Expr:
    """The MACD from bar 25 on, which its signal is made of."""
    return pl.col("macd_fast") - pl.col("macd_slow")


def bollinger(deviations: float) -> pl.Expr:
    """SMA 20 + ``deviations`` times the population standard deviation of the same 20 closes, in price."""
    return pl.col(f"sma_{BAND}") + deviations * pl.col("band_deviation")


def obv(moved: pl.Expr, volume: pl.Expr) -> Recursion:
    """On-Balance Volume, in shares: the running sum of volume, added on a rise, taken off on a fall.

    Starts with the first bar's volume. Its level means nothing. Trap: volume as traded jumps in scale at a split.
    """
    return Recursion(moved.sign().fill_null(1) * volume, at=0, window=1, divisor=1, alpha=None)


def roc(close: pl.Expr, length: int) -> pl.Expr:
    """Rate of change: 100 * (C / C of ``length`` bars before - 1), in per cent; null until that bar exists."""
    return 100 * (share(close, earlier(close, length)) - 1)


def stochastic_k() -> pl.Expr:
    """Slow %K: mean of 3 of 100 * (C - LL) / (HH - LL), of the last 14 bars, in per cent; from bar 17 on, as %D is.

    Null where one of the three ranges HH - LL is 0. TA-Lib puts the close at the bottom, 0,
    which reads as oversold.
    """
    return pl.when(bar_number >= _STOCHASTIC_BURN_IN).then(pl.col("slow_k"))


def highest(high: pl.Expr, length: int) -> pl.Expr:
    """The highest high of the last ``length`` bars, this one included, in price; null until there are so many."""
    return _computed(Window(high, greatest, length))


def lowest(low: pl.Expr, length: int) -> pl.Expr:
    """The lowest low of the last ``length`` bars, as highest."""
    return _computed(Window(low, least, length))


def fast_k(close: pl.Expr) -> pl.Expr:
    """Fast %K: where the close lies in the range of the last 14 bars, in per cent; null where that is 0."""
    return 100 * share(close - pl.col(f"lowest_{STOCHASTIC}"), pl.col(f"range_{STOCHASTIC}"))


def _movement(ahead: pl.Expr, against: pl.Expr) -> pl.Expr:
    """Wilder's directional movement: how far the bar reached ahead, if that is further than against; else 0."""
    return pl.when((ahead > 0) & (ahead > against)).then(ahead).otherwise(0.0)


def plus_dm(high: pl.Expr, low: pl.Expr) -> pl.Expr:
    """+DM, in price: the high less the high before, where it rose and by more than the low fell; else 0."""
    return _movement(change(high), -change(low))


def minus_dm(high: pl.Expr, low: pl.Expr) -> pl.Expr:
    """-DM, in price: the low before less the low, where it fell and by more than the high rose; else 0."""
    return _movement(-change(low), change(high))


def directional_index(movement: str) -> pl.Expr:
    """+DI or -DI: 100 * Wilder sum of +DM or -DM / Wilder sum of the true range; null where no bar had a range.

    From bar 14 on. movement: the name of the sum.
    """
    return 100 * share(pl.col(movement), pl.col("true_range"))


def adx() -> Recursion:
    """Average Directional Index: Wilder's average of DX = 100 * abs(+DI - -DI) / (+DI + -DI), from bar 27 on.

    Seed: the sum of DX of bars 14 to 27, divided by 14. A bar whose DX is unknown, because both DI are 0, adds
    nothing to the seed and later leaves the average as it is, as in TA-Lib: without any movement there is no trend, 0.
    """
    # The true range cancels in DX, and Wilder's sum is linear.
    dx = 100 * share(pl.col("dm_difference").abs(), pl.col("dm_total"))
    return Recursion(dx, 2 * WILDER - 1, WILDER, WILDER, 1 / WILDER, gaps=True)


def distance(close: pl.Expr, level: pl.Expr) -> pl.Expr:
    """How far the close lies above a level, in per cent of the level: 100 * (C / level - 1)."""
    return 100 * (share(close, level) - 1)


def volume_ratio(volume: pl.Expr) -> pl.Expr:
    """Volume / mean volume of the 20 bars before, a pure number; null where nothing was traded on them.

    The bar itself is not in the mean, or a surge would soften its own yardstick. Trap: volume as traded makes it jump
    for twenty bars after a split.
    """
    return share(volume, earlier(pl.col("mean_volume"), 1))


def realised_volatility() -> pl.Expr:
    """100 * sample standard deviation of the last 20 log returns * sqrt(252), in per cent a year; from bar 20 on."""
    return 100 * math.sqrt(SESSIONS_OF_A_YEAR) * pl.col("return_deviation")


_HIGH, _LOW, _CLOSE = pl.col("high"), pl.col("low"), pl.col("close")
_VOLUME = pl.col("volume").cast(pl.Float64)
_BAR = (_HIGH, _LOW, _CLOSE)
_CHANGE, _PLUS, _MINUS, _RANGE = (pl.col(name) for name in ("change", "plus_move", "minus_move", "range"))

# What more than one of the others is made of, by name; computed once.
_PIECES = {
    "change": change(_CLOSE),
    "plus_move": plus_dm(_HIGH, _LOW),
    "minus_move": minus_dm(_HIGH, _LOW),
    "range": true_range(*_BAR),
    f"lowest_{STOCHASTIC}": lowest(_LOW, STOCHASTIC),
    f"range_{STOCHASTIC}": highest(_HIGH, STOCHASTIC) - lowest(_LOW, STOCHASTIC),
    f"highest_{YEAR}": highest(_HIGH, YEAR),
    f"lowest_{YEAR}": lowest(_LOW, YEAR),
}

# What windows are made of, by name. %D, the slow line, is the mean of three of %K, and in a list of its own.
_WINDOWS = {
    **{f"sma_{length}": mean_of(_CLOSE, length) for length in LENGTHS},
    "band_deviation": deviation_of(_CLOSE, BAND, freedom=BAND),
    "return_deviation": deviation_of(
        share(_CLOSE, earlier(_CLOSE, 1)).log(), VOLATILITY_BARS, freedom=VOLATILITY_BARS - 1
    ),
    "mean_volume": mean_of(_VOLUME, VOLUME_BARS),
    "slow_k": mean_of(fast_k(_CLOSE), STOCHASTIC_SLOWING),
}
_OF_WINDOWS = {"slow_d": mean_of(pl.col("slow_k"), STOCHASTIC_SLOWING)}

# What never forgets, by name, over the bars of one history. Those of the second are made of those of the first.
_OF_BARS = {
    **{f"ema_{length}": ema(_CLOSE, length) for length in LENGTHS},
    "rsi_gains": wilder_average(_CHANGE.clip(lower_bound=0)),
    "rsi_changes": wilder_average(_CHANGE.abs()),
    # Seeded on the same bar as the slow one.
    "macd_fast": seeded_average(_CLOSE, MACD_FAST, 2 / (MACD_FAST + 1), at=MACD_SLOW - 1),
    "macd_slow": ema(_CLOSE, MACD_SLOW),
    "atr_14": wilder_average(_RANGE),
    "obv": obv(_CHANGE, _VOLUME),
    "plus_dm": wilder_sum(_PLUS),
    "minus_dm": wilder_sum(_MINUS),
    "dm_difference": wilder_sum(_PLUS - _MINUS),
    "dm_total": wilder_sum(_PLUS + _MINUS),
    "true_range": wilder_sum(_RANGE),
}
_OF_RECURSIONS = {"macd_signal": macd_signal(), "adx_14": adx()}
RECURSIONS = {**_OF_BARS, **_OF_RECURSIONS}
STATE_COLUMNS = tuple(name + STATE for name in RECURSIONS)


def formulas() -> str:
    """A hash of all that a state means: the recursions' definitions, their order, and when a history starts over."""
    definitions = [
        str(LONGEST_SILENCE),
        *(f"{name} {each.values.meta.serialize(format='json')} {each[1:]}" for name, each in RECURSIONS.items()),
    ]
    return hashlib.blake2b("|".join(definitions).encode(), digest_size=16).hexdigest()


_TA_LIB = "TA-Lib's {}, on every bar of every member of the S&P 500 from 2006 to 2017"
_TWIN = "no library has it; a brute-force twin in plain Python"
_1978 = "J. Welles Wilder, New Concepts in Technical Trading Systems, 1978"
_APPEL = "Gerald Appel, The Moving Average Convergence-Divergence Trading Method, 1985"
_BOLLINGER = "John Bollinger, Bollinger on Bollinger Bands, 2001"
_LANE = "George Lane, Lane's Stochastics, Stocks & Commodities, 1984"
_SMA_SEED = "simple average of the first {} bars"
_WILDER_SEED = "mean of the first 14 that exist, bars 1 to 14"
_WILDER_SUM_SEED = "sum over bars 1 to 13"
_MACD_SEEDS = "SMA of bars 14 to 25 (fast) and 0 to 25 (slow), mean of the MACD of bars 25 to 33 (signal)"
_MACD_PARAMETERS = {"fast": MACD_FAST, "slow": MACD_SLOW, "signal": MACD_SIGNAL}
_STOCHASTIC_PARAMETERS = {"length": STOCHASTIC, "slowing": STOCHASTIC_SLOWING}

TECHNICAL = (
    *(
        Indicator(
            f"sma_{length}",
            pl.col(f"sma_{length}"),
            FAMILY,
            formula=f"mean of the last {length} closes",
            units="price",
            source="universal",
            verified=_TA_LIB.format("SMA"),
            parameters={"length": length},
            burn_in=length - 1,
            bounds=(0, None),
        )
        for length in LENGTHS
    ),
    *(
        Indicator(
            f"ema_{length}",
            pl.col(f"ema_{length}"),
            FAMILY,
            formula=f"E + 2 / {length + 1} * (C - E)",
            units="price",
            source="TA-Lib, ta_EMA.c; P. N. Haurlan, Measuring Trend Values, 1968",
            verified=_TA_LIB.format("EMA"),
            parameters={"length": length},
            seed=_SMA_SEED.format(length),
            burn_in=length - 1,
            bounds=(0, None),
        )
        for length in LENGTHS
    ),
    Indicator(
        "rsi_14",
        rsi(),
        FAMILY,
        formula="100 * G / (G + L), G and L Wilder's averages of gains and losses; null where G + L is 0",
        units="per cent",
        source=_1978,
        verified=_TA_LIB.format("RSI"),
        parameters={"length": WILDER},
        seed=_WILDER_SEED,
        burn_in=WILDER,
        bounds=(0, 100),
    ),
    Indicator(
        "macd",
        macd(),
        FAMILY,
        formula="EMA 12 - EMA 26 of the close, both seeded on bar 25",
        units="price",
        source=_APPEL,
        verified=_TA_LIB.format("MACD"),
        parameters=_MACD_PARAMETERS,
        seed=_MACD_SEEDS,
        burn_in=_MACD_BURN_IN,
    ),
    Indicator(
        "macd_signal",
        pl.col("macd_signal"),
        FAMILY,
        formula="EMA 9 of macd",
        units="price",
        source=_APPEL,
        verified=_TA_LIB.format("MACD"),
        parameters=_MACD_PARAMETERS,
        seed=_MACD_SEEDS,
        burn_in=_MACD_BURN_IN,
    ),
    Indicator(
        "macd_histogram",
        macd_histogram(),
        FAMILY,
        formula="macd - macd_signal",
        units="price",
        source="Thomas Aspray, MACD Momentum, Stocks & Commodities, 1988",
        verified=_TA_LIB.format("MACD"),
        parameters=_MACD_PARAMETERS,
        seed=_MACD_SEEDS,
        burn_in=_MACD_BURN_IN,
    ),
    *(
        Indicator(
            f"bollinger_{side}",
            bollinger(sign * BAND_WIDTH),
            FAMILY,
            formula=f"sma_20 {'+' if sign > 0 else '-'} 2 population standard deviations of the last 20 closes",
            units="price",
            source=_BOLLINGER,
            verified=_TA_LIB.format("BBANDS") + "; exact fractions where squares would cancel",
            parameters={"length": BAND, "deviations": BAND_WIDTH},
            burn_in=BAND - 1,
        )
        for side, sign in (("upper", 1), ("lower", -1))
    ),
    Indicator(
        "atr_14",
        pl.col("atr_14"),
        FAMILY,
        formula="Wilder's average of max(H - L, abs(C' - H), abs(C' - L))",
        units="price",
        source=_1978,
        verified=_TA_LIB.format("ATR"),
        parameters={"length": WILDER},
        seed=_WILDER_SEED,
        burn_in=WILDER,
        bounds=(0, None),
    ),
    Indicator(
        "obv",
        pl.col("obv"),
        FAMILY,
        formula="running sum of the sign of C - C' times volume",
        units="shares",
        source="Joseph Granville, New Key to Stock Market Profits, 1963",
        verified=_TA_LIB.format("OBV"),
        seed="volume of the first bar",
    ),
    *(
        Indicator(
            f"roc_{length}",
            roc(_CLOSE, length),
            FAMILY,
            formula=f"100 * (C / C of {length} bars before - 1)",
            units="per cent",
            source="universal",
            verified=_TA_LIB.format("ROC"),
            parameters={"length": length},
            burn_in=length,
            bounds=(-100, None),
        )
        for length in (ROC_SHORT, ROC_LONG)
    ),
    # Vendors round each price by itself, so a close may lie a hair outside its own bar: what is measured in ranges has
    # no bounds that hold.
    Indicator(
        "stochastic_k",
        stochastic_k(),
        FAMILY,
        formula="mean of 3 of 100 * (C - LL) / (HH - LL), of the last 14 bars; null where a range is 0",
        units="per cent",
        source=_LANE,
        verified=_TA_LIB.format("STOCH(14, 3, 3)"),
        parameters=_STOCHASTIC_PARAMETERS,
        burn_in=_STOCHASTIC_BURN_IN,
    ),
    Indicator(
        "stochastic_d",
        pl.col("slow_d"),
        FAMILY,
        formula="mean of 3 of stochastic_k",
        units="per cent",
        source=_LANE,
        verified=_TA_LIB.format("STOCH(14, 3, 3)"),
        parameters=_STOCHASTIC_PARAMETERS,
        burn_in=_STOCHASTIC_BURN_IN,
    ),
    Indicator(
        "adx_14",
        pl.col("adx_14"),
        FAMILY,
        formula="Wilder's average of 100 * abs(+DI - -DI) / (+DI + -DI)",
        units="per cent",
        source=_1978,
        verified=_TA_LIB.format("ADX"),
        parameters={"length": WILDER},
        seed="sum of the 14 values of bars 14 to 27 / 14, of those that are known",
        burn_in=2 * WILDER - 1,
        bounds=(0, 100),
    ),
    Indicator(
        "plus_di_14",
        directional_index("plus_dm"),
        FAMILY,
        formula="100 * Wilder sum of +DM / Wilder sum of the true range; null where that is 0",
        units="per cent",
        source=_1978,
        verified=_TA_LIB.format("PLUS_DI"),
        parameters={"length": WILDER},
        seed=_WILDER_SUM_SEED,
        burn_in=WILDER,
        bounds=(0, None),
    ),
    Indicator(
        "minus_di_14",
        directional_index("minus_dm"),
        FAMILY,
        formula="100 * Wilder sum of -DM / Wilder sum of the true range; null where that is 0",
        units="per cent",
        source=_1978,
        verified=_TA_LIB.format("MINUS_DI"),
        parameters={"length": WILDER},
        seed=_WILDER_SUM_SEED,
        burn_in=WILDER,
        bounds=(0, None),
    ),
    Indicator(
        "pct_from_high_252",
        distance(_CLOSE, pl.col(f"highest_{YEAR}")),
        FAMILY,
        formula="100 * (C / highest high of the last 252 bars, this one included, - 1)",
        units="per cent",
        source="Thomas George and Chuan-Yang Hwang, The 52-Week High and Momentum Investing, 2004",
        verified=_TWIN,
        parameters={"length": YEAR},
        burn_in=YEAR - 1,
    ),
    Indicator(
        "pct_from_low_252",
        distance(_CLOSE, pl.col(f"lowest_{YEAR}")),
        FAMILY,
        formula="100 * (C / lowest low of the last 252 bars, this one included, - 1)",
        units="per cent",
        source="universal",
        verified=_TWIN,
        parameters={"length": YEAR},
        burn_in=YEAR - 1,
    ),
    Indicator(
        "volume_ratio_20",
        volume_ratio(_VOLUME),
        FAMILY,
        formula="volume / mean volume of the 20 bars before; null where that is 0",
        units="times",
        source="universal",
        verified=_TWIN,
        parameters={"length": VOLUME_BARS},
        burn_in=VOLUME_BARS,
        bounds=(0, None),
    ),
    Indicator(
        "realised_volatility_20",
        realised_volatility(),
        FAMILY,
        formula="100 * sample standard deviation of the last 20 log returns * sqrt(252)",
        units="per cent",
        source="John Hull, Options, Futures, and Other Derivatives, estimating volatility from historical data",
        verified=_TWIN,
        parameters={"length": VOLATILITY_BARS, "sessions_of_a_year": SESSIONS_OF_A_YEAR},
        burn_in=VOLATILITY_BARS,
        bounds=(0, None),
    ),
    Indicator(
        "dollar_volume",
        _CLOSE * _VOLUME,
        FAMILY,
        formula="C * volume; what was paid only where both are as traded, or both adjusted",
        units="price * shares",
        source="universal",
        verified=_TWIN,
        bounds=(0, None),
    ),
)
TECHNICAL_COLUMNS = tuple(entry.name for entry in TECHNICAL)

PART_BARS = 400_000  # at a time: so many that recursions take wide steps, few enough that caches help
WINDOW = YEAR  # bars before the first that is computed: no window is longer, and every recursion has begun by then


def technical_indicators(bars: pl.DataFrame, states: pl.DataFrame | None = None) -> pl.DataFrame:
    """All indicators of every security.

    bars: security_id (Int64), session (Date), high, low, close (Float64), volume (Int64), in any order, with the whole
    history of each security: one row per bar that was traded, prices positive, nothing null. A security with a row in
    ``states`` may begin later: with the bar of the state or, where that is later, WINDOW bars before the first that is
    to be computed. states: security_id, session and STATE_COLUMNS, as indicators_and_states gave them.

    Gives security_id, session and TECHNICAL_COLUMNS (Float64), one row per bar, sorted by both. Null through the
    burn-in of each and where its function says so; never NaN or infinite. From the first bar on that is to be computed
    values are the same to the last bit, whether the history is whole or goes on from a state.
    """
    return pl.concat(_in_parts(bars, lambda part: _indicators(_with_windows_and_recursions(part, states))))


def indicators_and_states(
    bars: pl.DataFrame, states: pl.DataFrame | None, sessions: pl.DataFrame
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """All indicators, as technical_indicators gives them, and what the recursions are on given bars.

    sessions: security_id, session, each of a bar. States: security_id, session and STATE_COLUMNS (Float64), without
    bars on which a recursion has not begun yet: such a history is short, and read whole.
    """

    def of_part(part: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
        rows = _with_windows_and_recursions(part, states)
        now = rows.join(sessions, on=_OF, how="semi", maintain_order="left").select(*_OF, *_STATES)
        return _indicators(rows), now.drop_nulls()

    indicators, found = zip(*_in_parts(bars, of_part), strict=True)
    return pl.concat(indicators), pl.concat(found)


_OF = ("security_id", "session")
_STATES = tuple(pl.col(name).alias(name + STATE) for name in RECURSIONS)
_Found = TypeVar("_Found")


def _in_parts(bars: pl.DataFrame, of_part: Callable[[pl.DataFrame], _Found]) -> list[_Found]:
    """What is found of each part, in order. Parts have whole securities.

    On as many threads as Polars has here.
    """
    parts = portions(in_order(bars), PART_BARS)
    if len(parts) == 1:
        return [of_part(parts[0])]
    with ThreadPoolExecutor(pl.thread_pool_size()) as pool:
        return list(pool.map(of_part, parts))


def _indicators(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.select(*_OF, *(entry.expression.alias(entry.name) for entry in TECHNICAL))


def _with_windows_and_recursions(bars: pl.DataFrame, states: pl.DataFrame | None) -> pl.DataFrame:
    """Bars in order, with RECURSIONS and what windows are made of."""
    rows = by_history(bars).with_columns(**_PIECES)
    none = pl.DataFrame(schema={"security_id": pl.Int64, "session": pl.Date} | dict.fromkeys(STATE_COLUMNS, pl.Float64))
    going_on = rows.select(*_OF, pl.int_range(pl.len()).alias(ROW)).join(none if states is None else states, on=_OF)
    for windows in (_WINDOWS, _OF_WINDOWS):
        rows = rows.with_columns(_computed(window).alias(name) for name, window in windows.items())
    for recursions in (_OF_BARS, _OF_RECURSIONS):
        rows = followed(rows, recursions, going_on)
    return rows


def bar_columns(expression: pl.Expr) -> set[str]:
    """The columns of bars that an indicator's expression rests on, directly or through recursions."""
    found = set()
    made = {
        **_PIECES,
        **{name: window.values for name, window in {**_WINDOWS, **_OF_WINDOWS}.items()},
        **{name: each.values for name, each in RECURSIONS.items()},
    }
    for name in expression.meta.root_names():
        if name in made:
            found |= bar_columns(made[name])
        elif name != bar_number.meta.output_name():
            found.add(name)
    return found
