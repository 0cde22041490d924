"""What pieces of a run that are done by other processes need of the store: which it is, and who may write now.

Locks last as long as the connection that holds them, so the server lets go of those of a process that dies. What the
pieces are is not known here.
"""

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from uuid import uuid4

import psycopg2
from psycopg2.extensions import connection as Connection  # noqa: N812 - a class under a lower-case name

from breadthflow_pipelines.errors import DatabaseError
from breadthflow_pipelines.warehouse.database import Database, lasting_connection, rows_of


def store_identity(database: Database) -> str:
    """Which database of which server this is, whatever address it is reached by; a standby is another one."""
    (found,) = rows_of(
        database,
        "SELECT system_identifier, current_database() AS name, pg_is_in_recovery() AS standby FROM pg_control_system()",
    )
    standby = ", a standby" if found["standby"] else ""
    return f"database {found['name']} of server {found['system_identifier']}{standby}"


@contextmanager
def spreading(database: Database, asset: str) -> Iterator[str]:
    """Wait until no piece of an earlier run is under way; yields a name by which pieces know that this run lives.

    The caller holds ``exclusive(asset)``.
    """
    run = uuid4().hex
    with closing(lasting_connection(database.url)) as connection:
        _ask(connection, "pg_advisory_lock", _pieces(asset))
        _ask(connection, "pg_advisory_unlock", _pieces(asset))
        _ask(connection, "pg_advisory_lock", _run(run))
        try:
            yield run
        finally:
            # The server notices a moment later that a connection is closed; until then, pieces would believe it lives.
            with suppress(DatabaseError, psycopg2.Error):
                _ask(connection, "pg_advisory_unlock", _run(run))


@contextmanager
def piece_of(database: Database, asset: str, run: str) -> Iterator[Callable[[], None]]:
    """Keep the asset's next run waiting until this piece is done.

    run: the name that ``spreading`` gave. Yields a function to call before anything is written.

    Raises:
        DatabaseError: the run is over or has lost the store, so the piece must not write.
    """
    with closing(lasting_connection(database.url)) as connection:
        _ask(connection, "pg_advisory_lock_shared", _pieces(asset))

        def confirm() -> None:
            # Who can have the run's lock finds that the run does not hold it any more.
            if _ask(connection, "pg_try_advisory_lock_shared", _run(run)):
                raise DatabaseError(
                    f"A piece of {asset} was not written: the run that asked for it is over, or lost the database."
                )

        confirm()
        yield confirm


def _pieces(asset: str) -> str:
    return f"breadthflow pieces of {asset}"


def _run(run: str) -> str:
    return f"breadthflow run {run}"


def _ask(connection: Connection, function: str, what: str) -> bool:
    """Call one of the server's functions about a lock; whether it answers yes."""
    try:
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT {function}(hashtextextended(%s, 0))", (what,))
            (answer,) = cursor.fetchone() or (None,)
    except psycopg2.OperationalError as error:
        raise DatabaseError(f"The database went away: {str(error).strip().splitlines()[0]}") from None
    return answer is True
