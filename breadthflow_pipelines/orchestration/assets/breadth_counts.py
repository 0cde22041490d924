"""Counts of each universe and sector, made from bars. Indicators made from them are in breadth_indicators.py."""

import datetime as dt
from collections.abc import Iterator
from typing import NamedTuple

import dagster as dg
import polars as pl

from breadthflow_pipelines.contracts import breadth as contracts
from breadthflow_pipelines.contracts.verdict import require
from breadthflow_pipelines.indicators.counts import count_breadth
from breadthflow_pipelines.indicators.price import WARM_UP_BARS
from breadthflow_pipelines.model.counts import COUNTS
from breadthflow_pipelines.observability.progress import advance
from breadthflow_pipelines.orchestration.assets.monthly import derived_monthly_asset
from breadthflow_pipelines.orchestration.overlap import stored_meanwhile
from breadthflow_pipelines.orchestration.pending_changes import Scope
from breadthflow_pipelines.orchestration.resources import Market
from breadthflow_pipelines.orchestration.ui_metadata import of_market
from breadthflow_pipelines.warehouse import bar_store, breadth_store, security_store
from breadthflow_pipelines.warehouse.bulk import NOTHING, Merged
from breadthflow_pipelines.warehouse.universe_listing import synthetic_universes


class _Year(NamedTuple):
    """Counts of a year, or of the part of it that a run is about."""

    start: dt.date
    end: dt.date
    counts: pl.DataFrame


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
        kinds={"pandera"},
        made_of={
            **{count.name: list(count.made_of) for count in COUNTS},
            "segment": [("securities", "sector")],
            "universe": [("universe_members", "universe")],
        },
        # A month's counts look back over a year of bars, so they need the table, not only the same month of it.
        deps=["bars", "quarantined_bars", "universe_members", "securities"],
    )


def _count(market: Market, scope: Scope, run_id: str) -> Merged:
    """How many members rose, fell, stood above their means, made new extremes; per universe, sector and session."""
    span = scope.span
    members = security_store.members(market.store)
    calendar = market.calendar.frame()

    def counted() -> Iterator[_Year]:
        # Year by year: memory stays small however long the history is.
        for start, end in span.years:
            bars = bar_store.bars_to_count(market.store, start, end, WARM_UP_BARS)
            sessions = calendar.with_columns(counted=pl.col("session").is_between(start, end))
            index = bar_store.index_closes(market.store, market.settings.index_symbols, start, end)
            counts = require(contracts.COUNTS, count_breadth(bars, members, sessions, index))
            yield _Year(start, end, scope.holds.without_held(counts))

    def store(year: _Year) -> tuple[dt.date, Merged]:
        hold = breadth_store.settling_coverage(market.settings.coverage_gate, year.start, year.end, run_id)
        return year.end, breadth_store.record_counts(
            market.store, year.counts, year.start, year.end, hold, scope.holds.first_sessions
        )

    merged = NOTHING
    for done, (end, stored) in enumerate(stored_meanwhile(counted(), store), 1):
        merged += stored
        advance("breadth counts", done / len(span.years), f"through {end}")
    return merged


def _coverage(market: Market, scope: Scope) -> pl.DataFrame:
    coverage = breadth_store.coverage(market.store, scope.own.start, scope.own.end)
    return of_market(coverage, market, synthetic_universes(market.store))
