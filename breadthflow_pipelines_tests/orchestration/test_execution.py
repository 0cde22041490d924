"""Runs of this process as the UI and the daemon find them, and as they are ended from there."""

import threading
import time
from collections import Counter
from pathlib import Path

import dagster as dg
import pytest
import yaml
from dagster._core.storage.dagster_run import RunsFilter

from breadthflow_pipelines.model.datasets import CHECKS_JOB, DAILY_ASSETS, DAILY_JOB, DATASETS
from breadthflow_pipelines.orchestration import execution
from breadthflow_pipelines.orchestration.execution import execute
from breadthflow_pipelines.orchestration.hosting.instance import CODE_LOCATION
from breadthflow_pipelines.orchestration.hosting.liveness import process_tags
from breadthflow_pipelines_tests.orchestration.conftest import Store
from breadthflow_pipelines_tests.orchestration.small_market import LAST

ROOT = Path(__file__).resolve().parents[2]
REPOSITORY_LABEL = f"__repository__@{CODE_LOCATION}"  # by which the UI asks for the runs of a job


@pytest.mark.slow
def test_run_is_found_under_the_job_of_the_code_location(filled: Store) -> None:
    report = filled.daily(LAST)
    labelled = filled.instance.get_runs(RunsFilter(job_name=DAILY_JOB, tags={".dagster/repository": REPOSITORY_LABEL}))
    assert report.run_id in [run.run_id for run in labelled]
    run = filled.instance.get_run_by_id(report.run_id)
    assert run is not None
    assert run.remote_job_origin is not None
    assert run.remote_job_origin.location_name == CODE_LOCATION
    assert run.remote_job_origin.job_name == DAILY_JOB
    assert run.tags["dagster/code_location"] == CODE_LOCATION
    assert run.tags["dagster/max_retries"] == "0"  # or the daemon would go on after Ctrl-C
    # Without them the UI shows no plan of the run, and cannot start it again from where it failed.
    assert filled.instance.has_job_snapshot(run.job_snapshot_id or "")
    assert filled.instance.run_storage.has_execution_plan_snapshot(run.execution_plan_snapshot_id or "")


def test_assets_without_months_are_planned_once(filled: Store) -> None:
    """And not once for each month of the run, which is what Dagster makes of a last asset that has months."""
    planned = dg.DagsterEventType.ASSET_MATERIALIZATION_PLANNED
    [run] = filled.instance.get_runs(RunsFilter(job_name=DAILY_JOB), limit=1)
    found = filled.instance.get_records_for_run(run.run_id, of_type=planned, limit=10_000).records
    counted = Counter(record.event_log_entry.get_dagster_event().asset_key for record in found)
    months = counted[dg.AssetKey("bars")]
    assert months > 1
    assert {str(key): times for key, times in counted.items()} == {
        str(dg.AssetKey(name)): months if DATASETS[name].monthly else 1 for name in DAILY_ASSETS
    }


def test_run_of_some_checks_says_which(filled: Store) -> None:
    report = filled.check("universe_has_members")
    run = filled.instance.get_run_by_id(report.run_id)
    assert run is not None
    key = dg.AssetCheckKey(dg.AssetKey("universe_members"), "universe_has_members")
    assert (run.job_name, run.asset_selection, run.asset_check_selection) == (CHECKS_JOB, frozenset(), {key})


@pytest.mark.parametrize("file", ["workspace.yaml", "docker/workspace.yaml"])
def test_every_workspace_serves_the_location_that_runs_name(file: str) -> None:
    (served,) = yaml.safe_load((ROOT / file).read_text())["load_from"]
    ((_, options),) = served.items()
    assert options["location_name"] == CODE_LOCATION


def test_run_that_is_terminated_elsewhere_ends_here(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(execution, "POLL_SECONDS", 0.05)
    started = threading.Event()

    @dg.op
    def waits() -> None:
        started.set()
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            time.sleep(0.01)

    @dg.job(executor_def=dg.in_process_executor)
    def long() -> None:
        waits()

    def terminate() -> None:
        assert started.wait(30)
        (run,) = store.instance.get_runs(RunsFilter(job_name="long"))
        assert store.instance.run_launcher.terminate(run.run_id)  # as the button in the UI does

    other = threading.Thread(target=terminate)
    other.start()
    executed = execute(store.instance, long, tags=process_tags(), run_config={})
    other.join()
    assert executed.run.status is dg.DagsterRunStatus.CANCELED
