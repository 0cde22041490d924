"""Names of users, the only personal data in the store: where they stand, and how one is exported or erased."""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from psycopg2 import sql

from breadthflow_pipelines.errors import RequestError
from breadthflow_pipelines.model.vocabulary import ERASED, EXPORTED
from breadthflow_pipelines.warehouse.audit_store import present_user, record
from breadthflow_pipelines.warehouse.database import Database, Row, rows_of

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
    values = {"user": user, "pseudonym": pseudonym}
    with database.connect() as connection, connection.cursor() as cursor:
        cursor.execute("SET LOCAL breadthflow.audit = 'open'")
        rows = 0
        for table, columns in NAMED.items():
            changes = sql.SQL(", ").join(
                sql.SQL("{0} = CASE {0} WHEN %(user)s THEN %(pseudonym)s ELSE {0} END").format(sql.Identifier(column))
                for column in columns
            )
            update = sql.SQL("UPDATE {} SET {} WHERE {}")
            cursor.execute(update.format(sql.Identifier(table), changes, _any_is(columns, "user")), values)
            rows += cursor.rowcount
        if not rows:
            raise RequestError(f"No row names {user}; breadthflow audit shows names as they are stored.")
        me = present_user()
        record(cursor, ERASED, f"a user's name in {rows} rows, now {pseudonym}", who=pseudonym if me == user else me)
        mentions = 0
        for table, columns in FREE_TEXT.items():
            any_has = sql.SQL(" OR ").join(
                sql.SQL("strpos({}, %(user)s) > 0").format(sql.Identifier(c)) for c in columns
            )
            cursor.execute(sql.SQL("SELECT count(*) FROM {} WHERE {}").format(sql.Identifier(table), any_has), values)
            mentions += (cursor.fetchone() or (0,))[0]
    return Erased(rows, pseudonym, mentions)


def tagged_runs(dagster_url: str, user: str) -> int:
    """How many runs have a tag with the user's name in Dagster's database; BreadthFlow itself sets none."""
    database = Database(dagster_url, None)
    if not rows_of(database, "SELECT to_regclass('run_tags') AS tags", [])[0]["tags"]:
        return 0
    return int(
        rows_of(database, "SELECT count(DISTINCT run_id) AS runs FROM run_tags WHERE value = %s", [user])[0]["runs"]
    )


def _any_is(columns: Sequence[str], mark: str) -> sql.Composable:
    return sql.SQL("{} IN ({})").format(sql.Placeholder(mark), sql.SQL(", ").join(map(sql.Identifier, columns)))
