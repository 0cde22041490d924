"""A store of each test's own, empty or filled once and copied, and Dagster's instance on it."""

import datetime as dt
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import dagster as dg
import psycopg2
import pytest

from breadthflow_pipelines.model.datasets import MARKET_ASSETS, STORED
from breadthflow_pipelines.orchestration import planning, run_metadata, runs
from breadthflow_pipelines.orchestration.hosting.instance import dagster_instance
from breadthflow_pipelines.orchestration.resources import Market
from breadthflow_pipelines.sessions import ExchangeCalendar
from breadthflow_pipelines.settings import get_settings
from breadthflow_pipelines.warehouse.addresses import database_name
from breadthflow_pipelines.warehouse.database import Database
from breadthflow_pipelines.warehouse.embedded import EmbeddedServer
from breadthflow_pipelines_tests.conftest import administer
from breadthflow_pipelines_tests.inbox import Inbox
from breadthflow_pipelines_tests.orchestration.small_market import FIRST, LAST, Row, SmallMarket

FreshDatabase = Callable[[str], str]
Contents = dict[str, list[tuple[Any, ...]]]

# What is written about a row and not in it: two stores that agree may differ in these.
_PROVENANCE = ("run_id", "ingested_at", "computed_at", "rejected_at", "found_at")
TABLES = (*(name for name in MARKET_ASSETS if name in STORED), "security_symbols", "rejected_bars")


def assert_same(found: Contents, expected: Contents) -> None:
    """Name the first row that differs; pytest's own comparison of thousands of rows takes minutes to find it."""
    for table in TABLES:
        ours, theirs = (sorted(map(repr, contents[table])) for contents in (found, expected))
        differing = [pair for pair in zip(ours, theirs, strict=False) if pair[0] != pair[1]]
        assert (table, differing[:1], len(ours)) == (table, [], len(theirs))


def answer(database: Database, query: str, *values: object) -> list[tuple[Any, ...]]:
    """The answer to a query."""
    with database.connect() as connection, connection.cursor() as cursor:
        cursor.execute(query, values)
        return cursor.fetchall()


def contents_of(database: Database) -> Contents:
    """Every row of every table, without who wrote it when."""
    found = {}
    for table in TABLES:
        query = "SELECT column_name FROM information_schema.columns WHERE table_name = %s ORDER BY ordinal_position"
        columns = [name for (name,) in answer(database, query, table) if name not in _PROVENANCE]
        found[table] = answer(database, f"SELECT {', '.join(columns)} FROM {table} ORDER BY {', '.join(columns)}")
    return found


