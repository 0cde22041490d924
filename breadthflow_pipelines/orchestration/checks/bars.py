"""Checks of bars: the contract, holes, the last session, symbols that did not answer, bars that are not given again."""

import dagster as dg

from breadthflow_pipelines.model.gates import listed
from breadthflow_pipelines.model.run_tags import FORMAT
from breadthflow_pipelines.orchestration import gates, still_given
from breadthflow_pipelines.orchestration.check_results import result, stored_result
from breadthflow_pipelines.orchestration.checks.judging import days, gate_result, run_span, sessions_held
from breadthflow_pipelines.orchestration.partitions import span_of
from breadthflow_pipelines.orchestration.resources import Market
from breadthflow_pipelines.orchestration.run_figures import latest_bars
from breadthflow_pipelines.orchestration.ui_metadata import shown
from breadthflow_pipelines.reports.bulletin import number
from breadthflow_pipelines.trust.completeness import rejected_share
from breadthflow_pipelines.warehouse import bar_store
from breadthflow_pipelines.warehouse.verdicts import Fault


@dg.asset_check(asset="bars", blocking=True)
def bars_keep_contract(context: dg.AssetCheckExecutionContext, market: Market) -> dg.AssetCheckResult:
    """Nearly all rows of each month keep the contract. The broken ones were put aside, with the reason."""
    span = run_span(context, market)
    held, rejected = sessions_held(market, span.start, span.end), gates.rejected_rows(market, span)
    gates.judge_rejected(market, span, held, rejected, context.run.run_id)
    passed = rejected_share(rejected.height, int(held["bars"].sum()))
    return gate_result(context, market, span, passed, {"rows": shown(rejected)})


@dg.asset_check(asset="bars", blocking=True)
def bars_complete(context: dg.AssetCheckExecutionContext, market: Market) -> dg.AssetCheckResult:
    """Every session between the first and the last one held has bars: a hole would turn the day after it into gaps."""
    span = run_span(context, market)
    gates.judge_missing(market, span, sessions_held(market, span.start, span.end), context.run.run_id)
    return gate_result(context, market, span, f"every session {days(span)} that is due has bars")


@dg.asset_check(asset="bars")
def bars_current(context: dg.AssetCheckExecutionContext, market: Market) -> dg.AssetCheckResult:
    """The last session of the run's months, or the last closed one, has bars. History behind it stays usable.

    For the asset, the newest month that was run decides: a run about March is no worse because today is late.
    """
    span = run_span(context, market)
    expected = market.calendar.on_or_before(span.end)
    held = sessions_held(market, expected, expected)
    month = expected.strftime(FORMAT)
    if held.height:
        return result(context, market, {}, [month], passed=f"{expected} is in")
    reach = bar_store.reach(market.store, synthetic=market.source.synthetic)
    last = f"the last one held is {reach[1]}" if reach else "there are none at all"
    fault = Fault(1, f"no bars on {expected}; {last}", expected, expected)
    return result(context, market, {month: fault}, [month], passed="")


@dg.asset_check(asset="bars")
def every_symbol_answered(context: dg.AssetCheckExecutionContext, market: Market) -> dg.AssetCheckResult:
    """The source could be read for every symbol it lists; the others are named, and are read again by the next run."""
    event = context.instance.get_latest_materialization_event(dg.AssetKey("bars"))
    figures = latest_bars(context.instance)
    failed, problems = (list(figures.symbols_failed), list(figures.problems)) if figures else ([], [])
    unread = [f"{number(len(failed), 'symbol')} could not be read: {listed(failed)}"] if failed else []
    text = "; ".join(unread or ([listed(problems)] if problems else []))  # breadthflow problems has every reason
    run = context.instance.get_run_by_id(event.run_id) if event else None
    span = span_of((run or context.run).tags, market.settings, market.calendar)  # the span that was read
    fault = Fault(max(1, len(failed)), text, span.start, span.end)
    faults = dict.fromkeys(span.months, fault) if text else {}
    metadata = {"failed": failed, "problems": problems}
    return result(context, market, faults, span.months, passed="every symbol was read", warn=True, metadata=metadata)


@dg.asset_check(asset="bars")
def bars_still_given(context: dg.AssetCheckExecutionContext, market: Market) -> dg.AssetCheckResult:
    """Every stored bar of the months is one that the source gave when they were last read whole. The others stay."""
    key = dg.AssetCheckKey(dg.AssetKey("bars"), still_given.CHECK)
    months = run_span(context, market).months
    return stored_result(market, key, months, passed="every bar that the source ever gave was given again")
