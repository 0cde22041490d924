"""What the page's script draws from: one JSON object, packed once. How a chart stands in the page: charts.py."""

import base64
import datetime as dt
import gzip
import json
from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from breadthflow_pipelines.model.vocabulary import SESSION_RULES
from breadthflow_pipelines.reports.page.armed import armed_sessions
from breadthflow_pipelines.reports.page.catalogue import (
    CHARTS,
    EQUAL_WEIGHT,
    GROWTH,
    HELD,
    WEALTH,
    WINDOW,
    Chart,
    Series,
)
from breadthflow_pipelines.reports.page.evidence import evidence
from breadthflow_pipelines.reports.page.facts import Facts
from breadthflow_pipelines.signals.rules import RULES

_EPOCH = dt.date(1970, 1, 1)


def payload(facts: Facts) -> dict[str, Any]:
    """What charts.js draws from.

    days: since 1970, by session. columns: by name, decimals and the values rounded to them. charts, heat, events: as
    they are drawn; an event is at the number of its session.
    """
    wide, shown = columns(facts), drawable(facts)
    decimals = {series.column: series.decimals for chart in shown for series in shown[chart]}
    events = evidence(facts)
    marks = {chart: [i for i, event in enumerate(events) if event["rule"] in chart.rules] for chart in shown}
    return {
        "synthetic": facts.synthetic,
        "days": [(session - _EPOCH).days for session in wide["session"]],
        "columns": {name: [places, _rounded(wide[name], places)] for name, places in decimals.items()},
        "charts": [
            {
                "name": chart.name,
                "levels": chart.levels,
                "within": chart.within,
                "ratio": chart.ratio,
                "marks": marks[chart],
                "series": [{**vars(series), "pane": _pane(series, shown[chart])} for series in shown[chart]],
            }
            for chart in shown
        ],
        "heat": _heat(facts),
        "measures": SESSION_RULES,
        "events": events,
    }


def packed(content: Mapping[str, Any]) -> str:
    """The object as text that cannot end a script element: JSON, compressed, in base64; equal objects, equal texts."""
    plain = json.dumps(content, separators=(",", ":"), allow_nan=False).encode()
    return base64.b64encode(gzip.compress(plain, mtime=0)).decode()


def drawable(facts: Facts) -> dict[Chart, list[Series]]:
    """By chart, its series that have a value; a chart without any is not in it."""
    wide = columns(facts)
    known = {chart: [one for one in chart.series if wide[one.column].count()] for chart in (*CHARTS, GROWTH)}
    return {chart: series for chart, series in known.items() if any(each.kind != "shade" for each in series)}


def columns(facts: Facts) -> pl.DataFrame:
    """The breadth with everything beside it that charts draw."""
    thrust = RULES["zweig_breadth_thrust"].thrust
    assert thrust is not None  # noqa: S101 - it is a rule of events
    level = facts.level.select("session", (100 * pl.col("level")).alias(EQUAL_WEIGHT))
    wealth = facts.growth.select("session", WEALTH, HELD)
    wide = facts.with_measures().with_columns(pl.Series(WINDOW, armed_sessions(facts, thrust)).cast(pl.Float64))
    for beside in (level, wealth):
        wide = wide.join(beside, on="session", how="left", maintain_order="left")
    return wide


def _pane(series: Series, shown: Sequence[Series]) -> int:
    """Which pane it is in once those that have nothing to show are gone."""
    return sorted({each.pane for each in shown}).index(series.pane)


def _heat(facts: Facts) -> dict[str, Any] | None:
    """Sectors, and of each its values in whole per cent, by session; None where the universe has none."""
    found = sectors(facts, facts.breadth.select("session"))
    return {"rows": list(found), "values": [_rounded(own, 0) for own in found.values()]} if found else None


def sectors(facts: Facts, sessions: pl.DataFrame) -> dict[str, pl.Series]:
    """By sector, by name, what the heat map shows of each of these sessions; empty where nothing of it is known."""
    if not facts.sectors["pct_above_50"].count():
        return {}
    return {
        str(sector): sessions.join(own, on="session", how="left", maintain_order="left")["pct_above_50"]
        for (sector,), own in sorted(facts.sectors.group_by("segment"), key=lambda part: str(part[0]))
    }


def _rounded(values: pl.Series, decimals: int) -> list[float | None]:
    return values.cast(pl.Float64).round(decimals).to_list()
