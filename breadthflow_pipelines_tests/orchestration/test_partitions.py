"""Which sessions a run is about, and which ranges are refused."""

import datetime as dt
from collections.abc import Callable
from itertools import pairwise

import polars as pl
import pytest

from breadthflow_pipelines.errors import RequestError
from breadthflow_pipelines.model.run_tags import range_tags
from breadthflow_pipelines.orchestration.partitions import (
    Days,
    Span,
    first_to_refresh,
    monthly,
    months_between,
    months_unfinished,
    portions,
    span_of,
)
from breadthflow_pipelines.sessions import check_within_history, exchange_calendar
from breadthflow_pipelines.settings import Settings

SETTINGS = Settings(start="2022-11")
CALENDAR = exchange_calendar("XNYS")
CLOSED = dt.date(2024, 3, 13)


def day(text: str) -> dt.date:
    return dt.date.fromisoformat(text)


@pytest.mark.parametrize(
    ("tags", "start", "end", "through"),
    [
        # one month, started in the UI
        ({"dagster/partition": "2024-02"}, "2024-02-01", "2024-02-29", "2024-03-13"),
        # the month that is not over
        ({"dagster/partition": "2024-03"}, "2024-03-01", "2024-03-13", "2024-03-13"),
        # a range, over the end of a year
        (range_tags(day("2023-12-05"), day("2024-02-01")), "2023-12-01", "2024-02-29", "2024-03-13"),
        # no month at all, as when checks run alone: all of history
        ({}, "2022-11-01", "2024-03-13", "2024-03-13"),
        # up to a session in the past
        (range_tags(day("2023-12-05"), day("2024-01-09"), day("2024-01-09")), "2023-12-01", "2024-01-09", "2024-01-09"),
        # nobody knows more than what has closed
        (range_tags(day("2024-03-01"), day("2024-03-28"), day("2024-03-28")), "2024-03-01", "2024-03-13", "2024-03-13"),
    ],
)
def test_span_follows_from_the_tags_of_a_run(
    tags: dict[str, str], start: str, end: str, through: str, frozen: Callable[[dt.date], None]
) -> None:
    frozen(CLOSED)
    span = span_of(tags, SETTINGS, CALENDAR)
    assert span == Span(day(start), day(end), day(through))
    assert not span.is_empty


def test_month_of_which_no_session_has_closed_is_empty(frozen: Callable[[dt.date], None]) -> None:
    frozen(day("2024-02-29"))
    span = span_of({"dagster/partition": "2024-03"}, SETTINGS, CALENDAR)
    assert span.is_empty
    assert span.through == day("2024-02-29")


@pytest.mark.parametrize(
    ("start", "end", "months"),
    [
        ("2024-02-29", "2024-02-29", ["2024-02"]),  # one day
        ("2023-11-30", "2024-02-01", ["2023-11", "2023-12", "2024-01", "2024-02"]),  # touched by a single day each
        ("2024-03-01", "2024-02-29", []),  # nothing
    ],
)
def test_months_are_those_that_a_span_touches(start: str, end: str, months: list[str]) -> None:
    assert Span(day(start), day(end), day(end)).months == months


@pytest.mark.parametrize(
    ("session", "first"),
    [
        # January 2024 began on Tuesday the 2nd, after a holiday; the three sessions before were 27, 28 and 29 December
        ("2024-01-02", "2023-12-27"),
        ("2024-01-03", "2023-12-28"),
        ("2024-01-04", "2023-12-29"),
        ("2024-01-05", "2024-01-02"),  # the fourth session leaves the month before alone
        ("2024-01-06", "2024-01-02"),  # a Saturday counts as the Friday before it
    ],
)
def test_daily_run_reads_the_month_before_during_the_first_three_sessions(session: str, first: str) -> None:
    assert first_to_refresh(day(session), CALENDAR) == day(first)


@pytest.mark.parametrize(
    ("first", "last", "message"),
    [
        ("2024-02-02", "2024-02-01", "The range ends on 2024-02-01, before it begins on 2024-02-02."),
        (
            "2022-10-31",
            "2024-02-01",
            "first month of history, 2022-11; set BREADTHFLOW_START=2022-10.",
        ),  # names what would make it possible
        ("2024-03-14", "2024-03-20", "2024-03-14 lies after the last closed session of XNYS, 2024-03-13."),
        ("2024-02-17", "2024-02-19", "XNYS has no session from 2024-02-17 through 2024-02-19."),  # Presidents' Day
    ],
)
def test_range_that_cannot_be_run_is_refused_with_the_reason(
    first: str, last: str, message: str, frozen: Callable[[dt.date], None]
) -> None:
    frozen(CLOSED)
    with pytest.raises(RequestError) as refused:
        check_within_history(day(first), day(last), SETTINGS.start_date, CALENDAR)
    assert message in str(refused.value)


def test_range_that_can_be_run_is_not_refused(frozen: Callable[[dt.date], None]) -> None:
    frozen(CLOSED)
    in_the_future = day("2024-12-31")  # cut where sessions have closed
    check_within_history(day("2022-11-01"), in_the_future, SETTINGS.start_date, CALENDAR)


