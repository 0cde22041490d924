"""A deployment that faults are done to: a home with its own server, a small market in files, commands as processes."""

import hashlib
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import psutil
import psycopg2

from breadthflow_pipelines.warehouse.database import Database
from breadthflow_pipelines.warehouse.embedded import EmbeddedServer
from breadthflow_pipelines_tests.conftest import private_home
from breadthflow_pipelines_tests.e2e.conftest import BREADTHFLOW, environment
from breadthflow_pipelines_tests.e2e.serving import kill_everything, processes_of
from breadthflow_pipelines_tests.orchestration.conftest import contents_of
from breadthflow_pipelines_tests.orchestration.small_market import SmallMarket

ROOM = "1g"  # of the file system that can be filled; a store and its log of changes take half of it
PATIENCE = 600  # seconds for a command that nobody disturbs, on a machine that others use too
TIDY = 120.0  # seconds until what is dead is known to be, and what it left behind has ended by itself
DATABASES = ("breadthflow", "breadthflow_dagster")


class Deployment:
    """One home, and the market it is fed from."""

    def __init__(self, root: Path, home: Path) -> None:
        self.home = home
        self.market = SmallMarket(root / "market")
        self._base = root / "base"
        self.settings = {"home": home} | {
            name.removeprefix("BREADTHFLOW_").lower(): value for name, value in self.market.environment().items()
        }

    def start(self, *command: object, before: tuple[str, ...] = ()) -> "subprocess.Popen[str]":
        """A command, under way. before: a program that starts it."""
        return subprocess.Popen(
            [*before, BREADTHFLOW, *map(str, command)],
            env=environment(**self.settings),
            cwd="/",
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )

    def start_program(self, name: str, *arguments: str) -> "subprocess.Popen[str]":
        """Another program of this environment, with the deployment's settings."""
        program = Path(BREADTHFLOW).with_name(name)
        return subprocess.Popen(
            [program, *arguments],
            env=environment(**self.settings) | {"DAGSTER_HOME": str(self.home / "dagster")},
            cwd="/",
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )

    def do(self, *command: object) -> None:
        """A command, to its end, which has to be a good one."""
        process = self.start(*command)
        _, said = process.communicate(timeout=PATIENCE)
        assert process.returncode == 0, f"{command} ended with {process.returncode}:\n{said[-3000:]}"

    def url(self, database: str) -> str:
        """The address of a database of the home's server."""
        return EmbeddedServer(self.home).url(database)

    def contents(self) -> dict[str, str]:
        """A digest of the rows of every table, without who wrote them when."""
        server = EmbeddedServer(self.home)
        server.ensure_running()
        rows = contents_of(Database(server.url(DATABASES[0]), None))
        return {table: hashlib.sha256(repr(found).encode()).hexdigest() for table, found in rows.items()}

    def unfinished_runs(self) -> list[str]:
        """Runs of Dagster's that have not ended."""
        return self._of_dagster("SELECT run_id FROM runs WHERE status NOT IN ('SUCCESS', 'FAILURE', 'CANCELED')")

    def daemons(self) -> set[str]:
        """The daemons that Dagster heard of last, by the names that they give themselves."""
        return set(self._of_dagster("SELECT daemon_id FROM daemon_heartbeats"))

    def _of_dagster(self, query: str) -> list[str]:
        """The one column of an answer of Dagster's database."""
        with closing(psycopg2.connect(self.url(DATABASES[1]))) as connection, connection.cursor() as cursor:
            cursor.execute(query)
            return [value for (value,) in cursor.fetchall()]

    def left_behind(self, processes: Callable[[], list[psutil.Process]]) -> str:
        """Runs, and of these processes, what is there after TIDY and ought to have ended; empty if nothing is."""
        deadline = time.monotonic() + TIDY
        while (living := processes()) or (runs := self.unfinished_runs()):
            if time.monotonic() > deadline:
                commands = [" ".join(process.cmdline()) for process in living]
                return f"left behind: processes {commands}" if commands else f"left behind: runs {runs}"
            time.sleep(0.5)
        return ""

    def servers(self) -> list[psutil.Process]:
        """The processes of the database."""
        return [process for process in processes_of(self.home) if process.name() == "postgres"]

    def others(self) -> list[psutil.Process]:
        """The processes that are not the database's."""
        return [process for process in processes_of(self.home) if process.name() != "postgres"]

    def keep_as_base(self) -> None:
        """Remember the home as it is; nothing may be running but the server."""
        EmbeddedServer(self.home).stop()
        self._base.mkdir()
        _copy(self.home, self._base)

    def back_to_base(self) -> None:
        """The home as it was remembered."""
        kill_everything(self.home)
        for path in self.home.iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        _copy(self._base, self.home)


def _copy(source: Path, target: Path) -> None:
    _system("cp", "--archive", f"{source}/.", target)


def _system(program: str, *arguments: object) -> bool:
    """Whether the machine's own program did it."""
    found = shutil.which(program)
    return (
        found is not None
        and not subprocess.run([found, *map(str, arguments)], stderr=subprocess.DEVNULL, check=False).returncode
    )


@contextmanager
def deployment() -> Iterator[tuple[Deployment, bool]]:
    """A deployment on a file system of its own, where this account may mount one; whether that is so."""
    with private_home() as root:
        home = root / "home"
        home.mkdir()
        mounted = _system("mount", "-t", "tmpfs", "-o", f"size={ROOM}", "tmpfs", home)
        home.chmod(0o755)
        place = Deployment(root, home)
        try:
            yield place, mounted
        finally:
            kill_everything(home)
            socket = EmbeddedServer(home).socket_directory()
            if mounted:
                _system("umount", "--lazy", home)
            if socket.exists() and home not in socket.parents:
                shutil.rmtree(socket, ignore_errors=True)
