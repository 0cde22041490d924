"""The application: what every request passes, which routes there are, who is let in. Handlers are in routes/."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware
from starlette_compress import CompressMiddleware, add_compress_type

from breadthflow_pipelines.api.access import WayIn
from breadthflow_pipelines.api.limits import Limits
from breadthflow_pipelines.api.passage import LimitedBody, SecurityHeaders
from breadthflow_pipelines.api.problems import answer_problems
from breadthflow_pipelines.api.routes import ROUTERS
from breadthflow_pipelines.api.service import Service
from breadthflow_pipelines.api.tokens import token_principal
from breadthflow_pipelines.warehouse.kept_connections import connections_kept

WAYS_IN: tuple[WayIn, ...] = (token_principal,)


@asynccontextmanager
async def _connections_kept(_app: FastAPI) -> AsyncIterator[None]:
    with connections_kept():
        yield


def create_app(service: Service) -> FastAPI:
    """The API and the page over a service."""
    app = FastAPI(title="BreadthFlow", docs_url=None, redoc_url=None, lifespan=_connections_kept)
    app.state.service, app.state.ways_in = service, WAYS_IN
    app.state.limits = Limits(service.settings.api_rate)
    answer_problems(app)
    for router in ROUTERS:
        app.include_router(router)
    # The last one is the first that a request passes.
    app.add_middleware(LimitedBody)
    add_compress_type("text/csv")
    app.add_middleware(CompressMiddleware, brotli=False)
    if service.settings.api_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=service.settings.api_origins,
            allow_methods=["GET"],
            allow_headers=["Authorization", "If-None-Match"],
            expose_headers=["ETag", "Link", "Retry-After"],
        )
    app.add_middleware(SecurityHeaders)
    return app
