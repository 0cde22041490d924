"""What every page has around it, and what people read when something is wrong: what it was, and what to do next."""

from collections.abc import Callable, Coroutine, Iterable, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from fastapi.routing import APIRoute

from breadthflow_pipelines.api.access import Principal
from breadthflow_pipelines.api.page.rendering import HEADERS, answer
from breadthflow_pipelines.api.problems import RETRY_SECONDS, Problem, problem_of
from breadthflow_pipelines.api.service import service_of
from breadthflow_pipelines.errors import BreadthFlowError
from breadthflow_pipelines.model.vocabulary import Role
from breadthflow_pipelines.observability.logs import log
from breadthflow_pipelines.warehouse.database import Row

LOGIN = "/login"
AGAIN_SECONDS = 20  # until a page of nothing looks again
TITLES = {
    HTTPStatus.FORBIDDEN: "Not allowed",
    HTTPStatus.NOT_FOUND: "Not here",
    HTTPStatus.TOO_MANY_REQUESTS: "Too often",
    HTTPStatus.SERVICE_UNAVAILABLE: "Not reachable now",
}


@dataclass(frozen=True)
class Frame:
    """What stands around a page. place: which one it is. who: None where nobody is known. open: nobody has to log in.

    synthetic: the universes whose companies are invented.
    """

    place: str
    who: Principal | None
    open: bool
    synthetic: Sequence[str]


def frame(request: Request, who: Principal | None, universes: Iterable[Row] = ()) -> Frame:
    """The frame of the page that is asked for."""
    place = "/" + request.url.path.strip("/").partition("/")[0]
    synthetic = [row["universe"] for row in universes if row["synthetic"]]
    return Frame(place, who, service_of(request).open, synthetic)


class PageRoute(APIRoute):
    """A route whose refusals are pages; who is not logged in is led to the form that logs in."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handler = super().get_route_handler()

        async def answered(request: Request) -> Response:
            try:
                return await handler(request)
            except Problem as problem:
                return refusal(request, problem)
            except BreadthFlowError as error:
                return refusal(request, problem_of(error))
            except RequestValidationError as error:
                wrong = "; ".join(f"{each['loc'][-1]}: {each['msg']}" for each in error.errors()[:5])
                return refusal(request, Problem(422, wrong, "Correct what is named, or go back to the page."))
            except Exception as error:  # noqa: BLE001 - whatever it was, people read a page
                log.warning("page_failed", path=request.url.path, exc_info=error)
                return said(request, "The server failed", Problem(500, "Its log says why.", "Tell whoever runs it."))

        return answered


def refusal(request: Request, problem: Problem) -> Response:
    """The page of a problem."""
    if problem.status == HTTPStatus.UNAUTHORIZED and request.method == "GET":
        asked = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        return RedirectResponse(f"{LOGIN}?next={quote(asked, safe='')}", HTTPStatus.SEE_OTHER, HEADERS)
    if problem.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        log.warning("page_failed", path=request.url.path, reason=problem.detail)
    return said(request, TITLES.get(problem.status, problem.status.phrase), problem)


def nothing_yet(request: Request, who: Principal, error: BreadthFlowError) -> HTMLResponse:
    """The page of a store that has nothing to show: what is to be done, and it shows what there is once there is."""
    problem = problem_of(error)
    calm = Problem(HTTPStatus.OK, problem.detail, problem.next)
    return said(request, "Nothing to show yet", calm, who=who, retry=AGAIN_SECONDS)


def said(
    request: Request, title: str, problem: Problem, *, who: Principal | None = None, retry: int | None = None
) -> HTMLResponse:
    """A page with a title that says what is wrong, or missing, and what to do next. retry: in so many seconds."""
    if problem.status == HTTPStatus.SERVICE_UNAVAILABLE:
        retry = RETRY_SECONDS
    return answer(
        "problem.html",
        problem.status,
        {**(problem.headers or {}), **({"Retry-After": str(retry)} if retry else {})},
        frame=frame(request, who),
        title=title,
        detail=problem.detail,
        next=problem.next,
        again=request.url.path if request.method == "GET" else "/",
        may_start=who is not None and who.role is Role.OPERATOR,
        retry=retry,
    )
