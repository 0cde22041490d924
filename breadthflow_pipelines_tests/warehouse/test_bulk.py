"""What a merge does to a table, row by row, and what it leaves when it is killed."""

import datetime as dt
import os
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import polars as pl
import psycopg2
import pytest
import sqlalchemy as sa
from adbc_driver_manager import Error as AdbcError
from polars.testing import assert_frame_equal

from breadthflow_pipelines.errors import DatabaseError
from breadthflow_pipelines.warehouse import bulk, tables
from breadthflow_pipelines.warehouse.bulk import NOTHING, Merged, execute, fetch, merge, yearly_partitions, years_of
from breadthflow_pipelines.warehouse.database import Database
from breadthflow_pipelines_tests.conftest import start_python, wait_until

JANUARY, FEBRUARY = dt.date(2024, 1, 3), dt.date(2024, 2, 1)
COLUMNS = ("exchange", "session", "advances", "declines", "run_id")


def published(*rows: tuple[str, str, int | None, int | None], run: str = "first") -> pl.DataFrame:
    """exchange, session, advances, declines."""
    complete = [(exchange, dt.date.fromisoformat(day), up, down, run) for exchange, day, up, down in rows]
    schema = dict(zip(COLUMNS, (pl.String, pl.Date, pl.Int64, pl.Int64, pl.String), strict=True))
    return pl.DataFrame(complete, schema=schema, orient="row")


FIRST = published(
    ("X", "2024-01-02", 1, 10),
    ("X", "2024-01-03", 2, None),
    ("X", "2024-02-01", 3, 30),
    ("Y", "2024-01-02", 4, 40),
)


@pytest.fixture
def held(database: Database) -> Database:
    """A store with two exchanges' counts."""
    merge(database, tables.exchange_breadth, FIRST)
    return database


def rows(database: Database) -> list[tuple[object, ...]]:
    return fetch(database, f"SELECT {', '.join(COLUMNS)} FROM exchange_breadth ORDER BY 1, 2").rows()


def versions(database: Database) -> dict[tuple[str, dt.date], tuple[str, dt.datetime]]:
    """Of each row: the transaction that wrote it last, and when it says that it was written."""
    found = fetch(database, "SELECT exchange, session, xmin::text, ingested_at FROM exchange_breadth").rows()
    return {(exchange, session): (xmin, stamp) for exchange, session, xmin, stamp in found}


def figures(merged: Merged) -> tuple[int, int, int, int, int]:
    return merged.read, merged.inserted, merged.updated, merged.unchanged, merged.deleted


def test_rows_for_an_empty_scope_are_told_and_stored_like_any_other(held: Database) -> None:
    fresh = published(("Z", "2024-01-02", 7, None), ("Z", "2024-02-01", 8, 80), ("Z", "2024-02-02", 9, 90))
    merged = merge(held, tables.exchange_breadth, fresh, scope="exchange = $1", parameters=("Z",))
    assert figures(merged) == (3, 3, 0, 0, 0)
    assert merged.changes.sort("session").rows() == [(day, "inserted", 1) for day in fresh["session"]]
    assert rows(held)[-3:] == fresh.rows()
    assert len(rows(held)) == FIRST.height + 3
    assert all(stamp is not None for _, stamp in versions(held).values())  # columns not given have their defaults
    again = merge(held, tables.exchange_breadth, fresh, scope="exchange = $1", parameters=("Z",))
    assert figures(again) == (3, 0, 0, 3, 0)


def test_a_key_twice_is_refused_whether_the_scope_is_empty_or_not(held: Database) -> None:
    twice = published(("Z", "2024-01-02", 7, None), ("Z", "2024-01-02", 8, None))
    for exchange in ("Z", "X"):
        with pytest.raises(psycopg2.errors.UniqueViolation, match="exchange_breadth_pkey"):
            merge(held, tables.exchange_breadth, twice, scope="exchange = $1", parameters=(exchange,))
    assert len(rows(held)) == FIRST.height


