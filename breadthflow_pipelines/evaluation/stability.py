"""How many of a rule's events are still there when the data or the conventions are a little otherwise.

Who reruns a rule, and with what, is the caller's to say; here the lists are held against each other.
"""

from collections.abc import Iterable, Iterator, Mapping

import numpy as np
import polars as pl

NEAR = 5  # sessions, a week; an event that moved no further is the same event, told on another day
DROPPED = 0.05  # of the members
DROPOUTS = 100
SEED = 20_011

STABILITY_SCHEMA = pl.Schema(
    {
        "universe": pl.String(),
        "rule": pl.String(),
        "action": pl.String(),
        "variation": pl.String(),
        "reruns": pl.Int32(),
        "events": pl.Int32(),
        "kept": pl.Float64(),
        "kept_least": pl.Float64(),
        "kept_near": pl.Float64(),
        "jaccard": pl.Float64(),
    }
)
_LIST = ("universe", "rule", "action")


def stability(
    events: pl.DataFrame, reruns: Mapping[str, Iterable[pl.DataFrame]], sessions: pl.DataFrame
) -> pl.DataFrame:
    """Hold each list of events against its reruns: STABILITY_SCHEMA, sorted.

    events and each rerun: universe, rule, action, session. reruns: the lists of each variation by its name; a generator
    is read once, list by list. sessions: session, ordinal.

    kept: the share of the ``events`` that the rerun has on the same session, on average of the reruns; kept_least: of
    the worst of them. kept_near: within NEAR sessions. jaccard: events in both of the events in either, so that a rerun
    that fires every day keeps all and has little of it. A list without events has no row: there is nothing to keep.
    """
    own = _numbered(events, sessions)
    held = []
    for variation, lists in reruns.items():
        for rerun in lists:
            told = _against(own, _numbered(rerun, sessions))
            held.append(told.with_columns(variation=pl.lit(variation)))
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
            kept_near=pl.col("near").mean(),
            jaccard=pl.col("jaccard").mean(),
        )
        .select(STABILITY_SCHEMA.names())
        .sort(*_LIST, "variation")
    )


def dropouts(
    members: pl.DataFrame, draws: int = DROPOUTS, share: float = DROPPED, seed: int = SEED
) -> Iterator[pl.DataFrame]:
    """Memberships from which a share of the securities is missing at random, anew in each draw; whole numbers of them.

    members: security_id and whatever else; a security that is dropped is dropped from every universe.
    """
    dice = np.random.default_rng(seed)
    everyone = members["security_id"].unique().sort().to_numpy()
    gone = round(share * len(everyone))
    for _ in range(draws):
        yield members.filter(~pl.col("security_id").is_in(dice.choice(everyone, gone, replace=False)))


def _numbered(events: pl.DataFrame, sessions: pl.DataFrame) -> pl.DataFrame:
    """Each event once, with the number of its session."""
    known = sessions.select("session", number=pl.col("ordinal").cast(pl.Int64))
    return events.select(*_LIST, "session").unique().join(known, on="session").sort("number")


def _against(own: pl.DataFrame, rerun: pl.DataFrame) -> pl.DataFrame:
    """events, kept, near and jaccard of each list that has events."""
    there = rerun.select(*_LIST, "number", found=pl.col("number"))
    nearest = own.join_asof(
        there, on="number", by=list(_LIST), strategy="nearest", tolerance=NEAR, check_sortedness=False
    )
    same = pl.col("found") == pl.col("number")
    sizes = rerun.group_by(_LIST).agg(others=pl.len())
    both = (same.sum()).fill_null(0)
    return (
        nearest.group_by(_LIST)
        .agg(events=pl.len(), both=both, near=pl.col("found").is_not_null().mean())
        .join(sizes, on=list(_LIST), how="left")
        .select(
            *_LIST,
            "events",
            "near",
            kept=pl.col("both") / pl.col("events"),
            jaccard=pl.col("both") / (pl.col("events") + pl.col("others").fill_null(0) - pl.col("both")),
        )
    )
