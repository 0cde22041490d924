"""Recovery to a point in time, with the container's own archive command and script: rows are those of that moment."""

import os
import re
import shutil
import subprocess
from contextlib import closing
from pathlib import Path

import psycopg2
import pytest

from breadthflow_pipelines.warehouse.database import Database
from breadthflow_pipelines.warehouse.embedded import EmbeddedServer, bundled_programs
from breadthflow_pipelines.warehouse.server_listing import archive_fails
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


def command_into(archive: Path) -> str:
    """The containers' archive command, with another place to archive to."""
    return ARCHIVE_COMMAND.replace("/archive/", f"{archive}/")


def recover(backup: Path, archive: Path, moment: str, home: Path, like: Path) -> EmbeddedServer:
    """A server of a base backup as docs/deployment.md makes it, recovered to the moment and open."""
    shutil.copytree(backup, home / "postgres")
    with (home / "postgres" / "postgresql.auto.conf").open("a") as settings:
        settings.write(
            f"restore_command = 'cp {archive}/wal/%f %p'\nrecovery_target_time = '{moment}'\n"
            "recovery_target_timeline = 'current'\nrecovery_target_action = promote\n"
        )
    (home / "postgres" / "recovery.signal").touch()
    hand_over(home / "postgres", like)
    recovered = EmbeddedServer(home)
    recovered.ensure_running()
    wait_until(lambda: execute(recovered, "SELECT pg_is_in_recovery()") == "False")
    return recovered


def test_a_store_is_brought_back_to_the_moment_before_a_mistake_and_to_another_one_after_that() -> None:
    with private_home() as home, private_home() as other, private_home() as third:
        server, archive = EmbeddedServer(home), home / "archive"
        server.ensure_running()
        (archive / "wal").mkdir(parents=True)
        (archive / "base").mkdir()
        hand_over(archive, server.data)
        command = command_into(archive)
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
        execute(server, "SELECT pg_sleep(0.1)", "INSERT INTO kept VALUES (3)")
        later = execute(server, "SELECT clock_timestamp()")
        execute(server, "SELECT pg_sleep(0.1)", "DELETE FROM kept", "SELECT pg_switch_wal()")
        last = execute(server, "SELECT pg_walfile_name(pg_current_wal_lsn() - 1)")
        wait_until(lambda: (archive / "wal" / last).exists())
        server.stop()

        too_early = recover(backup, archive, moment, other, server.data)
        assert execute(too_early, "SELECT array_agg(n ORDER BY n)::text FROM kept") == "{1,2}"
        wait_until(lambda: (archive / "wal" / "00000002.history").exists())  # it archives what it becomes
        too_early.stop()
        right = recover(backup, archive, later, third, server.data)
        assert execute(right, "SELECT array_agg(n ORDER BY n)::text FROM kept") == "{1,2,3}"


def test_a_piece_of_the_log_is_archived_once_and_asked_for_again_is_done_unless_it_differs(tmp_path: Path) -> None:
    (tmp_path / "wal").mkdir()
    piece, other = tmp_path / "piece", tmp_path / "other"
    piece.write_bytes(b"log" * 1000)
    other.write_bytes(b"gol" * 1000)

    def archive(path: Path) -> int:
        command = command_into(tmp_path).replace("%p", str(path)).replace("%f", "000000010000000000000001")
        return subprocess.run(["/bin/sh", "-c", command], check=False, capture_output=True).returncode

    (tmp_path / "wal" / ".000000010000000000000001").write_bytes(b"lo")  # it was killed in the middle
    assert [archive(piece), archive(piece)] == [0, 0]
    assert archive(other) != 0
    assert [path.name for path in (tmp_path / "wal").iterdir()] == ["000000010000000000000001"]
    assert (tmp_path / "wal" / "000000010000000000000001").read_bytes() == piece.read_bytes()


def test_an_archive_that_fails_is_known_until_it_goes_on() -> None:
    with private_home() as home:
        server = EmbeddedServer(home)
        server.ensure_running()
        store = Database(server.url("postgres"), None)
        assert archive_fails(store) is None
        archive = home / "archive"
        execute(
            server,
            "ALTER SYSTEM SET archive_mode = on",
            f"ALTER SYSTEM SET archive_command = '{command_into(archive)}'",
        )
        server.stop()
        server.ensure_running()
        assert archive_fails(store) is False
        execute(server, "CREATE TABLE kept (n int)", "SELECT pg_switch_wal()")
        wait_until(lambda: archive_fails(store) is True)
        (archive / "wal").mkdir(parents=True)
        hand_over(archive, server.data)
        wait_until(lambda: archive_fails(store) is False, 90)  # the server tries again after a minute