@pytest.mark.parametrize(
    ("moment", "last"),
    [
        ("2024-02-29T12:00-05:00", "2024-02"),
        ("2024-03-01T04:59+00:00", "2024-02"),  # March has begun in London, and not yet in New York
        ("2024-03-01T05:00+00:00", "2024-03"),
    ],
)
def test_months_reach_from_the_first_of_history_through_the_present(moment: str, last: str) -> None:
    keys = monthly(SETTINGS, CALENDAR).get_partition_keys(current_time=dt.datetime.fromisoformat(moment))
    assert keys[0] == "2022-11"
    assert keys[-1] == last
    assert len(keys) == len(set(keys))


@pytest.mark.parametrize("start", ["1900-01", "1926-01", "1950-01"])  # as early as may be set; CRSP's first; round
def test_history_may_begin_long_ago(start: str) -> None:
    settings = Settings(start=start)
    months = monthly(settings, CALENDAR).get_partition_keys()
    assert months[0] == start
    span = span_of({"dagster/partition": start}, settings, CALENDAR)
    assert 19 < len(CALENDAR.between(span.start, span.end)) < 27  # with Saturdays
    check_within_history(span.start, span.end, settings.start_date, CALENDAR)


@pytest.mark.parametrize(
    ("securities", "months"),
    [(120, 12), (1_190, 12), (1_191, 6), (7_000, 2), (7_143, 1), (20_000, 1), (1_000_000, 1)],
)
def test_a_large_market_is_taken_in_parts_of_years(securities: int, months: int) -> None:
    """By hand: 300,000 bars are 14,285 months of 21 sessions, so 12 months of 1,190 securities and 2 of 7,142."""
    listed = dict.fromkeys(range(2020, 2023), securities)
    pieces = Span(day("2020-02-10"), day("2022-08-05"), day("2022-08-05")).pieces(listed, 300_000)
    assert (pieces[0][0], pieces[-1][1]) == (day("2020-02-10"), day("2022-08-05"))
    assert all(end + dt.timedelta(days=1) == start for (_, end), (start, _) in pairwise(pieces))
    assert [len(months_between(start, end)) for start, end in pieces[1:-1]] == [months] * len(pieces[1:-1])
    assert all(start.year == end.year for start, end in pieces)


def test_years_in_which_few_were_listed_are_not_cut_for_those_of_today() -> None:
    listed = {1962: 30, 1963: 1_191, 1964: 7_000}
    pieces = Span(day("1962-01-02"), day("1964-12-31"), day("1964-12-31")).pieces(listed, 300_000)
    assert [piece.start.year for piece in pieces] == [1962, *[1963] * 2, *[1964] * 6]


@pytest.mark.parametrize(
    ("most", "rows"),
    [(1, [2, 2, 2]), (3, [2, 2, 2]), (4, [4, 2]), (5, [4, 2]), (6, [6])],
)
def test_portions_of_days_have_whole_sessions_and_all_days(most: int, rows: list[int]) -> None:
    """Two rows on each of three sessions."""
    sessions = pl.Series([day("2024-01-02"), day("2024-01-03"), day("2024-01-05")] * 2)
    days = Days(day("2024-01-01"), day("2024-01-31"))
    found = portions(days, sessions, most)
    assert (found[0].start, found[-1].end) == days
    assert all(one.end + dt.timedelta(days=1) == next_.start for one, next_ in pairwise(found))
    assert [sessions.is_between(*part).sum() for part in found] == rows


def test_days_without_a_row_are_one_portion() -> None:
    days = Days(day("2024-01-01"), day("2024-01-31"))
    assert portions(days, pl.Series([], dtype=pl.Date), 5) == [days]


def test_a_span_without_a_day_has_no_piece() -> None:
    empty = Span(day("2024-03-01"), day("2024-02-29"), day("2024-02-29"))
    assert empty.pieces({2024: 10}) == []


JANUARY = Span(dt.date(2024, 1, 1), dt.date(2024, 1, 31), dt.date(2024, 3, 28))


@pytest.mark.parametrize(
    ("held", "asked"),
    [
        (None, (dt.date(2024, 1, 1), dt.date(2024, 1, 31))),
        ((dt.date(2020, 1, 2), dt.date(2023, 12, 29)), (dt.date(2023, 12, 15), dt.date(2024, 1, 31))),
        ((dt.date(2023, 12, 28), dt.date(2024, 1, 12)), (dt.date(2023, 12, 28), dt.date(2024, 1, 31))),
        ((dt.date(2024, 2, 1), dt.date(2024, 3, 28)), (dt.date(2024, 1, 1), dt.date(2024, 2, 14))),
        ((dt.date(2020, 1, 2), dt.date(2024, 2, 2)), (dt.date(2023, 12, 15), dt.date(2024, 2, 2))),
        ((dt.date(2024, 1, 8), dt.date(2024, 1, 9)), (dt.date(2024, 1, 1), dt.date(2024, 1, 31))),
    ],
)
def test_neighbours_of_a_span_are_ten_sessions_as_far_as_bars_are_stored(
    held: tuple[dt.date, dt.date] | None, asked: tuple[dt.date, dt.date]
) -> None:
    assert JANUARY.with_neighbours(held, CALENDAR) == asked


@pytest.mark.parametrize("held", [None, (dt.date(2020, 1, 2), dt.date(2023, 12, 29)), JANUARY.days])
def test_what_is_missing_of_a_span_is_of_its_months_and_not_of_its_neighbours_months(
    held: tuple[dt.date, dt.date] | None,
) -> None:
    since = JANUARY.with_neighbours(held, CALENDAR).start
    assert months_unfinished(since, CALENDAR) == dt.date(2024, 1, 1)  # else each day would go a month further back
