"""What was done by whom, for people to read. It is written by audit_store.py."""

import datetime as dt
from collections.abc import Sequence

from breadthflow_pipelines.model.vocabulary import LAUNCHED
from breadthflow_pipelines.warehouse.database import Database, Row, rows_of

COLUMNS = ("done_at", "who", "behalf", "action", "what", "reason", "run_id", "via", "host", "login")


def launched_by(database: Database, runs: Sequence[str]) -> dict[str, str | None]:
    """Who launched each of these runs, where that is known."""
    rows = rows_of(
        database,
        "SELECT DISTINCT ON (run_id) run_id, who FROM audit WHERE run_id = ANY(%s) AND action = %s "
        "ORDER BY run_id, audit_id",
        [list(runs), LAUNCHED],
    )
    return {row["run_id"]: row["who"] for row in rows}


def audited(database: Database, since: dt.date | None, user: str | None, action: str | None) -> list[Row]:
    """What was done since a day (UTC), by a user or in his name, oldest first; None stands for any."""
    return rows_of(
        database,
        f"SELECT {', '.join(COLUMNS)} FROM audit WHERE done_at >= coalesce(%(since)s, '-infinity'::timestamptz) "
        "AND (%(user)s IS NULL OR %(user)s IN (who, behalf)) AND action = coalesce(%(action)s, action) "
        "ORDER BY audit_id",
        {"since": since, "user": user, "action": action},
    )
