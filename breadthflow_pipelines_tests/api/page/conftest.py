"""Stores that pages are made from, a browser's side of the page, and a count of what the store is asked."""

import datetime as dt
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from html.parser import HTMLParser
from typing import Any

import numpy as np
import polars as pl
import psycopg2
import pytest
from pydantic import SecretStr
from starlette.testclient import TestClient

from breadthflow_pipelines.api.app import create_app
from breadthflow_pipelines.api.service import Service
from breadthflow_pipelines.evaluation.backtests import backtests
from breadthflow_pipelines.indicators.breadth_catalogue import breadth_indicators
from breadthflow_pipelines.indicators.conventions import CONVENTION
from breadthflow_pipelines.orchestration.catalogue_columns import BREADTH_COLUMNS
from breadthflow_pipelines.settings import Settings
from breadthflow_pipelines.signals.market import market_signals
from breadthflow_pipelines.warehouse import breadth_store, database, evaluation_store, verdicts
from breadthflow_pipelines.warehouse.bounded import bounded, reader_of
from breadthflow_pipelines.warehouse.database import Database
from breadthflow_pipelines.warehouse.embedded import EmbeddedServer
from breadthflow_pipelines_tests.reports.test_charts import counts
from breadthflow_pipelines_tests.warehouse.test_quality_listing import ROWS

HOSTILE = "<script>alert('x')</script>\"'&<img src=x onerror=alert(1)>"
UNIVERSES = ("small", HOSTILE)
SESSIONS = 700


def fill(store: Database, universes: tuple[str, ...] = UNIVERSES, sessions: int = SESSIONS) -> None:
    """Give a store breadth and signals of these universes: 300 invented members, two sectors of their counts."""
    segments = {"ALL": 1, "Energy": 3, HOSTILE: 2}
    rows = pl.concat(
        counts(universe, sessions).with_columns(segment=pl.lit(segment), convention=pl.lit(CONVENTION, pl.Int32))
        for universe in universes
        for segment in segments
    )
    first, last = rows["session"].min(), rows["session"].max()
    breadth_store.record_counts(store, rows, first, last)  # type: ignore[arg-type]
    known = breadth_store.all_counts(store)
    indicators = breadth_indicators(known).with_columns(state=pl.lit("final"))
    breadth_store.record_indicators(store, indicators, BREADTH_COLUMNS)
    breadth_store.record_signals(store, market_signals(known, indicators))


def follow(store: Database, universe: str) -> None:
    """Give a store backtests of a universe's signals, in members that move by chance."""
    sessions = breadth_store.whole_indicators(store).filter(universe=universe)["session"]
    walk = np.exp(np.cumsum(np.random.default_rng(3).normal(0.0004, 0.01, sessions.len())))
    levels = pl.DataFrame({"session": sessions, "level": walk}).with_columns(
        universe=pl.lit(universe), basis=pl.lit("price"), held=pl.lit("members in equal parts")
    )
    signals = evaluation_store.market_signals(store, "ALL").filter(universe=universe)
    kept = backtests(signals, levels, levels.clear())
    evaluation_store.record_backtests(store, kept.figures, kept.trades, kept.years)


def spoil(store: Database) -> None:
    """Give a store what can be wrong: rows that were turned away or flagged, a check that fails, what it holds."""
    month = {"2023-11": verdicts.Fault(1, f"2023-11-30 has no bars {HOSTILE}", dt.date(2023, 11, 30))}
    with store.connect() as connection, connection.cursor() as cursor:
        cursor.execute(ROWS.replace("2024-03", "2023-11"))
        cursor.execute(
            "INSERT INTO holds (gate, universe, synthetic, session, missing, said, run_id) "
            "VALUES ('bars_complete', '*', true, '2023-11-30', 1, 'no bars', 'r')"
        )
    verdicts.record(store, "bars", "bars_complete", ["2023-11"], month, run_id="r")


@pytest.fixture(scope="session")
def filled(server: EmbeddedServer, fresh_database: Callable[[str], str], _template: str) -> Database:
    """A store with two universes, one with a name that is markup; for tests that only read."""
    store = Database(fresh_database(_template), server)
    fill(store)
    follow(store, "small")
    return store


def service_over(store: Database, *, opened: bool = True) -> Service:
    """The service over a test's store. opened: whether it asks for no token."""
    return Service(
        Settings(database_url=SecretStr(store.url), dagster_database_url=SecretStr(store.url)),
        store=reader_of(store.url),
        dagster=reader_of(store.url),
        ledger=bounded(store.url, 2),
        webserver="http://127.0.0.1:9",  # nobody listens
        open=opened,
    )


def browser_of(service: Service) -> TestClient:
    """What asks as a browser of this machine does."""
    return TestClient(create_app(service), base_url="http://127.0.0.1:8000", follow_redirects=False)


@pytest.fixture
def browser(filled: Database) -> Iterator[TestClient]:
    """A browser before a page that asks for no token."""
    with browser_of(service_over(filled)) as client:
        yield client


@contextmanager
def counted(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The statements that are sent to the store meanwhile."""
    asked: list[str] = []

    class Counting(psycopg2.extensions.connection):
        def cursor(self, *args: Any, **options: Any) -> Any:
            kind = options.pop("cursor_factory", None) or psycopg2.extensions.cursor

            class Noting(kind):  # type: ignore[misc, valid-type]
                def execute(self, query: Any, values: Any = None) -> Any:
                    asked.append(re.sub(r"\s+", " ", str(query)).strip())
                    return super().execute(query, values)

            return super().cursor(*args, cursor_factory=Noting, **options)

    plain = database.connect
    monkeypatch.setattr(database, "connect", lambda url, **options: plain(url, connection_factory=Counting, **options))
    yield asked
    monkeypatch.undo()


class Page(HTMLParser):
    """A page as a browser reads it: its tags with their attributes, and its texts."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    def links(self) -> list[str]:
        """Where its links lead."""
        return [attributes["href"] or "" for tag, attributes in self.tags if tag == "a" and "href" in attributes]

    @property
    def said(self) -> str:
        """All of its text."""
        return re.sub(r"\s+", " ", " ".join(self.texts))
