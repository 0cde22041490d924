"""What assets and checks are handed: settings, calendar, source and store, each made when first used."""

from functools import cached_property

import dagster as dg

from breadthflow_pipelines.sessions import ExchangeCalendar, exchange_calendar
from breadthflow_pipelines.settings import Settings, get_settings
from breadthflow_pipelines.sources.protocol import Source
from breadthflow_pipelines.sources.registry import configured_source
from breadthflow_pipelines.warehouse.database import Database, open_database


class Market(dg.ConfigurableResource):  # type: ignore[type-arg]
    """The market that this deployment is about, as its environment describes it."""

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