def test_a_merge_inserts_updates_leaves_and_deletes_within_its_scope(held: Database) -> None:
    before = versions(held)
    second = published(
        ("X", "2024-01-02", 1, 10),  # equal
        ("X", "2024-01-03", 2, 20),  # a null became known
        ("X", "2024-02-02", 5, 50),  # new; 2024-02-01 is gone, and Y is out of scope
        run="second",
    )
    merged = merge(held, tables.exchange_breadth, second, scope="exchange = $1", parameters=("X",))
    assert figures(merged) == (3, 1, 1, 1, 1)
    assert merged.changes.sort("kind").rows() == [
        (FEBRUARY, "deleted", 1),
        (FEBRUARY + dt.timedelta(days=1), "inserted", 1),
        (JANUARY, "updated", 1),
    ]
    assert merged.first_changed == JANUARY
    assert merged.sessions_revised == 2  # the new one had no row before
    assert rows(held) == [
        ("X", dt.date(2024, 1, 2), 1, 10, "first"),  # who wrote it last is not a change
        ("X", dt.date(2024, 1, 3), 2, 20, "second"),
        ("X", dt.date(2024, 2, 2), 5, 50, "second"),
        ("Y", dt.date(2024, 1, 2), 4, 40, "first"),
    ]
    after = versions(held)
    for equal in [("X", dt.date(2024, 1, 2)), ("Y", dt.date(2024, 1, 2))]:
        assert after[equal] == before[equal]
    changed = ("X", dt.date(2024, 1, 3))
    assert after[changed][0] != before[changed][0]
    assert after[changed][1] > before[changed][1]  # the time stamp is renewed


def test_without_a_scope_nothing_is_deleted_and_a_value_may_become_unknown(held: Database) -> None:
    merged = merge(held, tables.exchange_breadth, published(("X", "2024-01-02", 1, None)))
    assert figures(merged) == (1, 0, 1, 0, 0)
    assert len(rows(held)) == FIRST.height
    assert rows(held)[0] == ("X", dt.date(2024, 1, 2), 1, None, "first")


def test_merging_the_same_again_writes_nothing(held: Database) -> None:
    before = versions(held)
    merged = merge(held, tables.exchange_breadth, FIRST.with_columns(run_id=pl.lit("again")), scope="true")
    assert figures(merged) == (4, 0, 0, 4, 0)
    assert versions(held) == before


def test_an_empty_frame_empties_its_scope_and_nothing_else(held: Database) -> None:
    assert figures(merge(held, tables.exchange_breadth, FIRST.clear())) == (0, 0, 0, 0, 0)
    assert len(rows(held)) == 4
    merged = merge(held, tables.exchange_breadth, FIRST.clear(), scope="exchange = $1", parameters=("X",))
    assert figures(merged) == (0, 0, 0, 0, 3)
    assert [row[0] for row in rows(held)] == ["Y"]


def test_a_row_that_breaks_a_constraint_takes_all_of_its_merge_with_it(held: Database) -> None:
    before = rows(held)
    broken = published(("X", "2024-03-01", 1, 1), ("X", "2024-03-04", -1, 1))
    with pytest.raises(Exception, match="exchange_breadth_advances_not_negative"):
        merge(held, tables.exchange_breadth, broken, scope="true")
    assert rows(held) == before


def test_figures_add_up() -> None:
    one = Merged(3, pl.DataFrame({"session": [JANUARY], "kind": ["inserted"], "rows": [2]}))
    two = Merged(5, pl.DataFrame({"session": [JANUARY], "kind": ["updated"], "rows": [1]}))
    assert figures(NOTHING + one + two) == (8, 2, 1, 5, 0)


def test_a_number_that_is_none_and_infinity_survive_where_a_table_takes_them(database: Database) -> None:
    odd = pl.DataFrame(
        {
            "fingerprint": ["a", "b"],
            "source": ["s", "s"],
            "open": [float("nan"), None],
            "close": [float("inf"), 0.1 + 0.2],  # not 0.3
            "reasons": [["x", 'it\'s \\ a "reason", {really}'], ["y"]],
            "run_id": ["r", "r"],
        }
    )
    assert merge(database, tables.rejected_bars, odd).inserted == 2
    assert merge(database, tables.rejected_bars, odd).unchanged == 2  # a NaN equals itself here
    back = fetch(database, "SELECT fingerprint, source, open, close, reasons, run_id FROM rejected_bars ORDER BY 1")
    assert_frame_equal(back, odd, check_exact=True)


