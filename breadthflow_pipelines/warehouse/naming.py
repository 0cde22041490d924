"""Which stored symbol people mean by the one that they type."""

from typing import Any

from breadthflow_pipelines.errors import RequestError
from breadthflow_pipelines.spelling import SEPARATORS, meant, spelled

_SPELLED = f"translate(symbol, '{SEPARATORS}', '{'-' * len(SEPARATORS)}') = %(spelled)s"
_KNOWN = f"SELECT symbol FROM security_symbols WHERE {_SPELLED} UNION SELECT symbol FROM rejected_bars WHERE {_SPELLED}"


def as_stored(cursor: Any, symbol: str) -> str:
    """The symbol as securities, or else rejected rows, spell it; as it is where nobody has it.

    cursor: of the store, with rows that are mappings.

    Raises:
        RequestError: it may mean several; names them.
    """
    cursor.execute(_KNOWN, {"spelled": spelled(symbol)})
    found = meant(symbol, [row["symbol"] for row in cursor.fetchall()])
    if len(found) > 1:
        raise RequestError(f"{symbol} may be {' or '.join(found)}: write it as the source does.")
    return found[0] if found else symbol
