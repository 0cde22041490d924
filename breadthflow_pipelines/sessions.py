"""The exchange's calendar: which days are sessions, and which session closed last. Knows no data.

A library knows the days, and a file of the user's changes single ones of them: docs/decisions/calendar.md.
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

NEW_YORK = "XNYS"
FIRST_YEAR = 1950  # of other exchanges: earlier rules exist, earlier data does not
FIRST_OF_NEW_YORK = dt.date(1885, 1, 1)  # from here on the library has the exchange's own list of closings
NO_MORE_SATURDAYS = dt.date(1952, 9, 29)  # New York traded on them until then, summers excepted

_USUAL = 21  # sessions, a month: most of them close at the usual time


def present() -> dt.datetime:
    """The present moment (UTC). What depends on the time of day asks here, so that a test can say what it is."""
    return dt.datetime.now(dt.UTC)


class ExchangeCalendar:
    """Sessions of one exchange, as dates in the exchange's own time zone.

    changes: days that differ from what the library says. A day opened closes when the exchange usually does.

    Raises:
        RequestError: no such exchange, or a change that changes nothing.
    """

    def __init__(self, name: str, changes: Sequence[Change] = ()) -> None:
        self.name = name
        self.changes = tuple(changes)
        known = _known(name)
        self.timezone = known.timezone
        days = _changed(name, known, changes)
        self._dates: list[dt.date] = [date for date, _ in days]
        self._closes: list[dt.datetime] = [close for _, close in days]
        self._ordinals = {date: i for i, date in enumerate(self._dates)}

    @property
    def first(self) -> dt.date:
        """The earliest session known."""
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
        """The most days between a session and the one after it, within the last years that are known."""
        since = self._dates[-1] - dt.timedelta(days=366 * years)
        recent = self._dates[bisect_left(self._dates, since) :]
        return max(after - before for before, after in pairwise(recent))

    def back(self, date: dt.date, sessions: int) -> dt.date:
        """The session ``sessions`` before the last one that is not after ``date`` (0: that session itself)."""
        return self._dates[max(0, bisect_right(self._dates, date) - 1 - sessions)]


def exchange_calendar(name: str, changes: Path | None = None) -> ExchangeCalendar:
    """The calendar of that name, with the changes of that file; built once for what the file says now.

    Raises:
        RequestError: no such exchange, or a file that cannot be used; names the line.
    """
    return _calendar(name, read_changes(changes) if changes is not None else ())


@lru_cache(maxsize=8)
def _calendar(name: str, changes: tuple[Change, ...]) -> ExchangeCalendar:
    return ExchangeCalendar(name, changes)


@dataclass(frozen=True)
class _Known:
    """What a library says of an exchange: its sessions and, of each, when it closes (UTC, without saying so)."""

    timezone: str
    dates: list[dt.date]
    closes: list[dt.datetime]


def _changed(name: str, known: _Known, changes: Sequence[Change]) -> list[tuple[dt.date, dt.datetime]]:
    """The days of a library with the changes of a file."""
    days = dict(zip(known.dates, known.closes, strict=True))
    for change in changes:
        is_session = change.date in days
        if not known.dates[0] <= change.date <= known.dates[-1]:
            reach = f"{known.dates[0]} to {known.dates[-1]}"
            raise refused(change.line, f"{change.date} lies outside what is known of {name}, {reach}; remove the line")
        if change.change == CLOSED and not is_session:
            raise refused(change.line, f"{change.date} is no session of {name} anyway; remove the line")
        if change.change == OPEN and is_session:
            raise refused(change.line, f"{change.date} is a session of {name} anyway; remove the line")
        if change.change == CLOSED:
            del days[change.date]
        else:
            days[change.date] = _usual_close(known, change.date)
    return sorted(days.items())


def _usual_close(known: _Known, date: dt.date) -> dt.datetime:
    """When a session of that day would close: at the time of day at which most sessions of the month before it did."""
    zone = ZoneInfo(known.timezone)
    until = max(_USUAL, bisect_left(known.dates, date))
    around = range(until - _USUAL, min(until, len(known.dates)))
    local = [known.closes[i].replace(tzinfo=dt.UTC).astimezone(zone).replace(tzinfo=None) for i in around]
    # From midnight of the session's own date: some markets close after it.
    after = Counter(
        close - dt.datetime.combine(known.dates[i], dt.time()) for i, close in zip(around, local, strict=True)
    )
    close = dt.datetime.combine(date, dt.time()) + after.most_common(1)[0][0]
    return close.replace(tzinfo=zone).astimezone(dt.UTC).replace(tzinfo=None)


@lru_cache(maxsize=4)
def _known(name: str) -> _Known:
    """What the library that is right about an exchange says of it."""
    try:
        exchange = exchange_calendars.resolve_alias(name)
    except exchange_calendars.errors.InvalidCalendarName:
        raise RequestError(
            f"BREADTHFLOW_CALENDAR={name} is no exchange that exchange_calendars knows; XNYS is New York."
        ) from None
    if exchange == NEW_YORK:
        return _new_york()
    calendar = _build(name)
    return _Known(str(calendar.tz), _dates(calendar.sessions), _moments(calendar.closes))


def _new_york() -> _Known:
    import pandas as pd
    import pandas_market_calendars  # other exchanges do without

    calendar = pandas_market_calendars.get_calendar("NYSE")
    end = dt.date(dt.datetime.now(dt.UTC).year + 1, 12, 31)
    # The library's own list of days is this one and takes half a second: it works out holidays to 2200, and twice.
    holidays = calendar.regular_holidays.holidays(FIRST_OF_NEW_YORK, end).union(
        pd.DatetimeIndex(calendar.adhoc_holidays).tz_localize(None)
    )
    closed = holidays.to_numpy().astype("datetime64[D]")
    first, five_days, last = (np.datetime64(day, "D") for day in (FIRST_OF_NEW_YORK, NO_MORE_SATURDAYS, end))
    before, since = np.arange(first, five_days), np.arange(five_days, last + 1)
    open_ = [days[np.is_busday(days, week, closed)] for days, week in ((before, "1111110"), (since, "1111100"))]
    days = pd.DatetimeIndex(np.concatenate(open_))
    # Without its opening times, to which others would be fitted row by row.
    times = calendar.schedule_from_days(days, start="market_close", end="market_close", force_special_times=False)
    return _Known(str(calendar.tz), _dates(days), _moments(times["market_close"]))


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
        except ValueError:  # its holidays are recorded from later on
            return exchange_calendars.get_calendar(name, start=exchange_calendars.get_calendar(name).bound_min())
    except (ValueError, NotImplementedError):  # some of its calendars do not agree with newer versions of pandas
        raise RequestError(
            f"BREADTHFLOW_CALENDAR={name} cannot be used: the installed exchange_calendars fails to build it."
        ) from None
