"""The migrated database: equal to tables.py, explained by comments, and closed to nonsense."""

from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg2
import psycopg2.errors as refused
import pytest
import sqlalchemy
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from breadthflow_pipelines.model.counts import COUNTS
from breadthflow_pipelines.warehouse import migrations, tables, views
from breadthflow_pipelines.warehouse.database import HEAD, Database, alembic_config, revision
from breadthflow_pipelines.warehouse.formula_columns import FormulaColumn, fit


@pytest.fixture
def engine(database: Database) -> Iterator[sqlalchemy.Engine]:
    engine = sqlalchemy.create_engine("postgresql+psycopg2" + database.url.removeprefix("postgresql"))
    yield engine
    engine.dispose()


def query(database: Database, statement: str) -> list[tuple[object, ...]]:
    with database.connect() as connection, connection.cursor() as cursor:
        cursor.execute(statement)
        return cursor.fetchall()


CHECKS = """
SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint
 WHERE contype = 'c' AND connamespace = 'public'::regnamespace ORDER BY 1, 2
"""


def test_the_migrations_lead_to_what_tables_py_says(database: Database, engine: sqlalchemy.Engine) -> None:
    with database.connect() as connection, connection.cursor() as cursor:
        cursor.execute("CREATE TABLE bars_2024 PARTITION OF bars FOR VALUES FROM ('2024-01-01') TO ('2025-01-01')")

    def own(name: str | None, kind: str, _: object) -> bool:
        return not (kind == "table" and str(name).startswith("bars_"))  # partitions are made when bars come

    options = {"compare_type": True, "compare_server_default": True, "include_name": own}
    with engine.connect() as migrated:
        differences = compare_metadata(MigrationContext.configure(migrated, opts=options), tables.metadata)
    assert differences == []


@pytest.fixture
def twin(fresh_database: Callable[[str], str]) -> Database:
    """A store that is made from tables.py and not by migrations."""
    twin = Database(fresh_database("template1"), None)
    engine = sqlalchemy.create_engine("postgresql+psycopg2" + twin.url.removeprefix("postgresql"))
    tables.metadata.create_all(engine)
    engine.dispose()
    return twin


def test_the_checks_in_the_database_are_those_of_tables_py(database: Database, twin: Database) -> None:
    """Alembic compares no check constraints, so the twin is asked for its own."""
    assert query(database, CHECKS) == query(twin, CHECKS)


VIEWS = """
SELECT relname, pg_get_viewdef(oid), obj_description(oid, 'pg_class') FROM pg_class
 WHERE relkind = 'v' AND relnamespace = 'public'::regnamespace ORDER BY 1
"""


def test_the_views_in_the_database_are_those_of_views_py(database: Database, twin: Database) -> None:
    with twin.connect() as connection, connection.cursor() as cursor:
        for view in (*views.FIXED, *(view([]) for over in views.FOLLOWING.values() for view in over)):
            cursor.execute(view.statement)
            cursor.execute(f"COMMENT ON VIEW {view.name} IS %s", (view.comment,))
    assert len(query(twin, VIEWS)) == 7
    assert query(database, VIEWS) == query(twin, VIEWS)


def test_every_table_view_and_column_says_what_it_is(database: Database) -> None:
    silent = query(
        database,
        """
        SELECT relname, attname FROM pg_class JOIN pg_attribute ON attrelid = pg_class.oid
         WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'v') AND relname <> 'alembic_version'
           AND attnum >= 0 AND NOT attisdropped
           AND coalesce(col_description(pg_class.oid, attnum), '') = '' AND relkind <> 'v'
        UNION ALL
        SELECT relname, '' FROM pg_class
         WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'v') AND relname <> 'alembic_version'
           AND coalesce(obj_description(oid, 'pg_class'), '') = ''
        """,
    )
    assert silent == []
    assert query(database, "SELECT col_description('bars'::regclass, 1)") == [("whose bar",)]  # comments are seen


