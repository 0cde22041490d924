"""Indicators of new highs and new lows, of a year and of twenty sessions. What one security did is in price.py."""

import polars as pl

from breadthflow_pipelines.indicators.definition import BRUTE_FORCE, Indicator
from breadthflow_pipelines.indicators.issues import TOTAL
from breadthflow_pipelines.indicators.series import burn_in, count, share, trend, window_mean

FAMILY = "Highs and lows"

TEN = 10  # sessions
TEN_WEEK_TREND = 2 / 51  # weight of the newest session in an average of 10 weeks, 50 sessions; Fosback


def net_new_highs(highs: pl.Expr, lows: pl.Expr) -> pl.Expr:
    """New highs less new lows, in issues. Trap: it grows with the universe."""
    return highs - lows


def record_high_percent(highs: pl.Expr, lows: pl.Expr) -> pl.Expr:
    """100 * NH / (NH + NL), 0 to 100; null on sessions without any new extreme."""
    return 100 * share(highs, highs + lows)


def high_low_index(highs: pl.Expr, lows: pl.Expr) -> pl.Expr:
    """Mean of the last ten known values of record_high_percent, 0 to 100; sessions without extremes are skipped."""
    return window_mean(record_high_percent(highs, lows), TEN)


def high_low_logic(highs: pl.Expr, lows: pl.Expr, able: pl.Expr) -> pl.Expr:
    """100 * min(NH, NL) / able, 0 to 50 unless a member makes both: high while the market is divided."""
    lesser = pl.when(highs.is_not_null() & lows.is_not_null()).then(pl.min_horizontal(highs, lows))
    return 100 * share(lesser, able)


NH, NL = count("new_highs"), count("new_lows")
# Members that could have made an extreme; unknown in published counts, where every issue counts.
ABLE = pl.coalesce(count("able_252"), TOTAL)
_NET = net_new_highs(NH, NL)
_LOGIC = high_low_logic(NH, NL, ABLE)
_NET_20 = net_new_highs(count("new_highs_20"), count("new_lows_20"))
_TOTAL_RETURN = (count("new_highs_total_return"), count("new_lows_total_return"))

INDICATORS = (
    Indicator(
        "net_new_highs",
        _NET,
        FAMILY,
        formula="NH - NL, of 252 bars (52 weeks)",
        units="issues",
        source="universal",
        verified=BRUTE_FORCE,
    ),
    Indicator(
        "net_new_highs_pct",
        100 * share(_NET, ABLE),
        FAMILY,
        formula="100 * (NH - NL) / members with 252 earlier bars; of published counts / (A + D + U)",
        units="per cent",
        source="StockCharts, ChartSchool, High-Low Percent",
        verified=BRUTE_FORCE,
        bounds=(-100, 100),
    ),
    Indicator(
        "net_new_highs_line",
        _NET.cum_sum(),
        FAMILY,
        formula="running sum of NH - NL",
        units="issues",
        source="StockCharts, ChartSchool, High-Low Line",
        verified=BRUTE_FORCE,
        seed="0 before the first session of the universe",
    ),
    Indicator(
        "net_new_highs_total_return",
        net_new_highs(*_TOTAL_RETURN),
        FAMILY,
        formula="NH - NL of prices with dividends reinvested; null where the source has no adjusted close",
        units="issues",
        source="the price basis of StockCharts and other vendors that adjust for dividends",
        verified=BRUTE_FORCE,
    ),
    Indicator(
        "record_high_pct",
        record_high_percent(NH, NL),
        FAMILY,
        formula="100 * NH / (NH + NL); null where both are 0",
        units="per cent",
        source="StockCharts, ChartSchool, High-Low Index",
        verified="the worked example of Dorsey Wright, 1999-10-08: 45 highs and 155 lows are 22.5",
        bounds=(0, 100),
    ),
    Indicator(
        "high_low_index",
        high_low_index(NH, NL),
        FAMILY,
        formula="mean of the last 10 known values of 100 * NH / (NH + NL)",
        units="per cent",
        source="StockCharts, ChartSchool, High-Low Index",
        verified=BRUTE_FORCE,
        parameters={"sessions": TEN},
        burn_in=TEN - 1,
        bounds=(0, 100),
    ),
    Indicator(
        "high_low_logic",
        _LOGIC,
        FAMILY,
        formula="100 * min(NH, NL) / members with 252 earlier bars; of published counts / (A + D + U)",
        units="per cent",
        source="Norman Fosback, Stock Market Logic, 1976, there of weekly figures",
        verified=BRUTE_FORCE,
        bounds=(0, 100),
    ),
    Indicator(
        "high_low_logic_50",
        trend(_LOGIC, TEN_WEEK_TREND),
        FAMILY,
        formula="2/51 trend (10 weeks) of high_low_logic",
        units="per cent",
        source="Norman Fosback, Stock Market Logic, 1976, there of weekly figures",
        verified=BRUTE_FORCE,
        parameters={"alpha": TEN_WEEK_TREND},
        seed="first value",
        burn_in=burn_in(TEN_WEEK_TREND),
        bounds=(0, 100),
    ),
    Indicator(
        "net_new_highs_20",
        _NET_20,
        FAMILY,
        formula="NH - NL, of 20 bars",
        units="issues",
        source="universal",
        verified=BRUTE_FORCE,
    ),
    Indicator(
        "net_new_highs_20_pct",
        100 * share(_NET_20, count("able_extremes_20")),
        FAMILY,
        formula="100 * (NH - NL) of 20 bars / members with 20 earlier bars",
        units="per cent",
        source="StockCharts, ChartSchool, High-Low Percent, over 20 sessions",
        verified=BRUTE_FORCE,
        bounds=(-100, 100),
    ),
)
