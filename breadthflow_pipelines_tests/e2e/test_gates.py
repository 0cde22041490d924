"""A backfill from the UI of what must not be built on: no signal, no green; and every light on once it is mended."""

import csv
import datetime as dt
import json
import random
import signal
import subprocess
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg2
import pytest

from breadthflow_pipelines.sessions import exchange_calendar
from breadthflow_pipelines_tests.conftest import free_port
from breadthflow_pipelines_tests.e2e.conftest import BREADTHFLOW, breadthflow, environment

pytestmark = pytest.mark.slow

SYMBOLS = [letter * 3 for letter in "ABCDEFGHIJKL"]
DAILY = [
    *("securities", "universe_members", "bars", "quarantined_bars", "breadth_counts", "breadth_indicators"),
    *("market_signals", "price_indicators", "symbol_signals", "market_report"),
]
PATIENCE = 600  # seconds; a backfill is three runs, one after the other, on a machine that others use too
BACKFILL = """
mutation($params: LaunchBackfillParams!) { launchPartitionBackfill(backfillParams: $params) {
  __typename ... on LaunchBackfillSuccess { backfillId } ... on PythonError { message } } }
"""
STATUS = "query($id: String!) { partitionBackfillOrError(backfillId: $id) { ... on PartitionBackfill { status } } }"
RUNS = """
query($filter: RunsFilter!) { runsOrError(filter: $filter) { ... on Runs { results {
  runId status assetSelection { path } } } } }
"""
CHECKS = """
{ assetNodes { assetKey { path } assetChecksOrError { ... on AssetChecks { checks {
  name executionForLatestMaterialization { status } } } } } }
"""


