"""Changes of the calendar as the store knows them: what is due because of them, and where bars of closed days go."""

import datetime as dt
from collections.abc import Callable

import pytest

from breadthflow_pipelines.calendar_file import Change
from breadthflow_pipelines.warehouse import bar_store, security_store
from breadthflow_pipelines.warehouse.bulk import fetch
from breadthflow_pipelines.warehouse.calendar import apply_changes, unapplied_days
from breadthflow_pipelines.warehouse.database import Database
from breadthflow_pipelines_tests.warehouse.frames import bars
from breadthflow_pipelines_tests.warehouse.test_recomputations import TWO, forget, noted

START = dt.date(2024, 1, 1)
CLOSED, NEXT, SATURDAY = dt.date(2024, 1, 3), dt.date(2024, 1, 4), dt.date(2024, 1, 6)
RULE = "no closed session of XNYS"
WHOLE = (Change(CLOSED, "closed", "storm", 2), Change(SATURDAY, "open", "made up for it", 3))
OF_BARS = {"quarantined_bars", "breadth_counts", "price_indicators", "symbol_signals"}


@pytest.fixture
def held(database: Database) -> Database:
    """Bars of two securities on the day that is to be closed and on the one after it, and nothing due."""
    security_store.record_securities(database, TWO, synthetic=False)
    for number in (1, 2):
        bar_store.load_bars(database, bars((number, str(CLOSED), 10), (number, str(NEXT), 11)), "s", "r")
    forget(database)
    return database


def told(database: Database, *changes: Change, since: dt.date = START) -> list[dt.date]:
    """Let the store know them; a day is a session where it is none of a weekend, unless they say otherwise."""
    said = {change.date: change.change == "open" for change in changes}
    is_session: Callable[[dt.date], bool] = lambda day: said.get(day, day.weekday() < 5)  # noqa: E731
    return apply_changes(database, changes, since, is_session, RULE)


def table(database: Database, columns: str, name: str, order: str) -> list[tuple[object, ...]]:
    return fetch(database, f"SELECT {columns} FROM {name} ORDER BY {order}").rows()


def test_what_is_made_of_bars_is_due_from_the_first_day_that_changes_and_opened_days_are_to_be_read(
    held: Database,
) -> None:
    assert unapplied_days(held, WHOLE, START) == [CLOSED, SATURDAY]
    assert told(held, *WHOLE) == [CLOSED, SATURDAY]
    assert noted(held) == dict.fromkeys(OF_BARS, CLOSED)
    read = table(held, "first_session, cause", "recomputations WHERE asset = 'bars'", "1")
    assert read == [(SATURDAY, "calendar")]
    assert table(held, "session, change, reason", "calendar_changes", "1") == [
        (CLOSED, "closed", "storm"),
        (SATURDAY, "open", "made up for it"),
    ]
    forget(held)
    assert (unapplied_days(held, WHOLE, START), told(held, *WHOLE), noted(held)) == ([], [], {})


def test_bars_of_a_closed_day_are_put_aside_as_if_they_had_been_turned_away(held: Database) -> None:
    told(held, *WHOLE)
    assert table(held, "DISTINCT session", "bars", "1") == [(NEXT,)]
    rejected = table(held, "symbol, session, close, source, run_id, reasons[1]", "rejected_bars", "1")
    assert rejected == [("AAA", CLOSED, 10.0, "s", "r", RULE), ("BBB", CLOSED, 10.0, "s", "r", RULE)]


def test_a_change_that_is_taken_back_makes_the_day_one_to_be_read_or_to_be_emptied(held: Database) -> None:
    told(held, *WHOLE)
    bar_store.load_bars(held, bars((1, str(SATURDAY), 12)), "s", "r")
    forget(held)
    assert told(held) == [CLOSED, SATURDAY]
    assert table(held, "first_session", "recomputations WHERE asset = 'bars'", "1") == [(CLOSED,), (SATURDAY,)]
    assert table(held, "session", "bars", "1, security_id") == [(NEXT,), (NEXT,)]
    assert table(held, "session", "calendar_changes", "1") == []


def test_another_reason_is_written_down_and_makes_nothing_due(held: Database) -> None:
    told(held, *WHOLE)
    forget(held)
    reworded = Change(CLOSED, "closed", "snowstorm", 2)
    assert (unapplied_days(held, (reworded, WHOLE[1]), START), told(held, reworded, WHOLE[1])) == ([], [])
    assert noted(held) == {}
    assert table(held, "reason", "calendar_changes", "session") == [("snowstorm",), ("made up for it",)]


def test_days_before_the_first_month_of_history_are_left_alone(held: Database) -> None:
    assert unapplied_days(held, WHOLE, NEXT) == [SATURDAY]
    assert told(held, *WHOLE, since=NEXT) == [SATURDAY]
    assert noted(held) == dict.fromkeys(OF_BARS, SATURDAY)
