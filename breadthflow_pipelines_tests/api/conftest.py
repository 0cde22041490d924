"""A filled store that is served: once for all tests that only read, and one of its own for a test that writes."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import pytest
from starlette.testclient import TestClient

from breadthflow_pipelines.api.access import Role
from breadthflow_pipelines.api.app import create_app
from breadthflow_pipelines.api.service import Service, open_service
from breadthflow_pipelines.api.tokens import create
from breadthflow_pipelines.settings import Settings
from breadthflow_pipelines.warehouse.addresses import database_name
from breadthflow_pipelines.warehouse.database import Database
from breadthflow_pipelines.warehouse.embedded import EmbeddedServer
from breadthflow_pipelines_tests.conftest import administer, free_port
from breadthflow_pipelines_tests.orchestration import conftest as small

dagster_template, _filled_templates = small.dagster_template, small._filled_templates  # fixtures of that room

UNLIMITED = 1_000_000  # requests a minute; limits have tests of their own


@dataclass(frozen=True)
class Served:
    """A store that is served. owner: the store as its owner sees it; viewer, operator: a token of each."""

    service: Service
    owner: Database
    viewer: str
    operator: str

    def client(self, token: str | None = None, *, rate: int = UNLIMITED, without_tokens: bool = False) -> TestClient:
        """A program that asks with that token, or with none; over an application of its own."""
        settings = self.service.settings.model_copy(update={"api_rate": rate})
        app = create_app(replace(self.service, settings=settings, open=without_tokens))
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        return TestClient(app, "http://127.0.0.1:8000", headers=headers, raise_server_exceptions=False)


@contextmanager
def serve(settings: Settings) -> Iterator[Served]:
    """The store that the settings mean, served."""
    nowhere = f"http://127.0.0.1:{free_port()}"  # else tests would ask whatever webserver this machine has
    service = open_service(settings.model_copy(update={"webserver_url": nowhere}))
    owner = Database(service.ledger.url, None)
    tokens = {role: create(owner, f"a {role}", role, None, "the tests") for role in Role}
    yield Served(service, owner, tokens[Role.VIEWER], tokens[Role.OPERATOR])


@pytest.fixture(scope="session")
def shared(
    server: EmbeddedServer, fresh_database: Callable[[str], str], _filled_templates: tuple[str, str, object]
) -> Iterator[Served]:
    """The small market's store, served; nobody changes what it shows."""
    market, dagster = (fresh_database(template) for template in _filled_templates[:2])
    with serve(Settings(database_url=market, dagster_database_url=dagster)) as served:
        yield served
    for url in (market, dagster):
        administer(server, f"DROP DATABASE {database_name(url)} WITH (FORCE)")


@pytest.fixture
def own(
    server: EmbeddedServer, fresh_database: Callable[[str], str], _filled_templates: tuple[str, str, object]
) -> Iterator[Served]:
    """The same store, this test's own."""
    market, dagster = (fresh_database(template) for template in _filled_templates[:2])
    with serve(Settings(database_url=market, dagster_database_url=dagster)) as served:
        yield served
    for url in (market, dagster):
        administer(server, f"DROP DATABASE {database_name(url)} WITH (FORCE)")


@pytest.fixture
def viewer(shared: Served) -> Iterator[TestClient]:
    """A program with a viewer's token."""
    with shared.client(shared.viewer) as client:
        yield client