class Up:
    """A running `breadthflow up` on a port of its own."""

    def __init__(self, settings: dict[str, object]) -> None:
        self.port = free_port()
        self.process = subprocess.Popen(
            [BREADTHFLOW, "up", "--port", str(self.port), "--api-port", "0"],
            env=environment(**settings),
            cwd="/",
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.process.stderr is not None
        if not any(f"http://127.0.0.1:{self.port}" in line for line in self.process.stderr):
            pytest.fail("breadthflow up ended before the UI answered")

    def ask(self, query: str, **variables: object) -> Any:
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}/graphql",
            json.dumps({"query": query, "variables": variables}).encode(),
            {"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310 - our own server
            return json.load(answer)["data"]

    def backfill(self, months: list[str]) -> tuple[str, list[dict[str, Any]]]:
        """What a backfill of all daily assets over these months ends as, and its runs."""
        params = {"assetSelection": [{"path": [name]} for name in DAILY], "partitionNames": months}
        launched = self.ask(BACKFILL, params=params)["launchPartitionBackfill"]
        assert launched["__typename"] == "LaunchBackfillSuccess", launched
        backfill = launched["backfillId"]
        wait(lambda: self.ask(STATUS, id=backfill)["partitionBackfillOrError"]["status"].startswith("COMPLETED"))
        tags = {"tags": [{"key": "dagster/backfill", "value": backfill}]}
        runs = self.ask(RUNS, filter=tags)["runsOrError"]["results"]
        return self.ask(STATUS, id=backfill)["partitionBackfillOrError"]["status"], runs

    def lights(self) -> dict[str, str | None]:
        """By asset and check, what the UI shows; None: not evaluated."""
        nodes = self.ask(CHECKS)["assetNodes"]
        return {
            f"{node['assetKey']['path'][0]}.{check['name']}": (check["executionForLatestMaterialization"] or {}).get(
                "status"
            )
            for node in nodes
            for check in node["assetChecksOrError"].get("checks", [])
        }

    def __enter__(self) -> "Up":
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            self.process.wait(90)


def wait(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "what was waited for did not happen"
        time.sleep(1)


def write_bars(folder: Path, sessions: list[dt.date]) -> None:
    chance = random.Random(7)  # noqa: S311
    folder.mkdir()
    for symbol in SYMBOLS:
        close, rows = 50.0, []
        for number, session in enumerate(sessions):
            tide = 0.003 if number // 30 % 2 else -0.003
            before, close = close, round(close * (1 + tide + chance.gauss(0, 0.012)), 2)
            high, low = round(max(before, close) * 1.004, 2), round(min(before, close) * 0.996, 2)
            rows.append((session, before, high, low, close, chance.randint(1_000, 90_000)))
        with (folder / f"{symbol.lower()}.csv").open("w", newline="") as file:
            csv.writer(file).writerows([("session", "open", "high", "low", "close", "volume"), *rows])


def write_members(file: Path, thin: dt.date | None = None) -> None:
    """All symbols; from ``thin`` to the end of its month, beside them three times as many that nobody has bars of."""
    lines = [f"u,{symbol},2020-01-01,\n" for symbol in SYMBOLS]
    if thin is not None:
        out = (thin.replace(day=28) + dt.timedelta(days=4)).replace(day=1)
        lines += [f"u,GONE{number},{thin},{out}\n" for number in range(36)]
    file.write_text("universe,symbol,valid_from,valid_to\n" + "".join(lines))


def test_a_backfill_from_the_ui_below_the_gate_makes_no_signal_and_is_not_green_until_it_is_mended(
    fresh_database: Callable[[], str], tmp_path: Path, home: Path
) -> None:
    calendar = exchange_calendar("XNYS")
    last = calendar.last_closed()
    start = calendar.back(last, 260).replace(day=1)
    sessions = calendar.between(start, last)
    write_bars(tmp_path / "bars", sessions)
    members = tmp_path / "members.csv"
    write_members(members)
    store = fresh_database()
    settings: dict[str, object] = {
        "home": home,
        "database_url": store,
        "dagster_database_url": fresh_database(),
        "source": "files",
        "source_path": tmp_path / "bars",
        "universe_file": members,
        "start": f"{start:%Y-%m}",
    }
    assert breadthflow("db", "upgrade", **settings).returncode == 0
    ran = breadthflow("run", **settings)
    assert ran.returncode == 0, ran.stderr

    thin = calendar.back(last, 60).replace(day=1)
    months = sorted({f"{day:%Y-%m}" for day in sessions if day >= thin})

    def signals() -> list[int]:
        with psycopg2.connect(store) as connection, connection.cursor() as cursor:
            found = []
            for table in ("market_signals", "symbol_signals"):
                cursor.execute(f"SELECT count(*) FROM {table} WHERE session >= %s", (thin,))
                found.append(int(cursor.fetchone()[0]))  # type: ignore[index]
        return found

    made = signals()
    assert min(made) > 20
    with psycopg2.connect(store) as connection, connection.cursor() as cursor:
        cursor.execute("DELETE FROM market_signals WHERE session >= %s", (thin,))
        cursor.execute("DELETE FROM symbol_signals WHERE session >= %s", (thin,))
    write_members(members, thin)

    with Up(settings) as up:
        status, runs = up.backfill(months)
        assert status == "COMPLETED_FAILED"
        assert signals() == [0, 0]
        assert "SUCCESS" not in {run["status"] for run in runs if ["breadth_indicators"] in _paths(run)}
        assert up.lights()["breadth_counts.coverage_at_gate"] == "FAILED"
        told = breadthflow("status", **settings).stdout
        assert "coverage_at_gate" in told
        assert f"breadthflow backfill --from {calendar.between(thin, last)[0]}" in told

        write_members(members)
        status, runs = up.backfill(months)
        assert (status, {run["status"] for run in runs}) == ("COMPLETED_SUCCESS", {"SUCCESS"})
        assert signals() == made
        wait(lambda: None not in _of_bars(up.lights()))  # the suites too, which nobody had judged
        assert set(_of_bars(up.lights())) == {"SUCCEEDED"}


def _paths(run: dict[str, Any]) -> list[list[str]]:
    return [key["path"] for key in run["assetSelection"] or []]


def _of_bars(lights: dict[str, str | None]) -> list[str | None]:
    return [status for name, status in lights.items() if not name.startswith("exchange_breadth.")]
