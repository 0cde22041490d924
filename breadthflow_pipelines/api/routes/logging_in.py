"""Logging in to the page with a token, and out of it. What a session is: sessions.py."""

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Header, Query, Request
from fastapi.responses import RedirectResponse, Response

from breadthflow_pipelines.api import sessions
from breadthflow_pipelines.api.limits import Limits
from breadthflow_pipelines.api.page.answers import LOGIN, PageRoute, frame
from breadthflow_pipelines.api.page.forms import Fields
from breadthflow_pipelines.api.page.rendering import HEADERS, answer
from breadthflow_pipelines.api.service import Serving
from breadthflow_pipelines.api.tokens import holder

router = APIRouter(route_class=PageRoute, include_in_schema=False)

HOME = "/"


@router.get(LOGIN)
def form(
    request: Request,
    service: Serving,
    onward: Annotated[str, Query(alias="next")] = HOME,
    sec_fetch_site: Annotated[str | None, Header()] = None,
) -> Response:
    """The form that takes a token."""
    if service.open:
        return RedirectResponse(HOME, HTTPStatus.SEE_OTHER, HEADERS)
    if sec_fetch_site == "cross-site":  # a link elsewhere led here, so the browser held the session's cookie back
        return answer("onward.html", frame=frame(request, None), next=_within(onward))
    return _form(request, _within(onward), None, HTTPStatus.OK)


@router.post(LOGIN)
def log_in(request: Request, service: Serving, fields: Fields) -> Response:
    """Begin a session, if the token is valid."""
    limits: Limits = request.app.state.limits
    limits.arrives(request)
    onward = _within(fields.get("next", HOME))
    who = holder(service, fields.get("token", "").strip())
    if who is None or who.token_id is None:
        limits.was_refused(request)
        wrong = "That token is not valid: unknown, expired or revoked. Paste all of it, from bft_ on."
        return _form(request, onward, wrong, HTTPStatus.UNAUTHORIZED)
    begun = RedirectResponse(onward, HTTPStatus.SEE_OTHER, HEADERS)
    sessions.begin(request, service, who.token_id, begun)
    return begun


@router.post("/logout")
def log_out(request: Request, service: Serving, _fields: Fields) -> Response:
    """End the session, here and in the store."""
    ended = RedirectResponse(LOGIN, HTTPStatus.SEE_OTHER, HEADERS)
    sessions.end(request, service, ended)
    return ended


def _form(request: Request, onward: str, wrong: str | None, status: int) -> Response:
    return answer("login.html", status, frame=frame(request, None), next=onward, wrong=wrong, hours=sessions.HOURS)


def _within(path: str) -> str:
    """A place of this page: never another site, to which ``//`` and ``/\\`` lead."""
    return path if path.startswith("/") and path[1:2] not in ("/", "\\") and path.isprintable() else HOME
