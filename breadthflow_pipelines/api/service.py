"""What every handler works with: the store as readers see it, the ledger of tokens, the address of the webserver."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from fastapi import Depends, Request

from breadthflow_pipelines.settings import Settings
from breadthflow_pipelines.warehouse.bounded import bounded, read_only, reader_of
from breadthflow_pipelines.warehouse.database import Database, dagster_url, open_database

if TYPE_CHECKING:
    from breadthflow_pipelines.sessions import ExchangeCalendar

LEDGER_CONNECTIONS = 4


@dataclass(frozen=True)
class Service:
    """One API over one store.

    store: the market's database as the role of readers sees it. dagster: Dagster's own, read-only. ledger: the market's
    again, with what this login may write: tokens and the audit. webserver: the address of Dagster's webserver, without
    a slash at its end. open: whether whoever reaches the API may do everything, without a token.
    """

    settings: Settings
    store: Database
    dagster: Database
    ledger: Database
    webserver: str
    open: bool = False

    def calendar(self) -> "ExchangeCalendar":
        """The exchange's calendar; reading it takes seconds, once."""
        from breadthflow_pipelines.sessions import exchange_calendar

        return exchange_calendar(self.settings.calendar, self.settings.calendar_changes)


def open_service(settings: Settings, *, without_tokens: bool = False) -> Service:
    """The service over the store that the settings mean.

    Raises:
        RequestError: the store is not of this program's version, or this login may not act as its readers do.
        DatabaseError: it cannot be reached.
    """
    url = open_database(settings).url
    return Service(
        settings,
        store=reader_of(url),
        dagster=read_only(dagster_url(settings)),
        ledger=bounded(url, LEDGER_CONNECTIONS),
        webserver=settings.webserver_url.rstrip("/"),
        open=without_tokens,
    )


def service_of(request: Request) -> Service:
    """The service that a request came to."""
    service: Service = request.app.state.service
    return service


async def _serving(request: Request) -> Service:
    """The same as a coroutine: FastAPI gives a function that is none to another thread, and waits for it."""
    return service_of(request)


Serving = Annotated[Service, Depends(_serving)]
