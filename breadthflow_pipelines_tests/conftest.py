"""Fixtures of all rooms: a server, a database of one's own, an empty home. A room's own stand beside its tests."""

import datetime as dt
import gc
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Any

import hypothesis
import psycopg2
import pytest

from breadthflow_pipelines import sessions
from breadthflow_pipelines.settings import get_settings
from breadthflow_pipelines.warehouse.addresses import database_name
from breadthflow_pipelines.warehouse.database import Database, ensure_database, upgrade
from breadthflow_pipelines.warehouse.embedded import EmbeddedServer
from breadthflow_pipelines_tests.inbox import Inbox

# `make test` tries the same examples every time; `--hypothesis-profile search` looks for new ones, and for more.
hypothesis.settings.register_profile("steady", derandomize=True, deadline=None)
hypothesis.settings.register_profile("search", max_examples=500, deadline=None, print_blob=True)
hypothesis.settings.load_profile("steady")

MARKET = Path(__file__).resolve().parents[1].parent / "shared" / "market"


# Making a store writes forty megabytes to the disk: memory is three times faster.
MEMORY = Path("/dev/shm")  # noqa: S108 - mkdtemp makes the names
SCRATCH = MEMORY if MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > 4 * 2**30 else Path("/tmp")  # noqa: S108


@contextmanager
def private_home() -> Iterator[Path]:
    """A short directory that PostgreSQL's account may reach; pytest's own lie below one that only root may enter."""
    home = Path(tempfile.mkdtemp(prefix="bf-", dir=SCRATCH))
    home.chmod(0o755)
    server = EmbeddedServer(home)
    try:
        yield home
    finally:
        server.stop()
        if server.socket_directory() != server.data:
            shutil.rmtree(server.socket_directory(), ignore_errors=True)
        shutil.rmtree(home)


# Files go to workers whole, in this order; what takes minutes comes first, so that nobody is left with it at the end.
_LONGEST = ("e2e", "test_documentation.py", "test_cli.py", "test_docker.py", "orchestration")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the longest rooms and files first."""

    def place(item: pytest.Item) -> int:
        room = item.path.relative_to(Path(__file__).parent).parts[0]
        return _LONGEST.index(room) if room in _LONGEST else len(_LONGEST)

    items.sort(key=place)


def pytest_collection_finish() -> None:
    """Leave what is imported by now out of the search for garbage, which takes a tenth of the time otherwise."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 50, 50)


@pytest.fixture(autouse=True)
def _no_settings_from_outside(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[None]:
    for name in [name for name in os.environ if name.upper().startswith("BREADTHFLOW_")]:
        monkeypatch.delenv(name)
    empty = tmp_path_factory.getbasetemp() / "no-dotenv-here"
    empty.mkdir(exist_ok=True)
    monkeypatch.chdir(empty)  # .env is read from the working directory, by processes that a test starts as well
    get_settings.cache_clear()
    yield
    get_settings.cache_clear()


# What keeps data safe, or tables small in the long run: databases that live for one test are made and dropped faster.
_OF_NO_USE = (
    *("fsync = off", "full_page_writes = off", "synchronous_commit = off", "autovacuum = off"),
    *("wal_level = minimal", "max_wal_senders = 0"),
)


@pytest.fixture(scope="session")
def server() -> Iterator[EmbeddedServer]:
    """One server for all tests that only need a database; nobody stops it before the end."""
    with private_home() as home:
        embedded = EmbeddedServer(home)
        embedded.ensure_running()
        for setting in _OF_NO_USE:
            administer(embedded, f"ALTER SYSTEM SET {setting}")
        embedded.stop()
        embedded.ensure_running()
        yield embedded


@pytest.fixture(scope="session")
def fresh_database(server: EmbeddedServer) -> Callable[[str], str]:
    """Makes a database of a name not used before, as a copy of the template given; returns its address."""
    numbers = count(1)

    def make(template: str = "template1") -> str:
        name = f"test_{next(numbers)}"
        administer(server, f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY FILE_COPY")
        return server.url(name)

    return make


@pytest.fixture(scope="session")
def _template(server: EmbeddedServer) -> str:
    database = Database(server.url("migrated"), server)
    ensure_database(database.url)
    upgrade(database)
    return "migrated"


@pytest.fixture
def database(server: EmbeddedServer, fresh_database: Callable[[str], str], _template: str) -> Iterator[Database]:
    """A store of its own with all tables and no rows."""
    database = Database(fresh_database(_template), server)
    yield database
    administer(server, f"DROP DATABASE {database_name(database.url)} WITH (FORCE)")


@pytest.fixture
def home() -> Iterator[Path]:
    """An empty directory that can be BREADTHFLOW_HOME; a server started on it is stopped and all is removed."""
    with private_home() as directory:
        yield directory


@pytest.fixture
def inbox() -> Iterator[Inbox]:
    """An address for alerts, and what came in at it."""
    inbox = Inbox()
    yield inbox
    inbox.stop()


@pytest.fixture
def at(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Makes a moment the present one, in UTC where it names no zone, for everything that asks sessions.py."""

    def present(text: str) -> None:
        moment = dt.datetime.fromisoformat(text)
        moment = moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)
        monkeypatch.setattr(sessions, "present", lambda: moment)

    return present


@pytest.fixture(scope="session")
def market() -> Path:
    """The directory with real data; tests that ask for it are skipped where it is missing."""
    if not MARKET.is_dir():
        pytest.skip("../shared/market is missing")
    return MARKET


def administer(server: EmbeddedServer, statement: str) -> None:
    """Run one statement that may not be in a transaction."""
    connection = psycopg2.connect(server.url("postgres"))
    connection.autocommit = True
    try:
        connection.cursor().execute(statement)
    finally:
        connection.close()


def as_login(url: str, name: str) -> str:
    """The address of a test's database for another login, which needs no password."""
    return url.replace("://postgres@", f"://{name}@")


def start_python(code: str, *arguments: object, **options: Any) -> subprocess.Popen[str]:
    """Another process of this interpreter that runs ``code`` with sys.argv[1:] and whose output can be read."""
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)],
        **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, **options},
    )


_ports = count(20_000 + os.getpid() % 1_000 * 10)


def free_port() -> int:
    """One that nobody listens on, from below those that the system hands out to whoever connects meanwhile."""
    for port in _ports:
        with socket.socket() as probe, suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
            return port
    raise AssertionError("the ports are endless")


def wait_until(condition: Callable[[], object], seconds: float = 60) -> None:
    """Wait for something that another process brings about, on a busy machine too; fail the test if it never does."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "what was waited for did not happen"
        time.sleep(0.01)
