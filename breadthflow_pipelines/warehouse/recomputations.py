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
from breadthflow_pipelines.warehouse.database import Database, Row, rows_of
from breadthflow_pipelines.warehouse.sql import array, by_name, spaced

if TYPE_CHECKING:  # what decides by rows imports this module, and starts in a fraction of a second
    from breadthflow_pipelines.warehouse.bulk import Merged, Statement

FEW_SECURITIES = 100  # named by a note, at most

_NOTE = "INSERT INTO recomputations (asset, first_session, cause"
_FROM = f"{_NOTE}) VALUES ($1, $2, $3)"
_THROUGH = f"{_NOTE}, changed_through) VALUES ($1, $2, $3, $4)"
_OF_SECURITIES = f"{_NOTE}, changed_through, securities) VALUES ($1, $2, $3, $4, {array('$5', 'bigint')})"
_OF_ONE_SESSION = f"{_NOTE}, last_session) VALUES ($1, $2, $3, $2)"


@dataclass(frozen=True)
class Some:
    """All that is due where not everything is: all sessions of these securities, and these sessions of everybody."""

    securities: frozenset[int]
    sessions: frozenset[dt.date]


@dataclass(frozen=True)
class Change:
    """What changed below an asset. through: the last session that did; None: not known, so maybe all of them.

    securities: whose rows; None: maybe everybody's.
    """

    through: dt.date | None
    securities: frozenset[int] | None


@dataclass(frozen=True)
class Due:
    """What an asset is not made of yet. first: the first session that it concerns, None where nothing is due.

    changes: what changed below it, by note. some: what alone is due; None where all that follows the first session is.
    """

    first: dt.date | None
    causes: tuple[str, ...]
    notes: tuple[int, ...]
    changes: tuple[Change, ...] = ()
    some: Some | None = None


def change_notes(
    origin: str,
    first: dt.date | None,
    through: dt.date | None = None,
    securities: frozenset[int] | None = None,
) -> list[Statement]:
    """The statements that note a change in ``origin`` from a session on; none where nothing changed.

    through: the last session that changed; None: not known. securities: whose rows changed; None: maybe everybody's.
    """
    if first is None:
        return []
    followers = FOLLOWERS[origin]
    if through is None:
        return [statement for asset in followers for statement in session_notes(asset, [first], origin)]
    if securities is None or len(securities) > FEW_SECURITIES:
        return [(_THROUGH, (asset, first, origin, through)) for asset in followers]
    named = spaced(sorted(securities))
    return [(_OF_SECURITIES, (asset, first, origin, through, named)) for asset in followers]


def merge_notes(origin: str, merged: Merged) -> list[Statement]:
    """The same of what a merge changed."""
    return change_notes(origin, merged.first_changed, merged.last_changed, merged.securities)


def single_session_notes(asset: str, sessions: Iterable[dt.date], cause: str) -> list[Statement]:
    """The statements that note single sessions of an asset, of everybody, and nothing after them."""
    return [(_OF_ONE_SESSION, (asset, session, cause)) for session in sessions]


def session_notes(asset: str, sessions: Iterable[dt.date], cause: str) -> list[Statement]:
    """The statements that note single sessions of an asset, each to be done by a run that is about it."""
    return [(_FROM, (asset, session, cause)) for session in sessions]


def note_change(cursor: Any, origin: str, first: dt.date, cause: str) -> None:
    """Note a change in ``origin`` from a session on, in the transaction of a cursor of psycopg2."""
    for asset in FOLLOWERS[origin]:
        cursor.execute(*by_name(_FROM, (asset, first, cause)))


def due(database: Database, asset: str) -> Due:
    """What an asset is not made of yet, to be asked before it is computed."""
    query = (
        "SELECT recomputation_id, first_session, last_session, changed_through, securities, cause "
        "FROM recomputations WHERE asset = %s ORDER BY 1"
    )
    rows = rows_of(database, query, [asset])
    first = min((row["first_session"] for row in rows), default=None)
    causes, notes = sorted({row["cause"] for row in rows}), [row["recomputation_id"] for row in rows]
    changes = [Change(row["changed_through"], frozenset(row["securities"] or ()) or None) for row in rows]
    return Due(first, tuple(causes), tuple(notes), tuple(changes), _some(rows))


def _some(rows: list[Row]) -> Some | None:
    securities, sessions = set[int](), set[dt.date]()
    for row in rows:
        if row["securities"] is not None:
            securities.update(row["securities"])
        elif row["last_session"] == row["first_session"]:
            sessions.add(row["first_session"])
        else:
            return None
    return Some(frozenset(securities), frozenset(sessions)) if rows and len(securities) <= FEW_SECURITIES else None


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
            cursor.execute(*by_name(_FROM, (asset, held_from, "held sessions")))
