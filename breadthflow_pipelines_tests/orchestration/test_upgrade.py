"""A store that an older program filled: what it holds outlives the upgrade, and the next run computes the rest."""

import datetime as dt
from collections.abc import Callable, Iterator
from pathlib import Path

import dagster as dg
import pytest
import sqlalchemy
from alembic import command
from psycopg2.extras import execute_values

from breadthflow_pipelines.orchestration import planning
from breadthflow_pipelines.warehouse.addresses import database_name
from breadthflow_pipelines.warehouse.database import HEAD, Database, alembic_config, revision, upgrade
from breadthflow_pipelines.warehouse.embedded import EmbeddedServer
from breadthflow_pipelines_tests.conftest import administer
from breadthflow_pipelines_tests.orchestration.conftest import (
    Contents,
    FreshDatabase,
    Store,
    assert_same,
    opened,
)
from breadthflow_pipelines_tests.orchestration.small_market import FIRST, LAST, SESSIONS, SmallMarket

OLD_ASSETS = ("bars", "breadth_counts")  # those that had months then
AAA = 1  # its number; securities are numbered in the order of their keys
COUNTED = SESSIONS[:40]
# What was counted of one member that rose every day, in the columns of then.
OLD_COUNTS = {
    "members": 1,
    "priced": 1,
    "coverage": 1.0,
    "advances": 1,
    "declines": 0,
    "unchanged": 0,
    "no_prior": 0,
    "gap": 0,
    "up_volume": 5000,
    "down_volume": 0,
    "above_20": None,
    "able_20": 0,
    "above_50": None,
    "able_50": 0,
    "above_200": None,
    "able_200": 0,
    "new_highs": None,
    "new_lows": None,
    "able_252": 0,
    "convention": 1,
}
OLD_INDICATORS = {
    "state": "final",
    "net_advances": 1.0,
    "ad_line": 1.0,
    "rana": 1000.0,
    "zweig_ema": None,
    "trin": None,
    "up_volume_share": 1.0,
    "settled": False,
    "convention": 1,
}
OLD_PUBLISHED = {
    "advances": 1200,
    "declines": 1700,
    "unchanged": 100,
    "up_volume": 240_000_000,
    "down_volume": 300_000_000,
    "new_highs": 20,
    "new_lows": 31,
    "run_id": "an old run",
}


@pytest.fixture
def old(
    server: EmbeddedServer, fresh_database: FreshDatabase, dagster_template: str, small: SmallMarket, tmp_path: Path
) -> Iterator[Store]:
    """A store at revision 0001 with bars, counts, indicators and published counts, and Dagster's records of them."""
    database, dagster_url = Database(fresh_database("template1"), None), fresh_database(dagster_template)
    engine = sqlalchemy.create_engine("postgresql+psycopg2" + database.url.removeprefix("postgresql"))
    with engine.connect() as connection:
        command.upgrade(alembic_config(connection), "0001")
    engine.dispose()
    _fill(database, small)
    with opened(small, tmp_path, database.url, dagster_url) as store:
        for asset in OLD_ASSETS:
            for month in sorted({f"{day:%Y-%m}" for day in SESSIONS}):
                store.instance.report_runless_asset_event(dg.AssetMaterialization(asset, partition=month))
        yield store
    for url in (database.url, dagster_url):
        administer(server, f"DROP DATABASE {database_name(url)} WITH (FORCE)")


