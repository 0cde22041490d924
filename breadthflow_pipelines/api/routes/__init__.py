"""The routes of the API and of the page: one module for each kind."""

from breadthflow_pipelines.api.routes import (
    breadth,
    catalogue,
    data_quality,
    documentation,
    evaluation,
    events,
    logging_in,
    page,
    run_pages,
    runs,
    status,
)

ROUTERS = (
    *(catalogue.router, breadth.router, evaluation.router, data_quality.router, status.router),
    *(runs.router, events.router, documentation.router),
    *(page.router, run_pages.router, logging_in.router),
)
