"""Who may do what in the database: the roles for pipelines and readers, and what each is granted.

The owner is whoever runs ``breadthflow db upgrade``. The two roles cannot log in: logins are made members of them
(docs/deployment.md). Roles belong to a whole server and grants to one database, so all of this is done again by every
upgrade: for tables that are new since, and for roles that an administrator made meanwhile.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from psycopg2 import sql

from breadthflow_pipelines.model.vocabulary import BAR_VALUES
from breadthflow_pipelines.observability.logs import log
from breadthflow_pipelines.warehouse.personal import NAMED, NAMES

if TYPE_CHECKING:
    from psycopg2.extensions import cursor as Cursor  # noqa: N812 - a class under a lower-case name


PIPELINE, READER = "breadthflow_pipeline", "breadthflow_reader"
ROLES = (PIPELINE, READER)

AUDIT = "audit"  # pipelines add to it, and cannot say when it was or under which login; readers see no users
UNSEEN = (AUDIT, "api_tokens", "page_sessions", "run_requests")  # by readers
_ADDED = ("who", "behalf", "action", "what", "reason", "run_id", "via", "host")
WRITE = "SELECT, INSERT, UPDATE, DELETE"
_ROUTINES = (
    "add_yearly_partition(text, integer)",
    "add_year_apart(text, integer)",
    "close_years_apart(text, integer[])",
    "join_years(text, integer[])",
    "analyze_new(text, text[])",
)
FORGETTING = "forget_audit(integer)"  # a pipeline's only where the owner lets rows of the audit go
_OWNERS = (
    "let_partition_look(regclass)",
    "gather_as_the_table(regclass)",
)  # routines that nobody else may call; what pipelines call uses them

VENDORS_VALUES: Mapping[str, Sequence[str]] = {  # by table or view, the columns with what a vendor delivered
    "bars": BAR_VALUES,
    "sound_bars": BAR_VALUES,
    "bar_revisions": tuple(f"{when}_{name}" for name in BAR_VALUES for when in ("old", "new")),
    "rejected_bars": (*BAR_VALUES, "raw"),
    "quarantined_bars": ("evidence",),
}
# Of Dagster's tables readers see which runs there were: their configuration and their logs are not for everybody.
_OF_RUNS = ("id", "run_id", "pipeline_name", "status", "start_time", "end_time")

_CREATE = """
DO $$ BEGIN
    CREATE ROLE {role} NOLOGIN;
EXCEPTION WHEN duplicate_object OR unique_violation OR insufficient_privilege THEN NULL;
END $$
"""


def grant_store(cursor: Cursor, *, reader_sees_bars: bool, audit_days: int | None) -> list[str]:
    """Make the roles where they are missing, and grant them what they need in the store; returns those still missing.

    A login that may not create roles goes on without them: an administrator makes them, and the next upgrade grants.

    reader_sees_bars: whether readers may see what vendors delivered, or only whose bars there are, and when.
    audit_days: after how many days pipelines may drop rows of the audit; None: never.
    """
    from breadthflow_pipelines.warehouse import views
    from breadthflow_pipelines.warehouse.tables import metadata

    shown = [view.name for view in (*views.FIXED, *(view([]) for over in views.FOLLOWING.values() for view in over))]
    hidden = _hidden(cursor, [*metadata.tables], shown, {} if reader_sees_bars else VENDORS_VALUES)
    roles = _present(cursor, create=True)
    _let_in(cursor, roles)
    for role in roles:
        _execute(cursor, "REVOKE ALL ON {} FROM {}", [*metadata.tables, *shown, "alembic_version"], role)
    # They are everybody's where a backup was put back: what was revoked is not in it.
    for routine in (*_ROUTINES, *_OWNERS, FORGETTING):
        cursor.execute(f"REVOKE ALL ON ROUTINE {routine} FROM {', '.join(('PUBLIC', *roles))}")
    # In a function of the owner's: a row of a table could be changed by a pipeline.
    cursor.execute(
        "CREATE OR REPLACE FUNCTION audit_days() RETURNS integer LANGUAGE sql RETURN %s::integer", (audit_days,)
    )
    if PIPELINE in roles:
        _execute(
            cursor, f"GRANT {WRITE} ON {{}} TO {{}}", [name for name in metadata.tables if name != AUDIT], PIPELINE
        )
        _execute(cursor, "GRANT SELECT ON {} TO {}", [*shown, "alembic_version", AUDIT], PIPELINE)
        cursor.execute(f"GRANT INSERT ({', '.join(_ADDED)}) ON {AUDIT} TO {PIPELINE}")
        # It names them when it writes, and pg_dump when it copies; all else it does through their tables.
        if partitions := _partitions(cursor):
            _execute(cursor, "GRANT SELECT, INSERT ON {} TO {}", partitions, PIPELINE)
        cursor.execute(f"GRANT SELECT ON ALL SEQUENCES IN SCHEMA {_schema(cursor)} TO {PIPELINE}")  # for backups
        for routine in _ROUTINES if audit_days is None else (*_ROUTINES, FORGETTING):
            cursor.execute(f"GRANT EXECUTE ON ROUTINE {routine} TO {PIPELINE}")
    if READER in roles:
        whole = [name for name in (*metadata.tables, *shown, "alembic_version") if name not in (*UNSEEN, *hidden)]
        _execute(cursor, "GRANT SELECT ON {} TO {}", whole, READER)
        for name, columns in hidden.items():
            _grant_columns(cursor, name, _columns(cursor, name, without=columns))
    missing = [role for role in ROLES if role not in roles]
    if missing:
        log.warning("roles_missing", roles=missing, remedy=f"as an administrator: {creating(missing)}")
    return missing


def grant_dagster(cursor: Cursor, tables: Iterable[str]) -> None:
    """Grant the roles that are there what they need of Dagster's tables, and of those that Dagster adds later."""
    roles = _present(cursor, create=False)
    _let_in(cursor, roles)
    if PIPELINE in roles:
        _execute(cursor, f"GRANT {WRITE} ON {{}} TO {{}}", sorted(tables), PIPELINE)
        schema = _schema(cursor)
        cursor.execute(f"GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA {schema} TO {PIPELINE}")
        later = f"ALTER DEFAULT PRIVILEGES IN SCHEMA {schema} GRANT"
        cursor.execute(f"{later} {WRITE} ON TABLES TO {PIPELINE}")
        cursor.execute(f"{later} USAGE, SELECT ON SEQUENCES TO {PIPELINE}")
    if READER in roles:
        _grant_columns(cursor, "runs", _OF_RUNS)


