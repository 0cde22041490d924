"""Runs by API are runs of Dagster: asked for once, checked first, seen by whoever may, ended by whoever may."""

import datetime as dt
import importlib
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import dagster as dg
import httpx
import pytest
from dagster._core.remote_origin import InProcessCodeLocationOrigin
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import InProcessWorkspaceLoadTarget
from dagster_webserver.webserver import DagsterWebserver
from starlette.testclient import TestClient

from breadthflow_pipelines import definitions
from breadthflow_pipelines.api import dagster_client
from breadthflow_pipelines.api.access import Role
from breadthflow_pipelines.api.app import create_app
from breadthflow_pipelines.api.dagster_client import DagsterClient
from breadthflow_pipelines.api.service import open_service
from breadthflow_pipelines.api.tokens import create
from breadthflow_pipelines.model.datasets import DAILY_JOB
from breadthflow_pipelines.settings import get_settings
from breadthflow_pipelines.warehouse.audit_listing import audited
from breadthflow_pipelines_tests.conftest import free_port
from breadthflow_pipelines_tests.orchestration import conftest as orchestration
from breadthflow_pipelines_tests.orchestration.conftest import Store
from breadthflow_pipelines_tests.orchestration.small_market import FIRST, LAST

# Fixtures of that room.
store, filled, small, frozen = orchestration.store, orchestration.filled, orchestration.small, orchestration.frozen

RANGE = {"from": "2023-03-02", "to": "2023-05-31"}


@dataclass
class Api:
    """The API over a store."""

    store: Store
    app: Any
    tokens: dict[str, str]

    def with_dagster(self) -> "Api":
        """The same, with a webserver in this process that has our code location."""
        importlib.reload(definitions)  # for the settings of this test
        target = LoadableTargetOrigin(executable_path=sys.executable, module_name=definitions.__name__)
        location = InProcessCodeLocationOrigin(target, location_name=dagster_client.LOCATION)
        context = WorkspaceProcessContext(self.store.instance, InProcessWorkspaceLoadTarget(location))
        webserver = DagsterWebserver(context).create_asgi_app()  # type: ignore[no-untyped-call]
        self.app.state.dagster_client = DagsterClient(TestClient(webserver, "http://127.0.0.1:3000"))
        return self

    def with_answers_from(self, client: httpx.Client) -> "Api":
        """The same, with something else in the webserver's place."""
        self.app.state.dagster_client = DagsterClient(client)
        return self

    def client(self, role: str = Role.OPERATOR) -> TestClient:
        """A program with a token; two of them are of two users where the roles differ."""
        headers = {"Authorization": f"Bearer {self.tokens[role]}"}
        return TestClient(self.app, "http://127.0.0.1:8000", headers=headers, raise_server_exceptions=False)

    def post(self, wanted: object, key: str | None = None, role: str = Role.OPERATOR) -> httpx.Response:
        headers = {} if key is None else {"Idempotency-Key": key}
        return self.client(role).post("/v1/runs", json=wanted, headers=headers)

    def get(self, path: str = "", role: str = Role.OPERATOR, **parameters: Any) -> Any:
        answer = self.client(role).get(f"/v1/runs{path}", params=parameters)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def noted(self, action: str) -> list[tuple[object, ...]]:
        rows = audited(self.store.database, None, None, action)
        return [(row["who"], row["what"], row["run_id"]) for row in rows if row["via"] == "api"]


def served(store: Store) -> Api:
    tokens = {name: create(store.database, name, role, None, "the tests") for name, role in USERS.items()}
    return Api(store, create_app(open_service(get_settings())), tokens)


USERS = {"operator": Role.OPERATOR, "viewer": Role.VIEWER, "another": Role.OPERATOR}


@pytest.fixture
def alone(store: Store, frozen: Callable[[dt.date], None]) -> Api:
    """The API over an empty store, on the evening of the market's last session; no webserver is there."""
    frozen(LAST)
    return served(store).with_answers_from(httpx.Client(base_url=f"http://127.0.0.1:{free_port()}"))


@pytest.fixture
def api(alone: Api) -> Api:
    """The same with a webserver."""
    return alone.with_dagster()


@pytest.fixture
def over_filled(filled: Store, frozen: Callable[[dt.date], None]) -> Api:
    """The same over a store that one run has filled."""
    frozen(LAST)
    return served(filled).with_dagster()


def runs_of(api: Api) -> list[dg.DagsterRun]:
    return list(api.store.instance.get_runs())


