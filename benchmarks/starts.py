"""How long help and each reading command take on a filled store, from the start of the process to its end.

The first start of each is left out.
"""

import statistics
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from commands import PROGRAM, MadeStore
from common import show, target

from breadthflow_pipelines.sources.demo_companies import UNIVERSE
from breadthflow_pipelines.warehouse.database import rows_of

ROUNDS = 5


def seconds_of(*command: str | Path, environment: Mapping[str, str]) -> float:
    """Seconds of a command that has to succeed."""
    began = time.perf_counter()
    ended = subprocess.run(command, env=environment, capture_output=True, text=True)
    seconds = time.perf_counter() - began
    if ended.returncode:
        raise RuntimeError(f"{' '.join(map(str, command))} ended with {ended.returncode}: {ended.stderr}")
    return seconds


def measure(store: MadeStore) -> None:
    """Each command's median, and the slowest as the row of the table."""
    found = {}
    for command in _commands(store):
        seconds_of(PROGRAM, *command, environment=store.environment)
        rounds = [seconds_of(PROGRAM, *command, environment=store.environment) for _ in range(ROUNDS)]
        found["breadthflow " + " ".join(command)] = statistics.median(rounds)
    show("Commands, whole", found)
    target("breadthflow --help", store.market.size, found["breadthflow --help"], "<= 0.5", "s")
    slowest = max(found, key=lambda command: found[command])
    target("the slowest reading command", store.market.size, found[slowest], "<= 0.5", "s", note=slowest)


def _commands(store: MadeStore) -> Sequence[Sequence[str]]:
    last = str(store.market.sessions[-2])
    signals, symbols = (
        "SELECT max(signal_id) AS id FROM market_signals",
        "SELECT max(symbol) AS id FROM security_symbols",
    )
    signal, symbol = (rows_of(store.database, query, [])[0]["id"] for query in (signals, symbols))
    return (
        ("--help",),
        ("status",),
        ("signals", "--from", last),
        ("score", "--date", last),
        ("explain", signal),
        ("breadth", "--universe", UNIVERSE, "--from", last[:4] + "-01-01"),
        ("symbols", "--universe", UNIVERSE),
        ("symbols", "--universe", UNIVERSE, "--symbol", symbol),
        ("members", "--universe", UNIVERSE),
        ("members", "--without-bars"),
        ("indicators",),
        ("accuracy", "--universe", UNIVERSE),
        ("calibration", "--universe", UNIVERSE),
        ("rejected",),
        ("holes",),
        ("problems",),
        ("db", "url"),
    )
