"""What signals are held against, their outcomes, and the records of rules: in, and out again."""

import datetime as dt
from collections.abc import Mapping
from types import MappingProxyType

import polars as pl

from breadthflow_pipelines.model.vocabulary import ALL, WINDOW_CLOSED
from breadthflow_pipelines.warehouse import tables
from breadthflow_pipelines.warehouse.bulk import Merged, fetch, merge
from breadthflow_pipelines.warehouse.database import Database
from breadthflow_pipelines.warehouse.history import keep_revisions
from breadthflow_pipelines.warehouse.holds import unheld
from breadthflow_pipelines.warehouse.sql import columns_of

OUTCOME_KEY = ("signal_id", "horizon")
OUTCOME_FIGURES = ("return", "base_return", "excess", "drawdown", "hit", "basis")
# Ids of signals are hexadecimal, any digit as often as another. What these two part is written side by side.
HALVES = ("signal_id < '8'", "signal_id >= '8'")


def record_returns(
    database: Database,
    returns: pl.DataFrame,
    start: dt.date,
    end: dt.date,
    held: Mapping[str, dt.date] = MappingProxyType({}),
) -> Merged:
    """Make the store hold exactly these returns for the sessions from start through end.

    held: by universe, the session from which on its rows stay as they are.
    """
    scope, parameters = unheld("session BETWEEN $1 AND $2", (start, end), held)
    return merge(database, tables.universe_returns, returns, scope=scope, parameters=parameters)


def returns(database: Database, segment: str | None = None) -> pl.DataFrame:
    """Every return of every universe counted from members (or of one segment), by universe, segment and session."""
    columns = columns_of(tables.universe_returns, "computed_at")
    query = f"SELECT {columns} FROM universe_returns WHERE {_of(segment)} ORDER BY universe, segment, session"
    return fetch(database, query, (segment,) if segment else ())


def _of(segment: str | None) -> str:
    return "segment = $1" if segment else "true"


def return_totals(database: Database, start: dt.date, end: dt.date) -> pl.DataFrame:
    """universe, session, members, contributing, missing of whole universes from start through end."""
    query = (
        "SELECT universe, session, members, contributing, missing FROM universe_returns "
        f"WHERE segment = '{ALL}' AND session BETWEEN $1 AND $2 ORDER BY universe, session"
    )
    return fetch(database, query, (start, end))


def published_indexes(database: Database) -> pl.DataFrame:
    """universe, session, close: the level of each exchange's index where its files give it."""
    return fetch(
        database,
        "SELECT exchange AS universe, session, index_close AS close FROM exchange_breadth "
        "WHERE index_close IS NOT NULL ORDER BY exchange, session",
    )


def market_signals(database: Database, segment: str | None = None, which: str = "true") -> pl.DataFrame:
    """signal_id, universe, segment, session, rule, action, value, state of every stored signal (or of one segment).

    which: one of HALVES, or all.
    """
    columns = "signal_id, universe, segment, session, rule, action, value, state"
    query = f"SELECT {columns} FROM market_signals WHERE {_of(segment)} AND {which}"
    return fetch(database, query, (segment,) if segment else ())


def record_outcomes(database: Database, outcomes: pl.DataFrame, which: str = "true") -> Merged:
    """Make the store hold exactly these outcomes of the signals in one of HALVES, or of all; only changes are written.

    In the order of their key rows are written fastest.
    """
    return merge(database, tables.signal_outcomes, outcomes, scope=which, side_by_side=True)


def outcome_days(database: Database) -> pl.DataFrame:
    """session, horizon, state, entry_session, exit_session as they occur; outcomes: how many of them; rule: of one."""
    return fetch(
        database,
        "SELECT session, horizon, state, entry_session, exit_session, count(*) AS outcomes, min(rule) AS rule "
        "FROM signal_outcomes GROUP BY session, horizon, state, entry_session, exit_session",
    )


def closed_outcomes(database: Database, which: str) -> pl.DataFrame:
    """Key and figures of every outcome that is stored as closed, of the signals in one of HALVES."""
    columns = ", ".join((*OUTCOME_KEY, *OUTCOME_FIGURES))
    return fetch(database, f"SELECT {columns} FROM signal_outcomes WHERE state = '{WINDOW_CLOSED}' AND {which}")


def record_accuracy(database: Database, accuracy: pl.DataFrame) -> Merged:
    """Make the store hold exactly these records of rules; only changed rows are written."""
    return merge(database, tables.signal_accuracy, accuracy, scope="true")


def accuracy(database: Database) -> pl.DataFrame:
    """Every stored record of a rule."""
    return fetch(database, f"SELECT {columns_of(tables.signal_accuracy, 'computed_at')} FROM signal_accuracy")


def record_backtests(database: Database, figures: pl.DataFrame, trades: pl.DataFrame, years: pl.DataFrame) -> Merged:
    """Make the store hold exactly these backtests; only changed rows are written. What is told is of figures."""
    merge(database, tables.backtest_trades, trades, scope="true")
    merge(database, tables.backtest_years, years, scope="true")
    return merge(database, tables.backtests, figures, scope="true")


def traded_signals(database: Database) -> pl.DataFrame:
    """universe, rule, entry_session, signal_id of every trade; signalled: its signal's session, null without one."""
    return fetch(
        database,
        "SELECT t.universe, t.rule, t.entry_session, t.signal_id, s.session AS signalled FROM backtest_trades t "
        "LEFT JOIN market_signals s USING (signal_id, universe, rule) ORDER BY 1, 2, 3",
    )


def record_stability(database: Database, stability: pl.DataFrame) -> Merged:
    """Make the store hold exactly these results of reruns; only changed rows are written."""
    return merge(database, tables.signal_stability, stability, scope="true")


def stability(database: Database) -> pl.DataFrame:
    """universe, rule, variation, kept of every list of events that was rerun."""
    return fetch(database, "SELECT universe, rule, variation, kept FROM signal_stability")


def record_records(database: Database, records: pl.DataFrame) -> Merged:
    """Make the store hold exactly these records beside signals; only changed rows are written."""
    return merge(database, tables.signal_records, records, scope="true", **keep_revisions("signal_records"))
