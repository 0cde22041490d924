"""The rules that make signals: what each one is, who published it, with which numbers, and for which market.

A threshold belongs to an indicator and to a type of universe: Zweig's fires about twice a decade on NYSE's issues and
about twice a year on the members of the S&P 500. How a rule is applied is in signals.py.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from breadthflow_pipelines.indicators import score
from breadthflow_pipelines.indicators.issues import ZWEIG_TREND
from breadthflow_pipelines.indicators.mcclellan import FAST_TREND, SLOW_TREND
from breadthflow_pipelines.indicators.thrusts import MCCLELLAN_OVERSOLD_RECOVERY, ZWEIG_BREADTH_THRUST, ZWEIG_SESSIONS

BUY_AT = 60.0  # score: the weighted mean z of the past year is at least +0.6
SELL_AT = 40.0  # score: it is at most -0.6


@dataclass(frozen=True)
class Rule:
    """One rule as published.

    parameters shape the value, thresholds are held against it. published_for names the universes that the
    thresholds were published for, each as a whole (segment ALL); anywhere else the rule is uncalibrated.
    """

    name: str
    about: str
    source: str
    parameters: Mapping[str, float]
    thresholds: Mapping[str, float]
    published_for: tuple[str, ...] = ()


_RULES = (
    Rule(
        name="zweig_breadth_thrust",
        about="Zweig's average of the share of advances rises from below 0.40 to above 0.615 within 10 sessions.",
        source="Martin Zweig, Winning on Wall Street, 1986; McClellan Financial, 2025-11-28",
        parameters={"alpha": ZWEIG_TREND, "sessions": ZWEIG_SESSIONS},
        thresholds={"armed_below": ZWEIG_BREADTH_THRUST.arms_at, "fires_above": ZWEIG_BREADTH_THRUST.fires_above},
        published_for=("NYSE",),
    ),
    Rule(
        name="mcclellan_oversold_recovery",
        about="The ratio-adjusted McClellan Oscillator fell to -100 or below and turned up through -70.",
        source="Technical Analysis of Stocks & Commodities, Traders' Tips, 1993; McClellan Financial",
        parameters={"alpha_fast": FAST_TREND, "alpha_slow": SLOW_TREND},
        thresholds={
            "armed_at_or_below": MCCLELLAN_OVERSOLD_RECOVERY.arms_at,
            "fires_above": MCCLELLAN_OVERSOLD_RECOVERY.fires_above,
        },
        published_for=("NYSE",),
    ),
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
)
RULES = {rule.name: rule for rule in _RULES}
