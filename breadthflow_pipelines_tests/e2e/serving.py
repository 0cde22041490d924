"""A `breadthflow up` of a test's own, what its UI is asked for, and all processes of a home."""

import json
import signal
import subprocess
import threading
import time
import urllib.request
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

from breadthflow_pipelines_tests.conftest import free_port
from breadthflow_pipelines_tests.e2e.conftest import BREADTHFLOW, environment

PATIENCE = 300  # seconds, on a machine that others use too
LAUNCH = """
mutation($params: ExecutionParams!) { launchRun(executionParams: $params) {
  __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message } } }
"""
RUNS = "{ runsOrError { ... on Runs { results { runId parentRunId status } } } }"


class Served:
    """A running `breadthflow up`."""

    def __init__(self, home: Path, start: str, *options: str, **settings: object) -> None:
        self.port = free_port()
        self.home, self.settings = home, {"home": home, "start": start, **settings}
        self.lines: list[str] = []
        self.process = subprocess.Popen(
            [BREADTHFLOW, "up", "--port", str(self.port), "--api-port", "0", *options],  # the last one counts
            env=environment(**self.settings),
            cwd="/",
            stderr=subprocess.PIPE,
            text=True,
        )
        self._ear = threading.Thread(target=self._listen, daemon=True)
        self._ear.start()

    def _listen(self) -> None:
        assert self.process.stderr is not None
        self.lines.extend(iter(self.process.stderr.readline, ""))

    def said(self, words: str) -> bool:
        return any(words in line for line in self.lines)

    def wait(self, condition: Callable[[], object], seconds: float = PATIENCE) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            assert self.process.poll() is None, self.lines
            assert time.monotonic() < deadline, self.lines
            time.sleep(0.5)

    def wait_until_ready(self) -> "Served":
        self.wait(lambda: self.said(f"Dagster UI: http://127.0.0.1:{self.port}"))
        return self

    def ask(self, query: str, *, headers: Mapping[str, str] | None = None, **variables: object) -> dict[str, Any]:
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}/graphql",
            json.dumps({"query": query, "variables": variables}).encode(),
            {"Content-Type": "application/json", **(headers or {})},
        )
        with urllib.request.urlopen(request, timeout=120) as answer:  # noqa: S310 - as above
            data: dict[str, Any] = json.load(answer)["data"]
        return data

    def launch(self, first: str, last: str) -> str:
        """Start the daily job over those months; the run's id."""
        tags = {"dagster/asset_partition_range_start": first, "dagster/asset_partition_range_end": last}
        params = {
            "selector": {
                "repositoryLocationName": "breadthflow",
                "repositoryName": "__repository__",
                "jobName": "bring_up_to_date",
            },
            "executionMetadata": {"tags": [{"key": key, "value": value} for key, value in tags.items()]},
        }
        launched = self.ask(LAUNCH, params=params)["launchRun"]
        assert launched["__typename"] == "LaunchRunSuccess", launched
        return str(launched["run"]["runId"])

    def runs(self) -> dict[str, str]:
        """The state of each run."""
        return {run["runId"]: run["status"] for run in self.ask(RUNS)["runsOrError"]["results"]}

    def child(self, name: str) -> psutil.Process:
        """One of the processes that it started itself."""
        children = psutil.Process(self.process.pid).children()
        return next(process for process in children if name in process.cmdline())

    def stop(self) -> int:
        self.process.send_signal(signal.SIGINT)
        status = self.process.wait(150)
        self._ear.join(10)
        return status


def processes_of(home: Path) -> list[psutil.Process]:
    """All that has to do with that home, by its environment or its command line: nobody is believed to be a child."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            ours = process.environ().get("BREADTHFLOW_HOME") == str(home)
            if ours or any(str(home) in part for part in process.cmdline()):
                found.append(process)
    return found


def kill_everything(home: Path) -> None:
    """A power cut."""
    for process in processes_of(home):
        with suppress(psutil.Error):
            process.kill()
    psutil.wait_procs(processes_of(home), timeout=20)
