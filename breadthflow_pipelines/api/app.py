"""The application: what every request passes, which routes there are, who is let in. Handlers are in routes/."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware
from starlette_compress import CompressMiddleware, add_compress_type

from breadthflow_pipelines.api.access import WayIn
from breadthflow_pipelines.api.answers import Media
from breadthflow_pipelines.api.limits import Limits
from breadthflow_pipelines.api.openapi import describe
from breadthflow_pipelines.api.passage import LimitedBody, SecurityHeaders
from breadthflow_pipelines.api.problems import answer_problems
from breadthflow_pipelines.api.routes import ROUTERS
from breadthflow_pipelines.api.service import Service
from breadthflow_pipelines.api.sessions import session_principal
from breadthflow_pipelines.api.tokens import token_principal
from breadthflow_pipelines.errors import BreadthFlowError
from breadthflow_pipelines.warehouse.kept_connections import connections_kept

WAYS_IN: tuple[WayIn, ...] = (token_principal, session_principal)


@asynccontextmanager
async def _running(app: FastAPI) -> AsyncIterator[None]:
    """Keep connections while it runs; meanwhile read the calendar, which takes seconds, for whoever asks first."""
    service: Service = app.state.service
    with connections_kept():
        reading = asyncio.create_task(asyncio.to_thread(service.calendar))
        yield
        with suppress(BreadthFlowError):
            await reading


def create_app(service: Service) -> FastAPI:
    """The API and the page over a service."""
    app = _routed()
    app.state.service, app.state.ways_in = service, WAYS_IN
    app.state.limits = Limits(service.settings.api_rate)
    # The last one is the first that a request passes.
    app.add_middleware(LimitedBody)
    for media in (Media.CSV, Media.ARROW):
        add_compress_type(media)
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


def openapi_document() -> dict[str, Any]:
    """The OpenAPI document, for which no store is needed."""
    return _routed().openapi()


def _routed() -> FastAPI:
    """All routes, and how their refusals are answered."""
    app = FastAPI(
        title="BreadthFlow",
        docs_url=None,  # FastAPI's own pages fetch their scripts from elsewhere
        redoc_url=None,
        lifespan=_running,
        generate_unique_id_function=lambda route: route.name,
    )
    answer_problems(app)
    describe(app)
    for router in ROUTERS:
        app.include_router(router)
    # Those of the app itself stand in each version of FastAPI otherwise.
    app.state.routes = [route for router in ROUTERS for route in router.routes]
    return app
