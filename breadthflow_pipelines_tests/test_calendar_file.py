"""Days that a file closes and opens: what may stand in it, and what the calendar is with it."""

import datetime as dt
from pathlib import Path

import pytest

from breadthflow_pipelines.calendar_file import Change, read_changes
from breadthflow_pipelines.errors import RequestError
from breadthflow_pipelines.sessions import ExchangeCalendar, exchange_calendar

HEADER = "date,change,reason\n"


def day(text: str) -> dt.date:
    return dt.date.fromisoformat(text)


def utc(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text).replace(tzinfo=dt.UTC)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "changes.csv"


def test_changes_are_read_in_order_with_their_reasons(file: Path) -> None:
    file.write_bytes(
        b"\xef\xbb\xbfDate, Change ,reason\r\n"  # as a spreadsheet writes it
        b'2023-09-08,closed,"black rainstorm, the whole day"\r\n'
        b"\r\n"
        b" 2023-07-17 , CLOSED , typhoon Talim\r\n"
        b",,\r\n"
        b"2023-09-09,open,made up for it"  # and no line end after the last line
    )
    assert read_changes(file) == (
        Change(day("2023-07-17"), "closed", "typhoon Talim", 4),
        Change(day("2023-09-08"), "closed", "black rainstorm, the whole day", 2),
        Change(day("2023-09-09"), "open", "made up for it", 6),
    )


def test_a_file_without_changes_changes_nothing(file: Path) -> None:
    file.write_text(HEADER)
    assert exchange_calendar("XHKG", file) is exchange_calendar("XHKG")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "has to begin with the line date,change,reason"),  # empty
        ("2023-09-01,closed,typhoon\n", "has to begin with the line date,change,reason"),  # no header
        ("date,reason,change\n", "has to begin with the line"),  # the columns in another order
        (f"{HEADER}2023-09-01,closed\n", "line 2: it has 2 cells instead of date, change, reason"),
        (f"{HEADER}2023-09-01,closed,a, b\n", "line 2: it has 4 cells .*; put a reason with commas in double quot"),
        (f"{HEADER}01.09.2023,closed,typhoon\n", "line 2: '01.09.2023' is not a date; write it as 2023-09-01"),
        (f"{HEADER}2023-02-29,closed,typhoon\n", "line 2: '2023-02-29' is not a date"),
        (f"{HEADER}20230901,closed,typhoon\n", "line 2: '20230901' is not a date"),  # Python would take it
        (f"{HEADER}2023-W35-5,closed,typhoon\n", "line 2: '2023-W35-5' is not a date"),  # and this
        (f"{HEADER}\u0662023-09-01,closed,typhoon\n", "is not a date"),  # a two of another script
        (f"{HEADER}2023-09-01,shut,typhoon\n", "line 2: 'shut' is not a change; write closed or open"),
        (f"{HEADER}2023-09-01,closed, \n", "line 2: it has no readable reason; say why"),
        (f"{HEADER}2023-09-01,closed,a\x00b\n", "line 2: it has no readable reason"),  # Postgres takes none
        (
            f"{HEADER}2023-09-01,closed,typhoon\n2023-09-08,closed,rain\n2023-09-01,closed,Saola\n",
            "line 4: 2023-09-01 is already in line 2; keep one of them",
        ),
        (f"{HEADER}2023-09-01,closed,typhoon\n2023-09-01,open,no\n", "line 3: 2023-09-01 is already in line 2"),
        (f"{HEADER}2023-09-02,closed,typhoon\n", "line 2: 2023-09-02 is not a session of XHKG anyway; remove the line"),
        (f"{HEADER}2023-09-01,open,no typhoon\n", "line 2: 2023-09-01 is a session of XHKG anyway; remove the line"),
        (f"{HEADER}1950-01-03,closed,?\n", "line 2: 1950-01-03 lies outside what is known of XHKG, 1960-01-01 to"),
        (f"{HEADER}2999-01-01,open,?\n", "line 2: 2999-01-01 lies outside what is known of XHKG"),
        (f'{HEADER}2023-09-01,closed,"typhoon\n', "is not a CSV file in UTF-8: unexpected end of data"),  # open quote
        (f"{HEADER}2023-09-01,closed,{'x' * 200_000}\n", "is not a CSV file in UTF-8: field larger"),
    ],
)
def test_what_cannot_be_used_is_refused_by_its_line(file: Path, text: str, message: str) -> None:
    file.write_text(text, encoding="utf-8")
    with pytest.raises(RequestError, match=message) as refusal:
        exchange_calendar("XHKG", file)
    assert str(refusal.value).startswith("BREADTHFLOW_CALENDAR_CHANGES")


