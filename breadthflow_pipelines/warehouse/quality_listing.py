"""What is wrong with the data of some sessions, as the live page lists it: by kind and reason, and the newest rows.

By rows, and by indexes on the session: tables of what was refused grow with every year. The whole of it is listed by
rejections.py, what fails by verdicts.py, what is held by holds.py.
"""

import datetime as dt

from breadthflow_pipelines.model.vocabulary import LAPSED
from breadthflow_pipelines.warehouse.database import Database, Row, rows_of
from breadthflow_pipelines.warehouse.sql import valid_on


def faults(database: Database, first: dt.date, last: dt.date) -> list[Row]:
    """What was refused, flagged, doubted or revised of these sessions, the most first within each kind.

    Each: kind, source (of what has one), what, synthetic (null: nobody can tell), rows, first, last. Rows whose session
    cannot be read are of all days.
    """
    return rows_of(database, _FAULTS, {"first": first, "last": last})


def newest(database: Database, first: dt.date, last: dt.date, most: int) -> list[Row]:
    """The last rows of these sessions that were refused or flagged: session, symbol, source, kind, what, and values."""
    return rows_of(database, _NEWEST, {"first": first, "last": last, "most": most})


_WITHIN = "session BETWEEN %(first)s AND %(last)s"
_SUPPLIED = f"({_WITHIN} OR session IS NULL)"
_COUNTED = "count(*) AS rows, min(session) AS first, max(session) AS last"
_FAULTS = f"""
SELECT 'rejected bar' AS kind, source, array_to_string(reasons, '; ') AS what, NULL::boolean AS synthetic, {_COUNTED}
  FROM rejected_bars WHERE {_SUPPLIED} AND gone_at IS NULL GROUP BY source, 3
UNION ALL
SELECT 'rejected line', exchange, reason, false, {_COUNTED}
  FROM rejected_counts WHERE {_SUPPLIED} GROUP BY exchange, reason
UNION ALL
SELECT status || ' bar', NULL, rule, synthetic, {_COUNTED}
  FROM quarantined_bars JOIN securities USING (security_id)
 WHERE {_WITHIN} AND status <> '{LAPSED}' GROUP BY status, rule, synthetic
UNION ALL
SELECT 'doubted session', exchange, array_to_string(doubts, '; '), false, {_COUNTED}
  FROM exchange_breadth WHERE {_WITHIN} AND doubts <> '{{}}' GROUP BY exchange, 3
UNION ALL
SELECT 'revised bar', NULL, coalesce(kind, 'unknown cause'), synthetic, {_COUNTED}
  FROM bar_revisions JOIN securities USING (security_id) WHERE {_WITHIN} GROUP BY kind, synthetic
 ORDER BY kind, rows DESC, source, what
"""
_NEWEST = f"""
(SELECT session, symbol, source, 'rejected bar' AS kind, array_to_string(reasons, '; ') AS what,
        open, high, low, close, volume
   FROM rejected_bars WHERE {_WITHIN} AND gone_at IS NULL ORDER BY session DESC LIMIT %(most)s)
UNION ALL
(SELECT q.session, n.symbol, b.source, q.status || ' bar', q.rule, b.open, b.high, b.low, b.close, b.volume
   FROM (SELECT security_id, session, status, rule FROM quarantined_bars WHERE {_WITHIN} AND status <> '{LAPSED}'
          ORDER BY session DESC LIMIT %(most)s) q
   LEFT JOIN bars b USING (security_id, session)
   LEFT JOIN security_symbols n ON n.security_id = q.security_id AND {valid_on("n", "q.session")})
 ORDER BY session DESC, symbol, kind LIMIT %(most)s
"""
