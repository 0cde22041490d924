"""Technical indicators of one security, by TA-Lib's conventions: one function and one entry each, then all of them.

Each function takes expressions over one security's own traded bars in session order and gives an expression; the caller
groups. Windows and recursions count bars, not days: a halt shifts a window, and no recursion ever meets a null of its
input. A recursion starts with the plain mean of its first bars and never forgets it, so every value needs the
security's whole history, which starts over after a long silence (price.py). A division by zero gives null where TA-Lib
gives 0.

Knows no universe: comparisons with other members are in relative.py, signals in signals/symbols.py.
"""

import math

import polars as pl

from breadthflow_pipelines.indicators.definition import Indicator
from breadthflow_pipelines.indicators.price import HISTORY, by_history
from breadthflow_pipelines.indicators.series import mean_of_last, share
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


def recursion(values: pl.Expr, seed: pl.Expr, at: int, alpha: float) -> pl.Expr:
    """T' = T + alpha * (x - T), which is ``seed`` on bar ``at``, counted from 0, and null before.

    Null where x is; the state stays.
    """
    bar = pl.int_range(pl.len())
    started = pl.when(bar == at).then(seed).when(bar > at).then(values)
    return started.ewm_mean(alpha=alpha, adjust=False, ignore_nulls=True)


def seeded_average(values: pl.Expr, length: int, alpha: float, at: int) -> pl.Expr:
    """The recursion seeded on bar ``at`` with the mean of the ``length`` values that end there."""
    # A rolling mean, because a plain one adds up in an order that depends on what else is in the frame.
    return recursion(values, values.rolling_mean(length), at, alpha)


def wilder_average(values: pl.Expr) -> pl.Expr:
    """Wilder's average of what only a second bar has, a change or a range: alpha 1/14, seeded with bars 1 to 14."""
    return seeded_average(values, WILDER, 1 / WILDER, at=WILDER)


def wilder_sum(values: pl.Expr) -> pl.Expr:
    """Wilder's running sum over 14, divided by 14: S' = S - S / 14 + x, seeded with the sum of bars 1 to 13.

    So its first full value is on bar 14. Only ratios of it are used, in which the division cancels.
    """
    summed = recursion(values, values.rolling_sum(WILDER - 1) / WILDER, WILDER - 1, 1 / WILDER)
    return pl.when(pl.int_range(pl.len()) >= WILDER).then(summed)


def sma(values: pl.Expr, length: int) -> pl.Expr:
    """Simple moving average of the last ``length`` bars, in the units of the values; null until they exist."""
    return mean_of_last(values, length)


def ema(values: pl.Expr, length: int) -> pl.Expr:
    """Exponential moving average, alpha = 2 / (length + 1), in the units of the values.

    Seed: the simple average of the first ``length`` bars, on the last of them; null before. pandas and Metastock start
    with the first value instead and differ for hundreds of bars.
    """
    return seeded_average(values, length, 2 / (length + 1), at=length - 1)


def true_range(high: pl.Expr, low: pl.Expr, close: pl.Expr) -> pl.Expr:
    """max(H - L, abs(C' - H), abs(C' - L)), in price, C' the close of the bar before.

    On the first bar, which has none, H - L; no average takes that bar in.
    """
    before = close.shift(1)
    return pl.max_horizontal(high - low, (high - before).abs(), (low - before).abs())


def atr(high: pl.Expr, low: pl.Expr, close: pl.Expr) -> pl.Expr:
    """Average True Range: Wilder's average of the true range, in price, from bar 14 on."""
    return wilder_average(true_range(high, low, close))


def rsi(close: pl.Expr) -> pl.Expr:
    """Relative Strength Index: 100 * G / (G + L) of Wilder's averages of gains and losses, from bar 14 on.

    Null where G + L is 0: a price that never moved is neither strong nor weak. TA-Lib gives 0 there, others 50.
    """
    change = close.diff()
    # Wilder's average is linear: that of gains + losses is that of the absolute changes.
    return 100 * share(wilder_average(change.clip(lower_bound=0)), wilder_average(change.abs()))


