"""The page's charts in Dagster's UI: all of them, of the same values, with their signals."""

import re
from urllib.parse import unquote
from xml.etree import ElementTree

import polars as pl
import pytest

from breadthflow_pipelines.reports import svg
from breadthflow_pipelines.reports.page.facts import Facts
from breadthflow_pipelines.reports.page.pictures import pictures
from breadthflow_pipelines_tests.reports.page.invented import facts

SESSIONS = 250
MOST_BYTES = 90_000  # of all charts: they are stored with every run
# What a page shows of members, pane by pane; nothing is known of an index or of returns here.
PANES = (
    *("Index and A/D line: A/D line", "Score and conviction: Score", "Conviction"),
    *("Advances and declines", "Open 10-day TRIN"),
    "McClellan Oscillator and Summation Index: Oscillator, ratio-adjusted",
    "Summation, ratio-adjusted",
    "Zweig's breadth thrust, with its window: Zweig's average",
    *("Advances over one to four weeks", "Participation"),
    *("New highs and new lows", "High-low index, %", "Up volume"),
    "% of each sector's members above their 50-day mean",
)


def drawn(of: Facts) -> dict[str, str]:
    """The pictures by what they show, in their order."""
    found = re.findall(r"!\[([^\]]*)\]\(data:image/svg\+xml;charset=utf-8,([^)]*)\)", pictures(of))
    return {re.sub(r"^[^:]*: (.*), over .*$", r"\1", title): unquote(picture) for title, picture in found}


@pytest.fixture(scope="module")
def shown() -> tuple[Facts, dict[str, str]]:
    of = facts()
    return of, drawn(of)


def test_every_chart_of_the_page_is_there_and_small(shown: tuple[Facts, dict[str, str]]) -> None:
    of, found = shown
    assert tuple(found) == PANES
    assert len(pictures(of)) < MOST_BYTES
    for picture in found.values():
        assert ElementTree.fromstring(picture) is not None  # noqa: S314 - our own
    assert "SYNTHETIC" not in pictures(of)


def test_what_is_written_at_the_ends_is_the_last_session(shown: tuple[Facts, dict[str, str]]) -> None:
    of, found = shown
    now = of.now
    assert f">{svg.figure(now['mcclellan_summation_ratio'])}<" in found["Summation, ratio-adjusted"]
    assert f">50 days, % {svg.figure(now['pct_above_50'])}<" in found["Participation"]
    assert f">Declines {now['declines']}<" in found["Advances and declines"]
    last = of.sectors.filter(session=now["session"]).sort("segment")["pct_above_50"]
    for value in last:
        assert f">{value:.0f} %<" in found[PANES[-1]]


def test_signals_of_a_chart_are_marked_and_zweigs_window_is_shaded(shown: tuple[Facts, dict[str, str]]) -> None:
    of, found = shown
    recent = of.breadth["session"][-SESSIONS]
    rules = of.signals.filter(pl.col("session") >= recent)["rule"]
    marked = {  # Appel's time trend looks at Zweig's average as well, reversals of 90 % days at volume
        "Zweig's breadth": "^(zweig|appel)",
        "McClellan Osc": "^mcclellan",
        "Up volume": "^(whaley_udt|ninety)",
    }
    for name, pattern in marked.items():
        (picture,) = [picture for title, picture in found.items() if title.startswith(name)]
        assert picture.count("l-12,22h24z") == rules.str.contains(pattern).sum(), name
    assert rules.str.contains("^zweig").sum() > 1
    assert "fill='#868e9655'" in found["Zweig's breadth thrust, with its window: Zweig's average"]


def test_what_is_not_known_is_not_drawn_and_an_invented_market_is_named() -> None:
    found = drawn(facts(sectors=(), synthetic=True, **{f"above_{n}": pl.lit(None, pl.Int64) for n in (20, 50, 200)}))
    assert "Participation" not in found
    assert PANES[-1] not in found
    assert all("SYNTHETIC" in picture for picture in found.values())
