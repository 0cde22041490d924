"""However history is cut, repeated or interrupted, the same files give the same tables."""

import datetime as dt
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
import pytest

from breadthflow_pipelines.indicators.technical import WINDOW
from breadthflow_pipelines.model.datasets import MARKET_ASSETS, MONTHLY_ASSETS
from breadthflow_pipelines.orchestration.assets import price_indicators
from breadthflow_pipelines.sources import file_batches, files
from breadthflow_pipelines.warehouse import bar_store, member_store
from breadthflow_pipelines_tests.orchestration.conftest import TABLES, Contents, Store, assert_same
from breadthflow_pipelines_tests.orchestration.small_market import FIRST, LAST, SESSIONS

PROGRAMS = Path(sys.executable).parent
BACKFILL = ["backfill", "--from", str(FIRST), "--to", str(LAST)]


def test_one_shot_backfill_fills_every_table(one_shot: Contents) -> None:
    # What all other tests here compare with must itself be something.
    # Nothing is wrong with it, and no rule has a record after fourteen months.
    assert {table for table, rows in one_shot.items() if not rows} == {
        "quarantined_bars",
        "signal_records",
        "symbol_records",
    }
    _, segments, sessions, *_ = zip(*one_shot["breadth_counts"], strict=True)
    assert set(sessions) == set(SESSIONS)
    assert set(segments) == {"ALL", "Energy", "Health", "Technology"}
    universes, sessions, members, *_ = zip(*one_shot["price_indicators"], strict=True)
    assert (set(universes), set(sessions), len(set(members))) == ({"small"}, set(SESSIONS), 15)
    signalled = {session for _, session, *_ in one_shot["symbol_signals"]}
    assert signalled == set(SESSIONS[-len(signalled) :])  # from the first that has any through the last


def test_filled_store_has_what_depends_on_more_than_a_month_of_one_security(filled: Store) -> None:
    # Else identical tables would say nothing of it: recursions, the universe's median, its regime, its index.
    told = (
        "SELECT count(ema_200), count(pct_from_high_252), count(relative_strength), count(adx_14) FROM price_indicators"
    )
    assert min(filled.rows(told)[0]) > 100
    gated = "SELECT count(*) FILTER (WHERE gated), count(regime), count(DISTINCT action) FROM symbol_signals"
    held_back, known, actions = filled.rows(gated)[0]
    assert held_back > 10
    assert known > 1000
    assert actions == 3
    assert filled.rows("SELECT count(index_trend_50) FROM breadth_indicators WHERE segment = 'ALL'") == [
        (len(SESSIONS) - 50,)
    ]


@pytest.mark.slow
def test_month_by_month_gives_the_tables_of_one_backfill(store: Store, one_shot: Contents) -> None:
    months = sorted({day.replace(day=1) for day in SESSIONS})
    for month in months:
        report = store.run(month, max(day for day in SESSIONS if day.replace(day=1) == month))
        assert report.trouble is None
    assert_same(store.contents(), one_shot)


@pytest.mark.slow
def test_backfilling_backwards_gives_the_tables_of_one_backfill(store: Store, one_shot: Contents) -> None:
    # The later half is counted first without the year of bars before it: its recursions start in June, and its members
    # are held against no score. The run of the first half computes it again, because bars below it came.
    middle = dt.date(2023, 6, 1)
    store.run(middle, LAST)
    assert not set(store.contents()["price_indicators"]) <= set(one_shot["price_indicators"])
    store.run(FIRST, middle - dt.timedelta(days=1))
    assert_same(store.contents(), one_shot)


