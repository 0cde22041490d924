"""What is to be recomputed, or read again, because something below it changed, and from which session on.

A change is noted in the transaction that makes it, and forgotten once what follows it was recomputed: a run that is
killed between the two leaves a note, and the next run does what is due. What follows what: model/datasets.py.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from breadthflow_pipelines.model.datasets import FOLLOWERS
from breadthflow_pipelines.warehouse.database import Database, rows_of

if TYPE_CHECKING:  # what decides by rows imports this module, and starts in a fraction of a second
    from breadthflow_pipelines.warehouse.bulk import Merged, Statement

_NOTE = "INSERT INTO recomputations (asset, first_session, cause) VALUES "
_FOR_ADBC, _FOR_PSYCOPG2 = f"{_NOTE}($1, $2, $3)", f"{_NOTE}(%s, %s, %s)"


@dataclass(frozen=True)
class Due:
    """What an asset is not made of yet. first: the first session that it concerns, None where nothing is due."""

    first: dt.date | None
    causes: tuple[str, ...]
    notes: tuple[int, ...]


def change_notes(origin: str, first: dt.date | None) -> list[Statement]:
    """The statements that note a change in ``origin`` from a session on; none where nothing changed."""
    if first is None:
        return []
    return [statement for asset in FOLLOWERS[origin] for statement in session_notes(asset, [first], origin)]


def merge_notes(origin: str, merged: Merged) -> list[Statement]:
    """The same of what a merge changed."""
    return change_notes(origin, merged.first_changed)


def session_notes(asset: str, sessions: Iterable[dt.date], cause: str) -> list[Statement]:
    """The statements that note single sessions of an asset, each to be done by a run that is about it."""
    return [(_FOR_ADBC, (asset, session, cause)) for session in sessions]


def note_change(cursor: Any, origin: str, first: dt.date, cause: str) -> None:
    """Note a change in ``origin`` from a session on, in the transaction of a cursor of psycopg2."""
    cursor.executemany(_FOR_PSYCOPG2, [(asset, first, cause) for asset in FOLLOWERS[origin]])


def due(database: Database, asset: str) -> Due:
    """What an asset is not made of yet, to be asked before it is computed."""
    query = "SELECT recomputation_id, first_session, cause FROM recomputations WHERE asset = %s ORDER BY 1"
    rows = rows_of(database, query, [asset])
    first = min((row["first_session"] for row in rows), default=None)
    return Due(first, tuple(sorted({row["cause"] for row in rows})), tuple(row["recomputation_id"] for row in rows))


def done_within(database: Database, asset: str, start: dt.date, end: dt.date) -> None:
    """Forget what was noted of an asset's sessions from start through end."""
    with database.connect() as connection, connection.cursor() as cursor:
        query = "DELETE FROM recomputations WHERE asset = %s AND first_session BETWEEN %s AND %s"
        cursor.execute(query, (asset, start, end))


def done(database: Database, asset: str, was_due: Due, held_from: dt.date | None = None) -> None:
    """Forget what an asset is made of now; what became due since stays, and what is held from a session on."""
    with database.connect() as connection, connection.cursor() as cursor:
        query = "DELETE FROM recomputations WHERE asset = %s AND recomputation_id = ANY(%s)"
        cursor.execute(query, (asset, list(was_due.notes)))
        if held_from is not None:
            cursor.execute(_FOR_PSYCOPG2, (asset, held_from, "held sessions"))
