"""Buy, sell or hold for each member of a universe, from its technical indicators and the universe's breadth.

Six rules vote, their weighted mean is the strength, and breadth decides: no buy while breadth says sell, no sell while
it says buy. A signal is known at the close of its session and depends on that session's row alone, so no later data can
enter it. The indicators are in indicators/technical.py and relative.py; signals on a market as a whole are in
market.py. Knows no store.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl

from breadthflow_pipelines.indicators.conventions import CONVENTION
from breadthflow_pipelines.indicators.series import share
from breadthflow_pipelines.model.vocabulary import BUY, HOLD, SELL
from breadthflow_pipelines.signals.market import DECIMALS
from breadthflow_pipelines.signals.rules import BUY_AT, SELL_AT

KEY = ("universe", "security_id", "session")


@dataclass(frozen=True)
class SymbolRule:
    """One rule that votes on a security.

    vote: over one row of indicators, -1 (sell) to 1 (buy), null where it is unknown. levels: by name, what it compares
    them with. weight: its part of the strength; all weights add up to 1. source: who published the idea; the scale of
    votes is this project's own.
    """

    name: str
    about: str
    source: str
    weight: float
    vote: pl.Expr
    levels: Mapping[str, float]

    @property
    def columns(self) -> list[str]:
        """What it looks at: the close, or technical indicators."""
        return sorted(set(self.vote.meta.root_names()))


# Where a vote is full. On each side, one bar in ten to twenty of the S&P 500's members from 2006 to 2017 lies beyond.
TREND_FULL = 0.20  # of the 200-bar average, that the close lies away from it
CROSS_FULL = 0.15  # of the 200-bar average, that the 50-bar average lies away from it
MOMENTUM_FULL = 0.35  # average true ranges, that the MACD lies away from its signal
RELATIVE_FULL = 20.0  # per cent, gained on the median member in 63 bars

RSI_OVERSOLD, RSI_OVERBOUGHT = 30.0, 70.0  # Wilder 1978
RSI_FULL = 10.0  # points beyond those levels: at 20 and at 80
BREAKOUT_NEAR = 10.0  # per cent: further from the year's high or low than this, neither is near
VOLUME_ORDINARY, VOLUME_FULL = 1.0, 2.0  # times the mean of the 20 bars before

# Strength from which on a signal says buy, and sell below its negative: most of the weight must agree. One bar in four
# of the S&P 500's members from 2006 to 2017 lies beyond.
ACT_AT = 0.35
MIN_WEIGHT = 0.5  # least sum of the weights that voted, for a strength
REGIME_DECIMALS = 2  # of the breadth score, 0 to 100, as signals name it
UNKNOWN_REGIME = 0.5  # factor of the confidence where the breadth score is unknown


def trend_vote(close: pl.Expr, fast: pl.Expr, slow: pl.Expr) -> pl.Expr:
    """Half for the close, half for the fast average, each by its distance from the slow one; null without it."""
    above = ((share(close, slow) - 1) / TREND_FULL).clip(-1, 1)
    crossed = ((share(fast, slow) - 1) / CROSS_FULL).clip(-1, 1)
    return (above + crossed) / 2


def momentum_vote(histogram: pl.Expr, atr: pl.Expr) -> pl.Expr:
    """The MACD's distance from its signal, in average true ranges; null where the price has no range."""
    return (share(histogram, atr) / MOMENTUM_FULL).clip(-1, 1)


def rsi_vote(rsi: pl.Expr) -> pl.Expr:
    """Against an exaggerated move: buy below 30, sell above 70, 0 between."""
    oversold = ((RSI_OVERSOLD - rsi) / RSI_FULL).clip(0, 1)
    overbought = ((rsi - RSI_OVERBOUGHT) / RSI_FULL).clip(0, 1)
    return oversold - overbought


