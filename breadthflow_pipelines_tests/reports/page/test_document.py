"""The whole page: no markup from outside, nothing fetched, invented data marked, colours that can be read."""

import base64
import hashlib
import re
from dataclasses import replace
from html.parser import HTMLParser

import polars as pl
import pytest

from breadthflow_pipelines.reports.page import document
from breadthflow_pipelines.reports.page.document import chart_library, page
from breadthflow_pipelines_tests.reports.page.invented import FAULTS, facts

MOST_BYTES = 2_000_000
# Of dist/lightweight-charts.standalone.production.js in TradingView's own package 5.2.0 on npm.
PUBLISHED = "c0992580867c4912cc9385b3c2728315bcc1a76c7f1087dca908430fccdf31d7"
HOSTILE = "<script>alert('x')</script>\"'&<img src=x onerror=alert(1)>"


class Reader(HTMLParser):
    """Collects tags, attributes and the texts that are not scripts."""

    def __init__(self, of: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.scripts: list[str] = []
        self.feed(of)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        (self.scripts if self.tags[-1:] and self.tags[-1][0] == "script" else self.texts).append(data)


def test_the_script_is_the_one_that_tradingview_publishes() -> None:
    assert hashlib.sha256(chart_library().encode()).hexdigest() == PUBLISHED
    assert "Licensed under Apache License 2.0" in chart_library()[:300]
    assert "tradingview.com" in page(facts()).partition("<footer>")[2]  # its notice asks for it


def test_names_from_outside_stay_text() -> None:
    fault = pl.DataFrame([{"kind": "rejected bar", "what": HOSTILE, "rows": 1, "first": None, "last": None}], FAULTS)
    hostile = replace(facts(HOSTILE, sectors=(HOSTILE,)), faults=fault)
    read = Reader(page(hostile))
    plain = Reader(page(facts("plain")))
    assert [tag for tag, _ in read.tags].count("script") == [tag for tag, _ in plain.tags].count("script") == 3
    assert not [tag for tag, _ in read.tags if tag == "img"]
    assert not [name for _, attributes in read.tags for name in attributes if name.startswith("on")]
    assert sum(HOSTILE in text for text in read.texts) >= 4  # title, heading, sentence, fault


def test_the_page_allows_no_script_but_its_own_and_no_request() -> None:
    read = Reader(page(facts()))
    policy = next(a["content"] for tag, a in read.tags if tag == "meta" and "content-security-policy" in str(a).lower())
    assert policy is not None
    rules = dict(rule.split(" ", 1) for rule in policy.split("; "))
    assert rules["default-src"] == "'none'"
    digests = {base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in read.scripts}
    assert {
        word.removeprefix("'sha256-").rstrip("'") for word in rules["script-src"].split()
    } < digests  # not the data's
    assert not [a for tag, a in read.tags if "src" in a or tag == "link"]
    away = {a["href"] for tag, a in read.tags if tag == "a" and not str(a["href"]).startswith("#")}
    assert away == {"https://www.tradingview.com/"}


def test_only_invented_data_is_marked() -> None:
    real, invented = page(facts()), page(facts(synthetic=True))
    assert "<title>small (SYNTHETIC): market breadth" in invented
    assert "Synthetic: all prices are invented." in invented
    assert "SYNTHETIC" not in real.partition("<script")[0]
    assert "Synthetic:" not in real


def test_the_same_facts_make_the_same_page_and_it_is_small() -> None:
    assert page(facts()) == page(facts())
    quarter_century = facts(sessions=6300)
    assert len(page(quarter_century).encode()) < MOST_BYTES / 2


def test_a_store_s_first_session_has_a_page() -> None:
    first = page(facts(sessions=1, sectors=()))
    assert "not known yet: history is too short" in first
    assert "Nothing is rejected, quarantined, doubted, revised or held." in first


def luminance(colour: str) -> float:
    """As WCAG 2 defines it."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
@pytest.mark.parametrize(
    ("ink", "ground", "least"),
    [
        *((name, "card", 4.5) for name in ("text", "muted", "link", "buy", "sell", "hold")),  # text: WCAG 1.4.3
        *((name, "page", 4.5) for name in ("text", "muted", "link")),
        ("warn", "warn-page", 4.5),
        *((name, "card", 3.0) for name in ("first", "second", "third", "up", "down")),  # lines: WCAG 1.4.11
    ],
)
def test_colours_can_be_told_from_their_ground(scheme: int, ink: str, ground: str, least: float) -> None:
    style = document._own("page.css")
    palettes = [dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", block)) for block in style.split(":root {")[1:3]]
    light, dark = sorted((luminance(palettes[scheme][name]) for name in (ink, ground)), reverse=True)
    assert (light + 0.05) / (dark + 0.05) >= least
