"""Events get their numbers in an order that nothing is added to later, whoever commits when, and none is lost."""

import datetime as dt
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import closing

import psycopg2
import pytest
import sqlalchemy
from dagster._core.storage.event_log.schema import SqlEventLogStorageMetadata
from dagster._core.storage.runs.schema import RunStorageSqlMetadata

from breadthflow_pipelines.model.vocabulary import EVENT_KINDS
from breadthflow_pipelines.warehouse.database import Database, rows_of
from breadthflow_pipelines.warehouse.event_log import EventLog, events_after, listening, reach
from breadthflow_pipelines.warehouse.store_retention import forget_events
from breadthflow_pipelines_tests.conftest import administer, as_login, wait_until

KEPT = 7
EACH = 20  # events of one writer
Connection = psycopg2.extensions.connection


@pytest.fixture
def dagster(fresh_database: Callable[[str], str]) -> Database:
    """Dagster's database with its tables."""
    url = fresh_database("template1")
    engine = sqlalchemy.create_engine("postgresql+psycopg2" + url.removeprefix("postgresql"))
    for metadata in (SqlEventLogStorageMetadata, RunStorageSqlMetadata):
        metadata.create_all(engine)
    engine.dispose()
    return Database(url, None)


@pytest.fixture
def log(database: Database, dagster: Database) -> EventLog:
    """A log that has looked once, so that whatever comes now is news."""
    log = EventLog(database, dagster, KEPT)
    log.number()
    return log


@pytest.fixture
def slow(dagster: Database) -> Iterator[Connection]:
    """Somebody who writes to Dagster's log and takes his time to commit."""
    with closing(psycopg2.connect(dagster.url)) as connection:
        yield connection


def write(connection: Connection, kind: str, run: str = "one", step: str | None = None, *, days_ago: int = 0) -> int:
    """An entry of Dagster's log, not committed; its number."""
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO event_logs (run_id, event, dagster_event_type, timestamp, step_key) "
            "VALUES (%s, '{}', %s, (now() AT TIME ZONE 'UTC') - make_interval(days => %s), %s) RETURNING id",
            (run, kind, days_ago, step),
        )
        return int((cursor.fetchone() or (0,))[0])


def committed(dagster: Database, kind: str, run: str = "one", step: str | None = None, **more: int) -> int:
    with dagster.connect() as connection:
        return write(connection, kind, run, step, **more)


def execute(database: Database, statement: str, *values: object) -> None:
    with database.connect() as connection, connection.cursor() as cursor:
        cursor.execute(statement, values)


def pend(database: Database, universe: str) -> None:
    execute(
        database,
        "INSERT INTO pending_events (kind, about) VALUES ('new_session', %s)",
        json.dumps({"universe": universe}),
    )


def told(database: Database, after: int = 0) -> list[tuple[str, str | None]]:
    """Kind, and run or universe, of each event in its order."""
    return [
        (row["kind"], row["about"].get("run_id") or row["about"].get("universe"))
        for row in events_after(database, after, 100)
    ]


def read_through(database: Database) -> int:
    return int(rows_of(database, "SELECT reached FROM event_marks WHERE mark = 'read'")[0]["reached"])


def test_what_was_before_anybody_listened_is_no_news(database: Database, dagster: Database) -> None:
    committed(dagster, "PIPELINE_START", "before")
    log = EventLog(database, dagster, KEPT)
    log.number()
    committed(dagster, "PIPELINE_START", "after")
    log.number()
    assert told(database) == [("run_started", "after")]


def test_a_database_that_dagster_has_not_used_yet_has_no_events(
    database: Database, fresh_database: Callable[[str], str]
) -> None:
    pend(database, "sp500")
    EventLog(database, Database(fresh_database("template1"), None), KEPT).number()
    assert told(database) == [("new_session", "sp500")]


def test_each_entry_that_matters_is_one_event_of_its_kind(log: EventLog, database: Database, dagster: Database) -> None:
    execute(dagster, "INSERT INTO runs (run_id, pipeline_name, run_body) VALUES ('one', 'bring_up_to_date', '')")
    began = dt.datetime.now(dt.UTC)
    for kind, step in (
        ("PIPELINE_ENQUEUED", None),
        ("PIPELINE_START", None),
        ("STEP_START", "bars"),
        ("STEP_OUTPUT", "bars"),  # said again elsewhere
        ("STEP_SUCCESS", "bars"),
        ("STEP_START", "bars_keep_the_contract"),  # a check
        ("STEP_SUCCESS", "bars_keep_the_contract"),
        ("STEP_FAILURE", "breadth_counts"),
        ("PIPELINE_FAILURE", None),
    ):
        committed(dagster, kind, step=step)
    log.number()
    found = events_after(database, 0, 100)
    assert [(row["kind"], row["about"].get("step"), row["about"].get("phase")) for row in found] == [
        ("run_queued", None, None),
        ("run_started", None, None),
        ("run_progress", "bars", "started"),
        ("run_progress", "bars", "done"),
        ("run_progress", "bars_keep_the_contract", "done"),
        ("run_progress", "breadth_counts", "failed"),
        ("run_finished", None, None),
    ]
    assert {row["about"]["job"] for row in found} == {"bring_up_to_date"}
    assert found[-1]["about"]["status"] == "failure"
    assert all(abs(row["happened_at"] - began) < dt.timedelta(minutes=5) for row in found)  # not in a local time
    assert {row["kind"] for row in found} <= {*EVENT_KINDS}


