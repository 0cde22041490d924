"""Members and universes that are not given any more: kept, and told. What is kept of whom: contracts/memberships.py.

A symbol without its file and one whose file is lost for an evening look the same, as with bars (still_given.py).
"""

import datetime as dt

import polars as pl

from breadthflow_pipelines.contracts.memberships import WHOSE, joined, reaching_beyond
from breadthflow_pipelines.model.gates import listed
from breadthflow_pipelines.orchestration.resources import Market
from breadthflow_pipelines.reports.bulletin import number
from breadthflow_pipelines.sources.protocol import MembersByBars
from breadthflow_pipelines.warehouse import bar_store, security_store, universe_listing, verdicts
from breadthflow_pipelines.warehouse.verdicts import ALL, Fault

CHECK = "memberships_still_given"


def lasting(market: Market, given: pl.DataFrame) -> pl.DataFrame:
    """The memberships to store: those given and, where they were made of bars, what stays of the stored ones.

    given: as resolve_members gives them. A universe file is a list, and so is what other sources bring.
    """
    source, settings = market.source, market.settings
    if settings.universe_file or not isinstance(source, MembersByBars):
        return given
    newest = source.members_reach()
    stored = security_store.memberships(market.store, given["universe"].unique().sort().to_list())
    beyond = reaching_beyond(given, stored)
    if newest is None or beyond.is_empty():
        return given
    bars = bar_store.ends_of_bars(market.store, beyond["security_id"].unique().to_list())
    return joined(given, beyond, bars, newest, settings.start_date)


def judge_memberships(market: Market, given: pl.DataFrame, stored: pl.DataFrame, run_id: str) -> None:
    """Store the verdict on all memberships. given: what was given; stored: what lasting() made of it."""
    going_on = universe_listing.open_universes(market.store, synthetic=market.source.synthetic)
    spoken_of = set(given["universe"])
    universes = {row["universe"]: row["members"] for row in going_on if row["universe"] not in spoken_of}
    members = _gone(given, stored)
    said = [f"{name} is no longer given and goes on with its {number(n, 'member')}" for name, n in universes.items()]
    said += [f"the source no longer has {number(len(of), 'member')} of {name}: {listed(of)}" for name, of in members]
    failing = sum(universes.values()) + sum(len(of) for _, of in members)
    faults = {ALL: Fault(failing, "; ".join(said))} if said else {}
    verdicts.record(market.store, "universe_members", CHECK, [ALL], faults, run_id=run_id, severity="warn")


def _gone(given: pl.DataFrame, stored: pl.DataFrame) -> list[tuple[str, list[str]]]:
    """By universe, the symbols of members that are stored and not given, with their end; who left last is first."""
    latest = stored.sort("valid_from").unique(WHOSE, keep="last").join(given, on=WHOSE, how="anti")
    ordered = latest.sort(
        "universe", pl.col("valid_to").fill_null(dt.date.max), "symbol", descending=[False, True, False]
    )
    ends = pl.format("left {}", "valid_to").fill_null("still in")
    named = ordered.select("universe", symbol=pl.format("{} ({})", "symbol", ends))
    return [(name, rows["symbol"].to_list()) for (name,), rows in named.group_by("universe", maintain_order=True)]
