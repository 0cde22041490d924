"""The UI and the daemon on a store that the command line filled: its runs are there, and can be run again."""

import csv
import io
import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from breadthflow_pipelines.sessions import exchange_calendar
from breadthflow_pipelines_tests.conftest import private_home
from breadthflow_pipelines_tests.e2e.conftest import breadthflow
from breadthflow_pipelines_tests.e2e.serving import Served

pytestmark = pytest.mark.slow

PATIENCE = 300  # seconds, on a machine that others use too
MONTH = f"{exchange_calendar('XNYS').last_closed():%Y-%m}"
TIMELINE = """
query($since: Float!) { runsOrError(filter: {updatedAfter: $since}) { ... on Runs { results {
  runId pipelineName status startTime repositoryOrigin { repositoryName repositoryLocationName } } } } }
"""
JOB = """
query($job: String!) { pipelineOrError(params:
  {pipelineName: $job, repositoryName: "__repository__", repositoryLocationName: "breadthflow"})
  { ... on Pipeline { runs(limit: 5) { runId } } } }
"""
REEXECUTE = """
mutation($run: String!) { launchRunReexecution(reexecutionParams: {parentRunId: $run, strategy: ALL_STEPS}) {
  __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message } } }
"""
RUN = """
query($id: ID!) { runOrError(runId: $id) { ... on Run { status assetCheckSelection { name }
  stats { ... on RunStatsSnapshot { materializations } } } } }
"""


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    """The demo market's present month, loaded and checked by the command line, under `breadthflow up`."""
    with private_home() as home:
        settings = {"home": home, "start": MONTH}
        assert breadthflow("run", **settings).returncode == 0
        assert breadthflow("check", "--quick", "--select", "bars", **settings).returncode == 0
        up = Served(home, MONTH, user_header="X-Forwarded-User")
        try:
            up.wait_until_ready()
            yield up
        finally:
            up.process.terminate()
            up.process.wait(120)


def over(served: Served, run_id: str) -> dict[str, Any]:
    """The run when it has ended."""
    deadline = time.monotonic() + PATIENCE
    while (run := served.ask(RUN, id=run_id)["runOrError"])["status"] not in ("SUCCESS", "FAILURE", "CANCELED"):
        assert time.monotonic() < deadline, run
        time.sleep(1)
    return dict(run)


def test_runs_of_the_command_line_are_in_the_timeline_and_in_their_jobs_history(served: Served) -> None:
    runs = served.ask(TIMELINE, since=time.time() - 3600)["runsOrError"]["results"]
    here = {"repositoryName": "__repository__", "repositoryLocationName": "breadthflow"}
    found = {run["pipelineName"]: run for run in runs}
    assert {name: (run["status"], run["repositoryOrigin"]) for name, run in found.items()} == {
        "bring_up_to_date": ("SUCCESS", here),
        "run_checks": ("SUCCESS", here),
    }
    for job, run in found.items():
        assert run["runId"] in [one["runId"] for one in served.ask(JOB, job=job)["pipelineOrError"]["runs"]]


@pytest.mark.parametrize(("job", "materialized", "checked"), [("bring_up_to_date", 9, 0), ("run_checks", 0, 4)])
def test_a_run_of_the_command_line_is_executed_again_by_the_daemon(
    job: str, materialized: int, checked: int, served: Served
) -> None:
    first = served.ask(JOB, job=job)["pipelineOrError"]["runs"][-1]["runId"]
    answer = served.ask(REEXECUTE, run=first)["launchRunReexecution"]
    assert answer["__typename"] == "LaunchRunSuccess", json.dumps(answer)
    run = over(served, answer["run"]["runId"])
    assert run["status"] == "SUCCESS"
    assert run["stats"]["materializations"] >= materialized
    assert len(run["assetCheckSelection"] or []) >= checked


LAUNCH = """
mutation($params: ExecutionParams!) { launchRun(executionParams: $params) {
  __typename ... on LaunchRunSuccess { run { runId } } ... on RunConfigValidationInvalid { errors { message } }
  ... on PythonError { message } } }
"""
ASSETS = "{ assetNodes { assetKey { path } opNames isExecutable configField { isRequired } } }"
PAGES = """
{ instance { concurrencyLimits { concurrencyKey } }
  repositoriesOrError { ... on RepositoryConnection { nodes {
    schedules { name description } sensors { name description } jobs { name description } } } } }
"""


def test_materialize_all_asks_for_nothing_and_succeeds(served: Served) -> None:
    nodes = served.ask(ASSETS)["assetNodes"]
    assert len(nodes) == 19
    assert not [node for node in nodes if (node["configField"] or {}).get("isRequired")]
    selector = {
        "repositoryLocationName": "breadthflow",
        "repositoryName": "__repository__",
        "jobName": "__ASSET_JOB",
        "assetSelection": [node["assetKey"] for node in nodes],
    }
    tags = [{"key": "dagster/partition", "value": MONTH}]
    launched = served.ask(LAUNCH, params={"selector": selector, "executionMetadata": {"tags": tags}})["launchRun"]
    assert launched["__typename"] == "LaunchRunSuccess", json.dumps(launched)
    run = over(served, launched["run"]["runId"])
    assert (run["status"], run["stats"]["materializations"]) == ("SUCCESS", 19)


BACKFILL = """
mutation($params: LaunchBackfillParams!) { launchPartitionBackfill(backfillParams: $params) {
  __typename ... on LaunchBackfillSuccess { backfillId } ... on PythonError { message } } }
"""
BACKFILL_STATUS = (
    "query($id: String!) { partitionBackfillOrError(backfillId: $id) { ... on PartitionBackfill { status } } }"
)


def test_a_backfill_is_written_down_with_the_user_who_asked_for_it(served: Served) -> None:
    params = {"assetSelection": [{"path": ["bars"]}], "partitionNames": [MONTH]}
    asked = served.ask(BACKFILL, headers={"X-Forwarded-User": "alice"}, params=params)["launchPartitionBackfill"]
    assert asked["__typename"] == "LaunchBackfillSuccess", json.dumps(asked)
    name = asked["backfillId"]
    deadline = time.monotonic() + PATIENCE
    while served.ask(BACKFILL_STATUS, id=name)["partitionBackfillOrError"]["status"] != "COMPLETED_SUCCESS":
        assert time.monotonic() < deadline
        time.sleep(1)
    listed = breadthflow("audit", "--format", "csv", "--action", "launched", **served.settings).stdout
    of_it = [row for row in csv.DictReader(io.StringIO(listed)) if name in f"{row['what']} {row['via']}"]
    assert [(row["who"], row["what"], row["via"]) for row in of_it] == [
        ("alice", f"backfill {name}, bars", "ui"),
        ("", f"bars, {MONTH}", f"backfill {name}"),
    ]


def test_everything_that_happens_by_itself_says_what_it_is_and_the_pools_are_listed(served: Served) -> None:
    found = served.ask(PAGES)
    (repository,) = found["repositoriesOrError"]["nodes"]
    assert not [
        one["name"]
        for kind in ("schedules", "sensors", "jobs")
        for one in repository[kind]
        if not one["description"] and not one["name"].startswith("__")
    ]
    pools = {limit["concurrencyKey"] for limit in found["instance"]["concurrencyLimits"]}
    made_of_bars = {"breadth_counts", "universe_returns", "price_indicators", "symbol_signals"}
    assert pools == {"bars", "quarantined_bars", *made_of_bars}