def test_a_file_that_cannot_be_read_is_refused_by_name(tmp_path: Path) -> None:
    latin = tmp_path / "latin.csv"
    latin.write_bytes(HEADER.encode() + "2023-09-01,closed,Zürich\n".encode("latin-1"))
    for place, message in (
        (tmp_path / "nowhere.csv", r"nowhere\.csv cannot be read: No such file"),
        (tmp_path, "cannot be read: Is a directory"),
        (latin, r"latin\.csv is not a CSV file in UTF-8"),
    ):
        with pytest.raises(RequestError, match=message):
            exchange_calendar("XHKG", place)


@pytest.fixture
def hong_kong(file: Path) -> ExchangeCalendar:
    """Hong Kong without the Friday of the typhoon and the Friday of the rain, which the library does not know."""
    file.write_text(f"{HEADER}2023-09-01,closed,typhoon Saola\n2023-09-08,closed,black rainstorm\n")
    return exchange_calendar("XHKG", file)


def test_days_closed_are_no_sessions_to_anybody(hong_kong: ExchangeCalendar) -> None:
    as_known = exchange_calendar("XHKG")
    assert [as_known.is_session(day(text)) for text in ("2023-09-01", "2023-09-08")] == [True, True]
    assert [hong_kong.is_session(day(text)) for text in ("2023-09-01", "2023-09-08")] == [False, False]
    assert hong_kong.between(day("2023-08-31"), day("2023-09-11")) == [
        day(f"2023-{text}") for text in ("08-31", "09-04", "09-05", "09-06", "09-07", "09-11")
    ]
    assert hong_kong.back(day("2023-09-04"), 1) == day("2023-08-31")
    assert hong_kong.on_or_before(day("2023-09-01")) == day("2023-08-31")
    assert hong_kong.last_closed(utc("2023-09-02T12:00")) == day("2023-08-31")
    assert hong_kong.last_closed(utc("2023-09-04T08:00")) == day("2023-09-04")  # 16:00 in Hong Kong
    assert hong_kong.close_of(day("2023-09-04")) == utc("2023-09-04T08:00")
    frame = hong_kong.frame()
    assert frame["ordinal"].to_list() == list(range(frame.height))
    assert frame.height == as_known.frame().height - 2


@pytest.mark.parametrize(
    ("exchange", "opened", "close"),
    [
        ("XNYS", "2024-06-15", "2024-06-15T20:00"),  # a Saturday of summer: 16:00
        ("XNYS", "2024-12-07", "2024-12-07T21:00"),  # of winter, after the half day of Thanksgiving
        ("XNYS", "1968-02-10", "1968-02-10T19:00"),  # of weeks that closed at 14:00
        ("XNYS", "1885-01-04", "1885-01-04T20:00"),  # with two sessions before it: as on the days after it
        ("XBOM", "2024-01-20", "2024-01-20T10:00"),  # India's Saturday in place of the Monday after it, 15:30
        ("us_futures", "2024-06-15", "2024-06-15T22:00"),
    ],
)
def test_a_day_opened_closes_when_the_exchange_usually_does(file: Path, exchange: str, opened: str, close: str) -> None:
    file.write_text(f"{HEADER}{opened},open,a session that the library lacks\n")
    calendar = exchange_calendar(exchange, file)
    assert calendar.is_session(day(opened))
    assert calendar.close_of(day(opened)) == utc(close)
    assert calendar.last_closed(utc(close)) == day(opened)
    assert calendar.last_closed(utc(close) - dt.timedelta(minutes=1)) == calendar.back(day(opened), 1) < day(opened)


def test_what_the_file_says_now_holds(file: Path) -> None:
    file.write_text(f"{HEADER}2023-09-01,closed,typhoon\n")
    assert not exchange_calendar("XHKG", file).is_session(day("2023-09-01"))
    assert exchange_calendar("XHKG", file) is exchange_calendar("XHKG", file)  # built once
    file.write_text(HEADER)
    assert exchange_calendar("XHKG", file).is_session(day("2023-09-01"))


def test_a_closure_known_the_day_before_holds_from_then_on(file: Path) -> None:
    file.write_text(f"{HEADER}2024-06-13,closed,the exchange announced it this evening\n")
    calendar = exchange_calendar("XNYS", file)
    assert calendar.last_closed(utc("2024-06-13T21:00")) == day("2024-06-12")
    assert calendar.last_closed(utc("2024-06-14T20:00")) == day("2024-06-14")
    assert calendar.longest_break(years=1) == exchange_calendar("XNYS").longest_break(years=1)
