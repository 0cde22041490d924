"""Bars in the store: revised openly, whole or not at all."""

import datetime as dt
import os
import signal
from pathlib import Path

import polars as pl
import psycopg2
import pytest

from breadthflow_pipelines.contracts.bars import bar_contract
from breadthflow_pipelines.contracts.verdict import judge
from breadthflow_pipelines.sessions import exchange_calendar
from breadthflow_pipelines.warehouse import bar_store, bulk, security_store
from breadthflow_pipelines.warehouse.bulk import fetch
from breadthflow_pipelines.warehouse.database import Database
from breadthflow_pipelines_tests.conftest import start_python, wait_until
from breadthflow_pipelines_tests.warehouse.frames import bars, figures, listing, members


def closes(database: Database) -> list[tuple[object, ...]]:
    return fetch(database, "SELECT security_id, session, close, volume, run_id FROM bars ORDER BY 1, 2").rows()


def test_partitions_are_made_when_their_years_come(listed: Database) -> None:
    merged = bar_store.load_bars(
        listed, bars((1, "1999-12-31", 10), (1, "2000-01-03", 11), (2, "2024-02-29", 12)), "s", "r"
    )
    assert figures(merged) == (3, 0, 0, 0)
    days = merged.changes.sort("session")["session"].to_list()
    assert days == [dt.date(1999, 12, 31), dt.date(2000, 1, 3), dt.date(2024, 2, 29)]
    held = fetch(listed, "SELECT tableoid::regclass::text, count(*) FROM bars GROUP BY 1 ORDER BY 1").rows()
    assert held == [("bars_1999", 1), ("bars_2000", 1), ("bars_2024", 1)]


def test_volumes_are_kept_as_whole_shares(listed: Database) -> None:
    bar_store.load_bars(listed, bars((1, "2024-01-02", 10)).with_columns(volume=pl.lit(1234.6)), "s", "r")
    assert closes(listed) == [(1, dt.date(2024, 1, 2), 10.0, 1235, "r")]


def test_a_volume_that_no_exchange_ever_traded_does_not_end_the_run(listed: Database) -> None:
    """1e20 is a finite number that no count of shares can be: the contract or the load has to say something of it."""
    absurd = bars((1, "2024-01-02", 10)).with_columns(volume=pl.lit(1e20), symbol=pl.lit("A"))
    verdict = judge(bar_contract(exchange_calendar("XNYS")), absurd)
    bar_store.load_bars(listed, verdict.good, "s", "r")
    assert verdict.rejected.height == 1


@pytest.mark.parametrize("at_a_time", [1, 2, 3, 100])
def test_bars_are_the_same_however_many_are_held_against_the_stored_ones_at_a_time(
    listed: Database, monkeypatch: pytest.MonkeyPatch, at_a_time: int
) -> None:
    monkeypatch.setattr(bulk, "COMPARED_ROWS", at_a_time)
    days = ("2024-01-02", "2024-01-03", "2024-01-04")
    merged = bar_store.load_bars(listed, bars(*((2, day, 50) for day in days)), "s", "r")
    assert figures(merged) == (3, 0, 0, 0)
    again = bars(*((1, day, 10) for day in days), (2, days[0], 50), (2, days[1], 51), (2, days[2], 50))
    assert figures(bar_store.load_bars(listed, again, "s", "r")) == (3, 1, 2, 0)
    assert [close for _, _, close, _, _ in closes(listed)] == [10, 10, 10, 50, 51, 50]