def breakout_vote(from_high: pl.Expr, from_low: pl.Expr) -> pl.Expr:
    """1 at the year's high, -1 at its low, 0 where neither is within 10 %; near both of them the difference."""
    near_high = (1 + from_high / BREAKOUT_NEAR).clip(0, 1)
    near_low = (1 - from_low / BREAKOUT_NEAR).clip(0, 1)
    return near_high - near_low


def relative_strength_vote(relative_strength: pl.Expr) -> pl.Expr:
    """With the leaders, against the laggards of the universe."""
    return (relative_strength / RELATIVE_FULL).clip(-1, 1)


def volume_vote(ratio: pl.Expr, change: pl.Expr) -> pl.Expr:
    """The direction of the last ten bars, by how far volume is above the ordinary; 0 where it is not."""
    surge = ((ratio - VOLUME_ORDINARY) / (VOLUME_FULL - VOLUME_ORDINARY)).clip(0, 1)
    return change.sign() * surge


SYMBOL_RULES = (
    SymbolRule(
        name="trend",
        about="The close and its 50-bar average stand above (below) the 200-bar average.",
        source="William Brock, Josef Lakonishok and Blake LeBaron, Simple Technical Trading Rules, 1992",
        weight=0.25,
        vote=trend_vote(pl.col("close"), pl.col("sma_50"), pl.col("sma_200")),
        levels={"close_full_at": TREND_FULL, "sma_50_full_at": CROSS_FULL},
    ),
    SymbolRule(
        name="momentum",
        about="The MACD is above (below) its signal.",
        source="Gerald Appel, The Moving Average Convergence-Divergence Trading Method, 1985; Thomas Aspray, 1988",
        weight=0.15,
        vote=momentum_vote(pl.col("macd_histogram"), pl.col("atr_14")),
        levels={"full_at": MOMENTUM_FULL},
    ),
    SymbolRule(
        name="rsi",
        about="The Relative Strength Index is below 30 (above 70): a move that went too far.",
        source="J. Welles Wilder, New Concepts in Technical Trading Systems, 1978",
        weight=0.15,
        vote=rsi_vote(pl.col("rsi_14")),
        levels={"buy_below": RSI_OVERSOLD, "sell_above": RSI_OVERBOUGHT, "full_beyond": RSI_FULL},
    ),
    SymbolRule(
        name="breakout",
        about="The close is near the highest high (lowest low) of 252 bars.",
        source="Thomas George and Chuan-Yang Hwang, The 52-Week High and Momentum Investing, 2004",
        weight=0.15,
        vote=breakout_vote(pl.col("pct_from_high_252"), pl.col("pct_from_low_252")),
        levels={"near_within": BREAKOUT_NEAR},
    ),
    SymbolRule(
        name="relative_strength",
        about="The security gained on (lost to) the median member of its universe in 63 bars.",
        source="Robert Levy, Relative Strength as a Criterion for Investment Selection, 1967",
        weight=0.20,
        vote=relative_strength_vote(pl.col("relative_strength")),
        levels={"full_at": RELATIVE_FULL},
    ),
    SymbolRule(
        name="volume_confirmation",
        about="The direction of ten bars comes with more than ordinary volume.",
        source="Jonathan Karpoff, The Relation Between Price Changes and Trading Volume, 1987",
        weight=0.10,
        vote=volume_vote(pl.col("volume_ratio_20"), pl.col("roc_10")),
        levels={"ordinary": VOLUME_ORDINARY, "full_at": VOLUME_FULL},
    ),
)
RULE_COLUMNS = tuple(sorted({name for rule in SYMBOL_RULES for name in rule.columns}))
"""What the rules look at: the close, and some of the technical indicators."""
VOTE_COLUMNS = tuple(f"vote_{rule.name}" for rule in SYMBOL_RULES)
SYMBOL_SIGNAL_COLUMNS = (
    *KEY,
    "action",
    "confidence",
    "strength",
    "regime",
    "gated",
    *VOTE_COLUMNS,
    "convention",
)


