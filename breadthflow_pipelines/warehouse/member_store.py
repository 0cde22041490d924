"""Indicators and signals of each member on each session, made of a security's own bars: in, and out again."""

import datetime as dt
from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import partial
from types import MappingProxyType

import polars as pl

from breadthflow_pipelines.model.vocabulary import ALL, BREADTH_SCORE, BUY, HELD_BACK, MEMBER_KEY, SELL
from breadthflow_pipelines.warehouse import tables
from breadthflow_pipelines.warehouse.bulk import Merged, Parameter, execute, fetch, fetch_together, merge
from breadthflow_pipelines.warehouse.database import Database
from breadthflow_pipelines.warehouse.formula_columns import FormulaColumn, fit, new_columns, with_formula_columns
from breadthflow_pipelines.warehouse.holds import unheld
from breadthflow_pipelines.warehouse.new_years import NewYears, years_to_fill
from breadthflow_pipelines.warehouse.recomputations import merge_notes, session_notes
from breadthflow_pipelines.warehouse.sql import any_of, columns_of, spaced

_NOTED = partial(merge_notes, "symbol_signals")


def price_indicators_prepared(
    database: Database, formulas: Sequence[FormulaColumn], days: tuple[dt.date, dt.date], *, once: bool
) -> AbstractContextManager[NewYears | None]:
    """Let the store have these columns and a place for each year, while indicators of those days are recorded.

    once: whether each of them is recorded once. Gives what record_price_indicators() takes as new. The caller holds
    ``exclusive("price_indicators")``.
    """
    table = fit(database, tables.price_indicators, formulas)
    return years_to_fill(database, table, days, once=once)


def record_price_indicators(
    database: Database,
    indicators: pl.DataFrame,
    formulas: Sequence[FormulaColumn],
    *,
    days: tuple[dt.date, dt.date],
    securities: Collection[int] | None = None,
    held: Mapping[str, dt.date] = MappingProxyType({}),
    new: NewYears | None = None,
) -> Merged:
    """Make the store hold exactly these indicators for the days, both ends included.

    The table is prepared for them; several may record at a time, each those of other securities. securities: whose
    indicators they are; None: everybody's. held: by universe, the session from which on its rows stay as they are. new:
    as the preparation gave it.
    """
    if new is not None:
        return new.append(indicators)
    table = with_formula_columns(tables.price_indicators, formulas)
    scope, parameters = _of_days(days, securities, held)
    return merge(database, table, indicators, scope=scope, parameters=parameters, side_by_side=True)


def indicators_of(database: Database, formulas: Sequence[FormulaColumn], start: dt.date, end: dt.date) -> pl.DataFrame:
    """The stored indicators of every member from start through end, without when they were computed."""
    names = ", ".join(formula.name for formula in formulas)
    query = (
        f"SELECT universe, session, security_id, {names}, convention FROM price_indicators "
        "WHERE session BETWEEN $1 AND $2"
    )
    return fetch(database, query, (start, end))


def medians(database: Database, start: dt.date, end: dt.date) -> pl.DataFrame:
    """universe, session, median_roc that the stored indicators from start through end were held against."""
    columns = columns_of(tables.universe_medians)
    return fetch(database, f"SELECT {columns} FROM universe_medians WHERE session BETWEEN $1 AND $2", (start, end))


def record_medians(database: Database, medians: pl.DataFrame, days: tuple[dt.date, dt.date]) -> Merged:
    """Make the store hold exactly these for the days, both ends included."""
    return merge(database, tables.universe_medians, medians, scope="session BETWEEN $1 AND $2", parameters=days)


def record_recursion_states(
    database: Database,
    states: pl.DataFrame,
    *,
    days: tuple[dt.date, dt.date],
    securities: Collection[int],
    and_later: bool,
) -> Merged:
    """Make the store hold exactly these states for the days, both ends included, and for these securities.

    states: security_id, session, states, formulas. and_later: whether states of later days are wrong now.
    """
    scope = f"session >= $1 AND (session <= $2 OR $3) AND {any_of('security_id', '$4', 'bigint')}"
    parameters = (*days, and_later, spaced(sorted(securities)))
    return merge(database, tables.recursion_states, states, scope=scope, parameters=parameters, side_by_side=True)


def lacking_from(
    database: Database, indicators: Sequence[FormulaColumn], votes: Sequence[FormulaColumn]
) -> dt.date | None:
    """The first session whose members know nothing of an indicator or a vote that is new since, or None."""
    firsts = [
        fetch(database, f"SELECT min(session) FROM {table.name}").item()
        for table, formulas in ((tables.price_indicators, indicators), (tables.symbol_signals, votes))
        if new_columns(database, table, formulas)
    ]
    return min((first for first in firsts if first is not None), default=None)


def fit_members(database: Database, indicators: Sequence[FormulaColumn], votes: Sequence[FormulaColumn]) -> None:
    """Give the tables of members exactly these columns, and note that stored rows know nothing of those that are new.

    For runs whose login does not own the tables: they could neither add a column nor see afterwards that it is new.
    """
    for table, formulas in ((tables.price_indicators, indicators), (tables.symbol_signals, votes)):
        with database.exclusive(table.name):
            if new_columns(database, table, formulas):
                first = fetch(database, f"SELECT min(session) FROM {table.name}").item()
                execute(database, session_notes(table.name, [first] if first else [], "new columns"))
            fit(database, table, formulas)


