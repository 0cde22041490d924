"""What a run and the lights hold to be the last session, at awkward moments."""

import datetime as dt
from collections.abc import Callable

import pytest

from breadthflow_pipelines.contracts.bars import bar_contract
from breadthflow_pipelines.contracts.verdict import judge
from breadthflow_pipelines.model.run_tags import range_tags
from breadthflow_pipelines.orchestration.partitions import Span, span_of
from breadthflow_pipelines.sessions import ExchangeCalendar, due_session, exchange_calendar
from breadthflow_pipelines.settings import Settings, get_settings
from breadthflow_pipelines_tests.contracts.test_bars import bars
from breadthflow_pipelines_tests.orchestration.conftest import Store

At = Callable[[str], None]


def day(text: str) -> dt.date:
    return dt.date.fromisoformat(text)


def span(calendar: ExchangeCalendar, **tags: str) -> Span:
    return span_of(tags, Settings(start="2006-01"), calendar)


@pytest.mark.parametrize(
    ("now", "through"),
    [
        ("2024-03-08T20:59", "2024-03-07"),  # started before the close
        ("2024-03-08T21:00", "2024-03-08"),
        ("2024-03-09T00:00", "2024-03-08"),  # at midnight UTC, a Friday evening in New York
        ("2024-03-12T00:00", "2024-03-11"),  # and after clocks went forward
        ("2024-12-25T12:00", "2024-12-24"),  # on a holiday, after a half day
        ("2024-07-03T17:00", "2024-07-03"),  # a half day closes at 13:00 in New York
        ("2024-11-29T17:59", "2024-11-27"),
        ("2024-11-29T18:00", "2024-11-29"),
        ("2007-01-03T12:00", "2006-12-29"),  # a day of mourning after New Year's Day and a weekend
        ("2012-10-31T12:00", "2012-10-26"),  # the morning after the hurricane
        ("2025-01-10T12:00", "2025-01-08"),
    ],
)
def test_a_run_knows_what_has_closed_when_it_starts(now: str, through: str, at: At) -> None:
    at(now)
    calendar = exchange_calendar("XNYS")
    assert span(calendar).through == day(through)
    assert span(calendar).end == day(through)
    following = calendar.back(day(through), -1)
    verdict = judge(bar_contract(calendar), bars({"session": day(through)}, {"session": following}))
    assert verdict.good["session"].to_list() == [day(through)]  # a row of what has not closed is put aside


def test_a_run_that_was_asked_for_before_midnight_and_starts_after_it_stays_with_its_months(at: At) -> None:
    tags = range_tags(day("2024-01-31"), day("2024-01-31"))
    at("2024-02-01T05:30")  # half past midnight in New York
    assert span(exchange_calendar("XNYS"), **tags) == Span(day("2024-01-01"), day("2024-01-31"), day("2024-01-31"))
    at("2024-02-02T05:30")  # it waited a whole day
    assert span(exchange_calendar("XNYS"), **tags) == Span(day("2024-01-01"), day("2024-01-31"), day("2024-02-01"))


@pytest.mark.parametrize(
    ("exchange", "now", "through"),
    [
        ("XLON", "2024-05-06T20:00", "2024-05-03"),  # a bank holiday in London, a session in New York
        ("XNYS", "2024-05-06T20:00", "2024-05-06"),
        ("XLON", "2024-07-04T15:30", "2024-07-04"),  # summer time: 16:30 in London
        ("XLON", "2024-12-24T12:29", "2024-12-23"),  # a half day there, at 12:30
        ("XLON", "2024-12-24T12:30", "2024-12-24"),
        ("XLON", "2022-09-20T08:00", "2022-09-16"),  # the morning after a day of mourning in London
        ("XNYS", "2022-09-20T08:00", "2022-09-19"),
        ("XTKS", "2024-06-12T06:00", "2024-06-12"),  # 15:00 in Tokyo, while New York sleeps
        ("XTKS", "2024-06-11T20:00", "2024-06-11"),
    ],
)
def test_another_exchange_closes_when_it_does(exchange: str, now: str, through: str, at: At) -> None:
    at(now)
    assert span(exchange_calendar(exchange)).through == day(through)


