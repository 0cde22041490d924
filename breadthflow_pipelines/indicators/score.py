"""The breadth score: one number from 0 to 100 that compares a universe's breadth with its own past year.

The levels to act on are in signals/rules.py.
"""

from dataclasses import dataclass

import polars as pl

from breadthflow_pipelines.indicators.counts import comparable
from breadthflow_pipelines.indicators.issues import ZWEIG_TREND
from breadthflow_pipelines.indicators.series import share, trend
from breadthflow_pipelines.model.vocabulary import KEY


@dataclass(frozen=True)
class Component:
    """A component of the score: its weight, its description, and its formula over counts and indicators."""

    weight: float
    about: str
    formula: pl.Expr


# Published counts have no able members; there the issues that were counted stand in.
_ABLE = pl.coalesce(pl.col("able_252"), pl.col("advances") + pl.col("declines") + pl.col("unchanged"))

COMPONENTS = {
    "advance_share": Component(
        0.20, "10-day exponential average (2/11) of the share of advances: zweig_ema", pl.col("zweig_ema")
    ),
    "momentum": Component(0.20, "McClellan Oscillator, ratio-adjusted", pl.col("mcclellan_oscillator_ratio")),
    "above_50": Component(0.20, "per cent of members above their 50-day average", pl.col("pct_above_50")),
    "above_200": Component(0.15, "per cent of members above their 200-day average", pl.col("pct_above_200")),
    "net_new_highs_share": Component(
        0.15, "new highs less new lows, per member", share(pl.col("net_new_highs"), _ABLE)
    ),
    # Smoothed like Zweig's average: a single session is mostly noise.
    "up_volume_trend": Component(
        0.10, "the same average of up_volume_share", trend(pl.col("up_volume_share"), ZWEIG_TREND)
    ),
}
WINDOW = 252  # observations, a year: the own past that a value is compared with
MIN_HISTORY = 126  # fewer than half a year of them give no z
WINSOR = 3.0  # a larger z counts as this, so that one extreme session cannot dominate the score
MIN_WEIGHT = 0.5  # least sum of known weights for a score
STILL = 1e-9  # relative: a past that varied less is constant, and its deviation is rounding
NEUTRAL, SPAN = 50.0, 50.0


def breadth_score(counts: pl.DataFrame, indicators: pl.DataFrame) -> pl.DataFrame:
    """Score every session of every universe and segment.

    counts and indicators: KEY and their columns, in any order, with the whole history of each universe and segment; of
    published counts ``issue_scale`` as well.

    Gives KEY, ``score``, ``weight`` (the sum of known weights, 0 to 1) and, for each of COMPONENTS, its
    ``NAME`` (value) and ``NAME_z``, sorted by KEY. score = 50 + 50 * (weighted mean of the z) / 3, from 0 to 100: 50 is
    an average session of the past year. Components without a z are left out and the weights rescaled; with less than
    MIN_WEIGHT of them the score is null. This project's own measure: no published thresholds exist for it.
    """
    known = comparable(counts).select(*KEY, "able_252", "advances", "declines", "unchanged")
    values = (
        indicators.join(known, on=KEY, how="left")
        .sort(KEY)
        .select(*KEY, *(part.formula.over("universe", "segment").alias(name) for name, part in COMPONENTS.items()))
    )
    scored = values
    for name in COMPONENTS:
        scored = scored.join(_against_own_past(values, name), on=KEY, how="left")
    z = {name: pl.col(f"{name}_z") for name in COMPONENTS}
    present = (pl.when(z[name].is_not_null()).then(part.weight) for name, part in COMPONENTS.items())
    there = pl.sum_horizontal(present).round(6)  # weights are added in binary: 0.20 + 0.20 + 0.20 is a hair too much
    mean_z = pl.sum_horizontal(part.weight * z[name] for name, part in COMPONENTS.items()) / there
    score = pl.when(there >= MIN_WEIGHT).then((NEUTRAL + SPAN * mean_z / WINSOR).clip(0, 100))
    parts = [column for name in COMPONENTS for column in (name, f"{name}_z")]
    return scored.sort(KEY).select(*KEY, score.alias("score"), there.alias("weight"), *parts)


def _against_own_past(values: pl.DataFrame, name: str) -> pl.DataFrame:
    """KEY and ``NAME_z``: each value against the WINDOW observations strictly before it, winsorized to +-WINSOR.

    Strictly before, so that a session does not influence its own yardstick and no later one is used. Nulls are left
    out first, so a window always has that many observations. Sample standard deviation; null where fewer than
    MIN_HISTORY observations precede or where they are constant.
    """
    value = pl.col(name)
    windows = value.rolling_min, value.rolling_max, value.rolling_mean, value.rolling_std
    low, high, mean, deviation = (window(WINDOW, min_samples=MIN_HISTORY).shift(1) for window in windows)
    moved = high - low > STILL * pl.max_horizontal(low.abs(), high.abs())
    z = pl.when(moved).then((value - mean) / deviation).clip(-WINSOR, WINSOR)
    return values.select(*KEY, name).drop_nulls().select(*KEY, z.over("universe", "segment").alias(f"{name}_z"))
