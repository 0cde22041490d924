"""Checks of breadth indicators and of the signals made from them."""

import dagster as dg

from breadthflow_pipelines.contracts import breadth as contracts
from breadthflow_pipelines.orchestration.catalogue_columns import BREADTH_BOUNDS, BREADTH_COLUMNS
from breadthflow_pipelines.orchestration.checks.judging import contract_result
from breadthflow_pipelines.orchestration.resources import Market
from breadthflow_pipelines.warehouse import breadth_store


@dg.asset_check(asset="breadth_indicators", blocking=True)
def indicators_keep_contract(context: dg.AssetCheckExecutionContext, market: Market) -> dg.AssetCheckResult:
    """Every indicator is finite or null, and within the bounds that its formula allows."""
    rows = breadth_store.indicators(market.store, BREADTH_COLUMNS)
    return contract_result(context, market, contracts.indicators(BREADTH_BOUNDS), rows)


@dg.asset_check(asset="market_signals")
def signals_keep_contract(context: dg.AssetCheckExecutionContext, market: Market) -> dg.AssetCheckResult:
    """Every signal has an action, a confidence from 0 to 1, finite figures and evidence, once per rule and session."""
    rows = breadth_store.all_signals(market.store)
    return contract_result(context, market, contracts.SIGNALS, rows, may_be_empty=True)
