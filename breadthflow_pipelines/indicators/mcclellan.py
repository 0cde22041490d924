"""McClellan's Oscillator and Summation Index, of net advances, of their ratio and of volume, and their projections.

All of them rest on two trends of one series, T10 and T5, the 10 % and the 5 % trend. The rest is arithmetic on these.
"""

import polars as pl

from breadthflow_pipelines.indicators.definition import Indicator
from breadthflow_pipelines.indicators.issues import NET, A, D, rana
from breadthflow_pipelines.indicators.series import burn_in, count, trend

FAMILY = "McClellan"

# Weights of the newest session. Spans are names, alphas are definitions: "10 % trend" is 0.10, whatever its span.
FAST_TREND = 0.10  # McClellan 1969, "about 19 days"
SLOW_TREND = 0.05  # McClellan 1969, "about 39 days"
SUMMATION_BASE = 1000  # the classic index is neutral at +1000; Miekka
SUMMATION_SLOW, SUMMATION_FAST = 19, 9  # the sum of all oscillators so far, in closed form; Miekka


def mcclellan_oscillator(net: pl.Expr) -> pl.Expr:
    """T10 - T5, in the units of net. Of net advances the classic one, in issues; of RANA comparable across universes.

    Seed: first value. Null: through the slower trend's burn-in (135 observations), and where net is.
    Source: Sherman and Marian McClellan 1969; McClellan Financial's daily data.
    """
    return trend(net, FAST_TREND) - trend(net, SLOW_TREND)


def mcclellan_summation(net: pl.Expr) -> pl.Expr:
    """1000 + 19 * T5 - 9 * T10, in issues, neutral at +1000.

    Closed form of the sum of all oscillators, so it needs no start date; seed and null as the oscillator.
    Source: James Miekka's closed form, as McClellan Financial publishes it.
    """
    return SUMMATION_BASE + mcclellan_summation_neutral(net)


def mcclellan_summation_neutral(net: pl.Expr) -> pl.Expr:
    """19 * T5 - 9 * T10, neutral at 0: no thousand is added to RASI and to volume. Source: McClellan Financial."""
    return SUMMATION_SLOW * trend(net, SLOW_TREND) - SUMMATION_FAST * trend(net, FAST_TREND)


def mcclellan_unchanged_at(net: pl.Expr) -> pl.Expr:
    """2 * T10 - T5: the next session's net advances that would leave the oscillator where it is."""
    return 2 * trend(net, FAST_TREND) - trend(net, SLOW_TREND)


def mcclellan_zero_at(net: pl.Expr) -> pl.Expr:
    """19 * T5 - 18 * T10: the next session's net advances that would take the oscillator to zero."""
    return 19 * trend(net, SLOW_TREND) - 18 * trend(net, FAST_TREND)


_RATIO = rana(A, D)
_VOLUME = count("up_volume") - count("down_volume")
_TRENDS = {"fast": FAST_TREND, "slow": SLOW_TREND}
_BURN_IN = burn_in(SLOW_TREND)
_FIGURES = "McClellan Financial's NYSE figures of 2014-04-17, 2019-06-14 and 2025-04-24"
_SAME = "the same function as the classic, which reproduces McClellan Financial's figures; its brute-force twin"


def _entry(name: str, expression: pl.Expr, formula: str, units: str, source: str, verified: str) -> Indicator:
    return Indicator(
        name,
        expression,
        FAMILY,
        formula=formula,
        units=units,
        source=source,
        verified=verified,
        parameters=_TRENDS,
        seed="first value",
        burn_in=_BURN_IN,
    )


_1969 = "Sherman and Marian McClellan, 1969; McClellan Financial, daily data"
_MIEKKA = "James Miekka's closed form; McClellan Financial"
_DAILY = "McClellan Financial, daily data"

INDICATORS = (
    _entry("mcclellan_oscillator", mcclellan_oscillator(NET), "T10 - T5 of A - D", "issues", _1969, _FIGURES),
    _entry(
        "mcclellan_summation",
        mcclellan_summation(NET),
        "1000 + 19 * T5 - 9 * T10 of A - D; neutral 1000",
        "issues",
        _MIEKKA,
        _FIGURES,
    ),
    _entry(
        "mcclellan_oscillator_ratio",
        mcclellan_oscillator(_RATIO),
        "T10 - T5 of rana",
        "per thousand issues that moved",
        "StockCharts, ChartSchool, McClellan Oscillator",
        _SAME,
    ),
    _entry(
        "mcclellan_summation_ratio",
        mcclellan_summation_neutral(_RATIO),
        "19 * T5 - 9 * T10 of rana; neutral 0",
        "per thousand issues that moved",
        "McClellan Financial, RASI",
        _SAME,
    ),
    _entry(
        "mcclellan_volume_oscillator",
        mcclellan_oscillator(_VOLUME),
        "T10 - T5 of up volume - down volume",
        "shares",
        _DAILY,
        _SAME,
    ),
    _entry(
        "mcclellan_volume_summation",
        mcclellan_summation_neutral(_VOLUME),
        "19 * T5 - 9 * T10 of up volume - down volume; neutral 0",
        "shares",
        _DAILY,
        _SAME,
    ),
    _entry(
        "mcclellan_unchanged_at",
        mcclellan_unchanged_at(NET),
        "2 * T10 - T5 of A - D: the next session's A - D that leaves the oscillator unchanged",
        "issues",
        _DAILY,
        _FIGURES,
    ),
    _entry(
        "mcclellan_zero_at",
        mcclellan_zero_at(NET),
        "19 * T5 - 18 * T10 of A - D: the next session's A - D that takes the oscillator to zero",
        "issues",
        _DAILY,
        _FIGURES,
    ),
)
