"""`breadthflow up`: the UI answers and runs what it is asked to, what dies comes back, and nothing is left behind."""

import json
import signal
import subprocess
import sys
import time
import urllib.error
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import httpx
import psutil
import psycopg2
import pytest

from breadthflow_pipelines.model.datasets import DATASETS
from breadthflow_pipelines.orchestration.hosting.family import run_workers
from breadthflow_pipelines.sessions import exchange_calendar
from breadthflow_pipelines.warehouse.embedded import EmbeddedServer
from breadthflow_pipelines_tests.conftest import free_port, private_home
from breadthflow_pipelines_tests.e2e.conftest import breadthflow, environment
from breadthflow_pipelines_tests.e2e.serving import Served, kill_everything, processes_of
from breadthflow_pipelines_tests.e2e.test_metrics import page

pytestmark = pytest.mark.slow

DAILY = [
    *("securities", "universe_members", "bars", "quarantined_bars", "breadth_counts", "breadth_indicators"),
    *("market_signals", "price_indicators", "symbol_signals", "market_report"),
]
BACKFILL = """
mutation($params: LaunchBackfillParams!) { launchPartitionBackfill(backfillParams: $params) {
  __typename ... on LaunchBackfillSuccess { backfillId } ... on PythonError { message } } }
"""
A_MINUTE = 75  # and a little: monitoring looks each half of one
WORKS_LONG = (
    "import sys, time; from breadthflow_pipelines.cli import main; from breadthflow_pipelines.sources import demo; "
    "demo.DemoMarket.bars = lambda *_: (print('in the middle', flush=True), time.sleep(600)); main(sys.argv[1:])"
)


@pytest.fixture
def serve(home: Path) -> Iterator[Callable[..., Served]]:
    """Starts an `up` on the test's home; whatever is left of it is ended."""
    started: list[Served] = []

    def start(start: str, *options: str, **settings: object) -> Served:
        started.append(Served(home, start, *options, **settings))
        return started[-1]

    yield start
    for up in started:
        if up.process.poll() is None:
            up.process.send_signal(signal.SIGINT)
            with suppress(subprocess.TimeoutExpired):
                up.process.wait(60)
    kill_everything(home)


@contextmanager
def nothing_counted(home: Path) -> Iterator[None]:
    """While it lasts, a run does not end, however quick the machine is: the table of counts takes no rows."""
    with closing(psycopg2.connect(EmbeddedServer(home).url("breadthflow"))) as connection:
        connection.cursor().execute("LOCK TABLE breadth_counts IN SHARE MODE")
        yield


def this_month() -> str:
    return f"{exchange_calendar('XNYS').last_closed():%Y-%m}"


def test_the_ui_runs_the_daily_job_and_a_killed_code_server_comes_back(
    serve: Callable[..., Served], home: Path
) -> None:
    month = this_month()
    up = serve(month).wait_until_ready()
    nodes = up.ask("{ assetNodes { assetKey { path } } }")["assetNodes"]
    assert sorted(node["assetKey"]["path"][0] for node in nodes) == sorted(DATASETS)
    with pytest.raises(urllib.error.HTTPError, match="403"):
        up.ask("{ version }", headers={"Origin": "https://elsewhere.example"})
    run = up.launch(month, month)
    up.wait(lambda: up.runs()[run] in ("SUCCESS", "FAILURE", "CANCELED"))
    assert up.runs()[run] == "SUCCESS"
    assert "demo (synthetic)" in breadthflow("status", **up.settings).stdout

    servers = [process for process in processes_of(home) if "code-server" in process.cmdline()]
    assert [server.pid for server in servers] == [up.child("code-server").pid]  # one, for all
    servers[0].kill()
    up.wait(lambda: up.said("The code server was killed by signal 9. Starting it again in 1 s (1 of 3)."))
    up.wait(lambda: up.said("The code server runs again."))

    def launched() -> bool:
        with suppress(AssertionError):  # until the webserver has noticed, which looks each second
            again.append(up.launch(month, month))
        return bool(again)

    again: list[str] = []
    up.wait(launched, A_MINUTE)
    up.wait(lambda: up.runs()[again[0]] == "SUCCESS")

    notebook = psycopg2.connect(EmbeddedServer(home).url("postgres"), application_name="notebook")
    assert up.stop() == 0
    assert up.said("Postgres keeps running: 1 connection of others (notebook)."), up.lines
    notebook.close()
    assert {process.name() for process in processes_of(home)} == {"postgres"}


def test_the_api_is_served_beside_it_and_comes_back(serve: Callable[..., Served], home: Path) -> None:
    port = free_port()
    up = serve(this_month(), "--api-port", str(port)).wait_until_ready()
    up.wait(lambda: up.said(f"API and page: http://127.0.0.1:{port}  (breadthflow token create NAME makes"))
    token = breadthflow("token", "create", "a test", **up.settings).stdout.strip()

    def asked(path: str, token: str) -> int:
        headers = {"Authorization": f"Bearer {token}"}
        return httpx.get(f"http://127.0.0.1:{port}{path}", headers=headers, timeout=60).status_code

    assert asked("/v1/universes", token) == 200
    assert asked("/v1/universes", token[:-1]) == 401
    up.child("serve").kill()
    up.wait(lambda: up.said("The API runs again."))
    assert asked("/health", token) == 200
    assert up.stop() == 0
    assert processes_of(home) == []


