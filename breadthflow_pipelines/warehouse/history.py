"""What was known when: rows of breadth that are changed or removed are kept, and found again as of a moment.

A row is known from the transaction that writes it until the one that writes it otherwise, so the two moments are one.
"""

from typing import TypedDict

from psycopg2 import sql

# The time stamp of a row, and what stands in it for universe and segment, by table.
KEPT = {
    "breadth_counts": ("computed_at", "universe", "segment"),
    "exchange_breadth": ("ingested_at", "exchange", "'ALL'"),
    "breadth_indicators": ("computed_at", "universe", "segment"),
}


class Keeping(TypedDict):
    """Statements of bulk.merge."""

    before_update: str
    before_delete: str


def keep_known(table: str) -> Keeping:
    """The arguments of a merge (bulk.py) by which it keeps the table's rows that it changes or removes."""
    stamp, universe, segment = KEPT[table]
    segment = segment if segment.startswith("'") else f"t.{segment}"
    keep = (
        "INSERT INTO breadth_revisions (relation, universe, segment, session, known_from, known_to, row) "
        f"SELECT '{table}', t.{universe}, {segment}, t.session, t.{stamp}, now(), to_jsonb(t) FROM "
    )
    return {"before_update": keep + "{changed}", "before_delete": keep + "{gone}"}


def known_then(table: str) -> sql.SQL:
    """The query of a table's rows as they were at ``{moment}``."""
    stamp, *_ = KEPT[table]
    return sql.SQL(
        f"SELECT * FROM {table} WHERE {stamp} <= {{moment}} UNION ALL "
        f"SELECT (jsonb_populate_record(NULL::{table}, row)).* FROM breadth_revisions "
        f"WHERE relation = '{table}' AND known_from <= {{moment}} AND known_to > {{moment}}"
    )
