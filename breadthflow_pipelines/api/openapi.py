"""The OpenAPI document: what all routes have in common. What each has of its own stands with it."""

from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from breadthflow_pipelines.api.answers import PROGRAM, Media
from breadthflow_pipelines.api.problems import MEDIA_TYPE, ProblemDetails
from breadthflow_pipelines.api.shapes import Shape

Responses = dict[int | str, dict[str, Any]]

_ABOUT = """\
Market breadth of point-in-time universes, from counts to signals, what became of them, and the data's faults.

**Access.** Send `Authorization: Bearer TOKEN`; `breadthflow token create NAME` makes one. Viewers read, operators also
start and end runs.

**Rows.** `Accept` chooses JSON, CSV or an Arrow stream. Lists come in pages: send `next` as `cursor` until it is null.
Whoever reads all pages gets every row that was there all the time, and none twice, whatever a run writes meanwhile.
What is not known is null. A row whose companies are invented says `synthetic: true`.

**Moments.** `as_of` asks what a list said then. Breadth and signals keep their history. Of members' signals, outcomes,
records and backtests only the newest rows are kept: a moment since their last change is answered, an earlier one is
refused, and the refusal says what to ask instead.

**Dates.** Every answer has an `ETag`, which changes when the store does; send it as `If-None-Match`, and the answer is
304 as long as nothing changed.

**Refusals** are problem+json (RFC 9457) and say in `next` what to do.
"""
TAGS = [
    {"name": "catalogue", "description": "What there is to ask for."},
    {"name": "breadth", "description": "Counts, indicators, and the signals that they give."},
    {"name": "evaluation", "description": "What became of signals, held against chance."},
    {"name": "runs", "description": "Runs of the pipeline: started, watched, ended."},
    {"name": "events", "description": "What happens, while it happens."},
    {"name": "data quality", "description": "What is missing, refused or doubted, and how far the store has come."},
]
_PROBLEMS: Mapping[int, str] = {
    400: "The request asks for what is not there; the detail says what is.",
    401: "The request has no valid token.",
    403: "The token's role does not allow this.",
    404: "There is nothing of that id.",
    406: "The client accepts none of the media types that there are.",
    409: "It is not possible as things are now; the detail says what stands against it.",
    413: "The body is too large.",
    422: "A parameter is not what it has to be.",
    429: "Too many requests; Retry-After says when to try again.",
    502: "Dagster refuses; the detail says why.",
    503: "The database or Dagster cannot be reached, or has too much to do; Retry-After says when to try again.",
}
_OF_SOME = (404, 409, 502)  # of routes that name them
_REFERENCE = {"$ref": "#/components/schemas/ProblemDetails"}


def problems(*statuses: int) -> Responses:
    """The refusals of a route: those with these statuses, or all that every list of rows has."""
    return {
        status: {"description": about, "content": {MEDIA_TYPE: {"schema": _REFERENCE}}}
        for status, about in _PROBLEMS.items()
        if (status in statuses if statuses else status not in _OF_SOME)
    }


def rows_of(shape: Shape) -> dict[str, Any]:
    """What the decorator of a route that gives pages of rows is told."""
    files: dict[str, Any] = {
        Media.CSV: {"schema": {"type": "string", "description": "A header and a line for each row; null is empty."}},
        Media.ARROW: {"schema": {"type": "string", "format": "binary", "description": "An Arrow IPC stream."}},
    }
    link = {"description": "The next page, as rel=next; absent on the last one.", "schema": {"type": "string"}}
    found = {
        "description": "Rows.",
        "content": files,
        "headers": {"Link": link, **_DATED},
    }
    return {"response_model": shape.page, "responses": {200: found, 304: UNCHANGED, **problems()}}


def document_of(model: Any, *statuses: int) -> dict[str, Any]:
    """What the decorator of a route that gives one object or a whole list is told. statuses: more refusals."""
    found = {"description": "What was asked for.", "headers": _DATED}
    usual = problems(401, 406, 413, 422, 429, 503, *statuses)
    return {"response_model": model, "responses": {200: found, 304: UNCHANGED, **usual}}


_DATED = {"ETag": {"description": "The date of the answer.", "schema": {"type": "string"}}}
UNCHANGED: dict[str, Any] = {"description": "Nothing changed since the answer of If-None-Match.", "headers": _DATED}


def _drop_nulls(paths: dict[str, Any]) -> None:
    """A parameter is left out and never null."""
    for operation in (each for methods in paths.values() for each in methods.values()):
        for parameter in operation.get("parameters", ()):
            schema = parameter["schema"]
            kinds = [kind for kind in schema.pop("anyOf", ()) if kind != {"type": "null"}]
            schema.update(*kinds)


def describe(app: FastAPI) -> None:
    """Have the app give the whole document, with what FastAPI does not know by itself."""

    def document() -> dict[str, Any]:
        if app.openapi_schema is None:
            made = get_openapi(title="BreadthFlow", version=PROGRAM, description=_ABOUT, routes=app.routes, tags=TAGS)
            _drop_nulls(made["paths"])
            schemas = made.setdefault("components", {}).setdefault("schemas", {})
            schemas["ProblemDetails"] = ProblemDetails.model_json_schema()
            app.openapi_schema = made
        return app.openapi_schema

    app.openapi = document  # type: ignore[method-assign]
