"""A store that was destroyed: its backup, put back by the command, is the same store, and runs go on from there."""

import json
import shutil
from contextlib import closing
from pathlib import Path

import psycopg2
import pytest

from breadthflow_pipelines.sessions import exchange_calendar
from breadthflow_pipelines.warehouse.embedded import EmbeddedServer
from breadthflow_pipelines.warehouse.fingerprints import Fingerprint, fingerprints
from breadthflow_pipelines_tests.e2e.conftest import breadthflow

pytestmark = pytest.mark.slow


def contents(home: Path) -> dict[str, Fingerprint]:
    """Of every table of the market's database but the audit, which says that it was restored."""
    with closing(psycopg2.connect(EmbeddedServer(home).url("breadthflow"))) as connection:
        return {table: found for table, found in fingerprints(connection).items() if table != "audit"}


def may_read(home: Path, role: str, view: str) -> bool:
    """Whether the home's server has the role, and lets it read the view."""
    with (
        closing(psycopg2.connect(EmbeddedServer(home).url("breadthflow"))) as connection,
        connection.cursor() as cursor,
    ):
        cursor.execute("SELECT has_table_privilege(oid, %s, 'SELECT') FROM pg_roles WHERE rolname = %s", (view, role))
        return cursor.fetchone() == (True,)


def test_a_destroyed_home_comes_back_from_its_backup_and_the_next_run_changes_nothing(
    home: Path, tmp_path: Path
) -> None:
    month = f"{exchange_calendar('XNYS').last_closed():%Y-%m}"
    settings: dict[str, object] = {"home": home, "start": month}
    key = tmp_path / "key"
    assert breadthflow("db", "backup-key", key, **settings).returncode == 0
    settings["backup_key"] = key
    first = breadthflow("run", **settings)
    assert first.returncode == 0, first.stderr
    before = contents(home)
    assert before["bars"].rows > 1_000

    made = breadthflow("db", "backup", tmp_path / "backups", "--keep", 3, **settings)
    assert made.returncode == 0, made.stderr
    (backup,) = (tmp_path / "backups").glob("breadthflow-*")
    assert f"{backup}: " in made.stdout
    assert "encrypted" in made.stdout
    assert breadthflow("db", "restore", backup, **settings).returncode == 2  # there are rows

    shutil.rmtree(home)  # its server still runs
    home.mkdir(mode=0o755)
    settings["backup_key"] = ""
    refused = breadthflow("db", "restore", backup, **settings)
    assert (refused.returncode, "set BREADTHFLOW_BACKUP_KEY" in refused.stderr) == (2, True)
    settings["backup_key"] = key
    back = breadthflow("db", "restore", backup, **settings)
    assert back.returncode == 0, back.stderr
    assert "are back, unless a store that was kept knew of them: breadthflow token list shows" in back.stdout
    assert contents(home) == before
    assert may_read(home, "breadthflow_reader", "breadth")

    again = breadthflow("run", **settings)
    assert again.returncode == 0, again.stderr
    assert "Nothing to run: nothing changed since run" in again.stderr
    assert contents(home) == before
    status = breadthflow("status", **settings)
    assert status.stdout.count("SUCCESS") == 1  # Dagster's history came back as well
    rows = json.loads(breadthflow("signals", "--format", "json", **settings).stdout)
    assert len(rows) == before["market_signals"].rows
