"""A store as servers of requests see it: few connections at a time, and a reader's that cannot write or take long."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from breadthflow_pipelines.errors import BusyError, RequestError
from breadthflow_pipelines.warehouse.addresses import with_session
from breadthflow_pipelines.warehouse.database import Database, rows_of
from breadthflow_pipelines.warehouse.roles import READER, creating

if TYPE_CHECKING:
    import psycopg2

CONNECTIONS = 8  # at a time; each answers within milliseconds, so that many more clients share them
PATIENCE = 5.0  # seconds that a request waits for one
STATEMENT_SECONDS = 15


@dataclass(frozen=True)
class Bounded(Database):
    """A database with a limited number of connections at a time; who finds none free waits, and not for long."""

    slots: threading.BoundedSemaphore = field(repr=False, compare=False)

    @contextmanager
    def connect(self, *, alone: bool = False, single: bool = False) -> Iterator[psycopg2.extensions.connection]:
        """As Database.connect().

        Raises:
            BusyError: all connections were in use for too long.
        """
        if not self.slots.acquire(timeout=PATIENCE):
            raise BusyError("All connections to the database are in use; ask again in a moment.")
        try:
            with super().connect(alone=alone, single=single) as connection:
                yield connection
        finally:
            self.slots.release()


def bounded(url: str, connections: int = CONNECTIONS) -> Bounded:
    """The database at an address, with so many connections at a time."""
    return Bounded(url, None, threading.BoundedSemaphore(connections))


def read_only(url: str) -> Bounded:
    """The same, where nothing can be written and no question takes long."""
    return bounded(with_session(url, default_transaction_read_only="on", statement_timeout=f"{STATEMENT_SECONDS}s"))


def reader_of(url: str) -> Bounded:
    """The database at an address as its role for readers sees it, read-only.

    Raises:
        RequestError: the login may not act as that role, or there is none; says what an administrator does.
    """
    found = rows_of(
        Database(url, None),
        "SELECT current_user AS login, (SELECT pg_has_role(oid, 'MEMBER') FROM pg_roles WHERE rolname = %s) AS member",
        [READER],
    )[0]
    if found["member"] is None:
        raise RequestError(
            f"The database has no role {READER}, as which the API reads. As an administrator: {creating([READER])} "
            "Then: breadthflow db upgrade"
        )
    if not found["member"]:
        raise RequestError(
            f"The login {found['login']} may not act as {READER}, as which the API reads. As an administrator: "
            f"GRANT {READER} TO {found['login']};"
        )
    return read_only(with_session(url, role=READER))
