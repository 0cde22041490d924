"""Members that the source no longer has, without a universe file: they stay, and all that was counted with them."""

import datetime as dt
from collections import Counter
from typing import Any

import pytest

from breadthflow_pipelines.settings import get_settings
from breadthflow_pipelines.warehouse import verdicts
from breadthflow_pipelines.warehouse.database import Row
from breadthflow_pipelines_tests.orchestration.conftest import Contents, Prepare, Store, assert_same
from breadthflow_pipelines_tests.orchestration.small_market import FIRST, LAST, SESSIONS
from breadthflow_pipelines_tests.orchestration.test_gates import alone

EVE = dt.date(2023, 12, 15)  # two weeks before the market's last session
NEXT = SESSIONS[SESSIONS.index(EVE) + 1]
GONE = ("AAA", "JJJ")  # one trades through EVE, one was delisted in September
DAYS_KEPT = 40


def without_file(monkeypatch: pytest.MonkeyPatch) -> None:
    """All that the source has is the universe ``all``."""
    for name in ("UNIVERSE_FILE", "INDEX_SYMBOLS"):
        monkeypatch.delenv(f"BREADTHFLOW_{name}")
    get_settings.cache_clear()


@pytest.fixture
def by_bars(prepared: Prepare, monkeypatch: pytest.MonkeyPatch) -> Store:
    """A store through EVE whose universe is made of its files; the files go on through the last session."""

    def fill(store: Store) -> None:
        without_file(monkeypatch)
        store.small.write(through=EVE)
        assert store.run(FIRST, EVE).exit_status == 0

    store = prepared("by bars, through the eve", fill)
    without_file(monkeypatch)
    store.small.write()
    return store


@pytest.fixture
def whole(prepared: Prepare, monkeypatch: pytest.MonkeyPatch) -> Contents:
    """What a store of all files holds after one backfill."""

    def fill(store: Store) -> None:
        without_file(monkeypatch)
        store.small.write()
        assert store.run().exit_status == 0

    return prepared("by bars, whole", fill).contents()


@pytest.fixture
def ended(prepared: Prepare, monkeypatch: pytest.MonkeyPatch) -> Contents:
    """The same where the file of one ends two weeks before the others."""

    def fill(store: Store) -> None:
        without_file(monkeypatch)
        every = store.small.rows["AAA"]
        store.small.rows["AAA"] = [row for row in every if str(row[0]) <= str(EVE)]
        store.small.write()
        store.small.rows["AAA"] = every
        assert store.run().exit_status == 0

    return prepared("by bars, one delisted", fill).contents()


def put_away(store: Store, *symbols: str) -> None:
    for symbol in symbols:
        del store.small.rows[symbol]
        (store.small.bars / f"{symbol.lower()}.csv").unlink()


def members(store: Store) -> dict[str, tuple[dt.date, dt.date | None]]:
    rows = store.rows("SELECT symbol, valid_from, valid_to FROM universe_members WHERE universe = 'all'")
    assert max(Counter(symbol for symbol, *_ in rows).values()) == 1
    return {symbol: (start, end) for symbol, start, end in rows}


def counted(store: Store, through: dt.date = EVE) -> list[tuple[Any, ...]]:
    """The sessions through a day, with how many members each was counted from."""
    query = "SELECT segment, session, members, priced, advances, declines FROM breadth_counts WHERE session <= %s"
    return store.rows(f"{query} ORDER BY segment, session", through)


def said(store: Store) -> list[Row]:
    return [row for row in verdicts.failing(store.database) if row["check"] == "memberships_still_given"]


def judged(store: Store) -> str | None:
    """Store what the source, or the file, gives now; what is said of what it does not."""
    get_settings.cache_clear()
    assert alone(store, "securities", "universe_members") is None
    rows = said(store)
    return str(rows[0]["said"]) if rows else None


@pytest.mark.slow
def test_whose_file_is_put_away_stays_through_its_last_bar_as_if_the_file_were_there(
    ended: Contents, by_bars: Store
) -> None:
    before, was = counted(by_bars), members(by_bars)
    put_away(by_bars, *GONE)
    report = by_bars.daily(LAST)
    assert (report.trouble, report.exit_status) == (None, 0)
    assert members(by_bars) == was | {"AAA": (FIRST, EVE + dt.timedelta(days=1))}
    assert counted(by_bars) == before
    later = "SELECT DISTINCT members FROM breadth_counts WHERE session > %s AND segment = 'ALL'"
    assert by_bars.rows(later, EVE) == [(14,)]  # of sixteen symbols
    assert str(by_bars.metadata("breadth_counts")["computed"]).startswith("2023-12")
    assert_same(by_bars.contents(), ended)


