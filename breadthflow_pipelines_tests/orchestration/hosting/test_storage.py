"""Dagster's own storage and configuration, as every Dagster process here gets them."""

import os
from collections.abc import Callable
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.definitions.asset_checks.asset_check_evaluation import AssetCheckEvaluationPlanned
from dagster._core.events import AssetMaterializationPlannedData, DagsterEvent
from dagster._core.storage.event_log import sql_event_log
from dagster_postgres import DagsterPostgresStorage

from breadthflow_pipelines.orchestration.hosting import storage as storage_module
from breadthflow_pipelines.orchestration.hosting.instance import prepare_dagster_home
from breadthflow_pipelines.orchestration.hosting.storage import PooledPostgresStorage
from breadthflow_pipelines.settings import Settings, get_settings
from breadthflow_pipelines.warehouse.database import Database, rows_of, table_names
from breadthflow_pipelines.warehouse.embedded import EmbeddedServer
from breadthflow_pipelines_tests.orchestration.conftest import Store
from breadthflow_pipelines_tests.orchestration.small_market import LAST


@pytest.mark.slow
def test_run_opens_a_handful_of_connections_not_one_per_event(filled: Store) -> None:
    dagsters = Database(filled.dagster_url, None)

    def opened() -> tuple[int, int]:
        with dagsters.connect() as connection, connection.cursor() as cursor:
            # Counted when a connection begins; the figures of earlier ones may take a moment to show otherwise.
            cursor.execute("SELECT pg_stat_clear_snapshot(), pg_stat_force_next_flush()")
            cursor.execute("SELECT sessions FROM pg_stat_database WHERE datname = current_database()")
            (sessions,) = cursor.fetchone() or (None,)
            cursor.execute("SELECT count(*) FROM event_logs")
            (events,) = cursor.fetchone() or (None,)
        return sessions, events

    sessions, events = opened()
    assert filled.daily(LAST).exit_status == 0
    sessions_after, events_after = opened()
    assert events_after - events > 60
    assert sessions_after - sessions < 20  # without a pool it is several for each event