def symbol_signals(rows: pl.DataFrame, regime: pl.DataFrame) -> pl.DataFrame:
    """The signal of every member on every session where it is known, SYMBOL_SIGNAL_COLUMNS sorted by KEY.

    rows: universe, security_id, session and RULE_COLUMNS, one row per member and session, in any order. regime:
    universe, session and ``score``, the breadth score (0 to 100) of the universe as a whole, at most one row per
    universe and session.

    - strength, -1 to 1: the weighted mean of the votes that could be cast. A member on a session with votes of less
      than MIN_WEIGHT of the weights has no row.
    - action: buy from a strength of ACT_AT on, sell from -ACT_AT down, else hold.
    - gated: breadth held the action back, and it became hold: a buy while the score is 40 or below, a sell while it is
      60 or above. A session without a score holds nothing back.
    - confidence, 0 to 1: abs(strength) * share of the weights that voted, halved where the score is unknown. It is the
      strength of the evidence for what the rules say, not a probability, and a gated signal keeps it.
    - regime: the score, rounded as the votes are, or null. vote_NAME: the vote of each of SYMBOL_RULES, -1 to 1, null
      where it is unknown.

    Raises:
        polars.exceptions.ComputeError: regime has a universe and session twice.
    """
    votes = [rule.vote.round(DECIMALS).alias(vote) for rule, vote in zip(SYMBOL_RULES, VOTE_COLUMNS, strict=True)]
    return (
        rows.select(*KEY, *votes)
        .with_columns(weight=_weight_that_voted())
        .with_columns(strength=_strength())
        .drop_nulls("strength")
        .join(gates(regime), on=["universe", "session"], how="left", validate="m:1")
        .with_columns(_decision(), convention=pl.lit(CONVENTION, pl.Int32))
        .with_columns(pl.col(pl.Float64) + 0.0)  # -0.0 becomes 0.0
        .select(SYMBOL_SIGNAL_COLUMNS)
        .sort(KEY)
    )


def gates(regime: pl.DataFrame) -> pl.DataFrame:
    """universe, session, regime: the score as signals name it, in hundredths of its 100 points.

    So they do not depend on what is beyond: one corrected bar moves the sixth decimal of the score for years.
    """
    return regime.select("universe", "session", regime=pl.col("score").cast(pl.Float64).round(REGIME_DECIMALS) + 0.0)


def _weight_that_voted() -> pl.Expr:
    cast = (
        pl.when(pl.col(vote).is_not_null()).then(rule.weight)
        for rule, vote in zip(SYMBOL_RULES, VOTE_COLUMNS, strict=True)
    )
    return pl.sum_horizontal(cast).round(DECIMALS)  # weights are added in binary: 0.25 + 0.15 + 0.10 is not quite 0.5


def _strength() -> pl.Expr:
    votes = (rule.weight * pl.col(vote) for rule, vote in zip(SYMBOL_RULES, VOTE_COLUMNS, strict=True))
    mean = pl.sum_horizontal(votes) / pl.col("weight")
    return pl.when(pl.col("weight") >= MIN_WEIGHT).then(mean.round(DECIMALS))


def _decision() -> list[pl.Expr]:
    """action, gated and confidence, of what would be stored: the rounded strength decides."""
    strength, regime = pl.col("strength"), pl.col("regime")
    buy, sell = strength >= ACT_AT, strength <= -ACT_AT
    gated = ((buy & (regime <= SELL_AT)) | (sell & (regime >= BUY_AT))).fill_null(value=False)
    action = pl.when(gated).then(pl.lit(HOLD)).when(buy).then(pl.lit(BUY)).when(sell).then(pl.lit(SELL))
    known = pl.when(regime.is_null()).then(UNKNOWN_REGIME).otherwise(1.0)
    confidence = (strength.abs() * pl.col("weight") * known).round(DECIMALS)
    return [
        action.otherwise(pl.lit(HOLD)).alias("action"),
        gated.alias("gated"),
        confidence.alias("confidence"),
    ]
