"""Dagster's own storage: its Postgres classes with pooled connections, in a database beside the market's.

The stock classes open a connection for every event; a range run over 143 months was 6 times slower with them.
"""

import os
from collections.abc import Mapping
from typing import Any

from dagster._serdes import ConfigurableClassData
from dagster_postgres import DagsterPostgresStorage

from breadthflow_pipelines.settings import get_settings
from breadthflow_pipelines.warehouse.database import dagster_url

STATEMENT_TIMEOUT = 60_000  # milliseconds
POOL_RECYCLE = 3_600  # seconds
MAX_OVERFLOW = 10

# Read by Dagster in every process that has an instance, and each has one through this module.
os.environ.setdefault("DAGSTER_EVENT_BATCH_SIZE", "1000")
# A backfill from the UI waits for a code server that is being started again; without this it fails for good.
os.environ.setdefault("DAGSTER_BACKFILL_RETRY_DEFINITION_CHANGED_ERROR", "1")


class PooledPostgresStorage(DagsterPostgresStorage):
    """dagster.yaml's storage: where it is follows from the settings, so Dagster's processes agree with the command."""

    def __init__(self, postgres_url: str, inst_data: ConfigurableClassData | None = None) -> None:
        super().__init__(postgres_url, inst_data=inst_data)
        for storage in (self.run_storage, self.event_log_storage, self.schedule_storage):
            storage.optimize_for_webserver(STATEMENT_TIMEOUT, POOL_RECYCLE, MAX_OVERFLOW)

    @classmethod
    def config_type(cls) -> Any:
        return {}

    @classmethod
    def from_config_value(
        cls,
        inst_data: ConfigurableClassData | None,
        config_value: Mapping[str, Any],  # noqa: ARG003
    ) -> "PooledPostgresStorage":
        return cls(dagster_url(get_settings()), inst_data=inst_data)
