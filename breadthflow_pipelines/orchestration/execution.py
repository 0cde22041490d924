"""A run in this process that Dagster's UI and daemon treat like one of their own. What is run: runs.py.

``execute_in_process`` records no code location, so the timeline, the job's history and "Re-execute" would not know it
(docs/decisions/range-runs.md).
"""

import os
import signal
import threading
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import dagster as dg
from dagster._core.definitions.job_base import InMemoryJob
from dagster._core.definitions.repository_definition import SINGLETON_REPOSITORY_NAME
from dagster._core.execution.api import create_execution_plan, execute_run_iterator
from dagster._core.remote_origin import RegisteredCodeLocationOrigin, RemoteJobOrigin, RemoteRepositoryOrigin
from dagster._core.snap import snapshot_from_execution_plan
from dagster._core.snap.execution_plan_snapshot import ExecutionPlanSnapshot, ExecutionStepSnap
from dagster._core.storage.tags import MAX_RETRIES_TAG
from dagster._utils.interrupts import capture_interrupts

from breadthflow_pipelines.orchestration.hosting.instance import CODE_LOCATION
from breadthflow_pipelines.orchestration.launches import note_command

POLL_SECONDS = 2.0  # between two looks at whether the run was terminated in the UI
_ENDED = (dg.DagsterRunStatus.CANCELING, dg.DagsterRunStatus.CANCELED)


@dataclass(frozen=True)
class Executed:
    """A run that is over: its last record, and the events of it in the order in which they came."""

    run: dg.DagsterRun
    events: Sequence[dg.DagsterEvent]


def execute(
    instance: dg.DagsterInstance,
    job: dg.JobDefinition,
    *,
    tags: Mapping[str, str],
    run_config: Mapping[str, Any],
    checks: Collection[dg.AssetCheckKey] | None = None,
) -> Executed:
    """Run a job here and now, without daemon or queue; Ctrl-C ends it, and so does "Terminate" in the UI.

    checks: only these checks of the job, and none of its assets.
    """
    run = _record(instance, job, tags, run_config, checks)
    note_command(run)
    with capture_interrupts(), _ended_from_the_ui(instance, run.run_id):
        events = list(execute_run_iterator(InMemoryJob(job), run, instance))
    return Executed(instance.get_run_by_id(run.run_id) or run, events)


def origin_of(job: str) -> RemoteJobOrigin:
    """The job as the webserver and the daemon find it, whatever process serves the code location."""
    repository = RemoteRepositoryOrigin(RegisteredCodeLocationOrigin(CODE_LOCATION), SINGLETON_REPOSITORY_NAME)
    return RemoteJobOrigin(repository, job)


def _record(
    instance: dg.DagsterInstance,
    job: dg.JobDefinition,
    tags: Mapping[str, str],
    run_config: Mapping[str, Any],
    checks: Collection[dg.AssetCheckKey] | None,
) -> dg.DagsterRun:
    chosen = job
    if checks is not None:
        chosen = job.get_subset(asset_selection=frozenset(), asset_check_selection=frozenset(checks))
    plan = create_execution_plan(chosen, run_config=run_config, tags=tags, instance_ref=instance.get_ref())
    return instance.create_run(
        job_name=job.name,
        run_id=None,
        run_config=run_config,
        status=None,
        # Who started it is there to start it again; the daemon would do so even after Ctrl-C.
        tags={**job.run_tags, **tags, MAX_RETRIES_TAG: "0"},
        root_run_id=None,
        parent_run_id=None,
        step_keys_to_execute=plan.step_keys_to_execute,
        execution_plan_snapshot=_whole_assets_last(
            snapshot_from_execution_plan(plan, chosen.get_job_snapshot_id()), chosen
        ),
        job_snapshot=chosen.get_job_snapshot(),
        parent_job_snapshot=chosen.get_parent_job_snapshot(),
        asset_selection=None if checks is None else frozenset(),
        asset_check_selection=None if checks is None else frozenset(checks),
        resolved_op_selection=None,
        op_selection=None,
        remote_job_origin=origin_of(job.name),
        job_code_origin=None,
        asset_graph=job.asset_layer.asset_graph,
    )


def _whole_assets_last(plan: ExecutionPlanSnapshot, job: dg.JobDefinition) -> ExecutionPlanSnapshot:
    """The same plan, such that the last asset in it has no months, where there is one.

    Dagster takes the months of the last asset for those of all, and would plan each whole asset once for each month:
    thousands of events for a history of ten years. In what order steps run follows from their inputs.
    """
    graph = job.asset_layer.asset_graph

    def is_whole(step: ExecutionStepSnap) -> bool:
        keys = [output.properties.asset_key for output in step.outputs if output.properties]
        return any(key is not None and graph.get(key).partitions_def is None for key in keys)

    return plan._replace(steps=sorted(plan.steps, key=is_whole))


@contextmanager
def _ended_from_the_ui(instance: dg.DagsterInstance, run_id: str) -> Iterator[None]:
    """Interrupt this process, as Ctrl-C does, when the run is terminated in the UI.

    It is done again until the run is over: an interrupt that arrives inside a database driver may be lost. The caller
    captures interrupts, so that one which comes when the run has just ended does no harm.
    """
    over = threading.Event()

    def watch() -> None:
        while not over.wait(POLL_SECONDS):
            with suppress(Exception):  # a database that is away for a moment is the run's business
                run = instance.get_run_by_id(run_id)
                if run is not None and run.status in _ENDED:
                    os.kill(os.getpid(), signal.SIGINT)

    watcher = threading.Thread(target=watch, name="run-ended-elsewhere", daemon=True)
    watcher.start()
    try:
        yield
    finally:
        over.set()
        watcher.join()