@pytest.mark.slow
def test_daily_runs_give_the_tables_of_one_backfill(
    store: Store, one_shot: Contents, frozen: Callable[[dt.date], None]
) -> None:
    # As it happens in life: each evening the files reach one session further and the clock stands there. That passes
    # through two ends of months, a member that leaves and rows that turn from provisional to final.
    daily = SESSIONS[-25:]
    store.small.write(through=SESSIONS[-26])
    frozen(SESSIONS[-26])
    store.run(FIRST, SESSIONS[-26])
    for session in daily:
        store.small.write(through=session)
        frozen(session)
        report = store.daily(session)
        assert report.trouble is None
        assert [check.name for check in report.checks if check.status == "failed"] == []
    states = dict(store.rows("SELECT session, state FROM breadth_indicators WHERE segment = 'ALL'"))
    assert [day for day in SESSIONS if states[day] == "provisional"][-3:] == SESSIONS[-3:]
    frozen(dt.date(2024, 1, 31))
    store.run(LAST, LAST)  # a month later nothing is open any more
    assert_same(store.contents(), one_shot)


def test_months_after_the_last_bar_add_no_row(store: Store, one_shot: Contents) -> None:
    store.run(FIRST, LAST + dt.timedelta(days=100))
    assert_same(store.contents(), one_shot)


def test_repeated_backfill_changes_no_row(filled: Store) -> None:
    before = _versions(filled)
    report = filled.run()
    assert report.figures["bars"] == {
        "rows_read": filled.small.good_rows() + 3,
        "rows_inserted": 0,
        "rows_revised": 0,
        "rows_unchanged": filled.small.good_rows(),
        "rows_removed": 0,
        "rows_rejected": 3,
    }
    assert report.rows_changed == 0
    assert _versions(filled) == before


@pytest.mark.slow
@pytest.mark.parametrize("how", ["control-c", "a bug"])
def test_interrupted_backfill_repeated_gives_the_tables_of_one_backfill(
    how: str, store: Store, one_shot: Contents, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_batches, "CHUNK_ROWS", 400)  # a symbol or two at a time
    with monkeypatch.context() as patch:
        patch.setattr(files.Files, "bars", _ending_early(control_c if how == "control-c" else a_bug))
        report = store.run()
    assert report.exit_status == 1
    assert ("bars was interrupted" if how == "control-c" else "bars failed: KeyError") in str(report.trouble)
    assert 0 < store.rows("SELECT count(*) FROM bars")[0][0] < len(one_shot["bars"])
    assert store.rows("SELECT count(*) FROM breadth_counts") == [(0,)]
    assert store.run().exit_status == 0
    assert_same(store.contents(), one_shot)


