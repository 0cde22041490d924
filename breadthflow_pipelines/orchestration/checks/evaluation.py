"""Checks of returns, of what followed signals, and of the records made from both."""

import dagster as dg
import polars as pl

from breadthflow_pipelines.contracts import evaluation as contracts
from breadthflow_pipelines.evaluation.outcomes import beyond_horizon
from breadthflow_pipelines.evaluation.significance import unlisted
from breadthflow_pipelines.model.vocabulary import ALL
from breadthflow_pipelines.orchestration.checks.judging import contract_result, whole_table_result
from breadthflow_pipelines.orchestration.resources import Market
from breadthflow_pipelines.orchestration.ui_metadata import shown
from breadthflow_pipelines.warehouse import evaluation_store


@dg.asset_check(asset="universe_returns")
def returns_keep_contract(context: dg.AssetCheckExecutionContext, market: Market) -> dg.AssetCheckResult:
    """Every member is counted once, and those who contribute have a finite return."""
    return contract_result(context, market, contracts.RETURNS, evaluation_store.returns(market.store))


@dg.asset_check(asset="signal_outcomes")
def outcomes_keep_horizon(context: dg.AssetCheckExecutionContext, market: Market) -> dg.AssetCheckResult:
    """No outcome enters before the next session, or looks past its horizon; closed ones lie in the past."""
    days = evaluation_store.outcome_days(market.store)
    beyond = beyond_horizon(days, market.calendar.frame(), market.calendar.last_closed())
    failing = int(beyond["outcomes"].sum())
    return whole_table_result(
        context,
        market,
        f"{failing} outcomes enter too early or look past their horizon" if failing else None,
        passed=f"{days['outcomes'].sum()} outcomes look as far as their horizon",
        failing=max(1, failing),
        metadata={"beyond": shown(beyond)},
    )


@dg.asset_check(asset="signal_accuracy")
def every_rule_listed(context: dg.AssetCheckExecutionContext, market: Market) -> dg.AssetCheckResult:
    """Every registered rule has a record of every universe with signals, also where it cannot be judged."""
    table = evaluation_store.accuracy(market.store)
    universes = evaluation_store.market_signals(market.store, ALL)["universe"].unique()
    missing = unlisted(table, universes)
    fault = f"{missing.height} rules are not listed, first: {missing.row(0)}" if missing.height else None
    judged = table.filter(pl.col("reason").is_null()).height
    return whole_table_result(
        context,
        market,
        fault,
        passed=f"every rule is listed; {judged} of {table.height} records can be judged",
        failing=max(1, missing.height),
        metadata={"missing": shown(missing)},
    )


@dg.asset_check(asset="backtests")
def trades_follow_signals(context: dg.AssetCheckExecutionContext, market: Market) -> dg.AssetCheckResult:
    """Every trade was begun by a signal of its rule that was given before the trade."""
    trades = evaluation_store.traded_signals(market.store)
    early = trades.filter((pl.col("signalled") < pl.col("entry_session")).fill_null(value=False).not_())
    return whole_table_result(
        context,
        market,
        f"{early.height} trades have no signal before them" if early.height else None,
        passed=f"{trades.height} trades lead to their signals",
        failing=max(1, early.height),
        metadata={"without_signal": shown(early)},
    )
