"""What a source changes afterwards: histories on another scale, single bars, bars that come late, memberships, sectors.

Whatever it was, a whole backfill finds nothing left to change: everything downstream was computed again.
"""

import datetime as dt
from collections.abc import Callable, Collection, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from breadthflow_pipelines.errors import RequestError, SourceError
from breadthflow_pipelines.orchestration import planning
from breadthflow_pipelines.orchestration.assets import breadth_counts
from breadthflow_pipelines.sources import files
from breadthflow_pipelines.sources.protocol import Chunk
from breadthflow_pipelines.warehouse import breadth_listing, overview, signal_listing
from breadthflow_pipelines.warehouse.database import Row
from breadthflow_pipelines.warehouse.restatements import LEFT_BEHIND
from breadthflow_pipelines_tests.orchestration.conftest import Store
from breadthflow_pipelines_tests.orchestration.small_market import FIRST, LAST, SESSIONS, SmallMarket

Days = tuple[dt.date, dt.date]
FEBRUARY = (dt.date(2023, 2, 1), dt.date(2023, 2, 28))
DAY = dt.date(2023, 2, 15)
NOTED = "SELECT count(*) FROM recomputations"


def scale(small: SmallMarket, symbol: str, ratio: float) -> None:
    """The source gives the symbol's whole history on another scale."""
    small.rows[symbol] = [
        (day, *(float(price) * ratio for price in prices), float(volume) / ratio)
        for day, *prices, volume in small.rows[symbol]
    ]
    small.write()


def closes(store: Store, symbol: str) -> dict[dt.date, float]:
    query = "SELECT session, close FROM bars JOIN security_symbols USING (security_id) WHERE symbol = %s"
    return dict(store.rows(query, symbol))  # type: ignore[arg-type]


def sound_rows(store: Store, symbol: str) -> list[tuple[Any, ...]]:
    return [row for row in store.small.rows[symbol] if float(row[2]) >= float(row[3])]


def directions(store: Store) -> list[tuple[Any, ...]]:
    query = "SELECT segment, session, advances, declines, unchanged, above_50, new_highs, new_lows FROM breadth_counts"
    return store.rows(f"{query} ORDER BY segment, session")


def revisions(store: Store) -> list[tuple[Any, ...]]:
    return store.rows("SELECT kind, count(*), min(session), max(session) FROM bar_revisions GROUP BY kind")


def sessions_that_differ(before: list[tuple[Any, ...]], after: list[tuple[Any, ...]]) -> int:
    """Of rows (segment, session, ...): how many sessions had a row that is another one now."""
    return len({row[1] for row in set(before) - set(after)})


def nothing_is_left_to_do(store: Store) -> None:
    assert store.rows(NOTED) == [(0,)]
    whole = store.run()
    assert {name: whole.figures[name] for name, rows in whole.figures.items() if any(_changed(rows))} == {}


def _changed(figures: dict[str, int]) -> list[int]:
    return [figures.get(name, 0) for name in ("rows_inserted", "rows_revised", "rows_removed")]


@pytest.mark.slow
def test_a_split_between_two_daily_runs_leaves_a_whole_history_on_one_scale(filled: Store) -> None:
    old, counted = closes(filled, "AAA"), directions(filled)
    scale(filled.small, "AAA", 2.0)
    report = filled.daily(LAST)  # reads December; the split multiplied everything before it
    assert (report.trouble, report.restated, report.problems) == (None, 1, ())
    assert closes(filled, "AAA") == {day: close * 2 for day, close in old.items()}
    assert directions(filled) == counted
    assert revisions(filled) == [("restatement", len(old), min(old), max(old))]
    kept = filled.rows("SELECT session, old_close, new_close FROM bar_revisions")
    assert {(day, was, now) for day, was, now in kept} == {(day, close, close * 2) for day, close in old.items()}
    [(ratio, adjusted, compared, applied)] = filled.rows(
        "SELECT price_ratio, adjusted_ratio, compared, applied_at IS NOT NULL FROM restatements"
    )
    assert (ratio, adjusted, compared, applied) == (2.0, None, 30, True)  # December's sessions, and ten before
    assert "AAA" in str(filled.metadata("bars")["restated"])
    assert filled.metadata("bars")["bars_corrected"] == 0
    nothing_is_left_to_do(filled)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("first", "then"),
    [
        pytest.param((FIRST, dt.date(2023, 9, 30)), (dt.date(2023, 10, 1), LAST), id="months after it"),
        pytest.param((dt.date(2023, 2, 1), LAST), (FIRST, dt.date(2023, 1, 31)), id="months before it"),
    ],
)
def test_months_that_are_added_to_a_history_before_a_split_do_not_come_on_another_scale(
    store: Store, first: Days, then: Days
) -> None:
    store.run(*first)
    scale(store.small, "AAA", 0.5)
    report = store.run(*then)
    assert report.restated == 1
    assert closes(store, "AAA") == {dt.date.fromisoformat(str(row[0])): row[4] for row in sound_rows(store, "AAA")}
    added = directions(store)
    store.execute("TRUNCATE breadth_counts")
    store.run()
    assert directions(store) == added


