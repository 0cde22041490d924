"""What `breadthflow up` refuses, what it gives its processes, and how it looks after its database."""

import os
import signal
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import psycopg2
import pytest
from dagster._core.workspace.load_target import WorkspaceFileTarget

from breadthflow_pipelines.errors import RequestError
from breadthflow_pipelines.orchestration.hosting import serve as serving
from breadthflow_pipelines.orchestration.hosting.claim import Holder, claimed
from breadthflow_pipelines.orchestration.hosting.instance import CODE_LOCATION, WORKSPACE, configuration_file
from breadthflow_pipelines.orchestration.hosting.serve import serve
from breadthflow_pipelines.orchestration.hosting.services import (
    HOST,
    ApiAt,
    StoreService,
    children,
    client_name,
    code_socket,
)
from breadthflow_pipelines.settings import Settings
from breadthflow_pipelines.warehouse.embedded import SOCKET_LIMIT, EmbeddedServer
from breadthflow_pipelines.warehouse.presence import Claim
from breadthflow_pipelines_tests.conftest import free_port, wait_until

HOLDER = Holder("a-token", os.getpid(), 3000, "here", "2024-01-02 03:04:05")
URL = "postgresql://postgres@localhost:5432/breadthflow?host=%2Fsockets"


@pytest.fixture
def taken() -> Iterator[int]:
    """A port that somebody listens on."""
    with socket.socket() as listener:
        listener.bind((HOST, 0))
        listener.listen()
        yield listener.getsockname()[1]


def test_port_that_is_taken_is_refused_before_anything_starts(home: Path, taken: int) -> None:
    with pytest.raises(RequestError, match=f"Port {taken} is taken; .*--port {taken + 1}"):
        serve(Settings(home=home), taken, print)
    assert sorted(path.name for path in home.iterdir()) == ["up.lock"]


def test_port_for_metrics_that_is_taken_is_refused_by_its_own_option(home: Path, taken: int) -> None:
    with pytest.raises(RequestError, match=f"Port {taken} is taken; .*up --metrics-port {taken + 1}"):
        serve(Settings(home=home), free_port(), print, taken)
    assert sorted(path.name for path in home.iterdir()) == ["up.lock"]


def test_port_for_the_api_that_is_taken_is_refused_by_its_own_option(home: Path, taken: int) -> None:
    with pytest.raises(RequestError, match=f"Port {taken} is taken; .*up --api-port {taken + 1}"):
        serve(Settings(home=home), free_port(), print, api_at=ApiAt(taken))
    assert sorted(path.name for path in home.iterdir()) == ["up.lock"]


def test_home_that_is_taken_is_refused_before_anything_starts(home: Path) -> None:
    with claimed(home, 3000), pytest.raises(RequestError, match=r"already runs on .*http://127\.0\.0\.1:3000"):
        serve(Settings(home=home), 3001, print)
    assert sorted(path.name for path in home.iterdir()) == ["up.lock"]


