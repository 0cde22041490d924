"""How good what the store holds is, in figures: coverage, holds, checks that fail, the records of rules.

How far it has come is in overview.py. Everything is found by an index or stands in a small table.
"""

import datetime as dt

from breadthflow_pipelines.model.vocabulary import ALL, WHOLE, WINDOW_CLOSED
from breadthflow_pipelines.warehouse.database import Database, Row, rows_of
from breadthflow_pipelines.warehouse.universe_listing import marked

RECENT = "1 year"  # windows that closed within this time tell how a rule has done lately
LONGEST_RECENT = 21  # sessions; of longer windows a year has too few that do not overlap


def coverage(database: Database) -> list[Row]:
    """Each universe on its last counted session: universe, synthetic, session, members, priced, coverage."""
    return marked(
        database,
        rows_of(
            database,
            "SELECT universe, last.* FROM (SELECT DISTINCT universe FROM universe_members) AS known "
            "CROSS JOIN LATERAL (SELECT session, members, priced, coverage FROM breadth_counts c "
            "WHERE c.universe = known.universe AND segment = %s ORDER BY session DESC LIMIT 1) AS last ORDER BY 1",
            [ALL],
        ),
    )


def holds(database: Database) -> list[Row]:
    """Sessions that gates hold and nobody accepted: gate, sessions."""
    query = "SELECT gate, count(DISTINCT session) AS sessions FROM holding GROUP BY gate ORDER BY gate"
    return rows_of(database, query)


def records(database: Database) -> list[Row]:
    """The records of rules over all of history, with the interval of the lift where there is one."""
    return marked(
        database,
        rows_of(
            database,
            "SELECT universe, rule, action, horizon, events, hit_rate, base_rate, lift, lift_low, lift_high "
            "FROM signal_accuracy WHERE era = %s AND events > 0 ORDER BY universe, rule, action, horizon",
            [WHOLE],
        ),
    )


def recent_records(database: Database, through: dt.date) -> list[Row]:
    """What became of signals whose windows of up to 21 sessions closed in the year through that day.

    Of rules whose lift has an interval: universe, synthetic, rule, action, horizon, hit_rate, windows.

    hit_rate: of all of them. windows: how many stretches of the horizon's length have one, which is about as many as
    do not overlap.
    """
    return marked(
        database,
        rows_of(
            database,
            f"""
            SELECT a.universe, a.rule, a.action, a.horizon, avg(hit::int)::float8 AS hit_rate,
                   count(DISTINCT (s.session - date '2000-01-01') * 5 / (a.horizon * 7)) AS windows
              FROM signal_accuracy a
              JOIN market_signals s ON (s.universe, s.rule, s.action) = (a.universe, a.rule, a.action)
              JOIN signal_outcomes o ON o.signal_id = s.signal_id AND o.horizon = a.horizon
             WHERE era = %(era)s AND lift_low IS NOT NULL AND a.horizon <= %(longest)s AND s.segment = %(segment)s
               AND s.session > %(through)s - interval '{RECENT}' - interval '2 months'
               AND o.state = %(closed)s AND hit IS NOT NULL
               AND exit_session > %(through)s - interval '{RECENT}' AND exit_session <= %(through)s
             GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4
            """,
            {"era": WHOLE, "longest": LONGEST_RECENT, "segment": ALL, "closed": WINDOW_CLOSED, "through": through},
        ),
    )
