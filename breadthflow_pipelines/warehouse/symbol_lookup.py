"""Which stored symbol people mean by the one that they type."""

from typing import Any

from psycopg2.extras import RealDictCursor

from breadthflow_pipelines.errors import RequestError
from breadthflow_pipelines.spelling import SEPARATORS, meant, spelled
from breadthflow_pipelines.warehouse.database import Database

_SPELLED = f"translate(symbol, '{SEPARATORS}', '{'-' * len(SEPARATORS)}') = %(spelled)s"
_ALIKE = f"SELECT symbol FROM security_symbols WHERE {_SPELLED} UNION SELECT symbol FROM rejected_bars WHERE {_SPELLED}"


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
