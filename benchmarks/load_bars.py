"""One year of bars into the store: a merge, a bare COPY through ADBC, and psycopg2's execute_values."""

from collections.abc import Callable

import polars as pl
from common import in_turn, show, temporary_store
from made_files import demo_bars
from psycopg2.extras import execute_values

from breadthflow_pipelines.warehouse.arrow_connections import arrow_cursor
from breadthflow_pipelines.warehouse.bar_store import bar_rows, load_bars
from breadthflow_pipelines.warehouse.bulk import fetch
from breadthflow_pipelines.warehouse.database import Database
from breadthflow_pipelines.warehouse.security_store import record_securities

YEAR = 2020
PARTITION = f"CALL add_yearly_partition('bars', {YEAR})"


def by_values(database: Database, rows: pl.DataFrame) -> None:
    with database.connect() as connection, connection.cursor() as cursor:
        cursor.execute(PARTITION)
        stored = bar_rows(rows, "demo", "benchmark")
        query = f"INSERT INTO bars ({', '.join(stored.columns)}) VALUES %s ON CONFLICT DO NOTHING"
        execute_values(cursor, query, stored.rows(), page_size=10_000)


def by_adbc(database: Database, rows: pl.DataFrame) -> None:
    with arrow_cursor(database) as cursor:
        cursor.execute(PARTITION)
        cursor.adbc_ingest(f"bars_{YEAR}", bar_rows(rows, "demo", "benchmark").to_arrow(), mode="append")


if __name__ == "__main__":
    bars = demo_bars().filter(pl.col("session").dt.year() == YEAR)
    listing = bars.unique("security_id").select(
        "security_id",
        "symbol",
        source_key="symbol",
        name="symbol",
        sector=pl.lit(None, pl.String),
        valid_from=pl.lit(None, pl.Date),
        valid_to=pl.lit(None, pl.Date),
    )
    with temporary_store() as (_, store):
        record_securities(store, listing, synthetic=True)

        def into_none(load: Callable[[], object]) -> None:
            with store.connect() as connection, connection.cursor() as cursor:
                cursor.execute("TRUNCATE bars")
            load()

        medians = in_turn(
            {
                "COPY and a merge": lambda: into_none(lambda: load_bars(store, bars, "demo", "benchmark")),
                "bare COPY through ADBC": lambda: into_none(lambda: by_adbc(store, bars)),
                "execute_values": lambda: into_none(lambda: by_values(store, bars)),
            }
        )
        held = fetch(store, "SELECT count(*) AS bars FROM bars")["bars"].item()
    show(f"{held:,} bars into PostgreSQL", medians)