@dataclass
class Store:
    """A store under test: its files, its database, Dagster's instance on a database of its own."""

    small: SmallMarket
    database: Database
    dagster_url: str
    instance: dg.DagsterInstance

    @property
    def market(self) -> Market:
        """The market as the settings mean it now; nothing read before is remembered."""
        return Market()

    def run(self, first: dt.date = FIRST, last: dt.date = LAST) -> runs.RunReport:
        """What ``breadthflow backfill --from first --to last`` runs."""
        return runs.run_months(self.instance, first, last, last)

    def daily(self, session: dt.date) -> runs.RunReport:
        """What ``breadthflow run`` runs where that session is the last closed one."""
        first = planning.first_day_due(self.instance, self.market, session)
        return runs.run_months(self.instance, first, session, session, all_due=True)

    def check(self, *select: str, suites: bool = False) -> runs.RunReport:
        """What ``breadthflow check`` runs; without suites it is what ``breadthflow check --quick`` runs."""
        return runs.run_checks(self.instance, self.market, select, suites=suites)

    def metadata(self, asset: str, month: str | None = None) -> dict[str, Any]:
        """What an asset's last run came to, or what the newest materialization of a month says of that month."""
        if month is None:
            return dict(run_metadata.latest_metadata(self.instance, asset) or {})
        wanted = dg.AssetRecordsFilter(dg.AssetKey(asset), asset_partitions=[month])
        found = self.instance.fetch_materializations(wanted, limit=1).records[0].asset_materialization
        assert found is not None
        return {name: entry.value for name, entry in found.metadata.items()}

    def rows(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        """The answer to a query."""
        return answer(self.database, query, *values)

    def execute(self, *statements: str) -> int:
        """Change the store behind the pipeline's back; returns how many rows the last statement touched."""
        with self.database.connect() as connection, connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
            return cursor.rowcount

    def contents(self) -> Contents:
        """As contents_of."""
        return contents_of(self.database)


@dataclass(frozen=True)
class Prepared:
    """What a store is copied from: two databases, the market's rows, and its files below the test's directory."""

    database: str
    dagster: str
    rows: dict[str, list[Row]]
    files: dict[Path, bytes]


class Prepare(Protocol):
    """The fixture ``prepared``."""

    def __call__(self, name: str, work: Callable[[Store], None], *, filled: bool = False) -> Store: ...


def ended(store: Store, text: str) -> None:
    """Date all of Dagster's runs back to a moment."""
    moment = dt.datetime.fromisoformat(text).replace(tzinfo=dt.UTC).timestamp()
    with psycopg2.connect(store.dagster_url) as connection, connection.cursor() as cursor:
        cursor.execute("UPDATE runs SET start_time = %s - 60, end_time = %s", (moment, moment))
    connection.close()


@contextmanager
def opened(small: SmallMarket, home: Path, url: str, dagster_url: str) -> Iterator[Store]:
    """The settings of this process, and Dagster's instance, on these databases for the length of the block."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in small.environment().items():
            patch.setenv(name, value)
        patch.setenv("BREADTHFLOW_HOME", str(home))
        patch.setenv("BREADTHFLOW_DATABASE_URL", url)
        patch.setenv("BREADTHFLOW_DAGSTER_DATABASE_URL", dagster_url)
        patch.setenv("DAGSTER_HOME", "")  # the instance names its own; this puts it back afterwards
        get_settings.cache_clear()
        with dagster_instance(get_settings()) as instance:
            yield Store(small, Database(url, None), dagster_url, instance)
    get_settings.cache_clear()


@pytest.fixture(scope="session")
def dagster_template(server: EmbeddedServer, fresh_database: FreshDatabase, tmp_path_factory: Any) -> str:
    """Dagster's database with its tables, made once: making them takes longer than most tests."""
    url, home = fresh_database("template0"), tmp_path_factory.mktemp("dagster-template")
    with opened(SmallMarket(home), home, url, url):
        pass
    return _as_template(server, url)


@pytest.fixture(scope="session")
def _filled_templates(
    server: EmbeddedServer,
    fresh_database: FreshDatabase,
    _template: str,
    dagster_template: str,
    tmp_path_factory: Any,
) -> tuple[str, str, Contents]:
    """The store after one backfill of everything, Dagster's records of it, and what the store holds."""
    home = tmp_path_factory.mktemp("filled-template")
    url, dagster_url = fresh_database(_template), fresh_database(dagster_template)
    with opened(SmallMarket(home), home, url, dagster_url) as store:
        report = store.run()
        assert report.exit_status == 0, report
        contents = store.contents()
    return _as_template(server, url), _as_template(server, dagster_url), contents


@pytest.fixture
def frozen(monkeypatch: pytest.MonkeyPatch) -> Callable[[dt.date], None]:
    """Makes a session the last closed one, as it was on its evening."""
    return lambda day: monkeypatch.setattr(ExchangeCalendar, "last_closed", lambda self, now=None: day)  # noqa: ARG005


@pytest.fixture
def small(tmp_path: Path) -> SmallMarket:
    """The market's files, this test's own."""
    return SmallMarket(tmp_path)


@pytest.fixture
def store(
    server: EmbeddedServer,
    fresh_database: FreshDatabase,
    _template: str,
    dagster_template: str,
    small: SmallMarket,
    tmp_path: Path,
) -> Iterator[Store]:
    """An empty store."""
    urls = [fresh_database(_template), fresh_database(dagster_template)]
    with _dropped(server, *urls), opened(small, tmp_path, *urls) as store:
        yield store


@pytest.fixture
def filled(
    server: EmbeddedServer,
    fresh_database: FreshDatabase,
    _filled_templates: tuple[str, str, Contents],
    small: SmallMarket,
    tmp_path: Path,
) -> Iterator[Store]:
    """A store that holds everything through the market's last session."""
    urls = [fresh_database(template) for template in _filled_templates[:2]]
    with _dropped(server, *urls), opened(small, tmp_path, *urls) as store:
        yield store


@pytest.fixture(scope="session")
def _kept() -> dict[str, Prepared]:
    return {}


@pytest.fixture
def prepared(
    server: EmbeddedServer,
    fresh_database: FreshDatabase,
    _template: str,
    dagster_template: str,
    _filled_templates: tuple[str, str, Contents],
    _kept: dict[str, Prepared],
    small: SmallMarket,
    tmp_path: Path,
) -> Iterator[Prepare]:
    """Gives a store, empty or filled, to which something was done: once for all tests that ask for it by that name."""

    with ExitStack() as stack:

        def prepare(name: str, work: Callable[[Store], None], *, filled: bool = False) -> Store:
            if name not in _kept:
                templates = _filled_templates[:2] if filled else (_template, dagster_template)
                urls = [fresh_database(template) for template in templates]
                with opened(small, tmp_path, *urls) as store:
                    work(store)
                files = {path: path.read_bytes() for path in small.files()}
                _kept[name] = Prepared(
                    *(_as_template(server, url) for url in urls),
                    deepcopy(small.rows),
                    {path.relative_to(tmp_path): content for path, content in files.items()},
                )
            kept = _kept[name]
            small.rows = deepcopy(kept.rows)
            for path in small.files():
                path.unlink()
            for place, content in kept.files.items():
                (tmp_path / place).write_bytes(content)
            urls = [fresh_database(template) for template in (kept.database, kept.dagster)]
            stack.enter_context(_dropped(server, *urls))
            return stack.enter_context(opened(small, tmp_path, *urls))

        yield prepare


@pytest.fixture
def one_shot(_filled_templates: tuple[str, str, Contents]) -> Contents:
    """What the store holds after one backfill of everything."""
    return _filled_templates[2]


@pytest.fixture
def alerted(inbox: Inbox, monkeypatch: pytest.MonkeyPatch) -> Iterator[Inbox]:
    """The inbox, as the address of alerts."""
    monkeypatch.setenv("BREADTHFLOW_ALERT_URLS", inbox.url)
    get_settings.cache_clear()
    yield inbox
    get_settings.cache_clear()


@contextmanager
def _dropped(server: EmbeddedServer, *urls: str) -> Iterator[None]:
    yield
    for url in urls:
        administer(server, f"DROP DATABASE {database_name(url)} WITH (FORCE)")


def _as_template(server: EmbeddedServer, url: str) -> str:
    # Dagster's connections stay in their pool until the process ends, and a database in use cannot be copied.
    administer(server, f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{database_name(url)}'")
    return database_name(url)
