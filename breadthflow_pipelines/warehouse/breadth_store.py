"""Published counts, breadth counts, indicators and signals of whole universes and their sectors: in, and out again."""

import datetime as dt
from collections.abc import Mapping, Sequence
from types import MappingProxyType

import polars as pl

from breadthflow_pipelines.model.counts import PUBLISHED
from breadthflow_pipelines.model.gates import THIN
from breadthflow_pipelines.model.vocabulary import ALL
from breadthflow_pipelines.warehouse import tables
from breadthflow_pipelines.warehouse.bulk import Merged, Statement, fetch, merge
from breadthflow_pipelines.warehouse.database import Database
from breadthflow_pipelines.warehouse.formula_columns import FormulaColumn, fit, new_columns, with_formula_columns
from breadthflow_pipelines.warehouse.history import keep_revisions
from breadthflow_pipelines.warehouse.holds import settling, unheld
from breadthflow_pipelines.warehouse.sql import columns_of


def record_published(database: Database, counts: pl.DataFrame, exchange: str, run_id: str) -> Merged:
    """Make the store hold exactly these published counts for the exchange."""
    rows = counts.with_columns(run_id=pl.lit(run_id))
    return merge(
        database,
        tables.exchange_breadth,
        rows,
        scope="exchange = $1",
        parameters=(exchange,),
        **keep_revisions("exchange_breadth"),
    )


def record_counts(
    database: Database,
    counts: pl.DataFrame,
    start: dt.date,
    end: dt.date,
    hold: Statement | None = None,
    held: Mapping[str, dt.date] = MappingProxyType({}),
) -> Merged:
    """Make the store hold exactly these counts for the sessions from start through end.

    hold: as settling_coverage() gives it. held: by universe, the session from which on its rows stay as they are.
    """
    scope, parameters = unheld("session BETWEEN $1 AND $2", (start, end), held)
    return merge(
        database,
        tables.breadth_counts,
        counts,
        scope=scope,
        parameters=parameters,
        then=lambda _: [hold] if hold else [],
        **keep_revisions("breadth_counts"),
    )


def record_index(database: Database, index: pl.DataFrame, held: Mapping[str, dt.date] = MappingProxyType({})) -> Merged:
    """Make the stored counts of whole universes have these levels, and no others; only rows that differ are written.

    index: universe, session, index_close, all that is known of each index; a session that it lacks gets null.
    held: as in record_counts().
    """
    scope, parameters = unheld(f"segment = '{ALL}'", (), held)
    columns = "universe, segment, session, index_close"
    stored = fetch(database, f"SELECT {columns} FROM breadth_counts WHERE {scope}", parameters)
    wanted = stored.drop("index_close").join(index, on=["universe", "session"], how="left", maintain_order="left")
    differing = wanted.filter(wanted["index_close"].ne_missing(stored["index_close"]))
    return merge(database, tables.breadth_counts, differing, **keep_revisions("breadth_counts"))


def settling_coverage(gate: float, start: dt.date, end: dt.date, run_id: str) -> Statement:
    """The statement that holds each universe at its sessions from start through end with a coverage below the gate."""
    found = (
        "SELECT universe, session, 1 - coverage AS missing, format('%s of %s members priced (%s %%, gate %s %%)', "
        "priced, members, to_char(100 * coverage, 'FM990.0'), $2::text) AS said FROM breadth_counts "
        f"WHERE segment = '{ALL}' AND coverage < $1::double precision AND session BETWEEN $3 AND $4"
    )
    return settling(THIN, found, (gate, f"{100 * gate:g}", start, end), (start, end), run_id)


def counts(database: Database, start: dt.date, end: dt.date) -> pl.DataFrame:
    """The stored counts of every universe from start through end."""
    columns = columns_of(tables.breadth_counts, "computed_at")
    return fetch(database, f"SELECT {columns} FROM breadth_counts WHERE session BETWEEN $1 AND $2", (start, end))


