"""Checks of the counts that exchanges publish."""

import datetime as dt

import dagster as dg
import polars as pl

from breadthflow_pipelines.contracts import breadth as contracts
from breadthflow_pipelines.model.gates import joined, listed
from breadthflow_pipelines.orchestration.checks.judging import contract_result, whole_table_result
from breadthflow_pipelines.orchestration.resources import Market
from breadthflow_pipelines.orchestration.run_figures import PublishedFigures, latest_published
from breadthflow_pipelines.orchestration.ui_metadata import shown
from breadthflow_pipelines.trust.count_guards import CONTRARY_MONTH, VOLUMES_CONTRARY
from breadthflow_pipelines.warehouse import breadth_store


@dg.asset_check(asset="exchange_breadth", blocking=True)
def published_keep_contract(context: dg.AssetCheckExecutionContext, market: Market) -> dg.AssetCheckResult:
    """Published counts are whole numbers, one row per exchange and session."""
    rows = breadth_store.published(market.store)
    return contract_result(context, market, contracts.PUBLISHED, rows, may_be_empty=True)


@dg.asset_check(asset="exchange_breadth")
def publications_answered(context: dg.AssetCheckExecutionContext, market: Market) -> dg.AssetCheckResult:
    """Every place with published counts could be read, and gives all that is stored of it; what it does not, stays."""
    figures = latest_published(context.instance)
    problems = figures.problems if figures else ()
    lacking = figures.no_longer_given if isinstance(figures, PublishedFigures) else ()
    told = (*problems, *lacking)
    passed = "every place was read, and gives all that is stored of it"
    return whole_table_result(
        context, market, joined(told) if told else None, passed=passed, failing=len(told), warn=True
    )


@dg.asset_check(asset="exchange_breadth")
def published_plausible(context: dg.AssetCheckExecutionContext, market: Market) -> dg.AssetCheckResult:
    """The guards doubt no row of published counts. Doubted rows stay stored, and do not enter indicators."""
    published = breadth_store.published(market.store)
    doubted = published.filter(pl.col("doubts").list.len() > 0)
    by_rule = (
        doubted.explode("doubts")
        .group_by("exchange", rule="doubts")
        .agg(rows=pl.len(), first=pl.col("session").min(), last=pl.col("session").max())
        .sort("exchange", "rule")
    )
    rules = [f"{row['exchange']} {row['rule']} {row['rows']}" for row in by_rule.iter_rows(named=True)]
    fault = f"{doubted.height:,} of {published.height:,} rows doubted: {listed(rules)}" if rules else None
    contrary = by_rule.filter(rule=VOLUMES_CONTRARY)
    if fault and contrary.height:
        fault = ". ".join((fault, *(_exchanged(**row) for row in contrary.iter_rows(named=True))))
    rows = doubted.select("exchange", "session", "doubts", "advances", "declines", "unchanged")
    metadata = {"by_rule": shown(by_rule, most=30), "rows": shown(rows, most=50)}
    return whole_table_result(
        context, market, fault, passed="no row is doubted", failing=doubted.height, warn=True, metadata=metadata
    )


def _exchanged(exchange: str, first: dt.date, last: dt.date, **_: object) -> str:
    """What volumes contrary to issues may mean, and what to do. It takes up to a month of rows to find them."""
    return (
        f"{exchange}: up and down volume may be exchanged, from {first} or up to {CONTRARY_MONTH} rows before to "
        f"{last}, in the files ({exchange}_advv.csv, {exchange}_declv.csv) or in the mapping that wrote them, or "
        f"advances and declines may be. Exchange them back, then "
        f"breadthflow import-breadth DIRECTORY --exchange {exchange}"
    )
