"""Runs that the command line makes in its own process: no daemon, no UI, the same records as any other run.

A range of months is one run (docs/decisions/range-runs.md). How it went: run_reports.py.
"""

import datetime as dt
import time
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import dagster as dg

from breadthflow_pipelines.errors import BreadthFlowError, RequestError
from breadthflow_pipelines.model.datasets import CHECKS_JOB, DAILY_JOB, MONTHLY_ASSETS, PUBLISHED_JOB, WEEKLY_JOB
from breadthflow_pipelines.model.run_tags import SESSION_TAG, range_tags
from breadthflow_pipelines.observability.logs import log
from breadthflow_pipelines.orchestration import check_statuses, freshness
from breadthflow_pipelines.orchestration.execution import execute
from breadthflow_pipelines.orchestration.hosting.instance import show_pools
from breadthflow_pipelines.orchestration.hosting.liveness import end_dead_runs, process_tags
from breadthflow_pipelines.orchestration.hosting.tidying import tidy_after_a_run
from breadthflow_pipelines.orchestration.planning import without_rows
from breadthflow_pipelines.orchestration.resources import Market
from breadthflow_pipelines.orchestration.run_reports import CheckOutcome, RunReport, report_of
from breadthflow_pipelines.orchestration.suite_checks import DOCS_TAG, SUITE_NAMES
from breadthflow_pipelines.orchestration.wiring import build
from breadthflow_pipelines.settings import get_settings
from breadthflow_pipelines.warehouse import standing

EVERY_SUITE = "suites"  # what all of their checks together are called in a selection


def run_months(
    instance: dg.DagsterInstance, first: dt.date, last: dt.date, through: dt.date, *, all_due: bool = False
) -> RunReport:
    """Bring the months of ``first`` through ``last`` up to date, in one run that sees nothing after ``through``.

    all_due: these are all months that have anything to do; a later such run does what this one leaves undone.
    """
    tags = range_tags(first, last, through)
    return _execute(instance, DAILY_JOB, tags={**tags, SESSION_TAG: through.isoformat()} if all_due else tags)


def run_import(instance: dg.DagsterInstance, directory: str, exchange: str, *, replace: bool = False) -> RunReport:
    """Read an exchange's published counts and make signals of them. replace: what they do not give goes."""
    config = {"directory": directory, "exchange": exchange, "replace": replace}
    return _execute(instance, PUBLISHED_JOB, run_config={"ops": {"exchange_breadth": {"config": config}}})


def run_stability(instance: dg.DagsterInstance) -> RunReport:
    """Find every rule's events again on changed data, and bring the records up to it."""
    return _execute(instance, WEEKLY_JOB)


def run_checks(
    instance: dg.DagsterInstance,
    market: Market,
    select: Collection[str],
    *,
    suites: bool = True,
    docs: Path | None = None,
) -> RunReport:
    """Run asset checks alone: those of the named assets or checks, or all that have something to judge.

    select: names of assets and checks; the name ``suites`` means the checks of all suites. suites: whether those, which
    take longer, are to be run at all. docs: a directory for pages of what they find.

    Raises:
        RequestError: a name is neither an asset nor a check, or pages are wanted of checks that make none.
    """
    keys = _selected(_job(CHECKS_JOB).asset_layer.asset_graph.asset_check_keys, select)
    if not suites:
        keys = {key for key in keys if key.name not in SUITE_NAMES}
    nothing = without_rows(market) if not select or EVERY_SUITE in select else set()
    due = {key for key in keys if key.asset_key.to_user_string() not in nothing}
    if not due:
        raise RequestError(f"There is nothing to check. {standing.empty(market.store)}")
    if docs is not None and not any(key.name in SUITE_NAMES for key in due):
        raise RequestError("--docs makes pages of what suites find, and none of the checks chosen belongs to one.")
    report = _execute(instance, CHECKS_JOB, tags={DOCS_TAG: str(docs)} if docs else None, checks=due)
    judged = {(check.asset, check.name) for check in report.checks}
    held_back = {key for key in due if (key.asset_key.to_user_string(), key.name) not in judged}
    skipped = [
        CheckOutcome(key.asset_key.to_user_string(), key.name, "skipped", reason)
        for unjudged, reason in (
            (keys - due, "nothing is stored that it could judge"),
            (held_back, "a check of what it compares with failed"),
        )
        for key in sorted(unjudged)
    ]
    return RunReport(report.run_id, report.seconds, {}, (*report.checks, *skipped), report.trouble)


def _execute(
    instance: dg.DagsterInstance,
    job: str,
    tags: Mapping[str, str] | None = None,
    run_config: Mapping[str, Any] | None = None,
    checks: set[dg.AssetCheckKey] | None = None,
) -> RunReport:
    end_dead_runs(instance)
    show_pools(instance, MONTHLY_ASSETS)
    definitions = build(get_settings())
    began = time.monotonic()
    executed = execute(
        instance,
        definitions.resolve_job_def(job),
        tags={**(tags or {}), **process_tags()},
        # Dagster prints every event otherwise; the report says what people need, the UI has the rest.
        run_config={**(run_config or {}), "loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
        checks=checks,
    )
    report = report_of(executed, time.monotonic() - began)
    refresh_check_statuses(instance, Market(), definitions.resolve_asset_graph().asset_check_keys)
    tidy_after_a_run(instance)
    log.info("run_finished", job=job, run_id=report.run_id, seconds=report.seconds, rows_changed=report.rows_changed)
    return report


def _job(name: str) -> dg.JobDefinition:
    """The job as the settings of now make it."""
    return build(get_settings()).resolve_job_def(name)


def refresh_check_statuses(instance: dg.DagsterInstance, market: Market, keys: Collection[dg.AssetCheckKey]) -> None:
    """Let the UI show every check again: a run hides those of its assets, and judges only its own months."""
    events = check_statuses.outdated_statuses(instance, market, keys)
    try:
        events += freshness.outdated_statuses(instance, market)
    except BreadthFlowError as error:  # published counts are imported, and suites run, without any source of bars
        log.info("lateness_unknown", reason=str(error))
    for event in events:
        instance.report_runless_asset_event(event)


def _selected(keys: Collection[dg.AssetCheckKey], select: Collection[str]) -> set[dg.AssetCheckKey]:
    if not select:
        return set(keys)
    chosen: set[dg.AssetCheckKey] = set()
    for name in select:
        found = {key for key in keys if name in _names(key)}
        if not found:
            names = sorted({name for key in keys for name in _names(key)} - SUITE_NAMES)
            raise RequestError(
                f"{name} is neither an asset with checks nor a check; there are: {', '.join(names)}, and each of the "
                f"{len(SUITE_NAMES)} checks that are suites together."
            )
        chosen |= found
    return chosen


def _names(key: dg.AssetCheckKey) -> set[str]:
    """What a check may be called by: its own name, its asset's, and that of all suites where it belongs to one."""
    own = {key.name, key.asset_key.to_user_string()}
    return own | {EVERY_SUITE} if key.name in SUITE_NAMES else own
