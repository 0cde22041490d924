"""Rows page by page: each page begins behind the last row of the one before, by a key that no write changes.

So whoever reads all pages gets every row that was there all the time, and none twice, whatever is written meanwhile.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from psycopg2 import sql

from breadthflow_pipelines.warehouse.database import Database, Row, rows_of

_KEY = "_key_{}"

KeyValue = Any  # a text, a number or a day


@dataclass(frozen=True)
class Listing:
    """What is read by pages. source: what stands behind FROM. key: SQL expressions with their Python types.

    The key is unique and never null; rows come in its order.
    """

    source: str
    key: Mapping[str, type]


@dataclass(frozen=True)
class Page:
    """Some rows, and the key of the last one where more follow."""

    rows: list[Row]
    next: tuple[KeyValue, ...] | None


def page(
    database: Database,
    listing: Listing,
    columns: Mapping[str, str],
    where: str,
    values: Sequence[object],
    *,
    after: Sequence[KeyValue] | None,
    most: int,
    given: sql.Composable | None = None,
) -> Page:
    """The rows behind a key, or the first ones, of which the condition is true.

    columns: by the name that they get, SQL expressions. where, values: a condition with psycopg2's marks. given: what
    stands before the query, such as tables of a moment.
    """
    shown = [sql.SQL("{} AS {}").format(sql.SQL(what), sql.Identifier(name)) for name, what in columns.items()]
    keys = [sql.SQL(f"{what} AS {_KEY.format(i)}") for i, what in enumerate(listing.key)]
    order = sql.SQL(", ").join(map(sql.SQL, listing.key))
    behind = sql.SQL("") if after is None else sql.SQL(" AND ({}) > ({})").format(order, _marks(len(listing.key)))
    query = (given or sql.SQL("")) + sql.SQL("SELECT {} FROM {} WHERE {}{} ORDER BY {} LIMIT {}").format(
        sql.SQL(", ").join([*shown, *keys]),
        sql.SQL(listing.source),
        sql.SQL(where),
        behind,
        order,
        sql.Literal(most + 1),
    )
    rows = rows_of(database, query, [*values, *(after or ())])
    last = tuple(rows[most - 1][_KEY.format(i)] for i in range(len(listing.key))) if len(rows) > most else None
    return Page([{name: row[name] for name in columns} for row in rows[:most]], last)


def _marks(number: int) -> sql.Composable:
    return sql.SQL(", ").join([sql.Placeholder()] * number)
