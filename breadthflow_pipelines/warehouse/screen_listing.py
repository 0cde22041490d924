"""What the live page shows of the market: where every universe stands, the last sessions of one, and its signals.

By rows and by indexes alone: a screen costs the same however long the history is. What a page of a whole history holds
is in contents_listing.py.
"""

import datetime as dt
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from breadthflow_pipelines.model.vocabulary import (
    ALL,
    BREADTH_SCORE,
    CONVICTION,
    MARKET_SIGNAL,
    SIGNAL_RECORD,
    WHOLE,
)
from breadthflow_pipelines.warehouse.database import Database, Row, answer, asking, rows_of
from breadthflow_pipelines.warehouse.signal_listing import evidence_shown, signals_query


@dataclass(frozen=True)
class Screen:
    """The last sessions of a universe as a whole, of one moment.

    breadth: the columns of the view ``breadth``. signals: MARKET_SIGNAL and SIGNAL_RECORD; evidence is JSON text, null
    of scores before the last one. sectors: segment, session, pct_above_50. records, returns, backtests: as the page
    of a whole history has them. Those of sessions by session. known_at: since when the store says so of these sessions.
    convention: the version of the definitions, of the newest of them.
    """

    breadth: Sequence[Row]
    signals: Sequence[Row]
    sectors: Sequence[Row]
    records: Sequence[Row]
    returns: Sequence[Row]
    backtests: Sequence[Row]
    known_at: dt.datetime
    convention: int


def standings(database: Database) -> list[Row]:
    """Where every universe stands on its last session, by name.

    Each: universe, synthetic, session, state, members, priced, coverage, score, score_action, conviction,
    conviction_action; what is not known is null.
    """
    return rows_of(database, _STANDINGS, {"all": ALL, "score": BREADTH_SCORE, "conviction": CONVICTION})


def screen(database: Database, universe: str, sessions: int | None) -> Screen | None:
    """The last so many sessions of a universe, or all of them; None: nothing of it is stored."""
    with asking(database) as connection, connection.cursor() as cursor:

        def asked(query: str, **values: object) -> list[Row]:
            return answer(cursor, query, {"universe": universe, "all": ALL, **values})

        cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        reach = asked(_REACH, before=None if sessions is None else sessions - 1)[0]
        first = reach["first"]
        if first is None:
            return None
        return Screen(
            asked(_BREADTH, first=first),
            asked(_SIGNALS, first=first),
            asked(_SECTORS, first=first) if reach["sectors"] else [],
            asked(_RECORDS, era=WHOLE),
            asked(_RETURNS, first=first),
            asked(_BACKTESTS),
            **asked(_KNOWN, first=first)[0],
        )


def segments(database: Database, universe: str) -> list[str]:
    """The segments of a universe that have breadth: ALL, and sectors by name."""
    return [row["segment"] for row in rows_of(database, _SEGMENTS, {"universe": universe})]


def signals_listed(
    database: Database,
    universe: str,
    segment: str,
    *,
    rules: Collection[str],
    action: str | None,
    first: dt.date | None,
    last: dt.date | None,
    before: tuple[dt.date, str] | None,
    most: int,
) -> list[Row]:
    """Signals of a segment, the newest first, and their records; without evidence.

    rules: only these. before: session and rule of one; those that follow it in the list.
    """
    asked: dict[str, object] = {
        "universe": universe, "segment": segment, "rules": list(rules), "action": action, "first": first, "last": last,
        "most": most,
    }  # fmt: skip
    after = ""
    if before is not None:
        after = "AND (session, rule) < (%(session)s, %(rule)s)"
        asked |= {"session": before[0], "rule": before[1]}
    return rows_of(database, _LISTED.format(after=after), asked)


