"""Who is let in: by a token, or without one on one's own machine; how often; how large a request may be."""

import time
from dataclasses import replace
from itertools import takewhile

import pytest
from starlette.testclient import TestClient

from breadthflow_pipelines.api import limits
from breadthflow_pipelines.api.passage import MOST_BYTES
from breadthflow_pipelines_tests.api.conftest import Served

ROUTE = "/v1/universes"


def test_without_a_token_nobody_is_let_in_and_the_answer_says_what_to_do(shared: Served) -> None:
    answer = shared.client().get(ROUTE)
    assert answer.status_code == 401
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.json() == {
        "type": "urn:breadthflow:problem:unauthorized",
        "title": "Unauthorized",
        "status": 401,
        "detail": "The request names no token.",
        "next": "Send the header Authorization: Bearer TOKEN. An administrator makes one: breadthflow token create "
        "NAME",
    }


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"Host": "localhost:8000"}, 200),
        ({"Host": "[::1]:8000"}, 200),
        ({"Origin": "http://127.0.0.1:8000"}, 200),  # its own page
        ({"Sec-Fetch-Site": "same-origin"}, 200),
        ({"Sec-Fetch-Site": "none"}, 200),  # typed by the user
        ({"Host": "breadth.example"}, 403),  # a name that an attacker lets point here
        ({"Host": "127.0.0.1.example"}, 403),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://127.0.0.1:3000"}, 403),  # another program's page
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"X-Forwarded-For": "203.0.113.7"}, 403),  # it came through a proxy
        ({"Forwarded": "for=203.0.113.7"}, 403),
        ({"X-Real-IP": "203.0.113.7"}, 403),
    ],
)
def test_an_open_api_answers_only_its_own_machine(shared: Served, headers: dict[str, str], status: int) -> None:
    assert shared.client(without_tokens=True).get(ROUTE, headers=headers).status_code == status


@pytest.fixture
def stopped_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """A minute of the clock that begins in the middle of a test would let more requests pass."""
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now)


def before_the_limit(client: TestClient, **headers: str) -> list[int]:
    """The statuses before the first 429."""
    return list(
        takewhile(lambda status: status != 429, (client.get(ROUTE, headers=headers).status_code for _ in range(100)))
    )


@pytest.mark.usefixtures("stopped_clock")
def test_a_token_is_used_so_often_in_a_minute_and_others_still_are(shared: Served) -> None:
    client = shared.client(shared.viewer, rate=3)
    assert before_the_limit(client) == [200] * 3
    answer = client.get(ROUTE)
    assert 1 <= int(answer.headers["Retry-After"]) <= 60
    assert "more than 3 requests with this token" in answer.json()["detail"]
    assert client.get(ROUTE, headers={"Authorization": f"Bearer {shared.operator}"}).status_code == 200


@pytest.mark.usefixtures("stopped_clock")
def test_an_address_asks_ten_times_as_often_as_a_token(shared: Served) -> None:
    client = shared.client(without_tokens=True, rate=1)
    assert before_the_limit(client) == [200] * 10


@pytest.mark.usefixtures("stopped_clock")
def test_who_guesses_tokens_is_refused_before_they_are_looked_at(
    shared: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "REFUSALS", 3)
    client = shared.client()
    wrong = f"Bearer {shared.viewer[:-2]}xx"
    assert before_the_limit(client, Authorization=wrong) == [401] * 3
    assert client.get(ROUTE, headers={"Authorization": f"Bearer {shared.viewer}"}).status_code == 429
    assert shared.client(shared.viewer).get(ROUTE).status_code == 200  # another application counts by itself


def test_a_body_may_be_so_large(shared: Served) -> None:
    client = shared.client(shared.viewer)
    for size, status in ((MOST_BYTES, 405), (MOST_BYTES + 1, 413)):  # the route takes no body, and says so
        assert client.post(ROUTE, content=b"x" * size).status_code == status
    said_less = client.post(ROUTE, content=b"x", headers={"Content-Length": "many"})
    assert (said_less.status_code, said_less.headers["Content-Type"]) == (413, "application/problem+json")
    pieces = (b"x" * MOST_BYTES for _ in range(2))  # which say no size beforehand
    started = shared.client(shared.operator).post("/v1/runs", content=pieces)
    assert (started.status_code, started.json()["detail"]) == (413, f"The body has more than {MOST_BYTES} bytes.")


def test_who_uses_another_method_is_told_which_there_are(shared: Served) -> None:
    client = shared.client(shared.operator)
    run = "/v1/runs/00000000-0000-0000-0000-000000000000"
    for method, path, there in (
        ("PUT", "/v1/runs", "GET, POST"),
        ("POST", run, "DELETE, GET"),
        ("OPTIONS", ROUTE, "GET"),
        ("HEAD", ROUTE, "GET"),
        ("DELETE", "/login", "GET, POST"),
    ):
        answer = client.request(method, path)
        assert (answer.status_code, answer.headers["Allow"]) == (405, there), path


@pytest.mark.parametrize("path", [ROUTE, "/nowhere"])
def test_every_answer_tells_browsers_what_is_safe(shared: Served, path: str) -> None:
    headers = shared.client(shared.viewer).get(path).headers
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["Content-Security-Policy"] == "default-src 'none'; frame-ancestors 'none'"
    assert "Server" not in headers


def test_other_sites_pages_may_ask_only_where_a_setting_says_so(shared: Served) -> None:
    asked = {"Origin": "https://notebook.example", "Access-Control-Request-Method": "GET"}
    assert "Access-Control-Allow-Origin" not in shared.client().options(ROUTE, headers=asked).headers
    settings = shared.service.settings.model_copy(update={"api_origins": ("https://notebook.example",)})
    opened = Served(replace(shared.service, settings=settings), shared.owner, shared.viewer, shared.operator)
    answer = opened.client().options(ROUTE, headers=asked)
    assert answer.headers["Access-Control-Allow-Origin"] == "https://notebook.example"
    other = opened.client().options(ROUTE, headers=asked | {"Origin": "https://evil.example"})
    assert "Access-Control-Allow-Origin" not in other.headers
