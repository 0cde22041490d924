"""Secrets are planted, runs go well and badly, and nothing that is written down afterwards has them."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg2
import pytest
from psycopg2 import sql

from breadthflow_pipelines.sessions import exchange_calendar
from breadthflow_pipelines_tests.e2e.conftest import breadthflow, environment

pytestmark = pytest.mark.slow

PASSWORD, TOKEN, KEY, ACCOUNT = "planted-password", "planted-token", "planted-vendor-key", "planted-account"
SECRETS = (PASSWORD, TOKEN, KEY, ACCOUNT)
Said = list[subprocess.CompletedProcess[str]]


def with_password(url: str) -> str:
    """The address with a password, which the tests' server does not ask for."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.replace("postgres@", f"postgres:{PASSWORD}@")))


def stored(url: str) -> Iterator[tuple[str, str]]:
    """Every row of every table of a database, as text, with the table's name."""
    connection = psycopg2.connect(url)
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY 1")
            for (table,) in cursor.fetchall():
                cursor.execute(sql.SQL("SELECT t::text FROM {} t").format(sql.Identifier(table)))
                yield from ((table, text) for (text,) in cursor)
    finally:
        connection.close()


def files(directory: Path) -> Iterator[tuple[str, str]]:
    """Every file below a directory, as text."""
    for path in directory.rglob("*"):
        if path.is_file():
            yield str(path), path.read_bytes().decode(errors="replace")


def execute(url: str, statement: str) -> None:
    connection = psycopg2.connect(url)
    try:
        with connection, connection.cursor() as cursor:
            cursor.execute(statement)
    finally:
        connection.close()


def test_nothing_that_is_written_down_has_a_planted_secret(home: Path, fresh_database: Callable[[], str]) -> None:
    market, dagster = fresh_database(), fresh_database()
    settings: dict[str, object] = {
        "home": home,
        "database_url": with_password(market),
        "dagster_database_url": with_password(dagster),
        "start": f"{exchange_calendar('XNYS').last_closed():%Y-%m}",
        "alert_urls": f"json://127.0.0.1:1/{TOKEN}",
        # Nobody listens there, so the address comes up in problems and warnings.
        "exchange_breadth": f"NYSE=http://{ACCOUNT}:{KEY}@127.0.0.1:1/NYSE_?apikey={KEY}&series=",
        "log_level": "DEBUG",
        "log_format": "json",
    }
    said: Said = [breadthflow("db", "upgrade", **settings), breadthflow("run", **settings)]
    assert said[1].returncode in (0, 1), said[1].stderr  # the publication could not be read
    assert any("127.0.0.1:1" in text for _, text in stored(dagster)), "the address was not even tried"

    # As Dagster runs it, with everything that it says of each step.
    materialize = ["asset", "materialize", "-m", "breadthflow_pipelines.definitions", "--select", "securities"]
    by_dagster = subprocess.run(
        [str(Path(sys.executable).with_name("dagster")), *materialize],
        env={**environment(**settings), "DAGSTER_HOME": str(home / "dagster")},
        cwd=home,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert '"type": "ASSET_MATERIALIZATION"' in by_dagster.stdout + by_dagster.stderr
    said.append(by_dagster)

    said += [
        breadthflow(*words, **settings) for words in (("status",), ("sources",), ("alert-test",), ("check", "--quick"))
    ]
    execute(market, "ALTER TABLE signal_outcomes RENAME TO elsewhere")
    said.append(breadthflow("--debug", "run", **settings))
    assert said[-1].returncode != 0
    assert any("STEP_FAILURE" in text for table, text in stored(dagster) if table == "event_logs")
    nowhere = {**settings, "database_url": f"postgresql://me:{PASSWORD}@127.0.0.1:1/db"}
    said += [breadthflow("run", **nowhere), breadthflow("--debug", "status", **nowhere)]
    assert all(each.returncode != 0 for each in said[-2:])

    found = [
        (where, secret)
        for where, text in (
            *((" ".join(map(str, each.args)), each.stdout + each.stderr) for each in said),
            *stored(market),
            *stored(dagster),
            *files(home),
        )
        for secret in SECRETS
        if secret in text
    ]
    assert found == []