def test_upgrade_keeps_bars_counts_and_what_was_published(old: Store) -> None:
    kept = {
        "bars": ("*",),
        "breadth_counts": ("universe", "segment", "session", *OLD_COUNTS, "computed_at"),
        "exchange_breadth": ("exchange", "session", *OLD_PUBLISHED, "ingested_at"),
    }
    queries = {table: f"SELECT {', '.join(columns)} FROM {table} ORDER BY session" for table, columns in kept.items()}
    before = {table: old.rows(query) for table, query in queries.items()}
    assert [len(rows) for rows in before.values()] == [len(SESSIONS) - 1, len(COUNTED), len(COUNTED)]

    upgrade(old.database)

    assert revision(old.database) == HEAD
    assert {table: old.rows(query) for table, query in queries.items()} == before
    # Nobody doubted them, and their volumes were taken for shares; the next import judges them.
    judged = old.rows("SELECT DISTINCT volume_unit, doubts, issues_usable, volume_usable FROM exchange_breadth")
    assert judged == [(1, [], True, True)]
    shown = (
        "SELECT universe, count(*), sum(advances)::int, sum(up_volume)::bigint FROM all_counts GROUP BY 1 ORDER BY 1"
    )
    assert old.rows(shown) == [("XX", 40, 40 * 1200, 40 * 240_000_000), ("small", 40, 40, 40 * 5000)]
    assert old.rows("SELECT count(*) FROM breadth_indicators") == [(40,)]


@pytest.mark.slow
def test_run_after_an_upgrade_computes_everything_anew(
    old: Store, one_shot: Contents, frozen: Callable[[dt.date], None]
) -> None:
    frozen(dt.date(2024, 1, 31))  # nothing is provisional any more, as where one_shot was made
    upgrade(old.database)
    assert planning.first_day_due(old.instance, old.market, LAST) == FIRST

    report = old.daily(LAST)

    assert (report.exit_status, report.trouble) == (0, None)
    assert report.figures["breadth_counts"]["rows_revised"] == len(COUNTED)
    found = old.contents()
    indicators = [row for row in found["breadth_indicators"] if row[0] == "XX"]
    assert len(indicators) == len(COUNTED)
    published = {"XX"}
    assert_same(
        {table: [row for row in rows if not published & {*map(str, row)}] for table, rows in found.items()}, one_shot
    )
    line = "SELECT net_advances, ad_line, up_volume_share, convention FROM breadth_indicators WHERE universe = 'XX'"
    assert old.rows(f"{line} ORDER BY session DESC LIMIT 1") == [(-500.0, 40 * -500.0, 24 / 54, 3)]
    assert old.rows("SELECT count(*) FROM breadth_counts WHERE convention < 3") == [(0,)]
    assert old.daily(LAST).rows_changed == 0


def _fill(database: Database, small: SmallMarket) -> None:
    """Rows as an older program wrote them, by plain SQL."""
    broken = "2023-02-10"
    bars = [(AAA, *row, "files", "an old run") for row in small.rows["AAA"] if row[0] != broken]
    tables = {
        "securities (security_id, security_key, name, sector, synthetic)": [
            (AAA, "AAA", "AAA Incorporated", "Technology", False)
        ],
        "security_symbols (security_id, symbol)": [(AAA, "AAA")],
        "universe_members (universe, security_id, valid_from, symbol)": [("small", AAA, FIRST, "AAA")],
        "bars (security_id, session, open, high, low, close, volume, source, run_id)": bars,
        _into("breadth_counts", OLD_COUNTS): [("small", "ALL", day, *OLD_COUNTS.values()) for day in COUNTED],
        _into("breadth_indicators", OLD_INDICATORS): [
            ("small", "ALL", day, *OLD_INDICATORS.values()) for day in COUNTED
        ],
        f"exchange_breadth (exchange, session, {', '.join(OLD_PUBLISHED)})": [
            ("XX", day, *OLD_PUBLISHED.values()) for day in COUNTED
        ],
    }
    with database.connect() as connection, connection.cursor() as cursor:
        for year in (2022, 2023):
            cursor.execute(
                f"CREATE TABLE bars_{year} PARTITION OF bars FOR VALUES FROM ('{year}-01-01') TO ('{year + 1}-01-01')"
            )
        for table, rows in tables.items():
            execute_values(cursor, f"INSERT INTO {table} VALUES %s", rows)


def _into(table: str, columns: dict[str, object]) -> str:
    return f"{table} (universe, segment, session, {', '.join(columns)})"
