"""When the daily run is asked for, for which months, and why it is not on the other days."""

import datetime as dt
import tempfile
from collections.abc import Callable
from pathlib import Path
from zoneinfo import ZoneInfo

import dagster as dg
import pytest

from breadthflow_pipelines import sessions
from breadthflow_pipelines.errors import DatabaseError
from breadthflow_pipelines.orchestration import planning
from breadthflow_pipelines.orchestration.automation.schedules import daily_schedule, jobs
from breadthflow_pipelines.orchestration.partitions import first_to_refresh
from breadthflow_pipelines.orchestration.wiring import build
from breadthflow_pipelines.sessions import exchange_calendar
from breadthflow_pipelines.settings import Settings, get_settings
from breadthflow_pipelines_tests.orchestration.conftest import Store

NEW_YORK = ZoneInfo("America/New_York")
NEW_YORK_S = exchange_calendar("XNYS")


@pytest.fixture(autouse=True)
def on_time(monkeypatch: pytest.MonkeyPatch) -> Callable[[dt.datetime], None]:
    """Makes the ticks of a moment come when they should."""
    return lambda moment: monkeypatch.setattr(sessions, "present", lambda: moment + dt.timedelta(seconds=20))


def asked(
    moment: dt.datetime,
    on_time: Callable[[dt.datetime], None],
    start: str = "2016-01",
    due: Callable[[dt.date], dt.date] = lambda day: first_to_refresh(day, NEW_YORK_S),
    changes: Path | None = None,
) -> dg.RunRequest | dg.SkipReason:
    """The answer of a store that was brought up to date the evening before, or that is behind as ``due`` says."""
    on_time(moment)
    schedule = daily_schedule(
        jobs().daily, Settings(start=start, calendar_changes=changes), NEW_YORK_S, lambda _, day: due(day)
    )
    with tempfile.TemporaryDirectory() as place, dg.DagsterInstance.local_temp(place) as instance:
        answer = schedule(dg.build_schedule_context(instance, scheduled_execution_time=moment))
    assert isinstance(answer, dg.RunRequest | dg.SkipReason)
    return answer


def evening(day: str) -> dt.datetime:
    return dt.datetime.combine(dt.date.fromisoformat(day), dt.time(18, 30), NEW_YORK)


OnTime = Callable[[dt.datetime], None]


@pytest.mark.parametrize(
    ("day", "first_month", "last_month"),
    [
        ("2024-01-02", "2023-12", "2024-01"),  # first session of a month
        ("2024-01-04", "2023-12", "2024-01"),  # third
        ("2024-01-05", "2024-01", "2024-01"),  # fourth: the month before is left alone
        ("2024-01-31", "2024-01", "2024-01"),  # last
        ("2024-07-03", "2024-06", "2024-07"),  # a half day is a session
    ],
)
def test_session_is_asked_for_with_the_months_whose_bars_may_still_change(
    day: str, first_month: str, last_month: str, on_time: OnTime
) -> None:
    request = asked(evening(day), on_time)
    assert isinstance(request, dg.RunRequest)
    assert request.run_key == day
    assert request.tags["dagster/asset_partition_range_start"] == first_month
    assert request.tags["dagster/asset_partition_range_end"] == last_month
    assert request.tags["session"] == day
    assert "breadthflow/through" not in request.tags  # a run that starts late knows what has closed by then


def test_months_that_were_missed_are_asked_for_as_well(on_time: OnTime) -> None:
    request = asked(evening("2024-02-15"), on_time, due=lambda _: dt.date(2023, 12, 26))
    assert isinstance(request, dg.RunRequest)
    assert request.tags["dagster/asset_partition_range_start"] == "2023-12"
    assert request.tags["dagster/asset_partition_range_end"] == "2024-02"


@pytest.mark.parametrize(
    ("day", "reason"),
    [
        ("2024-01-06", "Saturday 2024-01-06 is not a session of XNYS."),
        ("2025-01-09", "Thursday 2025-01-09 is not a session of XNYS."),  # the day of mourning for President Carter
        ("2015-12-31", "2015-12-31 lies before the first month of history, 2016-01."),
    ],
)
def test_other_days_are_skipped_with_the_reason(day: str, reason: str, on_time: OnTime) -> None:
    skipped = asked(evening(day), on_time)
    assert isinstance(skipped, dg.SkipReason)
    assert skipped.skip_message == reason


