"""The exchange's calendar: which days are sessions, which closed last, and when each is to be stored. Knows no data.

The days come from a library, and a file of the user's changes single ones of them: docs/decisions/calendar.md.
"""

import datetime as dt
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import exchange_calendars
import numpy as np
import polars as pl

from breadthflow_pipelines.calendar_file import CLOSED, OPEN, Change, read_changes, refused
from breadthflow_pipelines.errors import RequestError
from breadthflow_pipelines.moments import check_days

NEW_YORK = "XNYS"
FIRST_YEAR = 1950  # of other exchanges: earlier rules exist, earlier data does not
FIRST_OF_NEW_YORK = dt.date(1885, 1, 1)  # from here on the library has the exchange's own list of closings
NO_MORE_SATURDAYS = dt.date(1952, 9, 29)  # New York traded on them until then, summers excepted
EVENING = dt.time(18, 30)  # New York's vendors have the closing auction by then; other exchanges close earlier

_USUAL = 21  # sessions, a month: most of them close at the usual time


def present() -> dt.datetime:
    """The present moment (UTC). Code that depends on the time of day calls this, so that tests can set it."""
    return dt.datetime.now(dt.UTC)


class ExchangeCalendar:
    """Sessions of one exchange, as dates in the exchange's own time zone.

    changes: days that differ from the library. A day that is opened closes at the exchange's usual time.

    Raises:
        RequestError: there is no such exchange, or a change has no effect.
    """

    def __init__(self, name: str, changes: Sequence[Change] = ()) -> None:
        self.name = name
        self.changes = tuple(changes)
        library = _library_calendar(name)
        self.timezone = library.timezone
        days = _changed(name, library, changes)
        self._dates: list[dt.date] = [date for date, _ in days]
        self._closes: list[dt.datetime] = [close for _, close in days]
        self._ordinals = {date: i for i, date in enumerate(self._dates)}

    @property
    def first(self) -> dt.date:
        """The earliest session."""
        return self._dates[0]

    def is_session(self, date: dt.date) -> bool:
        return date in self._ordinals

    def between(self, start: dt.date, end: dt.date) -> list[dt.date]:
        """The sessions from ``start`` through ``end``, both included."""
        return self._dates[bisect_left(self._dates, start) : bisect_right(self._dates, end)]

    def frame(self) -> pl.DataFrame:
        """All sessions: ``session`` (Date) and ``ordinal`` (Int32), consecutive numbers from 0."""
        return pl.DataFrame({"session": self._dates}).with_columns(ordinal=pl.int_range(pl.len(), dtype=pl.Int32))

    def last_closed(self, now: dt.datetime | None = None) -> dt.date:
        """The latest session whose close lies at or before ``now`` (UTC; the present by default)."""
        moment = (now or present()).astimezone(dt.UTC).replace(tzinfo=None)
        return self._dates[bisect_right(self._closes, moment) - 1]

    def close_of(self, session: dt.date) -> dt.datetime:
        """When that session closes (UTC)."""
        return self._closes[self._ordinals[session]].replace(tzinfo=dt.UTC)

    def longest_break(self, years: int = 10) -> dt.timedelta:
        """The longest time between two consecutive sessions, within the last years of the calendar."""
        since = self._dates[-1] - dt.timedelta(days=366 * years)
        recent = self._dates[bisect_left(self._dates, since) :]
        return max(after - before for before, after in pairwise(recent))

    def on_or_before(self, date: dt.date) -> dt.date:
        """The last session that is not after ``date``."""
        return self.back(date, 0)

    def back(self, date: dt.date, sessions: int) -> dt.date:
        """The session that lies ``sessions`` sessions before the last one that is not after ``date``."""
        return self._dates[max(0, bisect_right(self._dates, date) - 1 - sessions)]


def check_within_history(first: dt.date, last: dt.date, start: dt.date, calendar: ExchangeCalendar) -> None:
    """Refuse a range that cannot be run. start: the first day of the first month of history.

    Raises:
        RequestError: it is empty, begins before history does, or has no session that has closed.
    """
    check_days(first, last)
    closed = calendar.last_closed()
    if first < start:
        raise RequestError(
            f"{first} lies before the first month of history, {start:%Y-%m}; set BREADTHFLOW_START={first:%Y-%m}."
        )
    if first > closed:
        raise RequestError(f"{first} lies after the last closed session of {calendar.name}, {closed}.")
    if not calendar.between(first, min(last, closed)):
        raise RequestError(f"{calendar.name} has no session from {first} through {last}.")


def deadline(session: dt.date, calendar: ExchangeCalendar, grace: dt.timedelta) -> dt.datetime:
    """When a session is to be in the store: ``grace`` after the evening's run, or after the close where that is later.

    A half day closes hours before the run that fetches it, so the close alone would not do.
    """
    evening = dt.datetime.combine(session, EVENING, ZoneInfo(calendar.timezone))
    return max(evening, calendar.close_of(session)) + grace


def due_session(calendar: ExchangeCalendar, grace: dt.timedelta) -> dt.date:
    """The last session that is to be in the store by now."""
    now = present()
    session = calendar.last_closed(now)
    while session > calendar.first and deadline(session, calendar, grace) > now:
        session = calendar.back(session, 1)
    return session


