"""Fifty users of the API while a daily run writes: how long they wait, what fails, and what it costs the run.

python benchmarks/api.py [--symbols 660] [--bars 1660000] [--seconds 120]. The daily run is the same each time, `run
--again`: alone before and after, and as often as fits while the users (api_users.py) ask.
"""

import argparse
import csv
import os
import socket
import statistics
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from commands import PROGRAM, MadeStore, made_store
from common import attempt, show, target, temporary_place
from made_files import write_market

from breadthflow_pipelines.sources.demo_companies import UNIVERSE

USERS = 50
ALONE = 2  # runs before the users come, and as many after
# In a process elsewhere: limits.py of this directory hides the package of that name, which the API imports.
MAKE_TOKENS = """
import sys
from breadthflow_pipelines.api.access import Role
from breadthflow_pipelines.api.tokens import create
from breadthflow_pipelines.settings import get_settings
from breadthflow_pipelines.warehouse.database import open_database
for number in range(int(sys.argv[1])):
    print(create(open_database(get_settings()), f"user {number}", Role.VIEWER, None, "benchmark"))
"""
LOCUST = Path(__file__).with_name("api_users.py")


@contextmanager
def served(store: MadeStore) -> Iterator[str]:
    """The API on a port of this machine; its address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    server = subprocess.Popen([PROGRAM, "serve", "--port", str(port)], env=store.environment)
    try:
        for _ in range(600):
            with suppress(OSError), urllib.request.urlopen(f"{address}/health", timeout=10):  # noqa: S310 - our own
                break
            if server.poll() is not None:
                raise RuntimeError(f"breadthflow serve ended with {server.returncode}")
            time.sleep(0.2)
        yield address
    finally:
        server.terminate()
        server.wait(30)


def crowd(store: MadeStore, address: str, place: Path, seconds: int, meanwhile: Callable[[], object]) -> dict[str, str]:
    """All users for so many seconds, while something is done again and again; locust's row of all requests together."""
    made = [sys.executable, "-c", MAKE_TOKENS, str(USERS)]
    tokens = subprocess.run(made, env=store.environment, cwd=place, capture_output=True, text=True, check=True).stdout
    (place / "tokens").write_text(tokens)
    environment = {
        **os.environ,
        "BENCHMARK_TOKENS": str(place / "tokens"),
        "BENCHMARK_UNIVERSE": UNIVERSE,
        "BENCHMARK_SINCE": str(store.market.sessions[-21]),
    }
    command = [sys.executable, "-m", "locust", "--headless", "--only-summary", "-f", LOCUST, "--host", address]
    command += ["-u", str(USERS), "-r", "25", "-t", f"{seconds}s", "--csv", place / "load", "--exit-code-on-error", "0"]
    users = subprocess.Popen(command, env=environment, stdout=sys.stderr)
    try:
        while users.poll() is None:
            meanwhile()
    finally:
        users.terminate()
        users.wait(30)
    if users.returncode:
        raise RuntimeError(f"locust ended with {users.returncode}")
    with (place / "load_stats.csv").open() as file:
        return next(row for row in csv.DictReader(file) if row["Name"] == "Aggregated")


def measure(store: MadeStore, place: Path, seconds: int) -> None:
    """The rows of targets: what users wait, what failed, what the run took beside them."""
    size, last = store.market.size, store.market.sessions[-2]
    store.backfill(store.market.sessions[0], last)

    def daily() -> float:
        return store.run("run", "--again", "--date", str(last)).seconds

    with served(store) as address:
        daily()
        alone = [daily() for _ in range(ALONE)]
        beside: list[float] = []
        load = crowd(store, address, place, seconds, lambda: beside.append(daily()))
        alone += [daily() for _ in range(ALONE)]
    if len(beside) > 1:
        beside.pop()  # the users may have left in the middle of it
    show("A daily run", {"alone": statistics.median(alone), f"beside {USERS} users": statistics.median(beside)})
    note = f"{int(load['Request Count']):,} requests, {float(load['Requests/s']):.0f} a second"
    what = f"{USERS} users of the API while a daily run writes"
    target(f"{what}, p95", size, float(load["95%"]), "<= 200", "ms", note)
    target(f"{what}, errors", size, int(load["Failure Count"]), "<= 0")
    ratio = statistics.median(beside) / statistics.median(alone)
    target(f"the daily run beside them, by itself alone ({len(beside)} runs)", size, ratio, "<= 1.3")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--symbols", type=int, default=660)
    parser.add_argument("--bars", type=int, default=1_660_000)
    parser.add_argument("--seconds", type=int, default=120, help="that the users stay")
    asked = parser.parse_args()
    with temporary_place() as place:
        market = write_market(place, asked.symbols, asked.bars)
        with made_store(place, market) as store, attempt("users of the API"):
            measure(store, place, asked.seconds)


if __name__ == "__main__":
    main()
