"""Requests of every shape that the OpenAPI document allows and forbids: no failure, and answers as it says."""

from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.checks import CHECKS, load_all_checks
from starlette.testclient import TestClient

from breadthflow_pipelines.api.app import openapi_document
from breadthflow_pipelines.api.dagster_client import DagsterClient
from breadthflow_pipelines_tests.api.conftest import Served
from breadthflow_pipelines_tests.examples import examples

# That nobody gets in without a token is in test_who_may.py; this check would ask a server for it. A cursor or a name of
# the right shape can still be of nothing that is there.
load_all_checks()
WITHOUT = CHECKS.get_by_names(["ignored_auth", "positive_data_acceptance"])

# The stream of events has no end; what it refuses is in test_events.py.
schema = schemathesis.openapi.from_dict(openapi_document()).exclude(path="/v1/events")


@pytest.fixture(scope="module")
def app(shared: Served) -> Any:
    """The application that is asked; it is started once."""
    client = shared.client()
    answer = {"runsOrError": {"__typename": "Runs", "results": []}, "runOrError": {"__typename": "RunNotFoundError"}}
    knows_no_run = httpx.MockTransport(lambda _: httpx.Response(200, json={"data": answer}))
    client.app.state.dagster_client = DagsterClient(  # type: ignore[attr-defined]
        httpx.Client(base_url="http://127.0.0.1:3000", transport=knows_no_run)
    )
    with client:
        yield client.app


@schema.parametrize()
@settings(examples(8), suppress_health_check=list(HealthCheck))
def test_every_request_is_answered_as_the_document_says(case: Any, app: Any, shared: Served) -> None:
    if case.query.get("universe") == "sp500":  # the example of the document
        case.query["universe"] = "small"
    case.call_and_validate(app=app, headers={"Authorization": f"Bearer {shared.viewer}"}, excluded_checks=WITHOUT)


def test_texts_that_are_code_elsewhere_are_only_texts(viewer: TestClient) -> None:
    texts = [
        "'; DROP TABLE bars; --",
        '"',
        "%s",
        "%(x)s",
        "{}",
        "\\",
        "$1",
        "../../etc/passwd",
        "<script>",
        "NaN",
        "🙂",
    ]
    texts += ["0001-01-01T00:00+14:00", "9999-12-31T23:59-14:00"]  # moments that UTC has no year for
    for text in texts:
        for name in ("universe", "segment", "rule", "cursor", "columns", "from", "limit", "as_of"):
            answer = viewer.get("/v1/signals", params={name: text})
            assert answer.status_code in (200, 400, 422), (name, text, answer.text)
            assert answer.status_code == 200 or set(answer.json()) == {"type", "title", "status", "detail", "next"}
        assert viewer.get(f"/v1/signals/{text}").status_code in (404, 422)
        found = viewer.get("/v1/rejected", params={"symbol": text, "reason": text, "source": text})
        assert (found.status_code, found.json()["rows"]) == (200, [])
