"""What Dagster's webserver is asked by other sites' pages is refused before it; its own page and programs reach it."""

import asyncio
from typing import Any

import pytest

from breadthflow_pipelines.orchestration.hosting.own_pages import Scope, own_pages_only

HERE = "127.0.0.1:3000"
JSON = "application/json"
OWN = {"host": HERE, "origin": f"http://{HERE}", "sec-fetch-site": "same-origin"}
FOREIGN = {"host": HERE, "origin": "https://elsewhere.example", "sec-fetch-site": "cross-site"}
NEIGHBOUR = {"host": HERE, "origin": "http://127.0.0.1:8080", "sec-fetch-site": "same-site"}
REBOUND = {"host": "elsewhere.example:3000", "origin": "http://elsewhere.example:3000", "sec-fetch-site": "same-origin"}
PROGRAM = {"host": HERE}


def answered(request: str, headers: dict[str, str], *, proxied: bool = False) -> list[dict[str, Any]]:
    """What comes back of a request, METHOD ADDRESS; an app behind the guard answers each with 200, or accepts it."""
    method, address = request.split(" ")
    path, _, query = address.partition("?")
    kind = "websocket" if method == "WEBSOCKET" else "http"
    scope = {
        "type": kind,
        **({"method": method} if kind == "http" else {}),
        "path": path,
        "query_string": query.encode(),
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
    }
    sent: list[dict[str, Any]] = []

    async def app(_scope: Scope, _receive: Any, send: Any) -> None:
        await send(
            {"type": "websocket.accept"} if kind == "websocket" else {"type": "http.response.start", "status": 200}
        )

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    async def receive() -> dict[str, Any]:
        return {"type": "http.request"}

    asyncio.run(own_pages_only(app, proxied=proxied)(scope, receive, send))
    return sent


def reached(request: str, headers: dict[str, str], *, proxied: bool = False) -> bool:
    [first, *_] = answered(request, headers, proxied=proxied)
    assert first.get("status") in (None, 200, 403)
    return first.get("status") == 200 or first["type"] == "websocket.accept"


@pytest.mark.parametrize(
    ("request_", "headers"),
    [
        ("GET /", {"host": HERE}),
        ("GET /runs", {**FOREIGN, "sec-fetch-site": "cross-site"}),  # a link on another page may lead here
        ("GET /graphql", {"host": HERE, "sec-fetch-site": "none"}),
        ("POST /graphql", {**OWN, "content-type": JSON}),
        ("POST /graphql", {**OWN, "content-type": f"{JSON}; charset=utf-8"}),
        ("POST /graphql", {**PROGRAM, "content-type": JSON}),
        ("POST /graphql", {"host": "localhost:3000", "origin": "http://localhost:3000", "content-type": JSON}),
        ("POST /graphql", {"host": "[::1]:3000", "content-type": JSON}),
        ("POST /report_asset_materialization/bars", PROGRAM),
        ("WEBSOCKET /graphql", OWN),
        ("WEBSOCKET /graphql", PROGRAM),
    ],
)
def test_its_own_page_and_programs_of_the_machine_reach_it(request_: str, headers: dict[str, str]) -> None:
    assert reached(request_, headers)


@pytest.mark.parametrize("headers", [FOREIGN, NEIGHBOUR, REBOUND, {"host": "elsewhere.example"}, {"host": "[::1"}, {}])
@pytest.mark.parametrize(
    "request_",
    ["POST /graphql", "GET /graphql?query=mutation", "WEBSOCKET /graphql", "POST /report_asset_materialization/bars"],
)
def test_pages_of_other_sites_do_not(request_: str, headers: dict[str, str]) -> None:
    assert not reached(request_, {**headers, "content-type": JSON})


def test_a_page_under_a_name_that_points_here_reads_nothing_either() -> None:
    assert not reached("GET /logs/1", REBOUND)


@pytest.mark.parametrize("content", ["application/x-www-form-urlencoded", "text/plain", "application/graphql", ""])
def test_what_any_page_may_send_without_being_asked_is_no_query(content: str) -> None:
    assert not reached("POST /graphql", {**PROGRAM, "content-type": content})
    assert not reached("GET /graphql?query={version}", PROGRAM)
    assert not reached("HEAD /graphql?query={version}", PROGRAM)


def test_behind_a_proxy_it_is_asked_for_by_the_proxy_s_name_and_still_by_no_other_page() -> None:
    assert reached("POST /graphql", {**REBOUND, "content-type": JSON}, proxied=True)
    assert not reached("POST /graphql", {**FOREIGN, "content-type": JSON}, proxied=True)


def test_a_refusal_says_why() -> None:
    start, body = answered("POST /graphql", {**FOREIGN, "content-type": JSON})
    assert (start["status"], body["body"]) == (403, b"A page of another site may not ask for this.\n")
    [closed] = answered("WEBSOCKET /graphql", FOREIGN)
    assert (closed["type"], closed["code"]) == ("websocket.close", 1008)
