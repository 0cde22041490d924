"""Reports of chunks, added up to that of a run."""

import datetime as dt
from collections import Counter
from types import SimpleNamespace

import polars as pl

from breadthflow_pipelines.orchestration.ingest_report import RESTATED_SCHEMA, IngestReport, Restated
from breadthflow_pipelines.orchestration.partitions import Span
from breadthflow_pipelines.sources.protocol import Account, Outcome, Reading
from breadthflow_pipelines.warehouse.bulk import Merged

DAY = dt.date(2023, 12, 29)
SPAN = Span(dt.date(2023, 12, 1), DAY, DAY)
AGAIN = Restated("AAA", 0.5, None, 250, dt.date(2023, 1, 3), DAY)


def merged(read: int, **kinds: int) -> Merged:
    rows = [{"session": DAY, "kind": kind, "rows": rows} for kind, rows in kinds.items()]
    return Merged(read, pl.DataFrame(rows, schema={"session": pl.Date, "kind": pl.String, "rows": pl.Int64}))


FIRST = IngestReport(
    read=10,
    rejected=1,
    merged=merged(9, inserted=7, updated=1),
    read_by_month=Counter({"2023-11": 10}),
    outcomes={"AAA": Outcome.FAILED, "BBB": Outcome.FETCHED},
    problems=("AAA: broken",),
    reading=Reading(1, Account(), 0),
    last_session=DAY,
)
SECOND = IngestReport(
    read=5,
    corrected=2,
    merged=merged(5, updated=2),
    read_by_month=Counter({"2023-11": 2, "2023-12": 3}),
    outcomes={"AAA": Outcome.FETCHED},
    restated=(AGAIN,),
    last_session=dt.date(2023, 11, 30),
)


def test_counts_are_added_and_of_a_symbol_the_last_outcome_counts() -> None:
    both = FIRST + SECOND
    assert (both.read, both.rejected, both.corrected) == (15, 1, 2)
    assert both.read_by_month == {"2023-11": 12, "2023-12": 3}
    assert both.outcomes == {"AAA": Outcome.FETCHED, "BBB": Outcome.FETCHED}
    assert (FIRST.failed, both.failed) == (["AAA"], [])
    assert (both.problems, both.restated) == (("AAA: broken",), (AGAIN,))
    assert both.last_session == DAY
    assert both.reading == FIRST.reading  # only a source's last chunk brings one


def test_nothing_added_changes_nothing() -> None:
    both = IngestReport() + FIRST + IngestReport()
    assert (both.merged.read, both.merged.inserted) == (9, 7)
    assert (both.read, both.outcomes, both.last_session) == (FIRST.read, FIRST.outcomes, FIRST.last_session)


def test_the_record_of_the_run_has_every_outcome_and_the_rows_of_the_source() -> None:
    source = SimpleNamespace(name="feed", synthetic=True)
    figures = (FIRST + SECOND).figures(source, SPAN, [dt.date(2023, 12, 24)])  # type: ignore[arg-type]
    assert (figures.source, figures.synthetic) == ("feed (synthetic)", True)
    assert figures.row_counts() == {
        "rows_read": 15,
        "rows_inserted": 7,
        "rows_revised": 3,
        "rows_unchanged": 4,
        "rows_removed": 0,
        "rows_rejected": 1,
    }
    assert figures.symbols == {"fetched": 2, "absent": 0, "failed": 0, "not_yet": 0}
    assert (figures.range, figures.calendar_changed) == ("2023-12-01 to 2023-12-29", ("2023-12-24",))
    assert figures.securities_restated == 1


def test_restated_histories_are_a_table_even_where_there_are_none() -> None:
    assert SECOND.restated_table().rows() == [AGAIN]
    assert IngestReport().restated_table().schema == RESTATED_SCHEMA