def test_an_entry_that_is_committed_after_higher_ones_is_not_lost(
    log: EventLog, database: Database, dagster: Database, slow: Connection
) -> None:
    late = write(slow, "PIPELINE_START", "late")
    early = committed(dagster, "PIPELINE_START", "early")
    assert late < early  # else the test shows nothing
    for _ in range(3):
        log.number()
    assert told(database) == [("run_started", "early")]
    assert read_through(database) < late
    seen = events_after(database, 0, 1)[0]["event_id"]
    slow.commit()
    log.number()
    assert told(database, seen) == [("run_started", "late")]  # after what a listener has seen, not before it
    for _ in range(3):
        log.number()
    assert told(database, seen) == [("run_started", "late")]  # and once
    assert read_through(database) == early


def test_a_place_in_the_log_counts_as_read_once_all_are_over_who_could_write_below_it(
    log: EventLog, database: Database, dagster: Database, slow: Connection
) -> None:
    with slow.cursor() as cursor:
        cursor.execute("SELECT 1")  # in a transaction that has written nothing so far
    first = committed(dagster, "PIPELINE_START", "first")
    for _ in range(3):
        log.number()
    assert read_through(database) < first
    slow.rollback()
    for _ in range(3):
        log.number()
    assert read_through(database) == first


def test_another_process_goes_on_where_the_last_one_ended(
    log: EventLog, database: Database, dagster: Database, slow: Connection
) -> None:
    write(slow, "PIPELINE_START", "late")
    committed(dagster, "PIPELINE_START", "early")
    log.number()
    slow.commit()
    EventLog(database, dagster, KEPT).number()
    assert told(database) == [("run_started", "early"), ("run_started", "late")]


def test_more_entries_than_a_page_are_all_numbered(log: EventLog, database: Database, dagster: Database) -> None:
    execute(
        dagster,
        "INSERT INTO event_logs (run_id, event, dagster_event_type, timestamp) "
        "SELECT n::text, '{}', 'PIPELINE_START', now() AT TIME ZONE 'UTC' FROM generate_series(1, 1201) n",
    )
    log.number()
    log.number()
    assert [row["about"]["run_id"] for row in events_after(database, 0, 2000)] == [str(n) for n in range(1, 1202)]


def test_events_of_the_store_are_numbered_when_they_are_committed(log: EventLog, database: Database) -> None:
    with closing(psycopg2.connect(database.url)) as slow:
        with slow.cursor() as cursor:
            cursor.execute(
                """INSERT INTO pending_events (kind, about) VALUES ('new_session', '{"universe": "late"}')"""
            )
        pend(database, "early")
        log.number()
        slow.commit()
        log.number()
    assert told(database) == [("new_session", "early"), ("new_session", "late")]
    assert rows_of(database, "SELECT FROM pending_events") == []


def write_to_the_store(database: Database, writer: int) -> None:
    for event in range(EACH):
        pend(database, f"s{writer}.{event}")


def write_to_dagster(dagster: Database, writer: int) -> None:
    """In transactions of one to some entries."""
    with closing(psycopg2.connect(dagster.url)) as connection:
        for event in range(EACH):
            write(connection, "PIPELINE_START", f"d{writer}.{event}")
            if event % (writer + 2) == 0:
                connection.commit()
        connection.commit()


def keep_numbering(database: Database, dagster: Database, over: threading.Event) -> None:
    log = EventLog(database, dagster, KEPT)
    while not over.is_set():
        log.number()


def keep_reading(database: Database, seen: list[str], over: threading.Event) -> None:
    """As a listener does: what comes after the last number, a few at a time."""
    last = 0
    while not over.is_set():
        for row in events_after(database, last, 7):
            last = row["event_id"]
            seen.append(row["about"].get("run_id") or row["about"]["universe"])