def test_a_run_is_one_of_dagster_s_queue_and_the_audit_says_who_started_it(api: Api) -> None:
    answer = api.post(RANGE)
    assert answer.status_code == 202, answer.text
    shown = answer.json()
    [run] = runs_of(api)
    assert (run.run_id, run.job_name, run.status) == (shown["run_id"], DAILY_JOB, dg.DagsterRunStatus.QUEUED)
    tags = {key: run.tags[key] for key in run.tags if "range" in key or key == "breadthflow/through"}
    assert tags == {
        "dagster/asset_partition_range_start": "2023-03",
        "dagster/asset_partition_range_end": "2023-05",
        "breadthflow/through": "2023-05-31",
    }
    assert run.remote_job_origin is not None  # the UI knows its job
    assert answer.headers["Location"] == f"/v1/runs/{run.run_id}"
    assert api.noted("launched") == [("operator", f"{DAILY_JOB}, 2023-03 to 2023-05", run.run_id)]
    assert len(audited(api.store.database, None, None, "launched")) == 1
    assert "operator" not in str(run.tags)  # names stand in the audit, where they can be erased
    expected = {
        "job": DAILY_JOB,
        "status": "queued",
        "first_month": "2023-03",
        "last_month": "2023-05",
        "through": "2023-05-31",
        "assets": None,
        "started_at": None,
        "ended_at": None,
        "retry_of": None,
        "started_by": "operator",
    }
    assert expected.items() <= shown.items()
    assert api.get(f"/{run.run_id}", "viewer")["started_by"] is None


def test_what_is_under_way_already_is_not_started_again(api: Api) -> None:
    first = api.post(RANGE).json()["run_id"]
    for wanted in (
        RANGE,
        {"from": "2023-04-03", "to": "2023-04-28"},  # within it
        {"from": "2023-05-01", "to": "2023-05-31", "assets": ["bars"]},
    ):
        answer = api.post(wanted, role="another")
        assert (answer.status_code, answer.json()["run_id"]) == (200, first), wanted
    assert len(runs_of(api)) == 1
    for number, wanted in enumerate(
        (
            {"from": "2023-02-28", "to": "2023-05-31"},  # a month more
            {"from": "2023-03-02", "to": "2023-06-01"},
            {"job": "run_checks"},  # something else
        ),
        2,
    ):
        assert api.post(wanted).status_code == 202, wanted
        assert len(runs_of(api)) == number


def test_a_run_of_some_assets_answers_no_request_for_more(api: Api) -> None:
    some = api.post({**RANGE, "assets": ["bars", "quarantined_bars"]})
    assert (some.status_code, some.json()["assets"]) == (202, ["bars", "quarantined_bars"])
    assert api.post({**RANGE, "assets": ["bars"]}).json()["run_id"] == some.json()["run_id"]
    assert api.post(RANGE).status_code == 202


def test_what_sees_less_does_not_answer_what_is_to_see_more(api: Api) -> None:
    first = api.post({"from": "2023-03-02", "to": "2023-05-12"}).json()["run_id"]
    assert api.post({"from": "2023-03-02", "to": "2023-05-15"}).json()["run_id"] != first


def test_many_requests_for_one_range_at_a_time_start_one_run(api: Api) -> None:
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: api.post(RANGE), range(4)))
    assert sorted(answer.status_code for answer in answers) == [200, 200, 200, 202]
    assert len({answer.json()["run_id"] for answer in answers}) == len(runs_of(api)) == 1


def test_a_request_that_is_sent_again_with_its_key_starts_nothing(api: Api) -> None:
    run_id = api.post(RANGE, "one").json()["run_id"]
    waiting = api.post({"from": "2023-04-03", "to": "2023-04-28"}, "two").json()["run_id"]
    assert waiting == run_id
    assert api.client().delete(f"/v1/runs/{run_id}").status_code == 202
    for wanted, key in ((RANGE, "one"), ({"from": "2023-04-03", "to": "2023-04-28"}, "two")):
        again = api.post(wanted, key)
        assert (again.status_code, again.json()["run_id"]) == (200, run_id)
        assert again.json()["status"] == "canceled"
    refused = api.post({"from": "2023-03-02", "to": "2023-06-30"}, "one")
    assert (refused.status_code, refused.headers["content-type"]) == (422, "application/problem+json")
    assert refused.json()["type"].endswith("idempotency-key-reused")
    assert len(runs_of(api)) == 1
    assert api.post(RANGE, "one", role="another").status_code == 202  # keys of others are others
    assert api.post(RANGE, "three").status_code == 200  # that one is under way now


def test_a_request_that_dagster_did_not_get_can_be_sent_again(alone: Api) -> None:
    assert alone.post(RANGE, "one").status_code == 503
    assert alone.with_dagster().post(RANGE, "one").status_code == 202
    assert [who for who, _, _ in alone.noted("launched")] == ["operator"]


