"""What the store said when: rows of breadth that are changed or removed are kept, and found again as of a moment.

A row holds from the transaction that writes it until the one that writes it otherwise, so the two moments are one.
Which datasets keep their history is said in model/datasets.py.
"""

from typing import TypedDict

from psycopg2 import sql

from breadthflow_pipelines.model.datasets import WITH_HISTORY
from breadthflow_pipelines.model.vocabulary import ALL


class BeforeChanges(TypedDict):
    """Statements that a merge (bulk.py) runs before it changes or removes rows."""

    before_update: str
    before_delete: str


def keep_revisions(table: str) -> BeforeChanges:
    """The arguments of a merge by which it keeps the table's rows that it changes or removes."""
    history = WITH_HISTORY[table]
    segment = f"'{ALL}'" if history.segment is None else f"t.{history.segment}"
    keep = (
        "INSERT INTO breadth_revisions (relation, universe, segment, session, known_from, known_to, row) "
        f"SELECT '{table}', t.{history.universe}, {segment}, t.session, t.{history.stamp}, now(), to_jsonb(t) FROM "
    )
    return {"before_update": keep + "{changed}", "before_delete": keep + "{gone}"}


def rows_as_of(table: str) -> sql.SQL:
    """The query of a table's rows as they were at ``{moment}``."""
    stamp = WITH_HISTORY[table].stamp
    return sql.SQL(
        f"SELECT * FROM {table} WHERE {stamp} <= {{moment}} UNION ALL "
        f"SELECT (jsonb_populate_record(NULL::{table}, row)).* FROM breadth_revisions "
        f"WHERE relation = '{table}' AND known_from <= {{moment}} AND known_to > {{moment}}"
    )
