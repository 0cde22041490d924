"""Who launched which run, written down when it is launched: by a command, in the UI, by API, or by what does by itself.

Runs of Dagster's own commands (`dagster asset materialize`) pass neither place and are not written down.
"""

import dagster as dg
from dagster._core.run_coordinator.base import SubmitRunContext
from dagster._core.run_coordinator.queued_run_coordinator import QueuedRunCoordinator
from dagster._core.storage.tags import BACKFILL_ID_TAG, RETRY_NUMBER_TAG, SCHEDULE_NAME_TAG, SENSOR_NAME_TAG
from dagster._core.workspace.context import WorkspaceRequestContext

from breadthflow_pipelines.model.run_tags import REQUEST_TAG, months_of
from breadthflow_pipelines.model.vocabulary import LAUNCHED
from breadthflow_pipelines.settings import get_settings
from breadthflow_pipelines.warehouse.audit_store import API, COMMAND, present_user, record
from breadthflow_pipelines.warehouse.database import locate
from breadthflow_pipelines.warehouse.run_requests import take

UI, DAEMON = "ui", "daemon"


class AuditedRunCoordinator(QueuedRunCoordinator):
    """dagster.yaml's coordinator: Dagster's own queue, with a note of who put each run into it."""

    def submit_run(self, context: SubmitRunContext) -> dg.DagsterRun:
        run, header = context.dagster_run, get_settings().user_header
        if run.status is dg.DagsterRunStatus.NOT_STARTED:  # else it is in the queue: the daemon hands some in twice
            who = context.get_request_header(header) if header else None
            note_launch(run, who, UI if _asked_for(context) else _by_itself(run))
        return super().submit_run(context)


def note_command(run: dg.DagsterRun) -> None:
    """Write down that a command of this process launched a run."""
    note_launch(run, present_user(), COMMAND)


def note_launch(run: dg.DagsterRun, who: str | None, via: str) -> None:
    """Write down who launched a run; it must not be launched where this fails."""
    with locate(get_settings()).connect() as connection, connection.cursor() as cursor:
        request = run.tags.get(REQUEST_TAG)
        asked = None if request is None else take(cursor, request, run.run_id)
        if asked is not None:
            (who,), via = asked, API
        record(cursor, LAUNCHED, _described(run), who=who or None, via=via, run_id=run.run_id)


def _asked_for(context: SubmitRunContext) -> bool:
    """Whether a request asked for it: the daemon has none."""
    return isinstance(context.workspace, WorkspaceRequestContext) and context.workspace.source is not None


def _by_itself(run: dg.DagsterRun) -> str:
    for tag, what in ((RETRY_NUMBER_TAG, "retry"), (SCHEDULE_NAME_TAG, "schedule"), (SENSOR_NAME_TAG, "sensor")):
        if tag in run.tags:
            return f"{what} {run.tags[tag]}"
    return f"backfill {run.tags[BACKFILL_ID_TAG]}" if BACKFILL_ID_TAG in run.tags else DAEMON


def _described(run: dg.DagsterRun) -> str:
    first, last = months_of(run.tags) or (None, None)
    months = "" if first is None else f", {first}" if first == last else f", {first} to {last}"
    return f"{run.job_name}{months}"
