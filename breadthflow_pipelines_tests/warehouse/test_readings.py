"""What the store was made from is known only while that is true: of a run that ended well, with nothing left to do."""

import pytest

from breadthflow_pipelines.warehouse import readings
from breadthflow_pipelines.warehouse.bulk import execute
from breadthflow_pipelines.warehouse.database import Database
from breadthflow_pipelines.warehouse.verdicts import Fault, record


@pytest.fixture
def made(database: Database) -> Database:
    """A store that run r1 made from the inputs "same" of the source "s"."""
    readings.begin(database, "s", "r1")
    readings.end(database, "s", "r1", "same")
    return database


def maker(database: Database, source: str = "s", inputs: str = "same") -> str | None:
    row = readings.made_from(database, source, inputs)
    return None if row is None else str(row["run_id"])


def test_the_run_that_made_it_is_named(made: Database) -> None:
    row = readings.made_from(made, "s", "same")
    assert row is not None
    assert row["run_id"] == "r1"
    assert row["ended_at"].tzinfo is not None


def test_other_inputs_and_other_sources_did_not_make_it(made: Database) -> None:
    assert maker(made, inputs="other") is None
    assert maker(made, source="t") is None


def test_a_run_that_reads_and_does_not_end_well_makes_it_unknown(made: Database) -> None:
    readings.begin(made, "s", "r2")
    assert maker(made) is None
    readings.end(made, "s", "r2", "same")
    assert maker(made) == "r2"


def test_a_run_that_ends_after_another_began_to_read_says_nothing(made: Database) -> None:
    readings.begin(made, "s", "r2")
    readings.begin(made, "s", "r3")
    readings.end(made, "s", "r2", "same")
    assert maker(made) is None


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO recomputations (asset, first_session, cause) VALUES ('breadth_counts', '2024-01-02', 'bars')",
        "INSERT INTO holds VALUES ('coverage', 'u', false, '2024-01-02', 0.9, '1 of 10', now(), 'r1', NULL)",
    ],
    ids=["something is to be recomputed", "something is held"],
)
def test_it_is_unknown_while_something_is_left_to_do(made: Database, statement: str) -> None:
    execute(made, [(statement, ())])
    assert maker(made) is None


def test_it_is_unknown_while_a_check_fails(made: Database) -> None:
    record(made, "bars", "bars_complete", ["2024-01"], {"2024-01": Fault(1, "a hole")}, run_id="r1")
    assert maker(made) is None
    record(made, "bars", "bars_complete", ["2024-01"], {}, run_id="r1")
    record(made, "bars", "coverage_drop", ["2024-01"], {"2024-01": Fault(1, "few")}, run_id="r1", severity="warn")
    assert maker(made) == "r1"  # a warning stands however often it is looked at
