"""The rules that make signals: what each one is, who published it, with which numbers, and for which market.

A threshold belongs to an indicator and to a type of universe: Zweig's fires about twice a decade on NYSE's issues and
about twice a year on the members of the S&P 500. Rules are applied in market.py; levels for other universes are found
in calibration.py; thrusts are combined in conviction.py.
"""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from breadthflow_pipelines.indicators import score
from breadthflow_pipelines.indicators.issues import ZWEIG_TREND
from breadthflow_pipelines.indicators.mcclellan import FAST_TREND, SLOW_TREND
from breadthflow_pipelines.indicators.thrusts import Condition, Thrust
from breadthflow_pipelines.model.vocabulary import Action

BUY_AT = 60.0  # score: the weighted mean z of the past year is at least +0.6
SELL_AT = 40.0  # score: it is at most -0.6
CONVICTION_AT = 3.0  # dimensions of four; a convention of public thrust scoreboards
CONVICTION_SESSIONS = 60  # a quarter, in which a thrust counts as recent; likewise

NYSE = ("NYSE",)
SP500 = ("sp500",)

EPISODE = 20  # events less than 21 sessions, a month, apart are repeats; our own choice unless the source says so
DESMOND_SESSIONS = 30  # Desmond 2002: 90 % down days of one decline lie up to thirty sessions apart
OMEN_REPEATS = 30  # Miekka, in Morris 2006: further omens within 30 sessions are ignored
OMEN_PAIR_DAYS = 36  # McHugh: a second omen within 36 calendar days confirms the first

Dimension = Literal["advances", "participation", "highs", "up_volume"]
DIMENSIONS: tuple[Dimension, ...] = ("advances", "highs", "participation", "up_volume")


@dataclass(frozen=True)
class Rule:
    """One rule as published.

    parameters determine the value, thresholds are compared with it. published_for names the universes that the
    thresholds were published for, each as a whole (segment ALL); anywhere else the rule is uncalibrated. published: the
    date by which its numbers were public (of a year, its last day; None: they were not published). published_rate:
    events per decade there, where the source counts them.

    Of events: thrust is what fires, action what follows from it, dimension what of the market it measures. full_margin
    is the margin, and full_depth the fall below the arming level, that count in full towards confidence, in the units
    of the value; None where the value only says yes or no. neutral: the value of a market that goes nowhere, from
    which levels are stretched for another universe; only of rules that are.
    """

    name: str
    about: str
    source: str
    parameters: Mapping[str, float]
    thresholds: Mapping[str, float]
    published_for: tuple[str, ...] = ()
    published: dt.date | None = None
    published_rate: float | None = None
    thrust: Thrust | None = None
    action: Action = "buy"
    dimension: Dimension | None = None
    full_margin: float | None = None
    full_depth: float | None = None
    neutral: float | None = None


def levels(thrust: Thrust) -> dict[str, float]:
    """The levels of a thrust by name: ``fires_above``, ``armed_below`` and so on; of further legs, by their column."""
    named = {}
    for word, conditions in (("armed", thrust.arms), ("fires", thrust.fires)):
        for i, condition in enumerate(conditions):
            named[f"{condition.column if i else word}_{condition.relation}"] = condition.level
    return named


def _event(
    thrust: Thrust, about: str, source: str, *, parameters: Mapping[str, float] | None = None, **more: Any
) -> Rule:
    """A rule of events: its numbers are those of its thrust and the parameters of the value."""
    limits = {
        "times": thrust.arms_times if thrust.arms_times > 1 else None,
        "sessions": thrust.deadline,
        "days": thrust.deadline_days,
        "quiet": thrust.quiet or None,
        "merge": thrust.merge or None,
    }
    said = {name: limit for name, limit in limits.items() if limit is not None}
    return Rule(thrust.name, about, source, {**(parameters or {}), **said}, levels(thrust), thrust=thrust, **more)


def _above(column: str, level: float) -> tuple[Condition, ...]:
    return (Condition(column, "above", level),)


def _below(column: str, level: float) -> tuple[Condition, ...]:
    return (Condition(column, "below", level),)


def _reached(column: str, level: float) -> tuple[Condition, ...]:
    return (Condition(column, "at_or_above", level),)


def _fallen(column: str, level: float) -> tuple[Condition, ...]:
    return (Condition(column, "at_or_below", level),)


def _end_of(year: int) -> dt.date:
    return dt.date(year, 12, 31)


def _ninety(name: str, column: str) -> Thrust:
    return Thrust(name, _reached(column, 1), _fallen(column, -1), arms_times=2, deadline=DESMOND_SESSIONS)


