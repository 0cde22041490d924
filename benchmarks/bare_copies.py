"""What PostgreSQL needs for rows alone: a bare COPY of them into empty tables with the same keys and checks."""

import datetime as dt
import time
from collections.abc import Iterator, Sequence

import polars as pl

from breadthflow_pipelines.warehouse import bulk
from breadthflow_pipelines.warehouse.arrow_connections import arrow_cursor
from breadthflow_pipelines.warehouse.database import Database

TABLES = ("bars", "price_indicators", "symbol_signals", "breadth_counts")  # nearly all rows are theirs
STAMPS = ("computed_at", "ingested_at")  # have a default
WHOLE = ("breadth_counts",)  # not cut into years


def backfill_limit(database: Database, years: range) -> dict[str, float]:
    """Seconds for the stored rows of TABLES into empty twins of these, by table, and for one read of the bars."""
    copies = {f"COPY into {table}": copied(database, table, years) for table in TABLES}
    return {**copies, "one read of the bars": _read(database, years)}


def copied(database: Database, table: str, years: range) -> float:
    """Seconds of a COPY of a table's rows, year by year as they lie there, into a twin that is dropped afterwards."""
    twin, seconds = f"twin_{table}", 0.0
    bulk.execute(database, [(statement, ()) for statement in _made(table, twin, years)])
    for frame, _ in _by_year(database, table, years):
        rows = frame.drop(STAMPS, strict=False).to_arrow()
        began = time.perf_counter()
        if rows.num_rows:
            with arrow_cursor(database) as cursor:
                cursor.adbc_ingest(twin, rows, mode="append")
        seconds += time.perf_counter() - began
    bulk.execute(database, [(f"DROP TABLE {twin}", ())])
    return seconds


def _made(table: str, twin: str, years: range) -> Sequence[str]:
    like = f"CREATE TABLE {twin} (LIKE {table} INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING INDEXES)"
    if table in WHOLE:
        return [f"DROP TABLE IF EXISTS {twin}", like]
    parts = [
        f"CREATE TABLE {twin}_{year} PARTITION OF {twin} FOR VALUES FROM ('{year}-01-01') TO ('{year + 1}-01-01')"
        for year in years
    ]
    return [f"DROP TABLE IF EXISTS {twin}", f"{like} PARTITION BY RANGE (session)", *parts]


def _read(database: Database, years: range) -> float:
    return sum(seconds for _, seconds in _by_year(database, "bars", years))


def _by_year(database: Database, table: str, years: range) -> Iterator[tuple[pl.DataFrame, float]]:
    """The rows of each year, and the seconds that reading them took."""
    for year in years:
        began = time.perf_counter()
        days = (dt.date(year, 1, 1), dt.date(year, 12, 31))
        frame = bulk.fetch(database, f"SELECT * FROM {table} WHERE session BETWEEN $1 AND $2", days)
        yield frame, time.perf_counter() - began