def test_a_changed_bar_keeps_its_old_values_and_an_equal_one_is_not_written(listed: Database) -> None:
    bar_store.load_bars(
        listed, bars((1, "2024-01-02", 10), (1, "2024-01-03", 11), (2, "2024-01-02", 50)), "old", "first"
    )
    stamps = "SELECT session, ingested_at, xmin::text FROM bars WHERE security_id = 1 ORDER BY session"
    first, second = fetch(listed, stamps).rows()

    new = bars((1, "2024-01-02", 10), (1, "2024-01-03", 12), (1, "2024-01-04", 13))
    merged = bar_store.load_bars(listed, new, "old", "second")
    assert figures(merged) == (1, 1, 1, 0)
    assert fetch(listed, stamps).rows()[0] == first
    assert fetch(listed, stamps).rows()[1] != second
    assert closes(listed) == [
        (1, dt.date(2024, 1, 2), 10.0, 1000, "first"),
        (1, dt.date(2024, 1, 3), 12.0, 1200, "second"),
        (1, dt.date(2024, 1, 4), 13.0, 1300, "second"),
        (2, dt.date(2024, 1, 2), 50.0, 5000, "first"),  # not in the load: stays
    ]
    revisions = fetch(
        listed,
        "SELECT security_id, session, run_id, old_run_id, old_close, new_close, old_high, new_high, old_volume, "
        "new_volume, old_close_adjusted, new_close_adjusted, old_source, new_source, old_ingested_at "
        "FROM bar_revisions",
    ).rows()
    assert revisions == [
        (1, second[0], "second", "first", 11.0, 12.0, 12.0, 13.0, 1100, 1200, None, None, "old", "old", second[1])
    ]


def test_every_revision_of_a_bar_is_kept(listed: Database) -> None:
    for run, close in enumerate([10, 11, 10]):
        bar_store.load_bars(listed, bars((1, "2024-01-02", close)), "s", str(run))
    history = fetch(listed, "SELECT old_close, new_close, run_id FROM bar_revisions ORDER BY revised_at").rows()
    assert history == [(10.0, 11.0, "1"), (11.0, 10.0, "2")]


def test_the_same_values_from_another_source_are_a_revision(listed: Database) -> None:
    bar_store.load_bars(listed, bars((1, "2024-01-02", 10)), "one", "r")
    assert figures(bar_store.load_bars(listed, bars((1, "2024-01-02", 10)), "two", "r")) == (0, 1, 0, 0)
    assert fetch(listed, "SELECT old_source, new_source FROM bar_revisions").rows() == [("one", "two")]


def test_no_bars_are_no_work(listed: Database) -> None:
    assert figures(bar_store.load_bars(listed, bars(), "s", "r")) == (0, 0, 0, 0)


def test_bars_of_invented_and_of_real_companies_are_counted_apart(listed: Database) -> None:
    security_store.record_securities(listed, listing((3, "demo:C", "C", None, None)), synthetic=True)
    assert bar_store.reach(listed, synthetic=True) is None
    rows = [(1, "2024-01-02", 10.0), (2, "2024-01-02", 20.0), (1, "2024-01-03", 10.0), (3, "2024-01-04", 30.0)]
    bar_store.load_bars(listed, bars(*rows), "s", "r")
    january = dt.date(2024, 1, 1), dt.date(2024, 1, 31)
    real = bar_store.sessions_held(listed, *january, synthetic=False)
    assert real.rows() == [(dt.date(2024, 1, 2), 2), (dt.date(2024, 1, 3), 1)]
    assert bar_store.sessions_held(listed, *january, synthetic=True).rows() == [(dt.date(2024, 1, 4), 1)]
    assert bar_store.sessions_held(listed, january[0], dt.date(2024, 1, 2), synthetic=False).height == 1
    assert bar_store.reach(listed, synthetic=False) == (dt.date(2024, 1, 2), dt.date(2024, 1, 3))
    assert bar_store.reach(listed, synthetic=True) == (dt.date(2024, 1, 4), dt.date(2024, 1, 4))


LOAD = """
import sys
import polars as pl
from breadthflow_pipelines.warehouse.database import Database
from breadthflow_pipelines.warehouse.bar_store import load_bars
merged = load_bars(Database(sys.argv[1], None), pl.read_ipc(sys.argv[2]), "s", sys.argv[3])
print(merged.inserted, merged.updated, merged.unchanged)
"""


@pytest.fixture
def month(tmp_path: Path) -> Path:
    """January 2024 of two securities, as a file that another process can load; differs from FIRST_DAYS in two bars."""
    sessions = [dt.date(2024, 1, d).isoformat() for d in (2, 3, 4, 5, 8)]
    bars(*[(n, s, 10.0 * n + i) for n in (1, 2) for i, s in enumerate(sessions)]).write_ipc(tmp_path / "month.arrow")
    return tmp_path / "month.arrow"


FIRST_DAYS = bars((1, "2024-01-02", 9), (2, "2024-01-02", 20), (2, "2024-01-03", 19))


def waiting(database: Database) -> list[int]:
    with database.connect() as connection, connection.cursor() as cursor:
        cursor.execute(
            "SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
        )
        return [pid for (pid,) in cursor.fetchall()]


