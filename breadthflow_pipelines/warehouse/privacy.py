"""Names of users, the only personal data in the store: where they stand, and how one is exported or erased."""

from __future__ import annotations

import secrets
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from psycopg2 import sql

from breadthflow_pipelines.errors import RequestError
from breadthflow_pipelines.model.vocabulary import ERASED, EXPORTED
from breadthflow_pipelines.warehouse.audit_store import present_user, record
from breadthflow_pipelines.warehouse.database import Database, Row, rows_of

if TYPE_CHECKING:
    from psycopg2.extensions import cursor as Cursor  # noqa: N812 - a class under a lower-case name

# By table, the columns that hold a user's name and nothing else.
NAMED: Mapping[str, Sequence[str]] = {
    "audit": ("who", "behalf", "login"),
    "quarantined_bars": ("decided_by",),
    "hole_decisions": ("decided_by",),
    "api_tokens": ("held_by", "created_by", "revoked_by"),
    "run_requests": ("who",),
}
# By table, the columns with what people wrote, in which a name may occur among other words.
FREE_TEXT: Mapping[str, Sequence[str]] = {
    "audit": ("what", "reason"),
    "quarantined_bars": ("reason",),
    "hole_decisions": ("reason",),
}
# By table, the columns that tell its rows apart, also from those of other stores, the oldest first.
_LASTING: Mapping[str, Sequence[str]] = {"audit": ("done_at", "audit_id"), "api_tokens": ("created_at", "token_id")}
PSEUDONYM = "erased-"


@dataclass(frozen=True)
class Erased:
    """What an erasure did: the rows that had the name, what stands there now, and texts in which it still occurs."""

    rows: int
    pseudonym: str
    mentions: int


def rows_about(database: Database, user: str) -> list[Row]:
    """Every row that names the user, with its table; that it was asked for is itself written down.

    Raises:
        RequestError: no row does.
    """
    found: list[Row] = []
    for table, columns in NAMED.items():
        query = sql.SQL("SELECT %(table)s AS table, to_jsonb(t) AS row FROM {} t WHERE {}").format(
            sql.Identifier(table), _any_is(columns, "user")
        )
        found += rows_of(database, query, {"table": table, "user": user})
    if not found:
        raise RequestError(f"No row names {user}; breadthflow audit shows names as they are stored.")
    with database.connect() as connection, connection.cursor() as cursor:
        record(cursor, EXPORTED, f"{len(found)} rows about a user", who=present_user(), behalf=user)
    return found


def erase(database: Database, user: str) -> Erased:
    """Put a new pseudonym wherever the user's name stands, the same in every row, and write down that it was done.

    Which name it stands for is kept nowhere. Only the owner of the tables may do this.

    Raises:
        RequestError: no row names the user, or the login may not change the audit.
    """
    pseudonym = f"{PSEUDONYM}{secrets.token_hex(4)}"
    with database.connect() as connection, connection.cursor() as cursor:
        rows = replace(cursor, user, pseudonym, NAMED)
        if not rows:
            raise RequestError(f"No row names {user}; breadthflow audit shows names as they are stored.")
        mentions = 0
        for table, columns in FREE_TEXT.items():
            any_has = sql.SQL(" OR ").join(
                sql.SQL("strpos({}, %(user)s) > 0").format(sql.Identifier(c)) for c in columns
            )
            count = sql.SQL("SELECT count(*) FROM {} WHERE {}").format(sql.Identifier(table), any_has)
            cursor.execute(count, {"user": user})
            mentions += (cursor.fetchone() or (0,))[0]
    return Erased(rows, pseudonym, mentions)


def replace(cursor: Cursor, user: str, pseudonym: str, tables: Collection[str], why: str | None = None) -> int:
    """Put the pseudonym where the user's name stands in these tables, and write it down; in how many rows it did."""
    cursor.execute("SET LOCAL breadthflow.audit = 'open'")
    rows = 0
    for table, columns in NAMED.items():
        if table not in tables:
            continue
        changes = sql.SQL(", ").join(
            sql.SQL("{0} = CASE {0} WHEN %(user)s THEN %(pseudonym)s ELSE {0} END").format(sql.Identifier(column))
            for column in columns
        )
        update = sql.SQL("UPDATE {} SET {} WHERE {}").format(sql.Identifier(table), changes, _any_is(columns, "user"))
        cursor.execute(update, {"user": user, "pseudonym": pseudonym})
        rows += cursor.rowcount
    if rows:
        me = present_user()
        what = f"a user's name in {rows} rows, now {pseudonym}"
        record(cursor, ERASED, what, who=pseudonym if me == user else me, reason=why)
    return rows


def erased_between(earlier: Cursor, later: Cursor, tables: Collection[str]) -> dict[str, str]:
    """The names of an earlier state of a store that were erased by a later one, with their pseudonyms there.

    Which one stands for whom is kept nowhere; it shows where both states have the same row. tables: those of both.
    """
    found: dict[str, str] = {}
    for table, key in _LASTING.items():
        for column in NAMED[table] if table in tables else ():
            names = {"table": sql.Identifier(table), "column": sql.Identifier(column), "key": _listed(key)}
            # The oldest row that has a pseudonym is the one most likely to be in the earlier state.
            oldest = "SELECT DISTINCT ON ({column}) {column}, {key} FROM {table} WHERE {column} ~ %s ORDER BY 1, {key}"
            same = sql.SQL("SELECT {column} FROM {table} WHERE ({key}) = %s").format(**names)
            later.execute(sql.SQL(oldest).format(**names), (f"^{PSEUDONYM}[0-9a-f]{{8}}$",))
            for pseudonym, *row in later.fetchall():
                earlier.execute(same, (tuple(row),))
                (name,) = earlier.fetchone() or (None,)
                if name not in (None, pseudonym):
                    found[name] = pseudonym
    return found


def tagged_runs(dagster_url: str, user: str) -> int:
    """How many runs have a tag with the user's name in Dagster's database; BreadthFlow itself sets none."""
    database = Database(dagster_url, None)
    if not rows_of(database, "SELECT to_regclass('run_tags') AS tags", [])[0]["tags"]:
        return 0
    return int(
        rows_of(database, "SELECT count(DISTINCT run_id) AS runs FROM run_tags WHERE value = %s", [user])[0]["runs"]
    )


def _any_is(columns: Sequence[str], mark: str) -> sql.Composable:
    return sql.SQL("{} IN ({})").format(sql.Placeholder(mark), _listed(columns))


def _listed(columns: Sequence[str]) -> sql.Composable:
    return sql.SQL(", ").join(map(sql.Identifier, columns))