def macd(close: pl.Expr) -> pl.Expr:
    """EMA 12 - EMA 26 of the close, in price, from bar 33 on, when its signal exists too.

    Trap: the seed windows of both averages end on the same bar (bars 14 to 25 and 0 to 25), so for some hundred bars it
    is not the difference of the two published averages.
    """
    return pl.when(macd_signal(close).is_not_null()).then(_macd_line(close))


def macd_signal(close: pl.Expr) -> pl.Expr:
    """EMA 9 of the MACD, in price, seeded with the mean of its first 9 values (bars 25 to 33); from bar 33 on."""
    return seeded_average(_macd_line(close), MACD_SIGNAL, 2 / (MACD_SIGNAL + 1), at=_MACD_BURN_IN)


def macd_histogram(close: pl.Expr) -> pl.Expr:
    """MACD - signal, in price, from bar 33 on."""
    return _macd_line(close) - macd_signal(close)


def _macd_line(close: pl.Expr) -> pl.Expr:
    """The MACD from bar 25 on, which its signal is made of."""
    fast = seeded_average(close, MACD_FAST, 2 / (MACD_FAST + 1), at=MACD_SLOW - 1)
    return fast - ema(close, MACD_SLOW)


def bollinger(close: pl.Expr, deviations: float) -> pl.Expr:
    """SMA 20 + ``deviations`` times the population standard deviation of the same 20 closes, in price."""
    return sma(close, BAND) + deviations * close.rolling_std(BAND, ddof=0)


def obv(close: pl.Expr, volume: pl.Expr) -> pl.Expr:
    """On-Balance Volume, in shares: the running sum of volume, added on a rise, taken off on a fall.

    Starts with the first bar's volume. Its level means nothing. Trap: volume as traded jumps in scale at a split.
    """
    return (close.diff().sign().fill_null(1) * volume).cum_sum()


def roc(close: pl.Expr, length: int) -> pl.Expr:
    """Rate of change: 100 * (C / C of ``length`` bars before - 1), in per cent; null until that bar exists."""
    return 100 * (share(close, close.shift(length)) - 1)


def stochastic_k(high: pl.Expr, low: pl.Expr, close: pl.Expr) -> pl.Expr:
    """Slow %K: mean of 3 of 100 * (C - LL) / (HH - LL), of the last 14 bars, in per cent; from bar 17 on, as %D is.

    Null where one of the three ranges HH - LL is 0. TA-Lib puts the close at the bottom, 0,
    which reads as oversold.
    """
    return pl.when(pl.int_range(pl.len()) >= _STOCHASTIC_BURN_IN).then(_slow_k(high, low, close))


def stochastic_d(high: pl.Expr, low: pl.Expr, close: pl.Expr) -> pl.Expr:
    """%D: mean of 3 of slow %K, in per cent, from bar 17 on; null where one of the five ranges behind it is 0."""
    return _slow_k(high, low, close).rolling_mean(STOCHASTIC_SLOWING)


def _slow_k(high: pl.Expr, low: pl.Expr, close: pl.Expr) -> pl.Expr:
    lowest = low.rolling_min(STOCHASTIC)
    place = 100 * share(close - lowest, high.rolling_max(STOCHASTIC) - lowest)
    return place.rolling_mean(STOCHASTIC_SLOWING)


def _movement(ahead: pl.Expr, against: pl.Expr) -> pl.Expr:
    """Wilder's directional movement: how far the bar reached ahead, if that is further than against; else 0."""
    return pl.when((ahead > 0) & (ahead > against)).then(ahead).otherwise(0.0)


def plus_dm(high: pl.Expr, low: pl.Expr) -> pl.Expr:
    """+DM, in price: the high less the high before, where it rose and by more than the low fell; else 0."""
    return _movement(high.diff(), -low.diff())


def minus_dm(high: pl.Expr, low: pl.Expr) -> pl.Expr:
    """-DM, in price: the low before less the low, where it fell and by more than the high rose; else 0."""
    return _movement(-low.diff(), high.diff())