def test_a_frame_of_the_wrong_type_is_no_database_that_cannot_be_reached(held: Database) -> None:
    wrong = FIRST.with_columns(pl.lit("many").alias("advances"))
    with pytest.raises(Exception, match=r"\S") as failure:
        merge(held, tables.exchange_breadth, wrong)
    assert not isinstance(failure.value, DatabaseError)
    assert len(rows(held)) == 4


def test_parameters_are_values_and_never_statements(held: Database) -> None:
    trick = "X'; DROP TABLE exchange_breadth; --"
    assert fetch(held, "SELECT * FROM exchange_breadth WHERE exchange = $1", (trick,)).is_empty()
    merge(held, tables.exchange_breadth, published((trick, "2024-01-02", 1, 1)))
    assert (trick, dt.date(2024, 1, 2), 1, 1, "first") in rows(held)


SECOND = published(("X", "2024-01-02", 99, 10), ("X", "2024-01-03", 2, None), ("X", "2024-03-01", 7, 7), run="second")

MERGE = """
import sys
import polars as pl
from breadthflow_pipelines.warehouse import tables
from breadthflow_pipelines.warehouse.bulk import merge
from breadthflow_pipelines.warehouse.database import Database
merged = merge(Database(sys.argv[1], None), tables.exchange_breadth, pl.read_ipc(sys.argv[2]),
               scope="exchange = $1", parameters=("X",))
print(merged.inserted, merged.updated, merged.deleted)
"""


@pytest.fixture
def second(tmp_path: Path) -> Path:
    """A frame that another process can read."""
    SECOND.write_ipc(tmp_path / "second.arrow")
    return tmp_path / "second.arrow"


def waiting(database: Database) -> list[int]:
    """The sessions of this database that wait for a lock."""
    with database.connect() as connection, connection.cursor() as cursor:
        cursor.execute(
            "SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
        )
        return [pid for (pid,) in cursor.fetchall()]


def gone(database: Database, pids: list[int]) -> bool:
    with database.connect() as connection, connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_stat_activity WHERE pid = ANY(%s)", (pids,))
        return cursor.fetchone() == (0,)


@pytest.mark.slow
@pytest.mark.parametrize(
    "obstacle",
    [
        "LOCK TABLE exchange_breadth IN SHARE MODE",  # nothing is written yet
        "SELECT FROM exchange_breadth WHERE session = '2024-01-02' FOR UPDATE",  # one row is deleted already
        "INSERT INTO exchange_breadth VALUES ('X', '2024-03-01', 0, 0, 0, 0, 0, 0, 0, 0, 'other')",  # and one updated
    ],
)
def test_a_merge_that_is_killed_leaves_the_table_as_it_was(held: Database, second: Path, obstacle: str) -> None:
    before, written = rows(held), versions(held)
    blocker = psycopg2.connect(held.url)
    with blocker.cursor() as cursor:
        cursor.execute(obstacle)
    process = start_python(MERGE, held.url, second)
    wait_until(lambda: waiting(held))
    stuck = waiting(held)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    blocker.rollback()
    blocker.close()
    wait_until(lambda: gone(held, stuck))
    assert rows(held) == before
    assert versions(held) == written

    repeated = merge(held, tables.exchange_breadth, SECOND, scope="exchange = $1", parameters=("X",))
    assert figures(repeated) == (3, 1, 1, 1, 1)
    assert rows(held) == [
        ("X", dt.date(2024, 1, 2), 99, 10, "second"),
        ("X", dt.date(2024, 1, 3), 2, None, "first"),
        ("X", dt.date(2024, 3, 1), 7, 7, "second"),
        ("Y", dt.date(2024, 1, 2), 4, 40, "first"),
    ]


@pytest.mark.slow
def test_two_merges_at_once_take_turns(held: Database, second: Path) -> None:
    blocker = psycopg2.connect(held.url)
    with blocker.cursor() as cursor:
        cursor.execute("LOCK TABLE exchange_breadth IN SHARE MODE")
    merges = [start_python(MERGE, held.url, second) for _ in range(2)]

    wait_until(lambda: len(waiting(held)) == 2)
    blocker.rollback()
    blocker.close()
    answers = [process.communicate(timeout=60) for process in merges]
    assert sorted(output.split() for output, _ in answers) == [["0", "0", "0"], ["1", "1", "1"]], answers
    assert len(rows(held)) == 4


