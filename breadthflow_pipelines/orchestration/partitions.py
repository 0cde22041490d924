"""Months: how history is cut, and which sessions a run is about. Indicators and signals are never cut."""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import dagster as dg
import polars as pl

from breadthflow_pipelines.model.run_tags import FORMAT, PARTITION_TAG, RANGE_END_TAG, RANGE_START_TAG, THROUGH_TAG
from breadthflow_pipelines.sessions import ExchangeCalendar
from breadthflow_pipelines.settings import Settings

PIECE_BARS = 150_000  # of all securities at a time, with many columns: frames of some 50 MB, and several of them
# The same of few columns: some 50 MB. The store has bars by year, and looks through those of a year for each piece.
LONG_PIECE_BARS = 450_000
SESSIONS_OF_A_MONTH = 21
REVISABLE_SESSIONS = 3  # the daily run reads this many sessions again, so late and corrected bars are picked up
COMPARED_SESSIONS = 10  # next to a run's months, held against the stored bars: they may be on another scale by now

# A range of months is one run. `dagster asset materialize --partition-range` asks that of assets without months too.
WHOLE = dg.BackfillPolicy.single_run()


class Days(NamedTuple):
    """The days from ``start`` through ``end``."""

    start: dt.date
    end: dt.date

    def __str__(self) -> str:
        return f"{self.start} to {self.end}"


@dataclass(frozen=True)
class Span:
    """Days from ``start`` through ``end``. through: the last session that the run may see."""

    start: dt.date
    end: dt.date
    through: dt.date

    @property
    def is_empty(self) -> bool:
        """No session of it has closed yet, as on the first day of a month."""
        return self.end < self.start

    def with_month_before(self) -> "Span":
        """Whole months, from the one before the first: later bars decide what the last bars of a month are."""
        return Span(self.start.replace(day=1) - dt.timedelta(days=1), self.end, self.through).of_whole_months()

    def of_whole_months(self) -> "Span":
        """Its months from their first through their last day."""
        return Span(self.start.replace(day=1), _next_month(self.end) - dt.timedelta(days=1), self.through)

    @property
    def calendar_years(self) -> range:
        """The numbers of the years that the span touches."""
        return range(self.start.year, self.end.year + 1)

    @property
    def months(self) -> list[str]:
        """The partition keys of the months that the span touches."""
        return months_between(self.start, self.end)

    @property
    def days(self) -> Days:
        """Its first and its last day."""
        return Days(self.start, self.end)

    @property
    def years(self) -> list[Days]:
        """The span cut by calendar year, each part's first and last day; what is done year by year stays small."""
        return [
            Days(max(self.start, dt.date(year, 1, 1)), min(self.end, dt.date(year, 12, 31)))
            for year in self.calendar_years
            if not self.is_empty
        ]

    @property
    def by_month(self) -> list[Days]:
        """The span cut by calendar month."""
        firsts = [_first_day(month) for month in self.months]
        return [
            Days(max(self.start, first), min(self.end, _next_month(first) - dt.timedelta(days=1))) for first in firsts
        ]

    def with_neighbours(self, held: tuple[dt.date, dt.date] | None, calendar: ExchangeCalendar) -> Days:
        """Its days, and COMPARED_SESSIONS on either side as far as bars are stored. held: the first and last stored."""
        if held is None:
            return self.days
        before = calendar.between(held[0], self.start - dt.timedelta(days=1))[-COMPARED_SESSIONS:]
        after = calendar.between(self.end + dt.timedelta(days=1), held[1])[:COMPARED_SESSIONS]
        return Days(min([*before, self.start]), max([*after, self.end]))

    def pieces(self, securities: Mapping[int, int], most: int = PIECE_BARS) -> list[Days]:
        """The years, or parts of years of equal length where so many securities have more than ``most`` bars in one.

        securities: how many have bars in each year.
        """
        pieces: list[Days] = []
        for start, end in self.years:
            of_month = securities[start.year] * SESSIONS_OF_A_MONTH
            months = next((n for n in (12, 6, 4, 3, 2) if of_month * n <= most), 1)
            while start <= end:
                last = dt.date(start.year, start.month + (months - start.month % months) % months, 1)
                piece_end = min(end, _next_month(last) - dt.timedelta(days=1))
                pieces.append(Days(start, piece_end))
                start = piece_end + dt.timedelta(days=1)
        return pieces


def portions(days: Days, sessions: pl.Series, most: int) -> list[Days]:
    """The days cut so that each part has at most ``most`` rows, or one session. sessions: that of each row."""
    of_day = sessions.to_frame("day").group_by("day").agg(rows=pl.len()).sort("day")
    at_a_time = max(1, most // max(of_day["rows"], default=1))
    starts = of_day["day"].to_list()[at_a_time::at_a_time]
    lasts = [*(day - dt.timedelta(days=1) for day in starts), days.end]
    return [Days(first, last) for first, last in zip([days.start, *starts], lasts, strict=True)]


def months_between(first: dt.date, last: dt.date) -> list[str]:
    """The partition keys of the months from ``first``'s through ``last``'s; none where it ends before it begins."""
    keys, day = [], first.replace(day=1)
    while day <= last:
        keys.append(day.strftime(FORMAT))
        day = _next_month(day)
    return keys


def monthly(settings: Settings, calendar: ExchangeCalendar) -> dg.MonthlyPartitionsDefinition:
    """The months from ``BREADTHFLOW_START`` through the present one."""
    return dg.MonthlyPartitionsDefinition(
        start_date=settings.start, fmt=FORMAT, timezone=calendar.timezone, end_offset=1
    )


def span_of(tags: Mapping[str, str], settings: Settings, calendar: ExchangeCalendar) -> Span:
    """The sessions that a run with these tags is about: its months, or all of history where it names none."""
    closed = calendar.last_closed()
    through = min(closed, dt.date.fromisoformat(tags[THROUGH_TAG])) if THROUGH_TAG in tags else closed
    first = tags.get(RANGE_START_TAG) or tags.get(PARTITION_TAG) or settings.start
    last = tags.get(RANGE_END_TAG) or tags.get(PARTITION_TAG) or through.strftime(FORMAT)
    end = _next_month(_first_day(last)) - dt.timedelta(days=1)
    return Span(_first_day(first), min(end, through), through)


def first_to_refresh(session: dt.date, calendar: ExchangeCalendar) -> dt.date:
    """The earliest day whose month a daily run for ``session`` reads again.

    That is the session's own month, and the month before while it lies fewer than REVISABLE_SESSIONS back.
    """
    return calendar.back(session, REVISABLE_SESSIONS)


def months_unfinished(since: dt.date, calendar: ExchangeCalendar) -> dt.date:
    """The first day of the months of a run that asked for bars from ``since`` on, its neighbours among them."""
    asked = calendar.between(since, since + dt.timedelta(days=60))
    return asked[: COMPARED_SESSIONS + 1][-1].replace(day=1)  # no month has so few sessions


def _first_day(month: str) -> dt.date:
    return dt.date.fromisoformat(f"{month}-01")


def _next_month(day: dt.date) -> dt.date:
    return (day.replace(day=28) + dt.timedelta(days=4)).replace(day=1)
