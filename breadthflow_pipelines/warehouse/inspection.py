"""What suites look at, staged on one connection, and the queries that find what is wrong. What is expected: quality/.

Everything staged is temporary: a view of the table cut to the days judged (``judged_<table>``), the exchange's
calendar, memberships, and figures of each session. Nothing is left behind, and a user who may only read can do it.
"""

import datetime as dt
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import psycopg2
from psycopg2 import sql

from breadthflow_pipelines.model.counts import PUBLISHED
from breadthflow_pipelines.model.gates import MISSING
from breadthflow_pipelines.model.vocabulary import ALL, ROUNDING
from breadthflow_pipelines.warehouse.database import Database, answer
from breadthflow_pipelines.warehouse.formula_columns import FormulaColumn

YEAR = 252  # sessions before one's own that "usual" is made of
ENOUGH = 20  # of them; with fewer nothing can be called usual
LEAST_BARS = 0.75  # of the usual number: a vendor's outage of 2011-02-17 left 0.59
MORE_ZEROS = 0.2  # share of bars without volume above the usual share
MORE_UNCHANGED = 0.3  # share of unchanged members above the usual share; a session copied from the one before has all
OTHER_UNIT = 10  # times the usual volume, or a tenth: half days have a third, lots and thousands are beyond it
OTHER_ISSUES = 1.5  # times the usual number of issues, or less than its inverse
RESIZED = 0.25  # of a universe's members joining or leaving at once
MEMORY = "256MB"  # for sorting a few million rows without the disk
_LARGEST = 1.7976931348623157e308  # beyond every finite number; NaN sorts above it

Row = dict[str, object]
OfMonth = tuple[str, int, dt.date, dt.date]


@dataclass(frozen=True)
class Days:
    """The days judged, both included. sessions: the calendar's, from YEAR before the first of them to the last."""

    start: dt.date
    end: dt.date
    sessions: Sequence[dt.date]


@contextmanager
def staged(database: Database, table: str, days: Days) -> Iterator[psycopg2.extensions.connection]:
    """A connection on which everything is staged that a suite of the table needs; closed, and all gone, at the end."""
    with database.connect(alone=True) as connection:
        with connection.cursor() as cursor:
            cursor.execute(f"SET work_mem = '{MEMORY}'")
            cursor.execute(
                "CREATE TEMPORARY TABLE calendar AS SELECT session, lag(session) OVER (ORDER BY session) AS previous, "
                "session BETWEEN %s AND %s AS judged FROM unnest(%s::date[]) AS session",
                (days.start, days.end, list(days.sessions)),
            )
            cursor.execute("ANALYZE calendar")
            _cut(cursor, table, days)
            for name in _NEEDED.get(table, ()):
                since = days.sessions[0] if days.sessions else days.start
                values = {"start": days.start, "end": days.end, "since": since}
                cursor.execute(f"CREATE TEMPORARY TABLE {name} AS {_STAGES[name]}", values)
                cursor.execute(f"ANALYZE {name}")
        connection.commit()
        yield connection


def first_rows(connection: psycopg2.extensions.connection, query: str, most: int) -> list[Row]:
    """The first rows that a query of this module finds."""
    with connection.cursor() as cursor:
        return answer(cursor, f"SELECT * FROM ({query}) found LIMIT {most}")


