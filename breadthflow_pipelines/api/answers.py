"""Answers: rows as JSON, CSV or Arrow, whichever the client accepts; dated, so that it need not fetch them again.

An answer is complete before it is sent: while a slow client reads it, no connection to the database waits.
"""

import io
import json
from collections.abc import Callable, Collection, Mapping, Sequence
from enum import StrEnum
from importlib.metadata import version
from typing import Any
from urllib.parse import urlencode

from fastapi import Request, Response
from pydantic_core import to_json

from breadthflow_pipelines.api import cursors
from breadthflow_pipelines.api.asked import Paged
from breadthflow_pipelines.api.problems import Problem
from breadthflow_pipelines.api.service import Service
from breadthflow_pipelines.api.shapes import Shape
from breadthflow_pipelines.errors import NEXT_LINE, RequestError
from breadthflow_pipelines.reports.tables import write_csv
from breadthflow_pipelines.spelling import did_you_mean
from breadthflow_pipelines.warehouse.change_listing import state_of
from breadthflow_pipelines.warehouse.database import Database, Row
from breadthflow_pipelines.warehouse.paging import Listing, Page

PROGRAM = version("breadthflow")
_HEADERS = {"Cache-Control": "private, no-cache", "Vary": "Accept, Authorization, Cookie"}

Read = Callable[[Sequence[str], Sequence[Any] | None], Page]


class Media(StrEnum):
    """How rows are written; the first one where a client takes any."""

    JSON = "application/json"
    CSV = "text/csv"
    ARROW = "application/vnd.apache.arrow.stream"


def page_of(
    request: Request,
    service: Service,
    shape: Shape,
    listing: Listing | Mapping[str, type],
    asked: Paged,
    read: Read,
    *,
    stored: Callable[[Database], Collection[str]] | None = None,
) -> Response:
    """A page of rows. read: gives one with these columns, behind a key. stored: which catalogued fields are there.

    Raises:
        Problem: 400, 406: the cursor, a column or the media type cannot be used.
    """
    media = accepted(request, tuple(Media))
    filters = {"path": request.url.path, **asked.filters}
    kinds = listing.key if isinstance(listing, Listing) else listing
    after = None if asked.cursor is None else cursors.read(asked.cursor, filters, tuple(kinds.values()))
    tag = _tag(service, media)
    if _has(request, tag):
        return Response(status_code=304, headers={"ETag": tag, **_HEADERS})
    names = _chosen(shape, asked.columns, service.store, stored)
    found = read([name for name in names if name not in ADDED], after)
    following = None if found.next is None else cursors.written(found.next, filters)
    headers = {"ETag": tag, **_HEADERS}
    if following is not None:
        query = urlencode({**dict(request.query_params), "cursor": following})
        headers["Link"] = f'<{request.url.path}?{query}>; rel="next"'
    return Response(_body(media, shape, names, found.rows, following), media_type=media, headers=headers)


ADDED = ("synthetic",)  # what a listing says of each row by itself


def document(request: Request, service: Service, content: Callable[[], Any]) -> Response:
    """An answer that is one object or a whole list, as JSON.

    Raises:
        Problem: 406, the client does not take JSON.
    """
    media = accepted(request, (Media.JSON,))
    tag = _tag(service, media)
    if _has(request, tag):
        return Response(status_code=304, headers={"ETag": tag, **_HEADERS})
    body = to_json(content(), inf_nan_mode="null")
    return Response(body, media_type=media, headers={"ETag": tag, **_HEADERS})


def accepted(request: Request, offered: Sequence[Media]) -> Media:
    """The media type that the client likes best.

    Raises:
        Problem: 406, it takes none of them.
    """
    header = request.headers.get("accept", "*/*")
    wanted = [_preference(part) for part in header.split(",") if part.strip()] or [("*/*", 1.0)]

    def liking(media: Media) -> float:
        patterns = (media.value, f"{media.value.partition('/')[0]}/*", "*/*")
        return next((weight for pattern in patterns for name, weight in wanted if name == pattern), 0.0)

    best = max(offered, key=liking)
    if liking(best) <= 0:
        raise Problem(
            406,
            f"This cannot be given as {header[:100]}.",
            f"Send Accept with one of: {', '.join(offered)}.",
        )
    return best


def _preference(part: str) -> tuple[str, float]:
    name, *parameters = part.split(";")
    weights = [value for key, _, value in (each.strip().partition("=") for each in parameters) if key == "q"]
    try:
        weight = float(weights[0]) if weights else 1.0
    except ValueError:
        weight = 0.0
    return name.strip().lower(), weight


def _tag(service: Service, media: Media) -> str:
    """What dates an answer: the state of the store, this program, the way in which rows are written."""
    return f'W/"{state_of(service.store)}-{PROGRAM}-{media.name.lower()}"'


def _has(request: Request, tag: str) -> bool:
    """Whether the client has the answer of that date."""
    known = request.headers.get("if-none-match", "")
    return known.strip() == "*" or tag.removeprefix("W/") in {
        each.strip().removeprefix("W/") for each in known.split(",")
    }


def _chosen(
    shape: Shape, columns: str | None, store: Database, stored: Callable[[Database], Collection[str]] | None
) -> list[str]:
    """The fields that are asked for, those of the key among them, in the order of the shape."""
    there = set(shape.names) - shape.catalogued
    if stored is not None:
        there |= shape.catalogued & {*stored(store)}
    if columns is None:
        return [name for name in shape.names if name in there]
    wanted = set(columns.split(","))
    for name in sorted(wanted - there):
        if name in shape.catalogued:
            raise RequestError(f"{name} is not computed in this store yet.{NEXT_LINE}breadthflow run")
        hint = did_you_mean(name, shape.names)
        raise RequestError(
            f"There is no column {name[:100]}.{hint}{NEXT_LINE}Leave columns out to see which there are."
        )
    return [name for name in shape.names if name in wanted or name in shape.key]


def _body(media: Media, shape: Shape, names: Sequence[str], rows: Sequence[Row], following: str | None) -> bytes:
    if media is Media.JSON:
        shown = [{name: row[name] for name in names} for row in rows]
        return to_json({"rows": shown, "next": following}, inf_nan_mode="null")
    if media is Media.CSV:
        text = io.StringIO(newline="")
        write_csv([_flat(row) for row in rows], names, text)
        return text.getvalue().encode()
    return _arrow(shape, names, rows)


def _arrow(shape: Shape, names: Sequence[str], rows: Sequence[Row]) -> bytes:
    import pyarrow as pa

    schema = shape.arrow(names)
    flat = [_flat(row) for row in rows]
    columns = [pa.array([row[name] for row in flat], type=schema.field(name).type) for name in names]
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, schema) as stream:
        stream.write_table(pa.Table.from_arrays(columns, schema=schema))
    body: bytes = sink.getvalue().to_pybytes()
    return body


def _flat(row: Row) -> Row:
    """A row whose objects are text, as JSON."""
    return {name: json.dumps(value) if isinstance(value, dict) else value for name, value in row.items()}
