"""`breadthflow up`: one for each store. It starts the services, keeps them running, and stops them in order.

Why it is done in this way: docs/decisions/serving.md.
"""

import os
import signal
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from breadthflow_pipelines.errors import BreadthFlowError, RequestError
from breadthflow_pipelines.observability.rotation import rotate
from breadthflow_pipelines.orchestration.hosting.claim import Holder, claimed
from breadthflow_pipelines.orchestration.hosting.family import end, family, run_workers
from breadthflow_pipelines.orchestration.hosting.instance import prepare_dagster_home
from breadthflow_pipelines.orchestration.hosting.services import (
    API,
    CODE_SERVER,
    DAEMON,
    EXPORTER,
    HOST,
    WEBSERVER,
    ApiAt,
    StoreService,
    api,
    children,
    client_name,
    exporter,
    metrics_address,
)
from breadthflow_pipelines.orchestration.hosting.supervisor import Hurried, Say, Supervisor, sentence
from breadthflow_pipelines.settings import Settings
from breadthflow_pipelines.warehouse import presence
from breadthflow_pipelines.warehouse.bounded import reader_of
from breadthflow_pipelines.warehouse.database import dagster_url, open_database
from breadthflow_pipelines.warehouse.embedded import EmbeddedServer
from breadthflow_pipelines.warehouse.presence import Claim

POLL_SECONDS = 0.2
ROTATE_SECONDS = 60
# Seconds that each has to stop by itself. A run inside a library call notices when that returns.
DAEMON_STOP, RUNS_STOP, WEBSERVER_STOP, CODE_SERVER_STOP, EXPORTER_STOP, LEFT_STOP = 20, 30, 10, 10, 5, 5
API_STOP = 10


def serve(settings: Settings, port: int, say: Say, metrics_port: int | None = None, api_at: ApiAt | None = None) -> int:
    """Keep all of it running until Ctrl-C, SIGTERM or a failure that a restart does not mend; gives the exit status.

    metrics_port, api_at: where to serve figures to Prometheus and the API as well, if anywhere.

    Raises:
        RequestError: the store has an `up` already, or the port is taken; nothing was touched.
        DatabaseError: the database does not start.
    """
    say = _ignoring_a_closed_terminal(say)
    with _stops() as stops, _home_claimed(settings, port) as (holder, before):
        if before is not None:
            _take_over(before, say)
        _refuse_taken(port, "--port")
        if metrics_port is not None:
            _refuse_taken(metrics_port, "--metrics-port")
        if api_at is not None:
            _refuse_taken(api_at.port, "--api-port")
        os.environ["PGAPPNAME"] = client_name(holder)
        server = EmbeddedServer(settings.home) if settings.database_url is None else None
        try:
            return _serve_store(settings, holder, server, metrics_port, api_at, stops, say)
        except BreadthFlowError:
            if stops.asked:  # Ctrl-C ends what starts PostgreSQL as well
                return 0
            raise
        finally:
            if server is not None:
                _stop_postgres(server, holder, say)


def _serve_store(
    settings: Settings,
    holder: Holder,
    server: EmbeddedServer | None,
    metrics_port: int | None,
    api_at: ApiAt | None,
    stops: "_Stops",
    say: Say,
) -> int:
    home = prepare_dagster_home(settings)
    url, dagster = open_database(settings).url, dagster_url(settings)
    claim = Claim(dagster, "up", f"breadthflow up, process {holder.pid}, port {holder.port} of {holder.host}")
    if (other := claim.hold()) is not None:
        raise RequestError(f"This database has a {other}. Stop that one first: two daemons would run everything twice.")
    store = StoreService(url, server, claim)
    started = [*children(settings, holder, home, url, dagster, store.name)]
    if metrics_port is not None:
        started.append(exporter(settings, holder, home, url, dagster, metrics_port))
    if api_at is not None and _can_read(url, say):
        started.append(api(settings, holder, home, url, dagster, api_at, store.name))

    def answered(name: str) -> None:
        if name == WEBSERVER:
            say(f"Dagster UI: {holder.address}  (Ctrl-C stops everything)")
        elif name == EXPORTER:
            say(f"Metrics: {metrics_address(metrics_port or 0)}")
        elif name == API and api_at is not None:
            say(f"API and page: {api_at.address}  ({_whom(api_at)})")

    supervisor = Supervisor([store, *started], say, answered=answered)
    try:
        say(f"Starting the Dagster UI and the daemon; their logs are in {home}.")
        logs = [child.log for child in started]
        return _watch(supervisor, store, [*logs, server.log] if server else logs, stops, say)
    finally:
        _stop(supervisor, holder, settings, dagster, stops, say)
        claim.release()


def _can_read(url: str, say: Say) -> bool:
    """Whether this login may read as the API does; without that, all else is served."""
    try:
        reader_of(url)
    except RequestError as error:
        say(f"The API is not started. {error}")
        return False
    return True


def _whom(api_at: ApiAt) -> str:
    if api_at.open:
        return "open: whoever is on this machine needs no token"
    return "breadthflow token create NAME makes a token for it"


