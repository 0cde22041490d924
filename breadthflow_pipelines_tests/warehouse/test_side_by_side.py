"""What an upgrade may do to a database that the version before still works on: it adds, and takes nothing away.

Each migration is run by itself, and what the database looks like is compared before and after it. Rows that the version
before reads and writes are tried in orchestration/test_side_by_side.py; docs/deployment.md says what is promised.
"""

import re
from collections.abc import Callable, Iterator
from typing import cast

import pytest
import sqlalchemy
from alembic import command
from alembic.script import ScriptDirectory

from breadthflow_pipelines.warehouse.database import Database, alembic_config

Inventory = dict[str, dict[str, tuple[object, ...]]]

# Migrations that take something away all the same, and why. Where the version before misses it, whoever adds one says
# in the section "Upgrades" of docs/deployment.md that everything of that version has to be stopped first.
ALLOWED = {
    "0002": "before the first release: columns of indicators came to follow the catalogue, not migrations",
    "0030": "store_changes is written by triggers alone, and their function changes with it",
}

_RELATIONS = "relnamespace = 'public'::regnamespace AND relname <> 'alembic_version' AND NOT relispartition"
_QUERIES = {
    "relation": f"SELECT relname, relkind::text FROM pg_class WHERE {_RELATIONS} AND relkind IN ('r', 'p', 'v')",
    "column": "SELECT relname || '.' || attname, format_type(atttypid, atttypmod), attnotnull, "
    "attnotnull AND NOT atthasdef AND attidentity = '' AND attgenerated = '' "
    f"FROM pg_attribute JOIN pg_class c ON c.oid = attrelid WHERE {_RELATIONS} AND relkind IN ('r', 'p', 'v') "
    "AND attnum > 0 AND NOT attisdropped",
    "constraint": "SELECT relname || '.' || conname, pg_get_constraintdef(o.oid), "
    "ARRAY(SELECT attname::text FROM pg_attribute WHERE attrelid = conrelid AND attnum = ANY(conkey)) "
    f"FROM pg_constraint o JOIN pg_class c ON c.oid = conrelid WHERE {_RELATIONS} AND contype <> 'n'",
    "unique index": "SELECT relname || '.' || indexrelid::regclass, pg_get_indexdef(indexrelid), "
    "ARRAY(SELECT attname::text FROM pg_attribute WHERE attrelid = indrelid AND attnum = ANY(indkey)) "
    f"FROM pg_index JOIN pg_class c ON c.oid = indrelid WHERE {_RELATIONS} AND indisunique",
    "function": "SELECT oid::regprocedure::text, prorettype::regtype::text FROM pg_proc "
    "WHERE pronamespace = 'public'::regnamespace",
}


def inventory(database: Database) -> Inventory:
    """What there is, by kind and name."""
    found: Inventory = {}
    with database.connect() as connection, connection.cursor() as cursor:
        for kind, query in _QUERIES.items():
            cursor.execute(query)
            found[kind] = {name: tuple(rest) for name, *rest in cursor.fetchall()}
    return found


def taken_away(before: Inventory, after: Inventory) -> list[str]:
    """What the version before would miss, or be refused for: all that is gone, is another one, or asks for more."""
    kept = [kind for kind in before if kind not in _NARROWING]
    missed = [f"{kind} {name} is gone" for kind in kept for name in before[kind] if name not in after[kind]]
    for name, (type_, required, demanded) in after["column"].items():
        if name in before["column"]:
            was, was_required, _ = before["column"][name]
            missed += [f"column {name} was {was} and is {type_}"] if was != type_ else []
            missed += [f"column {name} must have a value"] if required and not was_required else []
        elif _of(name) in before["relation"] and demanded:
            missed.append(f"column {name} is new and must have a value")
    for kind in _NARROWING:
        for name, (definition, columns) in after[kind].items():
            old = any(f"{_of(name)}.{column}" in before["column"] for column in cast("list[str]", columns))
            if old and not _wider(before[kind].get(name, ("", ()))[0], definition):
                missed.append(f"{kind} {name} is new or another one")
    return sorted(missed)


def _of(name: str) -> str:
    return name.partition(".")[0]


def _wider(before: object, after: object) -> bool:
    """Whether a definition is the same, or takes more words than it did."""
    old, new = (_WORD.sub("", str(definition)).replace(", ", "") for definition in (before, after))
    return old == new and set(_WORD.findall(str(before))) <= set(_WORD.findall(str(after)))


_NARROWING = ("constraint", "unique index")  # one that goes lets more rows in; one that comes may refuse some
_WORD = re.compile(r"'[^']*'::text")


@pytest.fixture
def steps(fresh_database: Callable[[str], str]) -> Iterator[Iterator[tuple[str, list[str]]]]:
    """Each migration but the first, and what it takes away."""
    database = Database(fresh_database("template1"), None)
    engine = sqlalchemy.create_engine("postgresql+psycopg2" + database.url.removeprefix("postgresql"))

    def walk() -> Iterator[tuple[str, list[str]]]:
        with engine.connect() as connection:
            config = alembic_config(connection)
            revisions = [script.revision for script in ScriptDirectory.from_config(config).walk_revisions()][::-1]
        before: Inventory | None = None
        for revision in revisions:
            with engine.connect() as connection:
                command.upgrade(alembic_config(connection), revision)
            after = inventory(database)
            if before is not None:
                yield revision, taken_away(before, after)
            before = after

    yield walk()
    engine.dispose()


def test_a_migration_takes_nothing_from_the_version_before(steps: Iterator[tuple[str, list[str]]]) -> None:
    found = {revision: missed for revision, missed in steps if missed}
    assert {revision: missed for revision, missed in found.items() if revision not in ALLOWED} == {}
    assert found.keys() == ALLOWED.keys(), "a reason for what is not done"


@pytest.mark.parametrize(
    ("change", "missed"),
    [
        ("ALTER TABLE bars RENAME volume TO shares", "column bars.volume is gone"),
        ("ALTER TABLE audit ALTER reason TYPE name", "column audit.reason was text and is name"),
        ("ALTER TABLE securities ALTER name SET NOT NULL", "column securities.name must have a value"),
        ("ALTER TABLE securities ADD isin text NOT NULL", "column securities.isin is new and must have a value"),
        (
            "ALTER TABLE securities ADD CHECK (name > '')",
            "constraint securities.securities_name_check is new or another one",
        ),
        ("CREATE UNIQUE INDEX one ON securities (name)", "unique index securities.one is new or another one"),
        (
            "ALTER TABLE audit DROP CONSTRAINT audit_action_known, "
            "ADD CONSTRAINT audit_action_known CHECK (action IN ('launched'))",
            "constraint audit.audit_action_known is new or another one",
        ),
        ("DROP TABLE store_changes", "relation store_changes is gone"),
        ("DROP VIEW signals_with_record", "relation signals_with_record is gone"),
        # What only adds, is missed by nobody.
        ("ALTER TABLE securities ADD isin text NOT NULL DEFAULT '', ADD lot int CHECK (lot > 0) UNIQUE", None),
        ("CREATE TABLE extra (id int PRIMARY KEY)", None),
        ("CREATE INDEX named ON securities (name)", None),
        ("ALTER TABLE securities ALTER synthetic DROP NOT NULL", None),
    ],
)
def test_what_would_be_missed_is_seen(database: Database, change: str, missed: str | None) -> None:
    before = inventory(database)
    with database.connect() as connection, connection.cursor() as cursor:
        cursor.execute(change)
    found = taken_away(before, inventory(database))
    assert (missed in found) if missed else (found == [])