def _omen(name: str, column: str, pair_days: int | None = None) -> Thrust:
    legs = (*_reached(column, 1), Condition("index_trend_50", "at_or_above", 1, or_unknown=True))
    return Thrust(name, legs, legs if pair_days else (), deadline_days=pair_days, merge=OMEN_REPEATS)


_WHALEY = "Wayne Whaley, Planes, Trains and Automobiles, Charles H. Dow Award, 2010"
_HINDENBURG = "Jim Miekka, in Gregory Morris, The Complete Guide to Market Breadth Indicators, 2006; Robert McHugh"
_CAPITULATION = "A setup and not acted on: no source was found in which he buys it."

_ADVANCES = (
    _event(
        # Sessions are counted after the low day, so 10 is in: in 2013 NYSE's average came through two sessions late
        # (Tom McClellan, July 2013).
        Thrust("zweig_breadth_thrust", _above("zweig_ema", 0.615), _below("zweig_ema", 0.40), deadline=10),
        "Zweig's average of the share of advances rises from below 0.40 to above 0.615 within 10 sessions.",
        "Martin Zweig, Winning on Wall Street, 1986; McClellan Financial, 2025-11-28",
        parameters={"alpha": ZWEIG_TREND},
        published_for=NYSE,
        published=_end_of(1986),
        published_rate=2.0,  # "about twice a decade" is how it is told; no source was found with a full list
        full_margin=0.05,  # published thrusts clear 0.615 by thousandths to a few hundredths
        neutral=0.5,
        dimension="advances",
    ),
    _event(
        Thrust("zweig_breadth_thrust_sma", _above("zweig_sma", 0.615), _below("zweig_sma", 0.40), deadline=10),
        "Zweig's levels held against a plain 10-session mean: another list of events, none of its days Zweig's own.",
        "TC2000, T2103; the levels are Martin Zweig's, 1986",
        parameters={"window": 10},
        published_for=NYSE,
        published=_end_of(1986),
        full_margin=0.05,
        dimension="advances",
    ),
    _event(
        Thrust("appel_time_trend", _above("zweig_ema", 0.615), quiet=1, merge=EPISODE),
        "Zweig's average crosses above 0.615, wherever it came from. Merging repeats within a month is our own choice.",
        "Gerald Appel, Time Trend III, told by Tom McClellan, July 2013",
        parameters={"alpha": ZWEIG_TREND},
        published_for=NYSE,
        published=dt.date(2013, 7, 31),
        full_margin=0.05,
        dimension="advances",
    ),
    _event(
        Thrust("deemer_breakaway_momentum", _above("ad_ratio_10", 1.97), quiet=21),
        "Advances of 10 sessions exceed 1.97 times their declines, for the first time after 21 sessions that did not.",
        "Walter Deemer, Breakaway Momentum 101, walterdeemer.com/bam.htm; coined in the 1970s",
        parameters={"window": 10},
        published_for=NYSE,
        published=_end_of(1979),
        published_rate=3.2,  # 25 from 1945 through January 2023
        full_margin=0.3,  # published readings reach from just above to 2.28
        neutral=1.0,
        dimension="advances",
    ),
    _event(
        Thrust("two_to_one_thrust", _above("ad_ratio_10", 2.0), quiet=1, merge=EPISODE),
        "Advances of 10 sessions cross above twice their declines. Merging repeats within a month is our own choice.",
        "Wayne Whaley, Trader's Narrative, 2010-06-25: 17 from 1950 on; The Chartist, undated, counts 18 since 1949",
        parameters={"window": 10},
        published_for=NYSE,
        published=dt.date(2010, 6, 25),
        published_rate=2.8,  # 17 from 1950 through June 2010, one every 3.55 years
        full_margin=0.3,
        neutral=1.0,
        dimension="advances",
    ),
    _event(
        Thrust("whaley_adt5", _above("whaley_adt5", 73.66), quiet=1, merge=10),
        "More than 73.66 % of five sessions' advances and declines were advances; repeats within 10 sessions merge.",
        f"{_WHALEY}; Trader's Narrative 3626",
        parameters={"window": 5},
        published_for=NYSE,
        published=_end_of(2010),
        full_margin=5.0,
        dimension="advances",
    ),
    _event(
        Thrust("whaley_adt20", _above("whaley_adt20", 62.0), quiet=1, merge=20),
        "More than 62 % of 20 sessions' advances and declines were advances; repeats within 20 sessions merge.",
        "Wayne Whaley, Trader's Narrative 3944, 2010",
        parameters={"window": 20},
        published_for=NYSE,
        published=_end_of(2010),
        published_rate=2.5,  # 10 from 1970 to about 2010
        full_margin=3.0,
        neutral=50.0,
        dimension="advances",
    ),
    _event(
        # Oversold at -100, turned up at -70. No deadline is published, so it stays armed until it fires.
        Thrust(
            "mcclellan_oversold_recovery",
            _above("mcclellan_oscillator_ratio", -70.0),
            _fallen("mcclellan_oscillator_ratio", -100.0),
        ),
        "The ratio-adjusted McClellan Oscillator fell to -100 or below and turned up through -70.",
        "Technical Analysis of Stocks & Commodities, Traders' Tips, 1993; McClellan Financial",
        parameters={"alpha_fast": FAST_TREND, "alpha_slow": SLOW_TREND},
        published_for=NYSE,
        published=_end_of(1993),
        full_margin=70.0,  # from -70 to the zero line
        full_depth=100.0,  # below the arming level
        dimension="advances",
    ),
)

