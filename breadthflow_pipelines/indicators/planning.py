"""Planning numbers: what the next session would have to bring to take an indicator to a level.

They are published formulas solved for the newest observation. McClellan's for net advances are columns of their own, in
mcclellan.py; those here need a level that a rule names. One number in, one number out.
"""

from breadthflow_pipelines.indicators.issues import RANA_SCALE, ZWEIG_TREND
from breadthflow_pipelines.indicators.mcclellan import FAST_TREND, SLOW_TREND, SUMMATION_FAST, SUMMATION_SLOW


def zweig_needs(average: float, level: float) -> float:
    """The share of advances that takes Zweig's average (2/11 trend) from ``average`` to ``level`` in one session.

    Outside 0 to 1 no session can. Source: T' = T + alpha * (x - T), Zweig 1986, solved for x.
    """
    return (level - (1 - ZWEIG_TREND) * average) / ZWEIG_TREND


def mcclellan_ratio_needs(oscillator: float, summation: float, level: float) -> float:
    """The share of advances that takes the ratio-adjusted McClellan Oscillator to ``level`` in one session.

    oscillator, summation: today's, T10 - T5 and 19 * T5 - 9 * T10 of RANA, which give both trends back. Outside 0 to 1
    no session can. Source: both trends one session on, McClellan Financial, solved for RANA; RANA = 1000 * (2 * share -
    1).
    """
    slow = (summation + SUMMATION_FAST * oscillator) / (SUMMATION_SLOW - SUMMATION_FAST)
    fast = slow + oscillator
    rana = (level - (1 - FAST_TREND) * fast + (1 - SLOW_TREND) * slow) / (FAST_TREND - SLOW_TREND)
    return (1 + rana / RANA_SCALE) / 2
