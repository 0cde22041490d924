"""Assets, checks, jobs, the schedule, sensors and the resource, put together for some settings; computes nothing."""

import dagster as dg

from breadthflow_pipelines.orchestration.assets.breadth import (
    breadth_counts_asset,
    breadth_indicators,
    exchange_breadth,
)
from breadthflow_pipelines.orchestration.assets.market import bars_asset, securities, universe_members
from breadthflow_pipelines.orchestration.assets.quarantine import quarantined_bars_asset
from breadthflow_pipelines.orchestration.assets.signals import market_signals
from breadthflow_pipelines.orchestration.assets.symbols import price_indicators_asset, symbol_signals_asset
from breadthflow_pipelines.orchestration.automation.schedules import daily_schedule, jobs, nightly_schedule
from breadthflow_pipelines.orchestration.automation.sensors import sensors
from breadthflow_pipelines.orchestration.checks import CHECKS
from breadthflow_pipelines.orchestration.freshness import late_checks, with_freshness
from breadthflow_pipelines.orchestration.hosting.tidying import tidy_records
from breadthflow_pipelines.orchestration.partitions import monthly
from breadthflow_pipelines.orchestration.planning import first_due
from breadthflow_pipelines.orchestration.resources import Market
from breadthflow_pipelines.orchestration.suite_checks import SUITE_CHECKS
from breadthflow_pipelines.sessions import exchange_calendar
from breadthflow_pipelines.settings import Settings


def build(settings: Settings) -> dg.Definitions:
    """Everything that Dagster shows and runs, for these settings."""
    calendar = exchange_calendar(settings.calendar, settings.calendar_changes)
    months = monthly(settings, calendar)
    bars = bars_asset(months)
    quarantine = quarantined_bars_asset(months, bars)
    price_indicators = price_indicators_asset(months, bars, quarantine)
    all_jobs = jobs()
    assets = [
        securities,
        universe_members,
        bars,
        quarantine,
        exchange_breadth,
        breadth_counts_asset(months, bars, quarantine),
        breadth_indicators,
        market_signals,
        price_indicators,
        symbol_signals_asset(months, bars, price_indicators),
    ]
    return dg.Definitions(
        assets=with_freshness(assets, calendar),
        asset_checks=[*CHECKS, *SUITE_CHECKS, *late_checks()],
        jobs=all_jobs,
        schedules=[
            daily_schedule(all_jobs.daily, settings, calendar, first_due),
            nightly_schedule(all_jobs.checks, calendar),
        ],
        sensors=[*sensors(all_jobs.daily, all_jobs.checks, settings), tidy_records()],
        resources={"market": Market()},
        executor=dg.in_process_executor,
    )
