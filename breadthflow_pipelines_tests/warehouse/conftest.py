"""A store that knows two securities, for whatever is stored of them."""

import pytest

from breadthflow_pipelines.warehouse import security_store
from breadthflow_pipelines.warehouse.database import Database
from breadthflow_pipelines_tests.warehouse.frames import TWO


@pytest.fixture
def listed(database: Database) -> Database:
    """A store that knows two securities."""
    security_store.record_securities(database, TWO, synthetic=False)
    return database
