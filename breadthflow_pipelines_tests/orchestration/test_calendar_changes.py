"""Days that a file closes and opens: whenever the file comes, the store ends as if it had been there from the start."""

import datetime as dt
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from breadthflow_pipelines.orchestration import planning
from breadthflow_pipelines.orchestration.wiring import build
from breadthflow_pipelines.settings import get_settings
from breadthflow_pipelines.warehouse import overview
from breadthflow_pipelines.warehouse.embedded import EmbeddedServer
from breadthflow_pipelines_tests.orchestration.conftest import (
    Contents,
    FreshDatabase,
    Store,
    _dropped,
    assert_same,
    opened,
)
from breadthflow_pipelines_tests.orchestration.small_market import LAST, SESSIONS, SmallMarket

CLOSED, BEFORE, AFTER = dt.date(2023, 5, 10), dt.date(2023, 5, 9), dt.date(2023, 5, 11)
FRIDAY, SATURDAY, MONDAY = (dt.date(2023, 6, 30) + dt.timedelta(days=n) for n in (0, 1, 3))  # CCC has a bar of it
DECEMBER = (dt.date(2023, 12, 1), LAST)
NOTED = "SELECT count(*) FROM recomputations"


@pytest.fixture
def changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Writes the file of changes, ``day, change, reason`` each, and lets the settings of this process name it."""

    def write(*lines: tuple[dt.date, str, str]) -> None:
        file = tmp_path / "changes.csv"
        file.write_text("date,change,reason\n" + "".join(f"{','.join(map(str, line))}\n" for line in lines))
        monkeypatch.setenv("BREADTHFLOW_CALENDAR_CHANGES", str(file))
        get_settings.cache_clear()

    return write


@pytest.fixture(scope="module")
def _filled_at_once() -> dict[str, Contents]:
    return {}


@pytest.fixture
def from_the_start(
    _filled_at_once: dict[str, Contents],
    server: EmbeddedServer,
    fresh_database: FreshDatabase,
    _template: str,
    dagster_template: str,
    small: SmallMarket,
    tmp_path: Path,
) -> Callable[[str], Contents]:
    """What a store holds that was filled at once with the files and settings of now; under a name, once for all."""

    def fill(name: str) -> Contents:
        if name not in _filled_at_once:
            _filled_at_once[name] = filled_now()
        return _filled_at_once[name]

    def filled_now() -> Contents:
        urls = [fresh_database(_template), fresh_database(dagster_template)]
        with _dropped(server, *urls), opened(small, tmp_path, *urls) as store:
            report = store.run()
            assert report.exit_status == 0, report
            return _made(store)

    return fill


def _made(store: Store) -> Contents:
    """What is made of bars and the calendar. A row that was rejected once stays on record, so those may differ."""
    return store.contents() | {"rejected_bars": []}


def trade_on_saturday(small: SmallMarket) -> None:
    """Give everybody who has a bar of the Friday a higher one of the Saturday, too; CCC has its own."""
    for symbol, rows in small.rows.items():
        friday = next((row for row in rows if row[0] == str(FRIDAY)), None)
        if friday is not None and symbol != "CCC":
            _, *prices, volume = friday
            rows.append((str(SATURDAY), *(round(float(price) * 1.01, 2) for price in prices), float(volume) + 7))
            rows.sort(key=lambda row: str(row[0]))
    small.write()


def counted(store: Store, day: dt.date, *columns: str) -> tuple[Any, ...]:
    query = f"SELECT {', '.join(columns)} FROM breadth_counts WHERE segment = 'ALL' AND session = %s"
    return next(iter(store.rows(query, day)), ())


def applied(store: Store) -> list[tuple[Any, ...]]:
    return store.rows("SELECT session, change, reason FROM calendar_changes ORDER BY session")


@pytest.mark.slow
def test_a_file_that_comes_later_changes_all_that_follows_the_days(
    filled: Store, changes: Callable[..., None], from_the_start: Callable[[str], Contents]
) -> None:
    bars = "SELECT count(*) FROM bars WHERE session = %s"
    [(lost,)] = filled.rows(bars, CLOSED)
    assert lost > 10
    trade_on_saturday(filled.small)
    changes((CLOSED, "closed", "the exchange had no power"), (SATURDAY, "open", "made up for it"))
    assert planning.first_day_due(filled.instance, filled.market, LAST) == SATURDAY

    report = filled.daily(LAST)

    assert (report.exit_status, report.trouble) == (0, None), [c for c in report.checks if c.status != "passed"]
    assert [row[:2] for row in applied(filled)] == [(CLOSED, "closed"), (SATURDAY, "open")]
    assert filled.rows(bars, CLOSED) == [(0,)]
    aside = "SELECT count(*), min(reasons[1]), max(reasons[1]) FROM rejected_bars WHERE session = %s"
    assert filled.rows(aside, CLOSED) == [(lost, *["no closed session of XNYS"] * 2)]  # once each: the source has them
    assert counted(filled, CLOSED, "priced") == ()
    assert counted(filled, AFTER, "gap") == (0,)  # held against the day before the closed one
    priced, advances = counted(filled, SATURDAY, "priced", "advances")
    assert priced >= advances >= priced - 1 > 10  # everybody but CCC, perhaps
    assert counted(filled, MONDAY, "gap") == (0,)
    assert_same(_made(filled), from_the_start("both"))
    assert filled.rows(NOTED) == [(0,)]
    assert planning.first_day_due(filled.instance, filled.market, LAST) > dt.date(2023, 11, 30)
    assert filled.daily(LAST).rows_changed == 0


@pytest.mark.slow
def test_a_change_that_is_taken_back_leaves_no_trace(
    filled: Store, one_shot: Contents, changes: Callable[..., None]
) -> None:
    trade_on_saturday(filled.small)
    changes((SATURDAY, "open", "made up for it"))
    assert filled.daily(LAST).exit_status == 0
    assert counted(filled, SATURDAY, "priced") > (10,)
    changes()
    assert filled.daily(LAST).exit_status == 0
    assert applied(filled) == []
    assert_same(_made(filled), one_shot | {"rejected_bars": []})
    assert filled.rows(NOTED) == [(0,)]


@pytest.mark.slow
def test_a_closure_that_the_library_does_not_know_no_longer_blocks(
    store: Store, changes: Callable[..., None], from_the_start: Callable[[str], Contents]
) -> None:
    for symbol, rows in store.small.rows.items():
        store.small.rows[symbol] = [row for row in rows if row[0] != str(CLOSED)]
    store.small.write()
    report = store.run()
    assert [check.name for check in report.checks if check.status == "failed"] == ["bars_complete"]
    assert "market_signals" not in report.figures
    changes((CLOSED, "closed", "typhoon"))
    report = store.daily(LAST)
    assert (report.exit_status, report.trouble) == (0, None), [c for c in report.checks if c.status != "passed"]
    assert report.figures["market_signals"]["rows_inserted"] > 0
    assert_same(_made(store), from_the_start("typhoon"))


@pytest.mark.slow
def test_whichever_run_sees_a_change_first_makes_it_known(
    filled: Store, changes: Callable[..., None], from_the_start: Callable[[str], Contents]
) -> None:
    trade_on_saturday(filled.small)
    changes((CLOSED, "closed", "no power"), (SATURDAY, "open", "made up for it"))
    report = filled.run(*DECEMBER)
    assert filled.metadata("bars")["calendar_changed"] == [str(CLOSED), str(SATURDAY)]
    assert [row[:2] for row in applied(filled)] == [(CLOSED, "closed"), (SATURDAY, "open")]
    assert "because of changes in calendar" in filled.metadata("breadth_counts")["computed"]
    assert [check.name for check in report.checks if check.status == "failed"] == []
    due = {row["asset"]: (row["first"], row["changed"]) for row in overview.overview(filled.database)["due"]}
    assert due == {"bars": (SATURDAY, "calendar")}  # this run did not read July
    assert planning.first_day_due(filled.instance, filled.market, LAST) == SATURDAY
    assert filled.daily(LAST).exit_status == 0
    assert_same(_made(filled), from_the_start("both"))
    assert filled.rows(NOTED) == [(0,)]


@pytest.mark.slow
def test_another_reason_makes_nothing_due(filled: Store, changes: Callable[..., None]) -> None:
    day = dt.date(2023, 12, 16)  # a Saturday on which nobody traded
    changes((day, "open", "a test of the systems"))
    assert filled.run(*DECEMBER).trouble is None
    changes((day, "open", "a test of the systems with orders"))
    report = filled.run(*DECEMBER)
    assert applied(filled) == [(day, "open", "a test of the systems with orders")]
    assert "because of changes" not in filled.metadata("breadth_counts")["computed"]
    assert report.rows_changed == 0


def test_a_day_that_closes_after_the_code_was_loaded_is_waited_for_by_nobody(
    filled: Store, changes: Callable[..., None], at: Callable[[str], None]
) -> None:
    changes()
    definitions = build(get_settings())  # as a code server has it, for weeks

    def asked(name: str) -> str:
        context = dg.build_sensor_context(filled.instance, repository_def=definitions.get_repository_def())
        answer = definitions.resolve_sensor_def(name)(context)
        reason = answer if isinstance(answer, dg.SkipReason) else answer.skip_reason  # type: ignore[union-attr]
        return str(reason.skip_message) if reason else "a run"

    at("2024-01-03T15:00")  # in the store is 2023-12-29, the last session of the year
    assert asked("late_sessions").startswith("2024-01-02 is late in bars")
    assert asked("catch_up").startswith("2024-01-02 is not in bars")  # and asks for it, in a while
    changes((dt.date(2024, 1, 2), "closed", "a day of mourning"))
    assert asked("late_sessions") == "2023-12-29 is in. Checks were reported."
    assert asked("catch_up") == "2023-12-29: everything is in."


def test_a_change_before_history_begins_is_nobody_s_business(filled: Store, changes: Callable[..., None]) -> None:
    changes((dt.date(1991, 3, 1), "closed", "long ago"))
    assert planning.first_day_due(filled.instance, filled.market, LAST) > dt.date(2023, 11, 30)


def test_the_small_market_has_the_days_of_these_tests() -> None:
    assert {BEFORE, CLOSED, AFTER, FRIDAY, MONDAY} <= set(SESSIONS)
    assert SATURDAY not in SESSIONS
