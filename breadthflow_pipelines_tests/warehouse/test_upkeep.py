"""Upkeep of PostgreSQL's own: dead rows go, and what takes up space is named."""

from collections.abc import Callable
from contextlib import closing

import psycopg2
import pytest

from breadthflow_pipelines.warehouse.database import Database
from breadthflow_pipelines.warehouse.embedded import EmbeddedServer
from breadthflow_pipelines.warehouse.server_listing import idle_indexes, size, table_sizes
from breadthflow_pipelines.warehouse.upkeep import vacuum
from breadthflow_pipelines_tests.conftest import administer, as_login


def execute(url: str, *statements: str) -> None:
    with closing(psycopg2.connect(url)) as connection, connection, connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)
        cursor.execute("SELECT pg_stat_force_next_flush()")


@pytest.fixture
def url(fresh_database: Callable[[], str]) -> str:
    url = fresh_database()
    execute(
        url,
        "CREATE TABLE small (n int PRIMARY KEY)",
        "CREATE TABLE large (n int, day date) PARTITION BY RANGE (n)",
        "CREATE TABLE large_1 PARTITION OF large FOR VALUES FROM (0) TO (50000)",
        "CREATE TABLE large_2 PARTITION OF large FOR VALUES FROM (50000) TO (200000)",
        "CREATE INDEX never_read ON large_2 (n, day)",
        "INSERT INTO large SELECT n FROM generate_series(1, 100000) n",
        "INSERT INTO small VALUES (1)",
        "DELETE FROM large WHERE n <= 30000",
    )
    return url


def test_dead_rows_are_counted_by_table_and_gone_after_a_vacuum(url: str) -> None:
    before = {row["table"]: row for row in table_sizes(Database(url, None))}
    assert list(before) == ["large", "small"]  # the largest first, partitions with their table
    assert (before["large"]["rows"], before["large"]["dead_rows"]) == (70_000, 30_000)
    assert vacuum(url) == 0
    after = {row["table"]: row for row in table_sizes(Database(url, None))}
    assert (after["large"]["rows"], after["large"]["dead_rows"]) == (70_000, 0)
    assert after["large"]["bytes"] > after["large"]["index_bytes"] > 1_000_000


def test_a_login_that_owns_nothing_is_told_what_it_left_out(url: str, server: EmbeddedServer) -> None:
    administer(server, "DO $$ BEGIN CREATE ROLE stranger LOGIN; EXCEPTION WHEN duplicate_object THEN END $$")
    assert vacuum(as_login(url, "stranger")) == 3  # small, and two partitions
    [large] = [row for row in table_sizes(Database(url, None)) if row["table"] == "large"]
    assert large["dead_rows"] == 30_000


def test_an_index_that_no_query_read_is_named_unless_it_is_small_or_a_constraint(url: str) -> None:
    (idle,) = idle_indexes(Database(url, None))
    assert (idle["index"], idle["table"]) == ("never_read", "large_2")
    execute(url, "SET enable_seqscan = off", "SELECT n FROM large_2 WHERE n = 60000")
    assert idle_indexes(Database(url, None)) == []


def test_the_size_of_a_database_is_that_of_its_files(url: str) -> None:
    assert size(Database(url, None)) > sum(row["bytes"] for row in table_sizes(Database(url, None))) > 5_000_000
