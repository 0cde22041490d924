"""The application: what every request passes, which routes there are, who is let in. Handlers are in routes/."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from starlette_compress import CompressMiddleware

from breadthflow_pipelines.api.access import WayIn
from breadthflow_pipelines.api.problems import answer_problems
from breadthflow_pipelines.api.routes import ROUTERS
from breadthflow_pipelines.api.service import Service
from breadthflow_pipelines.warehouse.kept_connections import connections_kept

WAYS_IN: tuple[WayIn, ...] = ()


@asynccontextmanager
async def _connections_kept(_app: FastAPI) -> AsyncIterator[None]:
    with connections_kept():
        yield


def create_app(service: Service) -> FastAPI:
    """The API and the page over a service."""
    app = FastAPI(title="BreadthFlow", docs_url=None, redoc_url=None, lifespan=_connections_kept)
    app.state.service, app.state.ways_in = service, WAYS_IN
    answer_problems(app)
    app.add_middleware(CompressMiddleware, brotli=False)
    for router in ROUTERS:
        app.include_router(router)
    return app
