"""The services of `breadthflow up`: database, code server, webserver, daemon, API, exporter, and how each is checked.

One code server of ours serves webserver and daemon (docs/decisions/serving.md). None of the services starts the
embedded PostgreSQL: they get its address like that of any server, so nothing starts it again once `up` has stopped it.
"""

import os
import re
import sys
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from breadthflow_pipelines.errors import DiskFullError
from breadthflow_pipelines.orchestration.hosting import programs
from breadthflow_pipelines.orchestration.hosting.claim import Holder
from breadthflow_pipelines.orchestration.hosting.family import MARK
from breadthflow_pipelines.orchestration.hosting.instance import CODE_LOCATION
from breadthflow_pipelines.orchestration.hosting.supervisor import Child, Hurried, never
from breadthflow_pipelines.settings import Settings
from breadthflow_pipelines.warehouse import presence
from breadthflow_pipelines.warehouse.embedded import SOCKET_LIMIT, EmbeddedServer, private_directory
from breadthflow_pipelines.warehouse.presence import Claim
from breadthflow_pipelines.warehouse.server_log import ran_out_of_space

HOST = "127.0.0.1"
DATABASE, CODE_SERVER, WEBSERVER, DAEMON = "the database", "the code server", "the webserver", "the daemon"
EXPORTER, API = "the exporter of metrics", "the API"
_COMMAND = "from breadthflow_pipelines.cli import main; main()"
SOCKET = "code-server.sock"
WORKSPACE = "workspace.yaml"  # in DAGSTER_HOME: where the webserver and the daemon find the code server
_PLAIN = re.compile(r"[\w./ +-]+", re.ASCII)  # gRPC reads anything else in a socket's path as part of an address

ANSWER_SECONDS = 10
DAEMON_SILENCE = 300  # seconds without a heartbeat; it sends one every 30


class StoreService:
    """The database: the embedded server, watched and started again, or an external one, which is only waited for."""

    needs: Sequence[str] = ()
    starting = 300.0

    def __init__(self, url: str, server: EmbeddedServer | None, claim: Claim) -> None:
        self.name = "Postgres" if server else DATABASE
        self.silence = 120.0 if server else float("inf")
        self.taken_by: str | None = None  # who holds the claim on it, if it was lost with the connection
        self.complaint = ""  # why the server does not work, where a restart would not help
        self._url, self._server, self._claim = url, server, claim

    def start(self) -> None:
        if self._server is not None:
            self._server.ensure_running()

    def ended(self) -> str | None:
        if self._server is None or self._server.is_running():
            return None
        why = "the disk is full" if ran_out_of_space(self._server.data) else f"{self._server.log} has the reason"
        return f"ended by itself; {why}"

    def answers(self) -> bool:
        if self._server is not None and self._server.is_starting():
            return True  # recovering from a crash takes as long as it takes
        try:
            if not presence.answers(self._url):
                return False
            self.taken_by = self._claim.hold()
        except DiskFullError as error:  # it runs, and goes on by itself once there is room
            self.complaint = str(error)
        else:
            self.complaint = ""
        return True

    def stop(self, seconds: float, hurried: Hurried = never) -> None:  # noqa: ARG002 - a server takes its time
        if self._server is not None:
            self._server.stop(at_once=True)


def children(
    settings: Settings, holder: Holder, home: Path, url: str, dagster_url: str, database: str
) -> tuple[Child, Child, Child]:
    """The code server, the webserver and the daemon.

    home: DAGSTER_HOME. url, dagster_url: the store's database and Dagster's. database: the service that they need.
    """
    socket = code_socket(home)
    workspace = _written_workspace(home, socket)
    environment = _environment(settings, holder, home, url, dagster_url)

    def child(name: str, which: str, given: Sequence[str], asks: Callable[[], bool], **more: object) -> Child:
        command = [sys.executable, "-m", programs.MODULE, which, str(socket), *given]
        return Child(name, command, asks, log=home / f"{which}.log", environment=environment, **more)  # type: ignore[arg-type]

    grpc = [
        "api",
        "grpc",
        "--socket",
        str(socket),
        "--module-name",
        programs.DEFINITIONS,
        "--location-name",
        CODE_LOCATION,
    ]
    page = f"http://{HOST}:{holder.port}/server_info"
    return (
        child(
            *(CODE_SERVER, programs.CODE_SERVER, grpc),
            lambda: programs.code_server_serves(str(socket), ANSWER_SECONDS),
            needs=[database],
            silence=90,
        ),
        child(
            *(WEBSERVER, programs.WEBSERVER, ["-h", HOST, "-p", str(holder.port), "-w", str(workspace)]),
            lambda: page_answers(page),
            needs=[database],
            silence=90,
            starting=180 + programs.WAIT_SECONDS,
        ),
        child(
            *(DAEMON, programs.DAEMON, ["run", "-w", str(workspace)]),
            lambda: daemon_beats(dagster_url),
            needs=[database, CODE_SERVER, WEBSERVER],  # last, as people wait for the UI
            silence=DAEMON_SILENCE,
            starting=DAEMON_SILENCE,
        ),
    )


