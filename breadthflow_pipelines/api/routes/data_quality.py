"""What was refused or is doubted: rows of bars, lines of published counts."""

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from breadthflow_pipelines.api import asked
from breadthflow_pipelines.api.access import Viewer
from breadthflow_pipelines.api.answers import page_of
from breadthflow_pipelines.api.openapi import rows_of
from breadthflow_pipelines.api.service import Serving
from breadthflow_pipelines.api.shapes import REJECTED, REJECTED_COUNT
from breadthflow_pipelines.warehouse import page_listing

router = APIRouter(prefix="/v1/rejected", tags=["data quality"])


@router.get("", **rows_of(REJECTED))
def rejected(request: Request, service: Serving, _who: Viewer, given: Annotated[asked.Rejected, Query()]) -> Response:
    """Rows that broke the contract of bars, and bars that rules flag, with the reasons.

    Prices, volumes and evidence are null where the deployment does not show readers what vendors delivered.
    """
    return page_of(
        request,
        service,
        REJECTED,
        page_listing.REJECTED_KEY,
        given,
        lambda columns, after: page_listing.rejected_page(
            service.store,
            columns,
            given.start,
            given.end,
            given.as_of,
            universe=given.universe,
            source=given.source,
            symbol=given.symbol,
            reason=given.reason,
            status=given.status,
            with_values=service.settings.reader_sees_bars,
            after=after,
            most=given.limit,
        ),
    )


@router.get("/counts", **rows_of(REJECTED_COUNT))
def rejected_counts(
    request: Request, service: Serving, _who: Viewer, given: Annotated[asked.RejectedCounts, Query()]
) -> Response:
    """Lines of the counts that exchanges publish which broke their contract."""
    return page_of(
        request,
        service,
        REJECTED_COUNT,
        page_listing.REJECTED_COUNTS,
        given,
        lambda columns, after: page_listing.rejected_counts_page(
            service.store,
            columns,
            given.start,
            given.end,
            given.as_of,
            exchange=given.exchange,
            reason=given.reason,
            after=after,
            most=given.limit,
        ),
    )
