"""Connections of those who watch: they read only, and give up soon, so that they never stand in the way of a run."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import psycopg2

from breadthflow_pipelines.errors import DatabaseError
from breadthflow_pipelines.warehouse.database import Database, connect

STATEMENT_SECONDS = 5  # a figure that takes longer is not worth it
_LIMITS = (
    f"-c statement_timeout={STATEMENT_SECONDS}s -c lock_timeout=1s -c default_transaction_read_only=on "
    "-c timezone=UTC -c jit=off"
)


@dataclass(frozen=True)
class Watched(Database):
    """A database over one connection that others need not wait for.

    answer_seconds: how long it took to connect, and to get a first answer.
    """

    connection: psycopg2.extensions.connection = field(repr=False)
    answer_seconds: float

    @contextmanager
    def connect(
        self,
        *,
        alone: bool = False,  # noqa: ARG002
        single: bool = False,  # noqa: ARG002
    ) -> Iterator[psycopg2.extensions.connection]:
        """The connection, for one transaction.

        Raises:
            DatabaseError: a statement failed, took too long, or the server went away.
        """
        try:
            with self.connection:
                yield self.connection
        except psycopg2.Error as error:
            raise DatabaseError(f"The database does not answer: {str(error).strip().splitlines()[0]}") from None


@contextmanager
def watched(url: str) -> Iterator[Watched]:
    """The database of that address, over a connection that is closed at the end.

    Raises:
        DatabaseError: it cannot be reached.
    """
    began = time.monotonic()
    connection = connect(url, options=_LIMITS)
    try:
        with connection, connection.cursor() as cursor:
            cursor.execute("SELECT 1")
        yield Watched(url, None, connection, time.monotonic() - began)
    finally:
        connection.close()
