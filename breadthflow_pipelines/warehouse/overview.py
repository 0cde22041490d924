"""How far the store has come: what it holds, its last sessions, and the last runs.

By rows, not frames: breadthflow status starts in a fraction of a second. Why something is not there: standing.py.
"""

import datetime as dt
from collections.abc import Sequence

from psycopg2 import sql

from breadthflow_pipelines.model.datasets import STORED
from breadthflow_pipelines.model.vocabulary import ALL, LAPSED
from breadthflow_pipelines.warehouse.database import Database, Row, rows_of


def empty_tables(database: Database) -> set[str]:
    """Which of the store's datasets have no row; quarantine is not asked, as it has none on a good day."""
    names = (name for name in STORED if name != "quarantined_bars")
    query = "SELECT " + ", ".join(f"EXISTS (SELECT FROM {name}) AS {name}" for name in names)
    return {name for name, filled in rows_of(database, query, [])[0].items() if not filled}


# By table, the last session of its rows between two days. Published counts have universes too, and say nothing of bars.
# Each security and each universe is asked for its own last one, which an index knows.
_LAST_BAR = """
SELECT max(own.session) AS last FROM securities s CROSS JOIN LATERAL (
    SELECT session FROM bars b WHERE b.security_id = s.security_id AND session BETWEEN %(since)s AND %(through)s
     ORDER BY session DESC LIMIT 1) AS own WHERE synthetic = %(synthetic)s
"""
_LAST_OF_UNIVERSES = """
SELECT max(own.session) AS last FROM (SELECT DISTINCT universe FROM universe_members) AS u CROSS JOIN LATERAL (
    SELECT session FROM {table} t
     WHERE t.universe = u.universe AND {whole} AND session BETWEEN %(since)s AND %(through)s
     ORDER BY session DESC LIMIT 1) AS own
"""
_BY_SEGMENT = ("breadth_counts", "breadth_indicators", "market_signals")  # the others have rows of members


def last_sessions(
    database: Database, tables: Sequence[str], since: dt.date, through: dt.date, *, synthetic: bool
) -> dict[str, dt.date | None]:
    """By table, its last session from since through a day that was made of bars; None where it has none."""
    found: dict[str, dt.date | None] = {}
    for table in tables:
        whole = sql.SQL("segment = {}").format(sql.Literal(ALL)) if table in _BY_SEGMENT else sql.SQL("true")
        of_universes = sql.SQL(_LAST_OF_UNIVERSES).format(table=sql.Identifier(table), whole=whole)
        query = sql.Composed([sql.SQL(_LAST_BAR)]) if table == "bars" else of_universes
        values = {"since": since, "through": through, "synthetic": synthetic}
        found[table] = rows_of(database, query, values)[0]["last"]
    return found


def universes(database: Database) -> list[Row]:
    """Each universe: its first and last session, the state and coverage of the last one, how many signals it has."""
    return rows_of(database, _UNIVERSES, [])


def due(database: Database) -> list[Row]:
    """What the next run computes because something below it changed: asset, first session, what changed."""
    return rows_of(
        database,
        "SELECT asset, min(first_session) AS first, string_agg(DISTINCT cause, ', ' ORDER BY cause) AS changed "
        "FROM recomputations GROUP BY asset ORDER BY asset",
        [],
    )