# Names are found one after the other in the index: DISTINCT would read all of it.
_STANDINGS = """
WITH RECURSIVE names AS (
    SELECT min(universe) AS universe FROM breadth_indicators
    UNION ALL
    SELECT (SELECT min(universe) FROM breadth_indicators i WHERE i.universe > names.universe)
      FROM names WHERE names.universe IS NOT NULL)
SELECT n.universe, last.session, last.state, c.members, c.priced, c.coverage,
       score.value AS score, score.action AS score_action,
       conviction.value AS conviction, conviction.action AS conviction_action,
       EXISTS (SELECT FROM universe_members m JOIN securities USING (security_id)
                WHERE m.universe = n.universe AND synthetic) AS synthetic
  FROM names n
  CROSS JOIN LATERAL (SELECT session, state FROM breadth_indicators i WHERE i.universe = n.universe
                         AND segment = %(all)s ORDER BY session DESC LIMIT 1) AS last
  LEFT JOIN all_counts c ON c.universe = n.universe AND c.segment = %(all)s AND c.session = last.session
  LEFT JOIN LATERAL (SELECT value, action FROM market_signals s WHERE s.universe = n.universe AND segment = %(all)s
                        AND rule = %(score)s AND s.session = last.session) AS score ON true
  LEFT JOIN LATERAL (SELECT value, action FROM market_signals s WHERE s.universe = n.universe AND segment = %(all)s
                        AND rule = %(conviction)s AND s.session = last.session) AS conviction ON true
 ORDER BY n.universe
"""
_SEGMENTS = """
WITH RECURSIVE names AS (
    SELECT min(segment) AS segment FROM breadth_indicators WHERE universe = %(universe)s
    UNION ALL
    SELECT (SELECT min(segment) FROM breadth_indicators i
             WHERE universe = %(universe)s AND i.segment > names.segment)
      FROM names WHERE names.segment IS NOT NULL)
SELECT segment FROM names WHERE segment IS NOT NULL ORDER BY segment
"""
_LISTED = (
    f"SELECT {', '.join(name for name in (*MARKET_SIGNAL, *SIGNAL_RECORD) if name != 'evidence')} "
    f"FROM signals_with_record WHERE universe = %(universe)s AND segment = %(segment)s AND rule = ANY(%(rules)s) "
    "AND action = coalesce(%(action)s, action) AND session >= coalesce(%(first)s, '-infinity'::date) "
    "AND session <= coalesce(%(last)s, 'infinity'::date) {after} ORDER BY session DESC, rule DESC LIMIT %(most)s"
)
# A store that no run has brought up to this program may lack the share by which sectors are shown.
_REACH = """
SELECT coalesce((SELECT session FROM breadth_indicators WHERE universe = %(universe)s AND segment = %(all)s
                    AND %(before)s IS NOT NULL ORDER BY session DESC OFFSET %(before)s LIMIT 1),
                (SELECT min(session) FROM breadth_indicators WHERE universe = %(universe)s AND segment = %(all)s))
       AS first,
       EXISTS (SELECT FROM pg_attribute WHERE attrelid = 'breadth_indicators'::regclass AND attname = 'pct_above_50')
       AS sectors
"""
_OF = "universe = %(universe)s AND segment = %(all)s AND session >= %(first)s"
_BREADTH = f"SELECT * FROM breadth WHERE {_OF} ORDER BY session"
_SIGNALS = signals_query(_OF, evidence_shown(_OF))
_SECTORS = (
    "SELECT segment, session, pct_above_50 FROM breadth_indicators "
    "WHERE universe = %(universe)s AND segment <> %(all)s AND session >= %(first)s ORDER BY segment, session"
)
_RECORDS = (
    "SELECT rule, action, horizon, events, episodes, hit_rate, base_rate, lift, p_rotation, p_family, verdict, reason "
    "FROM signal_accuracy WHERE universe = %(universe)s AND era = %(era)s ORDER BY rule, action, horizon"
)
_RETURNS = (
    "SELECT universe, segment, session, return, intraday, contributing, adjusted FROM universe_returns "
    f"WHERE {_OF} ORDER BY session"
)
_BACKTESTS = "SELECT * FROM backtests WHERE universe = %(universe)s ORDER BY rule, thresholds, portfolio, cost"
_KNOWN = f"""
SELECT greatest((SELECT max(computed_at) FROM breadth_counts WHERE {_OF}),
                (SELECT max(ingested_at) FROM exchange_breadth WHERE exchange = %(universe)s AND session >= %(first)s),
                (SELECT max(computed_at) FROM breadth_indicators WHERE {_OF}),
                (SELECT max(computed_at) FROM market_signals WHERE {_OF})) AS known_at,
       (SELECT max(convention) FROM breadth_indicators WHERE {_OF}) AS convention
"""
