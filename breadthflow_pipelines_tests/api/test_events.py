"""Whoever listens is told of everything once and in order, whatever breaks in between; who is slow costs nobody."""

import json
import socket
from collections.abc import Callable, Iterator

import pytest
from starlette.testclient import TestClient

from breadthflow_pipelines.api import event_stream
from breadthflow_pipelines.api.app import create_app
from breadthflow_pipelines.api.routes import events
from breadthflow_pipelines.settings import Settings
from breadthflow_pipelines.warehouse.database import Database, rows_of
from breadthflow_pipelines.warehouse.store_retention import forget_events
from breadthflow_pipelines_tests.api.conftest import Served, serve
from breadthflow_pipelines_tests.api.listeners import Listener, on_a_port
from breadthflow_pipelines_tests.conftest import wait_until


@pytest.fixture(autouse=True)
def _often(monkeypatch: pytest.MonkeyPatch) -> None:
    """A quiet stream says often that it lives, so that listeners can leave."""
    monkeypatch.setattr(events, "SILENCE", 0.05)


@pytest.fixture
def empty(database: Database, fresh_database: Callable[[str], str]) -> Iterator[Served]:
    """An empty store that is served."""
    with serve(Settings(database_url=database.url, dagster_database_url=fresh_database("template1"))) as served:
        yield served


@pytest.fixture
def address(empty: Served) -> Iterator[str]:
    with on_a_port(create_app(empty.service)) as address:
        yield address


@pytest.fixture
def listen(address: str, empty: Served) -> Iterator[Callable[..., Listener]]:
    """Begins to listen; all leave at the end."""
    listeners: list[Listener] = []

    def begin(last: int | None = None) -> Listener:
        listeners.append(Listener(address, empty.viewer, last))
        return listeners[-1]

    yield begin
    for listener in listeners:
        listener.leave()


def happen(database: Database, *what: str, text: str = "") -> None:
    """New sessions of these universes."""
    with database.connect() as connection, connection.cursor() as cursor:
        for universe in what:
            about = json.dumps({"universe": universe, **({"text": text} if text else {})})
            cursor.execute("INSERT INTO pending_events (kind, about) VALUES ('new_session', %s)", (about,))


def universes(listener: Listener) -> list[str]:
    return [about["universe"] for _, _, about in listener.events]


def connections(database: Database) -> int:
    """How many connections listen."""
    query = (
        "SELECT count(*) AS n FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'LISTEN%%' "
        "AND pid <> pg_backend_pid()"
    )
    return int(rows_of(database, query, [])[0]["n"])


def test_a_listener_is_told_of_what_happens_from_now_on(empty: Served, listen: Callable[..., Listener]) -> None:
    happen(empty.owner, "before")
    listener = listen()
    happen(empty.owner, "sp500", "nasdaq100")
    (first, kind, about), (second, _, _) = listener.wait_for(2)
    assert universes(listener) == ["sp500", "nasdaq100"]
    assert (kind, second) == ("new_session", first + 1)
    assert about["at"].endswith("+00:00")


def test_whoever_comes_again_goes_on_where_he_was(empty: Served, listen: Callable[..., Listener]) -> None:
    """Also where nobody listened meanwhile, and more happened than is kept at hand or sent at a time."""
    first = listen()
    happen(empty.owner, "one")
    first.wait_for(1)
    first.leave()
    meanwhile = [f"u{number}" for number in range(event_stream.AT_HAND + event_stream.PAGE + 7)]
    happen(empty.owner, *meanwhile)
    again = listen(first.last)
    happen(empty.owner, "last")
    again.wait_for(len(meanwhile) + 1)
    assert universes(again) == [*meanwhile, "last"]
    third = listen(again.events[-3][0])  # from what is at hand
    assert [about["universe"] for _, _, about in third.wait_for(2)] == [meanwhile[-1], "last"]