def test_downgrading_leaves_nothing_and_upgrading_again_everything(
    database: Database, engine: sqlalchemy.Engine
) -> None:
    def inventory() -> list[tuple[object, ...]]:
        return query(
            database,
            "SELECT relname, relkind::text FROM pg_class WHERE relnamespace = 'public'::regnamespace "
            "UNION ALL SELECT typname, typtype::text FROM pg_type WHERE typnamespace = 'public'::regnamespace "
            "ORDER BY 1, 2",
        )

    before, checks = inventory(), query(database, CHECKS)
    with engine.connect() as connection:
        command.downgrade(alembic_config(connection), "base")
    assert revision(database) is None
    assert {name for name, _ in inventory()} <= {"alembic_version", "_alembic_version", "alembic_version_pkc"}
    with engine.connect() as connection:
        command.upgrade(alembic_config(connection), "head")
    assert revision(database) == HEAD
    assert inventory() == before
    assert query(database, CHECKS) == checks


def test_every_migration_is_packaged() -> None:
    files = Path(migrations.__file__).parent.joinpath("versions").glob("[0-9]*.py")
    assert max(file.name.split("_")[0] for file in files) == HEAD


GOOD: dict[str, dict[str, object]] = {
    "securities": {"security_id": 9, "security_key": "NEW", "name": None, "sector": None, "synthetic": False},
    "security_symbols": {"security_id": 2, "symbol": "B", "valid_from": "2010-01-01", "valid_to": "2020-01-01"},
    "universe_members": {
        "universe": "u",
        "security_id": 2,
        "valid_from": "2010-01-01",
        "valid_to": "2020-01-01",
        "symbol": "B",
    },
    "bars": {
        "security_id": 1,
        "session": "2024-01-02",
        "open": 10.0,
        "high": 12.0,
        "low": 9.0,
        "close": 11.0,
        "volume": 100,
        "close_adjusted": 5.0,
        "source": "s",
        "run_id": "r",
    },
    "rejected_bars": {"fingerprint": "f", "source": "s", "reasons": ["high below low"], "run_id": "r"},
    "quarantined_bars": {
        "security_id": 1,
        "session": "2024-01-02",
        "rule": "spike",
        "evidence": "{}",
        "fingerprint": "f",
        "status": "quarantined",
        "run_id": "r",
    },
    "restatements": {
        "security_id": 1,
        "price_ratio": 0.5,
        "adjusted_ratio": None,
        "compared": 12,
        "applied_at": None,
        "run_id": "r",
    },
    "recomputations": {"asset": "breadth_counts", "first_session": "2024-01-02", "cause": "bars"},
    "breadth_revisions": {
        "relation": "breadth_counts",
        "universe": "u",
        "segment": "ALL",
        "session": "2024-01-02",
        "known_from": "2024-01-02 23:00+00",
        "known_to": "2024-01-03 23:00+00",
        "row": "{}",
    },
    "signal_revisions": {
        "relation": "market_signals",
        "signal_id": "i",
        "universe": "u",
        "session": "2024-01-02",
        "known_from": "2024-01-02 23:00+00",
        "known_to": "2024-01-03 23:00+00",
        "row": "{}",
    },
    "exchange_breadth": {"exchange": "X", "session": "2024-01-02", "advances": 0, "declines": None, "run_id": "r"},
    "calendar_changes": {"session": "2023-09-01", "change": "closed", "reason": "typhoon"},
    "breadth_counts": {
        "universe": "u",
        "segment": "ALL",
        "session": "2024-01-02",
        **dict.fromkeys((count.name for count in COUNTS if not count.nullable), 0),
        "members": 10,
        "priced": 8,
        "coverage": 0.8,
        "advances": 3,
        "declines": 2,
        "unchanged": 1,
        "no_prior": 1,
        "gap": 1,
        "up_volume": 5,
        "down_volume": 4,
        "above_20": 1,
        "able_20": 8,
        "above_50": 1,
        "able_50": 6,
        **dict.fromkeys(("above_100", "above_150", "above_200"), None),
        "new_highs": 1,
        "new_lows": 0,
        "able_252": 4,
        "able_extremes_20": 8,
        "new_highs_20": 2,
        "able_252_total_return": 0,
        "convention": 1,
    },
    "breadth_indicators": {
        "universe": "u",
        "segment": "ALL",
        "session": "2024-01-02",
        "state": "final",
        "settled": True,
        "net_advances": 1.0,
        "trin": 0.5,
        "zweig_ema": 0.5,
        "rana": -1000.0,
        "pct_above_20": 100.0,
        "convention": 1,
    },
    "price_indicators": {"universe": "u", "session": "2024-01-02", "security_id": 2, "rsi": 55.5, "convention": 1},
    "symbol_signals": {
        "universe": "u",
        "session": "2024-01-02",
        "security_id": 2,
        "action": "hold",
        "confidence": 0.2,
        "strength": -0.2,
        "regime": 50.0,
        "gated": False,
        "convention": 1,
    },
    "market_signals": {
        "signal_id": "i",
        "universe": "u",
        "segment": "ALL",
        "session": "2024-01-02",
        "rule": "score",
        "action": "buy",
        "confidence": 0.5,
        "value": 61.0,
        "threshold": 60.0,
        "calibrated": True,
        "state": "final",
        "convention": 1,
        "evidence": "{}",
    },
}


