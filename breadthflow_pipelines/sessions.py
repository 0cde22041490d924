"""The exchange's calendar: which days are sessions, and which session closed last. Knows no data."""

import datetime as dt
from bisect import bisect_left, bisect_right
from functools import lru_cache
from itertools import pairwise

import exchange_calendars
import polars as pl

from breadthflow_pipelines.errors import RequestError

FIRST_YEAR = 1950  # earlier rules exist, earlier data does not; the library's own default reaches back 20 years


def present() -> dt.datetime:
    """The present moment (UTC). What depends on the time of day asks here, so that a test can say what it is."""
    return dt.datetime.now(dt.UTC)


class ExchangeCalendar:
    """Sessions of one exchange, as dates in the exchange's own time zone."""

    def __init__(self, name: str) -> None:
        self._calendar = _build(name)
        self.name = name
        self.timezone = str(self._calendar.tz)
        self._dates: list[dt.date] = [stamp.date() for stamp in self._calendar.sessions]
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
        moment = now or present()
        closed = int(self._calendar.closes.array.searchsorted(moment, side="right"))
        return self._dates[closed - 1]

    def close_of(self, session: dt.date) -> dt.datetime:
        """When that session closes (UTC)."""
        moment: dt.datetime = self._calendar.closes.iloc[self._ordinals[session]].to_pydatetime()
        return moment.astimezone(dt.UTC)

    def longest_break(self, years: int = 10) -> dt.timedelta:
        """The most days between a session and the one after it, within the last years that are known."""
        since = self._dates[-1] - dt.timedelta(days=366 * years)
        recent = self._dates[bisect_left(self._dates, since) :]
        return max(after - before for before, after in pairwise(recent))

    def back(self, date: dt.date, sessions: int) -> dt.date:
        """The session ``sessions`` before the last one that is not after ``date`` (0: that session itself)."""
        return self._dates[max(0, bisect_right(self._dates, date) - 1 - sessions)]


@lru_cache(maxsize=4)
def exchange_calendar(name: str) -> ExchangeCalendar:
    """The calendar of that name, built once (a tenth of a second)."""
    return ExchangeCalendar(name)


def _build(name: str) -> exchange_calendars.ExchangeCalendar:
    try:
        try:
            return exchange_calendars.get_calendar(name, start=f"{FIRST_YEAR}-01-01")
        except ValueError:  # its holidays are recorded from later on
            return exchange_calendars.get_calendar(name, start=exchange_calendars.get_calendar(name).bound_min())
    except exchange_calendars.errors.InvalidCalendarName:
        raise RequestError(
            f"BREADTHFLOW_CALENDAR={name} is no exchange that exchange_calendars knows; XNYS is New York."
        ) from None
    except (ValueError, NotImplementedError):  # some of its calendars do not agree with newer versions of pandas
        raise RequestError(
            f"BREADTHFLOW_CALENDAR={name} cannot be used: the installed exchange_calendars fails to build it."
        ) from None
