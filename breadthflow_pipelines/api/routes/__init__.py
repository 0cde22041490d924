"""The routes of the API and of the page: one module for each kind."""

from breadthflow_pipelines.api.routes import catalogue, events, logging_in, page

ROUTERS = (catalogue.router, events.router, page.router, logging_in.router)
