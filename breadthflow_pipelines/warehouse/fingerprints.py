"""What a database holds, in one number for each table: equal tables have equal ones, whatever their rows' order is.

Backups are proven by them. They are no protection against somebody who means harm: 64 bits of a fast hash for each row.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import psycopg2
from psycopg2 import sql

# Whole tables, each with the rows of its partitions.
_TABLES = """
    SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = 'public' AND c.relkind IN ('r', 'p') AND NOT c.relispartition ORDER BY 1
"""
# How values are written must not depend on who asks.
_AS_TEXT = "SET LOCAL timezone = 'UTC'; SET LOCAL datestyle = 'ISO'; SET LOCAL intervalstyle = 'postgres'; "


@dataclass(frozen=True)
class Fingerprint:
    """rows: how many; digest: the sum of their hashes, in decimal digits."""

    rows: int
    digest: str


def fingerprints(connection: psycopg2.extensions.connection) -> dict[str, Fingerprint]:
    """Of each table, as the connection's transaction sees it."""
    found = {}
    with connection.cursor() as cursor:
        cursor.execute(_AS_TEXT + _TABLES)
        for (table,) in cursor.fetchall():
            query = "SELECT count(*), coalesce(sum(hashtextextended(t::text, 0)), 0)::text FROM {} t"
            cursor.execute(sql.SQL(query).format(sql.Identifier("public", table)))
            found[str(table)] = Fingerprint(*(cursor.fetchone() or (0, "0")))
    return found


def difference(wanted: Mapping[str, Fingerprint], found: Mapping[str, Fingerprint]) -> str:
    """In words, the first table that is not the same in both; empty where all are."""
    for table in sorted({*wanted, *found}):
        if wanted.get(table) != found.get(table):
            one, other = (f"{each[table].rows:,} rows" if table in each else "none" for each in (wanted, found))
            return f"{table}: {one} were saved, {other} came back" + (", and differ" if one == other else "")
    return ""
