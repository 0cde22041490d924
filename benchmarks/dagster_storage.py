"""Materializing 120 monthly partitions in one range run: pooled connections against Dagster's stock storage."""

import os
from pathlib import Path

import dagster as dg
from common import in_turn, show, temporary_store
from dagster._core.instance import InstanceRef
from dagster_postgres import DagsterPostgresStorage

from breadthflow_pipelines.model.run_tags import RANGE_END_TAG, RANGE_START_TAG
from breadthflow_pipelines.orchestration.hosting.storage import PooledPostgresStorage
from breadthflow_pipelines.warehouse.database import ensure_database

MONTHS = dg.MonthlyPartitionsDefinition("2010-01", fmt="%Y-%m")
TAGS = {RANGE_START_TAG: "2010-01", RANGE_END_TAG: "2019-12"}


@dg.asset(partitions_def=MONTHS, backfill_policy=dg.BackfillPolicy.single_run())
def months() -> None:
    """Nothing but bookkeeping."""


def run(kind: type[DagsterPostgresStorage], url: str, home: str, batch: str) -> None:
    os.environ["DAGSTER_EVENT_BATCH_SIZE"] = batch
    storage = kind(url)
    reference = InstanceRef.from_dir(home, overrides={"telemetry": {"enabled": False}})
    instance = dg.DagsterInstance(
        dg._core.instance.InstanceType.PERSISTENT,
        local_artifact_storage=reference.local_artifact_storage,
        run_storage=storage.run_storage,
        event_storage=storage.event_log_storage,
        schedule_storage=storage.schedule_storage,
        compute_log_manager=reference.compute_log_manager,
        run_coordinator=reference.run_coordinator,
        run_launcher=reference.run_launcher,
        ref=reference,
    )
    job = dg.Definitions([months], jobs=[dg.define_asset_job("job", [months])]).resolve_job_def("job")
    quiet = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
    assert job.execute_in_process(instance=instance, tags=TAGS, run_config=quiet).success


if __name__ == "__main__":
    with temporary_store() as (server, _):
        for name in ("pooled", "stock", "stock_batched"):
            ensure_database(server.url(name))
        home = str(server.home / "dagster")
        Path(home).mkdir()
        show(
            "120 partitions in one run",
            in_turn(
                {
                    "pooled, events in batches": lambda: run(PooledPostgresStorage, server.url("pooled"), home, "1000"),
                    "stock, events in batches": lambda: run(
                        DagsterPostgresStorage, server.url("stock_batched"), home, "1000"
                    ),
                    "stock": lambda: run(DagsterPostgresStorage, server.url("stock"), home, "0"),
                }
            ),
        )
