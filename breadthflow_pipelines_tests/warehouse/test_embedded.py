"""The server in BREADTHFLOW_HOME: started, found, stopped, and brought back after what can happen to it.

Every server here is one that the test itself started; nothing is faked but the state that an accident leaves behind.
"""

import os
import shutil
import signal
import stat
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import psycopg2
import pytest

from breadthflow_pipelines.errors import BreadthFlowError, RequestError
from breadthflow_pipelines.warehouse import embedded
from breadthflow_pipelines.warehouse.embedded import SOCKET_LIMIT, EmbeddedServer
from breadthflow_pipelines_tests.conftest import private_home, start_python, wait_until

AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root's server has an account of its own")
NOBODY = 65534

START = """
import sys
from pathlib import Path
import psycopg2
from breadthflow_pipelines.errors import BreadthFlowError
from breadthflow_pipelines.warehouse.embedded import EmbeddedServer
server = EmbeddedServer(Path(sys.argv[1]))
try:
    server.ensure_running()
except BreadthFlowError as error:
    print(error, file=sys.stderr)
    sys.exit(error.exit_status)
psycopg2.connect(server.url("postgres")).close()
print((server.data / "postmaster.pid").read_text().split()[0], flush=True)
"""


@pytest.fixture(scope="module")
def seed() -> Iterator[Path]:
    """A home whose store was made and stopped: initdb takes a second, a copy a tenth."""
    with private_home() as home:
        EmbeddedServer(home).ensure_running()
        EmbeddedServer(home).stop()
        yield home


@pytest.fixture
def stored(seed: Path) -> Iterator[Callable[[Path], EmbeddedServer]]:
    """Puts a stopped store where it is told, and stops what was started on it."""
    servers = []

    def put(place: Path) -> EmbeddedServer:
        subprocess.run(["cp", "-a", seed, place], check=True)  # noqa: S607 - keeps the account's ownership
        servers.append(EmbeddedServer(place))
        return servers[-1]

    yield put
    for server in servers:
        server.stop()
        if server.socket_directory() != server.data:
            shutil.rmtree(server.socket_directory(), ignore_errors=True)


def postmaster(server: EmbeddedServer) -> int:
    """The server's process number; fails unless it takes connections."""
    psycopg2.connect(server.url("postgres")).close()
    return int((server.data / "postmaster.pid").read_text().split()[0])


def postmasters(server: EmbeddedServer) -> list[int]:
    """All running servers on that data, by what the operating system says."""
    found = []
    for process in psutil.process_iter(["ppid", "cmdline"]):
        command = process.info["cmdline"] or []
        if command[1:3] == ["-D", str(server.data)] and Path(command[0]).name == "postgres":
            found.append(process.pid)
    return found


def kill(server: EmbeddedServer) -> None:
    """What the kernel does to a server when memory runs out."""
    process = psutil.Process(postmaster(server))
    children = process.children()
    process.kill()
    psutil.wait_procs([process, *children], timeout=20)


def modes(path: Path) -> dict[Path, int]:
    return {place: place.stat().st_mode for place in (path, *path.parents)}


def test_the_server_starts_on_demand_outlives_its_starter_is_found_by_others_and_stops(home: Path) -> None:
    server = EmbeddedServer(home)
    before = modes(home)
    assert not server.is_running()
    starter = start_python(START + "import time; time.sleep(60)", home, start_new_session=True)
    assert starter.stdout is not None
    number = int(starter.stdout.readline())
    os.killpg(starter.pid, signal.SIGKILL)  # the terminal's whole process group: nothing of it may be the server
    starter.communicate()

    server.ensure_running()
    assert server.is_running()
    assert postmaster(server) == number
    output, _ = start_python(START, home).communicate(timeout=60)
    assert int(output) == number
    assert modes(home) == before

    server.stop()
    assert not server.is_running()
    wait_until(lambda: not psutil.pid_exists(number))
    server.stop()  # once more is not an error


def test_four_commands_at_once_on_an_empty_home_end_with_one_server(home: Path) -> None:
    starters = [start_python(START, home) for _ in range(4)]
    answers = [starter.communicate(timeout=120) for starter in starters]
    assert [starter.returncode for starter in starters] == [0] * 4, answers
    numbers = {int(output) for output, _ in answers}
    assert sorted(numbers) == postmasters(EmbeddedServer(home))
    assert len(numbers) == 1