def test_home_that_cannot_be_made_is_refused_also_where_the_database_is_elsewhere(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    settings = Settings(home=tmp_path / "file" / "home", database_url="postgresql://me@host/db")  # type: ignore[arg-type]
    with pytest.raises(RequestError, match="cannot be made"):
        serve(settings, 3000, print)


@pytest.mark.parametrize(
    ("name", "beside"),
    [
        ("store", True),
        ("a b", True),
        ("100%20", False),  # gRPC would take it for a space
        ("a,b", False),  # and this for two addresses
        ("q?x#y", False),
        ("märkte", False),
        ("deep" * 40, False),  # longer than a socket's path may be
    ],
)
def test_workspace_leads_to_a_socket_that_grpc_can_open(tmp_path: Path, name: str, beside: bool) -> None:
    home = tmp_path / name
    home.mkdir()
    socket_path = code_socket(home)
    assert len(os.fsencode(socket_path)) <= SOCKET_LIMIT
    assert (socket_path.parent == home) is beside
    children(Settings(home=home), HOLDER, home, URL, URL, "Postgres")
    (origin,) = WorkspaceFileTarget(paths=[str(home / "workspace.yaml")]).create_origins()
    assert (origin.location_name, origin.socket) == (CODE_LOCATION, str(socket_path))  # type: ignore[attr-defined]
    if not beside:
        assert oct(socket_path.parent.stat().st_mode)[-3:] == "700"
        socket_path.parent.rmdir()


def test_the_location_has_one_name_whoever_starts_the_code_server() -> None:
    (origin,) = WorkspaceFileTarget(paths=[str(configuration_file(WORKSPACE))]).create_origins()
    assert origin.location_name == CODE_LOCATION


def test_processes_get_the_settings_as_they_are_meant_and_can_only_connect(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BREADTHFLOW_SOURCE_PATH", "bars.csv")  # relative: seen from another directory it is another
    monkeypatch.setenv("breadthflow_start", "2020-01")  # letters of either case are read
    settings = Settings(home=tmp_path)
    code_server, webserver, daemon = children(settings, HOLDER, tmp_path, URL, f"{URL}2", "Postgres")
    for child in (code_server, webserver, daemon):
        given = child._environment
        assert given["BREADTHFLOW_SOURCE_PATH"] == str(tmp_path / "bars.csv")
        assert given["BREADTHFLOW_START"] == "2020-01"
        assert "breadthflow_start" not in given
        assert (given["BREADTHFLOW_DATABASE_URL"], given["BREADTHFLOW_DAGSTER_DATABASE_URL"]) == (URL, f"{URL}2")
        assert given["BREADTHFLOW_UP"] == "a-token"
    assert "BREADTHFLOW_UP" not in os.environ  # PostgreSQL is none of the processes that are ended with it


@pytest.fixture
def embedded(home: Path) -> EmbeddedServer:
    server = EmbeddedServer(home)
    server.ensure_running()
    return server


def test_a_database_that_was_killed_is_found_dead_and_claimed_again_after_its_start(embedded: EmbeddedServer) -> None:
    url = embedded.url("postgres")
    service = StoreService(url, embedded, Claim(url, "up", "first"))
    assert service.answers()
    assert service.ended() is None
    postmaster = psutil.Process(int((embedded.data / "postmaster.pid").read_text().split()[0]))
    below = postmaster.children()
    postmaster.kill()
    psutil.wait_procs([postmaster, *below], timeout=20)
    ended = service.ended()
    assert ended is not None
    assert str(embedded.log) in ended
    assert not service.answers()
    service.start()
    wait_until(service.answers)
    assert service.taken_by is None
    assert Claim(url, "up", "second").hold() == "first"


def test_a_claim_that_somebody_else_took_meanwhile_is_told(embedded: EmbeddedServer) -> None:
    url = embedded.url("postgres")
    other = Claim(url, "up", "breadthflow up, process 12")
    assert other.hold() is None
    service = StoreService(url, None, Claim(url, "up", "ours"))
    assert service.answers()
    assert service.taken_by == "breadthflow up, process 12"
    assert service.ended() is None  # nothing of it can be started again: it is not ours
    other.release()


def test_postgres_is_stopped_by_its_last_user(embedded: EmbeddedServer, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setenv("PGAPPNAME", client_name(HOLDER))  # as all of ours have it, a dying one included
    ours = psycopg2.connect(embedded.url("postgres"))
    theirs = psycopg2.connect(embedded.url("postgres"), application_name="psql")
    serving._stop_postgres(embedded, HOLDER, said.append)
    assert said == ["Postgres keeps running: 1 connection of others (psql)."]
    assert embedded.is_running()
    theirs.close()

    def stopped() -> bool:  # the server may take a moment to see that they left
        serving._stop_postgres(embedded, HOLDER, said.append)
        return said[-1] == "Postgres stopped."

    wait_until(stopped)
    assert not embedded.is_running()
    ours.close()


def test_signals_are_counted_and_put_back_as_they_were() -> None:
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    with serving._stops() as stops:
        os.kill(os.getpid(), signal.SIGHUP)  # the terminal was closed
        wait_until(lambda: stops.asked == 1)
        hurried = stops.hurry_from_now()
        assert not hurried()
        os.kill(os.getpid(), signal.SIGTERM)
        wait_until(hurried)
    assert {number: signal.getsignal(number) for number in before} == before


def test_a_terminal_that_is_gone_keeps_nothing_running() -> None:
    def gone(_: str) -> None:
        raise OSError(5, "Input/output error")

    say: Callable[[str], None] = serving._ignoring_a_closed_terminal(gone)
    say("Postgres stopped.")
