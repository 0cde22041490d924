"""The frame of assets that are cut into months: the span of the run, the figures of each month, what is held.

An asset brings its own work alone. Each month's materialization has the figures of that month; the figures of the whole
run are stored once, as run_metadata.py says.
"""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import dagster as dg
import polars as pl

from breadthflow_pipelines.model.run_tags import FORMAT
from breadthflow_pipelines.orchestration.asset_definition import stored_asset
from breadthflow_pipelines.orchestration.holds import AssetHolds, refuse_held
from breadthflow_pipelines.orchestration.partitions import Span, span_of
from breadthflow_pipelines.orchestration.pending_changes import Reach, Scope, with_pending_changes
from breadthflow_pipelines.orchestration.resources import Market
from breadthflow_pipelines.orchestration.run_figures import RowCounts
from breadthflow_pipelines.warehouse.bulk import NOTHING, Merged

Metadata = Mapping[str, Any]
_CHANGES = {"rows_inserted": "inserted", "rows_revised": "updated", "rows_removed": "deleted"}


@dataclass(frozen=True)
class MonthlyResult:
    """What a run of a monthly asset came to.

    merged: what changed in the table. rows: rows with ``session``, for the figures of each month. figures: aggregations
    over a month's rows. counted: more figures, each by month. every_month: metadata that each month repeats. metadata:
    that of the run. holds: what the asset is held by; held months of the run end it.
    """

    merged: Merged
    rows: pl.DataFrame
    figures: Mapping[str, pl.Expr]
    metadata: Metadata
    counted: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    every_month: Metadata = field(default_factory=dict)
    holds: AssetHolds | None = None


def monthly_asset(
    table: str,
    months: dg.MonthlyPartitionsDefinition,
    compute: Callable[[dg.AssetExecutionContext, Market, Span], MonthlyResult],
    **options: Any,
) -> dg.AssetsDefinition:
    """An asset that fills a table month by month; its description is the docstring of ``compute``.

    compute: is given the span of the run. options: those of ``stored_asset``.
    """

    @stored_asset(table, partitions_def=months, pool=table, description=_description(compute), **options)
    def materialize(context: dg.AssetExecutionContext, market: Market) -> dg.MaterializeResult:  # type: ignore[type-arg]
        span = span_of(context.run.tags, market.settings, market.calendar)
        result = compute(context, market, span)
        for month, metadata in metadata_by_month(context.partition_keys, result).items():
            context.add_asset_metadata(metadata, partition_key=month)
        if result.holds is not None:
            refuse_held(context, market, result.holds)
        return dg.MaterializeResult(metadata=result.metadata)

    return materialize


def derived_monthly_asset(
    table: str,
    months: dg.MonthlyPartitionsDefinition,
    compute: Callable[[Market, Scope, str], Merged],
    *,
    rows: Callable[[Market, Scope], pl.DataFrame],
    figures: Mapping[str, pl.Expr],
    judge: Callable[[Market, Span, str], object] | None = None,
    details: Callable[[Market, Scope, pl.DataFrame], Metadata] | None = None,
    reach: Reach | None = None,
    **options: Any,
) -> dg.AssetsDefinition:
    """A monthly asset that is computed from other tables, and so goes beyond its months to what changed in those.

    compute: fills the table over the span of the scope, in the run of that id. rows: what the figures of each month are
    taken from. judge: a gate that judges the span before its holds are read. details: more metadata, of those rows.
    reach: how far a change of bars goes; None: through the end.
    """

    def derive(context: dg.AssetExecutionContext, market: Market, own: Span) -> MonthlyResult:
        run_id = context.run.run_id

        def judge_span(span: Span) -> None:
            if judge is not None:
                judge(market, span, run_id)

        with market.store.exclusive(table), with_pending_changes(market, table, own, judge_span, reach) as scope:
            merged = NOTHING if scope.is_unchanged else compute(market, scope, run_id)
        found = rows(market, scope)
        synthetic = {"synthetic": market.source.synthetic}
        metadata = {
            **(details(market, scope, found) if details else {}),
            **scope.metadata(merged),
            **RowCounts.of(merged).to_metadata(),
            **synthetic,
        }
        return MonthlyResult(merged, found, figures, metadata, every_month=synthetic, holds=scope.holds)

    derive.__doc__ = compute.__doc__
    return monthly_asset(table, months, derive, **options)


def metadata_by_month(months: list[str], result: MonthlyResult) -> dict[str, dict[str, Any]]:
    """Each month's own figures, which the UI plots; 0 where a month has no rows, or nothing changed in it."""
    of_rows = _by_month(result.rows, result.figures)
    changed = {name: pl.col("rows").filter(pl.col("kind") == kind).sum() for name, kind in _CHANGES.items()}
    of_changes = _by_month(result.merged.changes, changed)
    zeros = dict.fromkeys((*result.figures, *changed), 0)
    return {
        month: {
            **zeros,
            **of_rows.get(month, {}),
            **{name: by_month.get(month, 0) for name, by_month in result.counted.items()},
            **of_changes.get(month, {}),
            **result.every_month,
        }
        for month in months
    }


def _by_month(rows: pl.DataFrame, figures: Mapping[str, pl.Expr]) -> dict[str, dict[str, Any]]:
    grouped = rows.group_by(month=pl.col("session").dt.strftime(FORMAT)).agg(**figures)
    return {str(row.pop("month")): row for row in grouped.to_dicts()}


def _description(compute: Callable[..., Any]) -> str:
    return inspect.cleandoc(compute.__doc__ or "")
