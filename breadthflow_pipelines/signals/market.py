"""Buy, sell or hold from indicators, each with its confidence and the evidence behind it. Knows no store.

A signal is known at the close of its session, so it can be acted on from the next one. Nothing later enters it: a
history that ends with any signal gives the same signal.
"""

import datetime as dt
import hashlib
from collections.abc import Mapping
from typing import Any

import polars as pl

from breadthflow_pipelines.indicators.conventions import CONVENTION
from breadthflow_pipelines.indicators.counts import coverage_lost
from breadthflow_pipelines.indicators.score import COMPONENTS, NEUTRAL, SPAN, breadth_score
from breadthflow_pipelines.indicators.thrusts import threshold_events
from breadthflow_pipelines.model.vocabulary import (
    ALL,
    BREADTH_SCORE,
    BUY,
    CONVICTION,
    FINAL,
    HOLD,
    KEY,
    MARKET_SIGNAL,
    PROVISIONAL,
    SELL,
)
from breadthflow_pipelines.signals.calibration import CHOSEN, calibrated_events, stretched
from breadthflow_pipelines.signals.conviction import FULL, conviction, conviction_evidence
from breadthflow_pipelines.signals.explanation import (
    Armed,
    Calibration,
    EventEvidence,
    encoded,
    encoded_scores,
)
from breadthflow_pipelines.signals.rules import BUY_AT, CONVICTION_AT, EVENTS, RULES, SELL_AT, levels

FIRED = 0.5  # strength of an event that barely fired
ARMED = 0.25  # added for promptness or depth of an event that was armed; for others, clearance counts instead
CLEARANCE = 0.25  # added for clearing the firing level by a full margin
UNCALIBRATED = 0.5  # factor of the strength where the thresholds were published for another market
DECIMALS = 6  # of evidence and confidence, so that stored values do not depend on the last bit of a float


def market_signals(counts: pl.DataFrame, indicators: pl.DataFrame) -> pl.DataFrame:
    """The signals of every rule in RULES, MARKET_SIGNAL sorted by universe, segment, session and rule.

    counts: KEY and the count columns. indicators: KEY, the indicator columns, settled, and ``state`` as breadth_state
    gives it. Both with the whole history of each universe and segment, in any order.

    - Events give a row on their session only: the rule's action, with the value and the level that it crossed.
      Calibrated rules apply to universes that the rule was not published for.
    - conviction gives a row for every session that has one: buy from 3 of 4 dimensions on, else hold.
    - breadth_score gives a row for every session with a score. threshold is the level that decides: the nearer one, 60
      for a score of 50 and above, else 40.
    - confidence, 0 to 1, is the strength of the evidence, not a probability: for an event its promptness, depth and
      clearance, for conviction the share of the four dimensions that are on, for a score its distance from 50. Halved
      where the rule is not calibrated for the universe, and multiplied by the coverage where that is known.
    - state is the row's own, but provisional until the indicators are settled.
    - On a session that lost much of its coverage every action is hold, because part of the market is unknown. The
      action without this is in the evidence, as held_back.
    - evidence is JSON, one of the records in explanation.py: how an event was armed, which columns were unknown and how
      its levels were chosen, which thrusts keep a dimension on, or each component of the score.
    """
    outage = coverage_lost().over("universe", "segment", order_by="session").fill_null(value=False)
    covered = counts.select(*KEY, "coverage", outage=outage)
    known = indicators.join(covered, on=KEY, how="left").select(
        *KEY,
        pl.col("coverage").fill_null(1.0),
        pl.col("outage").fill_null(value=False),
        state=pl.when("settled").then("state").otherwise(pl.lit(PROVISIONAL)),
    )
    fired = pl.concat([threshold_events(indicators, EVENTS), calibrated_events(indicators)], how="diagonal")
    found = pl.concat(
        [_events(fired, known), _conviction(indicators, fired, known), _scores(counts, indicators, known)]
    )
    calibration = pl.when("calibrated").then(1.0).otherwise(UNCALIBRATED)
    names = found.select("rule", *KEY).iter_rows()
    return (
        found.with_columns(
            signal_id=pl.Series([signal_id(*name) for name in names], dtype=pl.String),
            convention=pl.lit(CONVENTION, pl.Int32),
        )
        .with_columns(confidence=(pl.col("strength") * calibration * pl.col("coverage")).round(DECIMALS))
        .select(MARKET_SIGNAL)
        .sort(*KEY, "rule")
    )


def changed_signals(before: pl.DataFrame, after: pl.DataFrame) -> pl.DataFrame:
    """Changed signals of sessions on which everything was final: those that were added, removed or turned.

    before, after: universe, segment, session, rule, action, value, state. Returns the key, action_before, action and
    both values, newest first. A score that moved without turning is the same signal. Sessions whose counts may still
    change are left out, and those without earlier signals.
    """
    final = before.group_by(KEY).agg(final=(pl.col("state") == FINAL).all()).filter("final").select(KEY)
    both = (
        before.drop("state")
        .join(
            after.select(*KEY, "rule", "action", "value"), on=[*KEY, "rule"], how="full", coalesce=True, suffix="_now"
        )
        .filter(pl.col("action").ne_missing(pl.col("action_now")))
    )
    return (
        both.join(final, on=KEY)
        .select(*KEY, "rule", action_before="action", action="action_now", value_before="value", value="value_now")
        .sort("session", *KEY[:2], "rule", descending=[True, False, False, False])
    )


