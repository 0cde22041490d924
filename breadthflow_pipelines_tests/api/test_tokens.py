"""Tokens: shown once, kept as hashes, refused once revoked or expired, noted when used; and who made them."""

import datetime as dt

import pytest

from breadthflow_pipelines.api import tokens
from breadthflow_pipelines.api.access import Role
from breadthflow_pipelines.errors import RequestError
from breadthflow_pipelines.warehouse import token_store
from breadthflow_pipelines.warehouse.audit_listing import audited
from breadthflow_pipelines.warehouse.database import Database, rows_of
from breadthflow_pipelines_tests.api.conftest import Served

ROUTE = "/v1/universes"


def test_a_token_s_secret_is_nowhere_in_the_store(database: Database) -> None:
    token = tokens.create(database, "alice", Role.VIEWER, None, "bob")
    prefix, token_id, secret = token.split("_", 2)
    [row] = rows_of(database, "SELECT * FROM api_tokens")
    assert (prefix, row["token_id"], row["held_by"], row["created_by"]) == ("bft", token_id, "alice", "bob")
    assert row["secret_hash"].startswith("$argon2id$")
    everything = rows_of(database, "SELECT api_tokens::text AS all FROM api_tokens UNION SELECT audit::text FROM audit")
    assert not [row for row in everything if secret in row["all"]]
    assert "secret_hash" not in token_store.tokens(database)[0]


def test_making_and_revoking_are_written_down(database: Database) -> None:
    token_id = tokens.create(database, "alice", Role.OPERATOR, None, "bob").split("_")[1]
    token_store.revoke(database, token_id, "carol")
    rows = audited(database, None, None, None)
    assert [(row["who"], row["behalf"], row["action"], row["what"]) for row in rows] == [
        ("bob", "alice", "granted", f"token {token_id}, operator"),
        ("carol", "alice", "revoked", f"token {token_id}"),
    ]
    for again in (token_id, "0123456789ab"):
        with pytest.raises(RequestError, match=f"No token {again} is in use; breadthflow token list shows them"):
            token_store.revoke(database, again, "carol")
    assert len(audited(database, None, None, None)) == 2  # what was not done is not written down


def test_a_token_lets_in_until_it_is_revoked(own: Served) -> None:
    with own.client(own.viewer) as client:
        assert client.get(ROUTE).status_code == 200
        token_store.revoke(own.owner, own.viewer.split("_")[1], "me")
        answer = client.get(ROUTE)
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert answer.json()["detail"].endswith("unknown, expired or revoked.")


def test_a_token_expires(own: Served) -> None:
    now = dt.datetime.now(dt.UTC)
    later, past = (
        tokens.create(own.owner, "alice", Role.VIEWER, now + dt.timedelta(hours=hours), "me") for hours in (1, -1)
    )
    assert own.client(later).get(ROUTE).status_code == 200
    assert own.client(past).get(ROUTE).status_code == 401
    assert [row["valid"] for row in token_store.tokens(own.owner)] == [True, True, True, False]


def test_its_last_use_is_noted_and_not_before(own: Served) -> None:
    def used() -> dict[str, object]:
        return {row["held_by"]: row["last_used_at"] for row in token_store.tokens(own.owner)}

    assert set(used().values()) == {None}
    assert own.client(own.viewer).get(ROUTE).status_code == 200
    assert used()["a operator"] is None
    assert used()["a viewer"] is not None
    first = used()
    assert own.client(own.viewer).get(ROUTE).status_code == 200
    assert used() == first  # a minute has not passed


@pytest.mark.parametrize(
    "spoil",
    [
        lambda token: token[:-1] + ("A" if token[-1] != "A" else "B"),  # another secret
        lambda token: token.replace("_", "-", 1),  # not the shape of one
        lambda token: token.upper(),  # of ids and secrets, letters count
        lambda token: f"{token}A",
        lambda token: f"bft_0123456789ab_{token.split('_', 2)[2]}",  # the secret of another id
        lambda _: "",
        lambda _: "bft_'; DROP TABLE api_tokens; --_" + "x" * 43,
    ],
)
def test_what_is_nearly_a_token_is_none(shared: Served, spoil: object) -> None:
    assert shared.client(spoil(shared.viewer)).get(ROUTE).status_code == 401  # type: ignore[operator]


def test_only_the_scheme_bearer_is_known(shared: Served) -> None:
    client = shared.client()
    for header, status in (
        (f"bearer {shared.viewer}", 200),  # schemes are of any case
        (f"Basic {shared.viewer}", 401),
        (shared.viewer, 401),
    ):
        assert client.get(ROUTE, headers={"Authorization": header}).status_code == status


def test_a_secret_that_was_right_is_not_hashed_again(own: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    client = own.client(own.viewer)
    assert client.get(ROUTE).status_code == 200
    monkeypatch.delattr(tokens, "_HASHER")
    assert client.get(ROUTE).status_code == 200
