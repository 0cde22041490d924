"""The charts of a page: of which columns each is drawn, its levels, and which rules' signals are marked in it.

Adding a chart is adding an entry. How they stand in the page: charts.py; how they are drawn: charts.js.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from breadthflow_pipelines.model.vocabulary import BREADTH_SCORE, CONVICTION, SESSION_RULES, SHOWN_RULE
from breadthflow_pipelines.signals.rules import BUY_AT, CONVICTION_AT, RULES, SELL_AT

# Columns that payload.py adds: 1 while Zweig's thrust is armed; the members' return, from 100; wealth, from 1.
WINDOW, EQUAL_WEIGHT, WEALTH, HELD = "zweig_window", "equal_weight", "wealth", "held"


@dataclass(frozen=True)
class Series:
    """A column as a chart draws it.

    colour: one of the page's colours. pane: which of the chart's parts, from the top. decimals: of what is shown.
    below: whether it is drawn downwards from zero. The kind ``shade`` marks the sessions on which the value is 1.
    """

    column: str
    label: str
    colour: str
    decimals: int = 1
    kind: Literal["line", "steps", "bars", "shade"] = "line"
    pane: int = 0
    below: bool = False


@dataclass(frozen=True)
class Chart:
    """A chart. levels: dashed lines in its first pane. within: the least range of that pane. rules: marked in it.

    ratio: equal distances in that pane are equal ratios, as of wealth that grows for decades.
    """

    name: str
    title: str
    about: str
    series: tuple[Series, ...]
    levels: tuple[float, ...] = ()
    within: tuple[float, float] | None = None
    rules: tuple[str, ...] = ()
    ratio: bool = False


EVENT_RULES = tuple(name for name in RULES if name not in SESSION_RULES)


def _on(*columns: str) -> tuple[str, ...]:
    """The rules whose events are crossings of these columns."""
    fired = {name: rule.thrust.fires[0].column for name, rule in RULES.items() if rule.thrust}
    return tuple(name for name in EVENT_RULES if fired[name.removesuffix("_calibrated")] in columns)


def _levels(*rules: str) -> tuple[float, ...]:
    levels: Mapping[float, None] = dict.fromkeys(level for rule in rules for level in RULES[rule].thresholds.values())
    return tuple(levels)


CHARTS = (
    Chart(
        "lines",
        "Index and A/D line",
        "The index and what the members returned in equal parts, where the store has them, above the running sum of "
        "advances less declines. A line that falls while the index rises says that fewer stocks carry it. Only its "
        "direction means something, not its level.",
        (
            Series("index_close", "Index", "second", 2),
            Series(EQUAL_WEIGHT, "Members in equal parts", "third", 2, pane=1),
            Series("ad_line", "A/D line", "first", 0, pane=2),
        ),
        rules=EVENT_RULES,
    ),
    Chart(
        "score",
        "Score and conviction",
        f"The score holds breadth against its own past year, 50 is an average session; buy from {BUY_AT:g}, sell to "
        f"{SELL_AT:g}. Conviction counts how many of four dimensions had a thrust in the last 60 sessions; buy from "
        f"{CONVICTION_AT:g}.",
        (
            Series(BREADTH_SCORE, "Score", "first", 2),
            Series(CONVICTION, "Conviction", "second", 2, "steps", pane=1),
        ),
        levels=(SELL_AT, BUY_AT),
        within=(0, 100),
    ),
    Chart(
        "daily",
        "Advances and declines",
        "Stocks that closed higher and lower than the session before, declines drawn downwards; below it Arms' TRIN of "
        "ten sessions: above 1, declining stocks had more than their share of the volume.",
        (
            Series("advances", "Advances", "up", 0, "bars"),
            Series("declines", "Declines", "down", 0, "bars", below=True),
            Series("trin_open_10", "Open 10-day TRIN", "first", 3, pane=1),
        ),
    ),
    Chart(
        "mcclellan",
        "McClellan Oscillator and Summation Index",
        "Two trends of net advances, the faster less the slower, per thousand issues that moved; below it their "
        "running sum. Above zero, breadth improves.",
        (
            Series("mcclellan_oscillator_ratio", "Oscillator, ratio-adjusted", "first", 2),
            Series("mcclellan_summation_ratio", "Summation, ratio-adjusted", "second", 0, pane=1),
        ),
        levels=(0.0, *_levels("mcclellan_oversold_recovery")),
        rules=_on("mcclellan_oscillator_ratio"),
    ),
    Chart(
        "zweig",
        "Zweig's breadth thrust, with its window",
        "The ten-day average share of advances. A thrust is a rise from below 0.40 to above 0.615 within ten sessions; "
        "the window is shaded while one can still come of the last low.",
        (
            Series(WINDOW, "Window", "soft", 0, "shade"),
            Series("zweig_ema", "Zweig's average", "first", 4),
        ),
        levels=_levels("zweig_breadth_thrust"),
        rules=_on("zweig_ema", "zweig_sma"),
    ),
    Chart(
        "advances",
        "Advances over one to four weeks",
        "Advances of 5 and of 20 sessions as per cent of all that moved, the measures of Whaley's thrusts.",
        (
            Series("whaley_adt5", "5 sessions, %", "first", 2),
            Series("whaley_adt20", "20 sessions, %", "second", 2),
        ),
        levels=(50.0, *_levels("whaley_adt20", "whaley_adt5")),
        rules=_on("whaley_adt5", "whaley_adt20", "ad_ratio_10"),
    ),
    Chart(
        "participation",
        "Participation",
        "Per cent of the members that close above the mean of their last 20, 50 and 200 closes.",
        (
            Series("pct_above_20", "20 days, %", "third", 1),
            Series("pct_above_50", "50 days, %", "first", 1),
            Series("pct_above_200", "200 days, %", "second", 1),
        ),
        levels=(50.0,),
        within=(0, 100),
        rules=_on("pct_above_50", "pct_at_20_high"),
    ),
    Chart(
        "extremes",
        "New highs and new lows",
        "Stocks beyond the range of their prior 252 bars, lows drawn downwards; below it the ten-day mean of new highs "
        "as per cent of both.",
        (
            Series("new_highs", "New highs", "up", 0, "bars"),
            Series("new_lows", "New lows", "down", 0, "bars", below=True),
            Series("high_low_index", "High-low index, %", "first", 1, pane=1),
        ),
        rules=_on("net_new_highs_pct", "record_high_pct", "hindenburg_omen", "hindenburg_omen_28"),
    ),
    Chart(
        "volume",
        "Up volume",
        "Volume of rising stocks as per cent of rising and falling, over two and over five sessions.",
        (
            Series("whaley_udt2", "2 sessions, %", "third", 2),
            Series("whaley_udt5", "5 sessions, %", "first", 2),
        ),
        levels=(50.0, *_levels("whaley_udt5", "whaley_udt2")),
        within=(0, 100),
        rules=_on("whaley_udt5", "whaley_udt2", "day_90", "day_90_volume"),
    ),
)

# Stands with the backtests, not with the other charts.
GROWTH = Chart(
    "growth",
    "Wealth",
    "What 1 became, after costs, by following the rule and by holding; equal distances are equal ratios.",
    (Series(WEALTH, f"Following {SHOWN_RULE}", "first", 4), Series(HELD, "Holding", "third", 4)),
    levels=(1.0,),
    ratio=True,
)