def test_merges_side_by_side_wait_for_merges_of_whole_tables_and_of_their_own_scope(held: Database) -> None:
    table = "breadthflow table exchange_breadth"
    beside = {"scope": "exchange = $1", "side_by_side": True}

    def waits_for(lock: str, what: str, exchange: str) -> bool:
        """Whether a merge of that exchange's counts, side by side with others, waits for somebody with this lock."""
        blocker = psycopg2.connect(held.url)
        blocker.cursor().execute(f"SELECT {lock}(hashtextextended(%s, 0))", (what,))
        with ThreadPoolExecutor(max_workers=1) as thread:
            rows_of = FIRST.filter(exchange=exchange)
            merging = thread.submit(merge, held, tables.exchange_breadth, rows_of, parameters=(exchange,), **beside)
            wait_until(lambda: merging.done() or waiting(held))
            waited = not merging.done()
            blocker.close()
            assert figures(merging.result())[0] == rows_of.height
        return waited

    assert waits_for("pg_advisory_xact_lock", table, "X")  # of a merge of the whole table
    assert waits_for("pg_advisory_xact_lock", f"{table} where exchange = $1 X", "X")  # of the same scope
    assert not waits_for("pg_advisory_xact_lock", f"{table} where exchange = $1 X", "Y")  # of another one
    assert not waits_for("pg_advisory_xact_lock_shared", table, "Y")


def test_a_table_s_own_defaults_fill_what_a_frame_leaves_out(database: Database) -> None:
    merge(database, tables.exchange_breadth, FIRST)
    stamps = fetch(
        database, "SELECT ingested_at, now() - ingested_at < interval '1 minute' AS recent FROM exchange_breadth"
    )
    assert stamps["recent"].all()
    assert stamps.schema["ingested_at"] == pl.Datetime("us", "UTC")


def test_every_table_that_is_merged_has_a_key() -> None:
    """Without one a merge could not tell a changed row from a new one; symbols are therefore written another way."""
    keyless = {name for name, table in tables.metadata.tables.items() if not sa.inspect(table).primary_key.columns}
    assert keyless == {"security_symbols"}


def read_by_scanning(database: Database) -> int:
    """Rows of bars that were read by scanning a partition whole, since the database was made."""
    query = "SELECT sum(seq_tup_read)::bigint FROM pg_stat_user_tables WHERE relname LIKE 'bars\\_2%'"
    return int(fetch(database, query).item() or 0)


def test_a_chunk_of_one_security_reads_no_partition_whole(database: Database) -> None:
    """Else loading a market takes time with the square of its size."""
    days = pl.date_range(dt.date(2020, 1, 1), dt.date(2023, 12, 29), "1d", eager=True)
    listed = (
        "INSERT INTO securities (security_id, security_key, synthetic) "
        "SELECT n, n::text, false FROM generate_series(1, 40) n"
    )
    execute(database, [(listed, ())])

    def chunk(securities: range, close: float) -> pl.DataFrame:
        prices = {name: pl.lit(close) for name in ("open", "high", "low", "close")}
        keys = pl.DataFrame({"security_id": list(securities)}).join(days.to_frame("session"), how="cross")
        return keys.with_columns(**prices, volume=pl.lit(1, pl.Int64), source=pl.lit("s"), run_id=pl.lit("r"))

    market = chunk(range(1, 40), 2.0)
    merge(database, tables.bars, market, first=yearly_partitions(tables.bars, years_of(market)))
    before = read_by_scanning(database)
    new, same, other = chunk(range(40, 41), 2.0), chunk(range(7, 8), 2.0), chunk(range(7, 8), 3.0)
    assert [merge(database, tables.bars, rows).inserted for rows in (new, same)] == [days.len(), 0]
    assert merge(database, tables.bars, other[:3]).updated == 3
    execute(database, [("SELECT pg_stat_force_next_flush()", ())])
    assert read_by_scanning(database) - before < market.height / 2


