"""The suites of stored tables as asset checks: one result for each expectation, one run of a suite for each asset.

What is expected, and what judges it, is in quality/. What judges takes seconds to import and reads whole tables, so
suites are in no job that brings the store up to date (docs/decisions/quality.md).
"""

import datetime as dt
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg
import polars as pl

from breadthflow_pipelines.model.run_tags import PARTITION_TAG, RANGE_START_TAG
from breadthflow_pipelines.orchestration import catalogue_columns
from breadthflow_pipelines.orchestration.check_results import record_verdicts, stored_result
from breadthflow_pipelines.orchestration.partitions import Span, span_of
from breadthflow_pipelines.orchestration.resources import Market
from breadthflow_pipelines.orchestration.ui_metadata import shown
from breadthflow_pipelines.quality.expectations import Expectation, Suite
from breadthflow_pipelines.quality.suites import suites
from breadthflow_pipelines.sessions import ExchangeCalendar
from breadthflow_pipelines.warehouse.inspection import YEAR, Days
from breadthflow_pipelines.warehouse.verdicts import ALL, Fault

if TYPE_CHECKING:
    from breadthflow_pipelines.quality.engine import Finding

DOCS_TAG = "breadthflow/docs"  # the directory for pages of what suites find, where pages are wanted
PAGES = "pages"  # in the metadata of a result: where they were made


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
        span = span_of(context.run.tags, market.settings, market.calendar)
        docs = context.run.tags.get(DOCS_TAG)
        yield from _judged(context, market, suite, span, Path(docs) if docs else None)

    return checks


SUITES = suites(catalogue_columns.BREADTH_COLUMNS, catalogue_columns.PRICE_COLUMNS, catalogue_columns.SIGNAL_COLUMNS)
SUITE_CHECKS = [suite_check(suite) for suite in SUITES]
SUITE_NAMES = frozenset(expectation.name for suite in SUITES for expectation in suite.expectations)


def _judged(
    context: dg.AssetCheckExecutionContext, market: Market, suite: Suite, span: Span, docs: Path | None
) -> Iterator[dg.AssetCheckResult]:
    keys = {key.name: key for key in context.selected_asset_check_keys}
    if span.is_empty and not suite.whole:  # the first day of a month: none of its sessions has closed
        for key in keys.values():
            yield stored_result(market, key, (), passed="no session of the month has closed")
        return
    from breadthflow_pipelines.quality.engine import judge

    everything = not {RANGE_START_TAG, PARTITION_TAG} & context.run.tags.keys()
    for finding in judge(market.store, suite, days_judged(market.calendar, suite, span), keys, docs=docs):
        key, one = keys[finding.expectation.name], finding.expectation
        months = _months(suite, one, span, everything=everything)
        record_verdicts(context, market, key, _faults(finding, months), months, warn=one.severity == "warn")
        more: dict[str, dg.MetadataValue[Any]] = {"observed": dg.MetadataValue.text(finding.observed)}
        if finding.rows:
            more["rows"] = shown(pl.DataFrame(finding.rows, infer_schema_length=None, strict=False))
        if finding.unexpected is not None:
            more["failing_rows"] = dg.MetadataValue.int(finding.unexpected)  # the UI plots numbers only
        if docs is not None:
            more[PAGES] = dg.MetadataValue.path(docs / "index.html")
        yield stored_result(market, key, months, passed=f"{one.about} Found: {finding.observed}.", metadata=more)


def _months(suite: Suite, one: Expectation, span: Span, *, everything: bool) -> list[str]:
    """The months that an expectation is judged for; the whole table where it is not cut by session."""
    if suite.whole or not ("session" in suite.key or "session" in (one.query or "")):
        return [ALL]
    return [*span.months, *([ALL] if everything else [])]


def _faults(finding: "Finding", months: Sequence[str]) -> dict[str, Fault]:
    """What fails, by month; where the month is unknown, the whole table, or all months that were judged."""
    if finding.passed:
        return {}
    first = ", ".join(f"{name} {value}" for name, value in finding.rows[0].items()) if finding.rows else ""
    text = f"{finding.observed}{f', first: {first}' if first else ''}"
    if finding.months is None or months == [ALL]:
        fault = Fault(max(1, finding.unexpected or 0), text)
        return dict.fromkeys([ALL] if ALL in months else months, fault)
    alone = len(finding.months) == 1
    return {
        month: Fault(rows, text if alone else f"{rows:,} rows of {month}", first_session, last_session)
        for month, rows, first_session, last_session in finding.months
    }


def days_judged(calendar: ExchangeCalendar, suite: Suite, span: Span) -> Days:
    """The days that a suite looks at in a run about this span."""
    closed = calendar.last_closed()
    start = calendar.first if suite.whole else span.start
    # Rows of days that are still to come are judged with the last ones: there should be none.
    end = dt.date.max if suite.whole or span.end >= closed else span.end
    return Days(start, end, calendar.between(calendar.back(start, YEAR + 1), min(end, closed)))
