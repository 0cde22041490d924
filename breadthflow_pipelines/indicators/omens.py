"""The Hindenburg Omen, and indicators of an index: its trend and Coppock's curve. Events are in thrusts.py."""

import polars as pl

from breadthflow_pipelines.indicators.definition import BRUTE_FORCE, Indicator
from breadthflow_pipelines.indicators.extremes import NH, NL
from breadthflow_pipelines.indicators.issues import NET, TOTAL
from breadthflow_pipelines.indicators.mcclellan import SLOW_TREND, mcclellan_oscillator
from breadthflow_pipelines.indicators.series import burn_in, count, flag, scattered, share

FAMILY = "Warnings and the index"

OMEN_SHARE = 0.022  # of all issues, each of new highs and new lows; Miekka as told by McHugh
OMEN_SHARE_WIDE = 0.028  # the stricter variant in use
OMEN_LOPSIDED = 2  # new highs may not be more than so many times the new lows
TEN_WEEKS = 50  # sessions; NYSE's 10-week mean
LONG_ROC, SHORT_ROC, WEIGHTS = 14, 11, 10  # months; Edwin Coppock, Barron's, 1962


def hindenburg_omen(highs: pl.Expr, lows: pl.Expr, total: pl.Expr, oscillator: pl.Expr, least: float) -> pl.Expr:
    """1 where the breadth legs hold together, 0 where one does not, null where one is unknown and none fails.

    New highs and new lows each above ``least`` of all issues, new highs at most twice the new lows, and the classic
    McClellan Oscillator below zero. The trend of the index, the omen's last leg, is index_trend_50.
    """
    legs = (
        share(highs, total) > least,
        share(lows, total) > least,
        highs <= OMEN_LOPSIDED * lows,
        oscillator < 0,
    )
    return flag(pl.all_horizontal(legs))


def index_trend(close: pl.Expr) -> pl.Expr:
    """1 where the 50-session mean of the index rises, else 0.

    The mean rises if the close that enters it exceeds the one that leaves it, so the close is compared with that of 50
    sessions ago. Comparing two means would depend on rounding.
    """
    leaving = scattered(close.drop_nulls().shift(TEN_WEEKS), close.is_not_null())
    return flag(close > leaving)


def coppock(close: pl.Expr) -> pl.Expr:
    """Coppock's curve of an index's month ends: WMA10 of its 14-month and 11-month rates of change, in per cent.

    Before the last session of a month, the latest close stands in for the month's. So the last session of a month has
    the published, monthly value, and no session uses later data. Null before the 24th month with a close.
    """
    known = close.is_not_null()
    month, close = pl.col("session").filter(known).dt.truncate("1mo"), close.drop_nulls()
    number = (month != month.shift(1)).fill_null(True).cast(pl.Int64).cum_sum() - 1  # of the session's month, from 0
    ends = close.filter((month != month.shift(-1)).fill_null(True))  # one for each month
    rates = (_rate(ends, ends.shift(LONG_ROC)) + _rate(ends, ends.shift(SHORT_ROC))).slice(LONG_ROC)
    past = rates.rolling_sum(WEIGHTS - 1, weights=list(range(1, WEIGHTS))).shift(1)
    long, short = (ends.shift(months).gather(number) for months in (LONG_ROC, SHORT_ROC))
    present = _rate(close, long) + _rate(close, short)
    before = past.gather(pl.when(number >= LONG_ROC).then(number - LONG_ROC))
    return scattered((WEIGHTS * present + before) / sum(range(1, WEIGHTS + 1)), known)


def _rate(now: pl.Expr, then: pl.Expr) -> pl.Expr:
    return 100 * (now / then - 1)


_INDEX = pl.when(count("index_close") > 0).then(count("index_close"))  # a level of zero is none
_OSCILLATOR = mcclellan_oscillator(NET)
_MCHUGH = "James Miekka; Robert McHugh's definition in safehaven.com 30651, 2013"


def _omen(name: str, least: float, source: str) -> Indicator:
    return Indicator(
        name,
        hindenburg_omen(NH, NL, TOTAL, _OSCILLATOR, least),
        FAMILY,
        formula=f"1 where NH and NL each exceed {least * 100:g} % of A + D + U, NH <= 2 * NL and T10 - T5 < 0, else 0",
        units="1 or 0",
        source=source,
        verified="the worked threshold of 3,126 issues: 68.772, so 69 of each (2010-08-12)",
        parameters={"share": least, "lopsided": OMEN_LOPSIDED},
        seed="that of the oscillator",
        burn_in=burn_in(SLOW_TREND),
        bounds=(0, 1),
    )


INDICATORS = (
    _omen("hindenburg_omen", OMEN_SHARE, _MCHUGH),
    _omen("hindenburg_omen_28", OMEN_SHARE_WIDE, "Jim Miekka's later 2.8 %, in Gregory Morris, 2006"),
    Indicator(
        "index_trend_50",
        index_trend(_INDEX),
        FAMILY,
        formula="1 where the 50-session mean of the index is above that of the session before, else 0",
        units="1 or 0",
        source=_MCHUGH,
        verified=BRUTE_FORCE,
        parameters={"sessions": TEN_WEEKS},
        burn_in=TEN_WEEKS,
        bounds=(0, 1),
    ),
    Indicator(
        "coppock",
        coppock(_INDEX),
        FAMILY,
        formula="weighted mean (10 to 1) of the last 10 months' 14-month + 11-month rates of change of the index; null"
        " before its 24th month",
        units="per cent",
        source="Edwin Coppock, Barron's, 1962",
        verified="24 to 26 closes and their values in the tests of QuantConnect's LEAN (spy_coppock_curve.csv)",
        parameters={"long": LONG_ROC, "short": SHORT_ROC, "weights": WEIGHTS},
    ),
)