def published(database: Database) -> pl.DataFrame:
    """All published counts of every exchange, as published, and what the guards said of them."""
    columns = columns_of(tables.exchange_breadth, "run_id", "ingested_at")
    return fetch(database, f"SELECT {columns} FROM exchange_breadth ORDER BY exchange, session")


def published_of(database: Database, exchange: str) -> pl.DataFrame:
    """session, counts and index_close of an exchange, as published."""
    columns = ", ".join(("session", *PUBLISHED, "index_close"))
    return fetch(database, f"SELECT {columns} FROM exchange_breadth WHERE exchange = $1", (exchange,))


def all_counts(database: Database) -> pl.DataFrame:
    """Every count of every universe, from bars and published, in one shape."""
    return fetch(database, "SELECT * FROM all_counts ORDER BY universe, segment, session")


def outdated_from(database: Database, convention: int, start: dt.date) -> dt.date | None:
    """The first session from ``start`` on whose counts were made by an older convention, or None."""
    query = "SELECT min(session) FROM breadth_counts WHERE convention < $1 AND session >= $2"
    first: dt.date | None = fetch(database, query, (convention, start)).item()
    return first


def record_indicators(
    database: Database,
    indicators: pl.DataFrame,
    formulas: Sequence[FormulaColumn],
    held: Mapping[str, dt.date] = MappingProxyType({}),
) -> Merged:
    """Make the store hold exactly these indicators, of these formulas; only changed rows are written.

    held: by universe, the session from which on its rows stay as they are.
    """
    table = fit(database, tables.breadth_indicators, formulas)
    scope, parameters = unheld("true", (), held)
    keep = keep_revisions("breadth_indicators")
    return merge(database, table, indicators, scope=scope, parameters=parameters, **keep)


def indicators(database: Database, formulas: Sequence[FormulaColumn]) -> pl.DataFrame:
    """Every indicator of every universe, of these formulas, as far as they were ever computed."""
    new = new_columns(database, tables.breadth_indicators, formulas)
    known = [formula for formula in formulas if formula.name not in new]
    columns = columns_of(with_formula_columns(tables.breadth_indicators, known), "computed_at")
    return fetch(database, f"SELECT {columns} FROM breadth_indicators ORDER BY universe, segment, session")


def whole_indicators(database: Database) -> pl.DataFrame:
    """Every indicator of every universe as a whole."""
    query = f"SELECT * FROM breadth_indicators WHERE segment = '{ALL}' ORDER BY universe, session"
    return fetch(database, query).drop("computed_at")


def record_signals(
    database: Database, signals: pl.DataFrame, held: Mapping[str, dt.date] = MappingProxyType({})
) -> Merged:
    """Make the store hold exactly these signals; only changed rows are written. held: as in record_indicators()."""
    scope, parameters = unheld("true", (), held)
    keep = keep_revisions("market_signals")
    return merge(database, tables.market_signals, signals, scope=scope, parameters=parameters, **keep)


def signal_actions(database: Database) -> pl.DataFrame:
    """universe, segment, session, rule, action, value, state of every stored signal."""
    return fetch(database, "SELECT universe, segment, session, rule, action, value, state FROM market_signals")


def all_signals(database: Database) -> pl.DataFrame:
    """Every stored signal, its evidence as JSON text."""
    columns = ", ".join(f"{c.name}::text" if c.name == "evidence" else c.name for c in tables.market_signals.c)
    return fetch(database, f"SELECT {columns} FROM market_signals").drop("computed_at")


def coverage(database: Database, start: dt.date, end: dt.date) -> pl.DataFrame:
    """universe, session, members, priced, coverage of whole universes from start through end."""
    return fetch(
        database,
        "SELECT universe, session, members, priced, coverage FROM breadth_counts "
        f"WHERE segment = '{ALL}' AND session BETWEEN $1 AND $2 ORDER BY universe, session",
        (start, end),
    )
