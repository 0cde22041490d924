"""What listeners are told: events of the store and of Dagster's log, in one order that nothing is added to later.

Whoever writes does not number. New sessions and signals wait in pending_events, put there by the transaction that
stores them (migration 0027), and Dagster keeps a log anyway. A listener's process gives the numbers, when all of that
is committed: docs/decisions/events.md.
"""

import json
import select
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import psycopg2
from psycopg2.extras import execute_values

from breadthflow_pipelines.errors import DatabaseError
from breadthflow_pipelines.model.datasets import DATASETS
from breadthflow_pipelines.model.vocabulary import CHECK_FAILED, RUN_FINISHED, RUN_PROGRESS, RUN_QUEUED, RUN_STARTED
from breadthflow_pipelines.warehouse.database import Database, Row, lasting_connection, rows_of

CHANNEL = "breadthflow_events"
PAGE = 500  # entries of Dagster's log at a time
READ, DROPPED = "read", "dropped"  # marks

_ENDS = {"PIPELINE_SUCCESS": "success", "PIPELINE_FAILURE": "failure", "PIPELINE_CANCELED": "canceled"}
_STEPS = {"STEP_START": "started", "STEP_SUCCESS": "done", "STEP_FAILURE": "failed", "STEP_SKIPPED": "skipped"}
_CHECK = "ASSET_CHECK_EVALUATION"
_KINDS = {
    "PIPELINE_ENQUEUED": RUN_QUEUED,
    "PIPELINE_START": RUN_STARTED,
    **dict.fromkeys(_ENDS, RUN_FINISHED),
    **dict.fromkeys(_STEPS, RUN_PROGRESS),
    _CHECK: CHECK_FAILED,
}

# A verdict without a run repeats what is known, so that the UI shows it: it is news only where the one before passed.
_ENTRIES = f"""
SELECT e.id, e.run_id, e.dagster_event_type AS type, e.timestamp AT TIME ZONE 'UTC' AS happened_at, e.step_key AS step,
       r.pipeline_name AS job, CASE dagster_event_type WHEN '{_CHECK}' THEN e.event END AS event,
       e.run_id = '' AND (
           SELECT p.execution_status FROM asset_check_executions c JOIN asset_check_executions p
                  ON p.asset_key = c.asset_key AND p.check_name = c.check_name AND p.id < c.id
            WHERE c.evaluation_event_storage_id = e.id AND p.evaluation_event_storage_id IS NOT NULL
            ORDER BY p.id DESC LIMIT 1) = 'FAILED' AS repeated
  FROM event_logs e LEFT JOIN runs r ON r.run_id = e.run_id
 WHERE e.id > %(after)s AND e.dagster_event_type = ANY(%(types)s)
   AND e.timestamp > (now() AT TIME ZONE 'UTC') - make_interval(days => %(days)s)
 ORDER BY e.id LIMIT %(most)s
"""

_NUMBER = """
INSERT INTO events (kind, happened_at, about, dagster_id)
SELECT kind, happened_at, about::jsonb, dagster_id FROM (VALUES %s) AS v (kind, happened_at, about, dagster_id)
 WHERE NOT EXISTS (SELECT FROM events e WHERE e.dagster_id = v.dagster_id) ORDER BY dagster_id
"""

_NUMBER_PENDING = """
WITH moved AS (DELETE FROM pending_events RETURNING *)
INSERT INTO events (kind, happened_at, about) SELECT kind, happened_at, about FROM moved ORDER BY pending_id
"""

_MARK = """
INSERT INTO event_marks (mark, reached) VALUES (%s, %s) ON CONFLICT (mark) DO UPDATE SET reached = EXCLUDED.reached
"""

# Who is in a transaction on this database now. A transaction has this name before it has anything else.
_ACTIVE = (
    "SELECT virtualtransaction AS name FROM pg_locks JOIN pg_stat_activity USING (pid) "
    "WHERE locktype = 'virtualxid' AND granted AND datname = current_database()"
)


@dataclass(frozen=True)
class Horizon:
    """A place in Dagster's log, and who was in a transaction when it was the end of the log.

    Numbers of the log are given before they are committed. Once all of these transactions are over, nothing can appear
    below the place.
    """

    place: int
    active: frozenset[str]


