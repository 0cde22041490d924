"""What was done by whom, for people to read. It is written by audit_store.py."""

import datetime as dt

from breadthflow_pipelines.warehouse.database import Database, Row, rows_of

COLUMNS = ("done_at", "who", "behalf", "action", "what", "reason", "run_id", "via", "host", "login")


def audited(database: Database, since: dt.date | None, user: str | None, action: str | None) -> list[Row]:
    """What was done since a day (UTC), by a user or in his name, oldest first; None stands for any."""
    return rows_of(
        database,
        f"SELECT {', '.join(COLUMNS)} FROM audit WHERE done_at >= coalesce(%(since)s, '-infinity'::timestamptz) "
        "AND (%(user)s IS NULL OR %(user)s IN (who, behalf)) AND action = coalesce(%(action)s, action) "
        "ORDER BY audit_id",
        {"since": since, "user": user, "action": action},
    )
