"""Years that are filled beside their table: when they are seen, what they are once they joined, what is refused."""

import datetime as dt
import signal
from collections.abc import Generator

import polars as pl
import psycopg2.errors
import pytest

from breadthflow_pipelines.warehouse import member_store, security_store
from breadthflow_pipelines.warehouse.bulk import NOTHING, Merged, execute
from breadthflow_pipelines.warehouse.database import Database, rows_of
from breadthflow_pipelines.warehouse.formula_columns import FormulaColumn
from breadthflow_pipelines.warehouse.new_years import NewYears
from breadthflow_pipelines_tests.conftest import start_python
from breadthflow_pipelines_tests.warehouse.frames import listing

DAYS = (dt.date(2023, 6, 1), dt.date(2024, 6, 28))
MEAN = FormulaColumn("mean_of_all", "a mean", 0, 100)


def indicators(*rows: tuple[str, int, float]) -> pl.DataFrame:
    """Of the universe "u": session, security, mean."""
    complete = [("u", dt.date.fromisoformat(day), security, 1, mean) for day, security, mean in rows]
    schema = {"universe": pl.String, "session": pl.Date, "security_id": pl.Int64, "convention": pl.Int32}
    return pl.DataFrame(complete, schema=schema | {MEAN.name: pl.Float64}, orient="row")


FILLED = indicators(("2023-06-01", 1, 1), ("2024-01-02", 1, 2), ("2024-01-02", 2, 3), ("2024-06-28", 2, 4))


@pytest.fixture
def store(database: Database) -> Database:
    companies = listing((1, "A", "A", None, None), (2, "B", "B", None, None))
    security_store.record_securities(database, companies, synthetic=True)
    return database


def recorded(store: Database, rows: pl.DataFrame, new: NewYears | None) -> Merged:
    return member_store.record_price_indicators(store, rows, [MEAN], days=DAYS, new=new)


def filled(store: Database, rows: pl.DataFrame = FILLED, *, once: bool = True) -> Generator[Merged | None]:
    """Record the rows, each security's by itself; stops before the years join, and goes on when it is asked again.

    Gives what was appended; None where the rows were merged.
    """
    with member_store.price_indicators_prepared(store, [MEAN], DAYS, once=once) as new:
        parts = [part for _, part in rows.group_by("security_id", maintain_order=True)] if new else [rows]
        found = sum((recorded(store, part, new) for part in parts), NOTHING)
        yield found if new else None


def seen(store: Database) -> list[tuple[object, ...]]:
    query = f"SELECT universe, session, security_id, convention, {MEAN.name} FROM price_indicators ORDER BY 2, 3"
    return [tuple(row.values()) for row in rows_of(store, query)]


def years(store: Database) -> list[object]:
    query = "SELECT relname::text FROM pg_class WHERE relname ~ '^price_indicators_[0-9]{4}$' ORDER BY 1"
    return [row["relname"] for row in rows_of(store, query)]


BOTH = ["price_indicators_2023", "price_indicators_2024"]


def test_years_that_are_filled_are_seen_at_once_and_with_all_rows(store: Database) -> None:
    under_way = filled(store)
    appended = next(under_way)
    assert appended is not None
    assert (appended.read, appended.inserted, appended.securities) == (4, 4, {1, 2})
    assert (years(store), seen(store)) == ([], [])
    assert list(under_way) == []
    assert (years(store), seen(store)) == (BOTH, FILLED.rows())
    changed = rows_of(store, "SELECT DISTINCT relation FROM store_changes WHERE relation = 'price_indicators'")
    assert len(changed) == 1


def test_members_of_new_years_are_counted_without_looking_at_their_rows(store: Database) -> None:
    """Their pages say that everybody sees them, as after a vacuum."""
    list(filled(store))
    pages = "SELECT relpages, relallvisible FROM pg_class WHERE relname = 'price_indicators_2024'"
    assert rows_of(store, pages) == [{"relpages": 1, "relallvisible": 1}]


DEFINED = """
SELECT 'column' AS kind, attname::text AS name, concat_ws(' ', format_type(atttypid, atttypmod), attnotnull, atthasdef,
       attislocal, attinhcount, coalesce(attstattarget, -1)) AS said FROM pg_attribute
 WHERE attrelid = %(table)s::regclass AND attnum > 0 AND NOT attisdropped
UNION ALL
SELECT 'constraint', replace(conname, %(year)s, ''),
       pg_get_constraintdef(oid) || ' ' || conislocal || ' ' || coninhcount
  FROM pg_constraint WHERE conrelid = %(table)s::regclass
UNION ALL
SELECT 'index', replace(indexrelid::regclass::text, %(year)s, ''),
       replace(pg_get_indexdef(indexrelid), %(year)s, '') || ' '
       || (SELECT inhparent::regclass::text FROM pg_inherits WHERE inhrelid = indexrelid)
  FROM pg_index WHERE indrelid = %(table)s::regclass
UNION ALL
SELECT 'trigger', tgname, replace(pg_get_triggerdef(oid), %(year)s, '') FROM pg_trigger
 WHERE tgrelid = %(table)s::regclass
UNION ALL
SELECT 'rights', 'rights', relacl::text FROM pg_class WHERE oid = %(table)s::regclass
ORDER BY 1, 2
"""


