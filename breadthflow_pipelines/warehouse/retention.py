"""What of Dagster's own records may go once it is old: how each step went, never what is known of an asset now.

The newest materialization of an asset and of each of its partitions stays, and the newest verdict of a check, and so do
the runs that made them. Other runs stay with their beginnings, ends and failures, unless a setting lets them go.
Everything is found by an index: a history of years costs nothing.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from breadthflow_pipelines.warehouse.database import Database

BATCH = 50  # runs in one transaction

# Of each step, and what is said again elsewhere: STEP_OUTPUT repeats all that is in the materialization.
PASSING_EVENTS = (
    *("STEP_START", "STEP_SUCCESS", "STEP_OUTPUT", "STEP_INPUT", "STEP_SKIPPED", "STEP_RESTARTED", "STEP_UP_FOR_RETRY"),
    *("STEP_WORKER_STARTING", "STEP_WORKER_STARTED", "STEP_EXPECTATION_RESULT"),
    *("HANDLED_OUTPUT", "LOADED_INPUT", "OBJECT_STORE_OPERATION", "LOGS_CAPTURED", "ENGINE_EVENT"),
    *("RESOURCE_INIT_STARTED", "RESOURCE_INIT_SUCCESS", "ASSET_CHECK_EVALUATION_PLANNED"),
)
# That a partition was meant to be made says of a run that failed that the partition is missing because of it.
_PLANNED = "ASSET_MATERIALIZATION_PLANNED"
_NEWS = ("ASSET_MATERIALIZATION", "ASSET_OBSERVATION", "ASSET_CHECK_EVALUATION")
_FINISHED = ("SUCCESS", "FAILURE", "CANCELED")


@dataclass(frozen=True)
class OldRun:
    """A run that ended long ago. number: its place in the order in which runs were made."""

    number: int
    run_id: str


def old_runs(database: Database, after: int, ended_before: dt.datetime, most: int) -> list[OldRun]:
    """Runs made after the one of that number that ended before that moment, in the order in which they were made.

    The list ends before the first run that ended later or has not ended, so that none is passed over.
    """
    with database.connect() as connection, connection.cursor() as cursor:
        cursor.execute(
            "SELECT id, run_id, status = ANY(%s) AND coalesce(end_time < %s, false) "
            "FROM runs WHERE id > %s ORDER BY id LIMIT %s",
            (list(_FINISHED), ended_before.timestamp(), after, most),
        )
        found = []
        for number, run_id, old in cursor.fetchall():
            if not old:
                break
            found.append(OldRun(number, run_id))
    return found


def runs_without_news(database: Database, ended_before: dt.datetime, most: int) -> list[OldRun]:
    """Runs that ended before that moment of which no event is left that says how an asset or a check is now."""
    with database.connect() as connection, connection.cursor() as cursor:
        cursor.execute(
            "SELECT id, run_id FROM runs r WHERE status = ANY(%s) AND end_time < %s AND NOT EXISTS ("
            "SELECT FROM event_logs e WHERE e.run_id = r.run_id AND e.dagster_event_type = ANY(%s)) "
            "ORDER BY id LIMIT %s",
            (list(_FINISHED), ended_before.timestamp(), list(_NEWS), most),
        )
        return [OldRun(*row) for row in cursor.fetchall()]


def forget_steps(database: Database, runs: list[OldRun]) -> int:
    """Delete what those runs wrote about each step; returns how many events went."""
    return _in_batches(
        database,
        runs,
        (
            "DELETE FROM event_logs WHERE run_id = ANY(%(runs)s) "
            "AND (dagster_event_type IS NULL OR dagster_event_type = ANY(%(passing)s)) RETURNING id",
            "DELETE FROM event_logs e USING runs r WHERE e.run_id = ANY(%(runs)s) AND r.run_id = e.run_id "
            "AND r.status = 'SUCCESS' AND e.dagster_event_type = %(planned)s RETURNING e.id",
        ),
    )


def forget_superseded(database: Database, runs: list[OldRun]) -> int:
    """Delete what those runs said of assets and checks that a later run said again; returns how many events went."""
    newer = (
        "SELECT FROM event_logs n WHERE n.asset_key = e.asset_key AND n.dagster_event_type = e.dagster_event_type "
        "AND n.id > e.id AND n.partition"
    )
    materializations = (
        "DELETE FROM event_logs e WHERE e.run_id = ANY(%(runs)s) AND e.dagster_event_type = 'ASSET_MATERIALIZATION' "
    )
    return _in_batches(
        database,
        runs,
        (
            f"{materializations} AND e.partition IS NULL AND EXISTS ({newer} IS NULL) RETURNING e.id",
            f"{materializations} AND e.partition IS NOT NULL AND EXISTS ({newer} = e.partition) RETURNING e.id",
            # What a run came to is asked for as long as one of its materializations is an asset's, or a month's, last.
            "DELETE FROM event_logs e WHERE e.run_id = ANY(%(runs)s) AND e.dagster_event_type = 'ASSET_OBSERVATION' "
            "AND NOT EXISTS (SELECT FROM event_logs m WHERE m.run_id = e.run_id AND m.asset_key = e.asset_key "
            "AND m.dagster_event_type = 'ASSET_MATERIALIZATION') RETURNING e.id",
            _SUPERSEDED_VERDICTS.format("c.run_id = ANY(%(runs)s)"),
        ),
    )


def forget_superseded_lights(database: Database, before: dt.datetime) -> int:
    """Delete verdicts that no run gave (check_statuses.py) before then, and that were given again since."""
    with database.connect() as connection, connection.cursor() as cursor:
        query = _SUPERSEDED_VERDICTS.format("c.run_id = '' AND c.evaluation_event_timestamp < %(before)s")
        cursor.execute(query, {"before": before.astimezone(dt.UTC).replace(tzinfo=None)})
        return cursor.rowcount


# The verdicts first, by which their events are found.
_SUPERSEDED_VERDICTS = """
WITH old AS (
    DELETE FROM asset_check_executions c
    USING (SELECT DISTINCT asset_key, check_name FROM asset_check_executions) k
    WHERE c.asset_key = k.asset_key AND c.check_name = k.check_name AND {}
    AND EXISTS (
        SELECT FROM asset_check_executions n
        WHERE n.asset_key = c.asset_key AND n.check_name = c.check_name
        AND n.partition IS NOT DISTINCT FROM c.partition AND n.id > c.id
        AND n.evaluation_event_storage_id IS NOT NULL
    )
    RETURNING c.evaluation_event_storage_id
)
DELETE FROM event_logs WHERE id IN (SELECT evaluation_event_storage_id FROM old) RETURNING id
"""


def _in_batches(database: Database, runs: list[OldRun], statements: tuple[str, ...]) -> int:
    gone = 0
    for start in range(0, len(runs), BATCH):
        values = {
            "runs": [run.run_id for run in runs[start : start + BATCH]],
            "passing": list(PASSING_EVENTS),
            "planned": _PLANNED,
        }
        with database.connect() as connection, connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement, values)
                events = [number for (number,) in cursor.fetchall()]
                cursor.execute("DELETE FROM asset_event_tags WHERE event_id = ANY(%s)", (events,))
                gone += len(events)
    return gone
