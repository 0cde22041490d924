"""Indicators of advances and declines. McClellan's are in mcclellan.py.

Each formula is a function over counts of one series in session order; its entry in INDICATORS documents it.
"""

import polars as pl

from breadthflow_pipelines.indicators.definition import BRUTE_FORCE, Indicator
from breadthflow_pipelines.indicators.series import burn_in, count, share, trend, window_mean, window_ratio

FAMILY = "Advances and declines"

ZWEIG_TREND = 2 / 11  # weight of the newest session; Zweig 1986, "10-day exponential average"
STIX_TREND = 0.09  # published as .91 of yesterday's and .09 of today's; 2/22 is another number
RANA_SCALE = 1000  # net advances per thousand issues that moved; StockCharts
TEN = 10  # sessions
TEN_WEEKS = 50  # sessions


def net_advances(advances: pl.Expr, declines: pl.Expr) -> pl.Expr:
    """A - D, in issues. Trap: it grows with the universe; 500 members never match a published NYSE figure."""
    return advances - declines


def ad_percent(net: pl.Expr, total: pl.Expr) -> pl.Expr:
    """100 * (A - D) / (A + D + U), -100 to 100. Unchanged issues count in the denominator here."""
    return 100 * share(net, total)


def ad_ratio(advances: pl.Expr, declines: pl.Expr) -> pl.Expr:
    """A / D. Null where D is 0."""
    return share(advances, declines)


def ad_ratio_of_sums(advances: pl.Expr, declines: pl.Expr) -> pl.Expr:
    """Ten sessions' advances over ten sessions' declines. The mean of ten ratios is another, larger number."""
    return window_ratio(advances, declines, TEN)


def ad_line(net: pl.Expr) -> pl.Expr:
    """Running sum, from 0 before the universe's first session: its level means nothing, only its direction."""
    return net.cum_sum()


def hughes(net: pl.Expr, total: pl.Expr) -> pl.Expr:
    """Ten-session mean of (A - D) / (A + D + U), -1 to 1."""
    return window_mean(share(net, total), TEN)


def rana(advances: pl.Expr, declines: pl.Expr) -> pl.Expr:
    """1000 * (A - D) / (A + D), -1000 to 1000. Unchanged issues do not count. Null where nothing moved."""
    return RANA_SCALE * share(advances - declines, advances + declines)


def absolute_breadth(net: pl.Expr) -> pl.Expr:
    """|A - D|, in issues: how one-sided a session was, whichever the side."""
    return net.abs()


def stix(advances: pl.Expr, declines: pl.Expr) -> pl.Expr:
    """9 % trend of 100 * A / (A + D), 0 to 100."""
    return trend(100 * share(advances, advances + declines), STIX_TREND)


def zweig_ema(advances: pl.Expr, declines: pl.Expr) -> pl.Expr:
    """2/11 trend of A / (A + D), 0 to 1: the average of the ratio, not the ratio of averages."""
    return trend(share(advances, advances + declines), ZWEIG_TREND)


def zweig_sma(advances: pl.Expr, declines: pl.Expr) -> pl.Expr:
    """Ten-session mean of A / (A + D), 0 to 1. Its events are not the published ones."""
    return window_mean(share(advances, advances + declines), TEN)


def zweig_pooled(advances: pl.Expr, declines: pl.Expr) -> pl.Expr:
    """Trend of A over the trends of A and D, 0 to 1: larger sessions weigh more, so its events fall on other days."""
    both = advances.is_not_null() & declines.is_not_null()
    up, down = (trend(pl.when(both).then(part), ZWEIG_TREND) for part in (advances, declines))
    return share(up, up + down)


def advance_thrust(advances: pl.Expr, declines: pl.Expr, length: int) -> pl.Expr:
    """100 * sum of A / (sum of A + sum of D) over ``length`` sessions, 0 to 100."""
    return 100 * window_ratio(advances, advances + declines, length)


A, D, U = count("advances"), count("declines"), count("unchanged")
NET, TOTAL = net_advances(A, D), A + D + U
_ABSOLUTE = 100 * share(absolute_breadth(NET), TOTAL)

