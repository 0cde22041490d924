"""Indicators of each universe and sector, from all counts, counted and published. What they say: market_signals.py."""

import dagster as dg
import polars as pl

from breadthflow_pipelines.contracts import breadth as contracts
from breadthflow_pipelines.contracts.verdict import require
from breadthflow_pipelines.indicators.breadth_catalogue import CATALOGUE
from breadthflow_pipelines.indicators.breadth_catalogue import breadth_indicators as compute_indicators
from breadthflow_pipelines.indicators.counts import breadth_state
from breadthflow_pipelines.model.vocabulary import ALL, KEY
from breadthflow_pipelines.observability.progress import advance
from breadthflow_pipelines.orchestration.asset_definition import stored_asset
from breadthflow_pipelines.orchestration.catalogue_columns import BREADTH_BOUNDS, BREADTH_COLUMNS, origins
from breadthflow_pipelines.orchestration.gates import judge_coverage
from breadthflow_pipelines.orchestration.holds import holds_of, refuse_held
from breadthflow_pipelines.orchestration.partitions import REVISABLE_SESSIONS
from breadthflow_pipelines.orchestration.resources import Market
from breadthflow_pipelines.orchestration.run_figures import RowCounts
from breadthflow_pipelines.orchestration.ui_metadata import marked, plotted, shown
from breadthflow_pipelines.reports.charts import indicator_charts
from breadthflow_pipelines.warehouse import breadth_store
from breadthflow_pipelines.warehouse.universe_listing import synthetic_universes

_LATEST_SHOWN = ("ad_line", "mcclellan_oscillator_ratio", "zweig_ema", "pct_above_50", "net_new_highs")
_PLOTTED = {
    "net_advances": pl.col("advances") - pl.col("declines"),
    "mcclellan_oscillator": pl.col("mcclellan_oscillator_ratio"),
    "pct_above_50": pl.col("pct_above_50"),
    "pct_above_200": pl.col("pct_above_200"),
    "members_priced": pl.col("priced"),
    "coverage": pl.col("coverage"),
}


@stored_asset(
    "breadth_indicators",
    code_version="2",
    layer="indicators",
    kinds={"pandera"},
    made_of=origins(CATALOGUE, "breadth_counts"),
    derived_columns=BREADTH_COLUMNS,
    deps=[
        dg.AssetDep("breadth_counts", partition_mapping=dg.AllPartitionMapping()),
        dg.AssetDep("exchange_breadth"),
    ],
)
def breadth_indicators(context: dg.AssetExecutionContext, market: Market) -> dg.MaterializeResult:  # type: ignore[type-arg]
    """The A/D line, McClellan, Zweig's average and the rest, from all of history; only changed rows are written."""
    with market.store.exclusive("breadth_indicators"):
        judge_coverage(market, context.run.run_id)  # the gate may be another one than when they were counted
        holds = holds_of(market, "breadth_indicators")
        counts = holds.without_held(breadth_store.all_counts(market.store))
        closed = market.calendar.last_closed()
        revisable_from = market.calendar.back(closed, REVISABLE_SESSIONS - 1)
        states = breadth_state(counts, market.settings.coverage_gate, revisable_from)
        computed = compute_indicators(counts).join(states.select(*KEY, "state"), on=KEY)
        contract = contracts.indicators(BREADTH_BOUNDS)
        merged = breadth_store.record_indicators(
            market.store, require(contract, computed), BREADTH_COLUMNS, holds.first_sessions
        )
    advance("breadth indicators", 1, f"{computed.height} rows")
    whole = computed.filter(segment=ALL).join(counts, on=KEY)
    latest = whole.sort("session").group_by("universe", maintain_order=True).last()
    synthetic = synthetic_universes(market.store)
    charts = indicator_charts(counts, computed, synthetic)
    refuse_held(context, market, holds, unless_next=("market_signals", "symbol_signals"))
    return dg.MaterializeResult(
        metadata={
            **{name: dg.MetadataValue.md(text) for name, text in charts.items()},
            **plotted(latest.with_columns(**_PLOTTED), _PLOTTED, synthetic),
            "latest": shown(marked(latest.select("universe", "session", "state", *_LATEST_SHOWN), synthetic)),
            **RowCounts.of(merged).to_metadata(),
            "dagster/row_count": merged.read,
        }
    )
