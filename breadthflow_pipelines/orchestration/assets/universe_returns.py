"""The returns that signals are held against, made from bars. What followed each signal is in signal_outcomes.py."""

from functools import reduce

import dagster as dg
import polars as pl

from breadthflow_pipelines.contracts import evaluation as contracts
from breadthflow_pipelines.contracts.verdict import require
from breadthflow_pipelines.evaluation.returns import added, partial_returns, returns_of
from breadthflow_pipelines.observability.progress import advance
from breadthflow_pipelines.orchestration.assets.monthly import derived_monthly_asset
from breadthflow_pipelines.orchestration.partitions import Days
from breadthflow_pipelines.orchestration.pending_changes import Reach, Scope
from breadthflow_pipelines.orchestration.resources import Market
from breadthflow_pipelines.orchestration.shards import Shard, parts_of_members
from breadthflow_pipelines.orchestration.ui_metadata import of_market
from breadthflow_pipelines.warehouse import bar_store, evaluation_store, security_store
from breadthflow_pipelines.warehouse.bulk import NOTHING, Merged
from breadthflow_pipelines.warehouse.universe_listing import synthetic_universes


def universe_returns_asset(months: dg.MonthlyPartitionsDefinition) -> dg.AssetsDefinition:
    """The asset ``universe_returns``, cut into these months."""
    return derived_monthly_asset(
        "universe_returns",
        months,
        _compute,
        rows=_totals,
        figures={
            "sessions": pl.col("session").n_unique(),
            "mean_contributing": pl.col("contributing").mean(),
            "most_missing": pl.col("missing").max(),
        },
        code_version="2",
        layer="evaluation",
        reach=Reach(bars=1),
        kinds={"pandera"},
        made_of={
            "return": [("bars", "close"), ("bars", "close_adjusted")],
            "intraday": [("bars", "open"), ("bars", "close")],
            "members": [("universe_members", "security_id")],
            "segment": [("securities", "sector")],
        },
        deps=["bars", "quarantined_bars", "universe_members", "securities"],
    )


def _compute(market: Market, scope: Scope, run_id: str) -> Merged:  # noqa: ARG001 - the rows name no run
    """What the members of each universe and sector returned in equal parts; a member without a bar adds nothing."""
    span, merged = scope.left, NOTHING
    if span.is_empty:
        return merged
    computed = scope.holds.without_held(require(contracts.RETURNS, returns_of(_parts(market, span.days))))
    for start, end in span.years:
        of_year = computed.filter(pl.col("session").is_between(start, end))
        merged += evaluation_store.record_returns(market.store, of_year, start, end, scope.holds.first_sessions)
    advance("universe returns", 1, f"through {span.end}")
    return merged


def _parts(market: Market, days: Days) -> pl.DataFrame:
    """What all members add to the returns of the days; shard by shard, so that memory does not grow with the market."""
    members = security_store.members(market.store)
    sessions = market.calendar.frame().with_columns(counted=pl.col("session").is_between(*days))

    def read(shard: Shard) -> pl.DataFrame:
        return bar_store.bars_to_return(market.store, *days, shard.securities)

    def part(shard: Shard, bars: pl.DataFrame) -> pl.DataFrame:
        return partial_returns(bars, shard.of(members), sessions)

    return reduce(added, parts_of_members(market, days, 1, "universe returns", read, part))


def _totals(market: Market, scope: Scope) -> pl.DataFrame:
    totals = evaluation_store.return_totals(market.store, scope.own.start, scope.own.end)
    return of_market(totals, market, synthetic_universes(market.store))
