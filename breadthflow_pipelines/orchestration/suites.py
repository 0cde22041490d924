"""The suites of stored tables as asset checks: one result for each expectation, one run of a suite for each asset.

What is expected, and what judges it, is in quality/. What judges takes seconds to import and reads whole tables, so
suites are in no job that brings the store up to date (docs/decisions/quality.md).
"""

import datetime as dt
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl

from breadthflow_pipelines.orchestration import measures
from breadthflow_pipelines.orchestration.describe import shown
from breadthflow_pipelines.orchestration.partitions import Span, span_of
from breadthflow_pipelines.orchestration.resources import Market
from breadthflow_pipelines.quality.suites import Suite, suites
from breadthflow_pipelines.sessions import ExchangeCalendar
from breadthflow_pipelines.warehouse.inspection import YEAR, Days

DOCS_TAG = "breadthflow/docs"  # the directory that keeps what suites find, where pages are wanted
PAGES = "pages"  # in the metadata of a result: where they were made
_SEVERITIES = {"error": dg.AssetCheckSeverity.ERROR, "warn": dg.AssetCheckSeverity.WARN}


def suite_check(suite: Suite) -> dg.AssetChecksDefinition:
    """The checks of one table: any of them can be chosen, and those chosen are judged together."""

    @dg.multi_asset_check(
        name=f"{suite.table}_suite",
        specs=[
            dg.AssetCheckSpec(
                one.name,
                asset=suite.table,
                description=one.about,
                blocking=one.blocks,
                metadata={"severity": one.severity, "expectation": one.kind},
            )
            for one in suite.expectations
        ],
        can_subset=True,
    )
    def checks(context: dg.AssetCheckExecutionContext, market: Market) -> Iterator[dg.AssetCheckResult]:
        chosen = {key.name for key in context.selected_asset_check_keys}
        span = span_of(context.run.tags, market.settings, market.calendar)
        docs = context.run.tags.get(DOCS_TAG)
        yield from _judged(market, suite, span, chosen, Path(docs) if docs else None)

    return checks


SUITES = suites(measures.BREADTH, measures.SYMBOL, measures.VOTES)
SUITE_CHECKS = [suite_check(suite) for suite in SUITES]
SUITE_NAMES = frozenset(expectation.name for suite in SUITES for expectation in suite.expectations)


def _judged(
    market: Market, suite: Suite, span: Span, chosen: Iterable[str], docs: Path | None
) -> Iterator[dg.AssetCheckResult]:
    names = set(chosen)
    if span.is_empty and not suite.whole:  # the first day of a month: none of its sessions has closed
        for one in suite.expectations:
            if one.name in names:
                yield dg.AssetCheckResult(check_name=one.name, asset_key=suite.table, passed=True)
        return
    from breadthflow_pipelines.quality.engine import judge

    for finding in judge(market.store, suite, days_judged(market.calendar, suite, span), names, docs=docs):
        metadata: dict[str, dg.MetadataValue[Any]] = {"observed": dg.MetadataValue.text(finding.observed)}
        if finding.rows:
            first = ", ".join(f"{name} {value}" for name, value in finding.rows[0].items())
            metadata["first"] = dg.MetadataValue.text(first)  # the command and JUnit files show no tables
            metadata["rows"] = shown(pl.DataFrame(finding.rows, infer_schema_length=None, strict=False))
        if finding.unexpected is not None:
            metadata["failing_rows"] = dg.MetadataValue.int(finding.unexpected)  # the UI plots numbers only
        if docs is not None:
            metadata[PAGES] = dg.MetadataValue.path(docs / "index.html")
        yield dg.AssetCheckResult(
            check_name=finding.expectation.name,
            asset_key=suite.table,
            passed=finding.passed,
            severity=_SEVERITIES[finding.expectation.severity],
            metadata=metadata,
        )


def days_judged(calendar: ExchangeCalendar, suite: Suite, span: Span) -> Days:
    """The days that a suite looks at in a run about this span."""
    closed = calendar.last_closed()
    start = calendar.first if suite.whole else span.start
    # Rows of days that are still to come are judged with the last ones: there should be none.
    end = dt.date.max if suite.whole or span.end >= closed else span.end
    return Days(start, end, calendar.between(calendar.back(start, YEAR + 1), min(end, closed)))
