"""Fifty users of the API while a daily run writes, and while a backfill does: how long they wait, and what fails.

python benchmarks/api.py [--symbols 660] [--bars 1660000] [--seconds 120]. The daily run is the same each time, `run
--again`: alone before and after, and as often as fits while the users (api_users.py) ask. The backfill writes members'
rows of a year again, as often as fits.
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

from breadthflow_pipelines.api.tokens import create
from breadthflow_pipelines.model.vocabulary import Role
from breadthflow_pipelines.sources.demo_companies import UNIVERSE
from breadthflow_pipelines.warehouse import bulk

USERS = 50
ALONE = 2  # runs before the users come, and as many after
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
    if not (place / "tokens").exists():
        made = (create(store.database, f"user {number}", Role.VIEWER, None, "benchmark") for number in range(USERS))
        (place / "tokens").write_text("\n".join(made))
    environment = {
        **os.environ,
        "BENCHMARK_TOKENS": str(place / "tokens"),
        "BENCHMARK_UNIVERSE": UNIVERSE,
        "BENCHMARK_SINCE": str(store.market.sessions[-21]),
    }
    command = [sys.executable, "-m", "locust", "--headless", "--only-summary", "-f", str(LOCUST), "--host", address]
    command += ["-u", str(USERS), "-r", "25", "-t", f"{seconds}s", "--csv", str(place / "load")]
    command += ["--exit-code-on-error", "0"]
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


def written_again(store: MadeStore) -> None:
    """A backfill of the last year, whose members' rows are not there."""
    last = store.market.sessions[-2]
    first = last.replace(day=1, year=last.year - 1)
    for table in ("symbol_signals", "price_indicators"):
        bulk.execute(store.database, [(f"DELETE FROM {table} WHERE session >= $1", (first,))])
    store.backfill(first, last)


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
        heavier = crowd(store, address, place, seconds, lambda: written_again(store))
    if len(beside) > 1:
        beside.pop()  # the users may have left in the middle of it
    show("A daily run", {"alone": statistics.median(alone), f"beside {USERS} users": statistics.median(beside)})
    for writes, told in (("a daily run", load), ("a backfill", heavier)):
        what = f"{USERS} users of the API while {writes} writes"
        note = f"{int(told['Request Count']):,} requests, {float(told['Requests/s']):.0f} a second"
        target(f"{what}, p95", size, float(told["95%"]), "<= 200", "ms", note)
        target(f"{what}, errors", size, int(told["Failure Count"]), "<= 0")
    ratio = statistics.median(beside) / statistics.median(alone)
    target(f"the daily run beside users, by itself alone ({len(beside)} runs)", size, ratio, "<= 1.3")


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
