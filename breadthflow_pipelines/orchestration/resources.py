"""What assets and checks are handed: settings, calendar, source and store, each made when first used."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property

import dagster as dg
from structlog.contextvars import bound_contextvars

from breadthflow_pipelines.orchestration.partitions import span_of
from breadthflow_pipelines.sessions import ExchangeCalendar, exchange_calendar
from breadthflow_pipelines.settings import Settings, get_settings
from breadthflow_pipelines.sources.protocol import Source
from breadthflow_pipelines.sources.registry import configured_source
from breadthflow_pipelines.warehouse.computed_months import Counted
from breadthflow_pipelines.warehouse.database import Database, open_database
from breadthflow_pipelines.warehouse.kept_connections import connections_kept


class Market(dg.ConfigurableResource):  # type: ignore[type-arg]
    """The market that this deployment is about, as its environment describes it."""

    @contextmanager
    def yield_for_execution(self, context: dg.InitResourceContext) -> Iterator["Market"]:
        """Keep connections to the store from step to step, until the run, or the process of one step, ends.

        Whatever is logged meanwhile says of which run and session it is.
        """
        about = {}
        if context.run is not None:
            through = span_of(context.run.tags, self.settings, self.calendar).through
            about = {"run_id": context.run.run_id, "session": str(through)}
        self.counted.clear()
        with connections_kept(), bound_contextvars(**about):
            yield self

    @cached_property
    def settings(self) -> Settings:
        return get_settings()

    @cached_property
    def calendar(self) -> ExchangeCalendar:
        return exchange_calendar(self.settings.calendar, self.settings.calendar_changes)

    @cached_property
    def source(self) -> Source:
        return configured_source(self.settings, self.calendar)

    @cached_property
    def store(self) -> Database:
        return open_database(self.settings)

    @cached_property
    def counted(self) -> Counted:
        """What was counted of large tables in this run."""
        return {}