@pytest.mark.parametrize(
    ("late", "is_asked"),
    [
        (dt.timedelta(minutes=14), True),  # a slow machine
        (dt.timedelta(minutes=16), False),
        (dt.timedelta(days=21), False),  # Dagster evaluates the last five evenings that it missed
    ],
)
def test_an_evening_that_was_missed_is_left_to_the_sensor_that_catches_up(
    late: dt.timedelta, is_asked: bool, on_time: OnTime
) -> None:
    moment = evening("2024-01-05")
    answer = asked(moment, lambda _: on_time(moment + late))
    assert isinstance(answer, dg.RunRequest) is is_asked
    if isinstance(answer, dg.SkipReason):
        assert (
            answer.skip_message == "The evening of 2024-01-05 was missed; the sensor catch_up asks for what is missing."
        )


def test_first_session_of_history_does_not_ask_for_the_month_before_it(on_time: OnTime) -> None:
    request = asked(evening("2016-01-04"), on_time)
    assert isinstance(request, dg.RunRequest)
    assert request.tags["dagster/asset_partition_range_start"] == "2016-01"


def test_the_day_is_the_exchanges_own(on_time: OnTime) -> None:
    # Half past eleven at night in New York on Friday is Saturday in UTC, in which Dagster may hand the time over.
    late_friday = dt.datetime(2024, 1, 6, 4, 30, tzinfo=dt.UTC)
    request = asked(late_friday, on_time)
    assert isinstance(request, dg.RunRequest)
    assert request.run_key == "2024-01-05"


def test_what_is_due_is_asked_of_the_store(filled: Store, on_time: OnTime) -> None:
    request = tick(filled, "2024-02-15", on_time)
    assert request.tags["dagster/asset_partition_range_start"] == "2023-12"  # where the store ends
    assert request.tags["dagster/asset_partition_range_end"] == "2024-02"


def test_a_store_that_does_not_answer_is_asked_for_what_may_still_change(
    store: Store, on_time: OnTime, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(*_: object) -> dt.date:
        raise DatabaseError("The database cannot be reached.")

    monkeypatch.setattr(planning, "first_day_due", gone)
    request = tick(store, "2024-02-15", on_time)
    assert request.tags["dagster/asset_partition_range_start"] == "2024-02"


def test_an_empty_store_is_filled_as_the_command_would(store: Store, on_time: OnTime) -> None:
    assert tick(store, "2024-02-15", on_time).tags["dagster/asset_partition_range_start"] == "2022-11"


def test_it_is_evaluated_each_evening_in_the_exchanges_time_zone() -> None:
    weekly = build(Settings()).resolve_schedule_def("weekly_stability")
    assert (weekly.job_name, weekly.cron_schedule) == ("rerun_events", "30 5 * * 0")
    assert weekly.default_status is dg.DefaultScheduleStatus.RUNNING
    schedule = build(Settings()).resolve_schedule_def("after_the_close")
    london = build(Settings(calendar="XLON")).resolve_schedule_def("after_the_close")
    assert schedule.cron_schedule == "30 18 * * *"
    assert schedule.execution_timezone == "America/New_York"
    assert london.execution_timezone == "Europe/London"
    assert schedule.job_name == "bring_up_to_date"
    assert schedule.default_status is dg.DefaultScheduleStatus.RUNNING


def tick(store: Store, day: str, on_time: OnTime) -> dg.RunRequest:
    on_time(evening(day))
    schedule = build(get_settings()).resolve_schedule_def("after_the_close")
    answer = schedule(dg.build_schedule_context(store.instance, scheduled_execution_time=evening(day)))
    assert isinstance(answer, dg.RunRequest)
    return answer


@pytest.mark.slow
def test_a_session_that_the_exchange_cancels_is_not_run(on_time: OnTime, tmp_path: Path) -> None:
    file = tmp_path / "changes.csv"
    file.write_text("date,change,reason\n")
    assert isinstance(asked(evening("2024-06-13"), on_time, changes=file), dg.RunRequest)
    file.write_text("date,change,reason\n2024-06-13,closed,a day of mourning\n2024-06-15,open,made up for it\n")
    answer = asked(evening("2024-06-13"), on_time, changes=file)
    assert isinstance(answer, dg.SkipReason)
    assert answer.skip_message == "Thursday 2024-06-13 is not a session of XNYS."
    assert isinstance(asked(evening("2024-06-15"), on_time, changes=file), dg.RunRequest)  # a Saturday
