"""The live page in a browser: it draws, keeps itself up to date, says when it is cut off, and everybody can use it."""

import csv
import datetime as dt
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import uvicorn
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, Page

from breadthflow_pipelines.api.access import Role
from breadthflow_pipelines.api.app import create_app
from breadthflow_pipelines.api.service import Service, open_service
from breadthflow_pipelines.api.tokens import create
from breadthflow_pipelines.sessions import exchange_calendar
from breadthflow_pipelines.settings import Settings
from breadthflow_pipelines.warehouse import signal_listing
from breadthflow_pipelines.warehouse.database import Database, open_database
from breadthflow_pipelines_tests.api.page.conftest import fill, service_over, spoil
from breadthflow_pipelines_tests.chromium import launched
from breadthflow_pipelines_tests.conftest import free_port, wait_until
from breadthflow_pipelines_tests.e2e.serving import Served

pytestmark = pytest.mark.slow

PHONE, DESKTOP = (390, 844), (1360, 900)
FIRST_VIEW, BYTES = 1.0, 300_000  # seconds until it is painted, on an idle machine; bytes that come over the network
WATCHED = 400_000  # milliseconds, on a machine that others use too
PAGES = ("/?universe=small", "/signals?universe=small", "/quality", "/?universe=nobody")
PAINTED = "() => performance.getEntriesByName('first-contentful-paint')[0].startTime / 1000"
TRANSFERRED = """() => performance.getEntriesByType('resource').concat(performance.getEntriesByType('navigation'))
    .filter(entry => !entry.name.endsWith('/v1/events')).reduce((sum, entry) => sum + entry.transferSize, 0)"""


class Server:
    """The page, served on a port that stays the same when it is stopped and started again."""

    def __init__(self, service: Service) -> None:
        self.service, self.port = service, free_port()
        self.address = f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        config = uvicorn.Config(create_app(self.service), port=self.port, log_config=None, timeout_graceful_shutdown=1)
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run)
        self._thread.start()
        wait_until(lambda: self._server.started)

    def stop(self) -> None:
        self._server.should_exit = True
        self._thread.join(20)


@contextmanager
def serve(service: Service) -> Iterator[Server]:
    server = Server(service)
    server.start()
    try:
        yield server
    finally:
        server.stop()


def serving(store: Database, *, opened: bool = True) -> AbstractContextManager[Server]:
    return serve(service_over(store, opened=opened))


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with launched() as browser:
        yield browser


@dataclass
class Seen:
    """A window, and what its console said."""

    page: Page
    context: BrowserContext
    said: list[str] = field(default_factory=list)


@pytest.fixture
def window(chromium: Browser) -> Iterator[Callable[..., Seen]]:
    """Opens windows."""
    contexts: list[BrowserContext] = []

    def make(size: tuple[int, int] = DESKTOP, scheme: str = "light", **options: object) -> Seen:
        width, height = size
        context = chromium.new_context(viewport={"width": width, "height": height}, color_scheme=scheme, **options)  # type: ignore[arg-type]
        contexts.append(context)
        seen = Seen(context.new_page(), context)
        seen.page.on("console", lambda message: message.type != "verbose" and seen.said.append(message.text))
        seen.page.on("pageerror", lambda error: seen.said.append(str(error)))
        return seen

    yield make
    for context in contexts:
        context.close()


def violations(page: Page) -> list[str]:
    found = Axe().run(page).response["violations"]
    return [f"{each['id']}: {node['html'][:200]}" for each in found for node in each["nodes"]]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [PHONE, DESKTOP], ids=["phone", "desktop"])
