"""Jobs and schedules: when the store is brought up to date, and checked, by itself.

What was missed while the daemon was off is requested by the sensor catch_up (catch_up.py).
"""

import datetime as dt
from collections.abc import Callable
from typing import NamedTuple
from zoneinfo import ZoneInfo

import dagster as dg
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

from breadthflow_pipelines import sessions
from breadthflow_pipelines.model.datasets import (
    CHECKS_JOB,
    DAILY_ASSETS,
    DAILY_JOB,
    LATE_CHECK,
    PUBLISHED_ASSETS,
    PUBLISHED_JOB,
    WATCHED,
    WEEKLY_ASSETS,
    WEEKLY_JOB,
)
from breadthflow_pipelines.model.run_tags import SESSION_TAG, range_tags
from breadthflow_pipelines.orchestration.automation.upkeep import UpkeepJobs
from breadthflow_pipelines.orchestration.suite_checks import SUITE_CHECKS
from breadthflow_pipelines.sessions import EVENING, ExchangeCalendar, exchange_calendar
from breadthflow_pipelines.settings import Settings

ON_SUNDAYS = "30 5 * * 0"  # after the checks of the night, and before the week's first session
AT_NIGHT = "30 3 * * *"  # when nobody waits for the database
AFTER_MIDNIGHT = "30 1 * * *"  # before the checks of the night
ON_SATURDAYS = "30 6 * * 6"  # the week's last session is in
FIRST_OF_THE_MONTH = "30 7 1 * *"
AFTER_THE_DRILL = "0 8 1 * *"
IN_THE_MORNING = "15 8 * * *"  # after all that runs at night, and before people begin
MISSED_AFTER = dt.timedelta(minutes=15)  # a tick that comes later than that was missed: the daemon was off
AFTER_CLOSE = f"{EVENING.minute} {EVENING.hour} * * *"


class Jobs(NamedTuple):
    """The daily job over months, the import of published counts, the checks alone, and what takes minutes.

    None of them judges by the clock: a run about 2020 is no worse because today is late (docs/decisions/freshness.md).
    """

    daily: UnresolvedAssetJobDefinition
    published: UnresolvedAssetJobDefinition
    checks: UnresolvedAssetJobDefinition
    weekly: UnresolvedAssetJobDefinition


def jobs() -> Jobs:
    """All jobs."""
    suites = dg.AssetSelection.checks(*SUITE_CHECKS)
    by_the_clock = dg.AssetSelection.checks(*(dg.AssetCheckKey(dg.AssetKey(name), LATE_CHECK) for name in WATCHED))
    return Jobs(
        daily=dg.define_asset_job(
            DAILY_JOB,
            selection=dg.AssetSelection.assets(*DAILY_ASSETS) - suites - by_the_clock,
            executor_def=dg.in_process_executor,
            description="Fetch, validate, count, compute and signal, for the months of the run; published counts too.",
        ),
        published=dg.define_asset_job(
            PUBLISHED_JOB,
            selection=dg.AssetSelection.assets(*PUBLISHED_ASSETS) - suites - by_the_clock,
            executor_def=dg.in_process_executor,
            description="Read an exchange's published counts, then compute and signal.",
        ),
        checks=dg.define_asset_job(
            CHECKS_JOB,
            selection=dg.AssetSelection.all_asset_checks() - by_the_clock,
            executor_def=dg.in_process_executor,
            description="Judge all that is stored, suites included, without reading a source or computing anything.",
        ),
        weekly=dg.define_asset_job(
            WEEKLY_JOB,
            selection=dg.AssetSelection.assets(*WEEKLY_ASSETS) - suites,
            executor_def=dg.in_process_executor,
            description="Find every rule's events again without some members and with other conventions.",
        ),
    )


