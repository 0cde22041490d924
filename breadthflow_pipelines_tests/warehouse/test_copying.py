"""Rows that COPY writes come back as they went in, of every type; what a column does not hold is refused."""

import datetime as dt
import math
from collections.abc import Iterator
from decimal import Decimal

import polars as pl
import psycopg2
import pytest
import sqlalchemy as sa
from polars.exceptions import PolarsError
from sqlalchemy.dialects import postgresql

from breadthflow_pipelines.errors import DatabaseError
from breadthflow_pipelines.warehouse import tables
from breadthflow_pipelines.warehouse.copying import CONVERTED_AT_A_TIME, ROWS_AT_A_TIME, copy_rows
from breadthflow_pipelines.warehouse.database import Database
from breadthflow_pipelines.warehouse.embedded import EmbeddedServer
from breadthflow_pipelines_tests.conftest import administer

UTC = dt.UTC
KINDS = sa.Table(
    "kinds",
    sa.MetaData(),
    sa.Column("n", sa.BigInteger(), primary_key=True),
    sa.Column("small", sa.Integer()),
    sa.Column("flag", sa.Boolean()),
    sa.Column("words", sa.Text()),
    sa.Column("day", sa.Date()),
    sa.Column("moment", sa.DateTime(timezone=True)),
    sa.Column("figure", postgresql.DOUBLE_PRECISION()),
    sa.Column("said", postgresql.JSONB()),
    sa.Column("reasons", sa.ARRAY(sa.Text())),
    sa.Column("whose", sa.ARRAY(sa.BigInteger())),
    sa.Column("states", sa.ARRAY(postgresql.DOUBLE_PRECISION())),
)
FULL = {
    "n": -(2**63),
    "small": 2**31 - 1,
    "flag": True,
    "words": 'Zürich\t"\\N" 😀\n',
    "day": dt.date(1885, 2, 16),
    "moment": dt.datetime(2024, 3, 10, 7, 30, 0, 123456, UTC),
    "figure": 0.1,
    "said": '{"a": [1, 2.5, null], "b": "ü"}',
    "reasons": ["", "high below low", "ü"],
    "whose": [2**40, -1],
    "states": [math.inf, -0.5, None],
}
EMPTY = dict.fromkeys(FULL) | {"n": 0}
ODD = EMPTY | {"n": 1, "words": "", "day": dt.date(2262, 4, 12), "figure": -math.inf, "reasons": [], "states": []}
TYPES = {"said": pl.String, "moment": pl.Datetime("us", "UTC")}


def written(database: Database, rows: pl.DataFrame) -> list[tuple[object, ...]]:
    """What the database has after rows were copied into an empty table of these kinds, in order of n."""
    dialect = postgresql.dialect()
    declared = ", ".join(f"{column.name} {column.type.compile(dialect)}" for column in KINDS.c)
    with database.connect(alone=True) as connection, connection.cursor() as cursor:
        cursor.execute(f"CREATE TEMPORARY TABLE written ({declared})")
        copy_rows(cursor, "written", KINDS, rows)
        cursor.execute(f"SELECT {', '.join(rows.columns)} FROM written ORDER BY n")
        return cursor.fetchall()


def test_every_kind_of_value_comes_back_as_it_went_in(database: Database) -> None:
    given = [FULL, EMPTY, ODD]
    found = written(database, pl.DataFrame(given, schema_overrides=TYPES))
    said = {"a": [1, 2.5, None], "b": "ü"}
    expected = [FULL | {"said": said}, EMPTY, ODD]
    assert found == [tuple(row.values()) for row in expected]


def test_a_number_that_is_none_stays_one(database: Database) -> None:
    [(_, figure)] = written(database, pl.DataFrame({"n": [1], "figure": [math.nan]}))
    assert isinstance(figure, float)
    assert math.isnan(figure)


def test_columns_are_found_by_name_and_narrower_ones_widened(database: Database) -> None:
    days = pl.Series("day", [dt.date(2024, 1, 2)])
    word = pl.Series("words", ["a"], dtype=pl.Categorical)
    zurich = dt.datetime(2024, 7, 1, 2, tzinfo=UTC)
    moment = pl.Series("moment", [zurich]).dt.convert_time_zone("Europe/Zurich").dt.cast_time_unit("ms")
    frame = pl.DataFrame([moment, days, word, pl.Series("n", [7], dtype=pl.Int16)])
    assert written(database, frame) == [(zurich, dt.date(2024, 1, 2), "a", 7)]


@pytest.mark.parametrize("rows", [0, 1, ROWS_AT_A_TIME, 2 * ROWS_AT_A_TIME + 1, CONVERTED_AT_A_TIME + 1])
def test_all_rows_arrive_however_many(database: Database, rows: int) -> None:
    frame = pl.DataFrame(
        {
            "n": range(rows),
            "words": [str(n % 7) if n % 3 else None for n in range(rows)],
            "flag": [n % 5 == 0 if n % 7 else None for n in range(rows)],
            "whose": [list(range(n % 4)) if n % 9 else None for n in range(rows)],
        },
        schema={"n": pl.Int64, "words": pl.String, "flag": pl.Boolean, "whose": pl.List(pl.Int64)},
    )
    assert written(database, frame) == frame.rows()


@pytest.mark.parametrize(
    ("column", "value"),
    [("small", 2**31), ("small", "many"), ("whose", ["x"]), ("day", "tomorrow"), ("n", Decimal("1e30"))],
    ids=repr,
)
def test_what_a_column_does_not_hold_is_refused_before_it_is_sent(
    database: Database, column: str, value: object
) -> None:
    with pytest.raises(PolarsError):
        written(database, pl.DataFrame({"n": [1]} | {column: [value]}))


def test_a_text_that_postgres_does_not_hold_is_its_error(database: Database) -> None:
    with pytest.raises(psycopg2.DataError, match="0x00"):
        written(database, pl.DataFrame({"n": [1], "words": ["a\0b"]}))


def test_a_server_that_goes_away_between_two_pieces_is_a_database_that_cannot_be_reached(
    database: Database, server: EmbeddedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = pl.DataFrame({"n": range(10 * ROWS_AT_A_TIME)})
    slices = rows.iter_slices(ROWS_AT_A_TIME)

    def load() -> None:
        with database.connect() as connection, connection.cursor() as cursor:
            cursor.execute("CREATE TABLE written (n bigint)")

            def pieces(_frame: pl.DataFrame, _rows: int) -> Iterator[pl.DataFrame]:
                yield next(slices)
                administer(server, f"SELECT pg_terminate_backend({connection.info.backend_pid}, 5000)")
                yield from slices

            monkeypatch.setattr(pl.DataFrame, "iter_slices", pieces)
            copy_rows(cursor, "written", KINDS, rows)

    with pytest.raises(DatabaseError, match="went away"):
        load()


def test_a_wrong_frame_is_no_server_that_went_away(database: Database) -> None:
    """What PostgreSQL says of one has the class of lost connections, and would be wrong another time as well."""
    cut = "DO $$ BEGIN RAISE 'insufficient data left in message' USING ERRCODE = '08P01'; END $$"
    with pytest.raises(psycopg2.Error, match="insufficient data"), database.connect() as connection:
        connection.cursor().execute(cut)


def test_every_table_of_the_store_can_be_written(database: Database) -> None:
    """An empty frame of all its columns is taken: each has a type that COPY's form knows."""
    with database.connect(alone=True) as connection, connection.cursor() as cursor:
        for table in tables.metadata.tables.values():
            frame = pl.DataFrame(schema={column.name: pl.Null for column in table.c if column.computed is None})
            copy_rows(cursor, table.name, table, frame)