@pytest.mark.slow
def test_a_bar_corrected_long_ago_changes_all_that_was_made_of_it_and_the_run_says_what(filled: Store) -> None:
    query = "SELECT segment, session, advances, declines, unchanged, points_gained, points_lost, above_20, above_50, "
    query += (
        "above_100, above_150, above_200, new_highs, new_lows, new_highs_20, new_lows_20, up_dollars, down_dollars, "
    )
    query += "up_volume, down_volume, unchanged_volume FROM breadth_counts"
    before = filled.rows(query)
    high = max(closes(filled, "AAA").values())
    filled.small.restate("AAA", DAY, high * 1.01)  # a new high, which hides others for a year
    report = filled.run(*FEBRUARY)
    assert report.trouble is None
    assert revisions(filled) == [("correction", 1, DAY, DAY)]
    assert filled.metadata("bars")["bars_corrected"] == 1
    said = filled.metadata("breadth_counts")
    assert said["sessions_revised"] == sessions_that_differ(before, filled.rows(query)) > 5
    assert said["computed"] == f"{FEBRUARY[0]} to {LAST}, because of changes in bars"
    nothing_is_left_to_do(filled)


@pytest.mark.slow
def test_bars_that_come_late_change_what_follows_them(store: Store) -> None:
    good = list(store.small.rows["BBB"])
    store.small.rows["BBB"] = [row for row in good if not str(row[0]).startswith("2023-01")]
    store.small.write()
    assert store.run().trouble is None
    store.small.rows["BBB"] = good
    store.small.write()
    assert store.run(dt.date(2023, 1, 1), dt.date(2023, 1, 31)).trouble is None
    nothing_is_left_to_do(store)


@pytest.mark.slow
def test_members_and_sectors_of_the_past_are_counted_as_they_are_known_now(filled: Store, tmp_path: Path) -> None:
    _edit(tmp_path / "members.csv", "small,BBB,2022-11-01,2023-03-01", "small,BBB,2022-11-01,2023-04-03")  # left later
    _edit(tmp_path / "members.csv", "small,GGG,2023-05-22,", "small,GGG,2023-05-01,")  # joined earlier
    _edit(tmp_path / "instruments.csv", "CCC,CCC Incorporated,Health", "CCC,CCC Incorporated,Energy")
    before = directions(filled)
    assert filled.daily(LAST).trouble is None
    changed = {(row[0], row[1]) for row in set(before) ^ set(directions(filled))}
    assert {day for segment, day in changed if segment == "ALL"} == {
        *(day for day in SESSIONS if dt.date(2023, 3, 1) <= day < dt.date(2023, 4, 3)),
        *(day for day in SESSIONS if dt.date(2023, 5, 1) <= day < dt.date(2023, 5, 22)),
    }
    assert min(day for segment, day in changed if segment == "Energy") < dt.date(2022, 12, 1)
    nothing_is_left_to_do(filled)


def _edit(file: Path, old: str, new: str) -> None:
    text = file.read_bytes().decode()
    assert old in text
    file.write_text(text.replace(old, new), newline="")


