"""Each run and backfill that is launched leaves a note of who launched it, by which way; a UI's user is the proxy's."""

import sys
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import dagster as dg
import pytest
from dagster._core.execution.backfill import BulkActionStatus, PartitionBackfill
from dagster._core.run_coordinator.base import SubmitRunContext
from dagster._core.workspace.context import WorkspaceProcessContext, WorkspaceRequestContext

from breadthflow_pipelines.errors import DatabaseError
from breadthflow_pipelines.model.datasets import DAILY_JOB
from breadthflow_pipelines.model.run_tags import REQUEST_TAG
from breadthflow_pipelines.orchestration.execution import origin_of
from breadthflow_pipelines.orchestration.launches import DAEMON_PROGRAM, AuditedRunCoordinator
from breadthflow_pipelines.settings import get_settings
from breadthflow_pipelines.warehouse.audit_listing import audited
from breadthflow_pipelines.warehouse.audit_store import present_user
from breadthflow_pipelines.warehouse.run_requests import stored_request
from breadthflow_pipelines_tests.orchestration.conftest import Store


def queued(store: Store, tags: Mapping[str, str]) -> dg.DagsterRun:
    run = dg.DagsterRun(
        job_name=DAILY_JOB, run_id=dg._core.utils.make_new_run_id(), tags=tags, remote_job_origin=origin_of(DAILY_JOB)
    )
    store.instance.add_run(run)
    return run


def submit(store: Store, run: dg.DagsterRun, headers: Mapping[str, str] | None = None) -> dg.DagsterRun:
    """Hand a run to the instance's coordinator, as the webserver does (with headers) or the daemon (without)."""
    workspace: Any = WorkspaceRequestContext.__new__(WorkspaceRequestContext)
    workspace._source = None if headers is None else SimpleNamespace(headers=headers)
    coordinator = store.instance.run_coordinator
    assert type(coordinator) is AuditedRunCoordinator
    return coordinator.submit_run(SubmitRunContext(run, workspace))


def noted(store: Store) -> list[tuple[object, ...]]:
    return [
        (row["who"], row["action"], row["what"], row["via"]) for row in audited(store.database, None, None, "launched")
    ]


HEADERS = {"X-Forwarded-User": "alice"}


@pytest.mark.parametrize(
    ("tags", "headers", "setting", "who", "via"),
    [
        ({}, HEADERS, "X-Forwarded-User", "alice", "ui"),
        ({}, HEADERS, None, None, "ui"),  # nobody said that the proxy can be believed
        ({}, {}, "X-Forwarded-User", None, "ui"),  # somebody got past the proxy
        ({"dagster/schedule_name": "after_the_close"}, None, "X-Forwarded-User", None, "schedule after_the_close"),
        ({"dagster/sensor_name": "catch_up"}, None, None, None, "sensor catch_up"),
        ({"dagster/backfill": "abcd"}, None, None, None, "backfill abcd"),
        ({"dagster/retry_number": "1", "dagster/schedule_name": "x"}, None, None, None, "retry 1"),
        ({"dagster/schedule_name": "x"}, HEADERS, "X-Forwarded-User", "alice", "ui"),  # run again in the UI
    ],
)
def test_a_run_of_the_queue_is_noted_by_who_put_it_there(
    store: Store,
    monkeypatch: pytest.MonkeyPatch,
    tags: dict[str, str],
    headers: dict[str, str] | None,
    setting: str | None,
    who: str | None,
    via: str,
) -> None:
    if setting:
        monkeypatch.setenv("BREADTHFLOW_USER_HEADER", setting)
    get_settings.cache_clear()
    run = queued(store, {**tags, "dagster/partition": "2023-01"})
    assert submit(store, run, headers).status is dg.DagsterRunStatus.QUEUED
    assert noted(store) == [(who, "launched", f"{DAILY_JOB}, 2023-01", via)]
    [row] = audited(store.database, None, None, None)
    assert row["run_id"] == run.run_id


def test_a_run_that_the_api_asked_for_is_noted_with_the_user_of_the_request(store: Store) -> None:
    request = stored_request(store.database, "alice", "a key", "a body")
    run = submit(store, queued(store, {REQUEST_TAG: request.request_id}), HEADERS)
    assert noted(store) == [("alice", "launched", DAILY_JOB, "api")]
    assert stored_request(store.database, "alice", "a key", "a body").run_id == run.run_id


