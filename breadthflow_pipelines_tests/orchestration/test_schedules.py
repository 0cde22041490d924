"""When the daily run is asked for, for which months, and why it is not on the other days."""

import datetime as dt
from zoneinfo import ZoneInfo

import dagster as dg
import pytest

from breadthflow_pipelines.orchestration.wiring import build
from breadthflow_pipelines.settings import Settings

NEW_YORK = ZoneInfo("America/New_York")


def schedule(start: str = "2016-01", calendar: str = "XNYS") -> dg.ScheduleDefinition:
    return build(Settings(start=start, calendar=calendar)).resolve_schedule_def("after_the_close")


def asked(moment: dt.datetime, start: str = "2016-01") -> dg.RunRequest | dg.SkipReason:
    answer = schedule(start)(dg.build_schedule_context(scheduled_execution_time=moment))
    assert isinstance(answer, dg.RunRequest | dg.SkipReason)
    return answer


def evening(day: str) -> dt.datetime:
    return dt.datetime.combine(dt.date.fromisoformat(day), dt.time(18, 30), NEW_YORK)


@pytest.mark.parametrize(
    ("day", "first_month", "last_month"),
    [
        ("2024-01-02", "2023-12", "2024-01"),  # first session of a month
        ("2024-01-04", "2023-12", "2024-01"),  # third
        ("2024-01-05", "2024-01", "2024-01"),  # fourth: the month before is left alone
        ("2024-01-31", "2024-01", "2024-01"),  # last
    ],
)
def test_session_is_asked_for_with_the_months_whose_bars_may_still_change(
    day: str, first_month: str, last_month: str
) -> None:
    request = asked(evening(day))
    assert isinstance(request, dg.RunRequest)
    assert request.run_key == day
    assert request.tags["dagster/asset_partition_range_start"] == first_month
    assert request.tags["dagster/asset_partition_range_end"] == last_month
    assert request.tags["session"] == day
    assert "breadthflow/through" not in request.tags  # a run that starts late knows what has closed by then


@pytest.mark.parametrize(
    ("day", "reason"),
    [
        ("2024-01-06", "Saturday 2024-01-06 is no session of XNYS."),
        ("2025-01-09", "Thursday 2025-01-09 is no session of XNYS."),  # the day of mourning for President Carter
        ("2015-12-31", "2015-12-31 lies before the first month of history, 2016-01."),
    ],
)
def test_other_days_are_skipped_with_the_reason(day: str, reason: str) -> None:
    skipped = asked(evening(day))
    assert isinstance(skipped, dg.SkipReason)
    assert skipped.skip_message == reason


def test_first_session_of_history_does_not_ask_for_the_month_before_it() -> None:
    request = asked(evening("2016-01-04"))
    assert isinstance(request, dg.RunRequest)
    assert request.tags["dagster/asset_partition_range_start"] == "2016-01"


def test_the_day_is_the_exchanges_own() -> None:
    # Half past eleven at night in New York on Friday is Saturday in UTC, in which Dagster may hand the time over.
    late_friday = dt.datetime(2024, 1, 6, 4, 30, tzinfo=dt.UTC)
    request = asked(late_friday)
    assert isinstance(request, dg.RunRequest)
    assert request.run_key == "2024-01-05"


def test_it_is_evaluated_each_evening_in_the_exchanges_time_zone() -> None:
    assert schedule().cron_schedule == "30 18 * * *"
    assert schedule().execution_timezone == "America/New_York"
    assert schedule(calendar="XLON").execution_timezone == "Europe/London"
    assert schedule().job_name == "bring_up_to_date"
    assert schedule().default_status is dg.DefaultScheduleStatus.RUNNING
