"""What there is to ask for: universes, indicators, rules."""

from fastapi import APIRouter

from breadthflow_pipelines.api.access import Viewer
from breadthflow_pipelines.api.service import Serving
from breadthflow_pipelines.warehouse.database import Row
from breadthflow_pipelines.warehouse.overview import overview

router = APIRouter(prefix="/v1", tags=["catalogue"])


@router.get("/universes")
def universes(service: Serving, _who: Viewer) -> list[Row]:
    """The universes that have breadth."""
    return overview(service.store)["universes"]
