"""A token becomes a session that only its browser holds, and that ends when it should; other sites can do nothing."""

from collections.abc import Iterator
from dataclasses import replace

import pytest
from starlette.testclient import TestClient

from breadthflow_pipelines.api.access import Role
from breadthflow_pipelines.api.app import create_app
from breadthflow_pipelines.api.limits import REFUSALS
from breadthflow_pipelines.api.tokens import create
from breadthflow_pipelines.warehouse import token_store
from breadthflow_pipelines.warehouse.database import Database, rows_of
from breadthflow_pipelines_tests.api.page.conftest import Page, browser_of, service_over

OWN = {"Origin": "http://127.0.0.1:8000"}


@pytest.fixture
def store(filled: Database) -> Database:
    """That of the tests that only read: who is logged in changes nothing that these see."""
    return filled


@pytest.fixture
def browser(store: Database) -> Iterator[TestClient]:
    """A browser before a page that asks for a token."""
    with browser_of(service_over(store, opened=False)) as client:
        yield client


def token(store: Database, role: Role = Role.VIEWER) -> str:
    return create(store, "Ann", role, None, "the tests")


def log_in(browser: TestClient, text: str, **headers: str) -> int:
    return browser.post("/login", data={"token": text, "next": "/signals"}, headers={**OWN, **headers}).status_code


def test_who_is_not_logged_in_is_led_to_the_form_and_back(browser: TestClient, store: Database) -> None:
    away = browser.get("/signals?universe=small")
    assert (away.status_code, away.headers["location"]) == (303, "/login?next=%2Fsignals%3Funiverse%3Dsmall")
    page = Page(browser.get(away.headers["location"]).text)
    assert ("input", {"type": "hidden", "name": "next", "value": "/signals?universe=small"}) in page.tags
    assert not [link for link in page.links() if link in ("/signals", "/quality")]
    fields = {"token": f" {token(store)}\n", "next": "/signals?universe=small"}
    inside = browser.post("/login", data=fields, headers=OWN)
    assert (inside.status_code, inside.headers["location"]) == (303, "/signals?universe=small")
    page = Page(browser.get("/").text)
    assert "Ann, viewer" in page.said
    assert "No log-in" not in page.said


def test_the_cookie_is_for_this_host_s_pages_alone(store: Database) -> None:
    for scheme, name in (("http", "breadthflow"), ("https", "__Host-breadthflow")):
        app = create_app(service_over(store, opened=False))
        with TestClient(app, base_url=f"{scheme}://breadth.example", follow_redirects=False) as browser:
            answer = browser.post(
                "/login", data={"token": token(store)}, headers={"Origin": f"{scheme}://breadth.example"}
            )
            value, *rest = answer.headers["set-cookie"].split("; ")
            assert value.startswith(f"{name}=")
            expected = {"HttpOnly", "SameSite=strict", "Path=/", "Max-Age=43200"}
            assert set(rest) == expected | ({"Secure"} if scheme == "https" else set())
            assert browser.get("/").status_code == 200


def test_the_store_does_not_hold_what_the_browser_holds(browser: TestClient, store: Database) -> None:
    assert log_in(browser, token(store)) == 303
    held = browser.cookies["breadthflow"]
    assert held not in str(rows_of(store, "SELECT * FROM page_sessions"))


def test_a_session_ends_with_logging_out_in_every_copy_of_its_cookie(browser: TestClient, store: Database) -> None:
    log_in(browser, token(store))
    held = browser.cookies["breadthflow"]
    assert browser.post("/logout", headers=OWN).headers["location"] == "/login"
    assert "breadthflow" not in browser.cookies
    browser.cookies.set("breadthflow", held)
    assert browser.get("/").status_code == 303


def test_a_session_ends_with_its_token_and_with_its_hours(browser: TestClient, store: Database) -> None:
    text = token(store)
    log_in(browser, text)
    assert browser.get("/").status_code == 200
    token_store.revoke(store, text.split("_")[1], "the tests")
    assert browser.get("/").status_code == 303
    browser.cookies.clear()
    log_in(browser, token(store))
    with store.connect() as connection, connection.cursor() as cursor:
        cursor.execute("UPDATE page_sessions SET expires_at = now()")
    assert browser.get("/").status_code == 303


@pytest.mark.parametrize(
    "headers",
    [
        {},  # a form of an old browser that says nothing of where it comes from
        {"Origin": "http://evil.example"},
        {"Origin": "null"},  # a sandboxed frame
        {"Origin": "http://127.0.0.1:8000", "Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},  # another port, or another name below the same domain
    ],
)
def test_other_sites_can_neither_log_in_nor_out_nor_use_the_session(
    browser: TestClient, store: Database, headers: dict[str, str]
) -> None:
    text = token(store, Role.OPERATOR)
    assert browser.post("/login", data={"token": text}, headers=headers).status_code == 403
    assert log_in(browser, text) == 303
    assert browser.post("/logout", headers=headers).status_code == 403
    assert browser.get("/").status_code == 200


@pytest.mark.parametrize("place", ["https://evil.example", "//evil.example", "/\\evil.example", "", "javascript:1"])
def test_nobody_is_led_away(browser: TestClient, store: Database, place: str) -> None:
    answer = browser.post("/login", data={"token": token(store), "next": place}, headers=OWN)
    assert answer.headers["location"] == "/"


def test_wrong_tokens_are_refused_and_soon_not_even_looked_at(browser: TestClient, store: Database) -> None:
    answer = browser.post("/login", data={"token": "bft_000000000000_" + "x" * 43}, headers=OWN)
    assert answer.status_code == 401
    assert "not valid" in Page(answer.text).said
    assert "set-cookie" not in answer.headers
    statuses = [log_in(browser, "nothing") for _ in range(REFUSALS)]
    assert statuses[-1] == 429
    assert log_in(browser, token(store)) == 429  # the right one waits as well


def test_a_link_from_elsewhere_does_not_ask_who_is_logged_in_to_log_in_again(browser: TestClient) -> None:
    answer = browser.get("/login?next=/quality", headers={"Sec-Fetch-Site": "cross-site"})
    assert ("meta", {"http-equiv": "refresh", "content": "0; url=/quality"}) in Page(answer.text).tags


def test_where_nobody_has_to_log_in_the_page_says_so(store: Database) -> None:
    with browser_of(replace(service_over(store), open=True)) as browser:
        assert "No log-in: whoever reaches this port" in Page(browser.get("/").text).said
        assert browser.get("/login").headers["location"] == "/"