@pytest.mark.parametrize(
    ("exchange", "now", "due"),
    [
        ("XNYS", "2024-01-06T01:29", "2024-01-04"),  # 20:29 on Friday: two hours after 18:30 have not passed
        ("XNYS", "2024-01-06T01:30", "2024-01-05"),
        ("XNYS", "2024-06-15T00:29", "2024-06-13"),  # summer time
        ("XNYS", "2024-06-15T00:30", "2024-06-14"),
        ("XNYS", "2024-11-29T20:30", "2024-11-27"),  # two hours and more after a half day's close: its run is at 18:30
        ("XNYS", "2024-11-30T01:30", "2024-11-29"),
        ("XNYS", "2024-01-16T23:00", "2024-01-12"),  # the Tuesday after a long weekend, before its run
        ("XNYS", "2012-10-31T12:00", "2012-10-26"),
        ("XNYS", "2025-01-10T12:00", "2025-01-08"),
        ("XLON", "2024-05-07T12:00", "2024-05-03"),
        ("24/7", "2024-01-06T01:59", "2024-01-04"),  # closes at midnight, after 18:30
        ("24/7", "2024-01-06T02:00", "2024-01-05"),
    ],
)
def test_a_session_is_due_two_hours_after_its_evening_s_run_or_its_close(
    exchange: str, now: str, due: str, at: At
) -> None:
    at(now)
    assert due_session(exchange_calendar(exchange), dt.timedelta(hours=2)) == day(due)


@pytest.mark.slow
def test_runs_at_awkward_moments_store_what_has_closed_and_leave_no_hole(store: Store, at: At) -> None:
    """The source has more than a year of sessions all the time; only the clock says which of them are over."""
    calendar = exchange_calendar("XNYS")

    def run(now: str) -> tuple[int, list[dt.date]]:
        at(now)
        report = store.daily(calendar.last_closed())
        assert report.trouble is None
        held = store.rows("SELECT DISTINCT session FROM bars ORDER BY session")
        counted = store.rows("SELECT DISTINCT session FROM breadth_counts ORDER BY session")
        assert counted == held
        return report.rows_changed, [session for (session,) in held]

    def closed(through: str) -> list[dt.date]:
        return calendar.between(day("2022-11-01"), day(through))

    assert run("2022-11-24T00:00")[1] == closed("2022-11-23")  # at midnight UTC, an evening in New York
    assert run("2022-11-24T18:00") == (0, closed("2022-11-23"))  # on Thanksgiving Day, which brings nothing
    assert run("2022-12-16T20:59")[1] == closed("2022-12-15")  # three weeks and a half day later, before the close
    assert store.rows("SELECT count(*) FROM rejected_bars") == [(0,)]  # nothing of later days came so far


@pytest.mark.slow
def test_a_market_on_another_exchange_s_calendar_stops_the_run_and_moves_no_row(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """New York's bars of May 2023 under London's calendar, which has two bank holidays more."""
    monkeypatch.setenv("BREADTHFLOW_CALENDAR", "XLON")
    monkeypatch.setenv("BREADTHFLOW_START", "2023-05")
    get_settings.cache_clear()
    report = store.run(day("2023-05-01"), day("2023-05-31"))
    rows = [row for symbol in store.small.rows.values() for row in symbol if str(row[0]).startswith("2023-05")]
    holidays = {"2023-05-01", "2023-05-08"}
    kept = store.rows("SELECT session::text, close FROM bars ORDER BY 1, 2")
    assert kept == sorted((row[0], row[4]) for row in rows if row[0] not in holidays)
    aside = store.rows("SELECT session::text, close, reasons FROM rejected_bars ORDER BY 1, 2")
    assert aside == sorted((row[0], row[4], ["no closed session of XLON"]) for row in rows if row[0] in holidays)
    assert [check.name for check in report.checks if check.status == "failed"] == ["bars_keep_contract"]
    assert store.rows("SELECT count(*) FROM breadth_counts") == [(0,)]