def test_whoever_reads_while_many_write_and_number_sees_every_event_once(database: Database, dagster: Database) -> None:
    EventLog(database, dagster, KEPT).number()
    over, seen = threading.Event(), list[str]()
    works = [
        *(threading.Thread(target=write_to_the_store, args=(database, n)) for n in range(2)),
        *(threading.Thread(target=write_to_dagster, args=(dagster, n)) for n in range(2)),
        *(threading.Thread(target=keep_numbering, args=(database, dagster, over)) for _ in range(3)),
        threading.Thread(target=keep_reading, args=(database, seen, over)),
    ]
    for work in works:
        work.start()
    wanted = sorted(f"{of}{writer}.{event}" for of in "sd" for writer in range(2) for event in range(EACH))
    try:
        wait_until(lambda: len(seen) >= len(wanted))
        EventLog(database, dagster, KEPT).number()
    finally:
        over.set()
        for work in works:
            work.join()
    assert sorted(seen) == wanted


def test_a_failed_check_is_told_once_however_often_it_is_shown_again(
    log: EventLog, database: Database, dagster: Database
) -> None:
    def judged(run: str, *, success: bool) -> None:
        said = {
            "asset_key": {"path": ["bars"]},
            "check_name": "no_session_missing",
            "success": success,
            "severity": {"__enum__": "AssetCheckSeverity.ERROR"},
            "description": None,
            "metadata": {"what": {"text": "2 sessions are missing"}},
        }
        event = json.dumps({"dagster_event": {"event_specific_data": said}})
        execute(
            dagster,
            "WITH e AS (INSERT INTO event_logs (run_id, event, dagster_event_type, timestamp) VALUES "
            "(%s, %s, 'ASSET_CHECK_EVALUATION', now() AT TIME ZONE 'UTC') RETURNING id) "
            "INSERT INTO asset_check_executions (asset_key, check_name, run_id, execution_status, "
            """evaluation_event_storage_id) SELECT '["bars"]', 'no_session_missing', %s, %s, id FROM e""",
            *(run, event, run, "SUCCEEDED" if success else "FAILED"),
        )

    judged("one", success=True)
    judged("two", success=False)
    judged("", success=False)  # shown again after a materialization
    judged("", success=True)
    judged("", success=False)  # late again: no run said so
    log.number()
    found = [row["about"] for row in events_after(database, 0, 100)]
    assert [about["run_id"] for about in found] == ["two", None]
    assert found[0] == {
        "run_id": "two",
        "job": None,
        "asset": "bars",
        "check": "no_session_missing",
        "severity": "error",
        "said": "2 sessions are missing",
    }


def test_old_events_go_and_it_is_known_up_to_which_number(log: EventLog, database: Database, dagster: Database) -> None:
    committed(dagster, "PIPELINE_START", "old", days_ago=6)
    committed(dagster, "PIPELINE_START", "ancient", days_ago=8)  # nobody listened when it was news
    log.number()
    committed(dagster, "PIPELINE_START", "new")
    log.number()
    assert told(database) == [("run_started", "old"), ("run_started", "new")]
    assert reach(database) == (0, 2)
    execute(
        database,
        "INSERT INTO run_requests (request_id, body_hash, asked_at) VALUES ('r', 'b', now() - interval '6 days')",
    )
    assert forget_events(database, 5) == 2
    assert told(database) == [("run_started", "new")]
    assert reach(database) == (1, 2)
    execute(database, "UPDATE events SET happened_at = now() - interval '9 days'")
    assert forget_events(database, 5) == 1
    assert reach(database) == (2, 2)  # the highest number there ever was is still known


def test_a_listener_is_woken_by_what_is_committed(log: EventLog, database: Database) -> None:
    with listening(database) as notices:
        assert not notices.wait(0)
        pend(database, "sp500")
        assert notices.wait(5)
        log.number()
        assert notices.wait(5)  # another process may read what this one numbered
        log.number()
        assert not notices.wait(0.1)  # nothing came, so nobody is woken


def test_readers_see_events_and_hear_notices_and_write_none(log: EventLog, database: Database, server: object) -> None:
    make = "CREATE ROLE reader_login LOGIN IN ROLE breadthflow_reader; EXCEPTION WHEN duplicate_object THEN"
    administer(server, f"DO $$ BEGIN {make} END $$")  # type: ignore[arg-type]
    reader = Database(as_login(database.url, "reader_login"), None)
    pend(database, "sp500")
    log.number()
    with listening(reader) as notices:
        assert told(reader) == [("new_session", "sp500")]
        pend(database, "nasdaq100")
        assert notices.wait(5)
    with pytest.raises(Exception, match="may not"):
        pend(reader, "invented")
