"""Whether anything that the API shows has changed, and since when not: by what triggers of its tables noted.

What a table said before it changed is in history.py, where it is kept.
"""

import datetime as dt
import hashlib
from collections.abc import Sequence

from breadthflow_pipelines.errors import NEXT_LINE, RequestError
from breadthflow_pipelines.warehouse.database import Database, rows_of

KEPT = 1000  # notes; which they were is all that matters, not how many there are


def state_of(database: Database) -> str:
    """A text that is another one after every change that was committed, and the same as long as there is none.

    It is asked for before what it dates: a change in between makes the answer newer than its date, never older.
    """
    [row] = rows_of(
        database,
        "SELECT count(*) AS n, coalesce(sum(transaction), 0)::text AS sum, max(transaction) AS last FROM store_changes",
    )
    return hashlib.sha256(f"{row['n']} {row['sum']} {row['last']}".encode()).hexdigest()[:16]


def check_unchanged(database: Database, relations: Sequence[str], as_of: dt.datetime, instead: str) -> None:
    """Refuse a moment before the last change of tables of which only the newest rows are kept.

    It is asked for after the rows were read: then they are those of that moment. instead: what else to ask.

    Raises:
        RequestError: says when they changed.
    """
    query = "SELECT max(changed_at) AS last FROM store_changes WHERE relation = ANY(%s)"
    [row] = rows_of(database, query, [list(relations)])
    if as_of < row["last"]:
        raise RequestError(
            f"What this list said at {as_of:%Y-%m-%d %H:%M:%S %Z} is not kept: it changed at "
            f"{row['last'].astimezone(dt.UTC):%Y-%m-%d %H:%M:%S} UTC, and only the newest rows are there.{NEXT_LINE}"
            f"{instead}"
        )


def forget_changes(database: Database) -> int:
    """Drop the notes of all but the last changes, and of the last one of each table; how many went."""
    with database.connect() as connection, connection.cursor() as cursor:
        cursor.execute(
            "DELETE FROM store_changes c WHERE changed_at <= "
            "(SELECT changed_at FROM store_changes ORDER BY changed_at DESC OFFSET %s LIMIT 1) AND EXISTS "
            "(SELECT FROM store_changes later WHERE later.relation = c.relation AND later.changed_at > c.changed_at)",
            (KEPT,),
        )
        return cursor.rowcount
