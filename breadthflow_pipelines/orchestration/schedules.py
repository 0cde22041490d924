"""Jobs and the daily schedule: when the store is brought up to date without anybody asking."""

from zoneinfo import ZoneInfo

import dagster as dg
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

from breadthflow_pipelines.orchestration.partitions import first_to_refresh, range_tags
from breadthflow_pipelines.sessions import ExchangeCalendar
from breadthflow_pipelines.settings import Settings
from breadthflow_pipelines.sources.registry import unfinished_since

DAILY_JOB = "bring_up_to_date"
PUBLISHED_JOB = "import_published_counts"
CHECKS_JOB = "run_checks"
MARKET_ASSETS = (
    "securities",
    "universe_members",
    "bars",
    "breadth_counts",
    "breadth_indicators",
    "market_signals",
    "price_indicators",
    "symbol_signals",
)
MONTHLY_ASSETS = ("bars", "breadth_counts", "price_indicators", "symbol_signals")
PUBLISHED_ASSETS = ("exchange_breadth", "breadth_indicators", "market_signals")
AFTER_CLOSE = "30 18 * * *"  # New York's vendors have the closing auction by then; other exchanges close earlier


def jobs() -> list[UnresolvedAssetJobDefinition]:
    """The daily job over months, the import of published counts, and the checks alone."""
    return [
        dg.define_asset_job(
            DAILY_JOB,
            selection=dg.AssetSelection.assets(*MARKET_ASSETS),
            executor_def=dg.in_process_executor,
            description="Fetch, validate, count, compute and signal, for the months of the run.",
        ),
        dg.define_asset_job(
            PUBLISHED_JOB,
            selection=dg.AssetSelection.assets(*PUBLISHED_ASSETS),
            executor_def=dg.in_process_executor,
            description="Read an exchange's published counts, then compute and signal.",
        ),
        dg.define_asset_job(
            CHECKS_JOB,
            selection=dg.AssetSelection.all_asset_checks(),
            executor_def=dg.in_process_executor,
            description="Judge what is stored, without reading or computing anything.",
        ),
    ]


def daily_schedule(
    job: UnresolvedAssetJobDefinition, settings: Settings, calendar: ExchangeCalendar
) -> dg.ScheduleDefinition:
    """After the close of every session: the current month, and the month before during its first three sessions.

    Where the source could not give everything in the last days, the run begins where something is missing.
    """

    @dg.schedule(
        job=job,
        cron_schedule=AFTER_CLOSE,
        execution_timezone=calendar.timezone,
        name="after_the_close",
        default_status=dg.DefaultScheduleStatus.RUNNING,
    )
    def after_the_close(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        today = context.scheduled_execution_time.astimezone(ZoneInfo(calendar.timezone)).date()
        if not calendar.is_session(today):
            return dg.SkipReason(f"{today:%A} {today} is no session of {calendar.name}.")
        if today < settings.start_date:
            return dg.SkipReason(f"{today} lies before the first month of history, {settings.start}.")
        # A vendor that broke off on another evening is gone back to; None where nothing is missing.
        due = [first_to_refresh(today, calendar), unfinished_since(settings, calendar)]
        first = max(min(day for day in due if day is not None), settings.start_date)
        return dg.RunRequest(run_key=str(today), tags={**range_tags(first, today), "session": str(today)})

    return after_the_close