def let_read(cursor: Cursor, view: str) -> None:
    """Grant the roles a view that was just made, or made again."""
    for role in _present(cursor, create=False):
        _execute(cursor, "GRANT SELECT ON {} TO {}", [view], role)


def creating(roles: Iterable[str]) -> str:
    """What an administrator types to make these roles."""
    return " ".join(f"CREATE ROLE {role} NOLOGIN;" for role in roles)


def _present(cursor: Cursor, *, create: bool) -> list[str]:
    query = "SELECT rolname FROM pg_roles WHERE rolname = ANY(%s) ORDER BY rolname"
    cursor.execute(query, (list(ROLES),))
    found = [name for (name,) in cursor.fetchall()]
    if create and len(found) < len(ROLES):
        for role in ROLES:
            cursor.execute(_CREATE.format(role=role))
        cursor.execute(query, (list(ROLES),))
        found = [name for (name,) in cursor.fetchall()]
    return found


# Where this login may not grant them, the server's defaults hold, or what an administrator granted.
_LETTING_IN = """
SELECT quote_ident(current_database()), quote_ident(current_schema()),
       has_database_privilege(current_database(), 'CONNECT WITH GRANT OPTION, TEMPORARY WITH GRANT OPTION'),
       has_schema_privilege(current_schema(), 'CREATE WITH GRANT OPTION')
"""


def _let_in(cursor: Cursor, roles: Collection[str]) -> None:
    """Let the roles into the database and its schema, and nobody but the owner make anything in it."""
    cursor.execute(_LETTING_IN)
    found = cursor.fetchone()
    assert found is not None  # noqa: S101 - a query without a table has one row
    database, schema, ours, schema_is_ours = found
    if schema_is_ours:
        cursor.execute(f"REVOKE CREATE ON SCHEMA {schema} FROM PUBLIC")
    for role in roles:
        if ours:
            cursor.execute(f"GRANT CONNECT ON DATABASE {database} TO {role}")
        if schema_is_ours:
            cursor.execute(f"GRANT USAGE ON SCHEMA {schema} TO {role}")
    if ours and PIPELINE in roles:  # it stages what it merges
        cursor.execute(f"GRANT TEMPORARY ON DATABASE {database} TO {PIPELINE}")


def _schema(cursor: Cursor) -> str:
    cursor.execute("SELECT quote_ident(current_schema())")
    (schema,) = cursor.fetchone() or ("public",)
    return str(schema)


def _partitions(cursor: Cursor) -> list[str]:
    cursor.execute(
        "SELECT relname::text FROM pg_class WHERE relispartition AND relkind = 'r' "
        "AND relnamespace = current_schema()::regnamespace ORDER BY 1"
    )
    return [name for (name,) in cursor.fetchall()]


def _hidden(
    cursor: Cursor, tables: Collection[str], views: Collection[str], values: Mapping[str, Sequence[str]]
) -> dict[str, set[str]]:
    """By table or view, the columns that readers do not see: names of users, and these values."""
    hidden = {name: {*values.get(name, ()), *NAMED.get(name, ())} for name in tables}
    for view in views:
        hidden[view] = {*values.get(view, ()), *NAMES.intersection(_columns(cursor, view, without=()))}
    return {name: columns for name, columns in hidden.items() if columns and name not in UNSEEN}


def _columns(cursor: Cursor, relation: str, without: Collection[str]) -> list[str]:
    cursor.execute(
        "SELECT attname FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped "
        "AND attname <> ALL(%s) ORDER BY attnum",
        (relation, list(without)),
    )
    return [name for (name,) in cursor.fetchall()]


def _grant_columns(cursor: Cursor, relation: str, columns: Sequence[str]) -> None:
    names = sql.SQL(", ").join(map(sql.Identifier, columns))
    cursor.execute(
        sql.SQL("GRANT SELECT ({}) ON {} TO {}").format(names, sql.Identifier(relation), sql.Identifier(READER))
    )


def _execute(cursor: Cursor, statement: str, relations: Sequence[str], role: str) -> None:
    """A statement whose marks are the relations and the role."""
    names = sql.SQL(", ").join(map(sql.Identifier, relations))
    cursor.execute(sql.SQL(statement).format(names, sql.Identifier(role)))
