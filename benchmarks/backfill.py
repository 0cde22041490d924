"""A whole backfill, files to signals, beside what PostgreSQL needs for its rows alone; then once more; then one day.

The limit is a bare COPY, by the same driver, of the same rows into tables with the same keys and checks, and one read
of the bars. Sizes: python benchmarks/backfill.py --symbols 7000 --bars 10000000 --from 1990 --to 2017
"""

import argparse
import datetime as dt
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import psutil
from common import CALENDAR, show
from made_files import write_market

from breadthflow_pipelines.warehouse import bulk
from breadthflow_pipelines.warehouse.arrow_connections import arrow_cursor
from breadthflow_pipelines.warehouse.database import NAME, Database
from breadthflow_pipelines.warehouse.embedded import EmbeddedServer

PROGRAM = Path(sys.executable).with_name("breadthflow")
TABLES = ("bars", "price_indicators", "symbol_signals", "breadth_counts")  # nearly all rows are theirs
STAMPS = ("computed_at", "ingested_at")  # have a default


@dataclass(frozen=True)
class Ran:
    """A command that is over: its seconds, and the most memory that its process had for itself, in MB."""

    seconds: float
    peak: int


def run(environment: Mapping[str, str], *command: str) -> Ran:
    """Run the command, and look at its memory four times a second."""
    began = time.perf_counter()
    process = subprocess.Popen(
        [PROGRAM, *command], env={**os.environ, **environment}, stderr=subprocess.PIPE, text=True
    )
    peak, over = 0, threading.Event()

    def watch() -> None:
        nonlocal peak
        while not over.wait(0.25):
            try:
                peak = max(peak, psutil.Process(process.pid).memory_full_info().uss >> 20)
            except psutil.Error:
                return

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    _, said = process.communicate()
    over.set()
    if process.returncode:
        sys.exit(f"breadthflow {' '.join(command)} ended with {process.returncode}:\n{said[-2000:]}")
    return Ran(time.perf_counter() - began, peak)


def limit(database: Database, years: range) -> float:
    """Seconds for the rows of TABLES into empty twins of these, and for one read of the bars."""
    seconds = 0.0
    for table in TABLES:
        parted = "" if table == "breadth_counts" else " PARTITION BY RANGE (session)"
        like = f"LIKE {table} INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING INDEXES"
        statements = [f"DROP TABLE IF EXISTS twin_{table}", f"CREATE TABLE twin_{table} ({like}){parted}"]
        if parted:
            statements += [
                f"CREATE TABLE twin_{table}_{year} PARTITION OF twin_{table} "
                f"FOR VALUES FROM ('{year}-01-01') TO ('{year + 1}-01-01')"
                for year in years
            ]
        bulk.execute(database, [(statement, ()) for statement in statements])
        for frame, read in _by_year(database, table, years):
            began = time.perf_counter()
            if frame.height:
                with arrow_cursor(database) as cursor:
                    cursor.adbc_ingest(f"twin_{table}", frame.drop(STAMPS, strict=False).to_arrow(), mode="append")
            seconds += time.perf_counter() - began + (read if table == "bars" else 0)
        bulk.execute(database, [(f"DROP TABLE twin_{table}", ())])
    return seconds


def _by_year(database: Database, table: str, years: range) -> Iterator[tuple[pl.DataFrame, float]]:
    for year in years:
        began = time.perf_counter()
        days = (dt.date(year, 1, 1), dt.date(year, 12, 31))
        frame = bulk.fetch(database, f"SELECT * FROM {table} WHERE session BETWEEN $1 AND $2", days)
        yield frame, time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--symbols", type=int, default=500)
    parser.add_argument("--bars", type=int, default=1_660_000)
    parser.add_argument("--from", dest="first", type=int, default=2006)
    parser.add_argument("--to", dest="last", type=int, default=2017)
    sizes = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bf-", dir="/tmp") as name:
        place = Path(name)
        place.chmod(0o755)
        written = write_market(place / "files", sizes.symbols, sizes.bars, sizes.first, sizes.last)
        last = CALENDAR.between(dt.date(sizes.last, 12, 1), dt.date(sizes.last, 12, 31))[-1]
        environment = {
            "BREADTHFLOW_HOME": str(place / "home"),
            "BREADTHFLOW_SOURCE": "files",
            "BREADTHFLOW_SOURCE_PATH": str(place / "files"),
            "BREADTHFLOW_SOURCE_SYMBOL": "filename",
            "BREADTHFLOW_START": f"{sizes.first}-01",
        }
        whole = ("backfill", "--from", f"{sizes.first}-01-01", "--to", str(last))
        server = EmbeddedServer(place / "home")
        try:
            ran = {"files to signals, empty store": run(environment, *whole)}
            least = limit(Database(server.url(NAME), server), range(sizes.first, sizes.last + 1))
            ran["the same again, nothing changed"] = run(environment, *whole)
            ran["the last month alone"] = run(environment, "backfill", "--from", f"{last:%Y-%m}-01", "--to", str(last))
        finally:
            server.stop()
    title = f"{written:,} invented bars of {sizes.symbols:,} symbols, {sizes.first} to {sizes.last}"
    show(title, {"bare COPY of the rows, one read of the bars": least, **{what: r.seconds for what, r in ran.items()}})
    memory = {what: float(each.peak) for what, each in ran.items()}
    show("Memory that the process had for itself, MB", memory, unit="MB")


if __name__ == "__main__":
    main()
