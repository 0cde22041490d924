"""Runs whose retry was lost are retried by Dagster, by its own reader of failures and on its own storage."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import dagster as dg
import pytest
from dagster._daemon.auto_run_reexecution import auto_run_reexecution
from dagster._daemon.auto_run_reexecution.event_log_consumer import EventLogConsumerDaemon

from breadthflow_pipelines.orchestration.automation import lost_retries
from breadthflow_pipelines_tests.orchestration.automation.test_sensors import Sensor
from breadthflow_pipelines_tests.orchestration.conftest import Store

NOTHING = "No retry is missing."


@dg.job
def made_up() -> None:
    """Never run."""


def repeat(instance: dg.DagsterInstance, run_id: str) -> None:
    """A run that repeats another one."""
    tags = {"dagster/parent_run_id": run_id, "dagster/root_run_id": run_id}
    instance.create_run_for_job(made_up, parent_run_id=run_id, root_run_id=run_id, tags=tags)


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