MEASURES = [
    FormulaColumn("net_advances", "rises less falls"),
    FormulaColumn("ad_line", "their sum"),
    FormulaColumn("mcclellan_oscillator", "their momentum"),
    *(FormulaColumn(name, "a share", 0, 1) for name in ("zweig_ema", "up_volume_share")),
    *(FormulaColumn(name, "a percentage", 0, 100) for name in ("pct_above_20", "pct_above_200")),
    FormulaColumn("rana", "a ratio", -1000, 1000),
    FormulaColumn("trin", "a ratio of ratios", 0),
]


@pytest.fixture(scope="module")
def held(fresh_database: Callable[[str], str], _template: str) -> Iterator[psycopg2.extensions.connection]:
    """A store with two securities; what a case inserts is taken back after it."""
    url = fresh_database(_template)
    connection = psycopg2.connect(url)
    with connection, connection.cursor() as cursor:
        cursor.execute("INSERT INTO securities VALUES (1, 'A', NULL, NULL, false), (2, 'B', NULL, NULL, false)")
        cursor.execute("INSERT INTO security_symbols VALUES (1, 'A', NULL, '2015-01-01')")
        cursor.execute("INSERT INTO universe_members VALUES ('u', 1, '2000-01-01', '2015-01-01', 'A')")
        cursor.execute("INSERT INTO universe_members VALUES ('u', 1, '2018-01-01', NULL, 'A')")
        for table in ("bars", "price_indicators", "symbol_signals"):
            year = f"{table}_2024 PARTITION OF {table} FOR VALUES FROM ('2024-01-01') TO ('2025-01-01')"
            cursor.execute(f"CREATE TABLE {year}")
    fit(Database(url, None), tables.breadth_indicators, MEASURES)
    fit(Database(url, None), tables.price_indicators, [FormulaColumn("rsi", "relative strength", 0, 100)])
    yield connection
    connection.close()


def insert(connection: psycopg2.extensions.connection, table: str, changes: dict[str, object]) -> None:
    row = GOOD[table] | changes
    try:
        with connection.cursor() as cursor:
            cursor.execute(
                f"INSERT INTO {table} ({', '.join(row)}) VALUES ({', '.join(['%s'] * len(row))})",
                list(row.values()),
            )
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
    finally:
        connection.rollback()


@pytest.mark.parametrize("table", GOOD)
def test_a_row_that_makes_sense_is_taken(held: psycopg2.extensions.connection, table: str) -> None:
    insert(held, table, {})


@pytest.mark.parametrize(
    ("table", "changes"),
    [
        ("bars", {"open": 8.9995}),  # 0.006% outside: vendors round
        ("bars", {"volume": 0, "close_adjusted": None}),
        ("security_symbols", {"symbol": "A", "valid_from": "2015-01-01"}),  # another takes the name the day it is free
        ("security_symbols", {"security_id": 1, "symbol": "AA", "valid_from": "2015-01-01"}),  # renamed that day
        ("universe_members", {"security_id": 1, "valid_from": "2015-01-01", "valid_to": "2018-01-01"}),  # fits between
        ("universe_members", {"security_id": 1, "universe": "v"}),  # another universe
        (
            "breadth_counts",
            {
                "segment": "Energy",
                "priced": 0,
                "coverage": 0.0,
                "advances": None,
                "declines": None,
                "unchanged": None,
                "no_prior": 0,
                "gap": 0,
                "able_20": 0,
                "above_20": None,
                "able_50": 0,
                "above_50": None,
                "new_highs": None,
                "new_lows": None,
                "able_252": 0,
                "new_highs_20": None,
                "able_extremes_20": 0,
            },
        ),  # a sector at rest
        ("breadth_indicators", {"trin": None, "zweig_ema": None, "rana": None, "pct_above_20": None}),  # burn-in
    ],
)
def test_rows_at_the_edge_of_sense_are_taken(
    held: psycopg2.extensions.connection, table: str, changes: dict[str, object]
) -> None:
    insert(held, table, changes)