def overview(database: Database) -> dict[str, list[Row]]:
    """What the store holds: bars by source, universes with their last session, what was rejected or doubted and why."""
    return {
        "bars": rows_of(
            database,
            # Twice as fast as count(DISTINCT), which sorts.
            "WITH each AS (SELECT source, min(session) AS first, max(session) AS last, count(*) AS bars "
            "FROM bars GROUP BY source, security_id) "
            "SELECT source, min(first) AS first, max(last) AS last, sum(bars)::bigint AS bars, count(*) AS securities "
            "FROM each GROUP BY source ORDER BY source",
            [],
        ),
        "universes": universes(database),
        "rejected": rows_of(
            database,
            "SELECT source, array_to_string(reasons, '; ') AS reason, count(*) AS rows, min(session) AS first, "
            "max(session) AS last FROM rejected_bars WHERE gone_at IS NULL GROUP BY source, 2 "
            "UNION ALL SELECT exchange, reason, count(*), min(session), max(session) FROM rejected_counts "
            "GROUP BY exchange, reason ORDER BY 1, 3 DESC, 2",
            [],
        ),
        "quarantined": rows_of(
            database,
            "SELECT rule, status, synthetic, count(*) AS bars, min(session) AS first, max(session) AS last "
            f"FROM quarantined_bars JOIN securities USING (security_id) WHERE status <> '{LAPSED}' "
            "GROUP BY rule, status, synthetic ORDER BY 1, 2, 3",
            [],
        ),
        "doubted": rows_of(
            database,
            "SELECT exchange, array_to_string(doubts, '; ') AS reason, count(*) AS rows, min(session) AS first, "
            "max(session) AS last FROM exchange_breadth WHERE doubts <> '{}' GROUP BY exchange, 2 "
            "ORDER BY 1, 3 DESC, 2",
            [],
        ),
        "units": rows_of(
            database,
            "SELECT exchange, volume_unit, min(session) AS first, max(session) AS last, count(*) AS sessions "
            "FROM exchange_breadth WHERE volume_unit IS NOT NULL GROUP BY exchange, volume_unit ORDER BY 1, 3",
            [],
        ),
        "other_lists": rows_of(database, _OTHER_LISTS, []),
        "calendar": rows_of(
            database, "SELECT session, change, reason, applied_at FROM calendar_changes ORDER BY session, change", []
        ),
        "revised": rows_of(
            database,
            "SELECT coalesce(kind, 'unknown') AS kind, synthetic, count(*) AS rows, min(session) AS first, "
            "max(session) AS last, max(revised_at) AS changed FROM bar_revisions JOIN securities USING (security_id) "
            "GROUP BY 1, 2 ORDER BY 1, 2",
            [],
        ),
        "restated": rows_of(
            database,
            "SELECT symbol, synthetic, price_ratio, adjusted_ratio, noticed_at AS noticed, applied_at AS stored_anew "
            "FROM restatements r JOIN securities USING (security_id) "
            "LEFT JOIN LATERAL (SELECT symbol FROM security_symbols s "
            "WHERE s.security_id = r.security_id ORDER BY valid_to DESC NULLS FIRST LIMIT 1) n ON true "
            "ORDER BY applied_at IS NULL DESC, noticed_at DESC, symbol LIMIT 10",
            [],
        ),
        "due": due(database),
    }


# Runs of sessions on which an exchange published another list of issues than it usually does.
_OTHER_LISTS = """
WITH runs_of_rows AS (
    SELECT exchange, session, usual_issues, advances + declines + unchanged AS issues,
           row_number() OVER (PARTITION BY exchange ORDER BY session)
           - row_number() OVER (PARTITION BY exchange, usual_issues IS NULL ORDER BY session) AS stretch
      FROM exchange_breadth)
SELECT exchange, min(session) AS first, max(session) AS last, count(*) AS sessions,
       percentile_cont(0.5) WITHIN GROUP (ORDER BY issues)::bigint AS issues,
       percentile_cont(0.5) WITHIN GROUP (ORDER BY usual_issues)::bigint AS usual
  FROM runs_of_rows WHERE usual_issues IS NOT NULL GROUP BY exchange, stretch ORDER BY 1, 2
"""

_UNIVERSES = f"""
SELECT i.universe, min(i.session) AS first, max(i.session) AS last,
       (array_agg(i.state ORDER BY i.session DESC))[1] AS state,
       (array_agg(c.members ORDER BY i.session DESC))[1] AS members,
       (array_agg(c.priced ORDER BY i.session DESC))[1] AS priced,
       (array_agg(c.coverage ORDER BY i.session DESC))[1] AS coverage,
       (SELECT count(*) FROM market_signals s WHERE s.universe = i.universe AND s.segment = '{ALL}') AS signals,
       EXISTS (SELECT FROM universe_members m JOIN securities USING (security_id)
                WHERE m.universe = i.universe AND synthetic) AS synthetic
  FROM breadth_indicators i LEFT JOIN breadth_counts c USING (universe, segment, session)
 WHERE segment = '{ALL}' GROUP BY i.universe ORDER BY i.universe
"""


def last_runs(database: Database, most: int) -> list[Row]:
    """The newest runs that Dagster's own database knows of; none where it was never used."""
    if not rows_of(database, "SELECT to_regclass('runs') AS runs", [])[0]["runs"]:
        return []
    return rows_of(
        database,
        "SELECT run_id, pipeline_name AS job, status, to_timestamp(start_time) AS started, "
        "round((end_time - start_time)::numeric, 1) AS seconds FROM runs ORDER BY id DESC LIMIT %s",
        [most],
    )
