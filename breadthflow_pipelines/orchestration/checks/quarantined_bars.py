"""Checks of what was found implausible: how much is left out, and what is doubted."""

import json
from collections.abc import Mapping
from typing import Any

import dagster as dg
import polars as pl

from breadthflow_pipelines.model.gates import CROWDED
from breadthflow_pipelines.model.run_tags import FORMAT
from breadthflow_pipelines.model.vocabulary import DOUBTED, PROPOSED
from breadthflow_pipelines.orchestration.check_results import faults_by_month, result
from breadthflow_pipelines.orchestration.checks.judging import days, gate_result, run_span
from breadthflow_pipelines.orchestration.resources import Market
from breadthflow_pipelines.orchestration.ui_metadata import shown
from breadthflow_pipelines.reports.tables import text
from breadthflow_pipelines.trust.bar_rules import LONG_SILENCE, silent_sessions
from breadthflow_pipelines.warehouse import quarantine_store
from breadthflow_pipelines.warehouse.bulk import execute
from breadthflow_pipelines.warehouse.verdicts import record_gate


@dg.asset_check(asset="quarantined_bars", blocking=True)
def quarantine_bounded(context: dg.AssetCheckExecutionContext, market: Market) -> dg.AssetCheckResult:
    """No rule found more bars than it may leave out. One that did leaves out none of them until people have looked."""
    span = run_span(context, market).with_month_before()
    hold = quarantine_store.settling_proposals(
        span.start, span.end, context.run.run_id, synthetic=market.source.synthetic
    )
    execute(market.store, [hold])
    record_gate(market.store, CROWDED, span.months, run_id=context.run.run_id)
    findings = quarantine_store.shown_findings(market.store, span.start, span.end)
    proposed = findings.filter(pl.col("status") == PROPOSED)
    by_rule = proposed.group_by("rule", month=pl.col("session").dt.strftime(FORMAT)).agg(bars=pl.len())
    metadata = {"by_rule": shown(by_rule.sort("rule", "month"), most=50), "bars": shown(proposed, most=50)}
    return gate_result(context, market, span, "no rule found more than it may leave out", metadata)


@dg.asset_check(asset="quarantined_bars")
def session_plausible(context: dg.AssetCheckExecutionContext, market: Market) -> dg.AssetCheckResult:
    """No session's volumes were lost as a whole. Where they were, closes count; volumes are those of few members."""
    span = run_span(context, market)
    silent = silent_sessions(quarantine_store.session_volumes(market.store, span.start, span.end))
    return result(
        context,
        market,
        faults_by_month(silent.to_dicts(), "{without_volume} of {bars} bars of {session} have no volume".format_map),
        span.months,
        passed=f"no session {days(span)} lost its volumes",
        warn=True,
        metadata={"sessions": shown(silent)},
    )


@dg.asset_check(asset="quarantined_bars")
def histories_plausible(context: dg.AssetCheckExecutionContext, market: Market) -> dg.AssetCheckResult:
    """No history changes its scale from one close to the next, and none goes on after half a year without bars.

    Such bars stay, as either side of them may be right.
    """
    span = run_span(context, market).with_month_before()
    findings = quarantine_store.shown_findings(market.store, span.start, span.end)
    doubted = findings.filter(pl.col("status") == DOUBTED)
    return result(
        context,
        market,
        faults_by_month(doubted.sort("session").to_dicts(), _doubt),
        span.months,
        passed=f"no history {days(span)} is doubted",
        warn=True,
        metadata={"bars": shown(doubted, most=50)},
    )


def _doubt(row: Mapping[str, Any]) -> str:
    """A finding that only doubts a bar (trust/bar_rules.py), in words."""
    seen = json.loads(row["evidence"])
    before, close = (text(seen[name]) for name in ("close_before", "close"))
    if row["rule"] == LONG_SILENCE:
        gap = f"{row['symbol']} has no bar for {seen['days']} days, from {seen['last']} ({before}) to "
        return f"{gap}{row['session']} ({close}), and may be another company"
    factor = text(max(seen["factor"], 1 / seen["factor"]))
    return (
        f"{row['symbol']} goes from {before} on {seen['last']} to {close} on {row['session']}, by a factor of {factor}"
    )