@pytest.mark.slow
def test_a_load_killed_after_its_revisions_were_written_leaves_none_of_it(listed: Database, month: Path) -> None:
    bar_store.load_bars(listed, FIRST_DAYS, "s", "first")
    before = closes(listed)
    blocker = psycopg2.connect(listed.url)
    with blocker.cursor() as cursor:  # the old values are kept first, then this row is updated
        cursor.execute("SELECT FROM bars WHERE security_id = 2 AND session = '2024-01-03' FOR UPDATE")
    process = start_python(LOAD, listed.url, month, "killed")
    wait_until(lambda: waiting(listed))
    stuck = waiting(listed)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    blocker.rollback()
    blocker.close()
    wait_until(lambda: fetch(listed, f"SELECT FROM pg_stat_activity WHERE pid = {stuck[0]}").is_empty())
    assert closes(listed) == before
    assert fetch(listed, "SELECT * FROM bar_revisions").is_empty()

    assert figures(bar_store.load_bars(listed, pl.read_ipc(month), "s", "again")) == (7, 2, 1, 0)
    assert fetch(listed, "SELECT DISTINCT run_id, count(*) FROM bar_revisions GROUP BY 1").rows() == [("again", 2)]


@pytest.mark.slow
def test_two_loads_of_one_month_at_once_end_with_the_rows_of_one(listed: Database, month: Path) -> None:
    bar_store.load_bars(listed, FIRST_DAYS, "s", "first")
    blocker = psycopg2.connect(listed.url)
    with blocker.cursor() as cursor:
        cursor.execute("LOCK TABLE bars IN SHARE MODE")
    loads = [start_python(LOAD, listed.url, month, run) for run in ("one", "two")]
    wait_until(lambda: len(waiting(listed)) == 2)
    blocker.rollback()
    blocker.close()
    answers = [load.communicate(timeout=60) for load in loads]
    assert sorted(output.split() for output, _ in answers) == [["0", "0", "10"], ["7", "2", "1"]], answers
    expected = pl.read_ipc(month).select("security_id", "session", "close").rows()
    assert [row[:3] for row in closes(listed)] == expected
    assert fetch(listed, "SELECT count(*) FROM bar_revisions").item() == 2


def test_the_ends_of_the_bars_of_some_are_found_and_null_where_one_has_none(listed: Database) -> None:
    rows = [(1, "2021-12-30", 20.0), (1, "1999-01-04", 20.0), (1, "2003-01-02", 20.0)]
    bar_store.load_bars(listed, bars(*rows), "s", "r")
    found = bar_store.ends_of_bars(listed, [2, 1]).sort("security_id")
    assert found.rows() == [(1, dt.date(1999, 1, 4), dt.date(2021, 12, 30)), (2, None, None)]


def test_the_last_bars_before_a_range_are_found_however_far_back_they_lie(listed: Database) -> None:
    """Security 1 has 300 bars up to 2018, three years of nothing, and is back in 2021; 2 is not a member."""
    old = [dt.date(2018, 12, 31) - dt.timedelta(days=n) for n in range(300)]
    recent = ["2021-12-30", "2021-12-31", "2022-01-03", "2022-01-04"]
    rows = [(1, d.isoformat(), 10.0) for d in old] + [(1, s, 20.0) for s in recent] + [(2, "2022-01-03", 5.0)]
    bar_store.load_bars(listed, bars(*rows), "s", "r")
    security_store.record_members(listed, members(("u", 1, "2000-01-01", None), ("v", 1, "2000-01-01", None)))

    found = bar_store.bars_to_count(listed, dt.date(2022, 1, 1), dt.date(2022, 1, 3), 252, [1])
    assert found.columns == ["security_id", "session", "high", "low", "close", "volume", "close_adjusted"]
    expected = [*sorted(old)[-250:], *map(dt.date.fromisoformat, recent[:3])]
    assert found.sort("session")["session"].to_list() == expected  # 250 + 2 before, 1 within, each once
    assert found["security_id"].unique().to_list() == [1]
    of_members = bar_store.closes(listed, dt.date(2022, 1, 1), dt.date(2022, 1, 3), 252)
    assert of_members.sort("session").equals(found.sort("session").select("security_id", "session", "close"))
