"""The page's charts as pictures for Dagster's UI, drawn from the same entries and the same columns as on the page."""

from collections.abc import Iterator, Sequence

import polars as pl

from breadthflow_pipelines.model.vocabulary import BUY, SELL
from breadthflow_pipelines.reports import svg
from breadthflow_pipelines.reports.charts import SESSIONS, heading_of, named, picture
from breadthflow_pipelines.reports.page.catalogue import CHARTS, Chart, Series
from breadthflow_pipelines.reports.page.facts import Facts
from breadthflow_pipelines.reports.page.payload import columns, drawable, sectors

_COLOURS = {"up": svg.UP, "down": svg.DOWN, "first": svg.FIRST, "second": svg.SECOND, "third": svg.SOFT}
_MARKED = {BUY: svg.UP, SELL: svg.DOWN}


def pictures(facts: Facts) -> str:
    """Markdown with every chart of a page over the last SESSIONS sessions, and the heat map of sectors."""
    title = named(facts.universe, [facts.universe] if facts.synthetic else [])
    rows, shown = columns(facts).tail(SESSIONS), drawable(facts)
    drawn = [panel for chart in CHARTS if chart in shown for panel in _panels(facts, chart, shown[chart], rows, title)]
    return "\n\n".join([*drawn, *_sectors(facts, rows, title)])


def _panels(facts: Facts, chart: Chart, shown: Sequence[Series], rows: pl.DataFrame, title: str) -> Iterator[str]:
    """A picture for each pane of a chart; levels and signals are in the first one, as on the page."""
    first = min(series.pane for series in shown if series.kind != "shade")
    for pane in sorted({series.pane for series in shown}):
        own = [series for series in shown if series.pane == pane]
        told = [series for series in own if series.kind != "shade"]
        alone = len(told) == 1  # its name is then in the title, where there is more room
        layers = [_layer(series, rows, "" if alone else f"{series.label} ") for series in own]
        label = told[0].label if alone else ""
        if pane > first:
            yield picture(title, label or chart.title, rows, layers)
            continue
        layers += _marks(facts, chart, told[0], rows)
        what = ": ".join(filter(None, (chart.title, label)))
        yield picture(title, what, rows, layers, levels=chart.levels, within=chart.within)


def _layer(series: Series, rows: pl.DataFrame, name: str) -> svg.Layer:
    """What a series is drawn as. name: what stands before its last value, at its end."""
    values = rows[series.column]
    if series.kind == "shade":
        return svg.Shade((values == 1).fill_null(value=False).to_list())
    end = f"{name}{'unknown' if values[-1] is None else svg.figure(values[-1])}"
    if series.kind == "line":
        return svg.Line(end, values.to_list(), _COLOURS[series.colour])
    return svg.Area(end, (-values if series.below else values).to_list(), _COLOURS[series.colour])


def _marks(facts: Facts, chart: Chart, series: Series, rows: pl.DataFrame) -> Iterator[svg.Marks]:
    """The events of a chart's rules where their session's value is, by what they say."""
    at = {session: (i, value) for i, (session, value) in enumerate(rows.select("session", series.column).iter_rows())}
    points: dict[str, list[tuple[int, float]]] = {}
    for event in facts.events:
        i, value = at.get(event["session"], (0, None))
        if event["rule"] in chart.rules and value is not None:
            points.setdefault(_MARKED.get(event["action"], svg.SOFT), []).append((i, value))
    for colour, found in points.items():
        yield svg.Marks(found, colour)


def _sectors(facts: Facts, rows: pl.DataFrame, title: str) -> Iterator[str]:
    """The heat map, where there is one."""
    found = {name: values.to_list() for name, values in sectors(facts, rows.select("session")).items()}
    if found:
        heading = heading_of(title, "% of each sector's members above their 50-day mean", rows["session"])
        yield svg.markdown(heading, svg.heat(heading, rows["session"].to_list(), found))
