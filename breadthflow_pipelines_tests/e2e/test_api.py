"""Runs started, watched and ended by API, and all who listen told of them, on a real `breadthflow up` with the demo."""

import datetime as dt
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from breadthflow_pipelines.sessions import exchange_calendar
from breadthflow_pipelines.warehouse.audit_listing import audited
from breadthflow_pipelines.warehouse.database import Database
from breadthflow_pipelines.warehouse.embedded import EmbeddedServer
from breadthflow_pipelines.warehouse.event_log import events_after
from breadthflow_pipelines_tests.api.listeners import Listener
from breadthflow_pipelines_tests.conftest import free_port, private_home, wait_until
from breadthflow_pipelines_tests.e2e.conftest import BREADTHFLOW, breadthflow, environment
from breadthflow_pipelines_tests.e2e.serving import PATIENCE, Served
from breadthflow_pipelines_tests.test_documentation import ROOT, console_commands

pytestmark = pytest.mark.slow

CLOSED = exchange_calendar("XNYS").last_closed()
HISTORY = "2024-01"  # as the documents' examples have it
FIRST = CLOSED.replace(day=1) - dt.timedelta(days=400)
RANGE = {"from": f"{FIRST:%Y-%m}-01", "to": str(CLOSED)}
DONE = ("success", "failure", "canceled")
TIMED_OUT = 28  # as curl says it
DOCUMENTS = (ROOT / "README.md", ROOT / "docs" / "operations.md")


class Api:
    """`breadthflow serve` beside an `up`, which can be killed and started again."""

    def __init__(self, up: Served) -> None:
        self.up, self.port = up, free_port()
        self.settings = {**up.settings, "webserver_url": f"http://127.0.0.1:{up.port}"}
        self.tokens = {
            role: breadthflow("token", "create", f"the {role}", "--role", role, **self.settings).stdout.strip()
            for role in ("viewer", "operator")
        }
        self.start()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        self.process = subprocess.Popen(
            [BREADTHFLOW, "serve", "--port", str(self.port)],
            env=environment(**self.settings),
            cwd="/",
            stderr=subprocess.DEVNULL,
        )
        wait_until(self._answers, PATIENCE)

    def end(self, number: int = signal.SIGTERM) -> None:
        self.process.send_signal(number)
        self.process.wait(60)

    def ask(self, method: str, path: str, role: str = "operator", **options: Any) -> httpx.Response:
        headers = {"Authorization": f"Bearer {self.tokens[role]}"}
        return httpx.request(method, self.address + path, headers=headers, timeout=90, trust_env=False, **options)

    def run(self, run_id: str) -> dict[str, Any]:
        answer = self.ask("GET", f"/v1/runs/{run_id}", "viewer")
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def wait_for(self, run_id: str, *statuses: str) -> dict[str, Any]:
        """The run once it stands so."""
        self.up.wait(lambda: self.run(run_id)["status"] in statuses)
        return self.run(run_id)

    def _answers(self) -> bool:
        with suppress(httpx.HTTPError):
            return httpx.get(f"{self.address}/health", trust_env=False).status_code == 200
        return False


@pytest.fixture(scope="module")
def api() -> Iterator[Api]:
    """The API beside an `up` over an empty store of the demo market."""
    with private_home() as home:
        up = Served(home, HISTORY).wait_until_ready()
        try:
            api = Api(up)
            yield api
            api.end()
        finally:
            up.process.terminate()
            up.process.wait(120)


@pytest.fixture
def listen(api: Api) -> Iterator[Callable[..., Listener]]:
    listeners: list[Listener] = []

    def begin(last: int | None = None) -> Listener:
        listeners.append(Listener(api.address, api.tokens["viewer"], last))
        assert listeners[-1].status == 200
        return listeners[-1]

    yield begin
    for listener in listeners:
        listener.leave()


def finished(listener: Listener, run_id: str) -> bool:
    return any(kind == "run_finished" and about["run_id"] == run_id for _, kind, about in listener.events)


