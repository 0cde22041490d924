"""Keeps Dagster's records from growing for ever: once a day the oldest are thinned out.

A sensor does it where the daemon runs, and each command that makes a run. What may be deleted is in
warehouse/retention.py; Dagster's own retention of ticks is in dagster.yaml.
"""

import datetime as dt
import json

import dagster as dg

from breadthflow_pipelines.errors import BreadthFlowError
from breadthflow_pipelines.observability.logs import log
from breadthflow_pipelines.orchestration.stored_text import StoredText
from breadthflow_pipelines.settings import get_settings
from breadthflow_pipelines.warehouse.database import Database, dagster_url
from breadthflow_pipelines.warehouse.retention import (
    OldRun,
    forget_steps,
    forget_superseded,
    forget_superseded_lights,
    old_runs,
)

STEPS_KEPT = dt.timedelta(days=14)
# The UI plots an asset's last 100 materializations, which are five months of sessions.
SUPERSEDED_KEPT = dt.timedelta(days=180)
MOST_RUNS = 500  # at a time; a history of years is thinned out over some days
LOOK_SECONDS = 3600


def tidy(instance: dg.DagsterInstance) -> str:
    """Thin out old records, once a day; gives what was done, in words."""
    progress, today = StoredText(instance, "tidied"), dt.datetime.now(dt.UTC)
    before = json.loads(progress.read() or "{}")
    if before.get("day") == str(today.date()):
        return "Today it was done."
    database = Database(dagster_url(get_settings()), None)
    done = {"day": str(today.date()), "steps": before.get("steps", 0), "superseded": before.get("superseded", 0)}
    thinned = old_runs(database, done["steps"], today - STEPS_KEPT, MOST_RUNS)
    gone = forget_steps(database, thinned)
    _forget_output(instance, thinned)
    old = old_runs(database, done["superseded"], today - SUPERSEDED_KEPT, MOST_RUNS)
    gone += forget_superseded(database, old) + forget_superseded_lights(database, today - SUPERSEDED_KEPT)
    for name, runs in (("steps", thinned), ("superseded", old)):
        done[name] = runs[-1].number if runs else done[name]
    progress.write(json.dumps(done))
    return f"Old runs thinned out: {len(thinned)}; events deleted: {gone}."


def tidy_after_a_run(instance: dg.DagsterInstance) -> None:
    """The same for a command, whose work is done: whatever goes wrong here must not make it fail."""
    try:
        tidy(instance)
    except BreadthFlowError as error:
        log.warning("not_tidied", reason=str(error))


def tidy_records() -> dg.SensorDefinition:
    """The sensor that tidies once a day."""

    @dg.sensor(
        name="tidy_records",
        minimum_interval_seconds=LOOK_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Once a day deletes what runs of more than two weeks ago wrote about each of their steps.",
    )
    def sensor(context: dg.SensorEvaluationContext) -> dg.SkipReason:
        return dg.SkipReason(tidy(context.instance))

    return sensor


def _forget_output(instance: dg.DagsterInstance, runs: list[OldRun]) -> None:
    """What the steps printed, in files."""
    for run in runs:
        instance.compute_log_manager.delete_logs(prefix=[run.run_id])
