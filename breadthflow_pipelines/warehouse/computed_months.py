"""By which transactions rows were written, month by month: what tells that none was changed, without reading values.

Every row of PostgreSQL bears the number of the transaction that wrote it. Where the same transactions wrote the same
number of a month's rows, no row was added, changed or removed, by whomever. What follows from that, and what a month is
made of, is said elsewhere (orchestration/known_months.py; docs/decisions/fingerprints.md).
"""

import datetime as dt
from collections.abc import Mapping, Sequence

from breadthflow_pipelines.warehouse import tables
from breadthflow_pipelines.warehouse.bulk import Statement, execute, fetch, fetch_together
from breadthflow_pipelines.warehouse.database import Database

Months = Mapping[dt.date, str]

# The columns too: one that was dropped and is there again is null in all rows, whose writers are the same.
_HASH = (
    "encode(sha256(convert_to(string_agg(xmin::text || ' ' || rows, ',' ORDER BY xmin::text COLLATE \"C\") || ("
    "SELECT string_agg(attnum || ' ' || attname, ',' ORDER BY attnum) FROM pg_attribute "
    "WHERE attrelid = '{table}'::regclass AND attnum > 0 AND NOT attisdropped), 'UTF8')), 'hex')"
)


def columns_of(name: str) -> set[str]:
    """The declared columns of a table."""
    return set(tables.metadata.tables[name].c.keys())


def writers_by_month(database: Database, names: Sequence[str], through: dt.date) -> list[Months]:
    """Of each of these tables: by the first day of each month through a day that has rows, a hash of their writers.

    A table has sessions or months.
    """
    found = fetch_together(database, [(_by_month(name), (through,)) for name in names])
    return [dict(frame.select("month", "writers").iter_rows()) for frame in found]


def writers(database: Database, name: str) -> str:
    """The same of a whole table."""
    query = f"SELECT {_HASH.format(table=name)} AS w FROM (SELECT xmin, count(*) AS rows FROM {name} GROUP BY xmin) w"
    return str(fetch(database, query).item())


def recorded(database: Database, asset: str) -> dict[dt.date, tuple[str, str]]:
    """By month, what the asset's rows were made of when they were found to be right, and their writers then."""
    query = "SELECT month, made_of, writers FROM computed_months WHERE asset = $1"
    return {month: (made_of, by) for month, made_of, by in fetch(database, query, (asset,)).iter_rows()}


def record(database: Database, asset: str, months: Mapping[dt.date, tuple[str, str]]) -> None:
    """Note of each month what its rows are made of, and their writers."""
    note: list[Statement] = [
        (
            "INSERT INTO computed_months (asset, month, made_of, writers) VALUES ($1, $2, $3, $4) "
            "ON CONFLICT (asset, month) DO UPDATE SET made_of = excluded.made_of, writers = excluded.writers",
            (asset, month, *known),
        )
        for month, known in sorted(months.items())
    ]
    execute(database, note)


def _by_month(name: str) -> str:
    month, day = "date_trunc('month', session::timestamp)::date", "session"
    if "month" in columns_of(name):
        month, day = "month", "month"
    # By day first: the scan then compares days and numbers, and computes no month for each row.
    return (
        f"SELECT month, {_HASH.format(table=name)} AS writers FROM ("
        f"SELECT {month} AS month, xmin, sum(rows) AS rows FROM ("
        f"SELECT {day}, xmin, count(*) AS rows FROM {name} WHERE {day} <= $1 GROUP BY {day}, xmin) days "
        "GROUP BY 1, xmin) writers GROUP BY month"
    )
