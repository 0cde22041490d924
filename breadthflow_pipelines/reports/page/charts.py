"""The charts as the page has them: the section of each, with its last values in words and in a table, and its data.

The data of all of them is one JSON object, packed once; page.js draws from it.
"""

import base64
import datetime as dt
import gzip
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from xml.etree.ElementTree import Element

import polars as pl

from breadthflow_pipelines.indicators.breadth_catalogue import CATALOGUE
from breadthflow_pipelines.model.vocabulary import SESSION_RULES
from breadthflow_pipelines.reports.page.catalogue import CHARTS, WINDOW, Chart, Series
from breadthflow_pipelines.reports.page.evidence import evidence
from breadthflow_pipelines.reports.page.facts import Facts
from breadthflow_pipelines.reports.page.markup import element, signal_link, table
from breadthflow_pipelines.signals.rules import RULES

SHOWN_SESSIONS = 10  # in the table below a chart
SHOWN_SIGNALS = 3  # the newest ones that are marked in it
SECTORS = "sectors"
_EPOCH = dt.date(1970, 1, 1)
_HEAT_DECIMALS = 0


def drawable(facts: Facts) -> dict[Chart, list[Series]]:
    """By chart, its series that have a value; a chart without any is not in it."""
    wide = _columns(facts)
    known = {chart: [series for series in chart.series if wide[series.column].count()] for chart in CHARTS}
    return {chart: series for chart, series in known.items() if any(each.kind != "shade" for each in series)}


def chart_sections(facts: Facts) -> Iterator[Element]:
    """A section for each chart, one for the sectors, and a note of those that cannot be drawn."""
    wide, shown = _columns(facts), drawable(facts)
    for chart, series in shown.items():
        told = [each for each in series if each.kind != "shade"]
        panes = len({each.pane for each in series})
        yield _section(
            chart.name,
            chart.title,
            chart.about,
            _spoken(chart, told, wide),
            panes,
            table(
                ["Session", *(each.label for each in told)],
                [
                    [str(row["session"]), *(_written(row[each.column], each.decimals) for each in told)]
                    for row in reversed(wide.tail(SHOWN_SESSIONS).to_dicts())
                ],
                f"{chart.title}, last {min(SHOWN_SESSIONS, wide.height)} sessions",
            ),
            _newest(facts, chart),
            _formulas(told),
        )
    if facts.sectors["pct_above_50"].count():
        yield _sectors(facts)
    missing = [chart.title for chart in CHARTS if chart not in shown]
    missing += [] if facts.sectors["pct_above_50"].count() else ["Sectors"]
    if missing:
        yield element("p", f"Not drawn, because nothing of it is known here: {', '.join(missing)}.", class_="about")


def payload(facts: Facts) -> dict[str, Any]:
    """What page.js draws from.

    days: since 1970, by session. columns: by name, decimals and whole numbers, values times ten to the decimals.
    charts, heat, events: as they are drawn; an event is at the number of its session.
    """
    wide, shown = _columns(facts), drawable(facts)
    decimals = {series.column: series.decimals for chart in shown for series in shown[chart]}
    events = evidence(facts)
    marks = {chart: [i for i, event in enumerate(events) if event["rule"] in chart.rules] for chart in shown}
    return {
        "synthetic": facts.synthetic,
        "days": [(session - _EPOCH).days for session in wide["session"]],
        "columns": {name: [places, _whole(wide[name], places)] for name, places in decimals.items()},
        "charts": [
            {
                "name": chart.name,
                "levels": chart.levels,
                "within": chart.within,
                "marks": marks[chart],
                "series": [{**vars(series), "pane": _pane(series, shown[chart])} for series in shown[chart]],
            }
            for chart in shown
        ],
        "heat": _heat(facts),
        "measures": SESSION_RULES,
        "events": events,
    }


def _pane(series: Series, shown: Sequence[Series]) -> int:
    """Which pane it is in once those that have nothing to show are gone."""
    return sorted({each.pane for each in shown}).index(series.pane)


def packed(content: Mapping[str, Any]) -> str:
    """The object as text that cannot end a script element: JSON, compressed, in base64; equal objects, equal texts."""
    plain = json.dumps(content, separators=(",", ":"), allow_nan=False).encode()
    return base64.b64encode(gzip.compress(plain, mtime=0)).decode()


def _columns(facts: Facts) -> pl.DataFrame:
    return facts.with_measures().with_columns(pl.Series(WINDOW, zweig_window(facts), pl.Float64))