def plus_di(high: pl.Expr, low: pl.Expr, close: pl.Expr) -> pl.Expr:
    """+DI: 100 * Wilder sum of +DM / Wilder sum of the true range, from bar 14 on; null where no bar had a range."""
    return 100 * share(wilder_sum(plus_dm(high, low)), wilder_sum(true_range(high, low, close)))


def minus_di(high: pl.Expr, low: pl.Expr, close: pl.Expr) -> pl.Expr:
    """-DI: as +DI, of -DM."""
    return 100 * share(wilder_sum(minus_dm(high, low)), wilder_sum(true_range(high, low, close)))


def adx(high: pl.Expr, low: pl.Expr) -> pl.Expr:
    """Average Directional Index: Wilder's average of DX = 100 * abs(+DI - -DI) / (+DI + -DI), from bar 27 on.

    Seed: the sum of DX of bars 14 to 27, divided by 14. A bar whose DX is unknown, because both DI are 0, adds
    nothing to the seed and later leaves the average as it is, as in TA-Lib: without any movement there is no trend, 0.
    """
    plus, minus = plus_dm(high, low), minus_dm(high, low)
    # The true range cancels in DX, and Wilder's sum is linear.
    dx = 100 * share(wilder_sum(plus - minus).abs(), wilder_sum(plus + minus))
    seed = dx.fill_null(0).rolling_sum(WILDER) / WILDER
    return recursion(dx, seed, 2 * WILDER - 1, 1 / WILDER).forward_fill()


def distance(close: pl.Expr, level: pl.Expr) -> pl.Expr:
    """How far the close lies above a level, in per cent of the level: 100 * (C / level - 1)."""
    return 100 * (share(close, level) - 1)


def volume_ratio(volume: pl.Expr) -> pl.Expr:
    """Volume / mean volume of the 20 bars before, a pure number; null where nothing was traded on them.

    The bar itself is not in the mean, or a surge would soften its own yardstick. Trap: volume as traded makes it jump
    for twenty bars after a split.
    """
    return share(volume, mean_of_last(volume, VOLUME_BARS).shift(1))


def realised_volatility(close: pl.Expr) -> pl.Expr:
    """100 * sample standard deviation of the last 20 log returns * sqrt(252), in per cent a year; from bar 20 on."""
    returns = share(close, close.shift(1)).log()
    return 100 * math.sqrt(SESSIONS_OF_A_YEAR) * returns.rolling_std(VOLATILITY_BARS)


_HIGH, _LOW, _CLOSE = pl.col("high"), pl.col("low"), pl.col("close")
_VOLUME = pl.col("volume").cast(pl.Float64)
_BAR = (_HIGH, _LOW, _CLOSE)

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
            sma(_CLOSE, length),
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
            ema(_CLOSE, length),
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
        rsi(_CLOSE),
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
        macd(_CLOSE),
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
        macd_signal(_CLOSE),
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
        macd_histogram(_CLOSE),
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
            bollinger(_CLOSE, sign * BAND_WIDTH),
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
        atr(*_BAR),
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
        obv(_CLOSE, _VOLUME),
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
        stochastic_k(*_BAR),
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
        stochastic_d(*_BAR),
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
        adx(_HIGH, _LOW),
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
        plus_di(*_BAR),
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
        minus_di(*_BAR),
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
        distance(_CLOSE, _HIGH.rolling_max(YEAR)),
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
        distance(_CLOSE, _LOW.rolling_min(YEAR)),
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
        realised_volatility(_CLOSE),
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


def technical_indicators(bars: pl.DataFrame) -> pl.DataFrame:
    """All indicators of every security.

    bars: security_id (Int64), session (Date), high, low, close (Float64), volume (Int64), in any order, with the whole
    history of each security: one row per bar that was traded, prices positive, nothing null.

    Gives security_id, session and TECHNICAL_COLUMNS (Float64), one row per bar, sorted by both. Null through the
    burn-in of each and where its function says so; never NaN or infinite.
    """
    return by_history(bars).select(
        "security_id", "session", *(entry.expression.over(HISTORY).alias(entry.name) for entry in TECHNICAL)
    )