def exporter(settings: Settings, holder: Holder, home: Path, url: str, dagster_url: str, port: int) -> Child:
    """What serves figures to Prometheus. It needs no other service: that one is down is what it has to say."""
    return Child(
        EXPORTER,
        [sys.executable, "-c", _COMMAND, "metrics", "--host", HOST, "--port", str(port)],
        lambda: page_answers(metrics_address(port)),
        log=home / "metrics.log",
        environment=_environment(settings, holder, home, url, dagster_url),
        silence=120,  # each of two databases has ten seconds to answer
    )


@dataclass(frozen=True)
class ApiAt:
    """Where the API is served. open: whether it asks nobody for a token."""

    port: int
    open: bool = False

    @property
    def address(self) -> str:
        return f"http://{HOST}:{self.port}"


def api(settings: Settings, holder: Holder, home: Path, url: str, dagster_url: str, at: ApiAt, database: str) -> Child:
    """What serves the API and the page. Runs go through the webserver; reading goes on without it."""
    environment = _environment(settings, holder, home, url, dagster_url)
    return Child(
        API,
        [sys.executable, "-c", _COMMAND, "serve", "--port", str(at.port), *(["--open"] if at.open else [])],
        lambda: page_answers(f"{at.address}/health"),
        log=home / "api.log",
        environment={**environment, "BREADTHFLOW_WEBSERVER_URL": holder.address},
        needs=[database],
        silence=120,
    )


def metrics_address(port: int) -> str:
    """Where the figures are."""
    return f"http://{HOST}:{port}/metrics"


def page_answers(address: str) -> bool:
    """Whether a page is served."""
    with urllib.request.urlopen(address, timeout=ANSWER_SECONDS) as answer:  # noqa: S310 - our own address
        return bool(answer.status == 200)


def daemon_beats(dagster_url: str) -> bool:
    """Whether the daemon sent a heartbeat lately; two may be missing."""
    silence = presence.daemon_silence(dagster_url)
    return silence is not None and silence.total_seconds() < DAEMON_SILENCE / 5


def code_socket(home: Path) -> Path:
    """Where the code server listens: in ``home``, or in a private directory where that is not a path for gRPC."""
    socket = home / SOCKET
    if _PLAIN.fullmatch(str(socket)) and len(os.fsencode(socket)) <= SOCKET_LIMIT:
        return socket
    return private_directory(home, None) / SOCKET


def _written_workspace(home: Path, socket: Path) -> Path:
    path = home / WORKSPACE
    path.write_text(
        "# Written by `breadthflow up` each time it starts.\n"
        f'load_from:\n  - grpc_server: {{socket: "{socket}", location_name: "{CODE_LOCATION}"}}\n'
    )
    return path


def _environment(settings: Settings, holder: Holder, home: Path, url: str, dagster_url: str) -> Mapping[str, str]:
    """The environment of the child processes: the settings as they apply here, whatever their working directory is."""
    inherited = {name: value for name, value in os.environ.items() if not name.upper().startswith("BREADTHFLOW_")}
    return {
        **inherited,
        **settings.environment(),
        "BREADTHFLOW_DATABASE_URL": url,
        "BREADTHFLOW_DAGSTER_DATABASE_URL": dagster_url,
        "DAGSTER_HOME": str(home),
        "PYTHONUNBUFFERED": "1",
        MARK: holder.token,
        "PGAPPNAME": client_name(holder),
    }


def client_name(holder: Holder) -> str:
    """What the connections of an `up` and of its processes are called on the server."""
    return f"breadthflow up {holder.token}"
