"""A disk that runs full under the database: one line from whoever notices it, and nothing broken once there is room."""

import re
from pathlib import Path

import polars as pl
import psycopg2
import pytest
import sqlalchemy as sa

from breadthflow_pipelines.errors import DatabaseError, DiskFullError
from breadthflow_pipelines.warehouse.arrow_connections import arrow_cursor
from breadthflow_pipelines.warehouse.copying import copy_rows
from breadthflow_pipelines.warehouse.database import Database, connect, ensure_database
from breadthflow_pipelines.warehouse.embedded import EmbeddedServer
from breadthflow_pipelines.warehouse.server_log import ran_out_of_space
from breadthflow_pipelines_tests.warehouse.conftest import SmallDisk

LINE = re.compile(r"^The disk of (\S+) ran full \(\d+ MB of \d+ MB are free now\)\. What was committed is kept\. ")
KEPT = sa.Table("kept", sa.MetaData(), sa.Column("n", sa.BigInteger()), sa.Column("text", sa.Text()))


def stored(database: Database) -> int:
    with database.connect() as connection, connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM kept")
        (count,) = cursor.fetchone() or (None,)
    return int(count)


def append(database: Database, rows: pl.DataFrame) -> None:
    """Write rows as a merge does, by COPY."""
    with database.connect() as connection, connection.cursor() as cursor:
        copy_rows(cursor, "kept", KEPT, rows)


def test_a_store_that_does_not_fit_says_so_and_is_made_once_it_does(small_disk: SmallDisk) -> None:
    server = EmbeddedServer(small_disk.home)
    small_disk.fill(leave=20)
    for _ in range(2):
        with pytest.raises(DiskFullError, match=LINE.pattern):
            server.ensure_running()
    assert not server.data.exists()
    assert sum(path.stat().st_size for path in small_disk.home.rglob("*") if path.is_file()) == 0  # nothing half made
    small_disk.make_room()
    server.ensure_running()
    ensure_database(server.url("market"))


def test_a_load_that_does_not_fit_is_rolled_back_and_goes_through_once_there_is_room(small_disk: SmallDisk) -> None:
    server = EmbeddedServer(small_disk.home)
    server.ensure_running()
    ensure_database(server.url("market"))
    database = Database(server.url("market"), server)
    with database.connect() as connection, connection.cursor() as cursor:
        cursor.execute(
            "CREATE TABLE kept AS SELECT n::bigint, repeat('x', 100) AS text FROM generate_series(1, 1000) n"
        )
    small_disk.fill(leave=6)
    rows = pl.DataFrame({"n": range(400_000), "text": ["x" * 100] * 400_000})
    with pytest.raises(DiskFullError, match=LINE.pattern):
        append(database, rows)
    with (
        pytest.raises(DiskFullError, match=LINE.pattern),
        database.connect() as connection,
        connection.cursor() as cursor,
    ):
        cursor.execute("INSERT INTO kept SELECT n, repeat('x', 100) FROM generate_series(1, 400000) n")
    small_disk.make_room()
    server.ensure_running()  # it may have given up for want of space for its own log
    assert stored(database) == 1000
    append(database, rows)
    assert stored(database) == 401_000


def test_a_server_that_cannot_start_for_want_of_space_says_so_and_starts_once_there_is_some(
    small_disk: SmallDisk,
) -> None:
    server = EmbeddedServer(small_disk.home)
    server.ensure_running()
    database = Database(server.url("postgres"), server)
    with database.connect() as connection, connection.cursor() as cursor:
        cursor.execute("CREATE TABLE kept AS SELECT n FROM generate_series(1, 100) n")
    server.stop(at_once=True)  # as a crash leaves it: it has to write before it can be used
    small_disk.fill(leave=0)
    with pytest.raises(DiskFullError, match=LINE.pattern):
        server.ensure_running()
    with pytest.raises(DiskFullError, match=LINE.pattern):  # a process that only connects is told as well
        connect(database.url)
    small_disk.make_room()
    server.ensure_running()
    assert stored(database) == 100


@pytest.mark.parametrize("statement", ["DO $$ BEGIN RAISE 'disque plein' USING ERRCODE = '53100'; END $$"])
def test_a_server_elsewhere_is_believed_by_the_number_of_its_error(database: Database, statement: str) -> None:
    elsewhere = Database(database.url, None)
    with pytest.raises(DiskFullError), elsewhere.connect() as connection, connection.cursor() as cursor:
        cursor.execute(statement)
    with pytest.raises(DiskFullError), arrow_cursor(elsewhere) as adbc:
        adbc.execute(statement)


def test_an_old_complaint_is_no_full_disk(tmp_path: Path) -> None:
    complaint = 'UTC [12] PANIC:  could not write to file "pg_wal/xlogtemp.12": No space left on device\n'
    (tmp_path / "server.log").write_text(f"2020-01-02 03:04:05.678 {complaint}")
    assert not ran_out_of_space(tmp_path)
    assert not ran_out_of_space(tmp_path / "nowhere")
    with pytest.raises(DatabaseError, match="cannot be reached"):
        connect(f"postgresql://postgres@localhost:5432/x?host={str(tmp_path).replace('/', '%2F')}")
    with pytest.raises(psycopg2.Error):
        psycopg2.connect("postgresql://nobody@127.0.0.1:1/none")
