"""Who may do what: a table of every route, and each cell tried."""

from uuid import UUID

import pytest

from breadthflow_pipelines.api.app import openapi_document
from breadthflow_pipelines_tests.api.conftest import Served

# By route, the statuses for nobody, a viewer, an operator. What the request lacks shows only to who is let in.
MAY = {
    "GET /v1/universes": (401, 200, 200),
    "GET /v1/sessions": (401, 200, 200),
    "GET /v1/indicators": (401, 200, 200),
    "GET /v1/rules": (401, 200, 200),
    "GET /v1/breadth": (401, 200, 200),
    "GET /v1/signals": (401, 200, 200),
    "GET /v1/signals/{signal_id}": (401, 404, 404),
    "GET /v1/symbols": (401, 200, 200),
    "GET /v1/outcomes": (401, 200, 200),
    "GET /v1/accuracy": (401, 200, 200),
    "GET /v1/backtests": (401, 200, 200),
    "GET /v1/rejected": (401, 200, 200),
    "GET /v1/rejected/counts": (401, 200, 200),
    "GET /v1/status": (401, 200, 200),
    "POST /v1/runs": (401, 403, 422),
    "GET /v1/runs": (401, 503, 503),
    "GET /v1/runs/{run_id}": (401, 503, 503),
    "DELETE /v1/runs/{run_id}": (401, 403, 503),
    "GET /v1/events": (401, 422, 422),
    "GET /health": (200, 200, 200),
}
NEEDED = {
    "/v1/breadth": "?universe=small&limit=1",
    "/v1/symbols": "?universe=small&limit=1",
    "/v1/events": "?after=the-last-one",  # what is asked for rightly has no end
}


def test_the_table_has_every_route_and_no_other() -> None:
    paths = openapi_document()["paths"]
    assert {f"{method.upper()} {path}" for path, methods in paths.items() for method in methods} == MAY.keys()


@pytest.mark.parametrize("route", MAY)
def test_who_may(shared: Served, route: str) -> None:
    method, path = route.split(" ")
    address = path.format(signal_id="0123456789abcdef", run_id=UUID(int=0)) + NEEDED.get(path, "")
    found = [
        shared.client(token).request(method, address).status_code for token in (None, shared.viewer, shared.operator)
    ]
    assert tuple(found) == MAY[route]