def test_everybody_can_use_it_on_whatever_they_have(
    window: Callable[..., Seen], filled: Database, size: tuple[int, int], scheme: str
) -> None:
    explained = signal_listing.latest_signals(filled, 1, "small")[-1]["signal_id"]
    with serving(filled) as server:
        for path in (*PAGES, f"/signals/{explained}"):
            seen = window(size, scheme)
            page = seen.page
            page.goto(server.address + path)
            if path.startswith("/?universe=small"):
                page.wait_for_selector("html[data-drawn=yes]")
                assert page.locator(".chart canvas").count() > 20
            assert [said for said in seen.said if "404" not in said] == []  # one of the pages is not there
            assert violations(page) == [], path
            assert page.evaluate("document.documentElement.scrollWidth") <= size[0], path
            page.keyboard.press("Tab")
            assert page.evaluate("document.activeElement.textContent") == "To the content"
            seen.context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_everybody_can_read_what_is_wrong_with_the_data(
    window: Callable[..., Seen], database: Database, scheme: str
) -> None:
    fill(database, ("small",), sessions=700)
    spoil(database)
    with serving(database) as server:
        page = window(PHONE, scheme).page
        page.goto(f"{server.address}/quality")
        assert page.get_by_text("high_below_low").first.is_visible()
        assert violations(page) == []
        assert page.evaluate("document.documentElement.scrollWidth") <= PHONE[0]


def test_who_has_a_token_logs_in_filters_reads_why_and_logs_out(window: Callable[..., Seen], filled: Database) -> None:
    token = create(Database(filled.url, None), "Ann", Role.VIEWER, None, "the tests")
    with serving(filled, opened=False) as server:
        seen = window()
        page = seen.page
        page.goto(f"{server.address}/signals?universe=small")
        assert page.url.startswith(f"{server.address}/login")
        assert violations(page) == []
        page.get_by_label("Token").fill(token)
        page.get_by_role("button", name="Log in").click()
        assert page.url == f"{server.address}/signals?universe=small"
        page.get_by_label("Rule").select_option("whaley_adt5")
        page.get_by_label("Action").select_option("buy")
        page.get_by_role("button", name="Filter").click()
        rows = page.locator("#signals tbody tr")
        stored = signal_listing.signals(filled, None, None, "small", "ALL", "whaley_adt5")
        bought = [row for row in stored if row["action"] == "buy"]
        assert rows.count() == len(bought) > 0
        rows.first.get_by_role("link").click()
        page.wait_for_url(f"**/signals/{bought[-1]['signal_id']}")
        assert "strength of the evidence, not a probability" in page.locator("main").inner_text()
        assert page.get_by_text("Ann, viewer").is_visible()
        assert page.evaluate("document.cookie") == ""  # no script can read it
        page.get_by_role("button", name="Log out").click()
        page.goto(server.address)
        assert page.url.startswith(f"{server.address}/login")
        assert seen.said == []


def test_it_reads_without_javascript(window: Callable[..., Seen], filled: Database) -> None:
    with serving(filled) as server:
        page = window(java_script_enabled=False).page
        page.goto(f"{server.address}/?universe=small")
        assert page.get_by_text("at the close of Sunday 3 December 2023").is_visible()
        assert page.get_by_text("Without JavaScript this page does not update itself").is_visible()
        page.get_by_role("link", name="Evidence").first.click()
        assert page.locator("h1").inner_text() == "Why this signal"


def test_a_new_session_shows_by_itself_and_the_charts_follow(window: Callable[..., Seen], database: Database) -> None:
    fill(database, ("small",), sessions=400)
    with serving(database) as server:
        page = window().page
        page.goto(server.address)
        page.wait_for_selector("html[data-drawn=yes]")
        page.get_by_text("Live", exact=True).wait_for()
        day = "2023-02-07"
        assert day not in page.locator("#legend-score").inner_text()
        page.get_by_text("Figures and formulas").first.click()
        fill(database, ("small",), sessions=401)
        page.get_by_text("at the close of Tuesday 7 February 2023").wait_for(timeout=60_000)
        # The new charts have no legends until they are drawn.
        page.wait_for_function("day => document.querySelector('#legend-score').textContent.includes(day)", arg=day)
        assert page.locator("#chart-score canvas").first.is_visible()