@pytest.mark.slow
def test_what_was_committed_survives_a_killed_server_whose_number_now_belongs_to_another_process(
    stored: Callable[[Path], EmbeddedServer], home: Path, request: pytest.FixtureRequest
) -> None:
    other = (request.getfixturevalue("server").data / "postmaster.pid").read_text().splitlines()[0]
    server = stored(home / "store")
    server.ensure_running()
    with psycopg2.connect(server.url("postgres")) as connection, connection.cursor() as cursor:
        cursor.execute("CREATE TABLE kept AS SELECT 42 AS answer")
    connection.close()
    kill(server)
    for lock, number in (
        (server.data / "postmaster.pid", str(os.getpid())),
        (server.socket_directory() / ".s.PGSQL.5432.lock", other),  # of the account's own, which PostgreSQL respects
    ):
        left_behind = lock.read_text().splitlines()
        lock.write_text("\n".join([number, *left_behind[1:]]))

    assert not server.is_running()
    server.stop()  # may not touch the process that has the number now, which is this one
    server.ensure_running()
    with psycopg2.connect(server.url("postgres")) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT answer FROM kept")
        assert cursor.fetchall() == [(42,)]
    connection.close()
    assert len(postmasters(server)) == 1


def kernel_thread() -> str:
    return next((str(p.pid) for p in psutil.process_iter() if p.pid != os.getpid() and not p.cmdline()), "")


@pytest.mark.parametrize(
    "content",
    [
        "",  # cut short by a full disk
        "not a number\n",
        "999999999\n",  # nobody has it
        pytest.param(  # after a reboot small numbers belong to the kernel, whose threads have no command line
            f"{kernel_thread()}\n", marks=pytest.mark.skipif(not kernel_thread(), reason="no kernel thread in sight")
        ),
    ],
)
def test_a_pid_file_that_names_no_server_is_put_aside(
    stored: Callable[[Path], EmbeddedServer], home: Path, content: str
) -> None:
    server = stored(home / "store")
    (server.data / "postmaster.pid").write_text(content)
    assert not server.is_running()
    server.ensure_running()
    assert postmasters(server) == [postmaster(server)]


def removed(server: EmbeddedServer) -> None:
    shutil.rmtree(server.home)


def moved_away(server: EmbeddedServer) -> None:
    server.home.rename(server.home.with_name("elsewhere"))


def without_its_socket(server: EmbeddedServer) -> None:
    (server.socket_directory() / ".s.PGSQL.5432").unlink()


def without_its_number(server: EmbeddedServer) -> None:
    (server.data / "postmaster.pid").unlink()


@pytest.mark.parametrize("place", ["store", "deep" * 30])  # whose socket lies beside the data, or elsewhere
@pytest.mark.parametrize("happened", [removed, moved_away, without_its_socket, without_its_number])
def test_a_server_that_nobody_can_reach_any_more_makes_room_for_the_next(
    stored: Callable[[Path], EmbeddedServer], home: Path, happened: Callable[[EmbeddedServer], None], place: str
) -> None:
    server = stored(home / place)
    server.ensure_running()
    before = postmaster(server)
    happened(server)
    server.ensure_running()
    assert postmaster(server) != before
    assert postmasters(server) == [postmaster(server)]  # the other one would take this one's socket with it
    server.ensure_running()
    assert postmasters(server) == [postmaster(server)]


def test_a_home_too_deep_for_a_socket_gets_one_elsewhere_that_others_may_not_enter(
    stored: Callable[[Path], EmbeddedServer], home: Path
) -> None:
    server = stored(home / ("deep" * 30))
    assert len(os.fsencode(server.data / ".s.PGSQL.5432")) > SOCKET_LIMIT
    server.ensure_running()
    number = postmaster(server)
    assert server.socket_directory() != server.data
    assert stat.S_IMODE(server.socket_directory().stat().st_mode) == 0o700
    assert server.socket_directory().stat().st_uid == server.data.stat().st_uid
    elsewhere = home / "another-temporary-directory"  # cron and desktops set TMPDIR differently
    elsewhere.mkdir()
    output, errors = start_python(START, server.home, env={**os.environ, "TMPDIR": str(elsewhere)}).communicate()
    assert output.strip() == str(number), errors


