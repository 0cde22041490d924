"""Today's market on one screen: where every universe stands, and one of them in full. Computes no indicator.

What it shows of one is what its page of a whole history shows (reports/page/), of the last sessions.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import version
from typing import Any
from xml.etree.ElementTree import Element

import polars as pl

from breadthflow_pipelines.api.page import dials
from breadthflow_pipelines.evaluation.returns import universe_levels
from breadthflow_pipelines.model.counts import COUNTS
from breadthflow_pipelines.model.vocabulary import ALL, KEY
from breadthflow_pipelines.reports.page.backtests import summary
from breadthflow_pipelines.reports.page.charts import chart_sections
from breadthflow_pipelines.reports.page.facts import Facts, completed
from breadthflow_pipelines.reports.page.payload import payload
from breadthflow_pipelines.reports.page.record import records
from breadthflow_pipelines.reports.page.today import today
from breadthflow_pipelines.warehouse.screen_listing import Screen

PROGRAM = "breadthflow"
SESSIONS = 504  # two years; what is armed longer ago than that has fired or lapsed since
RANGES = {"6 months": 126, "1 year": 252, "2 years": SESSIONS}
_SIGNAL = "#signal-"  # how reports/page/ links to evidence on the same page

_TEXT = ("universe", "segment", "rule", "action", "state", "signal_id", "evidence", "verdict", "reason")
_OF_BACKTESTS = ("thresholds", "portfolio", "held", "basis", "cash")
_DAYS = ("session", "first_session", "last_session", "peak_session", "trough_session", "recovered_session")
_WHOLE = ("horizon", "events", "episodes", "record_n", "convention", "contributing", "adjusted", "trades")
_SCHEMA: Mapping[str, Any] = {
    **dict.fromkeys((*_TEXT, *_OF_BACKTESTS), pl.String),
    **dict.fromkeys(_DAYS, pl.Date),
    **dict.fromkeys(_WHOLE, pl.Int64),
    "doubts": pl.List(pl.String),
    "calibrated": pl.Boolean,
    "computed_at": pl.Datetime("us", "UTC"),
    **{count.name: pl.Int64 if count.whole else pl.Float64 for count in COUNTS},
}
_RECORD = ("rule", "action", "horizon", "events", "episodes", "hit_rate", "base_rate", "lift", "p_rotation", "p_family")


@dataclass(frozen=True)
class Market:
    """A universe's screen, as elements."""

    facts: Facts

    @cached_property
    def now(self) -> Element:
        """Today's state: the sentence, the dials, the table."""
        section = _linked(today(self.facts))
        section.insert(1, dials.dials(self.facts))
        return section

    @property
    def charts(self) -> list[Element]:
        """The charts, without their drawings."""
        return [_linked(section) for section in chart_sections(self.facts)]

    @cached_property
    def record(self) -> Element | None:
        """What followed each rule's signals."""
        return records(self.facts)

    @cached_property
    def worth(self) -> Element | None:
        """What following each rule was worth."""
        return summary(self.facts)

    @property
    def drawn(self) -> dict[str, Any]:
        """What charts.js draws from; why a signal fired stands on a page of its own."""
        found = payload(self.facts)
        events = [{name: event[name] for name in ("id", "at", "rule", "action")} for event in found["events"]]
        return {**found, "events": events}


def market(universe: str, screen: Screen, *, synthetic: bool) -> Market:
    """The screen of a universe."""
    returns = _frame(screen.returns, *KEY, "return", "intraday", "contributing", "adjusted")
    nothing = pl.DataFrame(schema={"session": pl.Date, **dict.fromkeys(("return", "wealth", "held"), pl.Float64)})
    return Market(
        Facts(
            universe=universe,
            breadth=completed(_frame(screen.breadth)),
            signals=_frame(screen.signals, "universe", "segment", "session", "rule", "value"),
            sectors=_frame(screen.sectors, "segment", "session", "pct_above_50"),
            faults=pl.DataFrame(),
            records=_frame(screen.records, *_RECORD, "verdict", "reason"),
            level=universe_levels(returns).filter(segment=ALL).select("session", "level"),
            backtests=_frame(screen.backtests),
            years=pl.DataFrame(),
            growth=nothing,
            known_at=screen.known_at,
            convention=screen.convention,
            synthetic=synthetic,
            version=version(PROGRAM),
        )
    )


def _frame(rows: Sequence[Mapping[str, Any]], *columns: str) -> pl.DataFrame:
    """Rows as a frame; what is neither text, day nor count is a number. columns: those of no rows."""
    names = list(rows[0]) if rows else columns
    schema = {name: _SCHEMA.get(name, pl.Float64) for name in names}
    return pl.DataFrame(rows, schema=schema, orient="row")


def _linked(root: Element) -> Element:
    """With links to signals that lead to their pages."""
    for anchor in root.iter("a"):
        where = anchor.get("href", "")
        if where.startswith(_SIGNAL):
            anchor.set("href", f"/signals/{where.removeprefix(_SIGNAL)}")
    return root
