"""Which stored symbol people mean by the one that they type, and what its company is called on other days."""

import datetime as dt
from typing import Any, NamedTuple

from psycopg2.extras import RealDictCursor

from breadthflow_pipelines.errors import RequestError
from breadthflow_pipelines.spelling import SEPARATORS, meant, spelled
from breadthflow_pipelines.warehouse.database import Database

_SPELLED = f"translate(symbol, '{SEPARATORS}', '{'-' * len(SEPARATORS)}') = %(spelled)s"
_ALIKE = f"SELECT symbol FROM security_symbols WHERE {_SPELLED} UNION SELECT symbol FROM rejected_bars WHERE {_SPELLED}"

# Of whoever had the symbol last, the last name among those of these days; nothing where somebody has the symbol then.
_DAYS = "daterange(%(first)s, %(last)s, '[]')"
_THEN = f"""
SELECT o.symbol, o.valid_from AS since, o.valid_to - 1 AS until,
       coalesce(o.valid_from > n.valid_from, n.valid_from IS NULL) AS later
  FROM security_symbols n JOIN security_symbols o USING (security_id)
 WHERE n.symbol = %(symbol)s AND daterange(o.valid_from, o.valid_to) && {_DAYS}
   AND NOT EXISTS (SELECT FROM security_symbols h
                    WHERE h.symbol = %(symbol)s AND daterange(h.valid_from, h.valid_to) && {_DAYS})
 ORDER BY n.valid_from DESC NULLS LAST, o.valid_from DESC NULLS LAST LIMIT 1
"""


class OtherName(NamedTuple):
    """What a company is called on some days, and in words since or until when."""

    symbol: str
    said: str


def stored_symbol(cursor: Any, symbol: str) -> str:
    """The symbol as securities, or else rejected rows, spell it; as it is where nobody has it.

    cursor: of the store, with rows that are mappings.

    Raises:
        RequestError: it may mean several; names them.
    """
    cursor.execute(_ALIKE, {"spelled": spelled(symbol)})
    found = meant(symbol, [row["symbol"] for row in cursor.fetchall()])
    if len(found) > 1:
        raise RequestError(f"{symbol} may be {' or '.join(found)}: write it as the source does.")
    return found[0] if found else symbol


def find_symbol(database: Database, symbol: str | None) -> str | None:
    """The same on a connection of its own; None where nobody asks for one."""
    if symbol is None:
        return None
    with database.connect() as connection, connection.cursor(cursor_factory=RealDictCursor) as cursor:
        return stored_symbol(cursor, symbol)


def name_then(cursor: Any, symbol: str, first: dt.date | None, last: dt.date | None) -> OtherName | None:
    """What the company of a symbol is called from first through last, where nobody has the symbol then.

    symbol: as stored_symbol gives it. None where somebody has it, and where nobody who ever had it is listed then.
    """
    cursor.execute(_THEN, {"symbol": symbol, "first": first, "last": last})
    row = cursor.fetchone()
    if row is None:
        return None
    when = f"became {row['symbol']} on {row['since']}" if row["later"] else f"was {row['symbol']} until {row['until']}"
    return OtherName(row["symbol"], f"{symbol} {when}.")


def find_name_then(
    database: Database, symbol: str | None, first: dt.date | None, last: dt.date | None
) -> OtherName | None:
    """The same on a connection of its own; None where nobody asks for a symbol."""
    if symbol is None:
        return None
    with database.connect() as connection, connection.cursor(cursor_factory=RealDictCursor) as cursor:
        return name_then(cursor, symbol, first, last)


def refuse_other_name(database: Database, symbol: str | None, first: dt.date | None, last: dt.date | None) -> None:
    """Refuse a symbol that its company does not have on any of these days; for whoever found nothing under it.

    Raises:
        RequestError: says what the company is called then.
    """
    then = find_name_then(database, symbol, first, last)
    if then is not None:
        raise RequestError(f"{then.said} Ask for {then.symbol}.")