def test_a_directory_that_somebody_else_put_where_the_socket_belongs_is_refused(
    stored: Callable[[Path], EmbeddedServer], home: Path
) -> None:
    server = stored(home / ("deep" * 30))
    server.socket_directory().mkdir()
    server.socket_directory().chmod(0o777)
    with pytest.raises(RequestError, match=f"{server.socket_directory()} is in the way"):
        server.ensure_running()


@pytest.mark.parametrize(
    "name",
    [
        "with a space",
        "märkte",
        "100%20",  # not a percent-encoded space
        "it's",
        "$HOME",  # pg_ctl starts the server through a shell
        "a,b",  # a comma parts two socket directories
    ],
)
def test_a_home_of_any_name_works_or_is_refused_by_name(
    stored: Callable[[Path], EmbeddedServer], home: Path, name: str
) -> None:
    server = stored(home / name)
    output, errors = start_python(START, server.home).communicate()
    assert output.strip() == str(postmaster(server)) if output else errors.startswith(f"BREADTHFLOW_HOME={server.home}")


def test_two_paths_to_one_home_mean_one_server(stored: Callable[[Path], EmbeddedServer], home: Path) -> None:
    server = stored(home / "store")
    server.ensure_running()
    (home / "link").symlink_to(home / "store")
    for path in (home / "link", home / "link" / ".." / "store"):
        other = EmbeddedServer(path)
        other.ensure_running()
        assert postmaster(other) == postmaster(server)
    EmbeddedServer(home / "link").stop()
    assert not server.is_running()


@pytest.mark.parametrize("when", ["at the start", "later"])
def test_variables_meant_for_other_databases_do_not_disturb(
    stored: Callable[[Path], EmbeddedServer], home: Path, when: str
) -> None:
    server = stored(home / "store")
    disturbing = {"PGPORT": "5999", "PGHOST": "nowhere.invalid", "PGUSER": "somebody", "PGDATABASE": "x"}
    if when == "later":
        server.ensure_running()
    output, errors = start_python(START, server.home, env={**os.environ, **disturbing}).communicate()
    assert output.strip() == str(postmaster(server)), errors


def test_a_language_that_this_machine_lacks_does_not_hinder_the_first_start(home: Path) -> None:
    output, errors = start_python(START, home, env={**os.environ, "LC_ALL": "xx_XX.UTF-8"}).communicate()
    assert output.strip() == str(postmaster(EmbeddedServer(home))), errors


def test_what_an_interrupted_initdb_left_is_replaced(home: Path) -> None:
    server = EmbeddedServer(home)
    starter = start_python(START, home, start_new_session=True)
    wait_until(lambda: any(home.glob("postgres.new-*/global")))
    os.killpg(starter.pid, signal.SIGKILL)  # initdb itself as well, so that nothing cleans up
    starter.communicate()
    assert not server.data.exists()
    assert any(home.glob("postgres.new-*/*"))
    server.ensure_running()
    assert postmasters(server) == [postmaster(server)]
    assert not any(home.glob("postgres.new-*"))


def test_an_initdb_that_outlives_its_killed_starter_does_not_disturb_the_next(home: Path) -> None:
    server = EmbeddedServer(home)
    starter = start_python(START, home)
    wait_until(lambda: any(home.glob("postgres.new-*/PG_VERSION")))
    starter.kill()
    starter.communicate()
    server.ensure_running()
    assert postmasters(server) == [postmaster(server)]


def test_foreign_files_in_the_place_of_the_data_are_not_touched(home: Path) -> None:
    (home / "postgres").mkdir()
    (home / "postgres" / "thesis.txt").write_text("years of work")
    with pytest.raises(BreadthFlowError, match="postgres"):
        EmbeddedServer(home).ensure_running()
    assert (home / "postgres" / "thesis.txt").read_text() == "years of work"


@pytest.mark.parametrize("below", ["", "deeper"])
def test_a_home_that_is_a_file_is_refused(home: Path, below: str) -> None:
    (home / "file").write_text("")
    server = EmbeddedServer(home / "file" / below)
    with pytest.raises(RequestError, match=f"BREADTHFLOW_HOME={server.home} cannot be made"):
        server.ensure_running()
    server.stop()  # nothing to stop, nothing to complain of