def daily_schedule(
    job: UnresolvedAssetJobDefinition,
    settings: Settings,
    calendar: ExchangeCalendar,
    first_day_due: Callable[[dg.DagsterInstance, dt.date], dt.date],
) -> dg.ScheduleDefinition:
    """After the close of every session: the months from the first one that is due, as ``breadthflow run`` has it."""

    @dg.schedule(
        job=job,
        cron_schedule=AFTER_CLOSE,
        execution_timezone=calendar.timezone,
        name="after_the_close",
        description="Brings the store up to date after each session, from the first month that lacks something.",
        default_status=dg.DefaultScheduleStatus.RUNNING,
    )
    def after_the_close(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        moment = context.scheduled_execution_time
        today = moment.astimezone(ZoneInfo(calendar.timezone)).date()
        # As the file of changes has it now: the exchange may close on a day that was a session when this process began.
        if not exchange_calendar(settings.calendar, settings.calendar_changes).is_session(today):
            return dg.SkipReason(f"{today:%A} {today} is not a session of {calendar.name}.")
        if today < settings.start_date:
            return dg.SkipReason(f"{today} lies before the first month of history, {settings.start}.")
        if sessions.present() - moment > MISSED_AFTER:
            return dg.SkipReason(f"The evening of {today} was missed; the sensor catch_up asks for what is missing.")
        first = max(first_day_due(context.instance, today), settings.start_date)
        return dg.RunRequest(run_key=str(today), tags={**range_tags(first, today), SESSION_TAG: str(today)})

    return after_the_close


def nightly_schedule(job: UnresolvedAssetJobDefinition, calendar: ExchangeCalendar) -> dg.ScheduleDefinition:
    """Every night: all checks, those included that are too slow for the daily run."""
    about = "Judges all that is stored every night, with the suites that are too slow for the evening's run."
    return _by_the_clock("nightly_checks", AT_NIGHT, job, calendar, about)


def weekly_schedule(job: UnresolvedAssetJobDefinition, calendar: ExchangeCalendar) -> dg.ScheduleDefinition:
    """Every Sunday: what takes minutes and changes little from day to day."""
    about = "Finds every rule's events again once a week, for how many of them stay."
    return _by_the_clock("weekly_stability", ON_SUNDAYS, job, calendar, about)


def digest_schedule(job: dg.JobDefinition, calendar: ExchangeCalendar) -> dg.ScheduleDefinition:
    """Every morning, also when all is well: a digest that does not come says that nothing runs."""
    about = "Says every morning what ran, failed, was rejected or is late since the last digest."
    return _by_the_clock("daily_digest", IN_THE_MORNING, job, calendar, about)


def review_schedule(job: dg.JobDefinition, calendar: ExchangeCalendar) -> dg.ScheduleDefinition:
    """Every month: what nobody looks at from day to day."""
    about = "Says every month how old the packages are, and how the lists of members are kept."
    return _by_the_clock("monthly_review", AFTER_THE_DRILL, job, calendar, about)


def upkeep_schedules(
    jobs: UpkeepJobs, calendar: ExchangeCalendar, settings: Settings
) -> tuple[dg.ScheduleDefinition, dg.ScheduleDefinition, dg.ScheduleDefinition]:
    """Backups every night where a folder is set for them, the databases' upkeep every week, the drill every month."""
    backup = _by_the_clock(
        "nightly_backup",
        AFTER_MIDNIGHT,
        jobs.backup,
        calendar,
        "Copies the market's database and Dagster's into BREADTHFLOW_BACKUP_FOLDER every night.",
        runs=settings.backup_folder is not None,
    )
    about = "Vacuums and analyzes both databases every week and says what takes up space."
    upkeep = _by_the_clock("weekly_upkeep", ON_SATURDAYS, jobs.upkeep, calendar, about)
    about = "Restores the newest backup every month beside the store and compares every table."
    return backup, upkeep, _by_the_clock("monthly_restore_drill", FIRST_OF_THE_MONTH, jobs.drill, calendar, about)


def _by_the_clock(
    name: str,
    when: str,
    job: UnresolvedAssetJobDefinition | dg.JobDefinition,
    calendar: ExchangeCalendar,
    about: str,
    *,
    runs: bool = True,
) -> dg.ScheduleDefinition:
    return dg.ScheduleDefinition(
        name=name,
        job=job,
        cron_schedule=when,
        execution_timezone=calendar.timezone,
        default_status=dg.DefaultScheduleStatus.RUNNING if runs else dg.DefaultScheduleStatus.STOPPED,
        description=about,
    )