@pytest.mark.slow
def test_run_asks_the_catalogue_for_columns_once_and_not_at_each_event(
    filled: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    inspect = sql_event_log.db.inspect
    monkeypatch.setattr(sql_event_log.db, "inspect", lambda subject: asked.append(subject) or inspect(subject))
    assert filled.daily(LAST).exit_status == 0
    assert 0 < len(asked) < 40  # a hundred otherwise


def test_dagster_yaml_is_what_the_instance_runs_by(store: Store) -> None:
    instance = store.instance
    storage = instance.get_ref().storage_data
    assert storage is not None
    assert storage.class_name == PooledPostgresStorage.__name__
    assert not instance.telemetry_enabled
    assert not instance.nux_enabled
    assert instance.run_monitoring_enabled
    assert instance.get_settings("run_monitoring")["free_slots_after_run_end_seconds"] == 60
    assert instance.run_retries_enabled
    queue = instance.get_concurrency_config().run_queue_config
    assert queue is not None
    assert queue.max_user_code_failure_retries * queue.user_code_failure_retry_delay == 30 * 60
    assert queue.max_concurrent_runs == get_settings().concurrent_runs == 2
    assert instance.get_settings("retention")["schedule"] == {"purge_after_days": 90}
    assert "free_slots_after_run_end_seconds: 60" in instance.info_str()  # what `dagster instance info` prints
    assert os.environ["DAGSTER_EVENT_BATCH_SIZE"] == "1000"


def test_dagster_home_lies_in_ours_and_gets_the_projects_configuration_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DAGSTER_HOME", "/nowhere")
    settings = Settings(home=tmp_path / "home")
    home = prepare_dagster_home(settings)
    assert home == tmp_path / "home" / "dagster"
    assert os.environ["DAGSTER_HOME"] == str(home)
    (home / "dagster.yaml").write_text("telemetry: {enabled: true}\n")  # an earlier version's, or a stranger's
    prepare_dagster_home(settings)
    assert "PooledPostgresStorage" in (home / "dagster.yaml").read_text()
    assert [path.name for path in home.iterdir()] == ["dagster.yaml"]


def test_dagsters_database_is_one_of_its_own(store: Store) -> None:
    assert store.dagster_url != store.database.url
    settings = get_settings()
    assert settings.dagster_database_url is not None
    assert store.rows("SELECT to_regclass('event_logs'), to_regclass('runs')") == [(None, None)]


def test_storage_whose_making_was_cut_off_is_made_whole(
    server: EmbeddedServer, fresh_database: Callable[[str], str], dagster_template: str
) -> None:
    whole = table_names(Database(server.url(dagster_template), None))
    url = fresh_database(dagster_template)
    cut_off = Database(url, None)
    with cut_off.connect() as connection, connection.cursor() as cursor:
        # Dagster makes them in this order and later looks for the first of each kind only.
        cursor.execute("DROP TABLE asset_keys, dynamic_partitions, concurrency_slots, job_ticks, alembic_version")
    storage = PooledPostgresStorage(url)
    assert table_names(cut_off) == whole
    assert storage.event_log_storage.all_asset_keys() == []
    assert storage.schedule_storage.all_instigator_state() == []
    with cut_off.connect() as connection, connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM alembic_version")
        assert cursor.fetchone() == (1,)


def test_storage_is_made_whole_or_not_at_all(
    fresh_database: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    url = fresh_database("template0")

    def cut_off(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(storage_module, "stamp_alembic_rev", cut_off)  # the last thing that is done
        with pytest.raises(OSError, match="No space"):
            PooledPostgresStorage(url)
    assert table_names(Database(url, None)) == set()
    PooledPostgresStorage(url)
    assert {"runs", "event_logs", "jobs"} <= table_names(Database(url, None))


def test_planned_months_are_stored_as_dagster_itself_stores_them(
    fresh_database: Callable[[str], str], dagster_template: str
) -> None:
    """Together or one by one: the same events, the same newest one of each asset."""
    ours = PooledPostgresStorage(fresh_database(dagster_template))
    stock = DagsterPostgresStorage(fresh_database(dagster_template))
    planned = [_planned(asset, month) for asset in ("bars", "counts") for month in ("2024-01", "2024-02", None)]
    check = _check_planned()
    ours.event_log_storage.store_event_batch([*planned, check])
    for event in (*planned, check):
        stock.event_log_storage.store_event(event)
    assert _stored(ours) == _stored(stock)
    assert len(_stored(ours)[0]) == 7


def _planned(asset: str, month: str | None) -> dg.EventLogEntry:
    data = AssetMaterializationPlannedData(dg.AssetKey(asset), partition=month)
    return _entry(DagsterEvent.build_asset_materialization_planned_event("a_job", asset, data))


def _check_planned() -> dg.EventLogEntry:
    key = dg.AssetCheckKey(dg.AssetKey("bars"), "complete")
    data = AssetCheckEvaluationPlanned(asset_key=key.asset_key, check_name=key.name, partitions_subset=None)
    kind = dg.DagsterEventType.ASSET_CHECK_EVALUATION_PLANNED.value
    return _entry(DagsterEvent(kind, "a_job", step_key="check", event_specific_data=data))


def _entry(event: DagsterEvent) -> dg.EventLogEntry:
    return dg.EventLogEntry(None, 10, "", "a_run", 1_700_000_000.0, event.step_key, event.job_name, event)


def _stored(storage: DagsterPostgresStorage) -> tuple[list[tuple[object, ...]], ...]:
    database = Database(storage.postgres_url, None)
    queries = (
        "SELECT run_id, event, dagster_event_type, step_key, asset_key, partition FROM event_logs ORDER BY event",
        "SELECT asset_key, last_run_id, last_materialization_timestamp FROM asset_keys ORDER BY 1",
        "SELECT asset_key, check_name, run_id, execution_status FROM asset_check_executions ORDER BY 1, 2",
    )
    return tuple([tuple(row.values()) for row in rows_of(database, query)] for query in queries)