def rows_by_month(connection: psycopg2.extensions.connection, query: str) -> list[OfMonth]:
    """What a query of this module finds, which has ``session``: month, rows, first and last session of each month."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT to_char(session, 'YYYY-MM'), count(*), min(session), max(session) "
            f"FROM ({query}) found GROUP BY 1 ORDER BY 1"
        )
        return cursor.fetchall()


def _cut(cursor: psycopg2.extensions.cursor, table: str, days: Days) -> None:
    view, source = sql.Identifier(f"judged_{table}"), sql.Identifier(table)
    query = sql.SQL("CREATE TEMPORARY VIEW {} AS SELECT * FROM {}").format(view, source)
    if table != "universe_members":
        between = sql.SQL(" WHERE session BETWEEN {} AND {}").format(sql.Literal(days.start), sql.Literal(days.end))
        query += between
    cursor.execute(query)


_STAGES = {
    # What each session's bars are like, of the days judged and the year before them.
    "session_figures": """
        SELECT session, count(*) AS bars, avg((volume = 0)::int)::float8 AS zero_share,
               percentile_cont(0.5) WITHIN GROUP (ORDER BY volume) FILTER (WHERE volume > 0) AS median_volume
          FROM bars WHERE session BETWEEN %(since)s AND %(end)s GROUP BY session""",
    # Who belonged when; intervals that overlap are one.
    "memberships": """
        SELECT universe, security_id, unnest(range_agg(daterange(valid_from, valid_to))) AS during
          FROM universe_members WHERE valid_to IS NULL OR valid_to > valid_from GROUP BY universe, security_id""",
    "universe_sizes": """
        SELECT universe, session, count(*) AS members
          FROM memberships JOIN calendar ON during @> session GROUP BY universe, session""",
    # Counted again from bars and memberships, by other means than the pipeline's.
    "recounted": """
        SELECT m.universe, b.session, c.previous, count(DISTINCT b.security_id) AS priced,
               count(DISTINCT b.security_id) FILTER (WHERE b.close > p.close) AS advances,
               count(DISTINCT b.security_id) FILTER (WHERE b.close < p.close) AS declines,
               count(DISTINCT b.security_id) FILTER (WHERE b.close = p.close) AS unchanged
          FROM sound_bars b
          JOIN memberships m ON m.security_id = b.security_id AND m.during @> b.session
          JOIN calendar c ON c.session = b.session AND c.judged
          LEFT JOIN (SELECT security_id, session, close FROM sound_bars WHERE session BETWEEN %(since)s AND %(end)s) p
            ON p.security_id = b.security_id AND p.session = c.previous
         WHERE b.session BETWEEN %(start)s AND %(end)s GROUP BY m.universe, b.session, c.previous""",
}
_NEEDED = {
    "bars": ("session_figures",),
    "universe_members": ("memberships", "universe_sizes"),
    "breadth_counts": ("session_figures", "memberships", "universe_sizes", "recounted"),
    "price_indicators": ("session_figures",),
}


def _unknown_security(table: str, columns: str) -> str:
    return (
        f"SELECT {columns} FROM judged_{table} j "
        "WHERE NOT EXISTS (SELECT FROM securities s WHERE s.security_id = j.security_id)"
    )


def off_calendar(table: str, columns: str) -> str:
    """Rows of days on which the exchange was closed, or had not closed yet."""
    return (
        f"SELECT {columns} FROM judged_{table} j WHERE NOT EXISTS (SELECT FROM calendar c WHERE c.session = j.session)"
    )


def _unlike_the_year(figures: str, value: str, usual: str, wrong: str, group: str = "") -> str:
    """Sessions judged whose figure is not as usual: compared with the same figure over the year before them."""
    partition, key = (f"PARTITION BY {group} ", f"{group}, ") if group else ("", "")
    return f"""
        SELECT {key}session, {value} AS value, usual, year AS sessions_compared
          FROM (SELECT *, {usual} AS usual, count({value}) OVER past AS year FROM {figures} figures
                WINDOW past AS ({partition}ORDER BY session ROWS BETWEEN {YEAR} PRECEDING AND 1 PRECEDING)) compared
          JOIN calendar USING (session)
         WHERE judged AND year >= {ENOUGH} AND {wrong}"""


MEMBERS_UNKNOWN = _unknown_security("universe_members", "universe, security_id, symbol, valid_from, valid_to")
MEMBERS_OVERLAPPING = """
    SELECT a.universe, a.security_id, a.symbol, a.valid_from, a.valid_to, b.valid_from AS other_from,
           b.valid_to AS other_to
      FROM judged_universe_members a JOIN judged_universe_members b
        ON a.universe = b.universe AND a.security_id = b.security_id AND a.valid_from < b.valid_from
     WHERE a.valid_to IS NULL OR b.valid_from < a.valid_to"""
UNIVERSES_RESIZED = f"""
    SELECT universe, session, members, before
      FROM (SELECT *, lag(members) OVER (PARTITION BY universe ORDER BY session) AS before FROM universe_sizes) compared
      JOIN calendar USING (session)
     WHERE judged AND abs(members - before) > {RESIZED} * before"""

BARS_UNKNOWN = _unknown_security("bars", "security_id, session, close, volume, source")
BARS_OUTSIDE = f"""
    SELECT security_id, session, open, high, low, close FROM judged_bars
     WHERE NOT (open BETWEEN low * {1 - ROUNDING} AND high * {1 + ROUNDING})
        OR NOT (close BETWEEN low * {1 - ROUNDING} AND high * {1 + ROUNDING})"""
SESSIONS_WITHOUT_BARS = f"""
    SELECT session FROM calendar
     WHERE judged AND session BETWEEN (SELECT min(session) FROM session_figures)
                                  AND (SELECT max(session) FROM session_figures)
       AND NOT EXISTS (SELECT FROM session_figures f WHERE f.session = calendar.session)
       AND NOT EXISTS (SELECT FROM accepted_holes a WHERE a.gate = '{MISSING}' AND a.session = calendar.session)"""
BARS_FEW = _unlike_the_year("session_figures", "bars", "avg(bars) OVER past", f"bars < {LEAST_BARS} * usual")
BARS_WITHOUT_VOLUME = _unlike_the_year(
    "session_figures", "zero_share", "avg(zero_share) OVER past", f"zero_share > usual + {MORE_ZEROS}"
)
VOLUME_OF_ANOTHER_UNIT = _unlike_the_year(
    "session_figures",
    "median_volume",
    "exp(avg(ln(median_volume)) OVER past)",  # of logarithms: one outlier does not spoil a year
    f"NOT (median_volume BETWEEN usual / {OTHER_UNIT} AND usual * {OTHER_UNIT})",
)

# A store in which nobody ever named a publication lacks nothing.
PUBLICATIONS_WITHOUT_COUNTS = """
    SELECT exchange, place FROM publications p
     WHERE NOT EXISTS (SELECT FROM exchange_breadth e WHERE e.exchange = p.exchange)"""
PUBLISHED_NEGATIVE = f"""
    SELECT exchange, session, name, value
      FROM judged_exchange_breadth CROSS JOIN LATERAL (VALUES
           {", ".join(f"('{name}', {name})" for name in PUBLISHED)}) AS counts(name, value)
     WHERE value < 0"""
SESSIONS_NOT_PUBLISHED = """
    SELECT exchange, calendar.session
      FROM (SELECT exchange, min(session) AS first, max(session) AS last FROM exchange_breadth GROUP BY exchange) reach
      JOIN calendar ON calendar.session BETWEEN first AND last
     WHERE judged AND NOT EXISTS (SELECT FROM exchange_breadth e
                                   WHERE e.exchange = reach.exchange AND e.session = calendar.session)"""
ISSUES_UNLIKE = _unlike_the_year(
    "(SELECT exchange, session, (abs(advances) + abs(declines) + coalesce(unchanged, 0))::float8 AS issues "
    "FROM exchange_breadth WHERE issues_usable AND usual_issues IS NULL)",
    "issues",
    "avg(issues) OVER past",
    f"NOT (issues BETWEEN usual / {OTHER_ISSUES} AND usual * {OTHER_ISSUES})",
    "exchange",
)

COUNTS_NOT_ADDING_UP = """
    SELECT universe, segment, session, advances, declines, unchanged, no_prior, gap, priced FROM judged_breadth_counts
     WHERE coalesce(advances, 0) + coalesce(declines, 0) + coalesce(unchanged, 0) + no_prior + gap
           IS DISTINCT FROM priced"""
SECTORS_ABOVE_WHOLE = f"""
    SELECT w.universe, w.session, w.members, s.members AS of_sectors, w.priced, s.priced AS priced_of_sectors
      FROM judged_breadth_counts w
      JOIN (SELECT universe, session, sum(members) AS members, sum(priced) AS priced
              FROM judged_breadth_counts WHERE segment <> '{ALL}' GROUP BY universe, session) s
           USING (universe, session)
     WHERE w.segment = '{ALL}' AND (s.members > w.members OR s.priced > w.priced)"""
# Here and below, a session without any bars is left to the suite of bars, which says it once.
COUNTS_UNLIKE_BARS = f"""
    SELECT universe, session, c.members, z.members AS members_by_interval, c.priced, r.priced AS members_with_bars
      FROM judged_breadth_counts c JOIN recounted r USING (universe, session)
      LEFT JOIN universe_sizes z USING (universe, session)
     WHERE segment = '{ALL}' AND (c.members IS DISTINCT FROM z.members OR c.priced IS DISTINCT FROM r.priced)"""
MOVES_UNLIKE_BARS = f"""
    SELECT universe, session, c.advances, r.advances AS rising, c.declines, r.declines AS falling, c.unchanged,
           r.unchanged AS equal
      FROM judged_breadth_counts c JOIN recounted r USING (universe, session)
     WHERE segment = '{ALL}'
       AND (coalesce(c.advances, 0), coalesce(c.declines, 0), coalesce(c.unchanged, 0))
           <> (r.advances, r.declines, r.unchanged)
       AND EXISTS (SELECT FROM session_figures f WHERE f.session = r.previous)"""
SESSIONS_NOT_COUNTED = f"""
    SELECT universe, session, r.priced AS members_with_bars
      FROM recounted r
      JOIN (SELECT universe, min(session) AS first, max(session) AS last
              FROM breadth_counts WHERE segment = '{ALL}' GROUP BY universe) reach USING (universe)
     WHERE session BETWEEN first AND last
       AND NOT EXISTS (SELECT FROM breadth_counts c WHERE c.universe = r.universe AND c.segment = '{ALL}'
                                                      AND c.session = r.session)"""
UNCHANGED_UNLIKE = _unlike_the_year(
    "(SELECT universe, session, unchanged / nullif(advances + declines + unchanged, 0)::float8 AS unchanged_share "
    f"FROM breadth_counts WHERE segment = '{ALL}')",
    "unchanged_share",
    "avg(unchanged_share) OVER past",
    f"unchanged_share > usual + {MORE_UNCHANGED}",
    "universe",
)

INDICATORS_OF_NOTHING = """
    SELECT universe, segment, session FROM judged_breadth_indicators
    EXCEPT SELECT universe, segment, session FROM all_counts"""
COUNTS_WITHOUT_INDICATORS = """
    SELECT universe, segment, session FROM all_counts JOIN calendar USING (session) WHERE judged
    EXCEPT SELECT universe, segment, session FROM judged_breadth_indicators"""
SIGNALS_OF_NOTHING = """
    SELECT signal_id, universe, segment, session, rule, action FROM judged_market_signals s
     WHERE NOT EXISTS (SELECT FROM breadth_indicators i WHERE i.universe = s.universe AND i.segment = s.segment
                                                          AND i.session = s.session)"""
MEMBER_INDICATORS_OF_NOTHING = """
    SELECT universe, session, security_id FROM judged_price_indicators i
     WHERE NOT EXISTS (SELECT FROM sound_bars b WHERE b.security_id = i.security_id AND b.session = i.session)
       AND EXISTS (SELECT FROM session_figures f WHERE f.session = i.session)"""
SYMBOL_SIGNALS_OF_NOTHING = """
    SELECT universe, session, security_id, action FROM judged_symbol_signals s
     WHERE NOT EXISTS (SELECT FROM price_indicators i WHERE i.universe = s.universe AND i.session = s.session
                                                        AND i.security_id = s.security_id)"""


def out_of_bounds(table: str, key: Sequence[str], formulas: Sequence[FormulaColumn]) -> str:
    """Values outside the bounds that their formula allows, one row each; NaN and infinity are outside all of them."""
    bounded = [
        (m.name, -_LARGEST if m.low is None else float(m.low), _LARGEST if m.high is None else float(m.high))
        for m in formulas
    ]
    broken = " OR ".join(f"NOT {name} BETWEEN {low} AND {high}" for name, low, high in bounded) or "false"
    values = ", ".join(f"('{name}', {name}, {low}::float8, {high}::float8)" for name, low, high in bounded)
    return f"""
        SELECT {", ".join(key)}, name, value, low, high
          FROM judged_{table} CROSS JOIN LATERAL (VALUES {values}) AS formulas(name, value, low, high)
         WHERE ({broken}) AND NOT value BETWEEN low AND high"""
