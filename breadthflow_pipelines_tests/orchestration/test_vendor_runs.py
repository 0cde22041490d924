"""Runs on a vendor that fails in the middle: what came is stored and counted, and the next run gets the rest alone."""

import datetime as dt
from collections.abc import Callable, Iterator
from pathlib import Path

import dagster as dg
import pytest

from breadthflow_pipelines.orchestration.wiring import build
from breadthflow_pipelines.sessions import exchange_calendar
from breadthflow_pipelines.settings import Settings, get_settings
from breadthflow_pipelines.sources import registry
from breadthflow_pipelines.sources.throttle import Throttle
from breadthflow_pipelines.sources.yahoo import ATTEMPTS
from breadthflow_pipelines_tests.orchestration.conftest import Store
from breadthflow_pipelines_tests.sources.vendor import ERROR, NEW_YORK, Clock, YahooVendor, serve

FIRST, LAST = dt.date(2023, 1, 3), dt.date(2023, 3, 31)
SYMBOLS = [f"V{number:02}" for number in range(12)]
GOT = 7  # symbols that come before the vendor breaks


@pytest.fixture
def vendor() -> Iterator[YahooVendor]:
    yield from serve(YahooVendor())  # type: ignore[misc]


@pytest.fixture
def yahoo(
    store: Store,
    vendor: YahooVendor,
    frozen: Callable[[dt.date], None],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Store:
    """A store on the evening of LAST whose source is the vendor, with a universe of all its symbols."""
    sessions = exchange_calendar("XNYS").between(FIRST, LAST)
    for number, symbol in enumerate(SYMBOLS):
        for place, day in enumerate(sessions):
            close = 20 + number + place % (number + 2)
            vendor.give(symbol, day, open=close, high=close + 1, low=close - 1, close=close, adjusted=close)
    universe = tmp_path / "universe.csv"
    universe.write_text("universe,symbol,valid_from,valid_to\n" + "".join(f"u,{s},2023-01-03,\n" for s in SYMBOLS))
    for name, value in {
        "SOURCE": "yahoo",
        "SOURCE_PATH": vendor.url,
        "UNIVERSE_FILE": str(universe),
        "START": "2023-01",
    }.items():
        monkeypatch.setenv(f"BREADTHFLOW_{name}", value)
    get_settings.cache_clear()
    clock = Clock()

    def throttle(settings: Settings) -> Throttle:
        return Throttle(settings.request_rate, settings.request_budget, clock=clock.now, sleep=clock.sleep)

    monkeypatch.setattr(registry, "throttle", throttle)
    frozen(LAST)
    return store


@pytest.mark.slow
def test_what_a_vendor_could_not_give_is_got_by_the_next_run_and_nothing_twice(
    yahoo: Store, vendor: YahooVendor, at: Callable[[str], None]
) -> None:
    for symbol in SYMBOLS[GOT:]:
        vendor.fail(symbol, *[ERROR] * ATTEMPTS)
    first = yahoo.run(FIRST, LAST)
    assert (first.exit_status, first.trouble) == (0, None)
    assert first.problems == (f"HTTP 500: {', '.join(SYMBOLS[GOT:])}",)
    warned = {check.name for check in first.checks if check.status == "warned"}
    assert warned == {"every_symbol_answered", "members_have_bars"}
    stored = "SELECT count(*), count(DISTINCT security_id) FROM bars"
    sessions = len(exchange_calendar("XNYS").between(FIRST, LAST))
    assert yahoo.rows(stored) == [(GOT * sessions, GOT)]
    assert yahoo.rows("SELECT DISTINCT members, priced FROM breadth_counts WHERE segment = 'ALL'") == [(12, GOT)]

    evening = dt.datetime(2023, 3, 31, 18, 30, tzinfo=NEW_YORK)
    at(evening.isoformat())
    request = build(get_settings()).resolve_schedule_def("after_the_close")(
        dg.build_schedule_context(instance=yahoo.instance, scheduled_execution_time=evening)
    )
    assert request.tags["dagster/asset_partition_range_start"] == "2023-01"  # type: ignore[union-attr]

    vendor.asked.clear()
    vendor.faults.clear()
    second = yahoo.daily(LAST)  # a daily run, which would begin in March if nothing were missing
    assert vendor.histories() == SYMBOLS[GOT:]
    assert (second.exit_status, second.problems) == (0, ())
    assert yahoo.rows(stored) == [(12 * sessions, 12)]
    assert yahoo.rows("SELECT DISTINCT members, priced FROM breadth_counts WHERE segment = 'ALL'") == [(12, 12)]

    third = yahoo.daily(LAST)
    assert third.rows_changed == 0
    assert yahoo.metadata("bars")["range"].startswith("2023-03")


@pytest.mark.slow
def test_a_vendor_killed_in_the_middle_of_a_backfill_is_gone_on_with_when_it_is_back(
    yahoo: Store, vendor: YahooVendor
) -> None:
    vendor.killed_by = SYMBOLS[GOT]
    first = yahoo.run(FIRST, LAST)
    assert vendor.histories() == SYMBOLS[: GOT + 1]  # the last of them had no answer, and nobody heard the others
    assert first.trouble is None
    broken = yahoo.metadata("bars")
    assert broken["symbols_failed"] == SYMBOLS[GOT:]
    # The one that is absent is the index, of which this vendor never had anything.
    assert broken["symbols"] == {"fetched": GOT, "absent": 1, "failed": len(SYMBOLS) - GOT, "not_yet": 0}
    kept = yahoo.rows("SELECT security_id, session, close, run_id FROM bars ORDER BY 1, 2")
    assert len(kept) == GOT * len(exchange_calendar("XNYS").between(FIRST, LAST))

    back = YahooVendor(vendor.port)  # another process, where the first one was
    back.bars = vendor.bars
    with back.open():
        second = yahoo.run(FIRST, LAST)
    assert back.histories() == SYMBOLS[GOT:]
    assert (second.exit_status, second.problems) == (0, ())
    whole = yahoo.rows("SELECT security_id, session, close, run_id FROM bars ORDER BY 1, 2")
    assert len(whole) == len(kept) // GOT * len(SYMBOLS)
    assert set(kept) < set(whole)  # what had come was not even written again
    assert yahoo.rows("SELECT count(*) FROM bar_revisions") == [(0,)]


@pytest.mark.slow
def test_a_vendor_that_restates_a_split_between_two_daily_runs_leaves_one_scale(
    yahoo: Store, vendor: YahooVendor, frozen: Callable[[dt.date], None]
) -> None:
    calendar = exchange_calendar("XNYS")
    split, sessions = LAST, calendar.between(FIRST, LAST)
    frozen(calendar.back(split, 1))
    assert yahoo.run(FIRST, calendar.back(split, 1)).trouble is None
    told = "SELECT session, advances, declines, unchanged, new_highs_20, above_20 FROM breadth_counts "
    told += "WHERE segment = 'ALL' AND session < %s ORDER BY session"
    before = yahoo.rows(told, split)

    for day in sessions:  # four for one, on the last session; the vendor takes it into the history the same evening
        bar = vendor.bars["V00"][day]
        prices = {name: getattr(bar, name) / 4 for name in ("open", "high", "low", "close", "adjusted")}
        vendor.give("V00", day, volume=4000.0, **prices)
    for day in sessions:  # and another pays a dividend
        bar = vendor.bars["V01"][day]
        prices = {name: getattr(bar, name) for name in ("open", "high", "low", "close")}
        vendor.give("V01", day, adjusted=bar.close * (1.0 if day == split else 0.99), **prices)
    vendor.asked.clear()
    frozen(split)
    report = yahoo.daily(split)
    assert (report.trouble, report.problems, report.restated) == (None, (), 2)
    assert vendor.histories() == [*SYMBOLS, "V00", "V01"]  # two of them a second time, from the first session on
    named = "SELECT session, close, close_adjusted, volume FROM bars JOIN security_symbols USING (security_id) "
    stored = {day: rest for day, *rest in yahoo.rows(named + "WHERE symbol = 'V00' ORDER BY session")}
    bars = vendor.bars["V00"]
    assert stored == {day: [bars[day].close, bars[day].adjusted, 4000] for day in sessions}
    kinds = yahoo.rows(
        "SELECT symbol, kind, count(*) FROM bar_revisions JOIN security_symbols USING (security_id) GROUP BY 1, 2"
    )
    assert sorted(kinds) == [(symbol, "restatement", len(sessions) - 1) for symbol in ("V00", "V01")]
    ratios = yahoo.rows("SELECT price_ratio, adjusted_ratio FROM restatements ORDER BY security_id")
    assert [[ratio and round(ratio, 6) for ratio in row] for row in ratios] == [[0.25, 0.25], [None, 0.99]]
    assert yahoo.rows(told, split) == before
    assert yahoo.daily(split).rows_changed == 0