@pytest.mark.parametrize(
    ("wanted", "status", "said"),
    [
        ({"from": "2023-05-31", "to": "2023-03-02"}, 400, "ends on 2023-03-02, before it begins on 2023-05-31"),
        ({"from": "2022-10-03", "to": "2023-03-02"}, 400, "before the first month of history, 2022-11"),
        ({"from": "2023-12-30", "to": "2024-01-05"}, 400, "after the last closed session of XNYS, 2023-12-29"),
        ({"from": "2023-12-01", "to": "2024-01-05"}, 400, "Send 2023-12-29 as to"),
        ({"from": "2023-02-18", "to": "2023-02-20"}, 400, "XNYS has no session from 2023-02-18"),  # Presidents' Day
        ({"from": "2023-02-18"}, 400, "needs the range"),
        ({}, 400, "Send from and to"),
        ({**RANGE, "assets": ["barz"]}, 400, "There is no asset barz"),
        ({**RANGE, "assets": []}, 422, "assets"),
        ({**RANGE, "universe": "sp500"}, 422, "a run computes every universe"),
        ({**RANGE, "job": "rm -rf"}, 422, "bring_up_to_date"),
        ({**RANGE, "job": "run_checks"}, 400, "about all that is stored"),
        ({**RANGE, "config": {"ops": {}}}, 422, "config"),
        ({"from": "yesterday", "to": "2023-03-02"}, 422, "from"),
        ([], 422, "body"),
    ],
)
def test_what_cannot_be_run_is_refused_before_dagster_is_asked(
    alone: Api, wanted: object, status: int, said: str
) -> None:
    answer = alone.post(wanted)  # else it would be a 503
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json"), answer.text
    assert said in f"{answer.json()['detail']} {answer.json()['next']}"


@pytest.mark.parametrize("key", ["", "x" * 201, "two words"])
def test_a_key_that_is_none_is_refused(alone: Api, key: str) -> None:
    assert alone.post(RANGE, key).status_code == 422


def test_viewers_see_runs_and_neither_start_nor_end_them(api: Api) -> None:
    run_id = api.post(RANGE).json()["run_id"]
    viewer = api.client("viewer")
    assert viewer.post("/v1/runs", json=RANGE).status_code == 403
    assert viewer.delete(f"/v1/runs/{run_id}").status_code == 403
    assert [row["run_id"] for row in viewer.get("/v1/runs").json()["rows"]] == [run_id]
    nobody = TestClient(api.app, "http://127.0.0.1:8000")
    for method, path in (("POST", ""), ("GET", ""), ("GET", f"/{run_id}"), ("DELETE", f"/{run_id}")):
        assert nobody.request(method, f"/v1/runs{path}").status_code == 401
    assert runs_of(api)[0].status is dg.DagsterRunStatus.QUEUED


def test_whoever_ends_a_run_is_written_down(api: Api) -> None:
    run_id = api.post(RANGE).json()["run_id"]
    answer = api.client("another").delete(f"/v1/runs/{run_id}")
    assert (answer.status_code, answer.json()["status"]) == (202, "canceled")
    assert api.noted("ended") == [("another", f"{DAILY_JOB}, 2023-03 to 2023-05", run_id)]
    again = api.client().delete(f"/v1/runs/{run_id}")
    assert (again.status_code, again.json()["title"]) == (409, "Conflict")
    assert len(api.noted("ended")) == 1
    assert api.post(RANGE).status_code == 202  # what is over does not stand in the way


def test_a_run_that_is_being_started_can_be_ended_in_a_moment(api: Api) -> None:
    run_id = api.post(RANGE).json()["run_id"]
    starting = dg.DagsterEvent(event_type_value=dg.DagsterEventType.RUN_STARTING.value, job_name=DAILY_JOB)
    api.store.instance.report_dagster_event(starting, run_id)
    answer = api.client().delete(f"/v1/runs/{run_id}")
    assert (answer.status_code, answer.headers["Retry-After"]) == (409, "5")
    assert answer.json()["detail"] == f"Run {run_id} is being started, and can be ended once it runs."
    assert api.noted("ended") == []


@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_a_run_that_is_none_is_not_found(api: Api, method: str) -> None:
    unknown = "00000000-0000-0000-0000-000000000000"
    answer = api.client().request(method, f"/v1/runs/{unknown}")
    assert (answer.status_code, unknown in answer.json()["detail"]) == (404, True)
    assert api.client().request(method, "/v1/runs/latest").status_code == 422


