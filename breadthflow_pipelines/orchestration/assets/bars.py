"""Daily bars, from the source into the store. What is left out of all that follows is in quarantined_bars.py."""

import dagster as dg
import polars as pl

from breadthflow_pipelines.orchestration.assets.monthly import MonthlyResult, monthly_asset
from breadthflow_pipelines.orchestration.gates import judge_read
from breadthflow_pipelines.orchestration.ingest import ingest
from breadthflow_pipelines.orchestration.partitions import Span
from breadthflow_pipelines.orchestration.pending_changes import settle_calendar
from breadthflow_pipelines.orchestration.resources import Market
from breadthflow_pipelines.orchestration.still_given import judge_given
from breadthflow_pipelines.orchestration.ui_metadata import shown
from breadthflow_pipelines.sources.protocol import label
from breadthflow_pipelines.warehouse import bar_store, readings, recomputations

_FIGURES = {
    "bars": pl.col("bars").sum(),
    "sessions": pl.len(),
    "last_session": pl.col("session").max().cast(pl.String),
}


def bars_asset(months: dg.MonthlyPartitionsDefinition) -> dg.AssetsDefinition:
    """The asset ``bars``, cut into these months."""
    return monthly_asset(
        "bars",
        months,
        _read,
        code_version="1",
        layer="source",
        made_of={"security_id": [("securities", "security_id")]},
        kinds={"pandera"},
        deps=["securities"],
    )


def _read(context: dg.AssetExecutionContext, market: Market, span: Span) -> MonthlyResult:
    """Daily bars of the months, from the source; what breaks the contract is kept aside, with the reason."""
    source, store = market.source, market.store
    readings.begin(store, label(source), context.run.run_id)
    before = bar_store.reach(store, synthetic=source.synthetic)
    report = ingest(market, span, context.run.run_id, before)
    calendar_changed = settle_calendar(market)
    recomputations.done_within(store, "bars", span.start, span.end)
    judge_read(market, span, context.run.run_id, before, report.asked_again)
    held = bar_store.sessions_held(store, span.start, span.end, synthetic=source.synthetic)
    judge_given(market, span, held, report, context.run.run_id)
    figures = report.figures(source, span, calendar_changed)
    return MonthlyResult(
        report.merged,
        rows=held,
        figures=_FIGURES,
        counted={"rows_read": report.read_by_month, "rows_rejected": report.rejected_by_month},
        every_month={"source": label(source), "synthetic": source.synthetic},
        metadata={**figures.to_metadata(), "restated": shown(report.restated_table(), most=50)},
    )
