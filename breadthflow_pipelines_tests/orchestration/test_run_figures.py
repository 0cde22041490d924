"""What a run reports: every field is read back as it was written, and a field that is not there is an error."""

from typing import Any

import dagster as dg
import pytest

from breadthflow_pipelines.errors import BreadthFlowError
from breadthflow_pipelines.orchestration.run_figures import (
    BarsFigures,
    FileFigures,
    NothingRead,
    PagesWritten,
    PublishedFigures,
    Record,
    RowCounts,
    latest_bars,
    latest_published,
)
from breadthflow_pipelines.sources.protocol import Outcome
from breadthflow_pipelines.warehouse.database import Database
from breadthflow_pipelines.warehouse.problems import last_problems
from breadthflow_pipelines_tests.orchestration.conftest import Store
from breadthflow_pipelines_tests.orchestration.small_market import LAST

ROWS = {"rows_read": 9, "rows_inserted": 4, "rows_revised": 3, "rows_unchanged": 2, "rows_removed": 1}
COUNTS = RowCounts(**ROWS)
FILES = FileFigures(
    files_read=2,
    lines_read=20,
    lines_of_rows=9,
    lines_rejected=1,
    lines_blank=4,
    lines_headers=2,
    lines_continued=4,
    rows_outside=1,
    columns_unused={"vwap": 2},
    files_not_read=("1 other file is not read in the directory: notes.txt",),
)
BARS = BarsFigures(
    **ROWS,
    rows_rejected=5,
    problems=("AAA.csv: line 3 is broken",),
    rows_rejected_new=2,
    rejected_by_reason={"close is null": 5},
    source="files",
    synthetic=False,
    symbols=dict.fromkeys(Outcome, 1),
    symbols_failed=("AAA",),
    adjusted_closes_unusable=7,
    adjusted_closes_unusable_of={"BBB": 7},
    bars_corrected=1,
    securities_restated=1,
    range="2023-11-01 to 2023-12-29",
    calendar_changed=("2023-12-24",),
)
RECORDS = [
    COUNTS,
    PublishedFigures(**ROWS, rows_rejected=5, problems=("NYSE: gone",), no_longer_given=("NYSE gives less",)),
    NothingRead(publications="none could be read", problems=("NYSE: gone",)),
    PagesWritten(pages=2, pages_changed=1),
    FILES,
    BARS,
    BARS.model_copy(update={"files": FILES}),
]


def stored(metadata: dict[str, Any]) -> dict[str, Any]:
    """The metadata as Dagster has it, after it was written and read."""
    written = dg.serialize_value(dg.AssetObservation(asset_key="bars", metadata=metadata))
    read = dg.deserialize_value(written, dg.AssetObservation)
    return {name: entry.value for name, entry in read.metadata.items()}


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: type(record).__name__)
def test_record_is_read_back_as_it_was_written(record: Record) -> None:
    assert type(record).from_metadata(stored(record.to_metadata())) == record


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: type(record).__name__)
def test_missing_field_is_refused_by_name(record: Record) -> None:
    for name in record.to_metadata():
        metadata = stored(record.to_metadata())
        del metadata[name]
        with pytest.raises(BreadthFlowError, match=name):
            type(record).from_metadata(metadata)


def test_field_of_another_type_is_refused_by_name() -> None:
    with pytest.raises(BreadthFlowError, match="rows_read"):
        RowCounts.from_metadata({**ROWS, "rows_read": "many"})


def test_names_are_those_that_the_ui_has_always_shown() -> None:
    metadata = BARS.model_copy(update={"files": FILES}).to_metadata()
    assert {*ROWS, "rows_rejected", "symbols_failed", "securities_restated", "lines_read"} <= metadata.keys()
    assert metadata["symbols"] == {"fetched": 1, "absent": 1, "failed": 1, "not_yet": 1}


def test_no_run_is_none_and_not_a_run_without_problems(store: Store) -> None:
    assert latest_bars(store.instance) is None
    assert latest_published(store.instance) is None


def test_last_run_is_read_from_what_every_asset_stored(filled: Store) -> None:
    bars = latest_bars(filled.instance)
    assert bars is not None
    assert bars.rows_read == sum(len(rows) for rows in filled.small.rows.values())
    assert latest_bars(filled.instance, "2023-12") == bars  # one run made all months
    assert latest_bars(filled.instance, "2033-12") is None
    published = latest_published(filled.instance)
    assert isinstance(published, NothingRead)
    assert (published.publications.partition(":")[0], published.problems) == ("none configured", ())


def test_problems_are_those_that_the_last_runs_reported(filled: Store) -> None:
    (filled.small.bars / "ddd.csv").write_text("this,is,no\nbar,file,at all\n")
    report = filled.daily(LAST)
    assert report.problems
    assert last_problems(filled.dagster_url) == [*report.problems, "DDD: could not be read"]


def test_renamed_field_ends_in_an_error_for_whoever_asks_for_problems(filled: Store) -> None:
    with Database(filled.dagster_url, None).connect() as connection, connection.cursor() as cursor:
        cursor.execute("UPDATE event_logs SET event = replace(event, 'run/problems', 'run/troubles')")
    with pytest.raises(BreadthFlowError, match="problems is missing"):
        last_problems(filled.dagster_url)