def test_a_tag_that_is_copied_or_invented_names_nobody(store: Store) -> None:
    request = stored_request(store.database, "alice", None, "a body")
    submit(store, queued(store, {REQUEST_TAG: request.request_id}), HEADERS)
    for tag in (request.request_id, "invented"):  # as "Re-execute" copies it; as somebody types it
        submit(store, queued(store, {REQUEST_TAG: tag}), HEADERS)
    submit(store, queued(store, {REQUEST_TAG: request.request_id, "dagster/retry_number": "1"}))
    assert [(who, via) for who, _, _, via in noted(store)] == [
        ("alice", "api"),
        (None, "ui"),
        (None, "ui"),
        (None, "retry 1"),
    ]


def test_a_run_that_is_handed_in_twice_is_noted_once(store: Store) -> None:
    run = submit(store, queued(store, {}))
    submit(store, run)
    assert len(noted(store)) == 1


def test_what_cannot_be_noted_is_not_launched(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    run = queued(store, {})
    monkeypatch.setenv("BREADTHFLOW_DATABASE_URL", "postgresql://nobody@127.0.0.1:1/none")
    get_settings.cache_clear()
    with pytest.raises(DatabaseError):
        submit(store, run)
    stored = store.instance.get_run_by_id(run.run_id)
    assert stored is not None
    assert stored.status is dg.DagsterRunStatus.NOT_STARTED


def test_as_many_runs_of_the_queue_work_at_a_time_as_the_settings_say(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BREADTHFLOW_CONCURRENT_RUNS", "3")
    get_settings.cache_clear()
    concurrency = dg.DagsterInstance.from_ref(store.instance.get_ref()).get_concurrency_config()
    assert concurrency.run_queue_config is not None
    assert concurrency.run_queue_config.max_concurrent_runs == 3
    assert concurrency.run_queue_config.max_user_code_failure_retries == 90  # dagster.yaml's


@dg.asset
def of_a_notebook() -> None: ...


def test_a_run_that_passes_no_queue_is_noted_when_it_starts(store: Store) -> None:
    done = dg.materialize([of_a_notebook], instance=store.instance)
    [row] = audited(store.database, None, None, None)
    assert (row["who"], row["action"], row["via"], row["run_id"]) == (
        *(present_user(), "launched", "command"),
        done.run_id,
    )


def test_a_queued_run_that_starts_is_not_noted_again(store: Store) -> None:
    run = submit(store, queued(store, {}), HEADERS)
    store.instance.report_engine_event("starts", run)
    store.instance.report_dagster_event(dg.DagsterEvent("PIPELINE_START", DAILY_JOB), run.run_id)
    started = store.instance.get_run_by_id(run.run_id)
    assert started is not None
    assert started.status is dg.DagsterRunStatus.STARTED
    assert [via for _, _, _, via in noted(store)] == ["ui"]


def asked_for(store: Store, source: object, *assets: str) -> None:
    """What the webserver does with a request for a backfill (source), or the daemon or a command (None)."""
    context: Any = SimpleNamespace(
        _instance=store.instance, _read_only=False, get_current_workspace=lambda: None, version="1"
    )
    WorkspaceProcessContext.create_request_context(context, source)
    store.instance.add_backfill(
        PartitionBackfill(
            backfill_id="abcd",
            status=BulkActionStatus.REQUESTED,
            from_failure=False,
            tags={},
            backfill_timestamp=0.0,
            asset_selection=[dg.AssetKey(name) for name in assets],
        )
    )


def test_a_backfill_of_the_ui_is_noted_by_who_asked_for_it(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BREADTHFLOW_USER_HEADER", "X-Forwarded-User")
    get_settings.cache_clear()
    asked_for(store, SimpleNamespace(headers=HEADERS), "bars", "securities")
    assert noted(store) == [("alice", "launched", "backfill abcd, bars, securities", "ui")]


@pytest.mark.parametrize(("by_daemon", "who", "via"), [(True, None, "daemon"), (False, present_user(), "command")])
def test_a_backfill_without_a_request_is_the_daemon_s_or_a_command_s(
    store: Store, monkeypatch: pytest.MonkeyPatch, by_daemon: bool, who: str | None, via: str
) -> None:
    monkeypatch.delitem(sys.modules, DAEMON_PROGRAM, raising=False)
    if by_daemon:
        monkeypatch.setitem(sys.modules, DAEMON_PROGRAM, sys)
    asked_for(store, None, *"abcdef")
    assert noted(store) == [(who, "launched", "backfill abcd, 6 assets", via)]


@pytest.mark.slow
def test_a_command_s_run_is_noted_with_the_user_of_this_computer(store: Store) -> None:
    report = store.run()
    assert noted(store) == [(present_user(), "launched", f"{DAILY_JOB}, 2022-11 to 2023-12", "command")]
    assert [row["run_id"] for row in audited(store.database, None, None, None)] == [report.run_id]
