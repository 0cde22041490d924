"""Who watches writes nothing, waits for nobody for long, and says of a database that is not there that it is not."""

import time

import pytest

from breadthflow_pipelines.errors import DatabaseError
from breadthflow_pipelines.warehouse import watching
from breadthflow_pipelines.warehouse.database import Database, connect, rows_of
from breadthflow_pipelines.warehouse.watching import watched


def test_it_reads_and_cannot_write(database: Database) -> None:
    with watched(database.url) as store:
        assert rows_of(store, "SELECT count(*) AS n FROM bars") == [{"n": 0}]
        assert store.answer_seconds > 0
        with pytest.raises(DatabaseError, match="read-only transaction"):
            rows_of(store, "INSERT INTO publications VALUES ('NYSE', '/data') RETURNING 1")
        assert rows_of(store, "SELECT count(*) AS n FROM publications") == [{"n": 0}]  # it can go on reading


def test_a_statement_that_takes_too_long_is_given_up(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "_LIMITS", watching._LIMITS.replace("=5s", "=100ms"))
    with watched(database.url) as store, pytest.raises(DatabaseError, match="statement timeout"):
        rows_of(store, "SELECT pg_sleep(20)")


def test_a_table_that_somebody_locks_is_not_waited_for(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "_LIMITS", watching._LIMITS.replace("=1s", "=100ms"))
    other = connect(database.url)
    try:
        other.cursor().execute("LOCK TABLE publications")
        began = time.monotonic()
        with watched(database.url) as store, pytest.raises(DatabaseError, match="lock timeout"):
            rows_of(store, "SELECT count(*) FROM publications")
        assert time.monotonic() - began < 5
    finally:
        other.close()


def test_a_server_that_is_not_there_is_an_error_of_ours() -> None:
    with pytest.raises(DatabaseError, match="cannot be reached"), watched("postgresql://me@127.0.0.1:1/db"):
        pass