INDICATORS = (
    Indicator(
        "net_advances",
        NET,
        FAMILY,
        formula="A - D",
        units="issues",
        source="universal",
        verified="McClellan Financial's NYSE figures of 2014-04-17, 2019-06-14 and 2025-04-24 rest on it",
    ),
    Indicator(
        "ad_percent",
        ad_percent(NET, TOTAL),
        FAMILY,
        formula="100 * (A - D) / (A + D + U)",
        units="per cent",
        source="StockCharts, ChartSchool, AD Percent",
        verified="StockCharts' worked examples: 70 up and 7 down of 77, 12 and 65, 300 and 200 of 500",
        bounds=(-100, 100),
    ),
    Indicator(
        "ad_ratio",
        ad_ratio(A, D),
        FAMILY,
        formula="A / D; null where D = 0",
        units="ratio",
        source="universal",
        verified="A/D of fifteen NYSE sessions, 2001-06-13 to 2001-07-03 (technicalanalysissite.com)",
        bounds=(0, None),
    ),
    Indicator(
        "ad_ratio_10",
        ad_ratio_of_sums(A, D),
        FAMILY,
        formula="sum of A over 10 sessions / sum of D over the same",
        units="ratio",
        source="Walter Deemer, Breakaway Momentum 101, walterdeemer.com/bam.htm",
        verified=BRUTE_FORCE,
        parameters={"sessions": TEN},
        burn_in=TEN - 1,
        bounds=(0, None),
    ),
    Indicator(
        "ad_line",
        ad_line(NET),
        FAMILY,
        formula="running sum of A - D",
        units="issues",
        source="StockCharts, ChartSchool, Advance-Decline Line",
        verified=BRUTE_FORCE,
        seed="0 before the first session of the universe",
    ),
    Indicator(
        "ad_line_ratio",
        ad_line(share(NET, TOTAL)),
        FAMILY,
        formula="running sum of (A - D) / (A + D + U)",
        units="fractions of all issues",
        source="StockCharts, ChartSchool, Advance-Decline Line (ratio form)",
        verified=BRUTE_FORCE,
        seed="0 before the first session of the universe",
    ),
    Indicator(
        "hughes",
        hughes(NET, TOTAL),
        FAMILY,
        formula="mean over 10 sessions of (A - D) / (A + D + U)",
        units="share of all issues",
        source="James Hughes, about 1950; Wealth-Lab, Hughes Breadth Index",
        verified=BRUTE_FORCE,
        parameters={"sessions": TEN},
        burn_in=TEN - 1,
        bounds=(-1, 1),
    ),
    Indicator(
        "rana",
        rana(A, D),
        FAMILY,
        formula="1000 * (A - D) / (A + D); null where nothing moved",
        units="per thousand issues that moved",
        source="StockCharts, ChartSchool, McClellan Oscillator (ratio-adjusted)",
        verified=BRUTE_FORCE,
        parameters={"scale": RANA_SCALE},
        bounds=(-RANA_SCALE, RANA_SCALE),
    ),
    Indicator(
        "absolute_breadth",
        absolute_breadth(NET),
        FAMILY,
        formula="|A - D|",
        units="issues",
        source="Norman Fosback, Stock Market Logic, 1976",
        verified="the worked examples of thetrademachine.com, 2009-11-02: 650 up and 50 down, 500 and 400",
        bounds=(0, None),
    ),
    Indicator(
        "absolute_breadth_pct",
        _ABSOLUTE,
        FAMILY,
        formula="100 * |A - D| / (A + D + U)",
        units="per cent",
        source="Norman Fosback, Stock Market Logic, 1976",
        verified=BRUTE_FORCE,
        bounds=(0, 100),
    ),
    Indicator(
        "absolute_breadth_50",
        window_mean(_ABSOLUTE, TEN_WEEKS),
        FAMILY,
        formula="mean over 50 sessions (10 weeks) of 100 * |A - D| / (A + D + U); above 40 bullish, below 15 bearish",
        units="per cent",
        source="Norman Fosback, Stock Market Logic, 1976, there of weekly figures",
        verified=BRUTE_FORCE,
        parameters={"sessions": TEN_WEEKS},
        burn_in=TEN_WEEKS - 1,
        bounds=(0, 100),
    ),
    Indicator(
        "stix",
        stix(A, D),
        FAMILY,
        formula="S + 0.09 * (100 * A / (A + D) - S)",
        units="per cent",
        source="The Polymetric Report; Investopedia, STIX",
        verified=BRUTE_FORCE,
        parameters={"alpha": STIX_TREND},
        seed="first value",
        burn_in=burn_in(STIX_TREND),
        bounds=(0, 100),
    ),
    Indicator(
        "zweig_ema",
        zweig_ema(A, D),
        FAMILY,
        formula="Z + 2/11 * (A / (A + D) - Z)",
        units="share of issues that moved",
        source="Martin Zweig, Winning on Wall Street, 1986; McClellan Financial, 2025-11-28",
        verified=BRUTE_FORCE,
        parameters={"alpha": ZWEIG_TREND},
        seed="first value",
        burn_in=burn_in(ZWEIG_TREND),
        bounds=(0, 1),
    ),
    Indicator(
        "zweig_sma",
        zweig_sma(A, D),
        FAMILY,
        formula="mean over 10 sessions of A / (A + D)",
        units="share of issues that moved",
        source="TC2000 T2103; Norgate #SPXZWBT",
        verified=BRUTE_FORCE,
        parameters={"sessions": TEN},
        burn_in=TEN - 1,
        bounds=(0, 1),
    ),
    Indicator(
        "zweig_pooled",
        zweig_pooled(A, D),
        FAMILY,
        formula="T(A) / (T(A) + T(D)), T the 2/11 trend",
        units="share of issues that moved",
        source="rsinvestor.com, Zweig Breadth Thrust, 2009, and other charts: the ratio of averages",
        verified=BRUTE_FORCE,
        parameters={"alpha": ZWEIG_TREND},
        seed="first value",
        burn_in=burn_in(ZWEIG_TREND),
        bounds=(0, 1),
    ),
    *(
        Indicator(
            f"whaley_adt{length}",
            advance_thrust(A, D, length),
            FAMILY,
            formula=f"100 * sum of A over {length} sessions / (sum of A + sum of D)",
            units="per cent",
            source=source,
            verified=BRUTE_FORCE,
            parameters={"sessions": length},
            burn_in=length - 1,
            bounds=(0, 100),
        )
        for length, source in (
            (5, "Wayne Whaley, Planes, Trains and Automobiles, 2010"),
            (20, "Wayne Whaley, Trader's Narrative 3944, 2010"),
        )
    ),
)