NAN, INFINITE = float("nan"), float("inf")
CHECK, OVERLAP, MISSING = refused.CheckViolation, refused.ExclusionViolation, refused.NotNullViolation
UNKNOWN, TWICE = refused.ForeignKeyViolation, refused.UniqueViolation


@pytest.mark.parametrize(
    ("table", "changes", "error"),
    [
        ("bars", {"high": 8.0, "low": 9.0, "open": 8.5, "close": 8.5}, CHECK),  # high below low
        ("bars", {"close": NAN}, CHECK),
        ("bars", {"open": INFINITE, "high": INFINITE}, CHECK),
        ("bars", {"low": 0.0}, CHECK),
        ("bars", {"low": -1.0}, CHECK),
        ("bars", {"close": None}, MISSING),
        ("bars", {"close": 12.01}, CHECK),  # outside the bar by more than rounding
        ("bars", {"open": 8.99}, CHECK),
        ("bars", {"close_adjusted": 0.0}, CHECK),
        ("bars", {"close_adjusted": NAN}, CHECK),
        ("bars", {"volume": -1}, CHECK),
        ("bars", {"volume": None}, MISSING),
        ("bars", {"security_id": 77}, UNKNOWN),  # a bar of nobody
        ("bars", {"session": None}, CHECK),  # no partition takes it
        ("securities", {"security_key": "A"}, TWICE),  # one company under two numbers
        ("security_symbols", {"valid_to": "2009-12-31"}, CHECK),  # ends before it begins
        ("security_symbols", {"valid_to": "2010-01-01"}, CHECK),  # no day at all
        ("security_symbols", {"symbol": "A", "valid_from": "2014-12-31"}, OVERLAP),  # still another's on that day
        ("security_symbols", {"symbol": "A", "valid_from": None}, OVERLAP),  # since ever
        ("security_symbols", {"security_id": 1, "symbol": "AA"}, OVERLAP),  # two names at a time
        ("security_symbols", {"security_id": 77}, UNKNOWN),
        ("universe_members", {"valid_to": "2009-12-31"}, CHECK),
        ("universe_members", {"security_id": 1, "valid_from": "2014-12-31"}, OVERLAP),  # joins a day before it left
        ("universe_members", {"security_id": 1, "valid_from": "2017-01-01", "valid_to": None}, OVERLAP),
        ("universe_members", {"security_id": 77}, UNKNOWN),
        ("rejected_bars", {"reasons": []}, CHECK),  # refused for nothing
        ("quarantined_bars", {"status": "perhaps"}, CHECK),
        ("quarantined_bars", {"status": "released"}, CHECK),  # nobody signed
        ("quarantined_bars", {"reason": "because"}, CHECK),  # nobody decided
        ("quarantined_bars", {"evidence": None}, MISSING),
        ("quarantined_bars", {"security_id": 77}, UNKNOWN),
        ("restatements", {"price_ratio": None}, CHECK),  # says nothing
        ("restatements", {"price_ratio": 0.0}, CHECK),
        ("restatements", {"adjusted_ratio": NAN}, CHECK),
        ("restatements", {"security_id": 77}, UNKNOWN),
        ("recomputations", {"first_session": None}, MISSING),
        ("breadth_revisions", {"known_to": None}, MISSING),
        ("signal_revisions", {"row": None}, MISSING),
        ("exchange_breadth", {"advances": -1}, CHECK),
        ("exchange_breadth", {"new_lows": -1}, CHECK),
        ("breadth_counts", {"advances": 4}, CHECK),  # a priced member counted twice
        ("breadth_counts", {"gap": 0}, CHECK),  # one not counted
        ("breadth_counts", {"priced": 11, "advances": 6}, CHECK),  # more priced than members
        (
            "breadth_counts",
            {
                "priced": 0,
                "advances": 0,
                "declines": 0,
                "unchanged": 0,
                "no_prior": 0,
                "gap": 0,
                "able_20": 0,
                "above_20": 0,
                "able_50": 0,
                "above_50": 0,
                "new_highs": 0,
                "able_252": 0,
                "new_highs_20": 0,
                "able_extremes_20": 0,
            },
            CHECK,
        ),  # a session of the whole universe without a bar is not a session
        ("breadth_counts", {"advances": None, "no_prior": 7}, CHECK),  # declines known, advances not
        ("breadth_counts", {"coverage": 1.1}, CHECK),
        ("breadth_counts", {"coverage": 0.5}, CHECK),  # is not priced / members
        ("breadth_counts", {"coverage": NAN}, CHECK),
        ("breadth_counts", {"up_volume": -1}, CHECK),
        ("breadth_counts", {"above_50": 7}, CHECK),  # more above than able
        ("breadth_counts", {"above_20": 9, "able_20": 9}, CHECK),  # more able than priced
        ("breadth_counts", {"new_highs": 5}, CHECK),
        ("breadth_counts", {"new_lows": 5}, CHECK),
        ("breadth_counts", {"able_252": 9}, CHECK),
        ("breadth_counts", {"new_highs_20": 9}, CHECK),
        ("breadth_counts", {"new_lows_total_return": 1}, CHECK),
        ("breadth_counts", {"points_lost": -0.5}, CHECK),
        ("breadth_counts", {"index_close": INFINITE}, CHECK),
        ("breadth_counts", {"able_150": None}, MISSING),
        ("exchange_breadth", {"index_close": 0.0}, CHECK),
        ("exchange_breadth", {"volume_unit": 0}, CHECK),
        ("exchange_breadth", {"usual_issues": 0.0}, CHECK),
        ("exchange_breadth", {"usual_issues": NAN}, CHECK),
        ("calendar_changes", {"change": "shut"}, CHECK),
        ("calendar_changes", {"reason": None}, MISSING),
        ("exchange_breadth", {"doubts": None}, MISSING),
        ("price_indicators", {"rsi": 100.5}, CHECK),
        ("price_indicators", {"rsi": NAN}, CHECK),
        ("price_indicators", {"security_id": 77}, UNKNOWN),
        ("symbol_signals", {"action": "panic"}, CHECK),
        ("symbol_signals", {"strength": -1.1}, CHECK),
        ("symbol_signals", {"regime": 101.0}, CHECK),
        ("symbol_signals", {"gated": None}, MISSING),
        ("symbol_signals", {"security_id": 77}, UNKNOWN),
        ("breadth_counts", {"members": None}, MISSING),
        ("breadth_indicators", {"net_advances": NAN}, CHECK),
        ("breadth_indicators", {"ad_line": INFINITE}, CHECK),
        ("breadth_indicators", {"mcclellan_oscillator": -INFINITE}, CHECK),
        ("breadth_indicators", {"zweig_ema": 1.01}, CHECK),
        ("breadth_indicators", {"up_volume_share": -0.01}, CHECK),
        ("breadth_indicators", {"pct_above_200": 100.1}, CHECK),
        ("breadth_indicators", {"rana": 1000.1}, CHECK),
        ("breadth_indicators", {"trin": -0.1}, CHECK),
        ("breadth_indicators", {"state": "perhaps"}, CHECK),
        ("market_signals", {"confidence": 1.5}, CHECK),
        ("market_signals", {"confidence": NAN}, CHECK),
        ("market_signals", {"action": "panic"}, CHECK),
        ("market_signals", {"state": "draft"}, CHECK),
        ("market_signals", {"value": NAN}, CHECK),
        ("market_signals", {"threshold": INFINITE}, CHECK),
        ("market_signals", {"evidence": "{"}, refused.InvalidTextRepresentation),
        ("market_signals", {"signal_id": None}, MISSING),
    ],
)
def test_nonsense_is_refused(
    held: psycopg2.extensions.connection, table: str, changes: dict[str, object], error: type[psycopg2.Error]
) -> None:
    with pytest.raises(error):
        insert(held, table, changes)