def test_a_run_is_started_watched_and_told_from_its_beginning_to_its_end(
    api: Api, listen: Callable[..., Listener]
) -> None:
    listener = listen()
    answer = api.ask("POST", "/v1/runs", json=RANGE)
    assert answer.status_code == 202, answer.text
    run_id = answer.json()["run_id"]
    assert api.ask("POST", "/v1/runs", json=RANGE).json()["run_id"] == run_id  # it is under way
    assert api.up.runs().keys() == {run_id}  # the UI shows it
    run = api.wait_for(run_id, *DONE)
    assert run["status"] == "success", run["why"]
    assert run["progress"]["steps_done"] == run["progress"]["steps"]
    made = {asset["asset"]: asset for asset in run["progress"]["made"]}
    assert made["bars"]["months"] == 12 * (CLOSED.year - FIRST.year) + CLOSED.month - FIRST.month + 1
    assert made["bars"]["rows_inserted"] > 10_000
    assert len(run["checks"]) > 20
    wait_until(lambda: finished(listener, run_id), PATIENCE)
    of_run = [(kind, about) for _, kind, about in listener.events if about.get("run_id") == run_id]
    assert [kind for kind, _ in of_run[:2]] == ["run_queued", "run_started"]
    assert of_run[-1] == ("run_finished", {**of_run[-1][1], "status": "success"})
    begun = [about["step"] for kind, about in of_run if kind == "run_progress" and about["phase"] == "started"]
    assert begun.index("bars") < begun.index("breadth_counts") < begun.index("market_signals")
    sessions = [about for _, kind, about in listener.events if kind == "new_session"]
    assert {(about["session"], about["synthetic"]) for about in sessions} == {(str(CLOSED), True)}
    assert any(kind == "new_signals" for kind in listener.kinds)
    rows = audited(store(api), None, None, "launched")
    assert [(row["who"], row["via"]) for row in rows if row["run_id"] == run_id] == [("the operator", "api")]


def store(api: Api) -> Database:
    return Database(EmbeddedServer(Path(str(api.up.home))).url("breadthflow"), None)


def test_a_run_that_is_ended_ends_and_it_is_known_who_did_it(api: Api, listen: Callable[..., Listener]) -> None:
    listener = listen()
    run_id = api.ask("POST", "/v1/runs", json=RANGE).json()["run_id"]
    api.wait_for(run_id, "running")
    assert api.ask("DELETE", f"/v1/runs/{run_id}", "viewer").status_code == 403
    assert api.ask("DELETE", f"/v1/runs/{run_id}").status_code == 202
    assert api.wait_for(run_id, *DONE)["status"] == "canceled"
    wait_until(lambda: finished(listener, run_id), PATIENCE)
    assert [about["status"] for _, kind, about in listener.events if kind == "run_finished"] == ["canceled"]
    rows = audited(store(api), None, None, "ended")
    assert [(row["who"], row["run_id"], row["via"]) for row in rows] == [("the operator", run_id, "api")]


def test_a_killed_server_loses_no_event_of_a_run_that_goes_on(api: Api, listen: Callable[..., Listener]) -> None:
    listener = listen()
    run_id = api.ask("POST", "/v1/runs", json=RANGE).json()["run_id"]
    listener.wait_for(1)
    api.end(signal.SIGKILL)
    listener.leave()
    api.start()
    again = listen(listener.last)
    wait_until(lambda: finished(again, run_id), PATIENCE)
    numbers = [number for number, _, _ in (*listener.events, *again.events)]
    stored = [row["event_id"] for row in events_after(store(api), listener.events[0][0] - 1, 10_000)]
    assert numbers == stored[: len(numbers)]  # each once, in order, none left out
    of_run = [kind for _, kind, about in (*listener.events, *again.events) if about.get("run_id") == run_id]
    assert (of_run[0], of_run[1], of_run[-1]) == ("run_queued", "run_started", "run_finished")


def test_without_dagster_s_webserver_runs_are_a_problem_and_reading_goes_on(api: Api) -> None:
    port = free_port()
    away = subprocess.Popen(
        [BREADTHFLOW, "serve", "--port", str(port)],
        env=environment(**{**api.settings, "webserver_url": f"http://127.0.0.1:{free_port()}"}),
        cwd="/",
        stderr=subprocess.DEVNULL,
    )
    try:
        address = f"http://127.0.0.1:{port}"
        headers = {"Authorization": f"Bearer {api.tokens['operator']}"}

        def answers() -> bool:
            with suppress(httpx.HTTPError):
                return httpx.get(f"{address}/health", trust_env=False).status_code == 200
            return False

        wait_until(answers, PATIENCE)
        answer = httpx.post(f"{address}/v1/runs", json=RANGE, headers=headers, trust_env=False)
        assert (answer.status_code, "breadthflow up" in answer.json()["next"]) == (503, True)
        assert httpx.get(f"{address}/v1/universes", headers=headers, trust_env=False).status_code == 200
    finally:
        away.terminate()
        away.wait(60)


def test_every_curl_command_of_the_documents_works(api: Api) -> None:
    """In their order: what one of them starts another one watches and ends."""
    commands = [each for document in DOCUMENTS for each in console_commands(document) if each.startswith("curl ")]
    assert len(commands) > 2
    known = {**os.environ, "TOKEN": api.tokens["operator"]}
    for command in commands:
        there = command.replace("http://127.0.0.1:8000", api.address)
        there = there.replace("curl ", "curl --fail-with-body --max-time 20 ", 1)
        done = subprocess.run(
            ["bash", "-c", there],  # noqa: S607 - as people type it
            env=known,
            capture_output=True,
            text=True,
            check=False,
        )
        endless = "/v1/events" in command and done.returncode == TIMED_OUT
        assert done.returncode == 0 or endless, f"{there}\n{done.stdout}"
        assert done.stdout, command
