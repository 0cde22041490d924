"""The API as it is served: a real server, slow clients, compressed answers, and a store that changes meanwhile."""

import gzip
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import Any

import httpx
import pytest
import uvicorn
import zstandard

from breadthflow_pipelines.api.app import create_app
from breadthflow_pipelines.warehouse import bounded, change_listing
from breadthflow_pipelines.warehouse.database import Database, rows_of
from breadthflow_pipelines_tests.api.conftest import UNLIMITED, Served
from breadthflow_pipelines_tests.conftest import free_port, wait_until


@contextmanager
def served(own: Served) -> Iterator[tuple[str, int]]:
    """A server on a port of this machine; the address and the port."""
    settings = own.service.settings.model_copy(update={"api_rate": UNLIMITED})
    port = free_port()
    config = uvicorn.Config(create_app(replace(own.service, settings=settings)), port=port, log_config=None)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    wait_until(lambda: server.started)
    try:
        yield f"http://127.0.0.1:{port}", port
    finally:
        server.should_exit = True
        thread.join(20)


def test_clients_that_do_not_read_their_answers_hold_no_connection_to_the_database(own: Served) -> None:
    request = (
        "GET /v1/breadth?universe=small&limit=5000 HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        f"Authorization: Bearer {own.viewer}\r\n\r\n"
    )
    with served(own) as (address, port), ExitStack() as stack:
        for _ in range(3 * bounded.CONNECTIONS):
            slow = stack.enter_context(socket.socket())
            slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
            slow.connect(("127.0.0.1", port))
            slow.sendall(request.encode())
        headers = {"Authorization": f"Bearer {own.viewer}"}

        def another_is_served() -> bool:
            # While the answers are made, which takes a slow machine a while, it may be asked to come again.
            status = httpx.get(f"{address}/v1/sessions", headers=headers, timeout=60).status_code
            assert status in (200, 503)
            return status == 200

        wait_until(another_is_served)
        used = (
            "SELECT count(*) AS n FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        assert rows_of(own.owner, used)[0]["n"] <= bounded.CONNECTIONS + 4  # those of the ledger
        active = "SELECT count(*) AS n FROM pg_stat_activity WHERE xact_start IS NOT NULL AND pid <> pg_backend_pid()"
        wait_until(lambda: rows_of(own.owner, f"{active} AND datname = current_database()")[0]["n"] == 0)


def test_answers_are_compressed_for_who_can_read_it(own: Served) -> None:
    with served(own) as (address, _), httpx.Client(headers={"Authorization": f"Bearer {own.viewer}"}) as client:
        path = f"{address}/v1/sessions?universe=small"
        plain = client.get(path, headers={"Accept-Encoding": "identity"}, timeout=60)
        assert "Content-Encoding" not in plain.headers
        opened: dict[str, Callable[[bytes], bytes]] = {
            "gzip": gzip.decompress,
            "zstd": lambda body: zstandard.ZstdDecompressor().decompressobj().decompress(body),
        }
        for encoding, decompress in opened.items():
            for media in ("application/json", "text/csv", "application/vnd.apache.arrow.stream"):
                headers = {"Accept-Encoding": encoding, "Accept": media}
                with client.stream("GET", path, headers=headers, timeout=60) as answer:
                    body = b"".join(answer.iter_raw())
                assert answer.headers["Content-Encoding"] == encoding
                assert "Accept-Encoding" in answer.headers["Vary"]
                whole = client.get(path, headers={"Accept-Encoding": "identity", "Accept": media}, timeout=60)
                assert decompress(body) == whole.content
                assert len(body) < len(whole.content) / 2


def test_pages_lose_and_repeat_no_row_while_rows_come_change_and_go(own: Served) -> None:
    """Rows that are there all the time are read once each, whatever else is written between two pages."""
    stay = "SELECT session FROM breadth_indicators WHERE segment = 'ALL' ORDER BY session"
    sessions = [row["session"] for row in rows_of(own.owner, stay)]
    gone, kept = set(map(str, sessions[::7])), [str(day) for day in sessions if day not in sessions[::7]]
    stop = threading.Event()
    writer = threading.Thread(target=_write, args=(own.owner, sessions[::7], stop), daemon=True)
    writer.start()
    try:
        with own.client(own.viewer) as client:
            for _ in range(3):
                rows = _all(client, "/v1/breadth?universe=small&segment=ALL&columns=advances&limit=23")
                read = [row["session"] for row in rows]
                assert read == sorted(set(read))  # none twice
                assert [day for day in read if day not in gone] == kept  # and none lost
    finally:
        stop.set()
        writer.join(20)


def _all(client: Any, path: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    following: str | None = ""
    while following is not None:
        page = client.get(f"{path}&cursor={following}" if following else path).json()
        rows, following = rows + page["rows"], page["next"]
    return rows


def _write(database: Database, sessions: list[Any], stop: threading.Event) -> None:
    """Take sessions away and bring them back, and change all others, until told to stop."""
    where = "segment = 'ALL' AND session = ANY(%s)"
    with database.connect() as connection, connection.cursor() as cursor:
        cursor.execute(f"CREATE TEMPORARY TABLE taken AS SELECT * FROM breadth_indicators WHERE {where}", (sessions,))
        connection.commit()
        while not stop.is_set():
            cursor.execute(f"DELETE FROM breadth_indicators WHERE {where}", (sessions,))
            cursor.execute("UPDATE breadth_indicators SET computed_at = now()")
            connection.commit()
            time.sleep(0.02)
            cursor.execute("INSERT INTO breadth_indicators SELECT * FROM taken")
            connection.commit()
            time.sleep(0.02)


def test_an_answer_is_dated_anew_by_every_change_and_by_nothing_else(own: Served) -> None:
    client = own.client(own.viewer)
    path = "/v1/signals?limit=1"

    def date() -> str:
        return str(client.get(path).headers["ETag"])

    before = date()
    assert client.get("/v1/breadth?universe=small&limit=1").status_code == 200
    assert date() == before  # reading, and noting that the token was used, changes nothing
    changes = (
        "UPDATE market_signals SET confidence = confidence WHERE session = (SELECT max(session) FROM market_signals)",
        "INSERT INTO securities VALUES (999999, 'NEW', NULL, NULL, false)",
        "DELETE FROM securities WHERE security_id = 999999",
    )
    dates = {before}
    for change in changes:
        with own.owner.connect() as connection, connection.cursor() as cursor:
            cursor.execute(change)
            assert date() in dates  # nobody sees it yet
        assert date() not in dates
        dates.add(date())


def test_notes_of_old_changes_are_dropped_and_the_date_is_another_one(
    own: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(change_listing, "KEPT", 2)
    tables = rows_of(own.owner, "SELECT count(DISTINCT relation) AS n FROM store_changes")[0]["n"]
    for _ in range(3):
        with own.owner.connect() as connection, connection.cursor() as cursor:
            cursor.execute("UPDATE securities SET name = name WHERE security_id = 1")
    before = change_listing.state_of(own.service.store)
    assert change_listing.forget_changes(own.owner) > 0
    # The last two, and the last one of each other table, by which moments are compared.
    left = "SELECT relation, count(*) AS n FROM store_changes GROUP BY relation ORDER BY n DESC"
    found = rows_of(own.owner, left)
    assert (len(found), found[0], {row["n"] for row in found[1:]}) == (tables, {"relation": "securities", "n": 2}, {1})
    assert change_listing.forget_changes(own.owner) == 0
    assert change_listing.state_of(own.service.store) != before


def test_two_changes_at_a_time_date_answers_twice_whichever_ends_first(own: Served) -> None:
    client = own.client(own.viewer)
    dates = [client.get("/v1/rules").headers["ETag"]]
    with own.owner.connect(alone=True) as first, own.owner.connect(alone=True) as second:
        for connection, number in ((first, 999998), (second, 999999)):
            insert = "INSERT INTO securities VALUES (%s, %s, NULL, NULL, false)"
            connection.cursor().execute(insert, (number, str(number)))
        for connection in (second, first):
            connection.commit()
            dates.append(client.get("/v1/rules").headers["ETag"])
    assert len(set(dates)) == 3


def test_a_question_that_takes_too_long_is_given_up_and_said_so(own: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounded, "STATEMENT_SECONDS", 1)
    slow = bounded.reader_of(own.owner.url)
    with own.owner.connect() as connection, connection.cursor() as cursor:
        cursor.execute("LOCK TABLE market_signals")
        answer = replace(own, service=replace(own.service, store=slow)).client(own.viewer).get("/v1/signals")
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
    assert answer.json()["detail"] == "The database did not answer in time; ask for less, or later."


def test_who_finds_no_connection_free_is_told_to_come_again(own: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounded, "PATIENCE", 0.2)
    store = replace(own.service.store, slots=threading.BoundedSemaphore(1))
    with store.connect():
        answer = replace(own, service=replace(own.service, store=store)).client(own.viewer).get("/v1/sessions")
    assert (answer.status_code, answer.json()["detail"]) == (
        503,
        "All connections to the database are in use; ask again in a moment.",
    )


def test_the_store_is_read_as_readers_may_and_cannot_be_written(own: Served) -> None:
    assert rows_of(own.service.store, "SELECT current_user AS me") == [{"me": "breadthflow_reader"}]
    for statement in ("DELETE FROM bars", "CREATE TEMPORARY TABLE x (y int)", "SELECT * FROM api_tokens"):
        with pytest.raises(Exception, match=r"permission denied|read-only"), own.service.store.connect() as connection:
            connection.cursor().execute(statement)