def signal_id(rule: str, universe: str, segment: str, session: dt.date) -> str:
    """16 hexadecimal characters that identify the signal permanently, whenever it is computed."""
    return hashlib.blake2b(f"{rule}|{universe}|{segment}|{session}".encode(), digest_size=8).hexdigest()


_FOUND = (
    "rule",
    *KEY,
    "action",
    "strength",
    "value",
    "threshold",
    "calibrated",
    "coverage",
    "state",
    "evidence",
)


def _held_back(rows: pl.DataFrame, known: pl.DataFrame) -> pl.DataFrame:
    """The rows with coverage and state, and ``held_back``: on a session with an outage the action, which becomes hold.

    known: KEY, coverage, outage, state.
    """
    return rows.join(known, on=KEY, how="left", maintain_order="left").with_columns(
        held_back=pl.when("outage").then("action"),
        action=pl.when("outage").then(pl.lit(HOLD)).otherwise("action"),
    )


def _events(events: pl.DataFrame, known: pl.DataFrame) -> pl.DataFrame:
    """Every event as a signal. events: in EVENT_SCHEMA and CHOSEN, which is null except for calibrated rules."""
    facts = pl.DataFrame(
        [
            (name, rule.action, rule.thrust.deadline, rule.full_margin, rule.full_depth, rule.published_for)
            for name, rule in RULES.items()
            if rule.thrust
        ],
        schema={
            "rule": pl.String(),
            "action": pl.String(),
            "deadline": pl.Int32(),
            "full_margin": pl.Float64(),
            "full_depth": pl.Float64(),
            "published_for": pl.List(pl.String()),
        },
        orient="row",
    )
    published = pl.col("universe").is_in(pl.col("published_for")) & (pl.col("segment") == ALL)
    found = _held_back(events.join(facts, on="rule", how="left", maintain_order="left"), known)
    return found.with_columns(
        strength=_strength(),
        calibrated=published | pl.col("stretch").is_not_null(),
        evidence=pl.Series(map(_encoded_event, _rounded(found).iter_rows(named=True)), dtype=pl.String),
    ).select(_FOUND)


def _strength() -> pl.Expr:
    """FIRED, plus up to as much again: half for promptness or depth and half for clearance, or all for clearance.

    Promptness is full one session after arming and zero on the last session allowed; depth counts where there is no
    such limit. A value that is only yes or no has neither depth nor clearance.
    """
    promptness = (pl.col("deadline") - pl.col("gap")) / (pl.col("deadline") - 1)
    depth = pl.col("depth") / pl.col("full_depth")
    clearance = (pl.col("margin") / pl.col("full_margin")).clip(0, 1).fill_null(0)
    armed = pl.coalesce(promptness, depth).clip(0, 1).fill_null(0)
    return (
        FIRED
        + CLEARANCE * clearance
        + ARMED * pl.when(pl.col("armed_session").is_not_null()).then(armed).otherwise(clearance)
    )


def _encoded_event(event: Mapping[str, Any]) -> str:
    rule, stretch = RULES[event["rule"]], event["stretch"]
    thrust = rule.thrust if stretch is None else stretched(rule, stretch)
    evidence = EventEvidence(
        margin=event["margin"],
        levels={name: round(level, DECIMALS) for name, level in (levels(thrust) if thrust else {}).items()},
        armed=Armed(event["armed_session"], event["gap"], event["extreme"]) if event["armed_session"] else None,
        unknown=event["unknown"] or (),
        calibration=None if stretch is None else Calibration(**{name: event[name] for name in CHOSEN}),
        held_back=event["held_back"],
    )
    return encoded(evidence)


def _conviction(indicators: pl.DataFrame, events: pl.DataFrame, known: pl.DataFrame) -> pl.DataFrame:
    value = pl.col("conviction")
    scored = (
        conviction(indicators, events)
        .drop_nulls("conviction")
        .with_columns(
            rule=pl.lit(CONVICTION),
            action=pl.when(value >= CONVICTION_AT).then(pl.lit(BUY)).otherwise(pl.lit(HOLD)),
            strength=pl.col("on") / FULL,
            value=value,
            threshold=pl.lit(CONVICTION_AT),
            calibrated=pl.lit(False),
        )
    )
    found = _held_back(scored, known)
    return found.with_columns(conviction_evidence(found)).select(_FOUND)


def _scores(counts: pl.DataFrame, indicators: pl.DataFrame, known: pl.DataFrame) -> pl.DataFrame:
    score = pl.col("score")
    action = pl.when(score >= BUY_AT).then(pl.lit(BUY)).when(score <= SELL_AT).then(pl.lit(SELL))
    scores = (
        breadth_score(counts, indicators)
        .drop_nulls("score")
        .with_columns(
            rule=pl.lit(BREADTH_SCORE),
            action=action.otherwise(pl.lit(HOLD)),
            value=score,
            threshold=pl.when(score >= NEUTRAL).then(BUY_AT).otherwise(SELL_AT),
            strength=(score - NEUTRAL).abs() / SPAN * pl.col("weight"),
            calibrated=pl.lit(False),
        )
    )
    found = _held_back(scores, known)
    facts = _rounded(found.select(*COMPONENTS, *(f"{name}_z" for name in COMPONENTS), "weight", "held_back"))
    weights = {name: part.weight for name, part in COMPONENTS.items()}
    return found.with_columns(encoded_scores(facts, weights)).select(_FOUND)


def _rounded(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.with_columns(pl.col(pl.Float64).round(DECIMALS) + 0.0)  # -0.0 becomes 0.0
