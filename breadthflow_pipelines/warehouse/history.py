"""What the store said when: rows that are changed or removed are kept, and found again as of a moment.

A row holds from the transaction that writes it until the one that writes it otherwise, so the two moments are one.
Which datasets keep their history is said in model/datasets.py; how long it is kept, in store_retention.py.
"""

import datetime as dt
from typing import TypedDict

from psycopg2 import sql

from breadthflow_pipelines.errors import RequestError
from breadthflow_pipelines.model.datasets import BREADTH_REVISIONS, SIGNAL_REVISIONS, WITH_HISTORY
from breadthflow_pipelines.model.vocabulary import ALL
from breadthflow_pipelines.warehouse.database import Database, rows_of
from breadthflow_pipelines.warehouse.store_retention import check_kept

# By where old rows are kept, the views over the tables whose rows they are, in the order in which they can be made.
_VIEWS = {BREADTH_REVISIONS: ("all_counts", "breadth"), SIGNAL_REVISIONS: ("signals_with_record",)}


class BeforeChanges(TypedDict):
    """Statements that a merge (bulk.py) runs before it changes or removes rows."""

    before_update: str
    before_delete: str


def keep_revisions(table: str) -> BeforeChanges:
    """The arguments of a merge by which it keeps the table's rows that it changes or removes."""
    history = WITH_HISTORY[table]
    segment = f"'{ALL}'" if history.segment is None else f"t.{history.segment}"
    name, value = ("signal_id", "t.signal_id") if history.kept_in == SIGNAL_REVISIONS else ("segment", segment)
    keep = (
        f"INSERT INTO {history.kept_in} (relation, universe, {name}, session, known_from, known_to, row) "
        f"SELECT '{table}', t.{history.universe}, {value}, t.session, t.{history.stamp}, now(), to_jsonb(t) FROM "
    )
    return {"before_update": keep + "{changed}", "before_delete": keep + "{gone}"}


def tables_as_of(database: Database, as_of: dt.datetime | None, kept_in: str) -> sql.Composed:
    """What stands before a query of tables and views as they were at a moment; nothing where they are to be as now.

    It gives them their own names: the views of now, over the rows of then. kept_in: where the tables' old rows are.

    Raises:
        RequestError: what was known then has been dropped.
    """
    if as_of is None:
        return sql.Composed([])
    check_kept(database, kept_in, as_of)
    views = _VIEWS[kept_in]
    query = "SELECT name, pg_get_viewdef(name::regclass) AS query FROM unnest(%s) AS name"
    queries = {row["name"]: row["query"] for row in rows_of(database, query, [list(views)])}
    moment = sql.Literal(as_of)
    tables = (name for name, history in WITH_HISTORY.items() if history.kept_in == kept_in)
    then: dict[str, sql.Composable] = {name: _rows_as_of(name).format(moment=moment) for name in tables}
    then |= {name: sql.SQL(queries[name].strip().rstrip(";").replace("%", "%%")) for name in views}
    parts = [sql.SQL("{} AS ({})").format(sql.Identifier(name), query) for name, query in then.items()]
    return sql.SQL("WITH {} ").format(sql.SQL(", ").join(parts))


def first_known(database: Database, table: str, universe: str | None) -> dt.datetime | None:
    """Since when the store has known a row of the table, of a universe or of any; None: it never has."""
    history = WITH_HISTORY[table]
    query = (
        f"SELECT least((SELECT min({history.stamp}) FROM {table} WHERE {history.universe} = "
        f"coalesce(%s, {history.universe})), (SELECT min(known_from) FROM {history.kept_in} "
        f"WHERE relation = '{table}' AND universe = coalesce(%s, universe))) AS first"
    )
    first: dt.datetime | None = rows_of(database, query, [universe, universe])[0]["first"]
    return first


def not_known_yet(as_of: dt.datetime, what: str, first: dt.datetime) -> RequestError:
    """The refusal of a moment before the first of these rows was known. what: no ... of ..., in words."""
    return RequestError(
        f"At {as_of:%Y-%m-%d %H:%M:%S %Z} {what} was known; the store's first is of "
        f"{first.astimezone(dt.UTC):%Y-%m-%d %H:%M:%S} UTC."
    )


def _rows_as_of(table: str) -> sql.SQL:
    """The query of a table's rows as they were at ``{moment}``."""
    history = WITH_HISTORY[table]
    return sql.SQL(
        f"SELECT * FROM {table} WHERE {history.stamp} <= {{moment}} UNION ALL "
        f"SELECT t.* FROM {history.kept_in} r CROSS JOIN LATERAL jsonb_populate_record(NULL::{table}, r.row) AS t "
        f"WHERE r.relation = '{table}' AND r.known_from <= {{moment}} AND r.known_to > {{moment}}"
    )
