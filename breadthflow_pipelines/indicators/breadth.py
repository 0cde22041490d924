"""Breadth indicators as formulas over counts: one small function each, then all of them over every universe.

Each function takes expressions over one universe and segment in session order and gives an expression; the caller
groups. Null rule of all: a session on which nobody could tell is null, enters no recursion and leaves its state alone.
What fires on the values is in thrusts.py, what they add up to in score.py.
"""

import math

import polars as pl

from breadthflow_pipelines.indicators.conventions import CONVENTION
from breadthflow_pipelines.indicators.counts import COUNT_COLUMNS, KEY
from breadthflow_pipelines.indicators.price import AVERAGES

INDICATOR_COLUMNS = (
    "net_advances",
    "ad_line",
    "rana",
    "mcclellan_oscillator",
    "mcclellan_summation",
    "mcclellan_oscillator_ratio",
    "mcclellan_summation_ratio",
    "zweig_ema",
    "trin",
    "up_volume_share",
    "pct_above_20",
    "pct_above_50",
    "pct_above_200",
    "net_new_highs",
)

# Weights of the newest session. Spans are names, alphas are definitions: "10 % trend" is 0.10, whatever its span.
FAST_TREND = 0.10  # McClellan 1969, "about 19 days"
SLOW_TREND = 0.05  # McClellan 1969, "about 39 days"
ZWEIG_TREND = 2 / 11  # Zweig 1986, "10-day exponential average"

RANA_SCALE = 1000  # net advances per thousand issues that moved; StockCharts
SUMMATION_BASE = 1000  # the classic index is neutral at +1000; Miekka
SUMMATION_SLOW, SUMMATION_FAST = 19, 9  # the sum of all oscillators so far, in closed form; Miekka

PUBLISHABLE = 1e-3  # weight that the seed may still have in a published value
SETTLED = 1e-6  # weight of the seed from which on a value no longer depends on where history began


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


def share(part: pl.Expr, whole: pl.Expr) -> pl.Expr:
    """part / whole, null where the whole is zero or unknown."""
    return pl.when(whole != 0).then(part / whole)


def net_advances(advances: pl.Expr, declines: pl.Expr) -> pl.Expr:
    """A - D, in issues. No seed. Null where either is. Universal; it grows with the universe."""
    return advances - declines


def ad_line(net: pl.Expr) -> pl.Expr:
    """Advance-decline line: the running sum of net advances, in issues.

    Seed: 0 before the universe's first session, so its level means nothing, only its direction. Null where net is; the
    sum goes on. Source: StockCharts ChartSchool, "Advance-Decline Line".
    """
    return net.cum_sum()


def rana(advances: pl.Expr, declines: pl.Expr) -> pl.Expr:
    """Ratio-adjusted net advances: 1000 * (A - D) / (A + D), per thousand issues that moved, -1000 to 1000.

    No seed. Null where nothing moved or either is null. Source: StockCharts ChartSchool, "McClellan Oscillator".
    """
    return RANA_SCALE * share(advances - declines, advances + declines)


def mcclellan_oscillator(net: pl.Expr) -> pl.Expr:
    """McClellan Oscillator: T10 - T5, the 10 % trend of net advances less the 5 % trend, in the units of net.

    Of net advances it is the classic, in issues; of RANA the ratio-adjusted one, comparable across universes.
    Seed: first value. Null: through the slower trend's burn-in (135 observations), and where net is.
    Source: Sherman and Marian McClellan 1969; McClellan Financial's daily data.
    """
    return trend(net, FAST_TREND) - trend(net, SLOW_TREND)


def mcclellan_summation(net: pl.Expr) -> pl.Expr:
    """McClellan Summation Index, classic: 1000 + 19 * T5 - 9 * T10, in issues, neutral at +1000.

    Closed form of the sum of all oscillators, so it needs no start date; seed and null as the oscillator.
    Source: James Miekka's closed form, as McClellan Financial publishes it.
    """
    return SUMMATION_BASE + mcclellan_summation_ratio(net)


