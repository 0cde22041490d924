"""What is to be recomputed, or read again, because something below it changed, and from which session on.

A change is noted in the transaction that makes it, and forgotten once what is made of it was recomputed: a run that is
killed between the two leaves a note, and the next run does what is due.
"""

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass

from breadthflow_pipelines.warehouse.bulk import Merged, Statement, fetch
from breadthflow_pipelines.warehouse.database import Database
from breadthflow_pipelines.warehouse.dependents import MADE_OF


@dataclass(frozen=True)
class Due:
    """What an asset does not know yet. first: the first session that it concerns, None where it knows all."""

    first: dt.date | None
    causes: tuple[str, ...]
    notes: tuple[int, ...]


def noting(origin: str, first: dt.date | None) -> list[Statement]:
    """The statements that note a change in ``origin`` from a session on; none where nothing changed."""
    if first is None:
        return []
    return [statement for asset in MADE_OF[origin] for statement in noting_each(asset, [first], origin)]


def noting_of(origin: str, merged: Merged) -> list[Statement]:
    """The same of what a merge changed."""
    return noting(origin, merged.first_changed)


def due(database: Database, asset: str) -> Due:
    """What an asset does not know yet, to be asked before it is computed."""
    found = fetch(
        database,
        "SELECT recomputation_id, first_session, cause FROM recomputations WHERE asset = $1 ORDER BY recomputation_id",
        (asset,),
    )
    first: dt.date | None = found["first_session"].min()  # type: ignore[assignment]
    return Due(first, tuple(found["cause"].unique().sort()), tuple(found["recomputation_id"]))


def noting_each(asset: str, sessions: Iterable[dt.date], cause: str) -> list[Statement]:
    """The statements that note single sessions of an asset, each to be done by a run that is about it."""
    query = "INSERT INTO recomputations (asset, first_session, cause) VALUES ($1, $2, $3)"
    return [(query, (asset, session, cause)) for session in sessions]


def done_within(database: Database, asset: str, start: dt.date, end: dt.date) -> None:
    """Forget what was noted of an asset's sessions from start through end."""
    with database.connect() as connection, connection.cursor() as cursor:
        query = "DELETE FROM recomputations WHERE asset = %s AND first_session BETWEEN %s AND %s"
        cursor.execute(query, (asset, start, end))


def done(database: Database, asset: str, known: Due, held_from: dt.date | None = None) -> None:
    """Forget what an asset knows now; what became due since stays, and so does what is held from a session on."""
    with database.connect() as connection, connection.cursor() as cursor:
        query = "DELETE FROM recomputations WHERE asset = %s AND recomputation_id = ANY(%s)"
        cursor.execute(query, (asset, list(known.notes)))
        if held_from is not None:
            query = "INSERT INTO recomputations (asset, first_session, cause) VALUES (%s, %s, 'held sessions')"
            cursor.execute(query, (asset, held_from))
