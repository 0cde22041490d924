"""The commands of the API: tokens, and what `serve` refuses before it listens."""

import csv
import datetime as dt
import io
import socket
from collections.abc import Callable
from typing import NamedTuple

import pytest

from breadthflow_pipelines import cli
from breadthflow_pipelines.settings import get_settings
from breadthflow_pipelines.warehouse.database import Database
from breadthflow_pipelines.warehouse.embedded import EmbeddedServer
from breadthflow_pipelines_tests.conftest import administer, as_login, free_port


class Answer(NamedTuple):
    """What a command left behind."""

    status: int
    out: str
    err: str


Ask = Callable[..., Answer]


@pytest.fixture
def ask(database: Database, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Ask:
    """The command in this process, on an empty store."""

    def run(*arguments: object, url: str = database.url) -> Answer:
        monkeypatch.setenv("BREADTHFLOW_DATABASE_URL", url)
        monkeypatch.setenv("BREADTHFLOW_DAGSTER_DATABASE_URL", url)
        get_settings.cache_clear()
        with pytest.raises(SystemExit) as end:
            cli.main([str(argument) for argument in arguments])
        return Answer(int(end.value.code or 0), *capsys.readouterr())

    return run


def listed(ask: Ask) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(ask("token", "list", "--format", "csv").out)))


def test_a_token_is_made_shown_once_listed_and_revoked(ask: Ask) -> None:
    made = ask("token", "create", "alice", "--role", "operator", "--expires", "2099-12-31")
    assert made.status == 0
    assert made.out.startswith("bft_")
    assert made.err == "A token for alice, operator. It is valid through 2099-12-31. It is not shown again.\n"
    [row] = listed(ask)
    assert (row["held_by"], row["role"], row["valid"], row["last_used_at"]) == ("alice", "operator", "true", "")
    assert dt.datetime.fromisoformat(row["expires_at"]) == dt.datetime(2100, 1, 1, tzinfo=dt.UTC)
    assert made.out.strip().split("_", 2)[2] not in ask("token", "list").out
    revoked = ask("token", "revoke", row["token_id"])
    assert (revoked.status, revoked.err) == (0, f"Token {row['token_id']} is refused from now on.\n")
    assert [row["valid"] for row in listed(ask)] == ["false"]
    again = ask("token", "revoke", row["token_id"])
    assert again.status == 2
    assert "No token" in again.err


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("token", "create", " "), "1 to 100 characters"),
        (("token", "create", "x" * 101), "1 to 100 characters"),
        (("token", "create", "a\x1bb"), "1 to 100 characters"),
        (("token", "create", "alice", "--expires", "2020-01-01"), "--expires 2020-01-01 lies in the past."),
        (("serve", "--open", "--host", "192.0.2.1"), "leave out --host 192.0.2.1, or --open"),
        (("serve", "--host", "192.0.2.1"), "Port 8000 of 192.0.2.1 cannot be used"),
    ],
)
def test_what_cannot_be_is_refused(ask: Ask, arguments: tuple[str, ...], reason: str) -> None:
    answer = ask(*arguments)
    assert (answer.status, answer.out) == (2, "")
    assert reason in answer.err
    assert "Traceback" not in answer.err


def test_a_port_that_is_taken_is_refused(ask: Ask) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        answer = ask("serve", "--port", port)
    assert answer.status == 2
    assert f"Port {port} of 127.0.0.1 cannot be used" in answer.err
    assert f"breadthflow serve --port {port + 1}" in answer.err


def test_a_login_that_may_not_read_as_readers_do_is_told_what_to_grant(
    ask: Ask, database: Database, server: EmbeddedServer
) -> None:
    make = "CREATE ROLE pipeline_login LOGIN IN ROLE breadthflow_pipeline; EXCEPTION WHEN duplicate_object THEN"
    administer(server, f"DO $$ BEGIN {make} END $$")
    answer = ask("serve", "--port", free_port(), url=as_login(database.url, "pipeline_login"))
    assert answer.status == 2
    assert "may not act as breadthflow_reader" in answer.err
    assert "GRANT breadthflow_reader TO pipeline_login;" in answer.err
