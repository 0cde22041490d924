"""`breadthflow up`: the UI answers, runs what it is asked to, and leaves no process behind."""

import json
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from breadthflow_pipelines.sessions import exchange_calendar
from breadthflow_pipelines_tests.e2e.conftest import BREADTHFLOW, breadthflow, environment

pytestmark = pytest.mark.slow

DAILY = [
    *("securities", "universe_members", "bars", "quarantined_bars", "breadth_counts", "breadth_indicators"),
    *("market_signals", "price_indicators", "symbol_signals"),
]
LAUNCH = """
mutation($params: ExecutionParams!) { launchRun(executionParams: $params) {
  __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message } } }
"""


class Served:
    """A running `breadthflow up`."""

    def __init__(self, home: Path, start: str) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.settings = {"home": home, "start": start}
        self.process = subprocess.Popen(
            [BREADTHFLOW, "up", "--port", str(self.port)],
            env=environment(**self.settings),
            cwd="/",
            stderr=subprocess.PIPE,
            text=True,
        )

    def ask(self, query: str, **variables: object) -> dict[str, Any]:
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}/graphql",
            json.dumps({"query": query, "variables": variables}).encode(),
            {"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310 - as above
            data: dict[str, Any] = json.load(answer)["data"]
        return data

    def wait_until_ready(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            if f"http://127.0.0.1:{self.port}" in line:
                return
        pytest.fail("breadthflow up ended before the UI answered")


@pytest.fixture
def served(home: Path) -> Iterator[Served]:
    last = exchange_calendar("XNYS").last_closed()
    up = Served(home, f"{last:%Y-%m}")
    try:
        yield up
    finally:
        if up.process.poll() is None:
            up.process.send_signal(signal.SIGINT)
            up.process.wait(60)


def test_the_ui_shows_the_assets_runs_the_daily_job_and_all_of_it_stops(served: Served, home: Path) -> None:
    served.wait_until_ready()
    nodes = served.ask("{ assetNodes { assetKey { path } } }")["assetNodes"]
    assert sorted(node["assetKey"]["path"][0] for node in nodes) == sorted([*DAILY, "exchange_breadth"])

    month = served.settings["start"]
    tags = {"dagster/asset_partition_range_start": month, "dagster/asset_partition_range_end": month}
    params = {
        "selector": {
            "repositoryLocationName": "breadthflow",
            "repositoryName": "__repository__",
            "jobName": "bring_up_to_date",
        },
        "executionMetadata": {"tags": [{"key": key, "value": value} for key, value in tags.items()]},
    }
    launched = served.ask(LAUNCH, params=params)["launchRun"]
    assert launched["__typename"] == "LaunchRunSuccess", launched
    run_id = launched["run"]["runId"]
    deadline = time.monotonic() + 150
    while (status := _status(served, run_id)) not in ("SUCCESS", "FAILURE", "CANCELED"):
        assert time.monotonic() < deadline, f"the run is still {status}"
        time.sleep(1)
    assert status == "SUCCESS"
    assert "demo (synthetic)" in breadthflow("status", **served.settings).stdout

    taken = breadthflow("up", "--port", served.port, home=home.parent / f"{home.name}-other")
    assert taken.returncode == 2
    assert f"Port {served.port} is taken" in taken.stderr

    ours = psutil.Process(served.process.pid).children(recursive=True)
    postgres = psutil.Process(int((home / "postgres" / "postmaster.pid").read_text().split()[0]))
    assert len(ours) >= 2  # the webserver and the daemon
    served.process.send_signal(signal.SIGINT)
    assert served.process.wait(60) == 0
    _, left = psutil.wait_procs([*ours, postgres], timeout=15)
    assert left == []


def _status(served: Served, run_id: str) -> str:
    query = "query($id: ID!) { runOrError(runId: $id) { ... on Run { status } } }"
    return str(served.ask(query, id=run_id)["runOrError"]["status"])
