"""Dagster's own commands in the repository's root, as somebody types them who knows Dagster and nothing of us."""

import csv
import getpass
import io
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest

from breadthflow_pipelines.model.datasets import DATASETS
from breadthflow_pipelines.sessions import exchange_calendar
from breadthflow_pipelines_tests.conftest import free_port
from breadthflow_pipelines_tests.e2e.conftest import breadthflow, environment

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
MONTH = f"{exchange_calendar('XNYS').last_closed():%Y-%m}"
DAGSTER = str(Path(sys.executable).with_name("dagster"))
MODULE = ("-m", "breadthflow_pipelines.definitions")


@pytest.fixture
def settings(home: Path, fresh_database: Callable[[], str]) -> dict[str, object]:
    """A store of its own, in which nobody has run anything."""
    settings: dict[str, object] = {
        "home": home,
        "database_url": fresh_database(),
        "dagster_database_url": fresh_database(),
        "start": MONTH,
    }
    assert breadthflow("db", "upgrade", **settings).returncode == 0
    return settings


def dagster(*arguments: str, **settings: object) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [DAGSTER, *arguments],
        env=environment(**settings),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )


def test_everything_is_materialized_in_the_store_without_any_set_up(settings: dict[str, object]) -> None:
    done = dagster("asset", "materialize", *MODULE, "--select", "*", "--partition", MONTH, **settings)
    assert done.returncode == 0, done.stderr[-4000:]
    status = breadthflow("status", **settings).stdout
    assert "demo (synthetic)" in status
    assert "SUCCESS" in status  # Dagster's record of it is where the command looks for it
    assert not list(ROOT.glob(".tmp_dagster_home_*"))
    [launched] = csv.DictReader(io.StringIO(breadthflow("audit", "--format", "csv", **settings).stdout))
    assert (launched["who"], launched["action"], launched["via"]) == (getpass.getuser(), "launched", "command")
    assert launched["what"] == f"{len(DATASETS)} assets, {MONTH}"


def test_a_tag_selects_assets(settings: dict[str, object]) -> None:
    listed = dagster("asset", "list", *MODULE, "--select", "tag:layer=signals", **settings)
    assert listed.returncode == 0, listed.stderr
    assert sorted(listed.stdout.split()) == ["market_signals", "symbol_signals"]


def test_dagster_dev_serves_the_definitions(settings: dict[str, object]) -> None:
    port = free_port()
    with subprocess.Popen(
        [DAGSTER, "dev", "-p", str(port)],
        env=environment(**settings),
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    ) as process:
        try:
            answer = wait_for(f"http://127.0.0.1:{port}/graphql?query=%7BassetNodes%7BgroupName%7D%7D")
        finally:
            os.killpg(process.pid, signal.SIGINT)
            try:
                process.communicate(timeout=120)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
    assert answer.count('"groupName"') == len(DATASETS)


def wait_for(url: str) -> str:
    """The answer of a server that is coming up, once it knows any asset."""
    deadline = time.monotonic() + 300
    while True:
        try:
            with urllib.request.urlopen(url, timeout=60) as answer:  # noqa: S310 - our own server
                text = str(answer.read().decode())
                if "groupName" in text:
                    return text
        except OSError:
            pass
        assert time.monotonic() < deadline, "dagster dev does not answer"
        time.sleep(1)
