"""Published counts, breadth counts, indicators and signals: what is made from the market and read by the next step."""

import datetime as dt

import polars as pl

from breadthflow_pipelines.warehouse import tables
from breadthflow_pipelines.warehouse.bulk import Merged, fetch, merge
from breadthflow_pipelines.warehouse.database import Database
from breadthflow_pipelines.warehouse.market import fingerprints


def record_published(database: Database, counts: pl.DataFrame, exchange: str, run_id: str) -> Merged:
    """Make the store hold exactly these published counts for the exchange."""
    rows = counts.with_columns(run_id=pl.lit(run_id))
    return merge(database, tables.exchange_breadth, rows, scope="exchange = $1", parameters=(exchange,))


def record_rejected_counts(database: Database, rejected: pl.DataFrame, exchange: str, run_id: str) -> int:
    """Keep rows of published counts that were refused, once each; returns how many were new."""
    rows = rejected.with_columns(
        exchange=pl.lit(exchange), run_id=pl.lit(run_id), fingerprint=fingerprints(rejected, exchange)
    )
    return merge(database, tables.rejected_counts, rows).inserted if rows.height else 0


def record_counts(database: Database, counts: pl.DataFrame, start: dt.date, end: dt.date) -> Merged:
    """Make the store hold exactly these counts for the sessions from start through end."""
    return merge(database, tables.breadth_counts, counts, scope="session BETWEEN $1 AND $2", parameters=(start, end))


def all_counts(database: Database) -> pl.DataFrame:
    """Every count of every universe, from bars and published, in one shape."""
    return fetch(database, "SELECT * FROM all_counts ORDER BY universe, segment, session")


def record_indicators(database: Database, indicators: pl.DataFrame) -> Merged:
    """Make the store hold exactly these indicators; only changed rows are written."""
    return merge(database, tables.breadth_indicators, indicators, scope="true")


def indicators(database: Database) -> pl.DataFrame:
    """Every indicator of every universe."""
    return fetch(database, "SELECT * FROM breadth_indicators ORDER BY universe, segment, session").drop("computed_at")


def record_signals(database: Database, signals: pl.DataFrame) -> Merged:
    """Make the store hold exactly these signals; only changed rows are written."""
    return merge(database, tables.market_signals, signals, scope="true")


def signals(database: Database, universe: str, segment: str = "ALL") -> pl.DataFrame:
    """The signals of one universe and segment, oldest first."""
    return fetch(
        database,
        "SELECT signal_id, session, rule, action, confidence, value, threshold, calibrated, state, evidence::text "
        "FROM market_signals WHERE universe = $1 AND segment = $2 ORDER BY session, rule",
        (universe, segment),
    )


def coverage(database: Database, start: dt.date, end: dt.date) -> pl.DataFrame:
    """universe, session, members, priced, coverage of whole universes from start through end."""
    return fetch(
        database,
        "SELECT universe, session, members, priced, coverage FROM breadth_counts "
        "WHERE segment = 'ALL' AND session BETWEEN $1 AND $2 ORDER BY universe, session",
        (start, end),
    )


def latest_sessions(database: Database) -> dict[str, dt.date]:
    """The last session of each universe that has indicators."""
    rows = fetch(database, "SELECT universe, max(session) AS session FROM breadth_indicators GROUP BY universe")
    return dict(rows.sort("universe").iter_rows())
