"""How many of a rule's events are still there when the data or a convention is a little otherwise.

Who reruns a rule on what is the caller's to say; here the lists are held against each other, and the variations of
rules and members are made. Knows no store.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

import numpy as np
import polars as pl

from breadthflow_pipelines.indicators.breadth_catalogue import CATALOGUE
from breadthflow_pipelines.indicators.thrusts import Thrust, threshold_events
from breadthflow_pipelines.model.vocabulary import AS_PUBLISHED, VARIATIONS, WHOLE
from breadthflow_pipelines.signals.rules import EVENTS

DROPPED = 0.05  # of the members
DRAWS = 100
SEED = 20_011
EXTREMES = ("new_highs", "new_lows")  # of a year

STABILITY_SCHEMA = pl.Schema(
    {
        "universe": pl.String(),
        "rule": pl.String(),
        "variation": pl.String(),
        "reruns": pl.Int32(),
        "events": pl.Int32(),
        "kept": pl.Float64(),
        "kept_least": pl.Float64(),
        "jaccard": pl.Float64(),
    }
)
_LIST = ("universe", "rule")


def stability(events: pl.DataFrame, reruns: Mapping[str, Iterable[pl.DataFrame]]) -> pl.DataFrame:
    """Hold each list of events against its reruns: STABILITY_SCHEMA, sorted.

    events: universe, rule, session. reruns: by variation, the lists of each rerun, with the same columns, and a row
    with a null session for each list that was rerun at all; a generator is read once, list by list.

    kept: the share of the ``events`` that a rerun has on the same session, on average of the reruns; kept_least: of the
    worst. jaccard: events in both of the events in either, on average: a rerun that fires every day keeps all, and has
    little of it. A list without events has no row, for there is nothing to keep.
    """
    own = events.select(*_LIST, "session").unique()
    held = [
        _against(own, rerun.select(*_LIST, "session").unique()).with_columns(variation=pl.lit(variation))
        for variation, lists in reruns.items()
        for rerun in lists
    ]
    if not held:
        return STABILITY_SCHEMA.to_frame()
    return (
        pl.concat(held)
        .group_by(*_LIST, "variation")
        .agg(
            reruns=pl.len().cast(pl.Int32),
            events=pl.col("events").first().cast(pl.Int32),
            kept=pl.col("kept").mean(),
            kept_least=pl.col("kept").min(),
            jaccard=pl.col("jaccard").mean(),
        )
        .select(STABILITY_SCHEMA.names())
        .sort(*_LIST, "variation")
    )


def beside_published(
    counted: pl.DataFrame, published: pl.DataFrame, thrusts: Iterable[Thrust] = EVENTS
) -> pl.DataFrame:
    """Hold the events of counted breadth against those of published counts of the same issues: STABILITY_SCHEMA.

    counted, published: indicators of universes as a whole, under the same names. Only sessions on which a thrust could
    have fired in both are compared, for all that it needs is known there: one that begins later or lacks a count says
    nothing of the other's events.
    """
    thrusts = tuple(thrusts)
    key = [*_LIST, "session"]
    both = _able_to_fire(counted, thrusts).join(_able_to_fire(published, thrusts), on=key)
    own, others = (
        threshold_events(indicators, thrusts).select(key).join(both, on=key, how="semi")
        for indicators in (counted, published)
    )
    compared = both.select(_LIST).unique().with_columns(session=pl.lit(None, pl.Date))
    return stability(own, {AS_PUBLISHED: [pl.concat([others, compared])]})


def _able_to_fire(indicators: pl.DataFrame, thrusts: Iterable[Thrust]) -> pl.DataFrame:
    """universe, rule, session on which all is known that a thrust cannot fire without."""
    able = []
    for thrust in thrusts:
        needed = {condition.column for condition in (*thrust.fires, *thrust.arms) if not condition.or_unknown}
        known = indicators.drop_nulls(sorted(needed))
        able.append(known.select("universe", pl.lit(thrust.name).alias("rule"), "session"))
    return pl.concat(able)


def _against(own: pl.DataFrame, rerun: pl.DataFrame) -> pl.DataFrame:
    """events, kept and jaccard of each list that has events and was rerun."""
    both = own.join(rerun, on=[*_LIST, "session"], how="semi").group_by(_LIST).agg(both=pl.len())
    others = rerun.group_by(_LIST).agg(others=pl.col("session").is_not_null().sum())
    same, union = pl.col("both").fill_null(0), pl.col("events") + pl.col("others") - pl.col("both").fill_null(0)
    return (
        own.group_by(_LIST)
        .agg(events=pl.len())
        .join(others, on=_LIST)
        .join(both, on=_LIST, how="left")
        .select(*_LIST, "events", kept=same / pl.col("events"), jaccard=same / union)
    )


def with_kept(records: pl.DataFrame, kept: pl.DataFrame) -> pl.DataFrame:
    """Records of rules with ``kept_VARIATION`` of each of VARIATIONS, of all of history; null where not computed.

    records: universe, rule, era and whatever else. kept: universe, rule, variation, kept.
    """
    whole = kept.with_columns(era=pl.lit(WHOLE))
    for variation in VARIATIONS:
        own = whole.filter(variation=variation).select(*_LIST, "era", pl.col("kept").alias(f"kept_{variation}"))
        records = records.join(own, on=[*_LIST, "era"], how="left", maintain_order="left")
    return records


def dropouts(
    members: pl.DataFrame, draws: int = DRAWS, share: float = DROPPED, seed: int = SEED
) -> Iterator[pl.DataFrame]:
    """The memberships of those that are missing in each draw: a share of the securities, at random, in whole numbers.

    members: security_id and whatever else; a security that is missing is missing from every universe.
    """
    dice = np.random.default_rng(seed)
    everyone = members["security_id"].unique().sort().to_numpy()
    missing = round(share * len(everyone))
    for _ in range(draws):
        yield members.filter(pl.col("security_id").is_in(dice.choice(everyone, missing, replace=False).tolist()))


def with_a_session_less(thrusts: Iterable[Thrust] = EVENTS) -> list[Thrust]:
    """The thrusts that must fire within some sessions, each with one session less: 9 after the low instead of 10."""
    return [replace(thrust, deadline=thrust.deadline - 1) for thrust in thrusts if thrust.deadline]


def of_extremes(thrusts: Iterable[Thrust] = EVENTS) -> list[Thrust]:
    """The thrusts that look at new highs or lows of a year."""
    return [thrust for thrust in thrusts if thrust.columns & _OF_EXTREMES]


_OF_EXTREMES = {
    name for name, indicator in CATALOGUE.items() if set(indicator.expression.meta.root_names()) & {*EXTREMES}
}
