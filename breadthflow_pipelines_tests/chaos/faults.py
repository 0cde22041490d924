"""What goes wrong: each fault strikes a deployment while a command is under way, and is over when its block ends."""

import os
import random
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
import psycopg2
from psycopg2 import sql

from breadthflow_pipelines.orchestration.hosting.family import run_workers
from breadthflow_pipelines.orchestration.hosting.programs import CODE_SERVER, DAEMON, WEBSERVER
from breadthflow_pipelines_tests.chaos.deployment import DATABASES, PATIENCE, Deployment
from breadthflow_pipelines_tests.e2e.serving import kill_everything

HANGS = 4.0  # seconds that a source gives nothing
LEFT = 200_000  # bytes on a full disk
CHANGED = ("bars", "breadth_counts", "market_signals", "price_indicators", "symbol_signals")
LOCKED = 3.0  # seconds that a migration takes
BEGUN = 120.0  # seconds in which a run begins after files arrived, and a daemon after it was started
LASTING = 8.0  # seconds of a run


@dataclass(frozen=True)
class Attack:
    """A command under way in a deployment, and the dice that say what is hit."""

    place: Deployment
    command: tuple[object, ...]
    process: "subprocess.Popen[str]"
    dice: random.Random


@dataclass(frozen=True)
class Fault:
    """before: a program that starts the command. needs: what this machine must let us do; empty: nothing.

    awaits_run: it waits for its moment itself.
    """

    name: str
    strike: Callable[[Attack], AbstractContextManager[None]]
    before: tuple[str, ...] = ()
    needs: str = ""
    awaits_run: bool = False


@contextmanager
def _nothing(_: Attack) -> Iterator[None]:
    yield


@contextmanager
def _command_killed(attack: Attack) -> Iterator[None]:
    attack.process.kill()
    yield


@contextmanager
def _power_cut(attack: Attack) -> Iterator[None]:
    kill_everything(attack.place.home)
    yield


def _program_killed(program: str) -> Callable[[Attack], AbstractContextManager[None]]:
    """One of the programs that `up` starts."""

    @contextmanager
    def strike(attack: Attack) -> Iterator[None]:
        _kill([process for process in attack.place.others() if program in process.cmdline()], attack.dice)
        yield

    return strike


@contextmanager
def _run_killed(attack: Attack) -> Iterator[None]:
    """The process of a run, some time after it began; where none begins, nothing was to be done any more."""
    deadline = time.monotonic() + BEGUN
    while not (workers := run_workers(attack.place.others())) and time.monotonic() < deadline:
        time.sleep(0.2)
    time.sleep(attack.dice.uniform(0, LASTING))
    _kill(workers, attack.dice)
    yield


@contextmanager
def _database_killed(attack: Attack) -> Iterator[None]:
    """The first of its processes, from which the others come, or any of them."""
    servers = sorted(attack.place.servers(), key=lambda process: process.pid)
    _kill(servers[:1] if attack.dice.random() < 0.6 else servers, attack.dice)
    yield


def _kill(processes: list[psutil.Process], dice: random.Random) -> None:
    if processes:
        with suppress(psutil.Error):
            dice.choice(processes).kill()


@contextmanager
def _connections_cut(attack: Attack) -> Iterator[None]:
    with suppress(psycopg2.Error):
        connection = psycopg2.connect(attack.place.url(DATABASES[0]))
        with connection, connection.cursor() as cursor:
            cursor.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'"
            )
        connection.close()
    yield