@pytest.mark.slow
def test_a_run_that_dies_between_bars_and_counts_leaves_a_note_for_the_next_one(
    filled: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    filled.small.restate("AAA", DAY, 3.0)

    def broken(*_: object) -> pl.DataFrame:
        raise RuntimeError("out of memory")

    with monkeypatch.context() as patch:
        patch.setattr(breadth_counts, "breadth_of", broken)
        assert filled.run(*FEBRUARY).trouble is not None
    assert filled.rows(NOTED)[0][0] >= 3
    due = {row["asset"]: (row["first"], row["changed"]) for row in overview.overview(filled.database)["due"]}
    assert due["breadth_counts"] == (DAY, "bars, quarantined_bars")  # 3.0 is no price of it
    assert due["symbol_signals"] == (DAY, "bars, price_indicators, quarantined_bars")  # its indicators were made
    assert filled.daily(LAST).trouble is None  # of December
    nothing_is_left_to_do(filled)


Bars = Callable[[files.Files, Collection[str] | None, dt.date, dt.date], Iterator[Chunk]]


def _without_history(monkeypatch: pytest.MonkeyPatch) -> None:
    """The source gives the month, and breaks when it is asked for a history."""
    whole: Bars = files.Files.bars

    def bars(self: files.Files, symbols: Collection[str] | None, start: dt.date, end: dt.date) -> Iterator[Chunk]:
        if symbols is not None:
            raise SourceError("the vendor is closed for today")
        yield from whole(self, symbols, start, end)

    monkeypatch.setattr(files.Files, "bars", bars)


@pytest.mark.slow
def test_a_history_that_cannot_be_had_now_stays_on_its_scale_until_it_can(
    filled: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = closes(filled, "AAA")
    scale(filled.small, "AAA", 0.5)
    with monkeypatch.context() as patch:
        _without_history(patch)
        report = filled.daily(LAST)
    assert report.problems == ("AAA was restated (prices x 0.5) and stays as it was: the vendor is closed for today",)
    assert filled.metadata("bars")["symbols_failed"] == ["AAA"]
    warned = {check.name for check in report.checks if check.status == "warned"}
    assert warned == {"every_symbol_answered", "members_have_bars"}  # of this market one member never has any
    assert closes(filled, "AAA") == old
    [waiting] = overview.overview(filled.database)["restated"]
    assert (waiting["symbol"], waiting["price_ratio"], waiting["stored_anew"]) == ("AAA", 0.5, None)

    assert filled.daily(LAST).restated == 1
    assert overview.overview(filled.database)["restated"][0]["stored_anew"] > waiting["noticed"]
    assert closes(filled, "AAA") == {day: close / 2 for day, close in old.items()}


@pytest.mark.slow
def test_a_history_that_came_in_part_is_not_mixed_with_the_rest(filled: Store) -> None:
    old = closes(filled, "AAA")
    scale(filled.small, "AAA", 2.0)
    filled.small.rows["AAA"] = [row for row in filled.small.rows["AAA"] if str(row[0]) >= "2023-06"]
    filled.small.write()
    report = filled.daily(LAST)
    assert closes(filled, "AAA") == old
    [problem] = report.problems
    assert "AAA was restated (prices x 2) and stays as it was: of its 291 stored bars" in problem
    assert f"but none of {FIRST}" in problem


@pytest.mark.slow
def test_single_bars_that_a_restated_history_lacks_are_kept_aside(filled: Store) -> None:
    scale(filled.small, "AAA", 2.0)
    gone = [str(day) for day in (SESSIONS[30], SESSIONS[31])]
    filled.small.rows["AAA"] = [row for row in filled.small.rows["AAA"] if row[0] not in gone]
    filled.small.write()
    assert filled.daily(LAST).restated == 1
    rejected = filled.rows("SELECT symbol, session::text FROM rejected_bars WHERE %s = ANY(reasons)", LEFT_BEHIND)
    assert sorted(rejected) == [("AAA", day) for day in gone]
    assert not {dt.date.fromisoformat(day) for day in gone} & closes(filled, "AAA").keys()


@pytest.mark.slow
def test_a_source_whose_prices_all_mean_something_else_is_not_taken_for_splits(filled: Store) -> None:
    before = filled.contents()
    whole = {symbol: list(rows) for symbol, rows in filled.small.rows.items()}
    for symbol in filled.small.rows:
        scale(filled.small, symbol, 0.98)
    report = filled.daily(LAST)
    assert report.exit_status == 2
    assert "The prices of 15 of 16 securities came on another scale at once" in str(report.trouble)
    assert filled.contents()["bars"] == before["bars"]  # JJJ, of which December has nothing, is the sixteenth

    # Nor later, when nothing is stored any more that could be compared with what comes.
    filled.execute("DELETE FROM bars WHERE session >= '2023-12-01'")
    assert filled.run(dt.date(2023, 12, 1), LAST).exit_status == 2

    filled.small.rows = whole
    filled.small.write()
    assert filled.run(dt.date(2023, 11, 1), LAST).trouble is None
    assert filled.contents()["bars"] == before["bars"]
    assert filled.rows("SELECT count(*) FROM restatements WHERE applied_at IS NULL") == [(0,)]


@pytest.mark.slow
def test_what_was_known_before_a_correction_is_answered_as_of_then(filled: Store) -> None:
    def told(as_of: dt.datetime | None = None, day: dt.date = DAY) -> tuple[Any, ...]:
        columns = ["session", "advances", "declines", "ad_line", "state"]
        [row] = breadth_listing.breadth(filled.database, "small", day, day, "ALL", columns, as_of)
        return tuple(row.values())

    def signalled(as_of: dt.datetime | None = None) -> list[Row]:
        return signal_listing.signals(filled.database, DAY, None, "small", None, None, as_of)

    [(then,)] = filled.rows("SELECT now()")
    before, last, signals = told(), told(day=LAST), signalled()
    close = filled.small.restate("AAA", DAY, 3.0)
    assert close > 10
    assert filled.run(*FEBRUARY).trouble is None
    now = told()
    assert now != before
    assert signalled(then) == signals != signalled()
    assert told(then) == before
    assert told(then, LAST) == last != told(day=LAST)  # the line goes on from there
    [(after,)] = filled.rows("SELECT now()")
    assert told(after) == now
    filled.small.restate("AAA", DAY, close)
    assert filled.run(*FEBRUARY).trouble is None
    assert (told(then)[1:3], told(after), told()[1:3]) == (before[1:3], now, before[1:3])
    with pytest.raises(RequestError, match="no such breadth of small was known"):
        told(then - dt.timedelta(days=400))


@pytest.mark.slow
def test_nothing_is_kept_of_what_did_not_change(filled: Store) -> None:
    filled.daily(LAST)
    assert filled.rows("SELECT count(*) FROM breadth_revisions WHERE session < '2023-12-01'") == [(0,)]


def test_first_day_due_does_not_go_back_for_what_needs_no_reading(filled: Store) -> None:
    filled.execute(
        "INSERT INTO recomputations (asset, first_session, cause) VALUES ('breadth_counts', '2023-02-01', 'bars')"
    )
    assert planning.first_day_due(filled.instance, filled.market, LAST) > dt.date(2023, 11, 30)


def test_bars_that_a_source_gives_several_times_are_stored_in_its_order(
    filled: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Chunks of the same securities are not written side by side: each corrects the one before it."""
    whole: Bars = files.Files.bars
    times = 6

    def bars(self: files.Files, symbols: Collection[str] | None, start: dt.date, end: dt.date) -> Iterator[Chunk]:
        for chunk in whole(self, symbols, start, end):
            for more in range(1, times + 1):
                yield replace(chunk, bars=chunk.bars.with_columns(pl.col("volume") + more))

    query = "SELECT security_id, session, volume FROM bars WHERE session BETWEEN %s AND %s ORDER BY 1, 2"
    before = filled.rows(query, *FEBRUARY)
    monkeypatch.setattr(files.Files, "bars", bars)
    filled.run(*FEBRUARY)
    assert filled.rows(query, *FEBRUARY) == [(one, day, volume + times) for one, day, volume in before]
    assert filled.rows("SELECT count(*) FROM bar_revisions") == [(times * len(before),)]