def test_one_rule_says_one_thing_of_a_session(held: psycopg2.extensions.connection) -> None:
    row = GOOD["market_signals"]
    columns, places = ", ".join(row), ", ".join(["%s"] * len(row))
    with held.cursor() as cursor:
        statement = f"INSERT INTO market_signals ({columns}) VALUES ({places})"
        cursor.execute(statement, list(row.values()))
        with pytest.raises(TWICE):
            cursor.execute(statement, list((row | {"signal_id": "another"}).values()))
    held.rollback()


LARGE = ("bars", "price_indicators", "symbol_signals")  # triggers stand in for their foreign keys


@pytest.mark.parametrize("table", LARGE)
def test_one_row_of_nobody_among_many_is_found(held: psycopg2.extensions.connection, table: str) -> None:
    row = GOOD[table]
    columns, marks = ", ".join(row), ", ".join(["%s"] * len(row))
    values = [value for security in (1, 2, 77) for value in (row | {"security_id": security}).values()]
    with held.cursor() as cursor, pytest.raises(UNKNOWN, match=rf"^{table}: there is no security 77"):
        cursor.execute(f"INSERT INTO {table} ({columns}) VALUES {', '.join([f'({marks})'] * 3)}", values)
    held.rollback()


@pytest.mark.parametrize("table", LARGE)
def test_a_row_of_nobody_is_found_in_a_partition_that_is_named(
    held: psycopg2.extensions.connection, table: str
) -> None:
    row = GOOD[table] | {"security_id": 77}
    year = int(str(row["session"])[:4])
    columns, marks = ", ".join(row), ", ".join(["%s"] * len(row))
    with held.cursor() as cursor:
        cursor.execute("CALL add_yearly_partition(%s, %s)", (table, year))
        with pytest.raises(UNKNOWN, match=f"^{table}_{year}: there is no security 77"):
            cursor.execute(f"INSERT INTO {table}_{year} ({columns}) VALUES ({marks})", [*row.values()])
    held.rollback()


