"""Breadth, the signals that it gives, those of members, and why one fired."""

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request, Response
from pydantic import BaseModel, Field

from breadthflow_pipelines.api import asked
from breadthflow_pipelines.api.access import Viewer
from breadthflow_pipelines.api.answers import document, page_of
from breadthflow_pipelines.api.explaining import explained
from breadthflow_pipelines.api.openapi import document_of, rows_of
from breadthflow_pipelines.api.problems import Problem
from breadthflow_pipelines.api.service import Serving
from breadthflow_pipelines.api.shapes import BREADTH, SIGNAL, SYMBOL
from breadthflow_pipelines.errors import RequestError
from breadthflow_pipelines.signals.asked import check_rule
from breadthflow_pipelines.warehouse import page_listing
from breadthflow_pipelines.warehouse.breadth_listing import breadth_columns

router = APIRouter(prefix="/v1", tags=["breadth"])


class Explained(BaseModel):
    """A signal and why it fired."""

    signal: SIGNAL.row | SYMBOL.row = Field(description="The signal: of a universe, or of a member.")  # type: ignore[name-defined]
    title: str = Field(
        description="Action, market and session.", examples=["BUY sp500 ALL at the close of 2024-03-01 (final)"]
    )
    record: str = Field(
        description="What the record of its rule was then, beside chance; or why there is none.",
        examples=["58% of 31, base 63%: not distinguishable (63 sessions, as known then)"],
    )
    parts: list[str | list[dict[str, Any]]] = Field(
        description="The explanation, in order: lines of text, and tables as rows with the same columns.",
        examples=[["Value        0.62 against 0.615"]],
    )
    sessions: list[dict[str, Any]] = Field(
        description="Counts and indicators of the sessions that it rests on, as /v1/breadth has them.",
        examples=[[{"session": "2024-03-01", "advances": 402, "zweig_ema": 0.62}]],
    )


@router.get("/breadth", **rows_of(BREADTH))
def breadth(request: Request, service: Serving, _who: Viewer, given: Annotated[asked.Breadth, Query()]) -> Response:
    """Counts and indicators of a universe by segment and session, as they are now or were at a moment."""
    which = (given.universe, given.segment, given.start, given.end, given.as_of)
    return page_of(
        request,
        service,
        BREADTH,
        page_listing.BREADTH,
        given,
        lambda columns, after: page_listing.breadth_page(service.store, columns, *which, after=after, most=given.limit),
        stored=breadth_columns,
    )


@router.get("/signals", **rows_of(SIGNAL))
def signals(request: Request, service: Serving, _who: Viewer, given: Annotated[asked.Signals, Query()]) -> Response:
    """Signals of universes and their sectors, as they are now or were at a moment.

    One is known at its session's close, to be acted on from the next.
    """
    check_rule(given.rule)
    equal = {name: getattr(given, name) for name in ("universe", "segment", "rule", "action", "state")}
    return page_of(
        request,
        service,
        SIGNAL,
        page_listing.SIGNALS,
        given,
        lambda columns, after: page_listing.signals_page(
            service.store, columns, equal, given.start, given.end, given.as_of, after=after, most=given.limit
        ),
    )


@router.get("/signals/{signal_id:path}", **document_of(Explained, 400, 404))
def signal(
    request: Request,
    service: Serving,
    _who: Viewer,
    signal_id: Annotated[
        str,
        Path(
            min_length=1,
            max_length=200,
            pattern=r"^[^\x00-\x1f\x7f]+$",
            description="As /v1/signals or /v1/symbols gives it.",
            examples=["0123456789abcdef", "sp500:AAPL:2024-03-01"],
        ),
    ],
) -> Response:
    """A signal and why it fired: its rule, published source, levels, and the counts behind it."""

    def content() -> dict[str, Any]:
        try:
            return explained(service, signal_id)
        except RequestError as error:
            raise Problem(404, str(error), "Take signal_id from GET /v1/signals or GET /v1/symbols.") from None

    return document(request, service, content)


@router.get("/symbols", **rows_of(SYMBOL))
def symbols(request: Request, service: Serving, _who: Viewer, given: Annotated[asked.Symbols, Query()]) -> Response:
    """What the technical rules say of each member of a universe; of the last session where no days are named."""
    which = (given.universe, given.segment, given.start, given.end, given.symbol, given.action, given.as_of)
    return page_of(
        request,
        service,
        SYMBOL,
        page_listing.SYMBOLS,
        given,
        lambda columns, after: page_listing.symbols_page(service.store, columns, *which, after=after, most=given.limit),
        stored=page_listing.symbol_columns,
    )
