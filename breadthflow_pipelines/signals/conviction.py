"""Conviction: how many sides of the market had a thrust lately. Counts no fact twice; what a thrust is, is in rules.py.

Eight rules on advances and declines tell of one fact: each rule belongs to one dimension, and a dimension counts once.
"""

import polars as pl

from breadthflow_pipelines.indicators.thrusts import session_number
from breadthflow_pipelines.model.vocabulary import KEY
from breadthflow_pipelines.signals.rules import CONVICTION_SESSIONS, DIMENSIONS, RULES, Dimension

FULL = 4  # the dimensions there are; conviction runs from 0 to this
LEAST = 2  # dimensions that must be computable: one alone would be its rules under another name


def conviction(indicators: pl.DataFrame, events: pl.DataFrame) -> pl.DataFrame:
    """Score every session of every universe and segment.

    indicators: KEY and the columns of the rules, in any order, with the whole history; a column that is not there is
    unknown. events: rule and KEY, each on a session of the indicators.

    Gives KEY, ``conviction`` (0 to 4), ``on`` and ``computable`` (dimensions, 0 to 4) and ``evidence``, sorted by KEY.
    A dimension is computable where the value of any of its rules is known, and on while the last event of any of them,
    this session's or an earlier one's, is fewer than CONVICTION_SESSIONS sessions old: events, not levels, so that a
    market that merely stays strong does not keep it on. conviction = 4 * on / computable, null with fewer than LEAST
    computable. evidence: JSON text with the computable dimensions and, of those that are on, the rules that fired last
    and when. This project's own measure, after public thrust scoreboards; no published levels exist for it.
    """
    rows = indicators.select(
        *KEY, session_number(), *(_known(dimension, indicators).alias(dimension) for dimension in DIMENSIONS)
    ).sort(KEY)
    for dimension in DIMENSIONS:
        rows = _with_last_thrust(rows, dimension, events)
    computable = pl.sum_horizontal(DIMENSIONS)
    on = pl.sum_horizontal(pl.col(f"{dimension}_says").is_not_null() for dimension in DIMENSIONS)
    return rows.select(
        *KEY,
        pl.when(computable >= LEAST).then(FULL * on / computable).alias("conviction"),
        on.alias("on"),
        computable.alias("computable"),
        _evidence().alias("evidence"),
    )


def _rules(dimension: Dimension) -> list[str]:
    return [name for name, rule in RULES.items() if rule.dimension == dimension]


def _known(dimension: Dimension, indicators: pl.DataFrame) -> pl.Expr:
    """Whether any value of the dimension's rules is known."""
    thrusts = [rule.thrust for rule in RULES.values() if rule.dimension == dimension and rule.thrust]
    values = {thrust.fires[0].column for thrust in thrusts} & set(indicators.columns)
    return pl.any_horizontal(*(pl.col(value).is_not_null() for value in sorted(values)), pl.lit(False))


def _with_last_thrust(rows: pl.DataFrame, dimension: Dimension, events: pl.DataFrame) -> pl.DataFrame:
    """Add ``DIMENSION_says``: the JSON of the thrust that holds the dimension on, null where it is not."""
    last = (
        events.filter(pl.col("rule").is_in(_rules(dimension)))
        .group_by(KEY)
        .agg(rules=pl.col("rule").sort().str.join('", "'))
        .with_columns(
            says=pl.concat_str(
                pl.lit(f'"{dimension}": {{"fired": "'),
                pl.col("session").cast(pl.String),
                pl.lit('", "rules": ["'),
                "rules",
                pl.lit('"]}'),
            )
        )
        .select(*KEY, "says")
    )
    recent = pl.col("number") - pl.col("fired") < CONVICTION_SESSIONS
    return (
        rows.join(last, on=KEY, how="left", maintain_order="left")
        .with_columns(fired=pl.when(pl.col("says").is_not_null()).then("number"))
        .with_columns(pl.col("fired", "says").forward_fill().over("universe", "segment"))
        .with_columns(pl.when(dimension, recent).then("says").alias(f"{dimension}_says"))
        .drop("fired", "says")
    )


def _evidence() -> pl.Expr:
    """Written as text, because a row per session of JSON built in Python would take longer than all the rest."""
    names = (pl.when(dimension).then(pl.lit(f'"{dimension}"')) for dimension in DIMENSIONS)
    says = (pl.col(f"{dimension}_says") for dimension in DIMENSIONS)
    return pl.concat_str(
        pl.lit('{"computable": ['),
        pl.concat_str(names, separator=", ", ignore_nulls=True),
        pl.lit('], "on": {'),
        pl.concat_str(says, separator=", ", ignore_nulls=True),
        pl.lit("}}"),
    )