@pytest.mark.parametrize("scope", ["security_id BETWEEN 1 AND 3", None], ids=["a scope", "near the rows"])
def test_only_what_differs_is_written_beside_the_table(
    database: Database, monkeypatch: pytest.MonkeyPatch, scope: str | None
) -> None:
    staged, stage = [], bulk._stage
    monkeypatch.setattr(bulk, "_stage", lambda c, t, frame: (staged.append(frame.height), stage(c, t, frame)))
    for n in (1, 2, 3):
        execute(
            database,
            [("INSERT INTO securities (security_id, security_key, synthetic) VALUES ($1, $2, false)", (n, str(n)))],
        )
    days = pl.date_range(dt.date(2023, 1, 1), dt.date(2023, 12, 29), "1d", eager=True)
    keys = pl.DataFrame({"security_id": [1, 2, 3]}).join(days.to_frame("session"), how="cross")
    prices = {name: pl.lit(2.0) for name in ("open", "high", "low", "close")}
    market = keys.with_columns(**prices, volume=pl.lit(1, pl.Int64), source=pl.lit("s"), run_id=pl.lit("r"))
    merge(database, tables.bars, market, first=yearly_partitions(tables.bars, years_of(market)))

    def merged(frame: pl.DataFrame) -> tuple[int, int, int, int, int]:
        return figures(merge(database, tables.bars, frame, scope=scope))

    assert merged(market) == (market.height, 0, 0, market.height, 0)
    dearer = pl.when(pl.int_range(pl.len()) % 100 == 7).then(3.0).otherwise(2.0)
    other = market.with_columns(dearer.alias(name) for name in ("high", "close"))
    changed = other.filter(pl.col("close") == 3.0).height
    assert merged(other) == (market.height, 0, changed, market.height - changed, 0)
    assert staged == [changed]  # and nothing where nothing differed
    found = fetch(database, "SELECT security_id, session, close FROM bars ORDER BY 1, 2")
    assert_frame_equal(found, other.select("security_id", "session", "close"))


def test_bars_that_are_not_in_a_chunk_stay(database: Database) -> None:
    execute(database, [("INSERT INTO securities (security_id, security_key, synthetic) VALUES (1, 'A', false)", ())])
    days = [dt.date(2023, 1, 2), dt.date(2023, 1, 3), dt.date(2023, 1, 4)]
    prices = {name: pl.lit(2.0) for name in ("open", "high", "low", "close")}
    market = pl.DataFrame({"security_id": [1] * 3, "session": days}).with_columns(
        **prices, volume=pl.lit(1, pl.Int64), source=pl.lit("s"), run_id=pl.lit("r")
    )
    merge(database, tables.bars, market, first=yearly_partitions(tables.bars, years_of(market)))
    assert figures(merge(database, tables.bars, market[::2])) == (2, 0, 0, 2, 0)
    assert fetch(database, "SELECT count(*) FROM bars").item() == 3


def test_the_planner_knows_a_partition_as_soon_as_it_has_rows(database: Database) -> None:
    """Else the first backfill joins tables that the server takes for empty."""
    execute(database, [("INSERT INTO securities (security_id, security_key, synthetic) VALUES (1, 'A', false)", ())])
    days = pl.date_range(dt.date(2022, 12, 1), dt.date(2023, 1, 31), "1d", eager=True)
    prices = {name: pl.lit(2.0) for name in ("open", "high", "low", "close")}
    market = days.to_frame("session").with_columns(
        **prices, security_id=pl.lit(1, pl.Int64), volume=pl.lit(1, pl.Int64), source=pl.lit("s"), run_id=pl.lit("r")
    )
    merge(database, tables.bars, market, first=yearly_partitions(tables.bars, years_of(market)))
    query = "SELECT relname, reltuples::bigint FROM pg_class WHERE relname LIKE 'bars\\_20__' ORDER BY 1"
    assert fetch(database, query).rows() == [("bars_2022", 31), ("bars_2023", 31)]


LATE = "SELECT n, CASE WHEN n = 800000 THEN {what} END FROM generate_series(1, 1000000) n"


@pytest.mark.parametrize("what", ["pg_terminate_backend(pg_backend_pid())", "pg_cancel_backend(pg_backend_pid())"])
def test_a_server_that_stops_while_rows_come_cannot_be_reached(database: Database, what: str) -> None:
    with pytest.raises(DatabaseError, match="The database cannot be reached"):
        fetch(database, LATE.format(what=what))
    assert fetch(database, "SELECT 1 AS n")["n"].to_list() == [1]


def test_an_error_in_a_late_row_is_the_query_s_own(database: Database) -> None:
    with pytest.raises(AdbcError, match="division by zero"):
        fetch(database, LATE.format(what="1 / (n - 800000)"))
    assert fetch(database, "SELECT 1 AS n")["n"].to_list() == [1]
