"""Commands of breadthflow on a store of a benchmark's own: their seconds, processor time and memory."""

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
from made_files import MadeMarket

from breadthflow_pipelines.warehouse.database import NAME, Database, ensure_database, upgrade
from breadthflow_pipelines.warehouse.embedded import EmbeddedServer

PROGRAM = Path(sys.executable).with_name("breadthflow")
FROM_INSIDE = Path(__file__).with_name("from_inside.py")


@dataclass(frozen=True)
class Ran:
    """A command that is over.

    seconds: from its start to its end. processor: seconds of processors, its own and those of the database. peak: the
    most memory that its process had for itself, in MB. inside: what from_inside.py says of it.
    """

    seconds: float
    processor: float
    peak: int
    inside: Mapping[str, float]


@dataclass(frozen=True)
class MadeStore:
    """A store of the files of a made market, and the environment in which commands mean it."""

    market: MadeMarket
    server: EmbeddedServer
    environment: Mapping[str, str]

    @property
    def database(self) -> Database:
        return Database(self.server.url(NAME), self.server)

    def run(self, *command: str) -> Ran:
        """Run the command, and look at its memory four times a second; where it fails, so does this."""
        with tempfile.NamedTemporaryFile() as inside, tempfile.TemporaryFile("w+") as said:
            before, began = _processor_time(self.server), time.perf_counter()
            process = subprocess.Popen(
                [sys.executable, FROM_INSIDE, inside.name, *command],
                env=self.environment,
                stdout=subprocess.DEVNULL,
                stderr=said,
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
            _, status, used = os.wait4(process.pid, 0)
            seconds = time.perf_counter() - began
            over.set()
            watcher.join()
            process.returncode = os.waitstatus_to_exitcode(status)  # Popen would wait for it once more
            if process.returncode:
                said.seek(0)
                raise RuntimeError(f"breadthflow {' '.join(command)} ended with {process.returncode}: {said.read()}")
            processor = used.ru_utime + used.ru_stime + _processor_time(self.server) - before
            return Ran(seconds, processor, peak, json.loads(Path(inside.name).read_text() or "{}"))

    def backfill(self, first: object, last: object) -> Ran:
        return self.run("backfill", "--from", str(first), "--to", str(last))


@contextmanager
def made_store(place: Path, market: MadeMarket) -> Iterator[MadeStore]:
    """An empty store for the market, in a directory of its own; its server is stopped afterwards."""
    home = place / "home"
    server = EmbeddedServer(home)
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("BREADTHFLOW_")},
        **_bytecode(place),
        "BREADTHFLOW_HOME": str(home),
        "BREADTHFLOW_SOURCE": "files",
        "BREADTHFLOW_SOURCE_PATH": str(market.files),
        "BREADTHFLOW_SOURCE_SYMBOL": "filename",
        "BREADTHFLOW_START": f"{market.sessions[0]:%Y-%m}",
    }
    if market.universe is not None:
        environment["BREADTHFLOW_UNIVERSE_FILE"] = str(market.universe)
    server.ensure_running()
    try:
        database = Database(server.url(NAME), server)
        ensure_database(database.url)
        upgrade(database)
        yield MadeStore(market, server, environment)
    finally:
        server.stop()


def _bytecode(place: Path) -> dict[str, str]:
    """What makes commands find compiled modules, as an installed package has them, where Python may write none."""
    if "PYTHONDONTWRITEBYTECODE" not in os.environ:
        return {}
    kept = {"PYTHONPYCACHEPREFIX": str(place / "bytecode"), "PYTHONDONTWRITEBYTECODE": ""}
    everything = "import breadthflow_pipelines.cli, breadthflow_pipelines.definitions"
    subprocess.run([sys.executable, "-c", everything], env={**os.environ, **kept}, check=True, capture_output=True)
    return kept


def _processor_time(server: EmbeddedServer) -> float:
    """Seconds that the database's processes have used, those that have ended included."""
    postmaster = psutil.Process(int((server.data / "postmaster.pid").read_text().split()[0]))
    total = 0.0
    for process in (postmaster, *postmaster.children()):
        try:
            times = process.cpu_times()
        except psutil.Error:
            continue
        total += times.user + times.system
        if process is postmaster:
            total += times.children_user + times.children_system
    return total
