"""What the benchmarks share: the market they use, a store of their own, rounds in turn, tables, the targets' rows."""

import datetime as dt
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
console = Console(width=120)
progress = Console(width=120, stderr=True)


def sound_bars(market: DemoMarket, last: dt.date) -> pl.DataFrame:
    """The bars of a demo market through a session, without the rows that are broken on purpose."""
    bars = pl.concat(chunk.bars for chunk in market.bars(None, EPOCH, last) if chunk.bars.height)
    sound = (
        (pl.col("low") > 0) & (pl.col("high") >= pl.col("low")) & pl.col("close").is_finite() & (pl.col("volume") >= 0)
    )
    inside = pl.all_horizontal(pl.col("open", "close").is_between(pl.col("low"), pl.col("high")))
    return bars.filter(sound & inside & pl.col("session").is_in(CALENDAR.between(EPOCH, last))).unique(
        ["symbol", "session"], keep="none"
    )


@contextmanager
def temporary_place() -> Iterator[Path]:
    """A directory on disk that PostgreSQL's account may enter; gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="bf-", dir="/tmp") as name:
        place = Path(name)
        place.chmod(0o755)
        yield place


@contextmanager
def temporary_store() -> Iterator[tuple[EmbeddedServer, Database]]:
    """A fresh embedded server with an empty store; both are gone afterwards."""
    with temporary_place() as home:
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


def p95(values: list[float]) -> float:
    """The value that nineteen of twenty do not exceed."""
    return sorted(values)[-1 - len(values) // 20]


def show(title: str, medians: Mapping[str, float], unit: str = "seconds") -> None:
    """Print the medians, and each one's ratio to the first, and note them."""
    table = Table("what", unit, "ratio", box=None)
    first = next(iter(medians.values()))
    for name, seconds in medians.items():
        table.add_row(name, f"{seconds:.2f}", f"{seconds / first:.1f}")
    console.print(f"\n[bold]{title}[/]", table, sep="\n", highlight=False)
    _note({"what": title, "unit": unit, "figures": dict(medians)})


def target(what: str, size: str, measured: float, wanted: str, unit: str = "", note: str = "") -> None:
    """Note a row of the table of targets. wanted: as "<= 2" or ">= 10", in the unit of what was measured."""
    sign, limit = wanted.split()
    met = measured <= float(limit) if sign == "<=" else measured >= float(limit)
    row = {"row": what, "size": size, "measured": measured, "wanted": wanted, "unit": unit, "met": met, "note": note}
    _note(row)
    print_targets([row])


def print_targets(rows: list[dict[str, object]]) -> None:
    """Rows of targets as a table; one that could not be measured says why."""
    table = Table("what", "size", "measured", "wanted", "met", box=None, show_header=len(rows) > 1)
    for row in rows:
        if "failed" in row:
            table.add_row(str(row["row"]), "", "not measured", "", f"[red]failed[/]: {row['failed']}")
            continue
        note = f"; {row['note']}" if row["note"] else ""
        met = "yes" if row["met"] else "[red]no[/]"
        measured, wanted = (f"{figure} {row['unit']}".rstrip() for figure in (f"{row['measured']:.3g}", row["wanted"]))
        table.add_row(str(row["row"]), str(row["size"]), measured + note, wanted, met)
    console.print(table)


@contextmanager
def attempt(what: str) -> Iterator[None]:
    """Say that a row is measured now; where that fails, note it and go on with what follows."""
    progress.print(f"{time.strftime('%H:%M:%S')}  {what}", markup=False, highlight=False)
    try:
        yield
    except Exception as error:  # noqa: BLE001 - whatever it was: the rows that follow are measured all the same
        said = f"{type(error).__name__}: {error}".strip().splitlines()
        progress.print(f"{what} could not be measured: {' '.join(said)[-600:]}", style="red", markup=False)
        _note({"row": what, "failed": said[0][:200]})


def _note(figures: Mapping[str, object]) -> None:
    """Where BENCHMARK_FIGURES names a file, add a line to it."""
    if place := os.environ.get("BENCHMARK_FIGURES"):
        with Path(place).open("a") as notes:
            notes.write(json.dumps(figures) + "\n")