def mcclellan_summation_ratio(ratio: pl.Expr) -> pl.Expr:
    """Ratio-adjusted Summation Index: 19 * T5 - 9 * T10 of RANA, per thousand issues that moved, neutral at 0.

    Seed and null as the oscillator. Source: McClellan Financial, "RASI".
    """
    return SUMMATION_SLOW * trend(ratio, SLOW_TREND) - SUMMATION_FAST * trend(ratio, FAST_TREND)


def zweig_ema(advances: pl.Expr, declines: pl.Expr) -> pl.Expr:
    """Zweig's average: the 2/11 trend of A / (A + D), a share from 0 to 1. Unchanged issues do not count.

    Seed: first value. Null: through the burn-in (35 observations), where nothing moved and where either is null.
    Source: Martin Zweig, Winning on Wall Street, 1986; McClellan Financial 2025-11-28.
    """
    return trend(share(advances, advances + declines), ZWEIG_TREND)


def trin(advances: pl.Expr, declines: pl.Expr, up_volume: pl.Expr, down_volume: pl.Expr) -> pl.Expr:
    """Arms Index: (A / D) / (UV / DV), a pure number; above 1 the declines get more than their share of the volume.

    No seed. Null where any of the four is zero or null. Source: Richard Arms, Barron's, 1967.
    """
    whole = pl.all_horizontal(count != 0 for count in (advances, declines, up_volume, down_volume))
    return pl.when(whole).then((advances / declines) / (up_volume / down_volume))


def up_volume_share(up_volume: pl.Expr, down_volume: pl.Expr) -> pl.Expr:
    """UV / (UV + DV), 0 to 1; the volume of unchanged issues does not count.

    No seed. Null where no volume moved or either is null. Source: Paul Desmond, Lowry's, 2002.
    """
    return share(up_volume, up_volume + down_volume)


def pct_above(above: pl.Expr, able: pl.Expr) -> pl.Expr:
    """Members above their moving average, in per cent (0 to 100) of those that have one.

    No seed. Null where no member has the average, or nobody said. Source: StockCharts ChartSchool, "Percent Above
    Moving Average".
    """
    return 100 * share(above, able)


def net_new_highs(new_highs: pl.Expr, new_lows: pl.Expr) -> pl.Expr:
    """New 252-session highs less new lows, in issues. No seed. Null where either is null. Universal."""
    return new_highs - new_lows


def breadth_indicators(counts: pl.DataFrame) -> pl.DataFrame:
    """All indicators for every universe and segment.

    counts: KEY and the count columns in any order, with the whole history of each universe and segment; of published
    counts those that the exchange does not publish are null.

    Gives KEY, INDICATOR_COLUMNS (Float64), ``settled`` and ``convention``, sorted by KEY. settled: the slowest
    recursion, the 5 % trend of RANA, has left its seed behind (SETTLED, 270 observations), so the row no longer depends
    on where the history began. The A/D line always does.
    """
    # As Float64, because counts read from elsewhere may be unsigned, where 300 - 310 is 4,294,967,286.
    col = {name: pl.col(name).cast(pl.Float64) for name in COUNT_COLUMNS}
    moved = (col["advances"], col["declines"])
    net, ratio = net_advances(*moved), rana(*moved)
    formulas = {
        "net_advances": net,
        "ad_line": ad_line(net),
        "rana": ratio,
        "mcclellan_oscillator": mcclellan_oscillator(net),
        "mcclellan_summation": mcclellan_summation(net),
        "mcclellan_oscillator_ratio": mcclellan_oscillator(ratio),
        "mcclellan_summation_ratio": mcclellan_summation_ratio(ratio),
        "zweig_ema": zweig_ema(*moved),
        "trin": trin(*moved, col["up_volume"], col["down_volume"]),
        "up_volume_share": up_volume_share(col["up_volume"], col["down_volume"]),
        **{f"pct_above_{n}": pct_above(col[f"above_{n}"], col[f"able_{n}"]) for n in AVERAGES},
        "net_new_highs": net_new_highs(col["new_highs"], col["new_lows"]),
        "settled": ratio.is_not_null().cum_sum() > burn_in(SLOW_TREND, SETTLED),
    }
    return counts.sort(KEY).select(
        *KEY,
        *(formula.over("universe", "segment").alias(name) for name, formula in formulas.items()),
        convention=pl.lit(CONVENTION, pl.Int32),
    )