_PARTICIPATION = (
    _event(
        Thrust("surge_above_50", _above("pct_above_50", 75.0), _below("pct_above_50", 25.0), deadline=15),
        "Members above their 50-session mean go from fewer than 25 % to more than 75 % within 15 sessions.",
        "No canonical publication was found; the levels go round in public thrust scoreboards",
        parameters={"window": 50},
        full_margin=15.0,  # to 90 %, which StockCharts and others name as a thrust of its own
        dimension="participation",
    ),
    _event(
        Thrust("twenty_day_high_thrust", _reached("pct_at_20_high", 55.0), quiet=1, merge=EPISODE),
        "55 % of the members or more reach a 20-session high. Merging repeats within a month is our own choice.",
        "Jeff deGraaf, told by Ed Clissold, 2022-07-29; All Star Charts, stockmarkettv.com, 2024-12-06",
        parameters={"window": 20},
        published_for=SP500,
        published=dt.date(2022, 7, 29),
        full_margin=15.0,
        dimension="participation",
    ),
)

_HIGHS = (
    _event(
        Thrust("new_high_surge", _above("net_new_highs_pct", 4.0), _below("net_new_highs_pct", 0.0), deadline=10),
        "Net new highs go from below 0 to above 4 % of the members within 10 sessions: 20 of 500 issues, as a share, so"
        " that it does not depend on the universe's size.",
        "No canonical publication was found; as a count it goes round in public thrust scoreboards",
        parameters={"window": 252},
        full_margin=10.0,
        dimension="highs",
    ),
    _event(
        Thrust("record_high_surge", _above("record_high_pct", 50.0), _below("record_high_pct", 10.0), deadline=10),
        "New highs go from fewer than 10 % to more than half of all new extremes within 10 sessions.",
        "BreadthFlow's own measure; 50 % is the line of StockCharts' Record High Percent",
        parameters={"window": 252},
        full_margin=40.0,
        dimension="highs",
    ),
)

_UP_VOLUME = (
    _event(
        Thrust("whaley_udt5", _above("whaley_udt5", 77.88), quiet=1, merge=10),
        "More than 77.88 % of five sessions' up and down volume was up; repeats within 10 sessions merge.",
        _WHALEY,
        parameters={"window": 5},
        published_for=NYSE,
        published=_end_of(2010),
        full_margin=5.0,
        dimension="up_volume",
    ),
    _event(
        # One-month repeats are dropped, yet the list has 2011-11-03, 21 sessions after 2011-10-05.
        Thrust("whaley_udt2", _above("whaley_udt2", 89.2), quiet=1, merge=EPISODE),
        "More than 89.2 % of two sessions' up and down volume was up, on the S&P 500's; repeats within a month merge.",
        "Wayne Whaley, A Two Day Up Volume Thrust Signal, 2013-01-02",
        parameters={"window": 2},
        published_for=SP500,
        published=dt.date(2013, 1, 2),
        published_rate=6.5,  # 28 from 1970 through January 2013
        full_margin=5.0,  # published readings reach from 89.4 to 96.6
        neutral=50.0,
        dimension="up_volume",
    ),
    _event(
        _ninety("ninety_percent_reversal", "day_90"),
        "Two or more 90 % down days, then a 90 % up day, each in volume and in points. Down days of one decline lie up"
        " to 30 sessions apart; how soon the up day must follow is not published and held to the same. His rarer"
        " ending, two 80 % up days in a row, is left out.",
        "Paul Desmond, Identifying Bear Market Bottoms and New Bull Markets, Lowry's Reports, 2002",
        published_for=NYSE,
        published=_end_of(2002),
        dimension="up_volume",
    ),
    _event(
        _ninety("ninety_percent_reversal_volume", "day_90_volume"),
        "Desmond's reversal on volume alone, where nobody knows the points: a weaker rule than the one he published.",
        "After Paul Desmond, Lowry's Reports, 2002",
        dimension="up_volume",
    ),
)

