"""How what is stored of a user is exported or erased. Where names stand: personal.py."""

from __future__ import annotations

import re
import secrets
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from psycopg2 import sql

from breadthflow_pipelines.errors import RequestError
from breadthflow_pipelines.model.vocabulary import ERASED, EXPORTED
from breadthflow_pipelines.warehouse import token_store
from breadthflow_pipelines.warehouse.audit_store import present_user, record
from breadthflow_pipelines.warehouse.database import Database, Row, answer, rows_of
from breadthflow_pipelines.warehouse.personal import HASHES, NAMED, REASONS

if TYPE_CHECKING:
    from psycopg2.extensions import cursor as Cursor  # noqa: N812 - a class under a lower-case name

# By table, the columns that tell its rows apart, also from those of other stores, the oldest first.
_LASTING: Mapping[str, Sequence[str]] = {"audit": ("done_at", "audit_id"), "api_tokens": ("created_at", "token_id")}
PSEUDONYM = "erased-"


@dataclass(frozen=True)
class Replaced:
    """In how many rows a name stood, and in how many reasons; login_stays: it is that of a login of several users."""

    rows: int
    reasons: int
    login_stays: bool


@dataclass(frozen=True)
class Erased:
    """What an erasure did: what it replaced, by what, the tokens it revoked, and subjects in which the name occurs."""

    replaced: Replaced
    pseudonym: str
    tokens: int
    subjects: int


def rows_about(database: Database, user: str) -> list[Row]:
    """Every row that names the user, with its table, without hashes; that it was asked for is itself written down.

    Raises:
        RequestError: no row does.
    """
    found: list[Row] = []
    with database.connect() as connection, connection.cursor() as cursor:
        shared = _is_shared(cursor, user)
        for table in NAMED:
            query = sql.SQL(
                "SELECT %(table)s AS table, to_jsonb(t) - %(hashes)s::text[] AS row FROM {} t WHERE {}"
            ).format(sql.Identifier(table), _any_is(_columns(table, shared=shared), "user"))
            found += answer(cursor, query, {"table": table, "user": user, "hashes": list(HASHES)})
        if not found:
            raise _nobody(user, shared=shared)
        record(cursor, EXPORTED, f"{len(found)} rows about a user", who=present_user(), behalf=user)
    return found


def erase(database: Database, user: str) -> Erased:
    """Put a new pseudonym wherever the user's name stands, the same in every row, and write down that it was done.

    The user's valid tokens are revoked. Which name the pseudonym stands for is kept nowhere. Only the owner of the
    tables may do this.

    Raises:
        RequestError: no row names the user, or the login may not change the audit.
    """
    pseudonym = f"{PSEUDONYM}{secrets.token_hex(4)}"
    with database.connect() as connection, connection.cursor() as cursor:
        replaced = replace(cursor, user, pseudonym, NAMED)
        if not replaced.rows:
            raise _nobody(user, shared=replaced.login_stays)
        tokens = token_store.revoke_held(cursor, pseudonym, _now(user, pseudonym), "its holder was erased")
        subjects = sum(bool(_word(user).search(text)) * rows for text, rows in _texts(cursor, "audit", "what"))
    return Erased(replaced, pseudonym, tokens, subjects)


def replace(cursor: Cursor, user: str, pseudonym: str, tables: Collection[str], why: str | None = None) -> Replaced:
    """Put the pseudonym where the user's name stands in these tables, and write it down.

    Also in reasons, where the name is a word of its own. tables: those that the store has.
    """
    cursor.execute("SET LOCAL breadthflow.audit = 'open'")
    rows = reasons = 0
    shared = "audit" in tables and _is_shared(cursor, user)
    for table in NAMED:
        if table not in tables:
            continue
        columns = _columns(table, shared=shared)
        changes = sql.SQL(", ").join(
            sql.SQL("{0} = CASE {0} WHEN %(user)s THEN %(pseudonym)s ELSE {0} END").format(sql.Identifier(column))
            for column in columns
        )
        update = sql.SQL("UPDATE {} SET {} WHERE {}").format(sql.Identifier(table), changes, _any_is(columns, "user"))
        cursor.execute(update, {"user": user, "pseudonym": pseudonym})
        rows += cursor.rowcount
    if rows:
        reasons = sum(
            _replace_word(cursor, table, column, user, pseudonym)
            for table, columns in REASONS.items()
            if table in tables
            for column in columns
        )
        what = f"a user's name in {rows} rows and {reasons} reasons, now {pseudonym}"
        record(cursor, ERASED, what, who=_now(user, pseudonym), reason=why)
    return Replaced(rows, reasons, shared)


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


def sees_names(database: Database) -> bool:
    """Whether this login may read who decided something: readers may not."""
    query = "SELECT has_column_privilege('quarantined_bars', 'decided_by', 'SELECT') AS may"
    return bool(rows_of(database, query, [])[0]["may"])


def _now(user: str, pseudonym: str) -> str:
    """Who runs this process, by the pseudonym if it is the user who is erased."""
    me = present_user()
    return pseudonym if me == user else me


def _is_shared(cursor: Cursor, login: str) -> bool:
    """Whether a login is no single person's: this one, or one under which several users, or none, did something."""
    cursor.execute(
        "SELECT %(login)s IN (session_user, current_user) OR count(DISTINCT who) > 1 OR count(who) < count(*) "
        "FROM audit WHERE login = %(login)s",
        {"login": login},
    )
    return bool((cursor.fetchone() or (False,))[0])


def _columns(table: str, *, shared: bool) -> Sequence[str]:
    """The columns in which the name means the user. shared: it is also that of a login of several users."""
    return [column for column in NAMED[table] if not (shared and column == "login")]


def _nobody(user: str, *, shared: bool) -> RequestError:
    if shared:
        return RequestError(
            f"No row names a user {user}; it is a database login that several users or services act under, and what "
            "they did under it is everybody's record. breadthflow audit shows names as they are stored."
        )
    return RequestError(f"No row names {user}; breadthflow audit shows names as they are stored.")


def _word(name: str) -> re.Pattern[str]:
    """The name in any case, where it is neither a part of a word nor of a longer name such as ann-marie or a.b."""
    return re.compile(rf"(?<!\w)(?<!\w[-.]){re.escape(name)}(?!\w|[-.]\w)", re.IGNORECASE)


def _texts(cursor: Cursor, table: str, column: str) -> list[tuple[str, int]]:
    """Each text of a column, with how many rows have it."""
    query = sql.SQL("SELECT {0}, count(*) FROM {1} WHERE {0} IS NOT NULL GROUP BY 1")
    cursor.execute(query.format(sql.Identifier(column), sql.Identifier(table)))
    return cursor.fetchall()


def _replace_word(cursor: Cursor, table: str, column: str, name: str, instead: str) -> int:
    """Replace a name in texts; in how many rows. Here and not by the server, which may not know all letters."""
    update = sql.SQL("UPDATE {0} SET {1} = %s WHERE {1} = %s").format(sql.Identifier(table), sql.Identifier(column))
    rows = 0
    for text, _ in _texts(cursor, table, column):
        changed = _word(name).sub(instead, text)
        if changed != text:
            cursor.execute(update, (changed, text))
            rows += cursor.rowcount
    return rows


def _any_is(columns: Sequence[str], mark: str) -> sql.Composable:
    return sql.SQL("{} IN ({})").format(sql.Placeholder(mark), _listed(columns))


def _listed(columns: Sequence[str]) -> sql.Composable:
    return sql.SQL(", ").join(map(sql.Identifier, columns))
