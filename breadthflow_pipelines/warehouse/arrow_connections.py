"""Connections through ADBC, which carry Arrow, and what their errors mean. What is read is in bulk.py."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache

import adbc_driver_postgresql
import adbc_driver_postgresql.dbapi as adbc
import polars as pl
from adbc_driver_manager import AdbcConnection, AdbcDatabase
from adbc_driver_manager import Error as AdbcError

from breadthflow_pipelines.errors import DatabaseError
from breadthflow_pipelines.warehouse.database import Database
from breadthflow_pipelines.warehouse.failures import GIVEN_UP, GONE, failure, without_password
from breadthflow_pipelines.warehouse.kept_connections import Kept
from breadthflow_pipelines.warehouse.sql import written_out

_PASSING = (*GONE, GIVEN_UP, "57")  # SQLSTATE; of 57 also statements that were cancelled


@contextmanager
def arrow_cursor(database: Database) -> Iterator[adbc.Cursor]:
    """A cursor in one transaction: committed at the end, rolled back on an error."""
    try:
        with _connection(database.url) as connection, connection.cursor() as cursor:
            yield cursor
            connection.commit()
    except AdbcError as error:
        passing = error.sqlstate is None or error.sqlstate.startswith(_PASSING)
        said = without_password(database.url, str(error).splitlines()[0])
        gone = DatabaseError(f"The database cannot be reached: {said}") if passing else None
        explained = failure(database.url, error, gone)
        if explained is None:
            raise
        raise explained from None


def frame_of(cursor: adbc.Cursor, query: str, values: Sequence[object] = ()) -> pl.DataFrame:
    """The answer to a query with ``$1``, ``$2``, ... as a frame."""
    # The driver takes rows by COPY, as they come, where there is nothing to bind, and else holds all of them twice.
    written = written_out(query, values)
    if written is None:
        cursor.execute(query, tuple(values))
    else:
        cursor.execute(written)
    frame = pl.from_arrow(cursor.fetch_arrow_table())
    assert isinstance(frame, pl.DataFrame)  # noqa: S101 - a table never becomes a series
    return frame


_kept: Kept[adbc.Connection] = Kept()


@contextmanager
def _connection(url: str) -> Iterator[adbc.Connection]:
    """A connection in a transaction; used again after it, unless an error came."""
    connection = _kept.take(url, _answers) or _opened(url)
    try:
        yield connection
        connection.adbc_connection.set_autocommit(True)  # ends the transaction that the driver begins at a commit
    except BaseException:
        connection.close()
        raise
    _kept.give_back(url, connection)


def _answers(connection: adbc.Connection) -> bool:
    """Whether the server is still there; if so the connection is in a new transaction."""
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
        connection.adbc_connection.set_autocommit(False)
    except AdbcError:
        return False
    return True


def _opened(url: str) -> adbc.Connection:
    connection = AdbcConnection(_types(url))
    try:
        return adbc.Connection(_Lasting(), connection)
    except BaseException:
        connection.close()
        raise


class _Lasting:
    """Stands for a database whose handle outlives its connections; what closes one of them leaves it alone."""

    def close(self) -> None:
        """Nothing is to be done."""


@lru_cache(maxsize=8)
def _types(url: str) -> AdbcDatabase:
    """The driver's handle of a database, with all its types, which it asks for in 50 ms. It holds no connection."""
    handle: AdbcDatabase = adbc_driver_postgresql.connect(url)
    return handle
