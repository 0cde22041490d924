"""What the store says of a universe as frames, for notebooks. What pages and exports hold: contents_listing.py.

Commands that print rows ask breadth_listing.py and signal_listing.py, which start faster.
"""

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import polars as pl
from psycopg2 import sql

from breadthflow_pipelines.model.datasets import SIGNAL_REVISIONS
from breadthflow_pipelines.warehouse import breadth_listing, history, signal_listing, standing
from breadthflow_pipelines.warehouse.bulk import fetch
from breadthflow_pipelines.warehouse.database import Database
from breadthflow_pipelines.warehouse.sql import conditions
from breadthflow_pipelines.warehouse.universe_listing import synthetic_universes


class Judged(NamedTuple):
    """What was made of signals: the table, the order of its rows, and whether sectors have some."""

    table: str
    order: str
    of_sectors: bool = False

    def query(self, where: str) -> str:
        """Every row of which the condition is true, in order."""
        return f"SELECT * FROM {self.table} WHERE {where} ORDER BY {self.order}"


# By the name that notebooks and exports give it.
JUDGED: Mapping[str, Judged] = {
    "outcomes": Judged("signal_outcomes", "segment, session, rule, signal_id, horizon", of_sectors=True),
    "accuracy": Judged("signal_accuracy", "rule, action, horizon, era"),
    "backtests": Judged("backtests", "rule, thresholds, portfolio, cost"),
    "trades": Judged("backtest_trades", "rule, thresholds, entry_session"),
}


def breadth_frame(
    database: Database,
    universe: str,
    first: dt.date | None,
    last: dt.date | None,
    segment: str | None,
    as_of: dt.datetime | None,
) -> pl.DataFrame:
    """Every column of breadth, and ``synthetic``, by segment and session; as_of as breadth_listing.breadth() has it.

    Raises:
        RequestError: the universe, the segment or the days are not in the store, or were not then; says what is.
    """
    columns = breadth_listing.breadth_columns(database)
    query, values = breadth_listing.breadth_query(database, universe, first, last, segment, columns, as_of)
    ordered = query + sql.SQL(f" ORDER BY {breadth_listing.BY_SEGMENT}")
    rows = fetch(database, _bound(database, ordered, values))
    if rows.is_empty():
        raise breadth_listing.nothing(database, universe, segment, first, last, as_of)
    return rows.with_columns(synthetic=pl.lit(universe in synthetic_universes(database)))


def signals_frame(
    database: Database,
    universe: str,
    first: dt.date | None,
    last: dt.date | None,
    segment: str | None,
    rule: str | None,
    as_of: dt.datetime | None,
) -> pl.DataFrame:
    """MARKET_SIGNAL (evidence as JSON text), SIGNAL_RECORD, ``synthetic``; by segment and session; none is an answer.

    as_of: as signal_listing.signals() has it.

    Raises:
        RequestError: nothing of the universe is stored, or no signal of it was known then; says what is, or what helps.
    """
    standing.check_universe(database, universe)
    where, values = conditions({"universe": universe, "segment": segment, "rule": rule}, first, last)
    given = history.tables_as_of(database, as_of, SIGNAL_REVISIONS)
    query = given + sql.SQL(signal_listing.signals_query(where))
    rows = fetch(database, _bound(database, query, values))
    if rows.is_empty() and as_of is not None:
        signal_listing.check_known(database, universe, as_of)
    return rows.with_columns(synthetic=pl.lit(universe in synthetic_universes(database)))


def judged_frame(
    database: Database,
    what: str,
    universe: str,
    first: dt.date | None = None,
    last: dt.date | None = None,
    *,
    segment: str | None = None,
    rule: str | None = None,
    horizon: int | None = None,
) -> pl.DataFrame:
    """One of JUDGED, and ``synthetic``, in its order; none is an answer. first, last: of rows that have a session.

    Raises:
        RequestError: nothing of the universe is stored; says which there are, or what helps.
    """
    standing.check_universe(database, universe)
    where, values = conditions({"universe": universe, "segment": segment, "rule": rule}, first, last)
    if horizon is not None:
        where += " AND horizon = %s"
    asked = [*values, *([] if horizon is None else [horizon])]
    rows = fetch(database, _bound(database, JUDGED[what].query(where), asked))
    return rows.drop("computed_at").with_columns(synthetic=pl.lit(universe in synthetic_universes(database)))


def _bound(database: Database, query: str | sql.Composable, values: Sequence[object]) -> str:
    """The query with its values in it: psycopg2 composes it, ADBC asks it."""
    with database.connect() as connection, connection.cursor() as cursor:
        return cursor.mogrify(query, values).decode()
