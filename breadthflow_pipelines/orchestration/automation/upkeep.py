"""Jobs that look after the store itself: backups, the drill that proves one, and the weekly upkeep of its databases.

When they run is in schedules.py; what they do is in warehouse/backups.py, restoring.py and upkeep.py.
"""

import datetime as dt
import shutil
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import dagster as dg
import polars as pl

from breadthflow_pipelines.errors import DiskFullError, RequestError
from breadthflow_pipelines.model.datasets import BACKUP_JOB, DRILL_JOB, UPKEEP_JOB
from breadthflow_pipelines.orchestration.hosting.tidying import tidy
from breadthflow_pipelines.orchestration.ui_metadata import shown
from breadthflow_pipelines.settings import Settings, get_settings
from breadthflow_pipelines.warehouse.backups import Backup, back_up, backups_in, key_of, read, targets
from breadthflow_pipelines.warehouse.database import Database, Row
from breadthflow_pipelines.warehouse.embedded import EmbeddedServer
from breadthflow_pipelines.warehouse.restoring import rehearse
from breadthflow_pipelines.warehouse.server_listing import idle_indexes, size, table_sizes
from breadthflow_pipelines.warehouse.upkeep import vacuum

SPARE = 1.2  # times the size of what is restored that must be free


class UpkeepJobs(NamedTuple):
    """They write nothing that an asset has, and none waits for another run."""

    backup: dg.JobDefinition
    drill: dg.JobDefinition
    upkeep: dg.JobDefinition


@dg.op
def make_backup(context: dg.OpExecutionContext) -> None:
    """A backup in BREADTHFLOW_BACKUP_FOLDER, read to its end; the oldest beyond BREADTHFLOW_BACKUPS_KEPT go."""
    settings = get_settings()
    if settings.backup_folder is None:
        raise RequestError("BREADTHFLOW_BACKUP_FOLDER is not set: set it to a folder on another disk than the store.")
    made = back_up(targets(settings), settings.backup_folder, key_of(settings), settings.backups_kept)
    context.add_output_metadata({**_about(made), "kept": len(backups_in(settings.backup_folder))})


@dg.op
def rehearse_restore(context: dg.OpExecutionContext) -> None:
    """The newest backup, restored into databases of its own and compared by checksums; they are dropped again."""
    settings = get_settings()
    urls, key = targets(settings), key_of(settings)
    _refuse_full_disk(settings, urls)
    with tempfile.TemporaryDirectory(prefix="breadthflow-drill-") as scratch:
        backup = _newest(settings) or back_up(urls, Path(scratch), key, None)
        rehearse(backup, urls, key)
        about = _about(backup)
    age = dt.datetime.now(dt.UTC) - dt.datetime.fromisoformat(backup.made_at)
    context.add_output_metadata({**about, "age of the backup in days": round(age / dt.timedelta(days=1), 2)})


@dg.op
def vacuum_and_report(context: dg.OpExecutionContext) -> None:
    """Dagster's old records deleted, dead rows reclaimed, statistics renewed, and what takes up space."""
    context.log.info(tidy(context.instance))
    found: dict[str, Any] = {}
    for name, url in sorted(targets(get_settings()).items()):
        found[f"{name}: tables of another owner, left to autovacuum"] = vacuum(url)
        database = Database(url, None)
        tables, indexes = table_sizes(database), idle_indexes(database)
        found[f"{name}: megabytes"] = _megabytes(size(database))
        found[f"{name}: dead rows"] = sum(table["dead_rows"] for table in tables)
        found[f"{name}: largest tables"] = shown(_in_megabytes(tables, bytes="megabytes", index_bytes="in_indexes"))
        found[f"{name}: indexes that no query read"] = shown(_in_megabytes(indexes, bytes="megabytes"))
    context.add_output_metadata(found)


def upkeep_jobs() -> UpkeepJobs:
    """All of them."""

    @dg.job(name=BACKUP_JOB, description="Copy the market's database and Dagster's, and read the copy to its end.")
    def backup() -> None:
        make_backup()

    @dg.job(name=DRILL_JOB, description="Restore the newest backup beside the store and compare every table.")
    def drill() -> None:
        rehearse_restore()

    @dg.job(name=UPKEEP_JOB, description="Delete Dagster's old records, vacuum, analyze, and report sizes and indexes.")
    def weekly() -> None:
        vacuum_and_report()

    return UpkeepJobs(backup, drill, weekly)


def _newest(settings: Settings) -> Backup | None:
    """The newest backup that was made; None where there is none, and the drill has to make one."""
    there = backups_in(settings.backup_folder) if settings.backup_folder else []
    return read(there[-1]) if there else None


def _refuse_full_disk(settings: Settings, urls: dict[str, str]) -> None:
    """Raise before the drill fills the disk of the embedded server; that of another one cannot be seen from here."""
    if not EmbeddedServer(settings.home).is_running():
        return
    needed = SPARE * sum(size(Database(url, None)) for url in urls.values())
    free = shutil.disk_usage(settings.home).free
    if free < needed:
        raise DiskFullError(
            f"The drill needs {needed / 1e9:,.1f} GB beside the store in {settings.home}, and {free / 1e9:,.1f} GB are "
            "free. Make room there, or switch its schedule off."
        )


def _in_megabytes(rows: list[Row], **columns: str) -> pl.DataFrame:
    """The same rows, with these columns of bytes under other names."""
    return pl.DataFrame(
        [
            {columns.get(name, name): _megabytes(of) if name in columns else of for name, of in row.items()}
            for row in rows
        ]
    )


def _megabytes(size: int) -> float:
    return round(size / 1e6, 1)


def _about(backup: Backup) -> dict[str, str | int | float]:
    return {
        "backup": str(backup.path),
        "rows": sum(dump.rows for dump in backup.dumps.values()),
        "tables": sum(len(dump.tables) for dump in backup.dumps.values()),
        "megabytes": _megabytes(backup.size),
        "encrypted": str(backup.encrypted),
    }
