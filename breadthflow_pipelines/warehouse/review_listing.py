"""What the monthly review asks of the store: how the lists of members are kept, and whose bars have stopped.

What a review says of it is in reports/review.py; members without any bar are in member_listing.py.
"""

import datetime as dt
from collections.abc import Collection

from breadthflow_pipelines.model.vocabulary import ALL
from breadthflow_pipelines.warehouse.database import Database, Row, rows_of
from breadthflow_pipelines.warehouse.sql import own_bars, valid_on
from breadthflow_pipelines.warehouse.universe_listing import marked


def universes(database: Database, day: dt.date) -> list[Row]:
    """Each universe that is made of bars: universe, synthetic, members (of that day), changed, days, latest.

    changed: the last day, up to this one, on which somebody joined or left; null of a list that begins later. days: how
    many days after this one somebody will, as the list has it. latest: the last change of all.
    """
    return marked(
        database,
        rows_of(
            database,
            f"""
            SELECT universe, count(DISTINCT security_id) FILTER (WHERE {valid_on("m", "%(day)s")}) AS members,
                   max(change) FILTER (WHERE change <= %(day)s) AS changed,
                   count(DISTINCT change) FILTER (WHERE change > %(day)s) AS days, max(change) AS latest
              FROM universe_members m CROSS JOIN LATERAL unnest(ARRAY[valid_from, valid_to]) AS change
             GROUP BY universe ORDER BY universe
            """,
            {"day": day},
        ),
    )


def silent_members(database: Database, sessions: int) -> list[Row]:
    """Members without a bar on the last sessions that were counted: universe, synthetic, symbol, last_bar, given_up.

    Of each universe, those that belong to it on its last session. given_up: the day on which the company that had the
    symbol gave it up, as by a delisting or a change of name; null where nobody said so.
    """
    counted = "SELECT session FROM breadth_counts c WHERE c.universe = known.universe AND segment = %(all)s"
    return marked(
        database,
        rows_of(
            database,
            f"""
            WITH looked_at AS (
                SELECT universe, last.session AS last, since.session AS since
                  FROM (SELECT DISTINCT universe FROM universe_members) AS known
                 CROSS JOIN LATERAL ({counted} ORDER BY session DESC LIMIT 1) AS last
                 CROSS JOIN LATERAL ({counted} ORDER BY session DESC OFFSET %(sessions)s - 1 LIMIT 1) AS since)
            SELECT m.universe, m.symbol, own.last AS last_bar,
                   (SELECT max(s.valid_to) FROM security_symbols s
                     WHERE s.symbol = m.symbol AND s.valid_to <= l.last) AS given_up
              FROM looked_at l JOIN universe_members m USING (universe) CROSS JOIN LATERAL {own_bars("m")} own
             WHERE {valid_on("m", "l.last")} AND coalesce(own.last < l.since, true)
             ORDER BY own.last DESC NULLS LAST, m.universe, m.symbol
            """,
            {"all": ALL, "sessions": sessions},
        ),
    )


def outsiders(database: Database, benchmarks: Collection[str]) -> list[Row]:
    """Securities with bars that no universe has ever had: symbol (the last one), synthetic, last_bar.

    benchmarks: symbols that are nobody's members on purpose.
    """
    return rows_of(
        database,
        f"""
        SELECT named.symbol, synthetic, own.last AS last_bar
          FROM securities s CROSS JOIN LATERAL {own_bars("s")} own
         CROSS JOIN LATERAL (SELECT symbol FROM security_symbols n WHERE n.security_id = s.security_id
                              ORDER BY valid_to DESC NULLS FIRST LIMIT 1) AS named
         WHERE own.last IS NOT NULL AND named.symbol <> ALL(%(benchmarks)s)
           AND NOT EXISTS (SELECT FROM universe_members m WHERE m.security_id = s.security_id)
         ORDER BY named.symbol
        """,
        {"benchmarks": list(benchmarks)},
    )