@pytest.mark.slow
def test_days_whose_files_are_put_away_stay_counted(whole: Contents, by_bars: Store) -> None:
    """One file for each day, and those of some weeks are kept."""
    before, was = counted(by_bars), members(by_bars)
    rows = [(symbol, *row) for symbol, rows in by_bars.small.rows.items() for row in rows]
    for path in by_bars.small.bars.iterdir():
        path.unlink()
    for day in map(str, SESSIONS[-DAYS_KEPT:]):
        lines = [",".join(map(str, row)) for row in rows if row[1] == day]
        header = "symbol,session,open,high,low,close,volume"
        (by_bars.small.bars / f"{day}.csv").write_text("\n".join([header, *lines, ""]))
    report = by_bars.daily(LAST)
    assert (report.trouble, report.exit_status) == (None, 0)
    assert members(by_bars) == was
    assert counted(by_bars) == before
    assert str(by_bars.metadata("breadth_counts")["computed"]).startswith("2023-12")
    assert_same(by_bars.contents(), whole)


@pytest.mark.slow
def test_a_file_that_cannot_be_read_for_an_evening_concerns_that_session_alone(whole: Contents, by_bars: Store) -> None:
    before, was = counted(by_bars), members(by_bars)
    by_bars.small.write(through=NEXT)
    (by_bars.small.bars / "ddd.csv").write_text("this,is,no\nbar,file,at all\n")
    report = by_bars.daily(NEXT)
    assert {check.name for check in report.checks if check.status == "warned"} >= {"every_symbol_answered"}
    assert members(by_bars) == was
    assert counted(by_bars) == before
    session = "SELECT members, priced FROM breadth_counts WHERE session = %s AND segment = 'ALL'"
    [(of, priced)] = by_bars.rows(session, NEXT)
    assert (of, priced) == (15, 14)  # sixteen symbols without JJJ: it counts as a member whose bar is missing
    by_bars.small.write()
    assert by_bars.daily(LAST).exit_status == 0
    assert by_bars.rows(session, NEXT) == [(15, 15)]
    assert_same(by_bars.contents(), whole)


@pytest.fixture
def of_all(filled: Store, monkeypatch: pytest.MonkeyPatch) -> Store:
    """A store through the last session, whose members are those of its files by now."""
    filled.execute("DELETE FROM universe_members")
    without_file(monkeypatch)
    assert judged(filled) is None
    return filled


def test_members_that_the_source_no_longer_has_are_named_until_it_has_them_again(of_all: Store) -> None:
    was = members(of_all)
    rows = {symbol: of_all.small.rows[symbol] for symbol in GONE}
    put_away(of_all, *GONE)
    assert judged(of_all) == "the source no longer has 2 members of all: AAA (still in), JJJ (left 2023-09-30)"
    [row] = said(of_all)
    assert (row["severity"], row["failing"]) == ("warn", 2)
    assert row["next"].startswith("give what is missing again")
    report = of_all.check("memberships_still_given")
    assert [(check.name, check.status) for check in report.checks] == [("memberships_still_given", "warned")]
    assert members(of_all) == was
    of_all.small.rows |= rows
    of_all.small.write()
    assert judged(of_all) is None
    assert members(of_all) == was


def test_a_member_of_whom_no_bar_is_stored_goes_and_so_do_days_before_its_first_bar(of_all: Store) -> None:
    was = members(of_all)
    padded = [(str(day), 0, 0, 0, 0, 0) for day in SESSIONS if day < was["KKK"][0]]  # as vendors fill a column
    of_all.small.rows["KKK"] = [*padded, *(good := of_all.small.rows["KKK"])]
    of_all.small.rows["TOTAL"] = [(str(day), 0, 0, 0, 0, 0) for day in SESSIONS]
    of_all.small.write()
    assert judged(of_all) is None
    assert members(of_all) == was | {"KKK": (FIRST, None), "TOTAL": (FIRST, None)}
    of_all.small.rows["KKK"] = good
    put_away(of_all, "TOTAL")
    of_all.small.write()
    assert judged(of_all) is None
    assert members(of_all) == was


def test_a_universe_that_nobody_speaks_of_any_more_is_named_and_goes_on(filled: Store) -> None:
    file = filled.small.universe
    small = file.read_text()
    still_in = sum(line.endswith(",") for line in small.splitlines())
    stays = "SELECT * FROM universe_members WHERE universe = 'small' ORDER BY security_id, valid_from"
    before = filled.rows(stays)
    file.write_text(small.replace("small,", "renamed,"))
    assert judged(filled) == f"small is no longer given and goes on with its {still_in} members"
    assert filled.rows(stays) == before
    file.write_text(small + file.read_text().partition("\n")[2])
    assert judged(filled) is None


def test_a_universe_of_bars_and_one_of_a_file_are_told_apart(of_all: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    before = members(of_all)
    monkeypatch.setenv("BREADTHFLOW_UNIVERSE_FILE", str(of_all.small.universe))
    assert judged(of_all) == "all is no longer given and goes on with its 15 members"
    assert members(of_all) == before
    in_file = "SELECT count(*) FROM universe_members WHERE universe = 'small' AND symbol = 'AAA'"
    assert of_all.rows(in_file) == [(1,)]
    # A file is a list: who is not on it any more never was.
    rows = of_all.small.universe.read_text().splitlines()
    of_all.small.universe.write_text("\n".join(row for row in rows if "AAA" not in row))
    judged(of_all)
    assert of_all.rows(in_file) == [(0,)]
    assert members(of_all) == before
