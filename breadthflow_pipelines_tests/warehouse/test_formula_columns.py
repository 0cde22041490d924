"""Columns that follow a catalogue of formulas: they come, go and are made anew with what they say of themselves."""

import psycopg2.errors as refused
import pytest

from breadthflow_pipelines.warehouse import tables
from breadthflow_pipelines.warehouse.bulk import fetch
from breadthflow_pipelines.warehouse.database import Database
from breadthflow_pipelines.warehouse.formula_columns import FormulaColumn, fit, new_columns

LINE, SHARE = FormulaColumn("ad_line", "running sum of A - D"), FormulaColumn("zweig_ema", "a share", 0, 1)
ROW = "('u', 'ALL', '2024-01-02', 'final', true, 2"
FIXED = "universe, segment, session, state, settled, convention"


def columns(database: Database, relation: str) -> dict[str, str]:
    found = fetch(
        database,
        "SELECT attname::text, coalesce(col_description(attrelid, attnum), '') FROM pg_attribute "
        f"WHERE attrelid = '{relation}'::regclass AND attnum > 0 AND NOT attisdropped",
    )
    return dict(found.rows())


def execute(database: Database, statement: str) -> None:
    with database.connect() as connection, connection.cursor() as cursor:
        cursor.execute(statement)


def test_a_formula_brings_its_column_and_takes_it_away(database: Database) -> None:
    plain = columns(database, "breadth_indicators")
    fitted = fit(database, tables.breadth_indicators, [LINE, SHARE])
    assert columns(database, "breadth_indicators") == plain | {
        "ad_line": "running sum of A - D",
        "zweig_ema": "a share [0, 1]",
    }
    assert set(fitted.columns.keys()) == set(columns(database, "breadth_indicators"))
    assert {"ad_line", "zweig_ema", "advances"} < set(columns(database, "breadth"))
    fit(database, tables.breadth_indicators, [SHARE])
    assert set(columns(database, "breadth_indicators")) == {*plain, "zweig_ema"}
    assert "ad_line" not in columns(database, "breadth")


def test_values_stay_when_a_column_only_says_something_else(database: Database) -> None:
    fit(database, tables.breadth_indicators, [LINE, SHARE])
    execute(database, f"INSERT INTO breadth_indicators ({FIXED}, ad_line, zweig_ema) VALUES {ROW}, 7, 0.5)")
    fit(database, tables.breadth_indicators, [SHARE, FormulaColumn("ad_line", "the sum of A - D")])
    assert fetch(database, "SELECT ad_line, zweig_ema FROM breadth_indicators").rows() == [(7.0, 0.5)]
    assert columns(database, "breadth_indicators")["ad_line"] == "the sum of A - D"


def test_new_bounds_hold_for_what_is_written_from_now_on(database: Database) -> None:
    fit(database, tables.breadth_indicators, [LINE])
    execute(database, f"INSERT INTO breadth_indicators ({FIXED}, ad_line) VALUES {ROW}, 7)")
    fit(database, tables.breadth_indicators, [FormulaColumn("ad_line", LINE.about, 0, 5)])
    assert fetch(database, "SELECT ad_line FROM breadth_indicators").rows() == [(7.0,)]
    with pytest.raises(refused.CheckViolation):
        execute(database, "UPDATE breadth_indicators SET ad_line = 8")


def test_a_new_column_is_known_to_be_empty_before_it_is_made(database: Database) -> None:
    fit(database, tables.price_indicators, [LINE])
    assert new_columns(database, tables.price_indicators, [LINE, SHARE]) == ["zweig_ema"]
    fit(database, tables.price_indicators, [LINE, SHARE])
    assert new_columns(database, tables.price_indicators, [LINE, SHARE]) == []


@pytest.mark.parametrize("value", ["1.01", "-0.01", "'NaN'", "'Infinity'"])
def test_bounds_are_held_by_the_store_itself(database: Database, value: str) -> None:
    fit(database, tables.breadth_indicators, [SHARE])
    with pytest.raises(refused.CheckViolation):
        execute(database, f"INSERT INTO breadth_indicators ({FIXED}, zweig_ema) VALUES {ROW}, {value})")


def test_nothing_is_altered_where_nothing_changed(database: Database) -> None:
    # ALTER TABLE would wait for every reader; a reader in the middle of its transaction must not be in the way.
    fit(database, tables.breadth_indicators, [LINE])
    with database.connect() as reader, reader.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM breadth")
        fit(database, tables.breadth_indicators, [LINE])


def test_partitioned_tables_take_columns_too(database: Database) -> None:
    fit(database, tables.price_indicators, [FormulaColumn("rsi", "strength", 0, 100)])
    year = "PARTITION OF price_indicators FOR VALUES FROM ('2024-01-01') TO ('2025-01-01')"
    execute(database, f"CREATE TABLE price_indicators_2024 {year}")
    assert columns(database, "price_indicators_2024").keys() == columns(database, "price_indicators").keys()
    assert "rsi" in columns(database, "price_indicators_2024")
    fit(database, tables.price_indicators, [FormulaColumn("rsi", "strength", 0, 1)])
    execute(database, "INSERT INTO securities VALUES (1, 'A', NULL, NULL, false)")
    with pytest.raises(refused.CheckViolation):
        execute(
            database,
            "INSERT INTO price_indicators (universe, session, security_id, convention, rsi) "
            "VALUES ('u', '2024-01-02', 1, 2, 50)",
        )


def test_the_columns_of_a_newer_program_are_left_alone(database: Database) -> None:
    """Its upgrade came while a run of this one was under way, which must not undo it."""
    fit(database, tables.breadth_indicators, [LINE, SHARE])
    execute(database, "UPDATE alembic_version SET version_num = '9999'")
    before = columns(database, "breadth_indicators"), columns(database, "breadth")
    ours = fit(database, tables.breadth_indicators, [FormulaColumn("ad_line", "said in another way")])
    assert (columns(database, "breadth_indicators"), columns(database, "breadth")) == before
    assert "zweig_ema" not in ours.columns
