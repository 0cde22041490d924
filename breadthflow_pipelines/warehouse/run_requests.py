"""Runs that were requested by API: the request first, then the run that answers it, so that it is answered once.

The run carries the request's random id as a tag. Whoever puts runs into the queue finds the user by it; a tag that
somebody invents, or copies from another run, finds nobody.
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING

from breadthflow_pipelines.warehouse.database import Database

if TYPE_CHECKING:
    from psycopg2.extensions import cursor as Cursor  # noqa: N812 - a class under a lower-case name


@dataclass(frozen=True)
class RunRequest:
    """A request that is stored. body_hash: of what was requested; run_id: None where no run answers it yet."""

    request_id: str
    body_hash: str
    run_id: str | None


def hashed(*parts: str) -> str:
    """The hash of texts, kept apart from each other."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def stored_request(database: Database, who: str | None, key: str | None, body: str) -> RunRequest:
    """The request that the user sent before with that key, whatever its body was, or else a new one."""
    request_id, key_hash = secrets.token_hex(16), None if key is None else hashed(who or "", key)
    with database.connect() as connection, connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO run_requests (request_id, who, key_hash, body_hash) VALUES (%s, %s, %s, %s) "
            "ON CONFLICT (key_hash) DO NOTHING",
            (request_id, who, key_hash, hashed(body)),
        )
        cursor.execute(
            "SELECT request_id, body_hash, run_id FROM run_requests WHERE key_hash = %s OR request_id = %s",
            (key_hash, request_id),
        )
        found = cursor.fetchone()
    assert found is not None  # noqa: S101 - it was there, or was inserted
    return RunRequest(*found)


def answer(database: Database, request_id: str, run_id: str) -> None:
    """A run that is under way answers the request."""
    with database.connect() as connection, connection.cursor() as cursor:
        cursor.execute("UPDATE run_requests SET run_id = %s WHERE request_id = %s", (run_id, request_id))


def take(cursor: Cursor, request_id: str, run_id: str) -> tuple[str | None] | None:
    """The user, in a tuple, whose request the run answers; None where no request of that id waits for its run."""
    cursor.execute(
        "UPDATE run_requests SET run_id = %s WHERE request_id = %s AND run_id IS NULL RETURNING who",
        (run_id, request_id),
    )
    found: tuple[str | None] | None = cursor.fetchone()
    return found
