"""Keeps records from growing for ever: once a day the oldest go, as settings say.

A sensor does it where the daemon runs, and each command that makes a run. What may be deleted is in warehouse/: of
Dagster's records in retention.py, of the store in store_retention.py. Ticks are deleted by Dagster (dagster.yaml).
"""

import datetime as dt
import json

import dagster as dg

from breadthflow_pipelines.errors import BreadthFlowError
from breadthflow_pipelines.observability.logs import log
from breadthflow_pipelines.orchestration.stored_text import StoredText
from breadthflow_pipelines.settings import Settings, get_settings
from breadthflow_pipelines.warehouse.change_listing import forget_changes
from breadthflow_pipelines.warehouse.database import Database, dagster_url, locate
from breadthflow_pipelines.warehouse.retention import (
    OldRun,
    forget_steps,
    forget_superseded,
    forget_superseded_lights,
    old_runs,
    runs_without_news,
)
from breadthflow_pipelines.warehouse.store_retention import (
    forget_audit,
    forget_events,
    forget_rejected,
    forget_revisions,
)

MOST_RUNS = 500  # at a time; a history of years is thinned out over some days
LOOK_SECONDS = 3600


def tidy(instance: dg.DagsterInstance) -> str:
    """Thin out old records, once a day; gives what was done, in words."""
    progress, today = StoredText(instance, "tidied"), dt.datetime.now(dt.UTC)
    before = json.loads(progress.read() or "{}")
    if before.get("day") == str(today.date()):
        return "Today it was done."
    settings = get_settings()
    database = Database(dagster_url(settings), None)
    done = {"day": str(today.date()), "steps": before.get("steps", 0), "superseded": before.get("superseded", 0)}
    steps, results = (
        today - dt.timedelta(days=days) for days in (settings.keep_steps_days, settings.keep_results_days)
    )
    thinned = old_runs(database, done["steps"], steps, MOST_RUNS)
    gone = forget_steps(database, thinned)
    _forget_output(instance, thinned)
    old = old_runs(database, done["superseded"], results, MOST_RUNS)
    gone += forget_superseded(database, old) + forget_superseded_lights(database, results)
    for name, runs in (("steps", thinned), ("superseded", old)):
        done[name] = runs[-1].number if runs else done[name]
    deleted = _forget_runs(instance, database, settings, today)
    rows = _forget_rows(settings)
    progress.write(json.dumps(done))
    return (
        f"Old runs thinned out: {len(thinned)}; events deleted: {gone}; runs deleted: {deleted}; rows deleted: {rows}."
    )


def tidy_after_a_run(instance: dg.DagsterInstance) -> None:
    """The same for a command, whose work is done: whatever goes wrong here must not make it fail."""
    try:
        tidy(instance)
    except BreadthFlowError as error:
        log.warning("not_tidied", reason=str(error))
    except Exception as error:  # noqa: BLE001 - Dagster's own errors too, of its database and of files
        log.warning("not_tidied", exc_info=error)


def tidy_records() -> dg.SensorDefinition:
    """The sensor that tidies once a day."""

    @dg.sensor(
        name="tidy_records",
        minimum_interval_seconds=LOOK_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Once a day deletes what is older than the settings BREADTHFLOW_KEEP_..._DAYS say.",
    )
    def sensor(context: dg.SensorEvaluationContext) -> dg.SkipReason:
        return dg.SkipReason(tidy(context.instance))

    return sensor


def _forget_output(instance: dg.DagsterInstance, runs: list[OldRun]) -> None:
    """What the steps printed, in files."""
    for run in runs:
        instance.compute_log_manager.delete_logs(prefix=[run.run_id])


def _forget_runs(instance: dg.DagsterInstance, database: Database, settings: Settings, today: dt.datetime) -> int:
    """Whole runs, with what is left of their events, that say nothing of how an asset or a check is now."""
    if settings.keep_runs_days is None:
        return 0
    runs = runs_without_news(database, today - dt.timedelta(days=settings.keep_runs_days), MOST_RUNS)
    _forget_output(instance, runs)
    for run in runs:
        instance.delete_run(run.run_id)
    return len(runs)


def _forget_rows(settings: Settings) -> int:
    """Rows of the store, as far as settings let them go."""
    kept = (
        (settings.keep_revisions_days, forget_revisions),
        (settings.keep_rejected_days, forget_rejected),
        (settings.keep_audit_days, forget_audit),
        (settings.keep_events_days, forget_events),
    )
    forget_changes(locate(settings))
    return sum(forget(locate(settings), days) for days, forget in kept if days is not None)
