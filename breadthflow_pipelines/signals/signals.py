"""Buy, sell or hold out of indicators, each with its confidence and the evidence behind it. Knows no store.

A signal is known at the close of its session, so it can be acted on from the next one. Nothing later than that session
enters it: the history cut at any signal gives the same signal.
"""

import datetime as dt
import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from breadthflow_pipelines.indicators.conventions import CONVENTION
from breadthflow_pipelines.indicators.counts import ALL, KEY
from breadthflow_pipelines.indicators.score import COMPONENTS, NEUTRAL, SPAN, breadth_score
from breadthflow_pipelines.indicators.thrusts import (
    MCCLELLAN_OVERSOLD_RECOVERY,
    ZWEIG_BREADTH_THRUST,
    ZWEIG_SESSIONS,
    Recovery,
    threshold_events,
)
from breadthflow_pipelines.signals.rules import BUY_AT, RULES, SELL_AT, Rule

SIGNAL_COLUMNS = (
    "signal_id",
    "universe",
    "segment",
    "session",
    "rule",
    "action",
    "confidence",
    "value",
    "threshold",
    "calibrated",
    "state",
    "convention",
    "evidence",
)

FIRED = 0.5  # strength of an event that just made it: the rule fired, and nothing more
PROMPTNESS = 0.25  # added for a Zweig thrust one session after its low day; nothing on the last session allowed
DEPTH = 0.25  # added for an oscillator that fell another 100 points below its arming level, or further
CLEARANCE = 0.25  # added for clearing the firing level by a full margin
ZWEIG_FULL_MARGIN = 0.05  # published thrusts clear 0.615 by thousandths to a few hundredths
MCCLELLAN_FULL_DEPTH = 100.0  # below the arming level
MCCLELLAN_FULL_MARGIN = 70.0  # from -70 to the zero line
UNCALIBRATED = 0.5  # what is left of the strength where the thresholds were published for another market
DECIMALS = 6  # in evidence and confidence: what is stored does not change with the last bit of a float


def market_signals(counts: pl.DataFrame, indicators: pl.DataFrame) -> pl.DataFrame:
    """The signals of every rule in RULES, SIGNAL_COLUMNS sorted by universe, segment, session and rule.

    counts: KEY and the count columns. indicators: KEY, the indicator columns, settled, and ``state`` as breadth_state
    gives it. Both with the whole history of each universe and segment, in any order.

    - Events (Zweig, McClellan) give a row on their session only: buy, with the value and the level it rose through.
    - breadth_score gives a row for every session with a score. threshold is the level that decided: the nearer one, 60
      for a score of 50 and above, else 40.
    - confidence, 0 to 1, is the strength of the evidence, not a probability: of an event how prompt, deep and clear it
      was, of a score how far it lies from 50. Halved where the rule is not calibrated for the universe, and multiplied
      by the coverage where that is known.
    - state is the row's own, but provisional until the indicators are settled.
    - evidence is JSON: how the event was armed, or each component of the score.
    """
    known = indicators.join(counts.select(*KEY, "coverage"), on=KEY, how="left").select(
        *KEY,
        pl.col("coverage").fill_null(1.0),
        state=pl.when("settled").then("state").otherwise(pl.lit("provisional")),
    )
    found = pl.concat([_zweig(indicators), _mcclellan(indicators), _scores(counts, indicators)])
    calibration = pl.when("calibrated").then(1.0).otherwise(UNCALIBRATED)
    names = found.select("rule", "universe", "segment", "session").iter_rows()
    return (
        found.with_columns(
            signal_id=pl.Series([signal_id(*name) for name in names], dtype=pl.String),
            convention=pl.lit(CONVENTION, pl.Int32),
        )
        .join(known, on=KEY, how="left")
        .with_columns(confidence=(pl.col("strength") * calibration * pl.col("coverage")).round(DECIMALS))
        .select(SIGNAL_COLUMNS)
        .sort("universe", "segment", "session", "rule")
    )


def signal_id(rule: str, universe: str, segment: str, session: dt.date) -> str:
    """16 hexadecimal characters that name this signal for ever, whenever it is computed."""
    return hashlib.blake2b(f"{rule}|{universe}|{segment}|{session}".encode(), digest_size=8).hexdigest()


def _zweig(indicators: pl.DataFrame) -> pl.DataFrame:
    promptness = (ZWEIG_SESSIONS - pl.col("gap")) / (ZWEIG_SESSIONS - 1)
    clearance = (pl.col("margin") / ZWEIG_FULL_MARGIN).clip(0, 1)
    strength = FIRED + PROMPTNESS * promptness + CLEARANCE * clearance
    return _events(indicators, ZWEIG_BREADTH_THRUST, RULES["zweig_breadth_thrust"], strength)


def _mcclellan(indicators: pl.DataFrame) -> pl.DataFrame:
    depth = ((MCCLELLAN_OVERSOLD_RECOVERY.arms_at - pl.col("low")) / MCCLELLAN_FULL_DEPTH).clip(0, 1)
    clearance = (pl.col("margin") / MCCLELLAN_FULL_MARGIN).clip(0, 1)
    strength = FIRED + DEPTH * depth + CLEARANCE * clearance
    return _events(indicators, MCCLELLAN_OVERSOLD_RECOVERY, RULES["mcclellan_oversold_recovery"], strength)


def _events(indicators: pl.DataFrame, recovery: Recovery, rule: Rule, strength: pl.Expr) -> pl.DataFrame:
    events = threshold_events(indicators, recovery).with_columns(
        action=pl.lit("buy"), threshold=pl.lit(recovery.fires_above), strength=strength
    )
    evidence = [
        event | {"levels": dict(rule.thresholds)}
        for event in _rounded(events.select("armed_session", "gap", "low", "margin")).iter_rows(named=True)
    ]
    return _found(events, rule, evidence)


def _scores(counts: pl.DataFrame, indicators: pl.DataFrame) -> pl.DataFrame:
    score = pl.col("score")
    scores = (
        breadth_score(counts, indicators)
        .drop_nulls("score")
        .with_columns(
            action=pl.when(score >= BUY_AT).then(pl.lit("buy")).when(score <= SELL_AT).then(pl.lit("sell")),
            value=score,
            threshold=pl.when(score >= NEUTRAL).then(BUY_AT).otherwise(SELL_AT),
            strength=(score - NEUTRAL).abs() / SPAN * pl.col("weight"),
        )
        .with_columns(pl.col("action").fill_null("hold"))
    )
    evidence = [
        {
            "components": {
                name: {"value": row[name], "weight": part.weight, "z": row[f"{name}_z"]}
                for name, part in COMPONENTS.items()
            },
            "weight": row["weight"],
        }
        for row in _rounded(scores).iter_rows(named=True)
    ]
    return _found(scores, RULES["breadth_score"], evidence)


def _found(rows: pl.DataFrame, rule: Rule, evidence: Sequence[Mapping[str, Any]]) -> pl.DataFrame:
    """What every rule finds, in the same columns: strength is still to become confidence."""
    return rows.select(
        *KEY,
        pl.lit(rule.name).alias("rule"),
        "action",
        "strength",
        "value",
        "threshold",
        (pl.col("universe").is_in(rule.published_for) & (pl.col("segment") == ALL)).alias("calibrated"),
        pl.Series("evidence", [json.dumps(item, sort_keys=True, default=str) for item in evidence], dtype=pl.String),
    )


def _rounded(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.with_columns(pl.col(pl.Float64).round(DECIMALS) + 0.0)  # -0.0 becomes 0.0
