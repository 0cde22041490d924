"""Why a signal fired, in the words of ``breadthflow explain``, cut into what a page shows: lines and tables."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from breadthflow_pipelines.model.vocabulary import RECORD_HORIZON
from breadthflow_pipelines.reports.records import record_told
from breadthflow_pipelines.reports.tables import text
from breadthflow_pipelines.signals.explanation import Explanation, explanation
from breadthflow_pipelines.signals.symbol_explanation import symbol_explanation

MOST_SESSIONS = 40  # of those behind one signal; McClellan's recovery may take a year

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Table:
    """Texts in columns."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True)
class Explained:
    """A signal explained. lines: what a line is about, and what it says. left_out: sessions that are not shown."""

    title: str
    lines: Sequence[tuple[str, str]]
    tables: Sequence[Table]
    left_out: int


def of_market(signal: Row, sessions: Sequence[Row]) -> Explained:
    """That of a universe. sessions: the breadth of those that it rests on."""
    found = explanation(signal, text)
    shown = sessions[-MOST_SESSIONS:]
    return _explained(signal, found, [_table("Sessions behind it", found.columns, shown)], len(sessions) - len(shown))


def of_member(signal: Row) -> Explained:
    """That of a universe's member."""
    return _explained(signal, symbol_explanation(signal, text), [], 0)


def _explained(signal: Row, found: Explanation, more: Sequence[Table], left_out: int) -> Explained:
    parts = [part for part in found.parts if isinstance(part, str)]
    tables = [part for part in found.parts if not isinstance(part, str)]
    lines = [("Record", record_told(signal, RECORD_HORIZON)), *map(_line, parts)]
    return Explained(
        found.title, lines, [*(_table("Evidence", list(part[0]), part) for part in tables if part), *more], left_out
    )


def _line(part: str) -> tuple[str, str]:
    """A line of an explanation: its name, then two blanks or more, then what it says."""
    name, _, said = re.sub(r" {2,}", "\n", part, count=1).partition("\n")
    return (name.replace("_", " ").capitalize(), said) if said else ("", name)


def _table(title: str, columns: Sequence[str], rows: Sequence[Row]) -> Table:
    return Table(title, columns, [[text(row.get(column), column) for column in columns] for row in rows])
