"""The exchange's calendar against its published holidays, and what counts as closed at a moment."""

import datetime as dt

import exchange_calendars
import pytest

from breadthflow_pipelines.errors import RequestError
from breadthflow_pipelines.sessions import ExchangeCalendar, exchange_calendar


@pytest.fixture(scope="module")
def new_york() -> ExchangeCalendar:
    return exchange_calendar("XNYS")


def day(text: str) -> dt.date:
    return dt.date.fromisoformat(text)


def utc(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text).replace(tzinfo=dt.UTC)


@pytest.mark.parametrize(
    ("closed", "next_open"),
    [
        ("1985-09-27", "1985-09-30"),  # hurricane Gloria
        ("2001-09-11", "2001-09-17"),  # four sessions closed
        ("2007-01-02", "2007-01-03"),  # mourning for President Ford
        ("2012-10-29", "2012-10-31"),  # hurricane Sandy, two sessions
        ("2012-10-30", "2012-10-31"),
        ("2018-12-05", "2018-12-06"),  # mourning for President Bush
        ("2022-06-20", "2022-06-21"),  # Juneteenth, a holiday since that year
        ("2025-01-09", "2025-01-10"),  # mourning for President Carter
    ],
)
def test_days_on_which_new_york_stayed_closed_are_no_sessions(
    new_york: ExchangeCalendar, closed: str, next_open: str
) -> None:
    assert not new_york.is_session(day(closed))
    assert new_york.between(day(closed), day(next_open)) == [day(next_open)]


@pytest.mark.parametrize("session", ["1985-09-26", "2011-06-20", "2024-11-29", "2025-01-08"])
def test_days_beside_a_close_half_days_and_days_before_a_holiday_existed_are_sessions(
    new_york: ExchangeCalendar, session: str
) -> None:
    assert new_york.is_session(day(session))


@pytest.mark.parametrize(
    ("now", "last"),
    [
        ("2024-11-29T17:59", "2024-11-27"),  # the half day after Thanksgiving closes at 13:00, 18:00 UTC
        ("2024-11-29T18:00", "2024-11-29"),
        ("2024-03-08T20:59", "2024-03-07"),  # standard time: the close is at 21:00 UTC
        ("2024-03-08T21:00", "2024-03-08"),
        ("2024-03-11T19:59", "2024-03-08"),  # the Monday after clocks went forward: 20:00 UTC
        ("2024-03-11T20:00", "2024-03-11"),
        ("2024-11-01T20:00", "2024-11-01"),  # the Friday before clocks went back
        ("2024-11-04T20:00", "2024-11-01"),  # the Monday after: 20:00 UTC is an hour before the close
        ("2024-11-04T21:00", "2024-11-04"),
        ("2024-06-12T00:00", "2024-06-11"),  # midnight UTC is evening in New York
        ("2024-06-12T13:30", "2024-06-11"),  # the opening closes nothing
        ("2024-06-15T12:00", "2024-06-14"),  # a Saturday
        ("2024-07-04T23:00", "2024-07-03"),  # a holiday
        ("2012-10-30T23:00", "2012-10-26"),  # two sessions and a weekend without trade
    ],
)
def test_the_last_closed_session_at_a_moment(new_york: ExchangeCalendar, now: str, last: str) -> None:
    assert new_york.last_closed(utc(now)) == day(last)


def test_the_last_closed_session_does_not_depend_on_the_clock_s_zone(new_york: ExchangeCalendar) -> None:
    tokyo = dt.timezone(dt.timedelta(hours=9))
    moment = utc("2024-03-08T21:00")
    assert new_york.last_closed(moment.astimezone(tokyo)) == day("2024-03-08")
    assert new_york.last_closed((moment - dt.timedelta(minutes=1)).astimezone(tokyo)) == day("2024-03-07")


def test_the_last_closed_session_of_today_lies_within_the_last_week(new_york: ExchangeCalendar) -> None:
    today = dt.datetime.now(dt.UTC).date()
    assert today - dt.timedelta(days=7) < new_york.last_closed() <= today


