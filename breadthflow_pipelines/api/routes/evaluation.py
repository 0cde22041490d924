"""What became of signals: outcomes, records held against chance, backtests."""

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from breadthflow_pipelines.api import asked
from breadthflow_pipelines.api.access import Viewer
from breadthflow_pipelines.api.answers import page_of
from breadthflow_pipelines.api.openapi import rows_of
from breadthflow_pipelines.api.service import Service, Serving
from breadthflow_pipelines.api.shapes import ACCURACY, BACKTEST, OUTCOME, Shape
from breadthflow_pipelines.signals.asked import check_rule
from breadthflow_pipelines.warehouse import page_listing
from breadthflow_pipelines.warehouse.paging import Listing

router = APIRouter(prefix="/v1", tags=["evaluation"])


@router.get("/outcomes", **rows_of(OUTCOME))
def outcomes(request: Request, service: Serving, _who: Viewer, given: Annotated[asked.Outcomes, Query()]) -> Response:
    """What followed each signal at five horizons, entered at the close of the session after it."""
    return _page(request, service, OUTCOME, page_listing.OUTCOMES, given, "segment", "action", "horizon")


@router.get("/accuracy", **rows_of(ACCURACY))
def accuracy(request: Request, service: Serving, _who: Viewer, given: Annotated[asked.Accuracy, Query()]) -> Response:
    """The record of each rule held against chance. A hit rate means nothing without the base rate and the verdict."""
    return _page(request, service, ACCURACY, page_listing.ACCURACY, given, "action", "horizon")


@router.get("/backtests", **rows_of(BACKTEST))
def backtests(request: Request, service: Serving, _who: Viewer, given: Annotated[asked.Backtests, Query()]) -> Response:
    """What following each rule was worth after costs, beside holding and beside random entries."""
    return _page(request, service, BACKTEST, page_listing.BACKTESTS, given)


def _page(
    request: Request,
    service: Service,
    shape: Shape,
    listing: Listing,
    given: asked.Outcomes | asked.Accuracy | asked.Backtests,
    *filters: str,
) -> Response:
    equal = {name: getattr(given, name) for name in ("universe", "rule", *filters)}
    check_rule(equal["rule"])
    first, last = getattr(given, "start", None), getattr(given, "end", None)
    return page_of(
        request,
        service,
        shape,
        listing,
        given,
        lambda columns, after: page_listing.plain_page(
            service.store, listing, columns, equal, first, last, given.as_of, after=after, most=given.limit
        ),
    )
