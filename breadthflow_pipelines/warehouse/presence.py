"""Who is on a database now: the one `breadthflow up` that it may have, its other clients, Dagster's daemon.

All of it is known to the server and gone with the connection, so nothing of it can be left behind by a crash.
"""

from __future__ import annotations

import datetime as dt
import time
from contextlib import closing

import psycopg2

from breadthflow_pipelines.errors import DatabaseError
from breadthflow_pipelines.warehouse.database import connect

LONGEST_NAME = 63  # bytes of an application's name that PostgreSQL keeps
# A connection whose machine lost its power is noticed within a minute instead of two hours.
_WATCHED = "-c tcp_keepalives_idle=20 -c tcp_keepalives_interval=10 -c tcp_keepalives_count=3"
_HELD_BY = """
    SELECT application_name FROM pg_stat_activity WHERE pid IN (
        SELECT pid FROM pg_locks
        WHERE locktype = 'advisory' AND granted AND objsubid = 1
          AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
          AND classid = (hashtextextended(%(what)s, 0) >> 32 & 4294967295)::oid
          AND objid = (hashtextextended(%(what)s, 0) & 4294967295)::oid
    )
"""


class Claim:
    """The right to be the only one of a kind on a database: a lock that lives as long as its connection.

    what: the kind. holder: who asks, as others are told.
    """

    def __init__(self, url: str, what: str, holder: str) -> None:
        self._url = url
        self._what = f"breadthflow {what}"
        self._holder = holder.encode("ascii", "replace").decode()[:LONGEST_NAME]  # all that the server keeps of it
        self._connection: psycopg2.extensions.connection | None = None

    def hold(self) -> str | None:
        """Take the right, or make sure that it is still ours; who has it instead, or None.

        Raises:
            DatabaseError: the database cannot be reached.
        """
        if self._connection is not None:
            try:
                with self._connection.cursor() as cursor:
                    cursor.execute("SELECT 1")
            except psycopg2.Error:  # the server went away, and the lock with it
                self.release()
            else:
                return None
        self._connection = connect(self._url, application_name=self._holder, options=_WATCHED)
        self._connection.autocommit = True
        with self._connection.cursor() as cursor:
            cursor.execute("SET idle_session_timeout = 0")  # it has nothing else to do than to be there
            cursor.execute("SELECT pg_try_advisory_lock(hashtextextended(%s, 0))", (self._what,))
            if cursor.fetchone() == (True,):
                return None
            cursor.execute(_HELD_BY, {"what": self._what})
            holder = cursor.fetchone()
        self.release()
        return str(holder[0]) if holder else "somebody who has just let go"

    def release(self) -> None:
        """Let others have it."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def answers(url: str) -> bool:
    """Whether the server says anything at all, be it that it has too many clients or is still recovering."""
    try:
        connect(url).close()
    except DatabaseError as error:
        return "FATAL" in str(error)
    return True


def others(url: str, ours: str) -> list[str]:
    """The names of other clients of this server whose name is not ``ours``; of those without one, an empty name."""
    with closing(connect(url, application_name=ours)) as connection, connection.cursor() as cursor:
        cursor.execute(
            "SELECT application_name FROM pg_stat_activity "
            "WHERE backend_type = 'client backend' AND pid <> pg_backend_pid() AND application_name <> %s ORDER BY 1",
            (ours,),
        )
        return [str(name) for (name,) in cursor.fetchall()]


def daemon_silence(dagster_url: str) -> dt.timedelta | None:
    """How long ago Dagster's daemon last said that it lives; None where it never did."""
    with closing(connect(dagster_url)) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT to_regclass('daemon_heartbeats') IS NOT NULL")
        if cursor.fetchone() != (True,):
            return None
        # The column of that name has no time zone and is in the server's; this is in seconds, by the daemon's clock.
        cursor.execute("SELECT max((body::json ->> 'timestamp')::float8) FROM daemon_heartbeats")
        (last,) = cursor.fetchone() or (None,)
    return None if last is None else dt.timedelta(seconds=time.time() - last)


def unfinished_runs(dagster_url: str) -> int:
    """How many runs Dagster believes to be under way."""
    with closing(connect(dagster_url)) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT to_regclass('runs') IS NOT NULL")
        if cursor.fetchone() != (True,):
            return 0
        cursor.execute("SELECT count(*) FROM runs WHERE status IN ('NOT_STARTED', 'STARTING', 'STARTED', 'CANCELING')")
        (count,) = cursor.fetchone() or (0,)
    return int(count)