_WARNINGS = (
    _event(
        _omen("hindenburg_omen", "hindenburg_omen"),
        "New highs and new lows each exceed 2.2 % of the issues, highs at most twice the lows, the McClellan Oscillator"
        " is negative and the index's 50-session mean rises (passed, and named, where no index is known).",
        _HINDENBURG,
        published_for=NYSE,
        published=_end_of(2006),
        action="sell",
    ),
    _event(
        _omen("hindenburg_omen_confirmed", "hindenburg_omen", OMEN_PAIR_DAYS),
        "A second Hindenburg Omen within 36 calendar days of one before.",
        "Robert McHugh; safehaven.com 30651, 2013",
        published_for=NYSE,
        published=dt.date(2010, 8, 31),
        action="sell",
    ),
    _event(
        _omen("hindenburg_omen_28", "hindenburg_omen_28"),
        "The Hindenburg Omen with Miekka's later 2.8 %. He divides by advances and declines, here it is by all issues;"
        " he asks the index to stand above its value of 50 sessions ago, here its mean rises.",
        _HINDENBURG,
        published_for=NYSE,
        published=_end_of(2006),
        action="sell",
    ),
    _event(
        Thrust("whaley_adt5_capitulation", _below("whaley_adt5", 19.05), quiet=1, merge=10),
        f"Fewer than 19.05 % of five sessions' advances and declines were advances. {_CAPITULATION}",
        _WHALEY,
        parameters={"window": 5},
        published_for=NYSE,
        published=_end_of(2010),
        full_margin=5.0,
        action="hold",
    ),
    _event(
        Thrust("whaley_udt5_capitulation", _below("whaley_udt5", 16.41), quiet=1, merge=10),
        f"Less than 16.41 % of five sessions' up and down volume was up. {_CAPITULATION}",
        _WHALEY,
        parameters={"window": 5},
        published_for=NYSE,
        published=_end_of(2010),
        full_margin=5.0,
        action="hold",
    ),
)

_EVENTS = _ADVANCES + _PARTICIPATION + _HIGHS + _UP_VOLUME + _WARNINGS


def _calibrated(rule: Rule) -> Rule:
    """The same rule with each universe's own levels. They are the year's, so they stand in the evidence, not here."""
    return replace(
        rule,
        name=f"{rule.name}_calibrated",
        about=f"{rule.about} Its levels are stretched from {rule.neutral:g}, chosen again each year as the least with"
        f" which this universe, until a year before, had no more than the {rule.published_rate:g} events a decade that"
        f" {' and '.join(rule.published_for)} had. The levels named here are the published ones.",
        published_for=(),
    )


CALIBRATED = {rule.name: _calibrated(rule) for rule in _EVENTS if rule.neutral is not None}
"""Rules that are also fitted to universes they were not published for, by the name of the published rule."""

_MEASURES = (
    Rule(
        name="breadth_score",
        about="Breadth against its own past year, 0 to 100: buy at 60 and above, sell at 40 and below, hold between.",
        source="BreadthFlow's own measure; its levels are not published anywhere",
        parameters={
            "window": score.WINDOW,
            "min_history": score.MIN_HISTORY,
            "winsor": score.WINSOR,
            "min_weight": score.MIN_WEIGHT,
        },
        thresholds={"buy_at": BUY_AT, "sell_at": SELL_AT},
    ),
    Rule(
        name="conviction",
        about="How many of four dimensions - advances, highs, participation, up volume - had a thrust in the last 60"
        " sessions, 0 to 4, scaled up where not all can be known: buy at 3 and above, else hold.",
        source="BreadthFlow's own measure, after public thrust scoreboards; its level is not published anywhere",
        parameters={"sessions": CONVICTION_SESSIONS},
        thresholds={"buy_at": CONVICTION_AT},
    ),
)
RULES = {rule.name: rule for rule in (*_EVENTS, *CALIBRATED.values(), *_MEASURES)}
EVENTS = tuple(rule.thrust for rule in _EVENTS if rule.thrust)
"""The thrusts with published levels."""
