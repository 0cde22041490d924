"""Stored bars that the source gave once and gives no more, or gives broken: told, and left as they are.

A vendor that takes a bar back and a vendor that forgets one for a day look the same, so nothing is removed here
(docs/decisions/restatements.md). Histories on another scale: refetching.py.
"""

from collections.abc import Mapping
from typing import Any

import polars as pl

from breadthflow_pipelines.model.gates import listed
from breadthflow_pipelines.model.run_tags import FORMAT
from breadthflow_pipelines.orchestration.ingest_report import IngestReport
from breadthflow_pipelines.orchestration.partitions import Span
from breadthflow_pipelines.orchestration.resources import Market
from breadthflow_pipelines.reports.bulletin import number
from breadthflow_pipelines.sources.protocol import Resumable, label
from breadthflow_pipelines.warehouse import bar_store, security_store, verdicts
from breadthflow_pipelines.warehouse.verdicts import Fault

CHECK = "bars_still_given"


def judge_given(market: Market, span: Span, held: pl.DataFrame, report: IngestReport, run_id: str) -> None:
    """Store the verdict of each month of the span. Nothing where a part of the source could not be read.

    held: session and bars of the span, after the reading. report: of the reading.
    """
    if span.is_empty or not report.whole:
        return
    given = report.given.by_session
    more = any(bars > given[session] for session, bars in held.select("session", "bars").iter_rows())
    faults = _faults(market, span, report) if more else {}
    verdicts.record(market.store, "bars", CHECK, span.months, faults, run_id=run_id, severity="warn")


def _faults(market: Market, span: Span, report: IngestReport) -> Mapping[str, Fault]:
    # A source that goes on where it was broken off gives nothing of the symbols that it had done before.
    of = list(report.given.by_security) if isinstance(market.source, Resumable) else None
    stored = bar_store.bars_of_source(market.store, label(market.source), span.start, span.end, of)
    sessions = _lacking(stored, "session", report.given.by_session)
    securities = _lacking(stored, "security_id", report.given.by_security)
    names = security_store.symbol_intervals(market.store).sort("valid_from", nulls_last=False)
    last = names.unique("security_id", keep="last", maintain_order=True)
    symbols = listed(securities.join(last, on="security_id")["symbol"].sort().to_list())
    months = sessions.sort("session").group_by(pl.col("session").dt.strftime(FORMAT).alias("month"))
    faults = {}
    for month, days, lacking in months.agg("session", pl.col("lacking").sum()).iter_rows():
        what = number(lacking, "stored bar")
        said = f"the source no longer gives {what}, or gives them broken: of {symbols}, on {listed(days)}"
        faults[month] = Fault(lacking, said, days[0], days[-1])
    return faults


def _lacking(stored: pl.DataFrame, key: str, given: Mapping[Any, int]) -> pl.DataFrame:
    """The sessions, or securities, of which more bars are stored than were given, and how many more (lacking)."""
    of = stored.drop_nulls(key).select(key, "bars")
    counts = pl.Series([given.get(each, 0) for each in of[key]], dtype=pl.Int64)
    return of.select(key, lacking=pl.col("bars") - counts).filter(pl.col("lacking") > 0)
