"""Members as commands list them: who belongs to a universe on a day, and of whom no bar is stored."""

import datetime as dt

from breadthflow_pipelines.errors import RequestError
from breadthflow_pipelines.spelling import Lookalikes
from breadthflow_pipelines.warehouse import standing
from breadthflow_pipelines.warehouse.database import Database, Row, rows_of
from breadthflow_pipelines.warehouse.sql import has_bars, own_bars, valid_on
from breadthflow_pipelines.warehouse.universe_listing import made_of_bars


def members(database: Database, universe: str, day: dt.date) -> list[Row]:
    """The members of a universe on a day.

    Their universe, symbol (as the membership file spells it), name, sector, valid_from, valid_to, first_bar, last_bar.

    Raises:
        RequestError: the universe has no members at all; says which have.
    """
    rows = rows_of(
        database,
        "SELECT universe, m.symbol, name, sector, m.valid_from, m.valid_to, "
        "own.first AS first_bar, own.last AS last_bar "
        f"FROM universe_members m JOIN securities USING (security_id) CROSS JOIN LATERAL {own_bars('securities')} own "
        f"WHERE universe = %s AND {valid_on('m', '%s')} ORDER BY m.symbol",
        [universe, day],
    )
    if not rows:
        _check_members(database, universe)
    return rows


def members_without_bars(database: Database, universe: str | None = None) -> list[Row]:
    """Members of which no bar is stored, though there are bars of the time of their membership.

    universe, symbol, valid_from, valid_to, and nearest: the stored symbols that may have been meant.

    Raises:
        RequestError: the universe has no members at all; says which have.
    """
    if universe is not None:
        _check_members(database, universe)
    rows = rows_of(
        database,
        # Materialized: the planner would look at the bars of all securities once for each member.
        "WITH reach AS MATERIALIZED (SELECT min(own.first) AS first, max(own.last) AS last "
        f"FROM securities CROSS JOIN LATERAL {own_bars('securities')} own) "
        "SELECT universe, symbol, valid_from, valid_to FROM universe_members m, reach "
        "WHERE universe = coalesce(%s, universe) AND daterange(valid_from, valid_to) && daterange(first, last, '[]') "
        f"AND NOT {has_bars('m')} "
        "ORDER BY universe, symbol, valid_from",
        [universe],
    )
    with_bars = rows_of(database, f"SELECT DISTINCT symbol FROM security_symbols s WHERE {has_bars('s')}")
    lookalikes = Lookalikes([row["symbol"] for row in with_bars])
    return [row | {"nearest": lookalikes.of(row["symbol"])} for row in rows]


def _check_members(database: Database, universe: str) -> None:
    names = made_of_bars(database)
    if universe not in names:
        if not names:
            raise RequestError(standing.why_nothing(database))
        raise RequestError(f"Universe {universe} has no members; there are: {', '.join(names)}.")
