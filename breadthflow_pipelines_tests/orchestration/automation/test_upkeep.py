"""The jobs that look after the store: what they say, what they leave, and when they fail."""

import json
from contextlib import closing
from pathlib import Path
from typing import Any

import dagster as dg
import psycopg2
import pytest

from breadthflow_pipelines.errors import DiskFullError
from breadthflow_pipelines.orchestration.automation import upkeep
from breadthflow_pipelines.orchestration.wiring import build
from breadthflow_pipelines.settings import Settings, get_settings
from breadthflow_pipelines.warehouse.backups import back_up, backups_in, targets
from breadthflow_pipelines.warehouse.embedded import EmbeddedServer
from breadthflow_pipelines_tests.orchestration.conftest import Store


def run(store: Store, job: str) -> dg.ExecuteInProcessResult:
    return build(get_settings()).resolve_job_def(job).execute_in_process(instance=store.instance, raise_on_error=False)


def metadata(result: dg.ExecuteInProcessResult) -> dict[str, Any]:
    (output,) = [event for event in result.all_events if event.event_type is dg.DagsterEventType.STEP_OUTPUT]
    return {name: value.value for name, value in output.step_output_data.metadata.items()}


def failure(result: dg.ExecuteInProcessResult) -> str:
    (event,) = [event for event in result.all_events if event.is_step_failure]
    return str(event.step_failure_data.error)


def databases(store: Store) -> set[str]:
    with closing(psycopg2.connect(store.dagster_url)) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT datname FROM pg_database")
        return {name for (name,) in cursor.fetchall()}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "backups"
    monkeypatch.setenv("BREADTHFLOW_BACKUP_FOLDER", str(folder))
    monkeypatch.setenv("BREADTHFLOW_BACKUPS_KEPT", "2")
    return folder


@pytest.fixture
def kept(filled: Store, folder: Path) -> Store:
    """A filled store whose backups have a folder."""
    get_settings.cache_clear()
    assert get_settings().backup_folder == folder
    return filled


@pytest.mark.slow
def test_the_nightly_backup_is_kept_and_the_drill_takes_the_newest(kept: Store, folder: Path) -> None:
    there = databases(kept)
    said = metadata(run(kept, "back_up"))
    (made,) = backups_in(folder)
    assert (said["backup"], said["kept"]) == (str(made), 1)
    with closing(psycopg2.connect(kept.database.url)) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM bars")
        (bars,) = cursor.fetchone() or (0,)
    manifest = json.loads((made / "manifest.json").read_text())
    assert manifest["dumps"]["market"]["tables"]["bars"]["rows"] == bars > 1000

    drilled = metadata(run(kept, "restore_drill"))
    assert (drilled["backup"], drilled["rows"]) == (str(made), said["rows"])
    assert 0 <= drilled["age of the backup in days"] < 0.1
    assert (databases(kept), backups_in(folder)) == (there, [made])

    archive = made / "market.dump"
    content = bytearray(archive.read_bytes())
    content[1000] ^= 1
    archive.write_bytes(content)
    broken = run(kept, "restore_drill")
    assert not broken.success
    assert "was changed or cut short" in failure(broken)
    assert databases(kept) == there


@pytest.mark.slow
def test_without_a_folder_the_drill_makes_its_own_backup_and_leaves_none(filled: Store) -> None:
    there = databases(filled)
    drilled = run(filled, "restore_drill")
    assert drilled.success
    assert not Path(metadata(drilled)["backup"]).exists()
    assert databases(filled) == there
    assert "BREADTHFLOW_BACKUP_FOLDER is not set" in failure(run(filled, "back_up"))


def test_the_drill_does_not_fill_the_disk_of_the_embedded_server(
    server: EmbeddedServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upkeep, "size", lambda _: 10**15)
    urls = {"market": server.url("postgres"), "dagster": server.url("postgres")}
    upkeep._refuse_full_disk(Settings(home=tmp_path), urls)  # no server there: the database is on another machine
    with pytest.raises(DiskFullError, match=r"The drill needs 2,400,000\.0 GB beside the store"):
        upkeep._refuse_full_disk(Settings(home=server.home), urls)


def test_upkeep_says_what_takes_up_space_and_prunes_dagsters_records(filled: Store) -> None:
    said = metadata(run(filled, "look_after_databases"))
    assert said["market: megabytes"] > 1
    assert said["market: dead rows"] == said["dagster: dead rows"] == 0
    tables = [record.data["table"] for record in said["market: largest tables"].records]
    assert "bars" in tables
    assert "event_logs" in [record.data["table"] for record in said["dagster: largest tables"].records]
    assert upkeep.tidy(filled.instance) == "Today it was done."


def test_backups_run_by_themselves_where_they_have_a_folder() -> None:
    for folder, status in ((None, "STOPPED"), (Path("/mnt/backups"), "RUNNING")):
        definitions = build(Settings(backup_folder=folder))
        assert definitions.resolve_schedule_def("nightly_backup").default_status.value == status
        assert definitions.resolve_schedule_def("monthly_restore_drill").default_status.value == "RUNNING"
        assert definitions.resolve_schedule_def("monthly_restore_drill").cron_schedule == "30 7 1 * *"


def test_a_backup_of_a_run_in_progress_is_whole(kept: Store, folder: Path) -> None:
    """What is not committed is not in it, and does not make it wait."""
    with closing(psycopg2.connect(kept.database.url)) as writer, writer.cursor() as cursor:
        cursor.execute("DELETE FROM publications")
        cursor.execute("INSERT INTO publications (exchange, place) VALUES ('NYSE', '/data')")
        made = back_up(targets(get_settings()), folder, None, None)
        writer.rollback()
    assert made.dumps["market"].tables["publications"].rows == 0