def test_pages_of_runs_are_the_newest_first_and_none_is_there_twice(api: Api) -> None:
    months = [f"2023-{month:02}" for month in range(1, 6)]
    started = [api.post({"from": f"{month}-10", "to": f"{month}-20"}).json()["run_id"] for month in months]
    api.client().delete(f"/v1/runs/{started[2]}")
    found, cursor = [], None
    for _ in range(3):
        page = api.get(limit=2, **({"cursor": cursor} if cursor else {}))
        found += [row["run_id"] for row in page["rows"]]
        cursor = page["next"]
    assert (found, cursor) == (started[::-1], None)
    assert [row["run_id"] for row in api.get(status="canceled")["rows"]] == [started[2]]
    assert len(api.get(status=["canceled", "queued"])["rows"]) == 5
    assert api.get(job="run_checks") == {"rows": [], "next": None}
    assert api.client().get("/v1/runs", params={"limit": 1000}).status_code == 422


def test_a_run_shows_what_it_has_made_and_what_its_checks_said(over_filled: Api) -> None:
    [row] = over_filled.get()["rows"]
    shown = over_filled.get(f"/{row['run_id']}")
    assert (shown["status"], shown["why"], shown["progress"]["now"]) == ("success", [], [])
    progress = shown["progress"]
    assert progress["steps"] == progress["steps_done"] > 30
    assert progress["steps_failed"] == 0
    made = {asset["asset"]: asset for asset in progress["made"]}
    for table in ("bars", "breadth_counts", "market_signals"):
        [(rows,)] = over_filled.store.rows(f"SELECT count(*) FROM {table}")
        assert (made[table]["rows_inserted"], made[table]["rows_removed"]) == (rows, 0)
    assert made["bars"]["months"] == 14
    assert made["market_signals"]["months"] == 0
    assert made["market_report"]["rows_inserted"] is None  # it writes files
    judged = {(check["asset"], check["check"]): check for check in shown["checks"]}
    assert judged["bars", "bars_current"]["passed"]
    assert len(judged) == len(shown["checks"]) == progress["steps"] - len(made)


def test_a_run_that_failed_says_why(api: Api) -> None:
    for path in api.store.small.files():
        path.unlink()
    report = api.store.run(FIRST, LAST)
    assert report.exit_status != 0
    shown = api.get(f"/{report.run_id}")
    assert (shown["status"], shown["progress"]["steps_failed"] > 0) == ("failure", True)
    assert shown["why"]
    assert not any("Traceback" in reason or reason.startswith("breadthflow_pipelines.") for reason in shown["why"])


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [("GET", "", None), ("POST", "", RANGE), ("GET", f"/{'0' * 8}-0000-0000-0000-{'0' * 12}", None)],
)
def test_a_webserver_that_is_away_is_a_problem_that_says_what_to_do(
    alone: Api, method: str, path: str, body: object
) -> None:
    answer = alone.client().request(method, f"/v1/runs{path}", json=body)
    assert (answer.status_code, answer.headers["content-type"]) == (503, "application/problem+json")
    assert "breadthflow up" in answer.json()["next"]
    assert "Retry-After" in answer.headers


@pytest.mark.parametrize(
    ("status", "content", "expected"),
    [
        (500, b"", 503),
        (200, b"<html>some other page</html>", 503),  # another program has the port
        (200, b'{"errors": [{"message": "no such field"}]}', 502),
        (200, b'{"data": {"runsOrError": {"__typename": "PythonError", "message": "broken\\nstack"}}}', 502),
    ],
)
def test_a_webserver_that_answers_nonsense_is_a_problem(alone: Api, status: int, content: bytes, expected: int) -> None:
    transport = httpx.MockTransport(lambda _: httpx.Response(status, content=content))
    alone.with_answers_from(httpx.Client(base_url="http://127.0.0.1:3000", transport=transport))
    answer = alone.client().get("/v1/runs")
    assert (answer.status_code, answer.headers["content-type"]) == (expected, "application/problem+json")
    assert "stack" not in answer.text


def test_a_code_location_that_does_not_load_is_a_problem_that_passes(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dagster_client, "LOCATION", "elsewhere")
    answer = api.post(RANGE)
    assert (answer.status_code, "code server" in answer.json()["detail"]) == (503, True)


@pytest.mark.parametrize("name", ["RUNS", "RUN", "EVENTS_OF_RUN", "LAUNCH", "TERMINATE"])
def test_what_dagster_is_asked_is_in_its_schema(name: str) -> None:
    from dagster_graphql.schema import create_schema
    from graphql import parse, validate

    assert validate(create_schema().graphql_schema, parse(getattr(dagster_client, name))) == []
