"""The section of each chart: what it shows, its last values in words and in a table, its signals, its formulas."""

from collections.abc import Iterator, Sequence
from xml.etree.ElementTree import Element

import polars as pl

from breadthflow_pipelines.indicators.breadth_catalogue import CATALOGUE
from breadthflow_pipelines.reports.page.catalogue import CHARTS, Chart, Series
from breadthflow_pipelines.reports.page.facts import Facts
from breadthflow_pipelines.reports.page.markup import element, signal_link, table
from breadthflow_pipelines.reports.page.payload import columns, drawable

SHOWN_SESSIONS = 10  # in the table below a chart
SHOWN_SIGNALS = 3  # the newest ones that are marked in it
SECTORS = "sectors"


def chart_sections(facts: Facts) -> Iterator[Element]:
    """A section for each chart, one for the sectors, and a note of those that cannot be drawn."""
    wide, shown = columns(facts), drawable(facts)
    for chart in CHARTS:
        if chart not in shown:
            continue
        told = [each for each in shown[chart] if each.kind != "shade"]
        yield _section(
            chart.name,
            chart.title,
            chart.about,
            _drawn(chart, shown[chart], wide),
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
    return _section(SECTORS, "Sectors", about, _place(SECTORS, 2, spoken), at, key, None)


def drawing(facts: Facts, chart: Chart) -> list[Element]:
    """A chart outside the list of charts: its legend, and where it is drawn; nothing where it has nothing to show."""
    shown = drawable(facts).get(chart)
    return [] if shown is None else [_legend(chart.name), _drawn(chart, shown, columns(facts))]


def _drawn(chart: Chart, shown: Sequence[Series], wide: pl.DataFrame) -> Element:
    told = [each for each in shown if each.kind != "shade"]
    return _place(chart.name, len({each.pane for each in shown}), _spoken(chart, told, wide))


def _place(name: str, panes: int, spoken: str) -> Element:
    """Where charts.js draws, and what a screen reader says of it."""
    return element("div", class_=f"chart panes-{panes}", id=f"chart-{name}", role="img", tabindex=0, aria_label=spoken)


def _legend(name: str) -> Element:
    return element("p", class_="legend", id=f"legend-{name}")


def _section(
    name: str,
    title: str,
    about: str,
    place: Element,
    numbers: Element,
    signals: Element | None,
    formulas: Element | None,
) -> Element:
    return element(
        "section",
        element("h2", title, id=f"{name}-title"),
        element("p", about, class_="about"),
        _legend(name),
        place,
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