def _watch(supervisor: Supervisor, store: StoreService, logs: Sequence[Path], stops: "_Stops", say: Say) -> int:
    looked, complained = time.monotonic(), ""
    while not stops.asked:
        if store.complaint != complained:
            complained = store.complaint
            say(complained or "The database works again.")
        if time.monotonic() - looked > ROTATE_SECONDS:
            looked = time.monotonic()
            for log in logs:
                rotate(log)
        trouble = supervisor.step()
        if store.taken_by is not None:
            trouble = f"The database was out of reach, and meanwhile another one took it over: {store.taken_by}."
        if trouble is not None:
            say(trouble)
            return 1
        time.sleep(POLL_SECONDS)
    return 0


def _stop(supervisor: Supervisor, holder: Holder, settings: Settings, dagster: str, stops: "_Stops", say: Say) -> None:
    """Stop all that was started: the API and the daemon, which launch runs, then runs, and what they need."""
    hurried = stops.hurry_from_now()

    def stop(name: str, seconds: float) -> None:
        if supervisor.stop(name, seconds, hurried):
            say(f"{sentence(name)} stopped.")

    stop(API, API_STOP)
    stop(DAEMON, DAEMON_STOP)
    _stop_runs(holder, hurried, say)
    stop(WEBSERVER, WEBSERVER_STOP)
    stop(CODE_SERVER, CODE_SERVER_STOP)
    stop(EXPORTER, EXPORTER_STOP)
    end(family(holder.token), LEFT_STOP, hurried)
    if not hurried():  # otherwise the next start does it
        _mark_dead_runs(settings, dagster)


def _stop_runs(holder: Holder, hurried: Hurried, say: Say) -> None:
    workers = run_workers(family(holder.token))
    if not workers:
        return
    many = _counted(len(workers), "run")
    say(f"Stopping {many}, which may take {RUNS_STOP} s; Ctrl-C once more hurries.")
    killed = end(workers, RUNS_STOP, hurried)
    how = f", {len(killed)} by force" if killed else ""
    say(f"{many} stopped{how}. What was committed is kept; the next start tries again.")


def _mark_dead_runs(settings: Settings, dagster: str) -> None:
    """Record that killed runs are over; those that stopped by themselves have recorded it."""
    try:
        if not presence.unfinished_runs(dagster):
            return
        from breadthflow_pipelines.orchestration.hosting.instance import dagster_instance
        from breadthflow_pipelines.orchestration.hosting.liveness import end_dead_runs

        with dagster_instance(settings) as instance:
            end_dead_runs(instance, nobody_launches=True)
    except BreadthFlowError:  # the database is down; the next start does it
        return


def _stop_postgres(server: EmbeddedServer, holder: Holder, say: Say) -> None:
    if not server.is_running():
        return
    try:
        others = presence.others(server.url("postgres"), client_name(holder))
    except BreadthFlowError:
        others = []
    if others:
        names = ", ".join(sorted({name or "without a name" for name in others}))
        say(f"Postgres keeps running: {_counted(len(others), 'connection')} of others ({names}).")
        return
    try:
        server.stop()
        say("Postgres stopped.")
    except BreadthFlowError as error:
        say(f"Postgres did not stop: {error}")


def _take_over(before: Holder, say: Say) -> None:
    """End the processes that a killed `up` left behind unwatched."""
    left = family(before.token)
    if left:
        say(
            f"Taking over from process {before.pid}, which died without stopping {_counted(len(left), 'process')}: "
            "ending them first."
        )
        end(left, RUNS_STOP)


@contextmanager
def _home_claimed(settings: Settings, port: int) -> Iterator[tuple[Holder, Holder | None]]:
    if settings.database_url is None:
        EmbeddedServer(settings.home).make_home()
    else:
        try:
            settings.home.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RequestError(f"BREADTHFLOW_HOME={settings.home} cannot be made: {error.strerror}.") from None
    with claimed(settings.home, port) as holders:
        yield holders


class _Stops:
    """How often this process was asked to stop; the second time means at once."""

    def __init__(self) -> None:
        self.asked = 0

    def hurry_from_now(self) -> Hurried:
        """A function that tells whether another request has come since."""
        enough = self.asked
        return lambda: self.asked > enough


@contextmanager
def _stops() -> Iterator[_Stops]:
    """Count the signals that ask us to stop; a terminal that is closed asks as well."""
    stops = _Stops()

    def asked(_number: int, _frame: object) -> None:
        stops.asked += 1

    before = {number: signal.signal(number, asked) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        yield stops
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _ignoring_a_closed_terminal(say: Say) -> Say:
    """The same, without an error where the terminal was closed: what runs is stopped all the same."""

    def say_or_not(line: str) -> None:
        try:
            say(line)
        except OSError:
            return

    return say_or_not


def _refuse_taken(port: int, option: str) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            raise RequestError(f"Port {port} is taken; choose another: breadthflow up {option} {port + 1}") from None


def _counted(number: int, what: str) -> str:
    many = f"{what}es" if what.endswith("s") else f"{what}s"
    return f"{number} {what if number == 1 else many}"
