"""What the benchmarks share: the market they use, a store of their own, rounds in turn, a table."""

import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import polars as pl
from rich.console import Console
from rich.table import Table

from breadthflow_pipelines.sessions import exchange_calendar
from breadthflow_pipelines.sources.demo import DemoMarket
from breadthflow_pipelines.sources.demo_companies import EPOCH
from breadthflow_pipelines.warehouse.database import Database, ensure_database, upgrade
from breadthflow_pipelines.warehouse.embedded import EmbeddedServer

ROUNDS = 3
CALENDAR = exchange_calendar("XNYS")


def demo_bars() -> pl.DataFrame:
    """The whole synthetic market, broken rows left out, with a security_id per symbol."""
    market = DemoMarket(CALENDAR)
    bars = pl.concat(chunk.bars for chunk in market.bars(None, EPOCH, CALENDAR.last_closed()) if chunk.bars.height)
    sound = (
        (pl.col("low") > 0) & (pl.col("high") >= pl.col("low")) & pl.col("close").is_finite() & (pl.col("volume") >= 0)
    )
    inside = pl.col("close").is_between(pl.col("low"), pl.col("high")) & pl.col("session").is_in(
        CALENDAR.between(EPOCH, CALENDAR.last_closed())
    )
    return (
        bars.filter(sound & inside)
        .unique(["symbol", "session"], keep="none")
        .with_columns(security_id=pl.col("symbol").rank("dense").cast(pl.Int64))
    )


@contextmanager
def temporary_store() -> Iterator[tuple[EmbeddedServer, Database]]:
    """A fresh embedded server with an empty store; both are gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="bf-", dir="/tmp") as name:
        home = Path(name)
        home.chmod(0o755)
        server = EmbeddedServer(home)
        server.ensure_running()
        try:
            database = Database(server.url("breadthflow"), server)
            ensure_database(database.url)
            upgrade(database)
            yield server, database
        finally:
            server.stop()


def in_turn(contenders: Mapping[str, Callable[[], object]], rounds: int = ROUNDS) -> dict[str, float]:
    """Median seconds of each, run A B A B ... so that the machine's drift hits all alike."""
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, work in contenders.items():
            began = time.perf_counter()
            work()
            seconds[name].append(time.perf_counter() - began)
    return {name: statistics.median(times) for name, times in seconds.items()}


def show(title: str, medians: Mapping[str, float], unit: str = "seconds") -> None:
    """Print the medians, and each one's ratio to the first; where BENCHMARK_FIGURES names a file, note them there."""
    table = Table("what", unit, "ratio", title=title, title_justify="left", box=None)
    first = next(iter(medians.values()))
    for name, seconds in medians.items():
        table.add_row(name, f"{seconds:.2f}", f"{seconds / first:.1f}")
    Console(width=120).print(table)
    if place := os.environ.get("BENCHMARK_FIGURES"):
        with Path(place).open("a") as notes:
            notes.write(json.dumps({"what": title, "unit": unit, "figures": dict(medians)}) + "\n")