@pytest.mark.slow
def test_backfill_that_fails_between_two_shards_of_members_repeated_gives_the_tables_of_one_backfill(
    store: Store, one_shot: Contents, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(price_indicators, "SHARD_BARS", 900)  # three securities or so
    with monkeypatch.context() as patch:
        patch.setattr(bar_store, "bars_from", _failing(bar_store.bars_from, call=3))
        report = store.run()
    assert (report.exit_status, str(report.trouble)) == (1, "price_indicators failed: KeyError: 'surprise'")
    assert store.rows("SELECT count(*) FROM price_indicators") == [(0,)]  # new years join when all are full
    assert store.run().exit_status == 0
    assert_same(store.contents(), one_shot)


@pytest.mark.slow
def test_backfill_that_fails_between_two_years_of_signals_repeated_gives_the_tables_of_one_backfill(
    filled: Store, one_shot: Contents, monkeypatch: pytest.MonkeyPatch
) -> None:
    # In 2022 there is not enough history for a signal yet; whatever stands there is made good with the first year.
    by_year = (
        "SELECT extract(year FROM session)::int, count(*), max(abs(strength)) FROM symbol_signals GROUP BY 1 ORDER BY 1"
    )
    filled.execute(
        "UPDATE symbol_signals SET strength = 0",
        "INSERT INTO symbol_signals (universe, session, security_id, action, confidence, strength, gated, convention) "
        "SELECT universe, session, security_id, 'hold', 0, 0, false, 2 FROM price_indicators "
        "WHERE session BETWEEN '2022-12-01' AND '2022-12-31'",
    )
    of_2023 = (2023, len(one_shot["symbol_signals"]), 0.0)
    assert [year for year, *_ in filled.rows(by_year)] == [2022, 2023]
    with monkeypatch.context() as patch:
        patch.setattr(member_store, "regimes", _failing(member_store.regimes, call=2))
        report = filled.run()
    assert (report.exit_status, str(report.trouble)) == (1, "symbol_signals failed: KeyError: 'surprise'")
    assert filled.rows(by_year) == [of_2023]
    assert filled.run().exit_status == 0
    assert_same(filled.contents(), one_shot)


def test_a_month_again_reads_of_each_member_only_what_its_recursions_go_on_from(
    filled: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, bars_from = [], bar_store.bars_from

    def counted(*arguments: Any) -> pl.DataFrame:
        read.append(bars_from(*arguments))
        return read[-1]

    monkeypatch.setattr(bar_store, "bars_from", counted)
    assert filled.run(dt.date(2023, 12, 1), LAST).rows_changed == 0
    by_member = pl.concat(read).group_by("security_id").agg(pl.len())["len"]
    [(whole,)] = filled.rows("SELECT max(n) FROM (SELECT count(*) AS n FROM bars GROUP BY security_id) b")
    assert whole == len(SESSIONS)
    assert by_member.max() == WINDOW + sum(day >= dt.date(2023, 12, 1) for day in SESSIONS)


@pytest.mark.slow
def test_recursions_go_on_from_nothing_that_a_correction_made_wrong(filled: Store, one_shot: Contents) -> None:
    """A correction of May computes all that follows it, and what later runs go on from."""
    [(security,)] = filled.rows("SELECT min(security_id) FROM price_indicators WHERE ema_200 IS NOT NULL")
    filled.execute(
        f"UPDATE bars SET close = low, high = high * 1.02 WHERE security_id = {security} AND session = '2023-05-10'",
        f"UPDATE recursion_states SET states[1] = 1 WHERE security_id = {security} AND session >= '2023-05-10'",
    )
    assert filled.run(dt.date(2023, 5, 1), dt.date(2023, 5, 31)).exit_status == 0  # the files have it right
    assert_same(filled.contents(), one_shot)
    assert filled.rows("SELECT count(*) FROM recursion_states WHERE states[1] = 1") == [(0,)]
    assert filled.run(dt.date(2023, 12, 1), LAST).rows_changed == 0


@pytest.mark.slow
@pytest.mark.parametrize("size", [1, 300, 1_000_000])
def test_size_of_a_shard_changes_nothing(
    size: int, store: Store, one_shot: Contents, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(price_indicators, "SHARD_BARS", size)  # less than a security, one or two, all
    store.run()
    assert_same(store.contents(), one_shot)


def test_control_c_ends_the_run_at_once(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    attempts: list[int] = []

    def counted() -> None:
        attempts.append(1)
        control_c()

    monkeypatch.setattr(file_batches, "CHUNK_ROWS", 400)
    monkeypatch.setattr(files.Files, "bars", _ending_early(counted))
    report = store.run()
    assert len(attempts) == 1
    assert "universe_members" not in report.figures  # it was due, and needs no bars


@pytest.mark.slow
@pytest.mark.parametrize(
    ("module", "function", "call"),
    [
        ("warehouse.bar_store", "load_bars", 4),  # between two chunks of bars
        ("warehouse.bulk", "append", 5),  # within the transaction of a chunk
        ("warehouse.breadth_store", "record_counts", 2),  # between two years of counts
        ("warehouse.member_store", "record_price_indicators", 3),  # between two shards of members
        ("warehouse.new_years", "append", 3),  # within the transaction of their years
        ("warehouse.new_years", "analyze_new", 1),  # after these joined
        ("warehouse.member_store", "record_symbol_signals", 2),  # between two years of their signals
    ],
)
def test_killed_backfill_repeated_gives_the_tables_of_one_backfill(
    module: str, function: str, call: int, store: Store, one_shot: Contents
) -> None:
    command = [sys.executable, "-c", STOPPING, module, function, str(call), *BACKFILL]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as killed:
        assert killed.stdout is not None
        assert killed.stdout.readline() == b"here\n"
        killed.kill()
    left = store.contents()
    assert 0 < len(left["bars"]) <= len(one_shot["bars"])
    of_members, whole = len(left["price_indicators"]), len(one_shot["price_indicators"])
    assert of_members == (whole if function in ("record_symbol_signals", "analyze_new") else 0)
    if function != "record_symbol_signals":
        assert left["market_signals"] == []
    assert left["symbol_signals"] == []
    dead = store.instance.get_runs()[0]
    assert dead.status is dg.DagsterRunStatus.STARTED

    assert store.run().exit_status == 0

    assert_same(store.contents(), one_shot)
    ended = store.instance.get_run_by_id(dead.run_id)
    assert ended is not None
    assert ended.status is dg.DagsterRunStatus.FAILURE


@pytest.mark.slow
def test_two_backfills_at_once_end_with_the_rows_of_one(store: Store, one_shot: Contents) -> None:
    command = [str(PROGRAMS / "breadthflow"), *BACKFILL]
    both = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    for process in both:
        _, complaints = process.communicate(timeout=300)
        assert process.returncode == 0, complaints
    assert_same(store.contents(), one_shot)
    inserted = store.rows("SELECT count(DISTINCT run_id) FROM bars")[0][0]
    assert inserted in (1, 2)  # who was first with which chunk is left to chance
    assert store.rows("SELECT count(*) FROM bar_revisions") == [(0,)]


@pytest.mark.slow
def test_dagsters_own_range_run_gives_the_tables_of_one_backfill(store: Store, one_shot: Contents) -> None:
    # What the UI starts for a range, and what `dagster asset materialize --partition-range` runs.
    done = subprocess.run(
        [
            *(PROGRAMS / "dagster", "asset", "materialize", "-m", "breadthflow_pipelines.definitions"),
            *("--select", ",".join(MARKET_ASSETS), "--partition-range", "2022-11...2023-12"),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert_same(store.contents(), one_shot)
    for asset in MONTHLY_ASSETS:
        months = store.instance.get_materialized_partitions(dg.AssetKey(asset))
        assert months == {day.strftime("%Y-%m") for day in SESSIONS}


STOPPING = """
import importlib, sys, time
from breadthflow_pipelines import cli
from breadthflow_pipelines.orchestration.assets import price_indicators
from breadthflow_pipelines.sources import file_batches

file_batches.CHUNK_ROWS = 400
price_indicators.SHARD_BARS = 900
place = importlib.import_module(f"breadthflow_pipelines.{sys.argv[1]}")
real, calls = getattr(place, sys.argv[2]), []

def stopping(*arguments, **options):
    calls.append(1)
    if len(calls) == int(sys.argv[3]):
        print("here", flush=True)
        time.sleep(600)
    return real(*arguments, **options)

setattr(place, sys.argv[2], stopping)
cli.main(sys.argv[4:])
"""


def control_c() -> None:
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(5)  # the handler interrupts it


def a_bug() -> None:
    raise KeyError("surprise")


def _ending_early(end: Callable[[], None]) -> Callable[..., Iterator[object]]:
    whole = files.Files.bars

    def bars(*arguments: object) -> Iterator[object]:
        for number, chunk in enumerate(whole(*arguments)):  # type: ignore[arg-type]
            if number == 3:
                end()
            yield chunk

    return bars


def _failing(whole: Callable[..., object], call: int) -> Callable[..., object]:
    """The function, which fails at its call of that number."""
    calls: list[int] = []

    def failing(*arguments: object) -> object:
        calls.append(1)
        if len(calls) == call:
            raise KeyError("surprise")
        return whole(*arguments)

    return failing


def _versions(store: Store) -> dict[str, list[tuple[object, ...]]]:
    """Which transaction wrote each row last: a row that was written again, even with equal values, has another."""
    return {table: store.rows(f"SELECT ctid::text, xmin::text FROM {table} ORDER BY 1") for table in TABLES}
