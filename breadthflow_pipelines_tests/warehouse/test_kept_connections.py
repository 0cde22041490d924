"""Connections that are used again: they are the same, they leave nothing behind, and a lost one harms nobody."""

from collections.abc import Callable

import psycopg2
import pytest
from adbc_driver_manager import Error as AdbcError

from breadthflow_pipelines.warehouse.bulk import execute, fetch
from breadthflow_pipelines.warehouse.database import Database, rows_of
from breadthflow_pipelines.warehouse.kept_connections import connections_kept

BACKEND = "SELECT pg_backend_pid() AS pid"


def in_bulk(database: Database, query: str) -> object:
    return fetch(database, query).item()


def row_by_row(database: Database, query: str) -> object:
    return next(iter(rows_of(database, query)[0].values()))


drivers = pytest.mark.parametrize("ask", [in_bulk, row_by_row])
Ask = Callable[[Database, str], object]


def ours(database: Database) -> int:
    """How many connections to the database there are beside the one that asks."""
    with database.connect(alone=True) as connection, connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        return int((cursor.fetchone() or (-1,))[0])


@drivers
def test_one_connection_serves_many_transactions_while_they_are_kept(database: Database, ask: Ask) -> None:
    with connections_kept():
        inside = {ask(database, BACKEND) for _ in range(3)}
    assert len(inside) == 1
    assert ask(database, BACKEND) not in inside


@drivers
def test_each_transaction_has_a_time_of_its_own(database: Database, ask: Ask) -> None:
    """What a row says of when it was written is the transaction's beginning, not the end of the one before."""
    with connections_kept():
        ask(database, BACKEND)
        rested = ask(database, "SELECT clock_timestamp() AS now FROM pg_sleep(0.2)")
        begun = ask(database, "SELECT now() AS now")
    assert begun > rested  # type: ignore[operator]


@drivers
def test_between_transactions_a_connection_is_in_none(database: Database, ask: Ask) -> None:
    with connections_kept():
        ask(database, BACKEND)
        with database.connect(alone=True) as connection, connection.cursor() as cursor:
            cursor.execute("SELECT state FROM pg_stat_activity WHERE datname = current_database()")
            states = sorted(row[0] for row in cursor.fetchall())
    assert states == ["active", "idle"]


@drivers
def test_a_connection_that_the_server_ended_is_replaced(database: Database, ask: Ask) -> None:
    with connections_kept():
        first = ask(database, BACKEND)
        with database.connect(alone=True) as connection, connection.cursor() as cursor:
            cursor.execute("SELECT pg_terminate_backend(%s, 5000)", (first,))
        assert ask(database, BACKEND) not in {None, first}


def test_a_connection_that_met_an_error_is_not_used_again(database: Database) -> None:
    with connections_kept():
        bulk, single = in_bulk(database, BACKEND), row_by_row(database, BACKEND)
        with pytest.raises(AdbcError):
            fetch(database, "SELECT 1 / 0")
        with pytest.raises(psycopg2.Error):
            execute(database, [("CREATE TEMPORARY TABLE left_behind (x int)", ()), ("SELECT 1 / 0", ())])
        assert in_bulk(database, BACKEND) != bulk
        assert row_by_row(database, BACKEND) != single
        assert in_bulk(database, "SELECT to_regclass('left_behind')::text AS t") is None


def test_what_is_done_alone_touches_no_kept_connection(database: Database) -> None:
    with connections_kept():
        kept = row_by_row(database, BACKEND)
        with database.connect(alone=True) as connection, connection.cursor() as cursor:
            cursor.execute("CREATE TEMPORARY TABLE mine (x int)")
            assert connection.info.backend_pid != kept
        assert row_by_row(database, "SELECT to_regclass('mine')::text AS t") is None


def test_all_are_closed_when_the_last_who_wanted_them_ends(database: Database) -> None:
    with connections_kept():
        with connections_kept():
            in_bulk(database, BACKEND)
            row_by_row(database, BACKEND)
        assert ours(database) == 2
    assert ours(database) == 0
