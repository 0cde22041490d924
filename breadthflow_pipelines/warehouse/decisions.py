"""What people decide of bars in quarantine. By rows, not frames: these commands start in a fraction of a second.

What rules find is in quarantine_store.py. A decision holds for the values that the bar has when it is made.
"""

import datetime as dt
from typing import Any

from psycopg2.extras import RealDictCursor

from breadthflow_pipelines.errors import RequestError
from breadthflow_pipelines.model.gates import CROWDED
from breadthflow_pipelines.model.vocabulary import CONFIRMED, LAPSED, LEFT_OUT, PROPOSED
from breadthflow_pipelines.warehouse.audit_store import present_user, record
from breadthflow_pipelines.warehouse.database import Database, Row
from breadthflow_pipelines.warehouse.recomputations import note_change
from breadthflow_pipelines.warehouse.sql import bar_fingerprint, quoted, valid_on
from breadthflow_pipelines.warehouse.symbol_lookup import name_then, stored_symbol

BY_HAND = "by hand"  # the rule of a bar that somebody confirmed as wrong and no rule had found

# A bar comes in or goes out where a decision changes that; what is made of bars is then due from its session on.
_DECIDE = f"""
UPDATE quarantined_bars q
   SET status = %(status)s, run_id = NULL, decided_at = now(), decided_by = %(by)s, reason = %(reason)s,
       fingerprint = {bar_fingerprint("b.")}
  FROM bars b, quarantined_bars old
 WHERE b.security_id = q.security_id AND b.session = q.session
   AND old.security_id = q.security_id AND old.session = q.session AND old.rule = q.rule AND {{which}}
RETURNING q.security_id, q.session, q.rule, q.status,
          (old.status IN ({quoted(LEFT_OUT)})) <> (%(status)s = '{CONFIRMED}') AS due
"""
_ADD = f"""
INSERT INTO quarantined_bars
       (security_id, session, rule, evidence, fingerprint, status, decided_at, decided_by, reason)
SELECT security_id, session, %(rule)s, '{{}}', {bar_fingerprint("b.")}, '{CONFIRMED}', now(), %(by)s, %(reason)s
  FROM bars b WHERE security_id = %(security_id)s AND session = %(session)s
    ON CONFLICT (security_id, session, rule) DO UPDATE
   SET status = EXCLUDED.status, fingerprint = EXCLUDED.fingerprint, run_id = NULL, decided_at = EXCLUDED.decided_at,
       decided_by = EXCLUDED.decided_by, reason = EXCLUDED.reason
RETURNING security_id, session, rule, status, true AS due
"""
_LIFT = f"""
DELETE FROM holds h WHERE gate = '{CROWDED}' AND NOT EXISTS (
    SELECT FROM quarantined_bars q
     WHERE q.status = '{PROPOSED}' AND date_trunc('month', q.session) = date_trunc('month', h.session))
"""


def decide_bar(database: Database, symbol: str, session: dt.date, status: str, by: str, reason: str) -> list[Row]:
    """Release or confirm a bar, whatever rules flag it; one that none found can be confirmed all the same.

    The caller holds ``exclusive("quarantined_bars")``. Returns the rows as they are now.

    Raises:
        RequestError: nobody had that symbol or several could be meant, there is no such bar, or nothing to release it
            from.
    """
    with database.connect() as connection, connection.cursor(cursor_factory=RealDictCursor) as cursor:
        symbol = stored_symbol(cursor, symbol)
        values: Row = {"symbol": symbol, "session": session, "status": status, "by": by, "reason": reason}
        cursor.execute(
            "SELECT security_id, EXISTS (SELECT FROM bars b WHERE b.security_id = n.security_id "
            "AND session = %(session)s) AS priced FROM security_symbols n "
            f"WHERE symbol = %(symbol)s AND {valid_on('n', '%(session)s')}",
            values,
        )
        found = cursor.fetchone()
        if found is None:
            then = name_then(cursor, symbol, session, session)
            hint = f"{then.said} Write {then.symbol}." if then else "Symbols are written as the source does."
            raise RequestError(f"Nobody was called {symbol} on {session}. {hint}")
        if not found["priced"]:
            raise RequestError(f"{symbol} has no bar on {session}, so there is nothing to decide.")
        values["security_id"] = found["security_id"]
        which = f"q.security_id = %(security_id)s AND q.session = %(session)s AND q.status <> '{LAPSED}'"
        cursor.execute(_DECIDE.format(which=which), values)
        rows = [dict(row) for row in cursor.fetchall()]
        if not rows and status == CONFIRMED:
            cursor.execute(_ADD, {**values, "rule": BY_HAND})
            rows = [dict(row) for row in cursor.fetchall()]
        if rows:
            _note(cursor, rows)
            record(cursor, status, f"{symbol} {session}", who=present_user(), behalf=by, reason=reason)
    if not rows:
        raise RequestError(f"No rule flags {symbol} on {session}; breadthflow rejected lists what is left out.")
    return rows


def decide_proposals(database: Database, rule: str | None, status: str, by: str, reason: str) -> list[Row]:
    """The same of every bar that is proposed, by one rule or by any.

    Raises:
        RequestError: nothing is proposed.
    """
    with database.connect() as connection, connection.cursor(cursor_factory=RealDictCursor) as cursor:
        values = {"rule": rule, "status": status, "by": by, "reason": reason}
        which = f"q.status = '{PROPOSED}' AND q.rule = coalesce(%(rule)s, q.rule)"
        cursor.execute(_DECIDE.format(which=which), values)
        rows = [dict(row) for row in cursor.fetchall()]
        if rows:
            _note(cursor, rows)
            bars = len({(row["security_id"], row["session"]) for row in rows})
            what = f"{bars} proposed bars{f' of the rule {rule}' if rule else ''}"
            record(cursor, status, what, who=present_user(), behalf=by, reason=reason)
    if not rows:
        raise RequestError(f"Nothing is proposed{f' by the rule {rule}' if rule else ''}.")
    return rows


def _note(cursor: Any, rows: list[Row]) -> None:
    """Note what becomes due, and lift the holds of months in which nothing is proposed any more."""
    cursor.execute(_LIFT)
    first = min((row["session"] for row in rows if row["due"]), default=None)
    if first is not None:
        note_change(cursor, "quarantined_bars", first, "quarantined_bars")
