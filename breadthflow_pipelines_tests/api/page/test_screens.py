"""What the pages show is what the store says, of a name that is markup as well, at a price that does not grow."""

import datetime as dt
import gzip
import re
from urllib.parse import quote

import pytest
from starlette.testclient import TestClient

from breadthflow_pipelines.api.page.files import static_files
from breadthflow_pipelines.api.page.market import SESSIONS
from breadthflow_pipelines.model.vocabulary import EVENT_KINDS, MISSED
from breadthflow_pipelines.warehouse import screen_listing, signal_listing
from breadthflow_pipelines.warehouse.database import Database, rows_of
from breadthflow_pipelines_tests.api.page.conftest import (
    HOSTILE,
    Page,
    browser_of,
    counted,
    fill,
    service_over,
    spoil,
)

PAGES = ("/", "/signals", "/quality")
MOST_STATEMENTS = {"/": 10, "/charts?universe=small": 10, "/signals": 4, "/quality": 7}
FIRST_VIEW = 300_000  # bytes


def shown(browser: TestClient, path: str) -> Page:
    answer = browser.get(path)
    assert answer.status_code == 200, answer.text
    return Page(answer.text)


def test_today_is_the_last_session_of_the_universe_that_was_chosen(browser: TestClient, filled: Database) -> None:
    score, conviction = (
        next(row for row in signal_listing.last_scores(filled, "small") if row["rule"] == rule)
        for rule in ("breadth_score", "conviction")
    )
    page = shown(browser, "/?universe=small")
    assert f"score {score['value']:.1f} of 100, {score['action']}" in page.said
    assert f"conviction {conviction['value']:.0f} of 4, {conviction['action']}" in page.said
    assert "at the close of Sunday 3 December 2023" in page.said
    assert "300 of 300 members have a bar (100.0 %)" in page.said


def test_charts_are_drawn_from_two_years_or_from_everything(browser: TestClient) -> None:
    lately = browser.get("/charts?universe=small").json()
    everything = browser.get("/charts?universe=small&sessions=all").json()
    assert (len(lately["days"]), len(everything["days"])) == (SESSIONS, 700)
    for name, (_, values) in lately["columns"].items():
        if name != "equal_weight":
            assert values == everything["columns"][name][1][-SESSIONS:], name
    first = everything["days"].index(lately["days"][0])
    recent = {event["id"]: event["at"] + first for event in lately["events"]}
    assert recent == {event["id"]: event["at"] for event in everything["events"] if event["at"] >= first}


def test_what_following_a_rule_was_worth_stands_beside_holding(browser: TestClient, filled: Database) -> None:
    query = (
        "SELECT portfolio, trades, cagr, max_drawdown FROM backtests "
        "WHERE universe = 'small' AND thresholds = 'fixed' AND cost = 10 AND rule = 'breadth_score'"
    )
    stored = {row["portfolio"]: row for row in rows_of(filled, query)}
    rule, held, same = (stored[name] for name in ("rule", "buy and hold", "same exposure"))
    section = browser.get("/?universe=small").text.split('<section class="card wide-card" id="backtests"')[1]
    rows = [re.findall(r"<t[hd][^>]*>([^<]*)", row) for row in re.findall(r"<tr>(.*?)</tr>", section, re.DOTALL)]
    named = {first: dict(zip(rows[0][1:], rest, strict=True)) for first, *rest in rows[1:]}
    shown = named["breadth_score"]
    assert (shown["Trades"], shown["Growth a year"]) == (str(rule["trades"]), f"{rule['cagr']:.1%}")
    assert (shown["Same exposure"], shown["Deepest fall"]) == (f"{same['cagr']:.1%}", f"{rule['max_drawdown']:.1%}")
    assert named["buy and hold: members in equal parts"]["Growth a year"] == f"{held['cagr']:.1%}"
    assert 'id="backtests"' not in browser.get(f"/?universe={quote(HOSTILE)}").text  # of which nothing was tested


@pytest.mark.parametrize("path", [*PAGES, f"/?universe={quote(HOSTILE)}", f"/signals?universe={quote(HOSTILE)}"])
def test_a_name_that_is_markup_stays_text(browser: TestClient, path: str) -> None:
    page = shown(browser, path)
    assert all("src" in attributes for tag, attributes in page.tags if tag == "script")
    assert {attributes["src"] for tag, attributes in page.tags if tag == "img"} == {
        f"/static/{static_files()['icon.svg'].digest}/icon.svg"
    }
    assert not [name for _, attributes in page.tags for name in attributes if name.startswith("on") or name == "style"]
    if path != "/quality":
        assert HOSTILE in "".join(page.texts)


