"""Checks of counts: the contract, and how many members are priced and added up."""

import datetime as dt
from collections.abc import Mapping
from typing import Any

import dagster as dg
import polars as pl

from breadthflow_pipelines.contracts import breadth as contracts
from breadthflow_pipelines.indicators.counts import MOST_DOLLARS, OUTAGE_SESSIONS, coverage_lost
from breadthflow_pipelines.indicators.price import MOST_SUMMED
from breadthflow_pipelines.model.gates import THIN
from breadthflow_pipelines.orchestration import gates
from breadthflow_pipelines.orchestration.check_results import faults_by_month, result
from breadthflow_pipelines.orchestration.checks.judging import broken_rows, days, describe_broken, gate_result, run_span
from breadthflow_pipelines.orchestration.partitions import months_between
from breadthflow_pipelines.orchestration.resources import Market
from breadthflow_pipelines.orchestration.ui_metadata import shown
from breadthflow_pipelines.reports.tables import text
from breadthflow_pipelines.warehouse import bar_store, breadth_store
from breadthflow_pipelines.warehouse.verdicts import Fault, record_gate


@dg.asset_check(asset="breadth_counts", blocking=True)
def counts_keep_contract(context: dg.AssetCheckExecutionContext, market: Market) -> dg.AssetCheckResult:
    """Every count is sound: no member counted twice, none above a mean that does not exist, coverage as stated."""
    span = run_span(context, market)
    rows = breadth_store.counts(market.store, span.start, span.end)
    broken, shape = broken_rows(contracts.COUNTS, rows)
    fault = shape or ("there are no counts" if rows.is_empty() else None)
    faults = (
        dict.fromkeys(span.months, Fault(1, fault)) if fault else faults_by_month(broken.to_dicts(), describe_broken)
    )
    passed = f"{rows.height:,} counts keep the contract, {days(span)}"
    return result(context, market, faults, span.months, passed=passed, metadata={"first_broken": shown(broken)})


@dg.asset_check(asset="breadth_counts", blocking=True)
def coverage_at_gate(context: dg.AssetCheckExecutionContext, market: Market) -> dg.AssetCheckResult:
    """At least BREADTHFLOW_COVERAGE_GATE of the members of every universe are priced on every session."""
    span = run_span(context, market)
    gates.judge_coverage(market, context.run.run_id, span)
    every = breadth_store.coverage(market.store, dt.date.min, dt.date.max)
    coverage = every.filter(pl.col("session").is_between(span.start, span.end))
    missing = coverage.is_empty() and not span.is_empty
    none = dict.fromkeys(span.months, Fault(1, "there are no counts")) if missing else None
    record_gate(market.store, THIN, span.months, run_id=context.run.run_id, besides=none)
    gate = market.settings.coverage_gate
    least = {"least_of_all": every["coverage"].min()} if every.height else {}
    passed = f"on every session {days(span)} at least {100 * gate:g} % of the members are priced"
    below = coverage.filter(pl.col("coverage") < gate)
    return gate_result(context, market, span, passed, {**least, "below": shown(below)})


@dg.asset_check(asset="breadth_counts")
def coverage_steady(context: dg.AssetCheckExecutionContext, market: Market) -> dg.AssetCheckResult:
    """No session lost a tenth of its usual coverage. One that did is provisional: some of its bars have not come in."""
    span = run_span(context, market)
    before = market.calendar.back(span.start, OUTAGE_SESSIONS + 1)
    coverage = breadth_store.coverage(market.store, before, span.end)
    lost = coverage.filter(coverage_lost().over("universe", order_by="session") & (pl.col("session") >= span.start))
    return result(
        context,
        market,
        faults_by_month(lost.to_dicts(), _fallen),
        span.months,
        passed=f"no session {days(span)} lost a tenth of its usual coverage",
        warn=True,
        metadata={"lost": shown(lost)},
    )


@dg.asset_check(asset="breadth_counts")
def sums_complete(context: dg.AssetCheckExecutionContext, market: Market) -> dg.AssetCheckResult:
    """Points and dollars of every member are added up, except of one that is worth more than a market."""
    span = run_span(context, market)
    left = bar_store.too_large(market.store, span.start, span.end, MOST_SUMMED, MOST_DOLLARS)
    each_month = [
        {**row, "session": max(row["first"], dt.date.fromisoformat(f"{month}-01"))}
        for row in left.to_dicts()
        for month in months_between(row["first"], row["last"])
    ]
    return result(
        context,
        market,
        faults_by_month(each_month, _too_large),
        span.months,
        passed=f"points and dollars of every member are added up, {days(span)}",
        warn=True,
        metadata={"left_out": shown(left, most=50)},
    )


def _fallen(row: Mapping[str, Any]) -> str:
    return f"{row['universe']}: coverage fell to {100 * row['coverage']:.1f} % on {row['session']}"


def _too_large(row: Mapping[str, Any]) -> str:
    days = f"{row['sessions']:,} sessions, {row['first']} to {row['last']}"
    return f"{row['symbol']} is too large for sums of points and dollars ({days}, up to {text(row['close'])})"
