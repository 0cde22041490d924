"""Runs whose retry was lost are retried by Dagster, by its own reader of failures and on its own storage."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import dagster as dg
import psycopg2
import pytest
import sqlalchemy.exc
from dagster._core.definitions.job_base import InMemoryJob
from dagster._core.errors import DagsterAssetCheckFailedError
from dagster._core.execution.api import execute_run
from dagster._daemon.auto_run_reexecution import auto_run_reexecution
from dagster._daemon.auto_run_reexecution.event_log_consumer import EventLogConsumerDaemon

from breadthflow_pipelines.errors import BusyError, DatabaseError, DiskFullError, HeldError, RequestError, SourceError
from breadthflow_pipelines.orchestration.automation import lost_retries
from breadthflow_pipelines_tests.orchestration.automation.test_sensors import Sensor
from breadthflow_pipelines_tests.orchestration.conftest import Store

NOTHING = "No retry is missing."


@dg.job
def made_up() -> None:
    """Never run."""


def repeat(
    instance: dg.DagsterInstance, run_id: str, status: dg.DagsterRunStatus = dg.DagsterRunStatus.STARTED
) -> None:
    """A run that repeats another one."""
    tags = {"dagster/parent_run_id": run_id, "dagster/root_run_id": run_id}
    instance.create_run_for_job(made_up, parent_run_id=run_id, root_run_id=run_id, tags=tags, status=status)


def cut_off(*_: object) -> bool:
    """What a question to the database does whose connection is cut."""
    raise ERRORS["Dagster's storage was away"]


class Dagster:
    """Dagster's reader of failures, and whether it finds a code server to retry them with."""

    def __init__(self, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
        self.instance, self.has_code, self.retried = store.instance, True, list[str]()
        monkeypatch.setattr(auto_run_reexecution, "retry_run", self._retry)
        self.look()  # the first time, it ignores what was before

    def _retry(self, run: dg.DagsterRun, _: object) -> None:
        if not self.has_code:
            raise ConnectionError("Failure loading breadthflow: Could not reach user code server.")
        repeat(self.instance, run.run_id)
        self.retried.append(run.run_id)

    def look(self) -> list[str]:
        """What it retries when it looks once."""
        self.retried.clear()
        context: Any = SimpleNamespace(instance=self.instance)
        list(EventLogConsumerDaemon().run_iteration(context))
        return sorted(self.retried)


@pytest.fixture
def dagster(store: Store, monkeypatch: pytest.MonkeyPatch) -> Dagster:
    return Dagster(store, monkeypatch)


Fail = Callable[..., str]


@pytest.fixture
def fail(store: Store) -> Fail:
    """A run that failed; its number."""

    def run(**tags: str) -> str:
        failed = store.instance.create_run_for_job(made_up, tags=tags, status=dg.DagsterRunStatus.STARTED)
        store.instance.report_run_failed(failed, "its process is gone")
        return failed.run_id

    return run


def test_a_retry_that_found_no_code_server_is_made_when_there_is_one(
    store: Store, dagster: Dagster, fail: Fail
) -> None:
    sensor = Sensor(store, "lost_retries")
    dagster.has_code = False
    lost = sorted([fail(), fail()])
    assert dagster.look() == []
    dagster.has_code = True
    assert dagster.look() == []  # it has given them up
    assert lost[0][:8] in sensor.skipped()
    assert dagster.look() == lost
    assert sensor.skipped() == NOTHING
    assert dagster.look() == []


def test_what_has_no_retry_on_purpose_or_has_one_is_left_alone(store: Store, dagster: Dagster, fail: Fail) -> None:
    sensor = Sensor(store, "lost_retries")
    fail(**{"dagster/max_retries": "0"})  # of a command
    retried = fail()
    assert dagster.look() == [retried]
    dagster.has_code = False
    repeated = fail()
    dagster.look()
    repeat(store.instance, repeated)
    assert sensor.skipped() == NOTHING


@dg.op
def end(context: dg.OpExecutionContext) -> None:
    """Ends as the test says."""
    raise ERRORS[context.run.tags["how"]]


@dg.job(executor_def=dg.in_process_executor)
def ended_by_a_step() -> None:
    """One step that fails."""
    end()


ERRORS: dict[str, Exception] = {
    "the database was away": DatabaseError("The database went away in the middle of a transaction."),
    "it had too much to do": BusyError("The database has no connection left."),
    "a disk was full": DiskFullError("The disk is full."),
    "Dagster's storage was away": sqlalchemy.exc.OperationalError("INSERT", None, Exception("terminating connection")),
    "its driver lost the server": psycopg2.OperationalError("server closed the connection unexpectedly"),
    "a source was away": SourceError("The source does not answer."),
    "a check failed": DagsterAssetCheckFailedError("1 blocking check failed"),
    "the code is wrong": ZeroDivisionError("division by zero"),
    "it was asked for wrongly": RequestError("There is no such month."),
    "something holds it": HeldError("A gate holds what was requested."),
}
PASSING = [*ERRORS][:5]


@pytest.mark.parametrize("how", ERRORS)
def test_a_run_that_a_step_ended_is_retried_where_what_ended_it_may_pass(
    store: Store, dagster: Dagster, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    monkeypatch.setattr(lost_retries, "MOST_AGAIN", 1)
    sensor = Sensor(store, "lost_retries")
    ended = ended_by_a_step.execute_in_process(instance=store.instance, tags={"how": how}, raise_on_error=False)
    assert not ended.success
    assert dagster.look() == []  # Dagster does not look at what ended it
    if how not in PASSING:
        assert sensor.skipped() == NOTHING
        return
    assert ended.run_id[:8] in sensor.skipped()
    assert dagster.look() == [ended.run_id]
    assert sensor.skipped() == NOTHING


@pytest.mark.parametrize(("most", "asked_again"), [(2, True), (1, False)])
def test_runs_that_end_so_again_and_again_are_left_to_people(
    store: Store, dagster: Dagster, monkeypatch: pytest.MonkeyPatch, most: int, *, asked_again: bool
) -> None:
    monkeypatch.setattr(lost_retries, "MOST_AGAIN", most)
    sensor = Sensor(store, "lost_retries")
    tags = {"how": PASSING[0]}
    first = ended_by_a_step.execute_in_process(instance=store.instance, tags=tags, raise_on_error=False).run_id
    group = {"dagster/parent_run_id": first, "dagster/root_run_id": first}
    second = store.instance.create_run_for_job(
        ended_by_a_step, parent_run_id=first, root_run_id=first, tags=tags | group
    )
    execute_run(InMemoryJob(ended_by_a_step), second, store.instance)
    assert (second.run_id[:8] in sensor.skipped()) is asked_again
    assert dagster.look() == ([second.run_id] if asked_again else [])


def test_a_retry_that_was_made_and_not_queued_is_put_into_the_queue(store: Store, dagster: Dagster, fail: Fail) -> None:
    sensor = Sensor(store, "lost_retries")
    dagster.has_code = False
    lost = fail()
    dagster.look()
    repeat(store.instance, lost, dg.DagsterRunStatus.NOT_STARTED)
    assert lost[:8] in sensor.skipped()
    dagster.has_code = True
    assert dagster.look() == [lost]  # it finds the one it had made


def test_a_failure_that_dagster_passed_over_is_read_again(store: Store, dagster: Dagster, fail: Fail) -> None:
    """Its reader goes on where looking at a failure raised an error, such as when connections are cut."""
    sensor = Sensor(store, "lost_retries")
    passed_over = fail()
    with pytest.MonkeyPatch.context() as cut:
        cut.setattr(auto_run_reexecution, "should_retry", cut_off)
        assert dagster.look() == []
    assert dagster.look() == []
    assert passed_over[:8] in sensor.skipped()
    assert dagster.look() == [passed_over]
    assert sensor.skipped() == NOTHING


def test_a_retry_that_somebody_deleted_is_not_made_again(store: Store, dagster: Dagster, fail: Fail) -> None:
    sensor = Sensor(store, "lost_retries")
    retried = fail()
    assert dagster.look() == [retried]
    [retry] = [run for run in store.instance.get_runs() if run.parent_run_id == retried]
    store.instance.add_run_tags(retried, {"dagster/auto_retry_run_id": retry.run_id})  # as Dagster does
    store.instance.delete_run(retry.run_id)
    assert sensor.skipped() == NOTHING


def test_what_belonged_to_a_backfill_that_is_over_is_left_alone(store: Store, dagster: Dagster, fail: Fail) -> None:
    sensor = Sensor(store, "lost_retries")
    fail(**{"dagster/backfill": "gone"})
    assert dagster.look() == []
    assert sensor.skipped() == NOTHING


def test_a_run_that_cannot_be_retried_is_given_up(
    store: Store, dagster: Dagster, fail: Fail, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lost_retries, "MOST_TRIES", 2)
    sensor = Sensor(store, "lost_retries")
    dagster.has_code = False
    run = fail()
    for _ in range(2):
        dagster.look()
        assert run[:8] in sensor.skipped()
    dagster.look()
    assert sensor.skipped() == NOTHING