@pytest.mark.parametrize("path", ["/?universe=small", "/signals?universe=small&segment=Energy", "/quality"])
def test_browsers_may_run_and_load_only_the_page_s_own_files(browser: TestClient, path: str) -> None:
    answer = browser.get(path)
    policy = dict(rule.split(" ", 1) for rule in answer.headers["content-security-policy"].split("; "))
    assert policy["default-src"] == "'none'"
    assert {policy[f"{kind}-src"] for kind in ("script", "style", "img", "connect")} == {"'self'"}
    assert policy["frame-ancestors"] == policy["base-uri"] == "'none'"
    page = Page(answer.text)
    assert not [tag for tag, _ in page.tags if tag in ("style", "iframe", "object", "base")]
    fetched = [a.get("src") or a.get("href") or "" for tag, a in page.tags if tag in ("script", "link", "img")]
    assert fetched
    for address in fetched:
        file = browser.get(address)
        assert file.status_code == 200
        assert "immutable" in file.headers["cache-control"]


@pytest.mark.parametrize("path", MOST_STATEMENTS)
def test_a_screen_asks_the_store_few_questions(filled: Database, monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    with counted(monkeypatch) as asked, browser_of(service_over(filled)) as browser:
        asked.clear()
        assert browser.get(path).status_code == 200
        questions = [query for query in asked if query not in ("SELECT 1",)]
    assert 0 < len(questions) <= MOST_STATEMENTS[path], questions


def test_the_first_view_is_small(browser: TestClient) -> None:
    packed = {"Accept-Encoding": "gzip"}
    page = browser.get("/?universe=small", headers=packed)
    names = re.findall(r'(?:src|href)="(/static/[^"]+)"', page.text)
    answers = [page, browser.get("/charts?universe=small", headers=packed)]
    answers += [browser.get(name, headers=packed) for name in set(names)]
    assert all(answer.status_code == 200 for answer in answers)
    assert len(answers) >= 7
    sizes = [len(gzip.compress(answer.content, 4)) for answer in answers]
    assert sum(sizes) < FIRST_VIEW / 2


def test_signals_go_on_where_the_list_ends_and_none_is_lost_or_repeated(browser: TestClient, filled: Database) -> None:
    stored = signal_listing.signals(filled, None, None, "small", "ALL", "breadth_score")
    listed: list[str] = []
    path = "/signals?universe=small&rule=breadth_score"
    while path:
        page = shown(browser, path)
        listed += [link.removeprefix("/signals/") for link in page.links() if link.startswith("/signals/")]
        path = next((link for link in page.links() if "before=" in link), "")
    assert listed == [row["signal_id"] for row in reversed(stored)]


def test_signals_are_those_that_the_filter_means(browser: TestClient, filled: Database) -> None:
    page = shown(browser, "/signals?universe=small&action=sell&from=2022-06-01&to=2023-05-31")
    stored = [
        row["signal_id"]
        for row in signal_listing.signals(filled, None, None, "small", "ALL", None)
        if row["rule"] not in ("breadth_score", "conviction") and row["action"] == "sell"
        if "2022-06-01" <= str(row["session"]) <= "2023-05-31"
    ]
    assert stored
    assert [link.removeprefix("/signals/") for link in page.links() if link.startswith("/signals/")] == stored[::-1]
    assert "No signal matches" in shown(browser, "/signals?universe=small&from=1990-01-01&to=1990-12-31").said


def test_a_signal_is_explained_in_the_command_s_words(browser: TestClient, filled: Database) -> None:
    rows = signal_listing.signals(filled, None, None, "small", "ALL", None)
    event = next(row for row in rows if row["rule"] == "whaley_adt5")
    page = shown(browser, f"/signals/{event['signal_id']}")
    assert f"{event['action'].upper()} small ALL at the close of {event['session']} ({event['state']})" in page.said
    assert "strength of the evidence, not a probability" in page.said
    assert f"breadthflow explain '{event['signal_id']}'" in page.said


@pytest.mark.parametrize(
    ("path", "status", "said"),
    [
        ("/?universe=nobody", 404, "Nothing is stored of universe nobody."),
        ("/signals/0123456789abcdef", 400, "No signal has the id 0123456789abcdef"),
        ("/signals?rule=nothing", 404, "No rule is called nothing."),
        ("/signals?from=yesterday", 422, "from: Input should be a valid date"),
        ("/signals?before=here", 422, "here is no place in the list."),
        ("/signals?segment=%00", 400, "The request has a character NUL in its text"),
        ("/signals?before=2024-01-02,%00", 400, "The request has a character NUL in its text"),
        ("/signals/%00", 400, "The request has a character NUL in its text"),
    ],
)
def test_what_is_wrong_is_said_with_what_to_do(browser: TestClient, path: str, status: int, said: str) -> None:
    answer = browser.get(path)
    page = Page(answer.text)
    assert answer.status_code == status
    assert said in page.said
    assert "What to do next:" in page.said
    assert "Traceback" not in answer.text


def test_days_as_early_as_can_be_written_are_shown_empty(browser: TestClient) -> None:
    for path in ("/quality?to=0001-01-01", "/quality?from=0001-01-01&to=0001-01-01", "/signals?to=0001-01-01"):
        assert browser.get(path).status_code == 200, path


def test_what_is_wrong_with_the_data_is_shown_with_what_it_means_and_what_helps(database: Database) -> None:
    fill(database, ("small",), SESSIONS + 200)
    spoil(database)
    with browser_of(service_over(database)) as browser:
        page = shown(browser, "/quality")
        earlier = shown(browser, "/quality?from=2022-01-01&to=2022-02-01")
    assert f"bars_complete of bars, since {dt.datetime.now(dt.UTC):%Y-%m-%d}" in page.said
    assert "has no bars <script>" in page.said
    assert "breadthflow backfill --from 2023-11-30 --to 2023-11-30" in page.said
    assert "Held: nothing is built from there on" in page.said
    assert re.search(r"rejected bar no_volume; high_below_low files 1 2023-11-04 2023-11-04 broke the cont", page.said)
    assert re.search(r"quarantined bar synthetic spike - 1 2023-11-07 2023-11-07 keeps the contract", page.said)
    assert re.search(r"2023-11-04 X files rejected bar no_volume; high_below_low", page.said)
    assert "spike" not in earlier.said


def test_an_empty_store_says_what_to_run(database: Database) -> None:
    with browser_of(service_over(database)) as browser:
        page = shown(browser, "/")
        assert "The store is empty." in page.said
        assert "breadthflow run" in page.said
        assert "/runs" in page.links()
        assert [a["http-equiv"] for tag, a in page.tags if tag == "meta" and "http-equiv" in a] == ["refresh"]
        assert browser.get("/signals").status_code == 404
        assert "Nothing was rejected" in shown(browser, "/quality").said


def test_a_store_without_signals_shows_its_counts(database: Database) -> None:
    fill(database, ("small",), sessions=3)
    with browser_of(service_over(database)) as browser:
        page = shown(browser, "/")
    assert "small has no score at the close of Wednesday 5 January 2022" in page.said
    assert "History is too short." in page.said
    assert "rose" in page.said


def test_a_database_that_is_away_is_said_to_be_and_asked_for_again(filled: Database) -> None:
    service = service_over(filled)
    gone = filled.url.replace("/test_", "/gone_")
    object.__setattr__(service.store, "url", gone)
    with browser_of(service) as browser:
        answer = browser.get("/")
    page = Page(answer.text)
    assert answer.status_code == 503
    assert "The database cannot be reached" in page.said
    assert ("meta", {"http-equiv": "refresh", "content": "5"}) in page.tags
    assert "Traceback" not in answer.text


def test_a_fault_of_our_own_is_a_page_without_a_trace(browser: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(screen_listing, "standings", lambda _: 1 / 0)
    answer = browser.get("/")
    assert answer.status_code == 500
    assert "The server failed" in Page(answer.text).said
    assert "ZeroDivisionError" not in answer.text


def test_only_invented_data_is_marked(browser: TestClient, filled: Database) -> None:
    assert "invented" not in shown(browser, "/?universe=small").said
    with filled.connect() as connection, connection.cursor() as cursor:
        cursor.execute("INSERT INTO securities (security_id, security_key, synthetic) VALUES (1, 'X', true)")
        cursor.execute("INSERT INTO universe_members VALUES ('small', 1, '2022-01-01', NULL, 'X')")
    try:
        for path in PAGES:
            assert "Synthetic: all prices of small are invented." in shown(browser, path).said
        assert browser.get("/charts?universe=small").json()["synthetic"] is True
        assert browser.get(f"/charts?universe={quote(HOSTILE)}").json()["synthetic"] is False
    finally:
        with filled.connect() as connection, connection.cursor() as cursor:
            cursor.execute("DELETE FROM universe_members; DELETE FROM securities")


def test_pages_listen_for_events_that_there_are(browser: TestClient) -> None:
    for path in PAGES:
        heard = next(attributes["data-hears"] for tag, attributes in shown(browser, path).tags if tag == "body")
        assert heard is not None
        assert {*heard.split()} < {*EVENT_KINDS, MISSED}
