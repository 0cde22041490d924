"""Refusals and failures as problem+json (RFC 9457): what was wrong, and what to do next; every answer of 4xx, 5xx."""

from collections.abc import Mapping
from http import HTTPStatus

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.routing import Match

from breadthflow_pipelines.errors import (
    NEXT_LINE,
    BreadthFlowError,
    DiskFullError,
    HeldError,
    RequestError,
    UnreachableError,
    printable,
)
from breadthflow_pipelines.observability.logs import log

MEDIA_TYPE = "application/problem+json"
RETRY_SECONDS = 5
LONGEST = 300  # characters of what was sent that a refusal repeats


class ProblemDetails(BaseModel):
    """A refusal or a failure."""

    type: str = Field(description="Names the kind of problem.", examples=["urn:breadthflow:problem:bad-request"])
    title: str = Field(description="The kind of problem in words.", examples=["Bad Request"])
    status: int = Field(description="The HTTP status.", examples=[400])
    detail: str = Field(
        description="What was wrong, and where.", examples=["Universe sp50 is unknown; there are: sp500."]
    )
    next: str = Field(description="What to do next.", examples=["Ask GET /v1/universes which there are."])


class Problem(HTTPException):
    """A refusal that a handler raises: its status, what was wrong, what to do next.

    What reads a body lets an HTTPException through, and takes any other one for a body that nobody can read.
    """

    def __init__(
        self, status: int, detail: str, next_: str, *, headers: Mapping[str, str] | None = None, kind: str | None = None
    ) -> None:
        super().__init__(status, detail, dict(headers or {}))
        self.status, self.next = HTTPStatus(status), next_
        self.kind = kind or self.status.phrase.lower().replace(" ", "-")

    def answer(self) -> JSONResponse:
        """What the client gets."""
        said = ProblemDetails(
            type=f"urn:breadthflow:problem:{self.kind}",
            title=self.status.phrase,
            status=self.status,
            detail=printable(self.detail),
            next=printable(self.next),
        )
        return JSONResponse(
            said.model_dump(), self.status, {"Cache-Control": "no-store", **(self.headers or {})}, media_type=MEDIA_TYPE
        )


def problem_of(error: BreadthFlowError) -> Problem:
    """What the API says of an error of ours."""
    detail, _, next_ = str(error).partition(NEXT_LINE)
    retry = {"Retry-After": str(RETRY_SECONDS)}
    if isinstance(error, RequestError):
        return Problem(400, detail, next_ or "Correct the request; the API's documentation is at /docs.")
    if isinstance(error, HeldError):
        return Problem(409, detail, next_ or "See /v1/status.")
    if isinstance(error, UnreachableError):
        return Problem(503, detail, next_ or f"Try again in {RETRY_SECONDS} seconds.", headers=retry)
    if isinstance(error, DiskFullError):
        return Problem(503, detail, next_ or "Free space on the server, then try again.", headers=retry)
    return Problem(500, detail, next_ or "Look into the server's log.")


def _answer_problem(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, Problem)  # noqa: S101 - registered for it
    return error.answer()


def _answer_ours(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, BreadthFlowError)  # noqa: S101 - registered for it
    found = problem_of(error)
    if found.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        log.warning("api_failed", path=request.url.path, reason=str(error))
    return found.answer()


def _answer_invalid(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)  # noqa: S101 - registered for it
    wrong = [
        f"{'.'.join(str(part) for part in each['loc'])[:LONGEST]}: {str(each['msg'])[:LONGEST]}"
        for each in error.errors()[:5]
    ]
    return Problem(422, "; ".join(wrong), "Correct what is named; /docs says what each parameter takes.").answer()


def _answer_http(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for it
    said = {
        404: (f"There is nothing at {request.url.path[:LONGEST]}.", "Look up the address at /docs."),
        405: (f"{request.method} is not possible at {request.url.path[:LONGEST]}.", "Look up the method at /docs."),
    }
    detail, next_ = said.get(error.status_code, (str(error.detail), "Correct the request; see /docs."))
    headers = (
        {"Allow": ", ".join(_allowed(request))} if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED else error.headers
    )
    return Problem(error.status_code, detail, next_, headers=headers).answer()


def _allowed(request: Request) -> list[str]:
    """The methods of all routes of the request's path; Starlette knows only those of the first one."""
    met = [route for route in request.app.state.routes if route.matches(request.scope)[0] is not Match.NONE]
    return sorted({method for route in met for method in route.methods or ()})


def _answer_unexpected(_request: Request, _error: Exception) -> JSONResponse:  # which the server logs
    return Problem(500, "The server failed; its log says why.", "Look into the server's log, then try again.").answer()


def answer_problems(app: FastAPI) -> None:
    """Have every refusal and failure of the app answered as a problem."""
    app.add_exception_handler(Problem, _answer_problem)
    app.add_exception_handler(BreadthFlowError, _answer_ours)
    app.add_exception_handler(RequestValidationError, _answer_invalid)
    app.add_exception_handler(HTTPException, _answer_http)
    app.add_exception_handler(Exception, _answer_unexpected)