@dataclass
class EventLog:
    """Gives events their numbers. One at a time does, of all processes, and no writer waits for it.

    ledger: the store, to be written. dagster: Dagster's database, to be read. days: how old an entry of its log may be.
    """

    ledger: Database
    dagster: Database
    days: int
    _horizon: Horizon | None = field(default=None, init=False)

    def number(self) -> None:
        """Number what was committed since, unless another process is at it.

        Raises:
            DatabaseError: one of the databases does not answer.
        """
        with self.ledger.connect() as connection, connection.cursor() as cursor:
            cursor.execute("SELECT pg_try_advisory_xact_lock(hashtextextended('breadthflow events', 0))")
            if cursor.fetchone() == (True,):
                self._number_entries(cursor)
                cursor.execute(_NUMBER_PENDING)

    def _number_entries(self, cursor: Any) -> None:
        """Entries of Dagster's log are read again from the last place below which nothing can appear any more."""
        if not rows_of(self.dagster, "SELECT to_regclass('event_logs') IS NOT NULL AS made")[0]["made"]:
            return
        end = rows_of(self.dagster, "SELECT coalesce(max(id), 0) AS place FROM event_logs")[0]["place"]
        cursor.execute("SELECT reached FROM event_marks WHERE mark = %s", (READ,))
        stored = (cursor.fetchone() or (None,))[0]
        # At first, what was before is no news; nor is it where Dagster's database is another one now.
        read = end if stored is None else min(stored, end)
        active = self._active()
        settled = read
        if self._horizon is not None and not self._horizon.active & active:
            settled, self._horizon = min(self._horizon.place, end), None
        for page in self._pages(read):
            found = [event for entry in page if (event := _event(entry)) is not None]
            if found:
                execute_values(cursor, _NUMBER, found, page_size=PAGE)
        if settled != stored:
            cursor.execute(_MARK, (READ, settled))
        if self._horizon is None and end > settled:
            self._horizon = Horizon(end, active)

    def _active(self) -> frozenset[str]:
        return frozenset(row["name"] for row in rows_of(self.dagster, _ACTIVE))

    def _pages(self, after: int) -> Iterator[list[Row]]:
        """The entries that are told of after a place, some at a time."""
        while True:
            values = {"after": after, "types": list(_KINDS), "days": self.days, "most": PAGE}
            page = rows_of(self.dagster, _ENTRIES, values)
            yield page
            if len(page) < PAGE:
                return
            after = page[-1]["id"]


def events_after(store: Database, after: int, most: int) -> list[Row]:
    """The first events after that number: event_id, kind, happened_at, about."""
    query = "SELECT event_id, kind, happened_at, about FROM events WHERE event_id > %s ORDER BY event_id LIMIT %s"
    return rows_of(store, query, [after, most])


def reach(store: Database) -> tuple[int, int]:
    """The number up to which events were dropped, and the highest one there ever was."""
    row = rows_of(
        store,
        "SELECT coalesce((SELECT reached FROM event_marks WHERE mark = %s), 0) AS dropped, "
        "coalesce((SELECT max(event_id) FROM events), 0) AS newest",
        [DROPPED],
    )[0]
    return row["dropped"], max(row["dropped"], row["newest"])


class Notices:
    """A connection over which the database says that there may be something new."""

    def __init__(self, connection: psycopg2.extensions.connection) -> None:
        self._connection = connection

    def wait(self, seconds: float) -> bool:
        """Wait for a notice, and no longer than that; whether one came.

        Raises:
            DatabaseError: the connection is lost.
        """
        try:
            readable, _, _ = select.select([self._connection], [], [], seconds)
            if readable:
                self._connection.poll()
        except (psycopg2.Error, OSError, ValueError) as error:
            raise DatabaseError(f"The database went away: {str(error).strip() or 'connection closed'}") from None
        came = bool(self._connection.notifies)
        self._connection.notifies.clear()
        return came


@contextmanager
def listening(store: Database) -> Iterator[Notices]:
    """Notices from now on, over a connection of one's own.

    Raises:
        DatabaseError: the database cannot be reached.
    """
    connection = lasting_connection(store.url)
    try:
        with connection.cursor() as cursor:
            cursor.execute(f"LISTEN {CHANNEL}")
        yield Notices(connection)
    finally:
        connection.close()


def _event(entry: Row) -> Sequence[object] | None:
    """kind, happened_at, about, dagster_id of an entry; None where nobody needs to know."""
    about: dict[str, object] = {"run_id": entry["run_id"] or None, "job": entry["job"]}
    kind = entry["type"]
    if kind in _ENDS:
        about["status"] = _ENDS[kind]
    elif kind in _STEPS:
        if kind == "STEP_START" and entry["step"] not in DATASETS:  # that a check begins is no news
            return None
        about |= {"step": entry["step"], "phase": _STEPS[kind]}
    elif kind == _CHECK:
        said = json.loads(entry["event"])["dagster_event"]["event_specific_data"]
        if said["success"] or entry["repeated"]:
            return None
        about |= {
            "asset": "/".join(said["asset_key"]["path"]),
            "check": said["check_name"],
            "severity": said["severity"]["__enum__"].partition(".")[2].lower(),
            "said": (said["metadata"].get("what") or {}).get("text") or said["description"],
        }
    return _KINDS[kind], entry["happened_at"], json.dumps(about), entry["id"]