def zweig_window(facts: Facts) -> list[float]:
    """1 for each session on which Zweig's thrust is armed, the one of the thrust included; else 0."""
    thrust = RULES["zweig_breadth_thrust"].thrust
    assert thrust is not None  # noqa: S101 - it is a rule of events
    assert thrust.deadline is not None  # noqa: S101 - and its window has an end
    fired = {event["session"] for event in facts.events if event["rule"] == thrust.name}
    low, armed, window = thrust.arms[0].level, None, []
    for i, (session, average) in enumerate(facts.breadth.select("session", "zweig_ema").iter_rows()):
        if average is not None and average < low:
            armed = i
        window.append(float(armed is not None and i - armed <= thrust.deadline))
        if session in fired:
            armed = None
    return window


def _whole(values: pl.Series, decimals: int) -> list[int | None]:
    whole: list[int | None] = (values.cast(pl.Float64) * 10**decimals).round().cast(pl.Int64).to_list()
    return whole


def _heat(facts: Facts) -> dict[str, Any] | None:
    """Sectors, and of each its values in whole per cent, by session; None where the universe has none."""
    if not facts.sectors["pct_above_50"].count():
        return None
    sessions = facts.breadth.select("session")
    by_sector = {
        str(sector): _whole(
            sessions.join(own, on="session", how="left", maintain_order="left")["pct_above_50"], _HEAT_DECIMALS
        )
        for (sector,), own in sorted(facts.sectors.group_by("segment"), key=lambda part: str(part[0]))
    }
    return {"rows": list(by_sector), "values": list(by_sector.values())}


def _sectors(facts: Facts) -> Element:
    last = facts.sectors.filter(pl.col("session") == facts.now["session"]).sort("segment")
    rows = [[name, _written(value, 1)] for name, value in last.select("segment", "pct_above_50").iter_rows()]
    about = (
        "Per cent of each sector's members above the mean of their last 50 closes: orange where few are, blue where "
        "most are."
    )
    spoken = f"Heat map of {len(rows)} sectors over {facts.breadth.height:,} sessions. On {facts.now['session']}: " + (
        "; ".join(f"{name} {value} %" for name, value in rows)
    )
    at = table(["Sector", "% above 50 days"], rows, f"Sectors on {facts.now['session']}")
    key = element("p", "0 %", element("span", class_="scale", aria_hidden="true"), "100 %", class_="key")
    return _section(SECTORS, "Sectors", about, spoken, 2, at, key, None)


def _section(
    name: str,
    title: str,
    about: str,
    spoken: str,
    panes: int,
    numbers: Element,
    signals: Element | None,
    formulas: Element | None,
) -> Element:
    drawing = element(
        "div", class_=f"chart panes-{panes}", id=f"chart-{name}", role="img", tabindex=0, aria_label=spoken
    )
    return element(
        "section",
        element("h2", title, id=f"{name}-title"),
        element("p", about, class_="about"),
        element("p", class_="legend", id=f"legend-{name}"),
        drawing,
        signals,
        element("details", element("summary", "Figures and formulas"), numbers, formulas),
        class_="card",
        id=name,
        aria_labelledby=f"{name}-title",
    )


def _spoken(chart: Chart, told: Sequence[Series], wide: pl.DataFrame) -> str:
    last = wide.row(-1, named=True)
    values = "; ".join(f"{series.label} {_written(last[series.column], series.decimals)}" for series in told)
    return f"{chart.title}, {wide['session'][0]} to {last['session']}. Last session: {values}."


def _newest(facts: Facts, chart: Chart) -> Element | None:
    """Links to the newest signals that are marked in a chart."""
    marked = [event for event in facts.events if event["rule"] in chart.rules][-SHOWN_SIGNALS:]
    if not marked:
        return element("p", "No signal is marked in this chart.", class_="newest") if chart.rules else None
    links = [
        element("li", signal_link(event["signal_id"], f"{event['session']} {event['rule']}, {event['action']}"))
        for event in reversed(marked)
    ]
    return element("div", element("span", "Newest signals marked here:"), element("ul", links), class_="newest")


def _formulas(told: Sequence[Series]) -> Element:
    known = [CATALOGUE[series.column] for series in told if series.column in CATALOGUE]
    return element(
        "ul",
        (
            element("li", f"{indicator.name}: {indicator.formula} ({indicator.units}). {indicator.source}.")
            for indicator in known
        ),
        class_="formulas",
    )


def _written(value: float | None, decimals: int) -> str:
    return "unknown" if value is None else f"{value:,.{decimals}f}"
