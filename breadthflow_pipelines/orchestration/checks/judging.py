"""What checks have in common: the span of the run, and results of gates, of contracts and of whole tables."""

import datetime as dt
from collections.abc import Mapping
from typing import Any

import dagster as dg
import pandera.polars as pa
import polars as pl

from breadthflow_pipelines.contracts.verdict import REASONS, ContractError, judge
from breadthflow_pipelines.model.gates import MISSING, described
from breadthflow_pipelines.orchestration.check_results import Metadata, result, stored_result
from breadthflow_pipelines.orchestration.partitions import Span, span_of
from breadthflow_pipelines.orchestration.resources import Market
from breadthflow_pipelines.orchestration.ui_metadata import shown
from breadthflow_pipelines.warehouse import bar_store, holds
from breadthflow_pipelines.warehouse.verdicts import ALL, Fault


def run_span(context: dg.AssetCheckExecutionContext, market: Market) -> Span:
    """The span that the run of a check is about."""
    return span_of(context.run.tags, market.settings, market.calendar)


def days(span: Span) -> str:
    """The days of a span in words."""
    return f"from {span.start} through {span.end}"


def sessions_held(market: Market, start: dt.date, end: dt.date) -> pl.DataFrame:
    """The sessions of these days with bars of this market, and how many bars each has."""
    return bar_store.sessions_held(market.store, start, end, synthetic=market.source.synthetic)


def gate_result(
    context: dg.AssetCheckExecutionContext,
    market: Market,
    span: Span,
    passed: str,
    metadata: Metadata | None = None,
) -> dg.AssetCheckResult:
    """The result of a gate whose holds were just settled: what holds is what fails, and what was accepted is named."""
    (key,) = context.selected_asset_check_keys
    accepted = [row for row in holds.accepted(market.store) if row["gate"] == key.name]
    if accepted:
        passed += f"; accepted: {described(accepted)}"
        passed += ", the session after each counts as gap" if key.name == MISSING else ""
    return stored_result(market, key, span.months, passed=passed, metadata=metadata)


def whole_table_result(
    context: dg.AssetCheckExecutionContext,
    market: Market,
    fault: str | None,
    *,
    passed: str,
    failing: int = 1,
    warn: bool = False,
    metadata: Metadata | None = None,
) -> dg.AssetCheckResult:
    """The result of a check of a whole table, of which no month is judged apart. fault: what is wrong, in words."""
    faults = {} if fault is None else {ALL: Fault(failing, fault)}
    return result(context, market, faults, passed=passed, warn=warn, metadata=metadata)


def contract_result(
    context: dg.AssetCheckExecutionContext,
    market: Market,
    schema: pa.DataFrameSchema,
    rows: pl.DataFrame,
    *,
    may_be_empty: bool = False,
) -> dg.AssetCheckResult:
    """The result of judging a whole table by a contract. An empty table fails, unless it may be empty."""
    broken, shape = broken_rows(schema, rows)
    metadata = {"rows": rows.height, "first_broken": shown(broken)}
    fault = shape
    if broken.height:
        first = describe_broken(broken.row(0, named=True))
        fault = f"{broken.height:,} of {rows.height:,} rows break the contract, first {first}"
    elif rows.is_empty() and not may_be_empty:
        fault = fault or "there are no rows"
    passed = f"{rows.height:,} rows keep the contract"
    return whole_table_result(context, market, fault, passed=passed, failing=max(1, broken.height), metadata=metadata)


def broken_rows(schema: pa.DataFrameSchema, rows: pl.DataFrame) -> tuple[pl.DataFrame, str | None]:
    """The rows that break a contract; and why none can be judged, as of a derived table before it is first filled."""
    try:
        return judge(schema, rows).rejected, None
    except ContractError as error:
        return rows.clear(), str(error)


def describe_broken(row: Mapping[str, Any]) -> str:
    """A row that breaks a contract, in a few words."""
    names = [str(row[name]) for name in ("exchange", "universe", "segment", "rule") if name in row]
    return f"{' '.join(names)} {row['session']}: {'; '.join(row[REASONS])}"