def as_user(number: int, home: Path) -> str:
    """What starting a server on that home says to a user: the server's process number, or the refusal.

    The present process is forked, since other users may not be able to enter the directory of its interpreter.
    """
    reader, writer = os.pipe()
    if (child := os.fork()) == 0:
        if os.geteuid() == 0:
            os.setgroups([])
            os.setgid(number)
            os.setuid(number)
        try:
            EmbeddedServer(home).ensure_running()
            answer = (home / "postgres" / "postmaster.pid").read_text().split()[0]
        except BaseException as error:  # noqa: BLE001 - nothing may get past the fork
            answer = f"{type(error).__name__}: {error}"
        os.write(writer, answer.encode())
        os._exit(0)
    os.close(writer)
    os.waitpid(child, 0)
    with os.fdopen(reader) as pipe:
        return pipe.read()


def test_a_home_that_is_not_writable_is_refused(home: Path) -> None:
    home.chmod(0o555)
    answer = as_user(NOBODY, home)
    assert answer == f"RequestError: BREADTHFLOW_HOME={home} is not writable for you; choose another directory."


@pytest.mark.slow
@AS_ROOT
def test_an_ordinary_user_s_server_runs_as_that_user_and_others_are_sent_away(home: Path) -> None:
    os.chown(home, NOBODY, NOBODY)
    server = psutil.Process(int(as_user(NOBODY, home)))
    assert server.uids().real == NOBODY
    assert "belongs to another user" in as_user(1, home)
    server.send_signal(signal.SIGINT)  # a fast shutdown; stop() would use root's account
    server.wait(20)


@AS_ROOT
def test_root_s_server_runs_as_an_account_of_its_own(stored: Callable[[Path], EmbeddedServer], home: Path) -> None:
    server = stored(home / "store")
    server.ensure_running()
    process = psutil.Process(postmaster(server))
    assert process.username() == embedded.ACCOUNT
    assert process.uids().real != 0


@AS_ROOT
def test_root_s_home_below_a_private_directory_is_refused_and_nobody_s_permissions_change(home: Path) -> None:
    private = home / "private"
    private.mkdir(mode=0o700)
    before = modes(private)
    starter = start_python(START, private / "home")
    _, errors = starter.communicate()
    assert starter.returncode == 2
    assert f"lies in {private}, which only its owner may enter" in errors
    assert modes(private) == before
    assert not (private / "home" / "postgres").exists()


@AS_ROOT
def test_root_s_home_made_under_a_strict_umask_works(home: Path) -> None:
    starter = start_python(START, home / "made" / "by us", umask=0o077)
    output, errors = starter.communicate()
    EmbeddedServer(home / "made" / "by us").stop()
    assert output, errors


@AS_ROOT
@pytest.mark.parametrize("umask", [0o022, 0o077])
def test_programs_in_a_private_directory_are_copied_to_where_the_account_may_run_them(
    stored: Callable[[Path], EmbeddedServer], home: Path, monkeypatch: pytest.MonkeyPatch, umask: int
) -> None:
    server = stored(home / "store")
    closed_to_others = embedded._closed_to_others
    monkeypatch.setattr(
        embedded, "_closed_to_others", lambda path: path if "pixeltable" in path.name else closed_to_others(path)
    )
    previous = os.umask(umask)
    try:
        server.ensure_running()
    finally:
        os.umask(previous)
    program = Path(psutil.Process(postmaster(server)).exe())
    assert program.is_relative_to(server.home)
    made = program.stat().st_mtime_ns, program.stat().st_ino
    server.stop()
    server.ensure_running()
    assert (program.stat().st_mtime_ns, program.stat().st_ino) == made  # copied once


def test_a_server_that_cannot_start_names_its_log(stored: Callable[[Path], EmbeddedServer], home: Path) -> None:
    server = stored(home / "store")
    (server.data / "postgresql.auto.conf").write_text("no_such_setting = 1\n")
    began = time.monotonic()
    with pytest.raises(BreadthFlowError, match=r"server\.log") as failure:
        server.ensure_running()
    assert failure.value.exit_status == 3
    assert time.monotonic() - began < 10
