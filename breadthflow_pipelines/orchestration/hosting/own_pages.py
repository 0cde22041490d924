"""What stands before Dagster's webserver in `breadthflow up`: it has no log-in, and would obey any page of any site.

A browser of this machine reaches the webserver, and sends it what a page asks it to: Dagster executes mutations that
come by GET or as a form, without asking where they come from. In containers the proxy refuses that
(docker/nginx/nginx.conf).
"""

from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any

from breadthflow_pipelines.other_sites import LOOPBACK, names_this_machine, of_another_site

Scope = MutableMapping[str, Any]
App = Callable[[Scope, Callable[..., Awaitable[Any]], Callable[..., Awaitable[Any]]], Awaitable[None]]

QUERIES = "/graphql"
_READING = ("GET", "HEAD")


def refusal(
    kind: str, method: str, path: str, query: bytes, headers: Mapping[str, str], *, proxied: bool
) -> str | None:
    """Why a request is refused, or None.

    kind: http or websocket. query: what stands after the ? of its address. headers: by name in lower case. proxied:
    whether a proxy stands before the webserver, by whose name people ask for it.
    """
    if not proxied and not names_this_machine(headers):
        return f"This UI has no log-in, so it answers only its own machine: ask for it at http://{LOOPBACK[0]}."
    changes = kind == "websocket" or method not in _READING
    if (changes or path.startswith(QUERIES)) and of_another_site(headers):
        return "A page of another site may not ask for this."
    if path.startswith(QUERIES) and kind == "http":
        if method in _READING and query:
            return "Queries come as POST: one in an address could be any page's."
        if method not in _READING and not headers.get("content-type", "").lower().startswith("application/json"):
            return "Queries come as application/json: a form could be any page's."
    return None


def own_pages_only(app: App, *, proxied: bool) -> App:
    """The app, but what ``refusal`` refuses never reaches it."""

    async def guarded(
        scope: Scope, receive: Callable[..., Awaitable[Any]], send: Callable[..., Awaitable[Any]]
    ) -> None:
        why = _why(scope, proxied=proxied) if scope["type"] in ("http", "websocket") else None
        if why is None:
            await app(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008, "reason": why})
        else:
            text = [(b"content-type", b"text/plain; charset=utf-8")]
            await send({"type": "http.response.start", "status": 403, "headers": text})
            await send({"type": "http.response.body", "body": f"{why}\n".encode()})

    return guarded


def _why(scope: Scope, *, proxied: bool) -> str | None:
    headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
    method, query = scope.get("method", "GET"), scope.get("query_string", b"")
    return refusal(scope["type"], method, scope["path"], query, headers, proxied=proxied)