def test_whoever_asks_for_events_that_were_dropped_is_told_so(empty: Served, listen: Callable[..., Listener]) -> None:
    first = listen()
    happen(empty.owner, "one", "two")
    first.wait_for(2)
    first.leave()
    with empty.owner.connect() as connection, connection.cursor() as cursor:
        cursor.execute("UPDATE events SET happened_at = now() - interval '8 days'")
    forget_events(empty.owner, 7)
    happen(empty.owner, "three")
    again = listen(first.events[0][0])
    again.wait_for(2)
    assert again.kinds == ["missed", "new_session"]
    assert again.events[0][0] == first.last  # so that whoever comes again after that is not told so again
    assert listen(again.last + 1_000_000).wait_for(1)[0][:2] == (again.last, "missed")  # of another database


def test_a_lost_connection_to_the_database_loses_no_event(
    empty: Served, listen: Callable[..., Listener], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_stream, "AGAIN_SECONDS", 0.2)
    listener = listen()
    happen(empty.owner, "before")
    listener.wait_for(1)
    with empty.owner.connect() as connection, connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    happen(empty.owner, "meanwhile")
    listener.wait_for(2)
    happen(empty.owner, "after")
    listener.wait_for(3)
    assert universes(listener) == ["before", "meanwhile", "after"]


def test_all_listeners_share_one_connection_that_goes_with_the_last_of_them(
    empty: Served, listen: Callable[..., Listener]
) -> None:
    listeners = [listen() for _ in range(5)]
    happen(empty.owner, "sp500")
    for listener in listeners:
        listener.wait_for(1)
    assert connections(empty.owner) == 1
    for listener in listeners:
        listener.leave()
    wait_until(lambda: connections(empty.owner) == 0)
    assert listen().status == 200


def test_a_quiet_stream_says_that_it_lives(listen: Callable[..., Listener]) -> None:
    listener = listen()
    wait_until(lambda: listener.comments > 2)
    assert listener.events == []


def test_one_user_has_some_places_and_all_together_have_more(
    empty: Served, listen: Callable[..., Listener], monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    monkeypatch.setattr(event_stream, "MOST_OF_ONE", 2)
    monkeypatch.setattr(event_stream, "MOST_LISTENERS", 3)
    assert [listen().status for _ in range(3)] == [200, 200, 429]
    others = [Listener(address, empty.operator) for _ in range(2)]
    assert [other.status for other in others] == [200, 429]
    for other in others:
        other.leave()
    wait_until(lambda: _comes_in(address, empty.operator))  # a place is free as soon as somebody has left


def _comes_in(address: str, token: str) -> bool:
    listener = Listener(address, token)
    listener.leave()
    return listener.status == 200


def test_whoever_does_not_take_what_is_sent_loses_his_place(
    empty: Served, address: str, listen: Callable[..., Listener], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "SEND_SECONDS", 0.5)
    monkeypatch.setattr(event_stream, "MOST_LISTENERS", 2)
    host, port = address.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as slow:
        slow.sendall(
            f"GET /v1/events HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {empty.viewer}\r\n\r\n".encode()
        )
        assert slow.recv(100).startswith(b"HTTP/1.1 200")
        listener = listen()
        assert listen().status == 429
        for _ in range(5):
            happen(empty.owner, *map(str, range(40)), text="x" * 50_000)  # more than all buffers in between hold
        listener.wait_for(200)
        wait_until(lambda: _comes_in(address, empty.operator))
    assert len(set(universes(listener))) == 40  # the other one was told of everything


@pytest.mark.parametrize("last", ["-1", "one", "1.5", str(2**63), "'; DROP TABLE events"])
def test_a_number_that_is_none_is_refused(empty: Served, last: str) -> None:
    with empty.client(empty.viewer) as client:
        answer = client.get("/v1/events", headers={"Last-Event-ID": last})
    assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json")
    assert "last-event-id" in answer.json()["detail"]


def test_whoever_has_no_token_hears_nothing(empty: Served) -> None:
    with empty.client() as client:
        assert client.get("/v1/events").status_code == 401


def test_a_database_that_does_not_answer_is_a_problem(empty: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise ConnectionError("gone")

    monkeypatch.setattr(event_stream, "PATIENCE", 0.3)
    monkeypatch.setattr(event_stream.EventLog, "number", refuse)
    client: TestClient
    with empty.client(empty.viewer) as client:
        answer = client.get("/v1/events")
    assert answer.status_code == 503
    assert "Retry-After" in answer.headers
