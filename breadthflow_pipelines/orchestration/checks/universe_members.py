"""Checks of the members of universes."""

from collections.abc import Mapping, Sequence
from typing import Any

import dagster as dg
import polars as pl

from breadthflow_pipelines.model.gates import listed
from breadthflow_pipelines.orchestration.check_results import stored_result
from breadthflow_pipelines.orchestration.checks.judging import whole_table_result
from breadthflow_pipelines.orchestration.resources import Market
from breadthflow_pipelines.orchestration.ui_metadata import shown
from breadthflow_pipelines.warehouse import member_listing, security_store
from breadthflow_pipelines.warehouse.verdicts import ALL


@dg.asset_check(asset="universe_members", blocking=True)
def universe_has_members(context: dg.AssetCheckExecutionContext, market: Market) -> dg.AssetCheckResult:
    """There are members to count; without any, every month would be empty and look done."""
    members = security_store.members(market.store)
    sizes = members.group_by("universe").agg(securities=pl.col("security_id").n_unique()).sort("universe")
    fault = None if members.height else "no universe has a member"
    passed = "; ".join(f"{universe}: {securities:,} securities" for universe, securities in sizes.iter_rows())
    return whole_table_result(context, market, fault, passed=passed, metadata={"universes": shown(sizes)})


# In a run it waits for the run's own bars.
@dg.asset_check(asset="universe_members", additional_deps=["bars"])
def members_have_bars(context: dg.AssetCheckExecutionContext, market: Market) -> dg.AssetCheckResult:
    """Every member has a bar at some time. One without any lowers coverage, and may only be spelled in another way."""
    missing = member_listing.members_without_bars(market.store)
    texts = [
        f"{len(rows):,} {'member' if len(rows) == 1 else 'members'} of {universe} "
        f"{'has' if len(rows) == 1 else 'have'} no bar: {listed([_lookalike(row) for row in rows])}; all of them: "
        f"breadthflow members --universe {universe} --without-bars"
        for universe, rows in _by_universe(missing).items()
    ]
    return whole_table_result(
        context,
        market,
        ". ".join(texts) or None,
        passed="every member has a bar",
        failing=max(1, len(missing)),
        warn=True,
        metadata={"symbols": sorted({row["symbol"] for row in missing})},
    )


@dg.asset_check(asset="universe_members")
def memberships_still_given(context: dg.AssetCheckExecutionContext, market: Market) -> dg.AssetCheckResult:
    """Every universe that goes on is still given, and of one made of bars every member. The others stay."""
    (key,) = context.selected_asset_check_keys
    return stored_result(market, key, [ALL], passed="every universe and every member is still given")


def _by_universe(rows: Sequence[Mapping[str, Any]]) -> dict[str, list[Mapping[str, Any]]]:
    """The first membership of each member, by universe."""
    found: dict[str, dict[str, Mapping[str, Any]]] = {}
    for row in rows:
        found.setdefault(row["universe"], {}).setdefault(row["symbol"], row)
    return {universe: list(members.values()) for universe, members in found.items()}


def _lookalike(row: Mapping[str, Any]) -> str:
    return f"{row['symbol']} (nearest with bars: {' or '.join(row['nearest'])})" if row["nearest"] else row["symbol"]