@pytest.mark.parametrize("table", ["price_indicators", "symbol_signals"])
def test_a_year_that_joined_is_defined_as_any_other_partition_is(store: Database, table: str) -> None:
    prepared = {
        "price_indicators": member_store.price_indicators_prepared,
        "symbol_signals": member_store.symbol_signals_prepared,
    }[table]
    with prepared(store, [MEAN], DAYS, once=True) as new:
        assert new is not None
    execute(store, [("CALL add_yearly_partition($1, 2022)", (table,))])
    joined, usual = (
        rows_of(store, DEFINED, {"table": f"{table}_{year}", "year": f"_{year}"}) for year in ("2024", "2022")
    )
    assert joined == usual
    kinds = {row["kind"] for row in joined}
    assert kinds == {"column", "constraint", "index", "trigger", "rights"}


def test_a_year_that_joined_keeps_its_key_and_its_references(store: Database) -> None:
    list(filled(store))
    with pytest.raises(psycopg2.errors.UniqueViolation):
        execute(store, [("INSERT INTO price_indicators SELECT * FROM price_indicators", ())])
    with pytest.raises(psycopg2.errors.ForeignKeyViolation, match="there is no security 3"):
        execute(store, [("UPDATE price_indicators SET security_id = 3 WHERE session = $1", (DAYS[1],))])


def test_of_what_ended_early_nothing_is_left(store: Database) -> None:
    under_way = filled(store)
    next(under_way)
    with pytest.raises(ZeroDivisionError):
        under_way.throw(ZeroDivisionError)
    assert (years(store), seen(store)) == ([], [])
    list(filled(store))
    assert seen(store) == FILLED.rows()


KILLED = """
import os, signal
from breadthflow_pipelines.warehouse import new_years
from breadthflow_pipelines_tests.warehouse import test_new_years as here

new_years._Share.join = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
list(here.filled(here.Database({url!r}, None)))
"""


def test_of_a_process_that_is_killed_before_the_end_nothing_is_left(store: Database) -> None:
    process = start_python(KILLED.format(url=store.url))
    assert process.wait(60) == -signal.SIGKILL
    list(filled(store))  # as soon as the server has seen that it is gone
    assert (years(store), seen(store)) == (BOTH, FILLED.rows())


@pytest.mark.parametrize(
    ("rows", "error"),
    [
        (pl.concat([FILLED, FILLED[:1]]), psycopg2.errors.UniqueViolation),
        (indicators(("2023-06-01", 1, 1), ("2024-01-02", 77, 1)), psycopg2.errors.ForeignKeyViolation),
        (indicators(("2023-06-01", 1, 101)), psycopg2.errors.CheckViolation),
    ],
    ids=["a key twice", "of nobody", "out of bounds"],
)
def test_rows_that_a_partition_refuses_do_not_join(store: Database, rows: pl.DataFrame, error: type[Exception]) -> None:
    with pytest.raises(error):
        list(filled(store, rows))
    assert (years(store), seen(store)) == ([], [])


def test_rows_are_merged_where_some_are_stored_or_some_are_written_again(store: Database) -> None:
    assert list(filled(store, once=False)) == [None]
    assert seen(store) == FILLED.rows()
    assert list(filled(store, FILLED[:3])) == [None]  # no year is new
    assert seen(store) == FILLED[:3].rows()
    early = (dt.date(2022, 1, 3), DAYS[1])  # one year is new, and rows of these days are stored
    with member_store.price_indicators_prepared(store, [MEAN], early, once=True) as new:
        assert new is None


def test_a_year_that_is_there_and_has_no_rows_of_the_days_is_filled_with_the_new_ones(store: Database) -> None:
    execute(store, [("CALL add_yearly_partition('price_indicators', 2023)", ())])
    columns, values = "universe, session, security_id, convention", "'u', '2023-05-31', 1, 1"
    execute(store, [(f"INSERT INTO price_indicators ({columns}) VALUES ({values})", ())])
    under_way = filled(store)
    assert next(under_way) is not None
    assert [row[1] for row in seen(store)] == [dt.date(2023, 5, 31)]
    list(under_way)
    assert seen(store)[1:] == FILLED.rows()


def test_what_follows_from_new_signals_is_noted_with_them(store: Database) -> None:
    signals = pl.DataFrame(
        {
            "universe": "u",
            "session": [DAYS[0]],
            "security_id": 1,
            "action": "buy",
            "confidence": 0.5,
            "strength": 0.5,
            "regime": None,
            "gated": False,
            "convention": 1,
            MEAN.name: 1.0,
        },
        schema_overrides={"convention": pl.Int32, "regime": pl.Float64},
    )
    with member_store.symbol_signals_prepared(store, [MEAN], DAYS, once=True) as new:
        member_store.record_symbol_signals(store, signals, [MEAN], days=DAYS, new=new)
    noted = rows_of(store, "SELECT DISTINCT first_session, cause FROM recomputations")
    assert noted == [{"first_session": DAYS[0], "cause": "symbol_signals"}]
