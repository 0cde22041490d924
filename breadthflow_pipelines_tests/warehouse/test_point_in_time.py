"""Recovery to a point in time, with the container's own archive command and script: rows are those of that moment."""

import os
import re
import shutil
import subprocess
from contextlib import closing
from pathlib import Path

import psycopg2
import pytest

from breadthflow_pipelines.warehouse.embedded import EmbeddedServer, bundled_programs
from breadthflow_pipelines_tests.conftest import private_home, wait_until

pytestmark = pytest.mark.slow

DOCKER = Path(__file__).resolve().parents[2] / "docker" / "postgres"
(ARCHIVE_COMMAND,) = re.findall(r"^archive_command = '(.*)'$", (DOCKER / "postgresql.conf").read_text(), re.M)


def execute(server: EmbeddedServer, *statements: str) -> str:
    """Run statements, each by itself; the last one's value, as text."""
    connection = psycopg2.connect(server.url("postgres"))
    connection.autocommit = True
    with closing(connection), connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)
        return str((cursor.fetchone() or ("",))[0]) if cursor.description else ""


def base_backup(server: EmbeddedServer, archive: Path, keep: int) -> Path:
    programs = archive / "programs"
    if not programs.exists():  # the wheel's pg_verifybackup crashes whatever it is given; the image has Debian's
        programs.mkdir()
        (programs / "pg_verifybackup").symlink_to("/bin/true")
    environment = {
        **os.environ,
        "PATH": os.pathsep.join([str(programs), str(bundled_programs()), os.environ["PATH"]]),
        "PGHOST": str(server.socket_directory()),
        "BREADTHFLOW_ARCHIVE_FOLDER": str(archive),
    }
    made = subprocess.run(
        [DOCKER / "base-backup.sh", str(keep)], env=environment, capture_output=True, text=True, check=False
    )
    assert made.returncode == 0, made.stdout + made.stderr
    return Path(made.stdout.splitlines()[-1])


def hand_over(path: Path, like: Path) -> None:
    """Let the server's account have it."""
    owner = like.stat()
    for one in (path, *path.rglob("*")):
        os.chown(one, owner.st_uid, owner.st_gid)


def test_a_store_is_brought_back_to_the_moment_before_a_mistake() -> None:
    with private_home() as home, private_home() as other:
        server, archive = EmbeddedServer(home), home / "archive"
        server.ensure_running()
        (archive / "wal").mkdir(parents=True)
        (archive / "base").mkdir()
        hand_over(archive, server.data)
        command = ARCHIVE_COMMAND.replace("/archive/", f"{archive}/")
        execute(server, "ALTER SYSTEM SET archive_mode = on", f"ALTER SYSTEM SET archive_command = '{command}'")
        server.stop()
        server.ensure_running()
        execute(server, "CREATE TABLE kept (n int)", "INSERT INTO kept VALUES (1)")
        oldest = base_backup(server, archive, keep=2)
        subprocess.run(["sleep", "1.1"], check=True)  # noqa: S607 - names go by the second
        backup = base_backup(server, archive, keep=1)
        assert [path.name for path in (archive / "base").iterdir()] == [backup.name]
        assert oldest.name < backup.name
        execute(server, "INSERT INTO kept VALUES (2)")
        moment = execute(server, "SELECT clock_timestamp()")
        execute(server, "SELECT pg_sleep(0.1)", "DELETE FROM kept", "SELECT pg_switch_wal()")
        last = execute(server, "SELECT pg_walfile_name(pg_current_wal_lsn() - 1)")
        wait_until(lambda: (archive / "wal" / last).exists())
        server.stop()

        shutil.copytree(backup, other / "postgres")
        with (other / "postgres" / "postgresql.auto.conf").open("a") as settings:
            settings.write(
                f"archive_mode = off\nrestore_command = 'cp {archive}/wal/%f %p'\n"
                f"recovery_target_time = '{moment}'\nrecovery_target_action = promote\n"
            )
        (other / "postgres" / "recovery.signal").touch()
        hand_over(other / "postgres", server.data)
        recovered = EmbeddedServer(other)
        recovered.ensure_running()
        wait_until(lambda: execute(recovered, "SELECT pg_is_in_recovery()") == "False")
        assert execute(recovered, "SELECT array_agg(n ORDER BY n)::text FROM kept") == "{1,2}"