def exchange_calendar(name: str, changes: Path | None = None) -> ExchangeCalendar:
    """The calendar of that name, with the changes of that file; cached by its content.

    Raises:
        RequestError: no such exchange, or a file that cannot be used; names the line.
    """
    return _calendar(name, read_changes(changes) if changes is not None else ())


@lru_cache(maxsize=8)
def _calendar(name: str, changes: tuple[Change, ...]) -> ExchangeCalendar:
    return ExchangeCalendar(name, changes)


@dataclass(frozen=True)
class _LibraryCalendar:
    """An exchange in a library: its sessions, and the time at which each closes (UTC, without a zone)."""

    timezone: str
    dates: list[dt.date]
    closes: list[dt.datetime]


def _changed(name: str, library: _LibraryCalendar, changes: Sequence[Change]) -> list[tuple[dt.date, dt.datetime]]:
    """The library's days with the changes of a file."""
    days = dict(zip(library.dates, library.closes, strict=True))
    for change in changes:
        is_session = change.date in days
        if not library.dates[0] <= change.date <= library.dates[-1]:
            reach = f"{library.dates[0]} to {library.dates[-1]}"
            raise refused(change.line, f"{change.date} lies outside what is known of {name}, {reach}; remove the line")
        if change.change == CLOSED and not is_session:
            raise refused(change.line, f"{change.date} is not a session of {name} anyway; remove the line")
        if change.change == OPEN and is_session:
            raise refused(change.line, f"{change.date} is a session of {name} anyway; remove the line")
        if change.change == CLOSED:
            del days[change.date]
        else:
            days[change.date] = _usual_close(library, change.date)
    return sorted(days.items())


def _usual_close(library: _LibraryCalendar, date: dt.date) -> dt.datetime:
    """When a session on that day would close: at the time at which most sessions of the month before closed."""
    zone = ZoneInfo(library.timezone)
    until = max(_USUAL, bisect_left(library.dates, date))
    around = range(until - _USUAL, min(until, len(library.dates)))
    local = [library.closes[i].replace(tzinfo=dt.UTC).astimezone(zone).replace(tzinfo=None) for i in around]
    # From midnight of the session's own date: some markets close after it.
    after = Counter(
        close - dt.datetime.combine(library.dates[i], dt.time()) for i, close in zip(around, local, strict=True)
    )
    close = dt.datetime.combine(date, dt.time()) + after.most_common(1)[0][0]
    return close.replace(tzinfo=zone).astimezone(dt.UTC).replace(tzinfo=None)


@lru_cache(maxsize=4)
def _library_calendar(name: str) -> _LibraryCalendar:
    """The calendar of an exchange, from the library that is right about it."""
    try:
        exchange = exchange_calendars.resolve_alias(name)
    except exchange_calendars.errors.InvalidCalendarName:
        raise RequestError(
            f"BREADTHFLOW_CALENDAR={name} is not an exchange that exchange_calendars knows; XNYS is New York."
        ) from None
    if exchange == NEW_YORK:
        return _new_york()
    calendar = _build(name)
    return _LibraryCalendar(str(calendar.tz), _dates(calendar.sessions), _moments(calendar.closes))


def _new_york() -> _LibraryCalendar:
    import pandas as pd
    import pandas_market_calendars  # not needed for other exchanges

    calendar = pandas_market_calendars.get_calendar("NYSE")
    end = dt.date(dt.datetime.now(dt.UTC).year + 1, 12, 31)
    # The library's own list of days is the same, but takes half a second: it computes holidays to 2200, and twice.
    holidays = calendar.regular_holidays.holidays(FIRST_OF_NEW_YORK, end).union(
        pd.DatetimeIndex(calendar.adhoc_holidays).tz_localize(None)
    )
    closed = holidays.to_numpy().astype("datetime64[D]")
    first, five_days, last = (np.datetime64(day, "D") for day in (FIRST_OF_NEW_YORK, NO_MORE_SATURDAYS, end))
    before, since = np.arange(first, five_days), np.arange(five_days, last + 1)
    open_ = [days[np.is_busday(days, week, closed)] for days, week in ((before, "1111110"), (since, "1111100"))]
    days = pd.DatetimeIndex(np.concatenate(open_))
    # Only closing times: with opening times, the library adjusts others to them row by row.
    times = calendar.schedule_from_days(days, start="market_close", end="market_close", force_special_times=False)
    return _LibraryCalendar(str(calendar.tz), _dates(days), _moments(times["market_close"]))


def _dates(index: Any) -> list[dt.date]:
    dates: list[dt.date] = index.to_numpy().astype("datetime64[D]").tolist()
    return dates


def _moments(series: Any) -> list[dt.datetime]:
    moments: list[dt.datetime] = series.dt.tz_convert(None).to_numpy().astype("datetime64[s]").tolist()
    return moments


def _build(name: str) -> exchange_calendars.ExchangeCalendar:
    try:
        try:
            return exchange_calendars.get_calendar(name, start=f"{FIRST_YEAR}-01-01")
        except ValueError:  # its holidays are recorded only from a later year on
            return exchange_calendars.get_calendar(name, start=exchange_calendars.get_calendar(name).bound_min())
    except (ValueError, NotImplementedError):  # some of its calendars fail with newer versions of pandas
        raise RequestError(
            f"BREADTHFLOW_CALENDAR={name} cannot be used: the installed exchange_calendars fails to build it."
        ) from None
