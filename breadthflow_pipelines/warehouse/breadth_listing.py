"""Breadth as commands list it: counts and indicators side by side, as they are now or were at a moment.

By rows, not frames: these commands start in a fraction of a second. Whether a universe is invented stands in each row.
"""

import datetime as dt
from collections.abc import Sequence

from psycopg2 import sql

from breadthflow_pipelines.errors import RequestError
from breadthflow_pipelines.model.datasets import BREADTH_REVISIONS
from breadthflow_pipelines.warehouse import history, standing
from breadthflow_pipelines.warehouse.database import Database, Row, last_rows_of, rows_of
from breadthflow_pipelines.warehouse.sql import conditions
from breadthflow_pipelines.warehouse.universe_listing import synthetic_universes

BY_SEGMENT = "universe, segment, session"  # the order of breadth


def breadth_columns(database: Database) -> list[str]:
    """The columns that breadth can be asked for: universe, segment, session, state, counts, doubts, indicators."""
    query = (
        "SELECT attname::text AS name FROM pg_attribute WHERE attrelid = 'breadth'::regclass AND attnum > 0 "
        "ORDER BY attnum"
    )
    return [row["name"] for row in rows_of(database, query, [])]


def breadth(
    database: Database,
    universe: str,
    first: dt.date | None,
    last: dt.date | None,
    segment: str | None,
    columns: Sequence[str],
    as_of: dt.datetime | None = None,
    most: int | None = None,
) -> list[Row]:
    """These columns of the counts and indicators of a universe, and ``synthetic``, by segment and session.

    as_of: a moment with a zone; what the store said then, instead of what it says now. most: the last so many rows.

    Raises:
        RequestError: the universe, the segment or the days are not in the store, or were not then; says what is.
    """
    query, values = breadth_query(database, universe, first, last, segment, columns, as_of)
    rows = last_rows_of(database, query, values, BY_SEGMENT, most)
    if not rows:
        raise nothing(database, universe, segment, first, last, as_of)
    invented = universe in synthetic_universes(database)
    return [{**row, "synthetic": invented} for row in rows]


def breadth_query(
    database: Database,
    universe: str,
    first: dt.date | None,
    last: dt.date | None,
    segment: str | None,
    columns: Sequence[str],
    as_of: dt.datetime | None,
) -> tuple[sql.Composed, list[str | int | dt.date]]:
    """The query of these columns of breadth, in no order, with psycopg2's marks, and its values."""
    where, values = conditions({"universe": universe, "segment": segment}, first, last)
    shown = sql.SQL(", ").join(map(sql.Identifier, columns))
    query = sql.SQL("SELECT {} FROM breadth WHERE {}").format(shown, sql.SQL(where))
    return history.tables_as_of(database, as_of, BREADTH_REVISIONS) + query, values


def nothing(
    database: Database,
    universe: str,
    segment: str | None,
    first: dt.date | None,
    last: dt.date | None,
    as_of: dt.datetime | None,
) -> RequestError:
    """Why the store has no such breadth, or had none then, and what it has."""
    if as_of is not None:
        return _nothing_then(database, universe, as_of)
    standing.check_universe(database, universe)
    query = "SELECT DISTINCT segment FROM breadth_indicators WHERE universe = %s ORDER BY segment"
    segments = [row["segment"] for row in rows_of(database, query, [universe])]
    if segment is not None and segment not in segments:
        return RequestError(f"Universe {universe} has no segment {segment}; there are: {', '.join(segments)}.")
    query = "SELECT min(session) AS f, max(session) AS l FROM breadth_indicators WHERE universe = %s"
    reach = rows_of(database, query, [universe])[0]
    held = standing.why_held(database, universe, "breadth_indicators") if first and first > reach["l"] else None
    return RequestError(
        f"No breadth of {universe} from {first or 'the beginning'} through {last or 'the end'}: "
        f"the store holds {reach['f']} through {reach['l']}." + (f" {held}" if held else "")
    )


def _nothing_then(database: Database, universe: str, as_of: dt.datetime) -> RequestError:
    standing.check_universe(database, universe)
    first = history.first_known(database, "breadth_indicators", universe)
    assert first is not None  # noqa: S101 - the universe has some
    return history.not_known_yet(as_of, f"no such breadth of {universe}", first)
