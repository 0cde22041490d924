"""Tokens of the API as the store keeps them: whose, what they allow, until when. How they are made: api/tokens.py.

That one is made or revoked is written down in the same transaction.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from breadthflow_pipelines.errors import RequestError
from breadthflow_pipelines.model.vocabulary import GRANTED, REVOKED
from breadthflow_pipelines.warehouse.audit_store import present_user, record
from breadthflow_pipelines.warehouse.database import Database, Row, rows_of

if TYPE_CHECKING:
    from psycopg2.extensions import cursor as Cursor  # noqa: N812 - a class under a lower-case name

SHOWN = (
    *("token_id", "held_by", "role", "valid", "created_at", "created_by", "expires_at", "last_used_at"),
    *("revoked_at", "revoked_by"),
)
_VALID = "revoked_at IS NULL AND coalesce(expires_at > now(), true)"


@dataclass(frozen=True)
class Token:
    """A token that is valid now. secret_hash: of the part that only its holder knows."""

    token_id: str
    held_by: str
    role: str
    secret_hash: str


@dataclass(frozen=True)
class Revocation:
    """That a token was revoked, when and by whom."""

    token_id: str
    at: dt.datetime
    by: str


def add(
    database: Database,
    token_id: str,
    held_by: str,
    role: str,
    secret_hash: str,
    expires_at: dt.datetime | None,
    by: str,
) -> None:
    """Keep a new token. by: who makes it."""
    with database.connect() as connection, connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO api_tokens (token_id, held_by, role, secret_hash, expires_at, created_by) "
            "VALUES (%s, %s, %s, %s, %s, %s)",
            (token_id, held_by, role, secret_hash, expires_at, by),
        )
        record(cursor, GRANTED, f"token {token_id}, {role}", who=by, behalf=held_by)


def revoke(database: Database, token_id: str, by: str) -> None:
    """Have a token refused from now on.

    Raises:
        RequestError: there is none of that id, or it was revoked before.
    """
    with database.connect() as connection, connection.cursor() as cursor:
        cursor.execute(
            "UPDATE api_tokens SET revoked_at = now(), revoked_by = %s WHERE token_id = %s AND revoked_at IS NULL "
            "RETURNING held_by",
            (by, token_id),
        )
        found = cursor.fetchone()
        if found is None:
            raise RequestError(f"No token {token_id} is in use; breadthflow token list shows them.")
        record(cursor, REVOKED, f"token {token_id}", who=by, behalf=found[0])


def revoke_held(cursor: Cursor, held_by: str, by: str, why: str) -> int:
    """Have whatever a user holds refused from now on; how many tokens were valid."""
    cursor.execute(
        f"UPDATE api_tokens SET revoked_at = now(), revoked_by = %s WHERE held_by = %s AND {_VALID} RETURNING token_id",
        (by, held_by),
    )
    revoked = cursor.fetchall()
    for (token_id,) in revoked:
        record(cursor, REVOKED, f"token {token_id}", who=by, behalf=held_by, reason=why)
    return len(revoked)


def revocations(cursor: Cursor) -> list[Revocation]:
    """Those of a store."""
    cursor.execute("SELECT token_id, revoked_at, revoked_by FROM api_tokens WHERE revoked_at IS NOT NULL")
    return [Revocation(*row) for row in cursor.fetchall()]


def revoke_again(cursor: Cursor, known: Iterable[Revocation], why: str) -> int:
    """Revoke tokens that were revoked in another store, when and by whom it was there; how many were valid here."""
    again = 0
    for each in known:
        cursor.execute(
            "UPDATE api_tokens SET revoked_at = %s, revoked_by = %s WHERE token_id = %s AND revoked_at IS NULL "
            "RETURNING held_by",
            (each.at, each.by, each.token_id),
        )
        if found := cursor.fetchone():
            record(cursor, REVOKED, f"token {each.token_id}", who=present_user(), behalf=found[0], reason=why)
            again += 1
    return again


def valid(database: Database, token_id: str) -> Token | None:
    """The token of that id, unless it was revoked or has expired, or never was."""
    rows = rows_of(
        database,
        f"SELECT token_id, held_by, role, secret_hash FROM api_tokens WHERE token_id = %s AND {_VALID}",
        [token_id],
    )
    return Token(**rows[0]) if rows else None


def note_use(database: Database, token_id: str) -> None:
    """Write down that a token let someone in; once a minute at most."""
    with database.connect() as connection, connection.cursor() as cursor:
        cursor.execute(
            "UPDATE api_tokens SET last_used_at = now() "
            "WHERE token_id = %s AND coalesce(last_used_at < now() - interval '1 minute', true)",
            (token_id,),
        )


def tokens(database: Database) -> list[Row]:
    """Every token that was ever made, without its hash, the newest last; ``valid`` says whether it lets someone in."""
    columns = ", ".join(f"{_VALID} AS valid" if name == "valid" else name for name in SHOWN)
    return rows_of(database, f"SELECT {columns} FROM api_tokens ORDER BY created_at, token_id")
