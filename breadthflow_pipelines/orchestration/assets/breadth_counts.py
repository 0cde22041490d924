"""Counts of each universe and sector, made from bars. Indicators made from them are in breadth_indicators.py."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce

import dagster as dg
import polars as pl

from breadthflow_pipelines.contracts import breadth as contracts
from breadthflow_pipelines.contracts.verdict import require
from breadthflow_pipelines.indicators.counts import added, breadth_of, partial_counts
from breadthflow_pipelines.indicators.price import WARM_UP_BARS
from breadthflow_pipelines.model.counts import COUNTS
from breadthflow_pipelines.observability.progress import advance
from breadthflow_pipelines.orchestration.assets.monthly import derived_monthly_asset
from breadthflow_pipelines.orchestration.fanout import spread
from breadthflow_pipelines.orchestration.holdings import index_closes
from breadthflow_pipelines.orchestration.holds import AssetHolds
from breadthflow_pipelines.orchestration.partitions import Days, Span
from breadthflow_pipelines.orchestration.pending_changes import Reach, Scope
from breadthflow_pipelines.orchestration.piecework import Stage
from breadthflow_pipelines.orchestration.resources import Market
from breadthflow_pipelines.orchestration.shards import Shard, parts_of_members
from breadthflow_pipelines.orchestration.ui_metadata import of_market
from breadthflow_pipelines.warehouse import bar_store, breadth_store, security_store
from breadthflow_pipelines.warehouse.bulk import NOTHING, Merged
from breadthflow_pipelines.warehouse.universe_listing import synthetic_universes


def breadth_counts_asset(months: dg.MonthlyPartitionsDefinition) -> dg.AssetsDefinition:
    """The asset ``breadth_counts``, cut into these months."""
    return derived_monthly_asset(
        "breadth_counts",
        months,
        _count,
        rows=_coverage,
        figures={
            "sessions": pl.col("session").n_unique(),
            "least_coverage": pl.col("coverage").min(),
            "mean_priced": pl.col("priced").mean(),
        },
        code_version="1",
        layer="counts",
        reach=Reach(bars=WARM_UP_BARS),
        kinds={"pandera"},
        made_of={
            **{count.name: list(count.made_of) for count in COUNTS},
            "segment": [("securities", "sector")],
            "universe": [("universe_members", "universe")],
        },
        # A month's counts look back over a year of bars, so they need the table, not only the same month of it.
        deps=["bars", "quarantined_bars", "universe_members", "securities"],
    )


@dataclass(frozen=True)
class _OfDays:
    """Counts of all universes on some days. calendar: all sessions. index: closes of each universe's index."""

    calendar: pl.DataFrame
    index: pl.DataFrame
    holds: AssetHolds
    run_id: str

    @property
    def stages(self) -> Sequence[Stage]:
        return self._counted, self._stored

    def _counted(self, market: Market, days: Days, _: None) -> pl.DataFrame:
        parts = _parts(market, days, self.calendar)
        index = self.index.filter(pl.col("session").is_between(*days))
        return self.holds.without_held(require(contracts.COUNTS, breadth_of(parts, index)))

    def _stored(self, market: Market, days: Days, counts: pl.DataFrame) -> Merged:
        merged = NOTHING
        for start, end in Span(*days, through=days.end).years:
            hold = breadth_store.settling_coverage(market.settings.coverage_gate, start, end, self.run_id)
            of_year = counts.filter(pl.col("session").is_between(start, end))
            merged += breadth_store.record_counts(market.store, of_year, start, end, hold, self.holds.first_sessions)
        return merged


def _count(market: Market, scope: Scope, run_id: str) -> Merged:
    """How many members rose, fell, stood above their means, made new extremes; per universe, sector and session."""
    span, merged = scope.left, NOTHING
    index = index_closes(market.settings, market.store)  # it may be in a file that is only here
    if not span.is_empty:
        # In one piece the bars that only warm up are read once; on a cluster each year reads its own.
        pieces = [span.days] if market.settings.cluster is None else span.years
        work = _OfDays(market.calendar.frame(), index, scope.holds, run_id)
        for done, (days, stored) in enumerate(spread(market, "breadth_counts", work, pieces), start=1):
            merged += stored
            advance("breadth counts", done / len(pieces), f"through {days.end}")
    # Else sessions that were counted before would keep another index, or another scale of this one.
    return merged + breadth_store.record_index(market.store, index, scope.holds.first_sessions)


def _parts(market: Market, days: Days, calendar: pl.DataFrame) -> pl.DataFrame:
    """What all members add to the counts of the days; shard by shard, so that memory does not grow with the market."""
    members = security_store.members(market.store)
    sessions = calendar.with_columns(counted=pl.col("session").is_between(*days))

    def read(shard: Shard) -> pl.DataFrame:
        return bar_store.bars_to_count(market.store, *days, WARM_UP_BARS, shard.securities)

    def count(shard: Shard, bars: pl.DataFrame) -> pl.DataFrame:
        return partial_counts(bars, shard.of(members), sessions)

    return reduce(added, parts_of_members(market, days, WARM_UP_BARS, "breadth counts", read, count))


def _coverage(market: Market, scope: Scope) -> pl.DataFrame:
    coverage = breadth_store.coverage(market.store, scope.own.start, scope.own.end)
    return of_market(coverage, market, synthetic_universes(market.store))
