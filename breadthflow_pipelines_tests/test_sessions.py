"""The exchange's calendar against its published holidays and real bars, and what counts as closed at a moment."""

import csv
import datetime as dt
from pathlib import Path

import exchange_calendars
import pandas_market_calendars
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
        ("1950-11-11", "1950-11-13"),  # Armistice Day, a Saturday
        ("1952-05-31", "1952-06-02"),  # no trade on Saturdays of that summer ...
        ("1952-09-27", "1952-09-29"),  # ... and none on any later one
        ("1953-02-12", "1953-02-13"),  # Lincoln's birthday, for the last time but one
        ("1960-11-08", "1960-11-09"),  # election day, the Tuesday after the first Monday
        ("1961-05-29", "1961-05-31"),  # the day before Decoration Day, and that day
        ("1962-07-04", "1962-07-05"),
        ("1962-12-25", "1962-12-26"),
        ("1963-11-25", "1963-11-26"),  # President Kennedy's funeral
        ("1965-09-06", "1965-09-07"),  # Labor Day
        ("1968-06-12", "1968-06-13"),  # the first Wednesday given to the paper that had piled up ...
        ("1968-12-18", "1968-12-19"),  # ... and the last one
        ("1969-02-10", "1969-02-11"),  # snow
        ("1969-07-21", "1969-07-22"),  # the first men on the moon
        ("1977-07-14", "1977-07-15"),  # New York had no power
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


@pytest.mark.parametrize(
    "session",
    [
        "1950-01-07",  # a Saturday, half a day
        "1952-05-24",  # the last one
        "1953-05-29",  # no Friday made up for a holiday on a Saturday yet
        "1960-11-01",  # the first Tuesday of that November
        "1968-07-03",  # a Wednesday of that summer, in a week with a holiday
        "1985-09-26",
        "1985-09-30",
        "2011-06-20",  # Juneteenth was none yet
        "2024-11-29",
        "2025-01-08",
    ],
)
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
        ("1951-11-03", "1951-11-03T17:00"),  # Saturdays closed at noon
        ("1951-11-05", "1951-11-05T20:00"),  # at 15:00 then
        ("1965-06-01", "1965-06-01T19:30"),  # at 15:30
        ("1963-11-22", "1963-11-22T19:07"),  # President Kennedy was shot
        ("1968-02-01", "1968-02-01T19:00"),  # at 14:00, because of the paper
        ("1997-10-27", "1997-10-27T20:30"),  # stopped at 15:30
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
    assert new_york.back(day("1885-01-10"), 250) == new_york.first == day("1885-01-02")


# Counted in the closes of the Dow Jones Industrial Average, whose file has every session of those years.
OF_OLD = {("1921-10-01", "1922-09-30"): (301, 53), ("1951-09-04", "1952-09-30"): (303, 34)}


@pytest.mark.parametrize(("reach", "sessions_and_saturdays"), OF_OLD.items())
def test_years_of_long_ago_have_their_sessions(
    new_york: ExchangeCalendar, reach: tuple[str, str], sessions_and_saturdays: tuple[int, int]
) -> None:
    days = new_york.between(day(reach[0]), day(reach[1]))
    assert (len(days), sum(date.weekday() == 5 for date in days)) == sessions_and_saturdays


def test_the_days_and_closes_of_new_york_are_the_library_s_own(new_york: ExchangeCalendar) -> None:
    end = dt.date(dt.datetime.now(dt.UTC).year + 1, 12, 31)
    of_library = pandas_market_calendars.get_calendar("NYSE").schedule("1885-01-01", end)
    days = new_york.between(new_york.first, end)
    assert days == [stamp.date() for stamp in of_library.index]
    assert [new_york.close_of(date) for date in days] == list(of_library["market_close"])


def dates_of(*files: Path) -> set[dt.date]:
    return {dt.date.fromisoformat(row["Date"]) for file in files for row in csv.DictReader(file.open())}


@pytest.mark.market_data
def test_every_day_on_which_old_companies_traded_is_a_session_and_no_other(
    new_york: ExchangeCalendar, market: Path
) -> None:
    traded = dates_of(*(market / "stooq").glob("*.txt"))
    assert {"ge.us.txt", "ibm.us.txt"} <= {file.name for file in (market / "stooq").glob("*.txt")}  # from 1962 on
    sessions = set(new_york.between(min(traded), max(traded)))
    assert min(traded) == day("1962-01-02")
    assert sessions - traded == {day("1970-11-16")}  # the vendor lost a session of every company,
    assert traded - sessions == {day("1985-09-27")}  # and one has a bar of the day of the hurricane


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
    with pytest.raises(RequestError, match="BREADTHFLOW_CALENDAR=XXXX is not an exchange"):
        ExchangeCalendar("XXXX")


@pytest.mark.parametrize(
    ("name", "first"),
    [
        ("XTKS", "1997-01-06"),  # the library knows its holidays from 1997 only
        ("XHKG", "1960-01-04"),
        # The exchange was founded that day; the library refuses earlier years in words of its own.
        pytest.param("XKRX", "1956-03-03", marks=pytest.mark.slow),
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
