"""Assets, checks, jobs, the schedule, sensors and the resource, put together for some settings; computes nothing."""

import dagster as dg

from breadthflow_pipelines.orchestration import checks
from breadthflow_pipelines.orchestration.assets.backtests import backtests
from breadthflow_pipelines.orchestration.assets.bars import bars_asset
from breadthflow_pipelines.orchestration.assets.breadth_counts import breadth_counts_asset
from breadthflow_pipelines.orchestration.assets.breadth_indicators import breadth_indicators
from breadthflow_pipelines.orchestration.assets.market_report import market_report
from breadthflow_pipelines.orchestration.assets.market_signals import market_signals
from breadthflow_pipelines.orchestration.assets.price_indicators import price_indicators_asset
from breadthflow_pipelines.orchestration.assets.published_counts import exchange_breadth
from breadthflow_pipelines.orchestration.assets.quarantined_bars import quarantined_bars_asset
from breadthflow_pipelines.orchestration.assets.securities import securities, universe_members
from breadthflow_pipelines.orchestration.assets.signal_accuracy import signal_accuracy, signal_records
from breadthflow_pipelines.orchestration.assets.signal_outcomes import signal_outcomes
from breadthflow_pipelines.orchestration.assets.signal_stability import signal_stability
from breadthflow_pipelines.orchestration.assets.symbol_calibration import symbol_calibration, symbol_records
from breadthflow_pipelines.orchestration.assets.symbol_signals import symbol_signals_asset
from breadthflow_pipelines.orchestration.assets.universe_returns import universe_returns_asset
from breadthflow_pipelines.orchestration.automation.digest import digest_job
from breadthflow_pipelines.orchestration.automation.review import review_job
from breadthflow_pipelines.orchestration.automation.schedules import (
    daily_schedule,
    digest_schedule,
    jobs,
    nightly_schedule,
    review_schedule,
    upkeep_schedules,
    weekly_schedule,
)
from breadthflow_pipelines.orchestration.automation.sensors import sensors
from breadthflow_pipelines.orchestration.automation.upkeep import upkeep_jobs
from breadthflow_pipelines.orchestration.freshness import late_checks, with_freshness
from breadthflow_pipelines.orchestration.hosting.tidying import tidy_records
from breadthflow_pipelines.orchestration.partitions import monthly
from breadthflow_pipelines.orchestration.planning import first_day_due_or_recent
from breadthflow_pipelines.orchestration.resources import Market
from breadthflow_pipelines.orchestration.suite_checks import SUITE_CHECKS
from breadthflow_pipelines.sessions import exchange_calendar
from breadthflow_pipelines.settings import Settings


def build(settings: Settings) -> dg.Definitions:
    """Everything that Dagster shows and runs, for these settings."""
    calendar = exchange_calendar(settings.calendar, settings.calendar_changes)
    months = monthly(settings, calendar)
    all_jobs, upkeep, digest, review = jobs(), upkeep_jobs(), digest_job(), review_job()
    assets = [
        securities,
        universe_members,
        bars_asset(months),
        quarantined_bars_asset(months),
        exchange_breadth,
        breadth_counts_asset(months),
        breadth_indicators,
        market_signals,
        universe_returns_asset(months),
        signal_outcomes,
        signal_stability,
        signal_accuracy,
        signal_records,
        backtests,
        price_indicators_asset(months),
        symbol_signals_asset(months),
        symbol_calibration,
        symbol_records,
        market_report,
    ]
    return dg.Definitions(
        assets=with_freshness(assets, calendar),
        asset_checks=[*dg.load_asset_checks_from_package_module(checks), *SUITE_CHECKS, *late_checks()],
        jobs=[*all_jobs, *upkeep, digest, review],
        schedules=[
            daily_schedule(all_jobs.daily, settings, calendar, first_day_due_or_recent),
            nightly_schedule(all_jobs.checks, calendar),
            weekly_schedule(all_jobs.weekly, calendar),
            *upkeep_schedules(upkeep, calendar, settings),
            digest_schedule(digest, calendar),
            review_schedule(review, calendar),
        ],
        sensors=[*sensors(all_jobs.daily, all_jobs.checks, settings), tidy_records()],
        resources={"market": Market()},
        executor=dg.in_process_executor,
    )
