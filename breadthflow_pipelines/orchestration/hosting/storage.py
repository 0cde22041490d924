"""Dagster's own storage: its Postgres classes with pooled connections, in a database beside the market's.

The stock classes open a connection for every event; a range run over 143 months was 6 times slower with them.
"""

import os
from collections.abc import Mapping, Sequence
from typing import Any

import dagster as dg
import dagster_postgres.run_storage
from dagster._core.storage.event_log.schema import SqlEventLogStorageMetadata, SqlEventLogStorageTable
from dagster._core.storage.runs.schema import RunStorageSqlMetadata
from dagster._core.storage.schedules.schema import ScheduleStorageSqlMetadata
from dagster._core.storage.sql import create_engine, stamp_alembic_rev
from dagster._serdes import ConfigurableClassData
from dagster_postgres import DagsterPostgresStorage
from dagster_postgres.utils import pg_alembic_config

from breadthflow_pipelines.orchestration.hosting.program_logs import take_over_logs
from breadthflow_pipelines.orchestration.launches import note_past_the_queue
from breadthflow_pipelines.settings import get_settings
from breadthflow_pipelines.warehouse.database import Database, dagster_url, table_names
from breadthflow_pipelines.warehouse.roles import grant_dagster

STATEMENT_TIMEOUT = 60_000  # milliseconds
POOL_RECYCLE = 3_600  # seconds
MAX_OVERFLOW = 10
_METADATA = (RunStorageSqlMetadata, SqlEventLogStorageMetadata, ScheduleStorageSqlMetadata)

# Read by Dagster in every process that has an instance, and each has one through this module.
os.environ.setdefault("DAGSTER_EVENT_BATCH_SIZE", "1000")
# A backfill from the UI waits for a code server that is being started again; without this it fails for good.
os.environ.setdefault("DAGSTER_BACKFILL_RETRY_DEFINITION_CHANGED_ERROR", "1")


class PooledPostgresStorage(DagsterPostgresStorage):
    """dagster.yaml's storage: where it is follows from the settings, so Dagster's processes agree with the command."""

    def __init__(self, postgres_url: str, inst_data: ConfigurableClassData | None = None) -> None:
        take_over_logs(get_settings())  # every program of Dagster's comes by here, after it has set up its own
        made = _make_tables(postgres_url)
        super().__init__(postgres_url, inst_data=inst_data)
        if made:
            self._mark_as_up_to_date()
        for storage in (self.run_storage, self.event_log_storage, self.schedule_storage):
            storage.optimize_for_webserver(STATEMENT_TIMEOUT, POOL_RECYCLE, MAX_OVERFLOW)
        _remember_what_is_there(self.event_log_storage)
        _plan_together(self.event_log_storage)
        note_past_the_queue(self.run_storage)

    def _mark_as_up_to_date(self) -> None:
        """What Dagster itself does after it has made its tables: there is nothing in them to be migrated."""
        for storage in (self.run_storage, self.schedule_storage):
            storage.migrate()
            storage.optimize()
        self.event_log_storage.reindex_events()
        self.event_log_storage.reindex_assets()

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


def open_to_roles(url: str) -> None:
    """Make Dagster's tables where they are missing, and let the database's roles use them (warehouse/roles.py)."""
    PooledPostgresStorage(url)
    with Database(url, None).connect() as connection, connection.cursor() as cursor:
        grant_dagster(cursor, [name for metadata in _METADATA for name in metadata.tables])


def _remember_what_is_there(event_log: Any) -> None:
    """Let Dagster ask PostgreSQL's catalogue once for each optional column and table of its own.

    It asks at every event, and for a table beside the transaction of the event: on one more connection each time.
    """
    ask_for_column, ask_for_table = event_log._has_asset_key_col_on_connection, event_log.has_table
    columns: set[str] = set()
    tables: set[str] = set()

    def has_column(connection: Any, name: str) -> bool:
        if name not in columns and ask_for_column(connection, name):
            columns.add(name)
        return name in columns

    def has_table(name: str) -> bool:
        if name not in tables and ask_for_table(name):
            tables.add(name)
        return name in tables

    event_log._has_asset_key_col_on_connection, event_log.has_table = has_column, has_table


def _plan_together(event_log: Any) -> None:
    """Let Dagster store what a run plans asset by asset, as it does what a run made, and not month by month.

    A history of ten years has 800 planned months, each three statements in two transactions.
    """
    store_batch = event_log.store_event_batch

    def store(events: Sequence[dg.EventLogEntry]) -> None:
        planned: dict[dg.AssetKey, list[dg.EventLogEntry]] = {}
        others = []
        for event in events:
            key = event.get_dagster_event().asset_key
            if event.dagster_event_type == dg.DagsterEventType.ASSET_MATERIALIZATION_PLANNED and key is not None:
                planned.setdefault(key, []).append(event)
            else:
                others.append(event)
        for of_asset in planned.values():
            with event_log.index_transaction() as connection:
                rows = event_log.prepare_insert_event_batch(of_asset).returning(SqlEventLogStorageTable.c.id)
                ids = [row[0] for row in connection.execute(rows)]
                event_log._store_asset_event_tags(connection, of_asset, ids)
                event_log._store_asset_event(connection, of_asset[-1], ids[-1])
        if others:
            store_batch(others)

    event_log.store_event_batch = store


def _make_tables(url: str) -> bool:
    """Make Dagster's tables, all of them or none; whether any was missing.

    Dagster makes them one by one and later takes the first for all, so that a first start which was cut off, by a full
    disk or a power cut, leaves a storage that never works.
    """
    database = Database(url, None)
    wanted = {name for metadata in _METADATA for name in metadata.tables}
    if wanted <= table_names(database):
        return False
    with database.exclusive("dagster tables"):
        engine = create_engine(url)
        try:
            with engine.begin() as connection:
                for metadata in _METADATA:
                    metadata.create_all(connection)
                if "alembic_version" not in table_names(database):
                    stamp_alembic_rev(pg_alembic_config(dagster_postgres.run_storage.__file__), connection)
        finally:
            engine.dispose()
    return True
