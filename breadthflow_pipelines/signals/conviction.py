"""Conviction: how many dimensions of the market had a recent thrust. The thrusts are defined in rules.py.

Each rule belongs to one dimension, and a dimension counts once: eight rules on advances and declines are one fact.
"""

from collections.abc import Mapping
from typing import Any

import polars as pl

from breadthflow_pipelines.indicators.thrusts import session_number
from breadthflow_pipelines.model.vocabulary import KEY
from breadthflow_pipelines.signals.explanation import ConvictionEvidence, LastThrust, encoded
from breadthflow_pipelines.signals.rules import CONVICTION_SESSIONS, DIMENSIONS, RULES, Dimension

FULL = 4  # the dimensions there are; conviction runs from 0 to this
LEAST = 2  # dimensions that must be computable: with one alone, conviction would only repeat its rules


def conviction(indicators: pl.DataFrame, events: pl.DataFrame) -> pl.DataFrame:
    """Score every session of every universe and segment.

    indicators: KEY and the columns of the rules, in any order, with the whole history; a column that is not there is
    unknown. events: rule and KEY, each on a session of the indicators.

    Gives KEY, ``conviction`` (0 to 4), ``on`` and ``computable`` (dimensions, 0 to 4), sorted by KEY, and of each of
    DIMENSIONS ``NAME_known`` (whether it is computable) and ``NAME_fired`` and ``NAME_rules`` (the session of its last
    thrust and the rules that fired then, sorted; null where it is not on).

    A dimension is computable where the value of any of its rules is known, and on while the last event of any of them,
    this session's or an earlier one's, is fewer than CONVICTION_SESSIONS sessions old: events, not levels, so
    that a market that merely stays strong does not keep it on. conviction = 4 * on / computable, null with fewer than
    LEAST computable. This project's own measure, after public thrust scoreboards; no published levels exist for it.
    """
    known = {dimension: f"{dimension}_known" for dimension in DIMENSIONS}
    rows = indicators.select(
        *KEY, session_number(), *(_known(dimension, indicators).alias(known[dimension]) for dimension in DIMENSIONS)
    ).sort(KEY)
    for dimension in DIMENSIONS:
        rows = _with_last_thrust(rows, dimension, events)
    computable = pl.sum_horizontal(known.values())
    on = pl.sum_horizontal(pl.col(f"{dimension}_fired").is_not_null() for dimension in DIMENSIONS)
    return rows.select(
        *KEY,
        pl.when(computable >= LEAST).then(FULL * on / computable).alias("conviction"),
        on.alias("on"),
        computable.alias("computable"),
        *(f"{dimension}_{fact}" for dimension in DIMENSIONS for fact in ("known", "fired", "rules")),
    )


def conviction_evidence(rows: pl.DataFrame) -> pl.Series:
    """The evidence of each row as it is stored. rows: what conviction() gives, in its order, and ``held_back``.

    Evidence stays the same for weeks, so it is encoded once for each run of equal rows.
    """
    facts = ("known", "fired")  # the rules follow from the session on which they fired
    same = [f"{dimension}_{fact}" for dimension in DIMENSIONS for fact in facts]
    runs = rows.select(pl.struct(*KEY[:2], *same, "held_back").rle_id()).to_series()
    first = rows.filter(runs.is_first_distinct())
    texts = [encoded(_evidence(row)) for row in first.iter_rows(named=True)]
    return pl.Series("evidence", texts, dtype=pl.String).gather(runs)


def _rules(dimension: Dimension) -> list[str]:
    return [name for name, rule in RULES.items() if rule.dimension == dimension]


def _known(dimension: Dimension, indicators: pl.DataFrame) -> pl.Expr:
    """Whether any value of the dimension's rules is known."""
    thrusts = [rule.thrust for rule in RULES.values() if rule.dimension == dimension and rule.thrust]
    values = {thrust.fires[0].column for thrust in thrusts} & set(indicators.columns)
    return pl.any_horizontal(*(pl.col(value).is_not_null() for value in sorted(values)), pl.lit(False))


def _with_last_thrust(rows: pl.DataFrame, dimension: Dimension, events: pl.DataFrame) -> pl.DataFrame:
    """Add ``NAME_fired`` and ``NAME_rules``: the thrust that holds the dimension on, null where none does."""
    fired, rules = f"{dimension}_fired", f"{dimension}_rules"
    thrusts = (
        events.filter(pl.col("rule").is_in(_rules(dimension)))
        .group_by(KEY)
        .agg(pl.col("rule").sort().alias(rules))
        .with_columns(pl.col("session").alias(fired))
    )
    recent = pl.col("number") - pl.col("fired_number") < CONVICTION_SESSIONS
    return (
        rows.join(thrusts, on=KEY, how="left", maintain_order="left")
        .with_columns(fired_number=pl.when(pl.col(fired).is_not_null()).then("number"))
        .with_columns(pl.col("fired_number", fired, rules).forward_fill().over("universe", "segment"))
        .with_columns(pl.when(f"{dimension}_known", recent).then(pl.col(fired, rules)))
        .drop("fired_number")
    )


def _evidence(row: Mapping[str, Any]) -> ConvictionEvidence:
    return ConvictionEvidence(
        computable=[dimension for dimension in DIMENSIONS if row[f"{dimension}_known"]],
        on={
            dimension: LastThrust(row[f"{dimension}_fired"], row[f"{dimension}_rules"])
            for dimension in DIMENSIONS
            if row[f"{dimension}_fired"]
        },
        held_back=row["held_back"],
    )