@pytest.mark.parametrize("table", LARGE)
def test_what_is_written_into_a_partition_counts_as_a_change_of_its_table(
    held: psycopg2.extensions.connection, table: str
) -> None:
    row = GOOD[table]
    year = int(str(row["session"])[:4])
    columns, marks = ", ".join(row), ", ".join(["%s"] * len(row))
    with held.cursor() as cursor:
        cursor.execute("CALL add_yearly_partition(%s, %s)", (table, year))
        cursor.execute("DELETE FROM store_changes")
        cursor.execute(f"INSERT INTO {table}_{year} ({columns}) VALUES ({marks})", [*row.values()])
        cursor.execute("SELECT relation FROM store_changes")
        assert cursor.fetchall() == [(table,)]
    held.rollback()


@pytest.mark.parametrize("table", LARGE)
def test_a_row_cannot_move_to_nobody(held: psycopg2.extensions.connection, table: str) -> None:
    row = GOOD[table]
    with held.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {table} ({', '.join(row)}) VALUES ({', '.join(['%s'] * len(row))})", [*row.values()]
        )
        with pytest.raises(UNKNOWN):
            cursor.execute(f"UPDATE {table} SET security_id = 77")
    held.rollback()


@pytest.mark.parametrize(
    "change", ["DELETE FROM securities WHERE security_id = 9", "UPDATE securities SET security_id = 10"]
)
def test_a_security_with_bars_stays(held: psycopg2.extensions.connection, change: str) -> None:
    bar, security = GOOD["bars"] | {"security_id": 9}, GOOD["securities"]
    with held.cursor() as cursor:
        cursor.execute("TRUNCATE securities CASCADE")
        for table, row in (("securities", security), ("bars", bar)):
            marks = ", ".join(["%s"] * len(row))
            cursor.execute(f"INSERT INTO {table} ({', '.join(row)}) VALUES ({marks})", [*row.values()])
        cursor.execute("UPDATE securities SET name = 'Nine'")
        with pytest.raises(UNKNOWN, match=r"^security 9 has bars"):
            cursor.execute(change)
    held.rollback()


def test_a_security_without_bars_may_go(held: psycopg2.extensions.connection) -> None:
    with held.cursor() as cursor:
        cursor.execute("INSERT INTO securities (security_id, security_key, synthetic) VALUES (9, 'NEW', false)")
        cursor.execute("DELETE FROM securities WHERE security_id = 9")
        assert cursor.rowcount == 1
    held.rollback()


def test_a_security_that_another_deletes_gets_no_bars(
    held: psycopg2.extensions.connection,
) -> None:
    """Whoever writes bars locks their securities, so that the two cannot pass each other unseen."""
    row = GOOD["bars"]
    with held.cursor() as cursor:
        cursor.execute(f"INSERT INTO bars ({', '.join(row)}) VALUES ({', '.join(['%s'] * len(row))})", [*row.values()])
    other = psycopg2.connect(held.dsn)
    try:
        with other.cursor() as cursor, pytest.raises(refused.LockNotAvailable):
            cursor.execute("SELECT FROM securities WHERE security_id = 1 FOR UPDATE NOWAIT")
    finally:
        other.close()
        held.rollback()
