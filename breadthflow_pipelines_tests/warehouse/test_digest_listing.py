"""What the digest asks of the store: rows by the run that brought them, and slow statements where they are counted."""

import pytest

from breadthflow_pipelines.warehouse.addresses import database_name
from breadthflow_pipelines.warehouse.database import Database
from breadthflow_pipelines.warehouse.digest_listing import rows_of_runs, slowest_statements


def execute(database: Database, statement: str) -> None:
    with database.connect() as connection, connection.cursor() as cursor:
        cursor.execute(statement)


def test_rows_are_those_of_the_runs_and_a_row_counts_once_for_all_its_reasons(database: Database) -> None:
    execute(
        database,
        "INSERT INTO rejected_bars (fingerprint, source, reasons, run_id) VALUES "
        "('a', 'files', '{high below low}', 'one'), ('b', 'files', '{high below low,no volume}', 'one'), "
        "('c', 'files', '{high below low}', 'two'), ('d', 'files', '{high below low}', 'three')",
    )
    execute(
        database,
        "INSERT INTO rejected_counts (fingerprint, exchange, series, line, reason, run_id) "
        "VALUES ('a', 'NYSE', 'advances', 3, 'no number', 'two')",
    )
    found = [(row["source"], row["reason"], row["rows"]) for row in rows_of_runs(database, ["one", "two"])]
    assert found == [
        ("files", "high below low", 2),
        ("NYSE", "no number", 1),
        ("files", "high below low; no volume", 1),
    ]
    assert rows_of_runs(database, ["four"]) == rows_of_runs(database, []) == []


def test_statements_that_nobody_counts_are_unknown(database: Database) -> None:
    assert slowest_statements(database) is None
    execute(database, "CREATE VIEW pg_stat_statements AS SELECT 1 AS calls")  # made, and its library is not loaded
    assert slowest_statements(database) is None


@pytest.fixture
def counted(database: Database) -> Database:
    """A database with a table of the extension's name and columns: the embedded server lacks the extension."""
    name = database_name(database.url)
    execute(
        database,
        "CREATE TABLE pg_stat_statements (dbid oid, queryid bigint, query text, calls bigint, "
        "total_exec_time double precision)",
    )
    execute(database, f"ALTER DATABASE {name} SET pg_stat_statements.max = '5000'")
    own = f"(SELECT oid FROM pg_database WHERE datname = '{name}')"
    slow = "E'SELECT *\\n  FROM bars WHERE symbol = $1'"
    execute(
        database,
        f"INSERT INTO pg_stat_statements VALUES ({own}, 1, {slow}, 2, 3000), ({own}, 1, {slow}, 2, 1000), "  # two roles
        f"({own}, 2, 'insert into bars VALUES ($1)', 10, 50), "
        f"({own}, 3, 'ALTER ROLE me PASSWORD ''planted''', 1, 9000), (0, 4, 'SELECT of_another_database', 1, 9000)",
    )
    return database


def test_the_slowest_come_first_with_their_mean_and_without_what_may_hold_a_password(counted: Database) -> None:
    assert slowest_statements(counted) == [
        {"statement": "SELECT * FROM bars WHERE symbol = $1", "calls": 4, "seconds": 1.0},  # 4000 ms in 4 calls
        {"statement": "insert into bars VALUES ($1)", "calls": 10, "seconds": 0.005},
    ]