def test_a_page_that_is_cut_off_says_so_and_comes_back(window: Callable[..., Seen], database: Database) -> None:
    fill(database, ("small",), sessions=400)
    with serving(database) as server:
        page = window().page
        page.goto(server.address)
        page.get_by_text("Live", exact=True).wait_for()
        server.stop()
        page.get_by_text("What this page shows is less than a minute old").wait_for(timeout=60_000)
        assert page.get_by_text("Cut off", exact=True).is_visible()
        assert violations(page) == []
        fill(database, ("small",), sessions=401)
        server.start()
        page.get_by_text("at the close of Tuesday 7 February 2023").wait_for(timeout=60_000)
        page.get_by_text("Live", exact=True).wait_for()
        assert not page.locator("#cut").is_visible()


def test_a_session_that_ends_leads_to_the_form(window: Callable[..., Seen], filled: Database) -> None:
    token = create(Database(filled.url, None), "Ann", Role.VIEWER, None, "the tests")
    with serving(filled, opened=False) as server:
        page = window().page
        page.goto(server.address)
        page.get_by_label("Token").fill(token)
        page.get_by_role("button", name="Log in").click()
        page.get_by_text("Live", exact=True).wait_for()
        with filled.connect() as connection, connection.cursor() as cursor:
            cursor.execute("DELETE FROM page_sessions")
        server.stop()
        server.start()
        page.wait_for_url("**/login?**", timeout=60_000)


def test_the_first_view_comes_at_once(window: Callable[..., Seen], filled: Database) -> None:
    with serving(filled) as server:
        painted, sizes = [], []
        for _ in range(5):
            page = window().page
            page.goto(f"{server.address}/?universe=small")
            page.wait_for_selector("html[data-drawn=yes]")
            painted.append(page.evaluate(PAINTED))
            sizes.append(page.evaluate(TRANSFERRED))
        assert 0 < max(sizes) < BYTES
        assert min(painted) < FIRST_VIEW, painted


def test_an_empty_demo_is_filled_from_the_page_and_watched(window: Callable[..., Seen], home: Path) -> None:
    last = exchange_calendar("XNYS").last_closed()
    start = f"{last - dt.timedelta(days=200):%Y-%m}"
    dagster = Served(home, start).wait_until_ready()
    settings = Settings(home=home, start=start, webserver_url=f"http://127.0.0.1:{dagster.port}")
    try:
        with serve(open_service(settings)) as server:
            token = create(open_database(settings), "Ann", Role.OPERATOR, None, "the tests")
            page = window().page
            page.goto(f"{server.address}/runs")
            page.get_by_label("Token").fill(token)
            page.get_by_role("button", name="Log in").click()
            beside = page.context.new_page()
            beside.goto(server.address)
            assert beside.get_by_text("The store is empty").is_visible()
            page.get_by_label("From").fill(f"{start}-01")
            page.get_by_role("button", name="Start a run").click()
            page.wait_for_url("**/runs/*-*")
            page.get_by_text(re.compile(r"[1-9]\d* of \d+ steps done; now ")).wait_for(timeout=WATCHED)
            assert violations(page) == []
            page.get_by_text("bring_up_to_date: success").wait_for(timeout=WATCHED)
            assert page.locator("#run").get_by_text("by Ann").is_visible()
            assert page.get_by_role("row", name=re.compile("breadth_counts")).first.is_visible()
            assert violations(page) == []
            beside.reload()
            beside.get_by_text(f"{last:%A} {last.day} {last:%B %Y}").wait_for()
            assert beside.get_by_text("Synthetic: all prices of demo are invented.").is_visible()
            with beside.expect_download() as download:
                beside.goto(f"{server.address}/signals?rule=conviction")
                beside.get_by_role("link", name="these signals as CSV").click()
            rows = list(csv.DictReader(download.value.path().read_text().splitlines()))
            stored = signal_listing.signals(open_database(settings), None, None, "demo", "ALL", "conviction")
            assert [row["signal_id"] for row in rows] == [row["signal_id"] for row in stored] != []
    finally:
        assert dagster.stop() == 0
