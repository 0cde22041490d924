"""Why each signal fired, in the words of ``breadthflow explain``, as the page opens it."""

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any
from xml.etree.ElementTree import Element

from breadthflow_pipelines.model.vocabulary import ARMED_SESSION, RECORD_HORIZON
from breadthflow_pipelines.reports.page.facts import Facts, Row
from breadthflow_pipelines.reports.page.markup import element
from breadthflow_pipelines.reports.records import record_told
from breadthflow_pipelines.reports.tables import text
from breadthflow_pipelines.signals.explanation import explanation

MOST_SESSIONS = 40  # of those behind one signal; McClellan's recovery may take a year


def evidence(facts: Facts) -> list[dict[str, Any]]:
    """All events, oldest first, then score and conviction of the last session.

    Each: id, at (number of its session), session, rule, action, value, threshold, confidence, state, calibrated, title,
    and parts: lines of text, the record first, and tables of columns and rows.
    """
    return [_entry(facts, signal) for signal in (*facts.events, *facts.measures.values())]


def _entry(facts: Facts, signal: Row) -> dict[str, Any]:
    explained = explanation(signal, text)
    record = f"Record       {record_told(signal, RECORD_HORIZON)}"
    parts = [record, *(part if isinstance(part, str) else _table(list(part[0]), part) for part in explained.parts)]
    sessions, all_sessions = _sessions(facts, signal)
    if len(sessions) < all_sessions:
        parts.append(f"The last {len(sessions)} of the {all_sessions} sessions since then")
    return {
        "id": signal["signal_id"],
        "at": facts.number[signal["session"]],
        "session": str(signal["session"]),
        "calibrated": signal["calibrated"],
        **{name: text(signal[name]) for name in ("rule", "action", "value", "threshold", "confidence", "state")},
        "title": explained.title,
        "parts": [*parts, _table(explained.columns, sessions)],
    }


def _table(columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    return {"columns": columns, "rows": [[text(row.get(column), column) for column in columns] for row in rows]}


def _sessions(facts: Facts, signal: Row) -> tuple[Sequence[Row], int]:
    """The sessions from the one that armed the signal to its own, the last ones where they are many; how many."""
    last = facts.number[signal["session"]]
    armed = signal["evidence"].get(ARMED_SESSION)
    first = facts.number.get(dt.date.fromisoformat(armed), last) if armed else last
    shown = min(MOST_SESSIONS, last + 1 - first)
    return facts.breadth.slice(last + 1 - shown, shown).to_dicts(), last + 1 - first


def signal_list() -> Element:
    """The section with every signal; page.js fills its table and chooses by rule."""
    columns = ("Session", "Rule", "Action", "Value", "Against", "Confidence", "State", "Evidence")
    head = element("tr", (element("th", name, scope="col") for name in columns))
    listed = element(
        "table", element("caption", "Signals", class_="hidden"), element("thead", head), element("tbody", id="signals")
    )
    return element(
        "section",
        element("h2", "Signals", id="signals-title"),
        element(
            "p",
            "Every event of the universe as a whole, newest first. Confidence is the strength of the evidence, not a "
            "probability; it is halved where a rule's thresholds were not published for this universe.",
            class_="about",
        ),
        element("p", element("label", "Rule ", element("select", id="rule"))),
        element("div", listed, class_="wide", tabindex=0, role="region", aria_label="Signals"),
        element("p", element("button", "Show more", type="button", id="more")),
        class_="card wide-card",
        aria_labelledby="signals-title",
    )
