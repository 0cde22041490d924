"""Bars that rules flag: what they are judged from, and what was found.

What becomes of a finding is said elsewhere (trust/quarantine.py); what people decide of it is in decisions.py.
"""

import datetime as dt

import polars as pl

from breadthflow_pipelines.model.gates import CROWDED, EVERY
from breadthflow_pipelines.model.vocabulary import LAPSED, PROPOSED
from breadthflow_pipelines.warehouse import tables
from breadthflow_pipelines.warehouse.bulk import Merged, Statement, fetch, merge
from breadthflow_pipelines.warehouse.database import Database
from breadthflow_pipelines.warehouse.holds import settling
from breadthflow_pipelines.warehouse.recomputations import change_notes
from breadthflow_pipelines.warehouse.sql import array, bar_fingerprint, spaced, valid_on

_COLUMNS = ", ".join(f"{c.name}::text" if c.name == "evidence" else c.name for c in tables.quarantined_bars.c)


def bars_to_judge(database: Database, start: dt.date, end: dt.date, before: int, after: int) -> pl.DataFrame:
    """Every bar from start through end, sound or not; of their securities ``before`` bars before and ``after`` after.

    Returns security_id, session, open, high, low, close, volume. Of a security without a bar in these days there is
    none: where most of a market is listed later, looking for its first bar takes longer than all else.
    """
    columns = "b.security_id, b.session, b.open, b.high, b.low, b.close, b.volume"
    beside = (
        f"SELECT {columns} FROM there s CROSS JOIN LATERAL (SELECT * FROM bars "
        "WHERE bars.security_id = s.security_id AND session {side} ORDER BY session {order} LIMIT {most}) b"
    )
    return fetch(
        database,
        "WITH there AS (SELECT DISTINCT security_id FROM bars WHERE session BETWEEN $1 AND $2) "
        f"SELECT {columns} FROM bars b WHERE session BETWEEN $1 AND $2 "
        f"UNION ALL {beside.format(side='< $1', order='DESC', most='$3')} "
        f"UNION ALL {beside.format(side='> $2', order='ASC', most='$4')}",
        (start, end, before, after),
    )


def session_volumes(database: Database, start: dt.date, end: dt.date) -> pl.DataFrame:
    """session, bars, without_volume: how many bars each session from start through end has, and how many without."""
    return fetch(
        database,
        "SELECT session, count(*) AS bars, count(*) FILTER (WHERE volume = 0) AS without_volume FROM bars "
        "WHERE session BETWEEN $1 AND $2 GROUP BY session ORDER BY session",
        (start, end),
    )


def fingerprints(database: Database, keys: pl.DataFrame) -> pl.DataFrame:
    """security_id, session, fingerprint of these bars; those that are not there are left out."""
    wanted = keys.select("security_id", "session").unique().sort("security_id", "session")
    return fetch(
        database,
        f"SELECT security_id, session, {bar_fingerprint()} AS fingerprint FROM bars WHERE (security_id, session) IN ("
        f"SELECT * FROM unnest({array('$1', 'bigint')}, {array('$2', 'date')}))",
        (spaced(wanted["security_id"]), spaced(wanted["session"])),
    )


def findings(database: Database, start: dt.date, end: dt.date) -> pl.DataFrame:
    """What was ever found against bars from start through end, its evidence as JSON text."""
    return fetch(
        database,
        f"SELECT {_COLUMNS} FROM quarantined_bars WHERE session BETWEEN $1 AND $2 ORDER BY session, security_id, rule",
        (start, end),
    )


def shown_findings(database: Database, start: dt.date, end: dt.date) -> pl.DataFrame:
    """The same for people, newest first: session, symbol, synthetic, rule, status, evidence, reason."""
    return fetch(
        database,
        "SELECT q.session, symbol, synthetic, rule, status, evidence::text, reason FROM quarantined_bars q "
        "JOIN securities s USING (security_id) "
        "LEFT JOIN security_symbols n ON n.security_id = q.security_id "
        f"AND {valid_on('n', 'q.session')} "
        f"WHERE q.session BETWEEN $1 AND $2 AND status <> '{LAPSED}' ORDER BY session DESC, symbol, rule",
        (start, end),
    )


def record_findings(
    database: Database,
    settled: pl.DataFrame,
    turned: pl.DataFrame,
    hold: Statement | None = None,
) -> Merged:
    """Store findings as they were settled; those that are equal are left alone.

    turned: security_id and session of bars that are left out now and were not before, or the other way round. hold: as
    settling_proposals() gives it.
    """
    sessions, securities = turned["session"], frozenset(turned["security_id"])
    notes = change_notes("quarantined_bars", sessions.min(), sessions.max(), securities)  # type: ignore[arg-type]
    holds = [hold] if hold else []
    return merge(database, tables.quarantined_bars, settled, then=lambda _: [*notes, *holds])


def settling_proposals(start: dt.date, end: dt.date, run_id: str, *, synthetic: bool) -> Statement:
    """The statement that holds all from the first bar of each month that is proposed, from start through end."""
    found = f"""
        SELECT '{EVERY}' AS universe, min(first) AS session, 0::double precision AS missing,
               sum(bars) || ' bars proposed (' || string_agg(rule || ' ' || bars, ', ' ORDER BY rule) || ')' AS said
          FROM (SELECT date_trunc('month', session) AS month, rule, min(session) AS first, count(*) AS bars
                  FROM quarantined_bars
                 WHERE status = '{PROPOSED}' AND session BETWEEN $1 AND $2 GROUP BY 1, 2) proposed
         GROUP BY month"""
    return settling(CROWDED, found, (start, end), (start, end), run_id, synthetic=synthetic)
