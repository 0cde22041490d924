"""A daily run after each of a thousand sessions: memory, connections, disk and time grow with the rows and not faster.

`make soak` does it, one after another in one process: that is harder than what a deployment does, where each run has a
process of its own, and it also shows what a code server or a notebook would keep. SOAK_SESSIONS says how many. With
SOAK_HOME, a directory, the market stays there with what was seen of it, and a soak that was ended goes on from there.
"""

import datetime as dt
import gc
import json
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import psutil
import pytest

from breadthflow_pipelines.orchestration import planning, runs
from breadthflow_pipelines.orchestration.hosting.instance import dagster_instance
from breadthflow_pipelines.orchestration.resources import Market
from breadthflow_pipelines.sessions import exchange_calendar
from breadthflow_pipelines.settings import get_settings
from breadthflow_pipelines.warehouse.database import Database, open_database, rows_of
from breadthflow_pipelines.warehouse.embedded import EmbeddedServer
from breadthflow_pipelines_tests.e2e.serving import processes_of

pytestmark = [pytest.mark.chaos, pytest.mark.slow]

SESSIONS = int(os.environ.get("SOAK_SESSIONS", "1000"))
QUARTERS = 4  # the last is held against the second
FIRST, BEFORE = (
    dt.date(2016, 1, 1),
    dt.date(2018, 12, 31),
)  # what is stored when it begins: history enough for all rules
PARTS = 20  # times it is looked at


class Look(NamedTuple):
    """What a part of the sessions came to: a run's seconds, and the memory, connections and disk at its end.

    worked: seconds of processors, this process's and the server's. lasted: seconds of the clock, which other programs
    of the machine stretch.
    """

    worked: float
    lasted: float
    memory: float  # MB of this process
    connections: int
    disk: float  # MB of the home

    @property
    def said(self) -> str:
        return (
            f"{self.worked:.2f} s of work in {self.lasted:.2f} s a run, {self.memory:.0f} MB of memory, "
            f"{self.connections} connections, {self.disk:.0f} MB on disk"
        )


@pytest.fixture
def place(home: Path) -> Iterator[Path]:
    """BREADTHFLOW_HOME: SOAK_HOME, of which nothing is removed, or one that goes with the test."""
    if "SOAK_HOME" not in os.environ:
        yield home
        return
    kept = Path(os.environ["SOAK_HOME"]).absolute()
    kept.mkdir(mode=0o755, parents=True, exist_ok=True)
    yield kept
    EmbeddedServer(kept).stop()


@pytest.fixture
def settled(place: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("BREADTHFLOW_HOME", str(place))
    monkeypatch.setenv("BREADTHFLOW_START", f"{FIRST:%Y-%m}")
    monkeypatch.setenv("DAGSTER_HOME", "")
    get_settings.cache_clear()
    open_database(get_settings())  # with all its tables
    ours = gc.get_threshold()
    gc.unfreeze()
    gc.set_threshold(700, 10, 10)  # Python's own, as a run outside of tests has it
    yield
    gc.set_threshold(*ours)
    get_settings.cache_clear()


def disk(place: Path) -> float:
    return sum(path.stat().st_size for path in place.rglob("*") if path.is_file() and not path.is_symlink()) / 2**20


def work(home: Path) -> float:
    """Seconds of processors so far: of this process, and of the server with those of its processes that have ended."""
    seconds = time.process_time()
    servers = processes_of(home)
    for process in [*servers, *(child for server in servers for child in server.children())]:
        with suppress(psutil.Error):
            spent = process.cpu_times()
            seconds += spent.user + spent.system + spent.children_user + spent.children_system
    return seconds


def connections(database: Database) -> int:
    [row] = rows_of(database, "SELECT count(*) AS n FROM pg_stat_activity WHERE backend_type = 'client backend'")
    return int(row["n"])


def grown(looks: list[Look], of: Callable[[Look], float]) -> float:
    """What the last quarter has, as a multiple of the second one."""
    quarter = len(looks) // QUARTERS
    then, now = looks[quarter : 2 * quarter], looks[-quarter:]
    return statistics.median(map(of, now)) / statistics.median(map(of, then))


def counted_through(database: Database) -> dt.date | None:
    [row] = rows_of(database, "SELECT max(session) AS last FROM breadth_counts")
    last: dt.date | None = row["last"]
    return last


@pytest.mark.usefixtures("settled")
def test_nothing_grows_but_the_rows(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert SESSIONS >= QUARTERS, f"SOAK_SESSIONS is {SESSIONS}: its quarters are compared, so it has {QUARTERS} or more"
    days = exchange_calendar("XNYS").between(BEFORE + dt.timedelta(days=1), dt.date(2026, 1, 1))[:SESSIONS]
    size = max(1, len(days) // PARTS)
    seen = place / "soak.jsonl"  # a line for each part
    looks = [Look(**json.loads(line)) for line in seen.read_text().splitlines()] if seen.exists() else []
    with dagster_instance(get_settings()) as instance:
        last = counted_through(Market().store)
        if last is None:
            assert runs.run_months(instance, FIRST, BEFORE, BEFORE).trouble is None
        done = sum(last is not None and day <= last for day in days)
        for begin in range(done, len(days), size):
            worked, lasted = [], []
            for day in days[begin : begin + size]:
                before, began = work(place), time.monotonic()
                report = runs.run_months(instance, planning.first_day_due(instance, Market(), day), day, day)
                assert report.trouble is None, (day, report.trouble)
                worked.append(work(place) - before)
                lasted.append(time.monotonic() - began)
            memory = psutil.Process().memory_full_info().uss / 2**20
            looks.append(
                Look(*map(statistics.median, (worked, lasted)), memory, connections(Market().store), disk(place))
            )
            with seen.open("a") as file:
                file.write(json.dumps(looks[-1]._asdict()) + "\n")
            with capsys.disabled():
                sys.stdout.write(f"{begin + len(worked):5} sessions, through {day}: {looks[-1].said}\n")
                sys.stdout.flush()
    half = len(looks) // 2
    assert grown(looks, lambda look: look.worked) < 1.3
    assert grown(looks, lambda look: look.memory) < 1.1
    assert max(look.connections for look in looks[half:]) <= max(look.connections for look in looks[:half])
    steps = [after.disk - before.disk for before, after in pairwise(looks)]
    assert statistics.median(steps[half:]) < 1.5 * statistics.median(steps[:half])
