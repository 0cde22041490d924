"""The record of every rule, never without what any session would have given, and with a verdict in words.

How records are made: evaluation/, docs/decisions/evaluation.md.
"""

from xml.etree.ElementTree import Element

import polars as pl

from breadthflow_pipelines.evaluation.significance import LEVEL
from breadthflow_pipelines.model.vocabulary import RECORD_HORIZON
from breadthflow_pipelines.reports.page.facts import Facts, Row
from breadthflow_pipelines.reports.page.markup import element, table
from breadthflow_pipelines.reports.records import verdicts_sentence

READ = (
    "A buy is right where the universe rose, a sell where it fell behind its own mean, of all its history. The record "
    "beside a signal counts a sell right where the universe fell behind the mean that was known then, so its rates are "
    "others. Any session: how often any other eligible session would have been right. p: how often the same signals, "
    "moved in time together, do as well; of all: beside everything that was tried."
)
_COLUMNS = (
    "Rule",
    "Side",
    "Sessions",
    "Signals",
    "Episodes",
    "Right",
    "Any session",
    "Lift",
    "p",
    "p of all",
    "Verdict",
)


def records(facts: Facts) -> Element | None:
    """What followed each rule's signals, of the whole history; None before anything was judged."""
    if facts.records.is_empty():
        return None
    shown = facts.records.filter(horizon=RECORD_HORIZON)  # the other horizons are folded away
    return element(
        "section",
        element("h2", "Record of every rule", id="record-title"),
        element("p", f"{verdicts_sentence(facts.records['verdict'], LEVEL)} {READ}", class_="about"),
        _table(shown, f"Records over {RECORD_HORIZON} sessions"),
        element(
            "details",
            element("summary", "Every horizon"),
            _table(facts.records, "Records over every horizon"),
        ),
        class_="card wide-card",
        id="record",
        aria_labelledby="record-title",
    )


def _table(rows: pl.DataFrame, caption: str) -> Element:
    return table(_COLUMNS, (_cells(row) for row in rows.iter_rows(named=True)), caption)


def _cells(row: Row) -> list[str]:
    reason = f": {row['reason']}" if row["reason"] else ""
    return [
        row["rule"],
        row["action"],
        f"{row['horizon']}",
        f"{row['events']:,}",
        f"{row['episodes']:,}",
        _share(row["hit_rate"]),
        _share(row["base_rate"]),
        "" if row["lift"] is None else f"{100 * row['lift']:+.1f}",
        _probability(row["p_rotation"]),
        _probability(row["p_family"]),
        f"{row['verdict']}{reason}",
    ]


def _share(rate: float | None) -> str:
    return "unknown" if rate is None else f"{rate:.1%}"


def _probability(p: float | None) -> str:
    return "" if p is None else f"{p:.3f}"