def members_with_indicators(
    database: Database, columns: Sequence[str], start: dt.date, end: dt.date, securities: Collection[int] | None = None
) -> pl.DataFrame:
    """universe, session, security_id and these of the bar's close and the technical indicators, in any order.

    securities: whose; None: everybody's. A row whose bar is not sound is left out.
    """
    where, parameters = _of_days((start, end), securities)
    own = [*MEMBER_KEY, *(name for name in columns if name != "close")]
    indicators, closes = fetch_together(
        database,
        [
            (f"SELECT {', '.join(own)} FROM price_indicators WHERE {where}", parameters),
            (f"SELECT session, security_id, close FROM sound_bars WHERE {where}", parameters),
        ],
    )
    # Joined here: PostgreSQL takes as long for it as for giving the rows out.
    return indicators.join(closes, on=["session", "security_id"]).select(*MEMBER_KEY, *columns)


def symbol_signals_prepared(
    database: Database, formulas: Sequence[FormulaColumn], days: tuple[dt.date, dt.date], *, once: bool
) -> AbstractContextManager[NewYears | None]:
    """The same for signals, under ``exclusive("symbol_signals")``."""
    table = fit(database, tables.symbol_signals, formulas)
    return years_to_fill(database, table, days, once=once, then=_NOTED)


def record_symbol_signals(
    database: Database,
    signals: pl.DataFrame,
    formulas: Sequence[FormulaColumn],
    *,
    days: tuple[dt.date, dt.date],
    securities: Collection[int] | None = None,
    held: Mapping[str, dt.date] = MappingProxyType({}),
    new: NewYears | None = None,
) -> Merged:
    """Make the store hold exactly these signals for the days, both ends included.

    The table is prepared for them; several may record at a time, each days of its own. securities: whose signals they
    are; None: everybody's. held: by universe, the session from which on its rows stay as they are. new: as the
    preparation gave it.
    """
    if new is not None:
        return new.append(signals)
    table = with_formula_columns(tables.symbol_signals, formulas)
    scope, parameters = _of_days(days, securities, held)
    return merge(
        database,
        table,
        signals,
        scope=scope,
        parameters=parameters,
        then=_NOTED,
        side_by_side=True,
    )


def regimes(database: Database, start: dt.date, end: dt.date) -> pl.DataFrame:
    """universe, session, score: the breadth score of each universe as a whole from start through end.

    Without those of sessions that lost so much of their coverage that they are held back.
    """
    return fetch(
        database,
        "SELECT universe, session, value AS score FROM market_signals "
        f"WHERE rule = '{BREADTH_SCORE}' AND segment = '{ALL}' AND session BETWEEN $1 AND $2 "
        f"AND evidence->'{HELD_BACK}' IS NULL",
        (start, end),
    )


def sessions_of_other_regimes(database: Database, gates: pl.DataFrame, start: dt.date, end: dt.date) -> list[dt.date]:
    """The sessions from start through end whose stored signals name another regime than these; in order.

    gates: universe, session, regime.
    """
    query = "SELECT DISTINCT universe, session, regime AS named FROM symbol_signals WHERE session BETWEEN $1 AND $2"
    named = fetch(database, query, (start, end)).join(gates, on=["universe", "session"], how="left")
    others = named.filter(~pl.col("named").eq_missing(pl.col("regime")))
    return others["session"].unique().sort().to_list()


def indicator_totals(database: Database, start: dt.date, end: dt.date) -> pl.DataFrame:
    """universe, session, priced, indicators: the members of member_totals() without their signals, which takes half."""
    return fetch(database, f"{_INDICATOR_TOTALS} ORDER BY universe, session", (start, end))


def member_totals(database: Database, start: dt.date, end: dt.date) -> pl.DataFrame:
    """universe, session, priced, indicators, signals, buys, sells: members by session, from start through end.

    Priced are those that were counted, 0 where nobody was; a session has a row where any of the three tables has one.
    """
    return fetch(database, f"{_MEMBER_TOTALS} ORDER BY universe, session", (start, end))


def _of_days(
    days: tuple[dt.date, dt.date],
    securities: Collection[int] | None,
    held: Mapping[str, dt.date] = MappingProxyType({}),
) -> tuple[str, Sequence[Parameter]]:
    """A condition and its values: rows of these days and securities (None: everybody's), without what is held."""
    scope, of = "session BETWEEN $1 AND $2", list[Parameter](days)
    if securities is not None:
        scope += f" AND {any_of('security_id', '$3', 'bigint')}"
        of.append(spaced(sorted(securities)))
    return unheld(scope, of, held)


_INDICATOR_TOTALS = f"""
    SELECT universe, session, coalesce(priced, 0) AS priced, coalesce(indicators, 0) AS indicators
      FROM (SELECT universe, session, priced FROM breadth_counts
             WHERE segment = '{ALL}' AND session BETWEEN $1 AND $2) c
      FULL JOIN (SELECT universe, session, count(*) AS indicators FROM price_indicators
                  WHERE session BETWEEN $1 AND $2 GROUP BY universe, session) i USING (universe, session)"""

_MEMBER_TOTALS = f"""
    SELECT universe, session, coalesce(priced, 0) AS priced, coalesce(indicators, 0) AS indicators,
           coalesce(signals, 0) AS signals, coalesce(buys, 0) AS buys, coalesce(sells, 0) AS sells
      FROM ({_INDICATOR_TOTALS}) i
      FULL JOIN (SELECT universe, session, count(*) AS signals, count(*) FILTER (WHERE action = '{BUY}') AS buys,
                        count(*) FILTER (WHERE action = '{SELL}') AS sells
                   FROM symbol_signals WHERE session BETWEEN $1 AND $2 GROUP BY universe, session) s
           USING (universe, session)"""
