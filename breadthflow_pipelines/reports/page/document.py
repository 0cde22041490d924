"""The whole page: its sections in their order, its style, its scripts, and what the browser may do with it.

The page asks for nothing over a network, and its policy (Content-Security-Policy) forbids that and every script but the
two it is made with.
"""

import base64
import hashlib
from functools import cache
from importlib.metadata import distribution
from importlib.resources import files
from pathlib import Path
from xml.etree.ElementTree import Element

from breadthflow_pipelines.reports.page import backtests, evidence, record, today, trust
from breadthflow_pipelines.reports.page.charts import chart_sections
from breadthflow_pipelines.reports.page.facts import Facts
from breadthflow_pipelines.reports.page.markup import element, written
from breadthflow_pipelines.reports.page.payload import packed, payload

# TradingView's own file, carried by a package of others; no code of that package is run (docs/decisions/report.md).
CARRIER, CARRIED = "lwcharts", "lwcharts/vendor/lightweight-charts.standalone.production.js"
RANGES = {"6 months": 126, "1 year": 252, "2 years": 504, "5 years": 1260, "10 years": 2520, "All": 0}
FIRST_RANGE = "2 years"


def page(facts: Facts) -> str:
    """The page of a universe, as the text of an HTML file. The same facts give the same text."""
    library, own = chart_library(), "\n".join(_own(name) for name in ("evidence.js", "charts.js", "page.js"))
    name = f"{facts.universe} (SYNTHETIC)" if facts.synthetic else facts.universe
    policy = f"default-src 'none'; style-src 'unsafe-inline'; img-src data:; script-src {_hash(library)} {_hash(own)}"
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=policy),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("title", f"{name}: market breadth, {facts.now['session']}"),
        element("style", _own("page.css")),
    )
    body = element(
        "body",
        element("a", "To the charts", href="#charts", class_="skip"),
        _synthetic() if facts.synthetic else None,
        element("header", element("h1", f"Market breadth of {name}"), today.today(facts)),
        element(
            "main",
            _ranges(),
            element("noscript", "The charts and the evidence of signals need JavaScript."),
            element("p", id="failed", role="alert", hidden=True),
            element("div", chart_sections(facts), class_="charts", id="charts"),
            evidence.signal_list(),
            record.records(facts),
            backtests.backtests(facts),
            trust.quality(facts),
            trust.method(facts),
        ),
        _footer(),
        _dialog(),
        element("p", class_="hidden", id="said", aria_live="polite"),
        element("script", packed(payload(facts)), type="text/plain", id="data"),
        element("script", library),
        element("script", own),
    )
    return f"<!DOCTYPE html>\n{written(element('html', head, body, lang='en'))}\n"


@cache
def chart_library() -> str:
    """The script of TradingView's Lightweight Charts, its licence in its first lines."""
    return Path(str(distribution(CARRIER).locate_file(CARRIED))).read_text(encoding="utf-8")


@cache
def _own(name: str) -> str:
    return (files(__package__) / name).read_text(encoding="utf-8")


def _hash(script: str) -> str:
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return f"'sha256-{digest}'"


def _synthetic() -> Element:
    said = "Synthetic: all prices are invented."
    return element("p", element("strong", said), class_="synthetic")


def _ranges() -> Element:
    buttons = (
        element("button", name, type="button", data_sessions=sessions, aria_pressed=str(name == FIRST_RANGE).lower())
        for name, sessions in RANGES.items()
    )
    help_ = "In a chart: drag or arrow keys move, plus and minus zoom, Enter opens a signal's evidence."
    return element(
        "nav", buttons, element("span", help_, class_="help"), class_="ranges", aria_label="Range of the charts"
    )


def _footer() -> Element:
    return element(
        "footer",
        element(
            "p",
            "Charts: ",
            element("a", "TradingView Lightweight Charts™", href="https://www.tradingview.com/", rel="noreferrer"),
            ", Copyright (c) TradingView, Inc., Apache License 2.0.",
        ),
    )


def _dialog() -> Element:
    return element(
        "dialog",
        element("form", element("button", "Close"), method="dialog"),
        element("h2", id="evidence-title"),
        element("div", id="evidence-body"),
        id="evidence",
        aria_labelledby="evidence-title",
    )
