"""Who is on a database: known to the server, and gone with the connection."""

import datetime as dt
import json
import time
from collections.abc import Callable, Iterator

import psycopg2
import pytest

from breadthflow_pipelines.errors import DatabaseError
from breadthflow_pipelines.warehouse import presence
from breadthflow_pipelines.warehouse.addresses import database_name, sibling
from breadthflow_pipelines.warehouse.embedded import EmbeddedServer
from breadthflow_pipelines.warehouse.presence import Claim
from breadthflow_pipelines_tests.conftest import administer


@pytest.fixture
def url(server: EmbeddedServer, fresh_database: Callable[[], str]) -> Iterator[str]:
    """A database of the test's own."""
    url = fresh_database()
    yield url
    administer(server, f"DROP DATABASE {database_name(url)} WITH (FORCE)")


def drop_connections(server: EmbeddedServer, url: str) -> None:
    """What a restart of the server does to its clients."""
    administer(server, f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{database_name(url)}'")


def test_one_holds_it_and_the_other_is_told_who(url: str) -> None:
    first, second = Claim(url, "up", "up, process 12"), Claim(url, "up", "up, process 34")
    assert first.hold() is None
    assert second.hold() == "up, process 12"
    assert first.hold() is None  # once more is not an error
    assert Claim(url, "something else", "x").hold() is None  # another right
    first.release()
    assert second.hold() is None
    assert first.hold() == "up, process 34"
    second.release()


def test_it_belongs_to_one_database(url: str, fresh_database: Callable[[], str]) -> None:
    here, there = Claim(url, "up", "here"), Claim(fresh_database(), "up", "there")
    assert here.hold() is None
    assert there.hold() is None
    here.release()
    there.release()


def test_a_holder_that_lost_its_connection_gets_it_back_unless_somebody_was_faster(
    server: EmbeddedServer, url: str
) -> None:
    first, second = Claim(url, "up", "first"), Claim(url, "up", "second")
    assert first.hold() is None
    drop_connections(server, url)
    assert first.hold() is None
    drop_connections(server, url)
    assert second.hold() is None
    assert first.hold() == "second"
    second.release()


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("x" * 100, "x" * 63),  # longer than the server keeps
        ("up, port 3000 of märz", "up, port 3000 of m?rz"),  # it keeps plain letters only
    ],
)
def test_a_name_is_told_as_far_as_a_server_keeps_it(url: str, name: str, told: str) -> None:
    first = Claim(url, "up", name)
    assert first.hold() is None
    assert Claim(url, "up", "second").hold() == told
    first.release()


def test_a_server_that_refuses_answers_and_one_that_is_not_there_does_not(url: str) -> None:
    assert presence.answers(url)
    assert presence.answers(sibling(url, "_that_is_not_there"))  # it says so
    assert not presence.answers("postgresql://nobody@127.0.0.1:1/none")
    with pytest.raises(DatabaseError):
        Claim("postgresql://nobody@127.0.0.1:1/none", "up", "x").hold()


def test_others_are_all_clients_but_ours(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGAPPNAME", "ours")  # as our processes have it
    ours = psycopg2.connect(url)
    theirs = [psycopg2.connect(url, application_name=name) for name in ("psql", "breadthflow")]
    found = presence.others(url, "ours")
    assert "ours" not in found
    assert {"psql", "breadthflow"} <= set(found)
    for connection in (ours, *theirs):
        connection.close()


def test_the_silence_of_the_daemon_is_that_of_its_liveliest_part(url: str) -> None:
    assert presence.daemon_silence(url) is None  # no table
    now = time.time()
    with psycopg2.connect(url) as connection, connection.cursor() as cursor:
        cursor.execute("CREATE TABLE daemon_heartbeats (daemon_type text, timestamp timestamp, body text)")
    assert presence.daemon_silence(url) is None  # no heartbeat
    with connection, connection.cursor() as cursor:
        for part, age in (("SENSOR", 500.0), ("SCHEDULER", 40.0)):
            body = json.dumps({"__class__": "DaemonHeartbeat", "timestamp": now - age, "daemon_type": part})
            # the column is in the server's time zone, whatever that is
            cursor.execute("INSERT INTO daemon_heartbeats VALUES (%s, '2001-01-01', %s)", (part, body))
    connection.close()
    silence = presence.daemon_silence(url)
    assert silence is not None
    assert dt.timedelta(seconds=40) <= silence < dt.timedelta(seconds=70)


def test_unfinished_runs_are_counted(url: str) -> None:
    assert presence.unfinished_runs(url) == 0
    with psycopg2.connect(url) as connection, connection.cursor() as cursor:
        cursor.execute("CREATE TABLE runs (status text)")
        for status in ("STARTED", "CANCELING", "STARTING", "NOT_STARTED", "QUEUED", "SUCCESS", "FAILURE", "CANCELED"):
            cursor.execute("INSERT INTO runs VALUES (%s)", (status,))
    connection.close()
    assert presence.unfinished_runs(url) == 4