def test_figures_are_served_beside_it_and_what_serves_them_comes_back(serve: Callable[..., Served], home: Path) -> None:
    port = free_port()
    up = serve(this_month(), "--metrics-port", str(port)).wait_until_ready()
    up.wait(lambda: up.said(f"Metrics: http://127.0.0.1:{port}/metrics"))
    up.wait(lambda: "breadthflow_daemon_heartbeat_age_seconds{" in page(port))
    assert 'breadthflow_database_up{database="market"} 1.0' in page(port)
    up.child("metrics").kill()
    up.wait(lambda: up.said("The exporter of metrics runs again."))
    assert up.stop() == 0
    for program in ("webserver", "daemon"):  # what they log is in our form
        lines = (home / "dagster" / f"{program}.log").read_text().splitlines()
        assert any(json.loads(line)["logger"].startswith("dagster") for line in lines if line.startswith("{")), lines
    assert processes_of(home) == []


def test_the_second_up_on_a_store_is_told_of_the_first_and_touches_nothing(
    serve: Callable[..., Served], home: Path
) -> None:
    up = serve(this_month()).wait_until_ready()
    before = sorted(process.pid for process in processes_of(home))
    with private_home() as other:
        taken = breadthflow("up", "--port", up.port, "--api-port", 0, home=other)
    assert (taken.returncode, f"Port {up.port} is taken" in taken.stderr) == (2, True)
    second = breadthflow("up", "--port", free_port(), "--api-port", 0, **up.settings)
    assert second.returncode == 2
    assert f"http://127.0.0.1:{up.port}, process {up.process.pid}" in second.stderr
    url = breadthflow("db", "url", **up.settings).stdout.strip()
    with private_home() as other:
        elsewhere = breadthflow("up", "--port", free_port(), "--api-port", 0, home=other, database_url=url)
    assert elsewhere.returncode == 2
    assert f"breadthflow up, process {up.process.pid}, port {up.port}" in elsewhere.stderr
    assert sorted(process.pid for process in processes_of(home)) == before
    assert up.ask("{ version }")["version"]
    assert up.stop() == 0
    assert processes_of(home) == []


def test_stopped_in_the_middle_of_a_run_and_of_a_backfill_it_leaves_nothing_and_goes_on_the_next_time(
    serve: Callable[..., Served], home: Path
) -> None:
    month = this_month()
    up = serve("2016-01").wait_until_ready()
    params = {
        "assetSelection": [{"path": [name]} for name in DAILY],
        "partitionNames": [f"{year}-{number:02}" for year in range(2017, 2025) for number in range(1, 13)],
    }
    with nothing_counted(home):
        run = up.launch("2016-01", month)
        launched = up.ask(BACKFILL, params=params)["launchPartitionBackfill"]
        assert launched["__typename"] == "LaunchBackfillSuccess", launched
        up.wait(lambda: len(up.runs()) >= 2 and up.runs()[run] == "STARTED")
    assert len([process for process in processes_of(home) if "spawn_main" in " ".join(process.cmdline())]) >= 1
    assert up.stop() == 0
    assert up.said("stopped. What was committed is kept")
    assert processes_of(home) == []
    time.sleep(5)
    assert processes_of(home) == []  # and nothing brings the database back

    up = serve("2016-01").wait_until_ready()
    assert up.runs()[run] == "FAILURE"
    up.wait(lambda: any(one not in (run,) and state == "STARTED" for one, state in up.runs().items()))
    going = [one for one, state in up.runs().items() if state == "STARTED"]
    kill_everything(home)
    assert processes_of(home) == []

    up = serve("2016-01").wait_until_ready()
    up.wait(lambda: all(up.runs()[one] == "FAILURE" for one in going), A_MINUTE)
    up.process.kill()
    up.process.wait()
    orphans = processes_of(home)
    assert len(orphans) > 3
    family = [process.pid for process in orphans if "postgres" not in process.name()]

    up = serve("2016-01").wait_until_ready()
    assert up.said("Taking over from process")
    assert not any(psutil.pid_exists(pid) for pid in family)
    up.process.send_signal(signal.SIGTERM)
    up.process.send_signal(signal.SIGTERM)
    assert up.process.wait(60) == 0
    assert processes_of(home) == []


def test_a_command_that_is_killed_beside_it_does_not_hold_the_queue(serve: Callable[..., Served]) -> None:
    month = this_month()
    up = serve(month).wait_until_ready()
    with subprocess.Popen(
        [sys.executable, "-c", WORKS_LONG, "run"],
        env=environment(**up.settings),
        cwd="/",
        stdout=subprocess.PIPE,
        text=True,
    ) as command:
        assert command.stdout is not None
        assert command.stdout.readline() == "in the middle\n"
        (run,) = [one for one, state in up.runs().items() if state == "STARTED"]
        time.sleep(40)  # monitoring has looked at it
        assert up.runs()[run] == "STARTED"
        command.kill()
    up.wait(lambda: up.runs()[run] == "FAILURE", A_MINUTE)
    assert up.stop() == 0


def test_a_run_outlives_its_code_server_and_is_tried_again_where_both_die(
    serve: Callable[..., Served], home: Path
) -> None:
    up = serve("1985-01").wait_until_ready()
    with nothing_counted(home):
        run = up.launch("1985-01", this_month())
        up.wait(lambda: up.runs()[run] == "STARTED")
        up.child("code-server").kill()
        up.wait(lambda: up.said("The code server runs again."))
        time.sleep(25)  # monitoring has looked at it
        assert up.runs()[run] == "STARTED"

        (worker,) = run_workers(processes_of(home))
        for process in (up.child("code-server"), worker):
            process.kill()
        died = time.monotonic()
        # One pool holds all that writes to the market: the second run is only launched when its place is free.
        up.wait(lambda: sorted(up.runs().values()) in (["FAILURE", "STARTING"], ["FAILURE", "STARTED"]), 120)
        assert time.monotonic() - died < 120
        assert up.runs()[run] == "FAILURE"
    assert up.stop() == 0
    assert processes_of(home) == []
