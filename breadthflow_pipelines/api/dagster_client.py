"""Dagster's webserver, asked in GraphQL: runs are launched, listed, watched and ended as the UI does it.

What is asked stands below; what it means for those who ask us is in run_views.py.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import httpx
from fastapi import Request

from breadthflow_pipelines.api.problems import RETRY_SECONDS, Problem
from breadthflow_pipelines.errors import NEXT_LINE, UnreachableError

LOCATION, REPOSITORY = "breadthflow", "__repository__"  # under which every workspace serves our definitions
TIMEOUT = httpx.Timeout(60, connect=5)  # seconds; planning a run over all of history takes some
EVENTS, MOST_EVENTS = 1000, 50_000  # of a run: in one answer, and in all
UNFINISHED = ("QUEUED", "NOT_STARTED", "STARTING", "STARTED")

Answer = dict[str, Any]

_RUN = """
fragment Run on Run {
  runId jobName status creationTime startTime endTime parentRunId tags { key value } assetSelection { path }
}
"""
RUNS = (
    "query($filter: RunsFilter, $cursor: String, $limit: Int) { "
    "runsOrError(filter: $filter, cursor: $cursor, limit: $limit) { "
    "__typename ... on Runs { results { ...Run } } ... on InvalidPipelineRunsFilterError { message } "
    "... on PythonError { message } } }" + _RUN
)
RUN = (
    "query($id: ID!) { runOrError(runId: $id) { "
    "__typename ... on Run { ...Run stepKeysToExecute executionPlan { steps { key } } } "
    "... on RunNotFoundError { message } ... on PythonError { message } } }" + _RUN
)
EVENTS_OF_RUN = """
query($id: ID!, $after: String, $limit: Int) { logsForRun(runId: $id, afterCursor: $after, limit: $limit) {
  __typename
  ... on RunNotFoundError { message }
  ... on PythonError { message }
  ... on EventConnection { cursor hasMore events {
    __typename
    ... on MessageEvent { stepKey }
    ... on MaterializationEvent {
      assetKey { path } partition metadataEntries { label ... on IntMetadataEntry { intValue } }
    }
    ... on AssetCheckEvaluationEvent { evaluation {
      assetKey { path } checkName success severity metadataEntries { label ... on TextMetadataEntry { text } }
    } }
    ... on ExecutionStepFailureEvent { error { message causes { message } } }
    ... on RunFailureEvent { message error { message causes { message } } }
  } }
} }
"""
LAUNCH = """
mutation($params: ExecutionParams!) { launchRun(executionParams: $params) {
  __typename
  ... on LaunchRunSuccess { run { runId } }
  ... on PythonError { message }
  ... on UnauthorizedError { message }
  ... on InvalidSubsetError { message }
  ... on PipelineNotFoundError { message }
  ... on RunConfigValidationInvalid { errors { message } }
} }
"""
TERMINATE = """
mutation($id: String!) { terminateRun(runId: $id, terminatePolicy: SAFE_TERMINATE) {
  __typename
  ... on TerminateRunFailure { message run { status } }
  ... on RunNotFoundError { message }
  ... on UnauthorizedError { message }
  ... on PythonError { message }
} }
"""


@dataclass(frozen=True)
class DagsterClient:
    """The webserver at an address.

    Every method may raise UnreachableError, or Problem 502 where Dagster answers and refuses, with its own reason.
    """

    http: httpx.Client

    def launch(self, job: str, tags: Mapping[str, str], assets: Sequence[str] = ()) -> str:
        """Put a run of the job into the queue, of these assets of it or of all; its id."""
        selector: Answer = {"repositoryLocationName": LOCATION, "repositoryName": REPOSITORY, "jobName": job}
        if assets:
            selector["assetSelection"] = [{"path": [name]} for name in assets]
        metadata = {"tags": [{"key": key, "value": value} for key, value in tags.items()]}
        params = {"selector": selector, "executionMetadata": metadata}
        launched = self._ask(LAUNCH, "launchRun", params=params)
        if launched["__typename"] == "PipelineNotFoundError":
            raise UnreachableError(
                f"Dagster does not know the job {job}: its code server is being started, or fails.{NEXT_LINE}"
                "Look at the code location in Dagster's UI, under Deployment, and try again."
            )
        if launched["__typename"] != "LaunchRunSuccess":
            raise _refusal("launch the run", launched)
        return str(launched["run"]["runId"])

    def runs(
        self,
        *,
        job: str | None = None,
        statuses: Sequence[str] = (),
        after: str | None = None,
        most: int = EVENTS,
    ) -> list[Answer]:
        """Runs, the newest first: those that were made before the run ``after``."""
        given = {"pipelineName": job, "statuses": list(statuses)}
        wanted = {name: value for name, value in given.items() if value}
        found = self._ask(RUNS, "runsOrError", filter=wanted, cursor=after, limit=most)
        if found["__typename"] != "Runs":
            raise _refusal("list runs", found)
        results: list[Answer] = found["results"]
        return results

    def run(self, run_id: str) -> Answer | None:
        """One run with the keys of its steps; None where there is none of that id."""
        found = self._ask(RUN, "runOrError", id=run_id)
        if found["__typename"] == "PythonError":
            raise _refusal("show the run", found)
        return found if found["__typename"] == "Run" else None

    def events(self, run_id: str) -> Iterator[Answer]:
        """The events of a run in their order; of an enormous one the first."""
        after: str | None = None
        for _ in range(MOST_EVENTS // EVENTS):
            found = self._ask(EVENTS_OF_RUN, "logsForRun", id=run_id, after=after, limit=EVENTS)
            if found["__typename"] != "EventConnection":
                raise _refusal("show the run's events", found)
            yield from found["events"]
            if not found["hasMore"]:
                return
            after = found["cursor"]

    def terminate(self, run_id: str) -> bool:
        """Ask for the end of a run, or take it out of the queue; False where it cannot end any more.

        Raises:
            Problem: 409, its process is being started, and can be asked only once it runs; 502, Dagster refuses.
        """
        found = self._ask(TERMINATE, "terminateRun", id=run_id)
        if found["__typename"] == "TerminateRunSuccess":
            return True
        status = found["run"]["status"] if found["__typename"] == "TerminateRunFailure" else None
        if status == "STARTING":
            raise Problem(
                409,
                f"Run {run_id} is being started, and can be ended once it runs.",
                f"Try again in {RETRY_SECONDS} seconds.",
                headers={"Retry-After": str(RETRY_SECONDS)},
            )
        if status is None or status in UNFINISHED:
            raise _refusal("end the run", found)
        return False

    def _ask(self, query: str, field: str, **variables: object) -> Answer:
        try:
            answer = self.http.post("/graphql", json={"query": query, "variables": variables})
            answer.raise_for_status()
            found = answer.json()
        except (httpx.HTTPError, ValueError) as error:
            raise UnreachableError(
                f"Dagster's webserver at {self.http.base_url} does not answer ({type(error).__name__}).{NEXT_LINE}"
                "Start it with breadthflow up, or set BREADTHFLOW_WEBSERVER_URL to its address, and try again."
            ) from None
        if found.get("errors"):
            raise _refusal("answer", found)
        told: Answer = found["data"][field]
        return told


def client_of(request: Request) -> DagsterClient:
    """The client of the app that a request came to, made when it is first asked for."""
    state = request.app.state
    if not hasattr(state, "dagster_client"):
        state.dagster_client = DagsterClient(
            httpx.Client(base_url=state.service.webserver, timeout=TIMEOUT, trust_env=False)
        )
    client: DagsterClient = state.dagster_client
    return client


def _refusal(what: str, found: Mapping[str, Any]) -> Problem:
    said = found.get("message") or "; ".join(error["message"] for error in found.get("errors", ()))
    first = said.strip().splitlines()[0] if said.strip() else str(found.get("__typename"))
    return Problem(502, f"Dagster does not {what}: {first[:300]}", "Look at the run, or the job, in Dagster's UI.")
