"""One reading of the source over a span: chunk by chunk, rows are judged and stored, each chunk in one transaction.

On a cluster: reading_parts.py. How rows are judged: intake.py. Histories on another scale: refetching.py. What came of
it: ingest_report.py.
"""

import datetime as dt
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial

from breadthflow_pipelines.observability.progress import advance
from breadthflow_pipelines.orchestration.fanout import WRITERS
from breadthflow_pipelines.orchestration.gates import to_ask_for_again
from breadthflow_pipelines.orchestration.ingest_report import IngestReport
from breadthflow_pipelines.orchestration.intake import Intake
from breadthflow_pipelines.orchestration.overlap import overlapped
from breadthflow_pipelines.orchestration.partitions import Days, Span
from breadthflow_pipelines.orchestration.reading_parts import Judged, judge_chunk, read_in_parts, store_chunk
from breadthflow_pipelines.orchestration.refetching import RestatedHistories
from breadthflow_pipelines.orchestration.resources import Market
from breadthflow_pipelines.sources.protocol import Divisible, Outcome, Resumable, Source
from breadthflow_pipelines.warehouse import bar_store, rejection_store
from breadthflow_pipelines.warehouse.bulk import years_of
from breadthflow_pipelines.warehouse.pieces import spreading


def ingest(market: Market, span: Span, run_id: str, held: tuple[dt.date, dt.date] | None) -> IngestReport:
    """Read and store the span, then earlier sessions without any bars, then the histories that were restated.

    held: the first and the last session with bars, before the run; None: there are none.

    Raises:
        RequestError: so many securities came on another scale that the source must have changed what it gives.
        SourceError: the source does not answer.
    """
    report = IngestReport()
    if not span.is_empty:
        intake = Intake.of(market, run_id)
        histories = RestatedHistories(intake)
        asked = span.with_neighbours(held, market.calendar)
        for stored in _each_stored(market, intake, histories, asked, span.days):
            report += stored
            _show_progress(span, report)
        _settle_rejected(intake, span, report)
        given = report.given
        report += _ask_again(intake, histories, span, report)
        report += histories.fetch_again(span)
        report = replace(report, given=given)  # what was asked for twice was given once
    advance("bars", 1, f"through {span.end}")
    return report


def _each_stored(
    market: Market, intake: Intake, histories: RestatedHistories, asked: Days, own: Days
) -> Iterator[IngestReport]:
    """What storing each chunk came to; on a cluster, each part of many. asked, own: as judge_chunk() takes them.

    A source that remembers what it gave gives no more before that is stored.
    """
    if market.settings.cluster is not None and isinstance(market.source, Divisible):
        return read_in_parts(market, histories, asked, own, intake.run_id)
    judge, store = partial(judge_chunk, intake, asked, own), partial(store_chunk, intake, histories)
    chunks = market.source.bars(None, *asked)
    if isinstance(market.source, Resumable):
        return map(store, map(judge, chunks))
    return _side_by_side(market, overlapped(chunks, judge), partial(store, side_by_side=True))


def _side_by_side(
    market: Market, chunks: Iterator[Judged], store: Callable[[Judged], IngestReport]
) -> Iterator[IngestReport]:
    """What storing each chunk came to, WRITERS of them at a time; those with bars of one security follow each other."""
    prepared = set[int]()

    def with_places() -> Iterator[Judged]:
        for judged in chunks:
            if years := set(years_of(judged.good)) - prepared:
                bar_store.prepare_bars(market.store, years)
                prepared.update(years)
            yield judged

    # Pieces of a run on a cluster that was killed may still be writing.
    with market.store.exclusive("bars"), spreading(market.store, "bars"):
        yield from overlapped(with_places(), store, WRITERS, touched=lambda judged: judged.securities)


def _show_progress(span: Span, report: IngestReport) -> None:
    if report.last_session is not None:
        reached = max(span.start, report.last_session)
        days, whole = (reached - span.start).days + 1, (span.end - span.start).days + 1
        advance("bars", days / whole, f"through {reached}")


def _settle_rejected(intake: Intake, span: Span, report: IngestReport) -> None:
    """Broken rows that the source no longer has hold nothing any more: the file was mended, or taken away."""
    answered = report.outcomes.keys() - report.failed
    behind = {symbol for symbol, outcome in report.outcomes.items() if outcome is Outcome.NOT_YET}
    latest = span.end >= intake.market.calendar.last_closed()
    whole = report.whole and not _is_unfinished(intake.market.source)
    days = (span.start, span.end)
    rejection_store.settle_rejected_bars(
        intake.market.store,
        intake.source,
        days,
        list(report.rejected_keys),
        answered,
        whole=whole,
        latest=latest,
        behind=behind,
    )


def _is_unfinished(source: Source) -> bool:
    return isinstance(source, Resumable) and source.unfinished_since() is not None


def _ask_again(intake: Intake, histories: RestatedHistories, span: Span, so_far: IngestReport) -> IngestReport:
    """Read sessions before the span that have no bars at all; a source that fails today is not asked."""
    report = IngestReport()
    if so_far.failed:
        return report
    for first, last in to_ask_for_again(intake.market, span):
        days = Days(first, last)
        for chunk in intake.market.source.bars(None, *days):
            # The outcomes of the span say whether it is whole; those of other days do not replace them.
            report += store_chunk(intake, histories, judge_chunk(intake, days, days, replace(chunk, outcomes={})))
        report += IngestReport(asked_again=(days,))
    return report
