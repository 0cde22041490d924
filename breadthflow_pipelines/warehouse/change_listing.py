"""Whether anything that the API shows has changed: by the transactions that triggers of its tables noted."""

import hashlib

from breadthflow_pipelines.warehouse.database import Database, rows_of

KEPT = 1000  # transactions; which they were is all that matters, not how many there are


def state_of(database: Database) -> str:
    """A text that is another one after every change that was committed, and the same as long as there is none.

    It is asked for before what it dates: a change in between makes the answer newer than its date, never older.
    """
    [row] = rows_of(
        database,
        "SELECT count(*) AS n, coalesce(sum(transaction), 0)::text AS sum, max(transaction) AS last FROM store_changes",
    )
    return hashlib.sha256(f"{row['n']} {row['sum']} {row['last']}".encode()).hexdigest()[:16]


def forget_changes(database: Database) -> int:
    """Drop the notes of all but the last transactions; how many went."""
    with database.connect() as connection, connection.cursor() as cursor:
        cursor.execute(
            "DELETE FROM store_changes WHERE transaction <= "
            "(SELECT transaction FROM store_changes ORDER BY transaction DESC OFFSET %s LIMIT 1)",
            (KEPT,),
        )
        return cursor.rowcount
