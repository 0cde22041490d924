"""Who launched which run or backfill, noted at once: by a command, in the UI, by API, or by what does by itself.

What passes the queue is noted there, the commands' own runs where they begin; Dagster's own commands (`dagster asset
materialize`) and backfills pass neither, and are noted by the storage that records them (docs/decisions/access.md).
"""

import sys
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from functools import cache, wraps
from typing import Any, Self

import dagster as dg
from dagster._core.execution.backfill import PartitionBackfill
from dagster._core.run_coordinator.base import SubmitRunContext
from dagster._core.run_coordinator.queued_run_coordinator import QueuedRunCoordinator
from dagster._core.storage.tags import BACKFILL_ID_TAG, RETRY_NUMBER_TAG, SCHEDULE_NAME_TAG, SENSOR_NAME_TAG
from dagster._core.workspace.context import WorkspaceProcessContext, WorkspaceRequestContext
from dagster._serdes import ConfigurableClassData

from breadthflow_pipelines.model.run_tags import REQUEST_TAG, months_of
from breadthflow_pipelines.model.vocabulary import LAUNCHED
from breadthflow_pipelines.settings import get_settings
from breadthflow_pipelines.warehouse.audit_store import API, COMMAND, is_noted, present_user, record
from breadthflow_pipelines.warehouse.database import locate, open_database
from breadthflow_pipelines.warehouse.run_requests import take

UI, DAEMON = "ui", "daemon"
DAEMON_PROGRAM = "dagster._daemon.controller"  # a module that only the daemon imports
MOST_NAMED = 5  # assets of a run or backfill that are named; of more it is said how many
_IMPLICIT = "__ASSET_JOB"  # Dagster's, of any assets
_request: ContextVar[Any] = ContextVar("request", default=None)


class AuditedRunCoordinator(QueuedRunCoordinator):
    """dagster.yaml's coordinator: Dagster's own queue, as wide as the settings say, with a note of who put a run in."""

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]) -> Self:
        at_a_time = {"max_concurrent_runs": get_settings().concurrent_runs}
        return super().from_config_value(inst_data, {**config_value, **at_a_time})  # type: ignore[arg-type]

    def submit_run(self, context: SubmitRunContext) -> dg.DagsterRun:
        run = context.dagster_run
        if run.status is dg.DagsterRunStatus.NOT_STARTED:  # else it is in the queue: the daemon hands some in twice
            request = context.workspace.source if isinstance(context.workspace, WorkspaceRequestContext) else None
            note_launch(run, *_asked_by(request, _by_itself(run)))
        return super().submit_run(context)


def note_past_the_queue(runs: Any) -> None:
    """Let a storage of runs note those that begin without a note, and every backfill that is asked for."""
    _remember_requests()
    runs.handle_run_event = _noting_starts(runs, runs.handle_run_event)
    runs.add_backfill = _noting_backfills(runs.add_backfill)


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


def _noting_starts(runs: Any, handle: Callable[..., None]) -> Callable[..., None]:
    @wraps(handle)
    def handled(run_id: str, event: dg.DagsterEvent, *more: Any, **named: Any) -> None:
        if event.event_type is dg.DagsterEventType.RUN_START:
            with open_database(get_settings()).connect() as connection, connection.cursor() as cursor:
                noted = is_noted(cursor, run_id)
            if not noted:
                [run] = runs.get_runs(dg.RunsFilter(run_ids=[run_id]))
                note_command(run)
        handle(run_id, event, *more, **named)

    return handled


def _noting_backfills(add: Callable[[PartitionBackfill], None]) -> Callable[[PartitionBackfill], None]:
    @wraps(add)
    def added(backfill: PartitionBackfill) -> None:
        who, via = _asked_by(_request.get(), None)
        what = f"backfill {backfill.backfill_id}, {_named(backfill.asset_selection) or backfill.job_name or 'a job'}"
        with locate(get_settings()).connect() as connection, connection.cursor() as cursor:
            record(cursor, LAUNCHED, what, who=who, via=via)
        add(backfill)

    return added


@cache
def _remember_requests() -> None:
    """Let the webserver remember whose request it answers: a backfill is recorded without being told."""
    theirs = WorkspaceProcessContext.create_request_context

    @wraps(theirs)
    def create(context: Any, source: Any = None) -> WorkspaceRequestContext:
        _request.set(source)  # in the thread or task of this one request
        return theirs(context, source)

    WorkspaceProcessContext.create_request_context = create  # type: ignore[method-assign, assignment]


def _asked_by(request: Any, by_itself: str | None) -> tuple[str | None, str]:
    """Who asked, and by which way. request: the webserver's, or None. by_itself: what launches, if it is known."""
    if request is not None:
        header = get_settings().user_header
        return (request.headers.get(header) or None) if header else None, UI
    if by_itself is None and DAEMON_PROGRAM not in sys.modules:
        return present_user(), COMMAND
    return None, by_itself or DAEMON


def _by_itself(run: dg.DagsterRun) -> str | None:
    for tag, what in ((RETRY_NUMBER_TAG, "retry"), (SCHEDULE_NAME_TAG, "schedule"), (SENSOR_NAME_TAG, "sensor")):
        if tag in run.tags:
            return f"{what} {run.tags[tag]}"
    return f"backfill {run.tags[BACKFILL_ID_TAG]}" if BACKFILL_ID_TAG in run.tags else None


def _described(run: dg.DagsterRun) -> str:
    first, last = months_of(run.tags) or (None, None)
    months = "" if first is None else f", {first}" if first == last else f", {first} to {last}"
    name = _named(run.asset_selection) if run.job_name.startswith(_IMPLICIT) else ""
    return f"{name or run.job_name}{months}"


def _named(assets: Any) -> str:
    names = sorted(key.to_user_string() for key in assets or ())
    return ", ".join(names) if len(names) <= MOST_NAMED else f"{len(names)} assets"
