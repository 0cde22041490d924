"""What of the store may go once it is old, and that it went. Dagster's own records: retention.py.

Only what no signal is made of, and no explanation shows: values that were replaced, rows that the source no longer has,
and who did what. Nothing of it goes unless a setting says so. What listeners were told goes after days.
"""

import datetime as dt
from collections.abc import Mapping

from psycopg2 import sql

from breadthflow_pipelines.errors import RequestError
from breadthflow_pipelines.observability.logs import log
from breadthflow_pipelines.warehouse.database import Database, rows_of
from breadthflow_pipelines.warehouse.roles import FORGETTING

REVISIONS: Mapping[str, str] = {
    "bar_revisions": "revised_at",
    "breadth_revisions": "known_to",
    "signal_revisions": "known_to",
}  # with when each was over
REJECTED: Mapping[str, str] = {"rejected_bars": "gone_at"}  # those that the source still has count for its gate


def forget_revisions(database: Database, days: int) -> int:
    """Drop what was replaced longer ago; how many rows went. What was known at moments before is then not known."""
    return _forget(database, REVISIONS, days)


def forget_rejected(database: Database, days: int) -> int:
    """Drop broken rows that the source has no more since longer ago; how many went."""
    return _forget(database, REJECTED, days)


def forget_audit(database: Database, days: int) -> int:
    """Drop what was done longer ago, as far as the owner lets this login; how many rows went.

    The database writes down that they went.
    """
    with database.connect() as connection, connection.cursor() as cursor:
        cursor.execute("SELECT has_function_privilege(%s, 'EXECUTE')", (FORGETTING,))
        if not (cursor.fetchone() or (False,))[0]:
            remedy = "as the owner, with BREADTHFLOW_KEEP_AUDIT_DAYS set: breadthflow db upgrade"
            log.warning("audit_kept", reason="the owner lets pipelines drop none of it", remedy=remedy)
            return 0
        cursor.execute("SELECT forget_audit(%s)", (days,))
        return int((cursor.fetchone() or (0,))[0])


def forget_events(database: Database, days: int) -> int:
    """Drop events, and requests of runs, that are older; how many went.

    The highest number of those that went is kept: whoever has seen less is told that he missed some.
    """
    old = {"days": days}
    with database.connect() as connection, connection.cursor() as cursor:
        cursor.execute(_FORGET_EVENTS, old)
        gone = int((cursor.fetchone() or (0,))[0])
        for relation, stamp in (("pending_events", "happened_at"), ("run_requests", "asked_at")):
            delete = sql.SQL("DELETE FROM {} WHERE {} < now() - make_interval(days => %(days)s)")
            cursor.execute(delete.format(sql.Identifier(relation), sql.Identifier(stamp)), old)
            gone += cursor.rowcount
    return gone


_FORGET_EVENTS = """
WITH gone AS (
    DELETE FROM events WHERE happened_at < now() - make_interval(days => %(days)s) RETURNING event_id
), marked AS (
    INSERT INTO event_marks (mark, reached) SELECT 'dropped', max(event_id) FROM gone HAVING count(*) > 0
    ON CONFLICT (mark) DO UPDATE SET reached = greatest(event_marks.reached, EXCLUDED.reached)
)
SELECT count(*) FROM gone
"""


def check_kept(database: Database, relation: str, as_of: dt.datetime) -> None:
    """Refuse a moment of which rows of a table were dropped. relation: one of REVISIONS or REJECTED.

    Raises:
        RequestError: says from which moment on they are kept.
    """
    rows = rows_of(database, "SELECT dropped_before FROM retentions WHERE relation = %s", [relation])
    gone = rows[0]["dropped_before"] if rows else None
    if gone is not None and as_of < gone:
        kind = "REVISIONS" if relation in REVISIONS else "REJECTED"
        raise RequestError(
            f"What was known before {gone.astimezone(dt.UTC):%Y-%m-%d %H:%M:%S} UTC was dropped, as "
            f"BREADTHFLOW_KEEP_{kind}_DAYS says; ask for a later moment."
        )


_NOTE = (
    "INSERT INTO retentions (relation, dropped_before) VALUES (%(relation)s, now() - make_interval(days => %(days)s)) "
    "ON CONFLICT (relation) DO UPDATE SET dropped_at = now(), "
    "dropped_before = greatest(retentions.dropped_before, EXCLUDED.dropped_before)"
)


def _forget(database: Database, relations: Mapping[str, str], days: int) -> int:
    gone = 0
    with database.connect() as connection, connection.cursor() as cursor:
        for relation, stamp in relations.items():
            delete = sql.SQL("DELETE FROM {} WHERE {} < now() - make_interval(days => %(days)s)")
            cursor.execute(delete.format(sql.Identifier(relation), sql.Identifier(stamp)), {"days": days})
            if cursor.rowcount:
                gone += cursor.rowcount
                cursor.execute(_NOTE, {"relation": relation, "days": days})
    return gone
