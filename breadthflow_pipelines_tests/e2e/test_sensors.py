"""The daemon: a file that arrives becomes bars, an alert comes, a restart repeats nothing."""

import datetime as dt
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psycopg2
import pytest

from breadthflow_pipelines.orchestration.hosting.instance import configuration_file
from breadthflow_pipelines.sessions import exchange_calendar
from breadthflow_pipelines_tests.e2e.conftest import breadthflow, environment
from breadthflow_pipelines_tests.inbox import Inbox

pytestmark = pytest.mark.slow

HEADER = "symbol,session,open,high,low,close,volume\n"
PATIENCE = 400  # seconds; two looks, thirty seconds apart, and a run, on a machine that others use too


@contextmanager
def daemon(home: Path, settings: dict[str, object]) -> Iterator[None]:
    """Dagster's daemon as `breadthflow up` starts it, without the UI beside it."""
    program = Path(sys.executable).with_name("dagster-daemon")
    variables = {**environment(**settings), "DAGSTER_HOME": str(home / "dagster")}
    with (home / "daemon.log").open("ab") as log:
        process = subprocess.Popen(
            [program, "run", "-w", configuration_file("workspace.yaml")],
            env=variables,
            cwd=home,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        try:
            yield
        except AssertionError as error:
            error.add_note((home / "daemon.log").read_text()[-4_000:])
            raise
        finally:
            process.terminate()
            process.wait(90)
            with suppress(ProcessLookupError):  # the code server that it started
                os.killpg(process.pid, signal.SIGTERM)


def wait(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "what was waited for did not happen"
        time.sleep(1)


def count(url: str, query: str) -> int:
    connection = psycopg2.connect(url)
    try:
        with connection.cursor() as cursor:
            cursor.execute(query)
            return int(cursor.fetchone()[0])  # type: ignore[index]
    finally:
        connection.close()


def test_a_file_that_arrives_is_run_once_and_a_broken_one_is_told_of(
    fresh_database: Callable[[], str], tmp_path: Path, home: Path, inbox: Inbox
) -> None:
    last = exchange_calendar("XNYS").last_closed()
    past = exchange_calendar("XNYS").between(last - dt.timedelta(days=40), last)
    drop = tmp_path / "drop"
    drop.mkdir()
    (drop / "old.csv").write_text(HEADER + "".join(f"AAA,{day},1,1,1,1,1\n" for day in past[:-1]))
    store, dagster = fresh_database(), fresh_database()
    settings = {
        "home": home,
        "database_url": store,
        "dagster_database_url": dagster,
        "source": "files",
        "source_path": drop,
        "start": f"{past[0]:%Y-%m}",
        "alert_urls": inbox.url,
    }
    assert breadthflow("db", "upgrade", **settings).returncode == 0
    assert breadthflow("run", "--date", past[-2], **settings).returncode == 0
    of_files = "SELECT count(*) FROM run_tags WHERE key = 'breadthflow/files'"
    done = (
        "SELECT count(*) FROM runs JOIN run_tags USING (run_id) WHERE key = 'breadthflow/files' AND status = 'SUCCESS'"
    )
    ticked = (
        "SELECT count(*) FROM job_ticks t JOIN jobs j ON j.selector_id = t.selector_id "
        "WHERE j.job_body LIKE '%\"new_files\"%'"
    )
    with daemon(home, settings):
        wait(lambda: count(dagster, ticked + " AND t.status = 'SKIPPED'"))
        (drop / f"{last}.csv.part").write_text(HEADER)
        (drop / f"{last}.csv.part").write_text(HEADER + f"AAA,{last},1,1,1,1,1\n")
        (drop / f"{last}.csv.part").rename(drop / f"{last}.csv")
        (drop / "broken.csv").write_text("<html>Please log in</html>\n")
        wait(lambda: count(dagster, done))
        wait(lambda: count(store, f"SELECT count(*) FROM bars WHERE session = '{last}'"))
        wait(lambda: any("broken.csv" in text for text in inbox.texts))
    asked = count(dagster, of_files)
    looked = count(dagster, ticked)
    with daemon(home, settings):
        wait(lambda: count(dagster, ticked) > looked)
    assert count(dagster, of_files) == asked
    assert sum("broken.csv" in text for text in inbox.texts) == 1
