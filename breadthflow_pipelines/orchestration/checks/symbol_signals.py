"""Checks of members' technical indicators and of the signals made from them."""

from operator import itemgetter

import dagster as dg
import polars as pl

from breadthflow_pipelines.model.gates import INCOMPLETE
from breadthflow_pipelines.orchestration import gates
from breadthflow_pipelines.orchestration.check_results import faults_by_month, result
from breadthflow_pipelines.orchestration.checks.judging import days, gate_result, run_span
from breadthflow_pipelines.orchestration.resources import Market
from breadthflow_pipelines.orchestration.ui_metadata import shown
from breadthflow_pipelines.signals.symbols import RULE_COLUMNS, symbol_signals
from breadthflow_pipelines.warehouse import member_store
from breadthflow_pipelines.warehouse.verdicts import Fault, record_gate


# In a run it waits for the run's own counts, which are made at the same time and may come late.
@dg.asset_check(asset="price_indicators", blocking=True, additional_deps=["breadth_counts"])
def members_have_indicators(context: dg.AssetCheckExecutionContext, market: Market) -> dg.AssetCheckResult:
    """Every priced member has its technical indicators on every session that was counted, and no one else has any."""
    span = run_span(context, market)
    rows = gates.judge_members(market, span, context.run.run_id)
    none = dict.fromkeys(span.months, Fault(1, "nobody is counted and nobody has any")) if rows.is_empty() else None
    record_gate(market.store, INCOMPLETE, span.months, run_id=context.run.run_id, besides=none)
    differing = rows.filter(pl.col("indicators") != pl.col("priced"))
    passed = f"every priced member has indicators, {days(span)}"
    return gate_result(context, market, span, passed, {"differing": shown(differing)})


@dg.asset_check(asset="symbol_signals")
def members_have_signals(context: dg.AssetCheckExecutionContext, market: Market) -> dg.AssetCheckResult:
    """Only members with indicators have signals, on every session since the first; on the last, all that are due."""
    span = run_span(context, market)
    members = member_store.member_totals(market.store, span.start, span.end)
    surplus = members.filter(pl.col("signals") > pl.col("indicators"))
    silent = members.filter((pl.col("signals") == 0) & (pl.col("signals").cum_sum().over("universe") > 0))
    short = _short_of_signals(market, members)
    bad = [
        {"session": row["session"], "text": words.format_map(row)}
        for rows, words in (
            (surplus, "{universe} {session}: {signals} signals of {indicators} members"),
            (silent, "{universe} {session}: no signal at all"),
            (short, "{universe} {session}: {signals} signals where {due} are due"),
        )
        for row in rows.to_dicts()
    ]
    return result(
        context,
        market,
        faults_by_month(bad, itemgetter("text")),
        span.months,
        passed=f"members have the signals that are due, {days(span)}",
        metadata={
            "more_than_members": shown(surplus),
            "none_at_all": shown(silent),
            "fewer_than_due": shown(short),
        },
    )


def _short_of_signals(market: Market, members: pl.DataFrame) -> pl.DataFrame:
    """The universes that on the last session with indicators have fewer signals than the indicators give."""
    last = members.filter(pl.col("indicators") > 0).filter(pl.col("session") == pl.col("session").max())
    if last.is_empty():
        return last
    day = last["session"][0]
    able = member_store.members_with_indicators(market.store, RULE_COLUMNS, day, day)
    due = symbol_signals(able, member_store.regimes(market.store, day, day))
    return last.join(due.group_by("universe").agg(due=pl.len()), on="universe").filter(
        pl.col("signals") < pl.col("due")
    )