@pytest.mark.parametrize(
    ("date", "sessions", "expected"),
    [
        ("2024-07-05", 0, "2024-07-05"),
        ("2024-07-04", 0, "2024-07-03"),  # a holiday stands for the session before it
        ("2024-07-05", 1, "2024-07-03"),  # over the holiday
        ("2024-07-08", 2, "2024-07-03"),  # over the weekend as well
    ],
)
def test_back_counts_sessions(new_york: ExchangeCalendar, date: str, sessions: int, expected: str) -> None:
    assert new_york.back(day(date), sessions) == day(expected)


@pytest.mark.parametrize(
    ("session", "close"),
    [
        ("2024-07-03", "2024-07-03T17:00"),  # half days close at 13:00
        ("2024-11-29", "2024-11-29T18:00"),
        ("2024-03-08", "2024-03-08T21:00"),  # before clocks went forward
        ("2024-03-11", "2024-03-11T20:00"),
        ("2024-11-01", "2024-11-01T20:00"),
        ("2024-11-04", "2024-11-04T21:00"),  # after they went back
    ],
)
def test_a_session_closes_when_the_exchange_says(new_york: ExchangeCalendar, session: str, close: str) -> None:
    assert new_york.close_of(day(session)) == utc(close)
    assert new_york.last_closed(utc(close)) == day(session)


def test_the_longest_break_is_the_exchange_s_own(new_york: ExchangeCalendar) -> None:
    assert new_york.longest_break().days == 4  # Thursday to Monday over Good Friday, or Friday to Tuesday
    assert new_york.longest_break(years=30).days == 7  # September 2001
    assert exchange_calendar("XTKS").longest_break().days == 11  # Golden Week of 2019


def test_back_stops_at_the_first_session(new_york: ExchangeCalendar) -> None:
    assert new_york.back(day("1950-01-10"), 250) == new_york.first


def test_between_includes_both_ends_and_a_year_has_the_published_number(new_york: ExchangeCalendar) -> None:
    assert new_york.between(day("2024-07-03"), day("2024-07-05")) == [day("2024-07-03"), day("2024-07-05")]
    assert new_york.between(day("2024-07-06"), day("2024-07-07")) == []
    assert [len(new_york.between(dt.date(y, 1, 1), dt.date(y, 12, 31))) for y in (2001, 2012, 2024)] == [248, 250, 252]


def test_ordinals_are_consecutive_over_closes(new_york: ExchangeCalendar) -> None:
    frame = new_york.frame()
    around = frame.filter(frame["session"].is_in([day("2012-10-26"), day("2012-10-31")]))
    assert frame["ordinal"].to_list() == list(range(frame.height))
    assert around["ordinal"].diff().to_list() == [None, 1]


def test_an_unknown_exchange_is_refused_by_name() -> None:
    with pytest.raises(RequestError, match="BREADTHFLOW_CALENDAR=XXXX is no exchange"):
        ExchangeCalendar("XXXX")


@pytest.mark.parametrize(
    ("name", "first"),
    [
        ("XTKS", "1997-01-06"),  # the library knows its holidays from 1997 only
        ("XHKG", "1960-01-04"),
        (
            "XKRX",
            "1956-03-03",
        ),  # the exchange was founded that day; the library refuses earlier years in words of its own
    ],
)
def test_an_exchange_whose_holidays_are_known_from_later_on_starts_there(name: str, first: str) -> None:
    calendar = ExchangeCalendar(name)
    assert dt.date(1956, 1, 1) <= calendar.first <= day(first)
    assert calendar.is_session(day("2024-06-12"))
    assert calendar.last_closed(utc("2024-06-12T12:00")) == day("2024-06-12")  # its close lies hours before New York's


def test_a_calendar_that_the_library_cannot_build_is_refused_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise NotImplementedError("implemented by subclasses")

    monkeypatch.setattr(exchange_calendars, "get_calendar", broken)
    with pytest.raises(RequestError, match="BREADTHFLOW_CALENDAR=XTAE cannot be used") as refusal:
        ExchangeCalendar("XTAE")
    assert len(str(refusal.value)) < 200  # the library's own message lists every date that it stumbled over
