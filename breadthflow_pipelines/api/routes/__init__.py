"""The routes of the API and of the page: one module for each kind."""

from breadthflow_pipelines.api.routes import catalogue, events, runs

ROUTERS = (catalogue.router, events.router, runs.router)