@contextmanager
def _disk_full(attack: Attack) -> Iterator[None]:
    ballast, piece = attack.place.home / "ballast", bytes(65_536)
    with ballast.open("wb") as file, suppress(OSError):
        for _ in range(max(0, shutil.disk_usage(attack.place.home).free - LEFT) // len(piece)):
            file.write(piece)
    yield
    ballast.unlink()


@contextmanager
def _source_hangs(attack: Attack) -> Iterator[None]:
    """One file gives nothing when it is read, and after a while its end."""
    path = attack.dice.choice(sorted(attack.place.market.bars.glob("*.csv")))
    aside = path.rename(path.with_suffix(".aside"))
    os.mkfifo(path)
    with suppress(subprocess.TimeoutExpired):
        attack.process.wait(HANGS)
    _end(path)
    aside.rename(path)
    yield


def _end(pipe: Path) -> None:
    with suppress(OSError):  # nobody reads it
        os.close(os.open(pipe, os.O_WRONLY | os.O_NONBLOCK))


@contextmanager
def _the_same_twice(attack: Attack) -> Iterator[None]:
    second = attack.place.start(*attack.command)
    yield
    second.communicate(timeout=PATIENCE)


@contextmanager
def _tables_migrated(attack: Attack) -> Iterator[None]:
    """What an upgrade does: a table gets a column, which nobody can read meanwhile, and grants are renewed."""
    table = sql.Identifier(attack.dice.choice(CHANGED))
    connection = psycopg2.connect(attack.place.url(DATABASES[0]))
    with connection, connection.cursor() as cursor:
        cursor.execute(sql.SQL("ALTER TABLE {} ADD COLUMN added boolean").format(table))
        time.sleep(LOCKED)
    upgrade = attack.place.start("db", "upgrade")
    yield
    upgrade.communicate(timeout=PATIENCE)
    with connection, connection.cursor() as cursor:  # a run drops columns of formulas that it does not know
        cursor.execute(sql.SQL("ALTER TABLE {} DROP COLUMN IF EXISTS added").format(table))
    connection.close()


@contextmanager
def _another_daemon(attack: Attack) -> Iterator[None]:
    """It works beside the first one for as long as the fault lasts."""
    before = attack.place.daemons()
    other = attack.place.start_program("dagster-daemon", "run", "-m", "breadthflow_pipelines.definitions")
    deadline = time.monotonic() + BEGUN
    while not attack.place.daemons() - before:
        assert time.monotonic() < deadline, "the second daemon does not begin"
        time.sleep(0.5)
    yield
    other.kill()
    other.communicate()


MOUNT, FAKETIME = "a file system of its own (mount)", "faketime"

OF_COMMANDS = (
    Fault("the command is killed", _command_killed),
    Fault("the power is cut", _power_cut),
    Fault("the database is killed", _database_killed),
    Fault("connections are cut", _connections_cut),
    Fault("the disk is full", _disk_full, needs=MOUNT),
    Fault("the source hangs", _source_hangs),
    Fault("the clock is three days ahead", _nothing, before=("faketime", "-f", "+3d"), needs=FAKETIME),
    Fault("the clock is three days behind", _nothing, before=("faketime", "-f", "-3d"), needs=FAKETIME),
    Fault("the same command runs twice", _the_same_twice),
    Fault("a table is migrated meanwhile", _tables_migrated),
)
OF_SERVICES = (
    Fault("`up` is killed", _command_killed),
    Fault("the code server is killed", _program_killed(CODE_SERVER)),
    Fault("the daemon is killed", _program_killed(DAEMON)),
    Fault("the webserver is killed", _program_killed(WEBSERVER)),
    Fault("the run is killed", _run_killed, awaits_run=True),
    Fault("the power is cut", _power_cut),
    Fault("the database is killed", _database_killed),
    Fault("connections are cut", _connections_cut),
    Fault("the disk is full", _disk_full, needs=MOUNT),
    Fault("the source hangs", _source_hangs),
    Fault("a second daemon is started", _another_daemon),
    Fault("a table is migrated meanwhile", _tables_migrated),
)


def possible(faults: tuple[Fault, ...], *, mounted: bool) -> tuple[list[Fault], list[str]]:
    """The faults that can be done on this machine, and what the others would need."""
    here = {"": True, MOUNT: mounted, FAKETIME: shutil.which("faketime") is not None}
    return [fault for fault in faults if here[fault.needs]], sorted(
        {fault.needs for fault in faults if not here[fault.needs]}
    )
