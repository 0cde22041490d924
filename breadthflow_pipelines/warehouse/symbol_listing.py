"""Signals of single members as commands list them, and the address by which one of them is asked for.

By rows, not frames: these commands start in a fraction of a second. Those of whole universes: signal_listing.py.
"""

import datetime as dt
import difflib
from typing import NamedTuple

from breadthflow_pipelines.errors import RequestError
from breadthflow_pipelines.model.vocabulary import ALL, SIGNAL_RECORD
from breadthflow_pipelines.warehouse import standing
from breadthflow_pipelines.warehouse.database import Database, Row, rows_of
from breadthflow_pipelines.warehouse.sql import conditions, valid_on
from breadthflow_pipelines.warehouse.symbol_lookup import find_name_then, find_symbol, refuse_other_name
from breadthflow_pipelines.warehouse.views import RECORD_OF_MEMBERS

BETWEEN = ":"  # no name of a universe has one, and no day; a symbol may
# Who they are of; behind the alias s.
NAMED = "JOIN security_symbols n USING (security_id) JOIN securities USING (security_id)"
_RECORD = ", ".join(f"r.{name}" for name in SIGNAL_RECORD)
_UNSHOWN = frozenset({"security_id", "computed_at"})


class Address(NamedTuple):
    """What names a member's signal: its universe, the symbol that the member had then, and the session."""

    universe: str
    symbol: str
    session: dt.date

    def __str__(self) -> str:
        return BETWEEN.join(map(str, self))


def is_address(signal_id: str) -> bool:
    """Whether an id is meant to be that of a member's signal; those of universes are hexadecimal."""
    return BETWEEN in signal_id


def address_of(signal_id: str) -> Address:
    """The parts of an id.

    Raises:
        RequestError: it has not all of them, or its day is not one.
    """
    universe, _, rest = signal_id.partition(BETWEEN)
    symbol, _, day = rest.rpartition(BETWEEN)
    if not universe or not symbol or not (session := _day(day)):
        raise RequestError(
            f"{signal_id} does not name a signal: that of a member is universe:symbol:session, as in "
            "sp500:AAPL:2024-03-01. Copy one from breadthflow symbols."
        )
    return Address(universe, symbol, session)


def _day(text: str) -> dt.date | None:
    """The day, where it is written as YYYY-MM-DD and in no other way."""
    try:
        day = dt.date.fromisoformat(text)
    except ValueError:
        return None
    return day if str(day) == text else None


def symbol_signals(
    database: Database,
    universe: str,
    first: dt.date | None,
    last: dt.date | None,
    symbol: str | None,
    action: str | None,
    most: int | None = None,
) -> list[Row]:
    """Signals and technical indicators of a universe's members, and the record that such signals had before the month.

    By session, the strongest of each first; of the last session where neither day is given. most: so many of the
    strongest of the newest sessions, of which the one that would be left out next comes first. signal_id: the address
    of each, as text.

    Raises:
        RequestError: the universe or the symbol has no signal at all; says what there is.
    """
    standing.check_universe(database, universe)
    symbol = find_symbol(database, symbol)
    if first is None and last is None:
        _, first = reach(database, universe)
        last = first
    where, values = conditions({"s.universe": universe, "symbol": symbol, "s.action": action}, first, last)
    strongest = "strength DESC, symbol"
    rows = rows_of(
        database,
        f"SELECT symbol, s.*, p.*, synthetic, {_RECORD} FROM symbol_signals s "
        f"JOIN price_indicators p USING (universe, session, security_id) {NAMED} {RECORD_OF_MEMBERS} "
        f"WHERE {valid_on('n', 'session')} AND {where} ORDER BY "
        + (f"s.session, {strongest}" if most is None else f"s.session DESC, {strongest} LIMIT {most:d}"),
        values,
    )
    if most is not None:
        rows = [*rows[most - 1 :], *sorted(rows[: most - 1], key=lambda row: row["session"])]
    if not rows:
        refuse_other_name(database, symbol, first, last)
    if not rows and symbol is not None and action is None:
        raise RequestError(f"{symbol} has no signal as a member of {universe} from {first} through {last}.")
    return [_shown(row) for row in rows]


def symbol_signal(database: Database, address: Address, *, with_close: bool = True) -> Row:
    """A member's signal with its votes, close, indicators and record, and the state of its session.

    Indicators are null where they are not stored beside the signal. with_close: whether the login may see what vendors
    delivered; else the close is null.

    Raises:
        RequestError: there is no such signal; says what is wrong with the address.
    """
    universe, _, session = address
    standing.check_universe(database, universe)
    symbol = find_symbol(database, address.symbol)
    close = "b.close" if with_close else "NULL::double precision AS close"
    # An outer join's columns come first: what it lacks would else take the place of the signal's own.
    rows = rows_of(
        database,
        f"SELECT p.*, {close}, i.state, symbol, s.*, synthetic, {_RECORD} "
        f"FROM symbol_signals s {NAMED} {RECORD_OF_MEMBERS} LEFT JOIN price_indicators p "
        "ON (p.universe, p.session, p.security_id) = (s.universe, s.session, s.security_id) "
        "LEFT JOIN sound_bars b ON (b.security_id, b.session) = (s.security_id, s.session) "
        "LEFT JOIN breadth_indicators i "
        f"ON (i.universe, i.segment, i.session) = (s.universe, '{ALL}', s.session) "
        f"WHERE s.universe = %s AND s.session = %s AND symbol = %s AND {valid_on('n', 's.session')}",
        [universe, session, symbol],
    )
    if not rows:
        raise _no_signal(database, address._replace(symbol=symbol or address.symbol))
    return _shown(rows[0])


def _shown(row: Row) -> Row:
    shown = {name: value for name, value in row.items() if name not in _UNSHOWN}
    return {**shown, "signal_id": str(Address(row["universe"], row["symbol"], row["session"]))}


def reach(database: Database, universe: str) -> tuple[dt.date, dt.date]:
    """The first and the last session with a signal of a member.

    Raises:
        RequestError: there is none.
    """
    query = "SELECT min(session) AS first, max(session) AS last FROM symbol_signals WHERE universe = %s"
    reach = rows_of(database, query, [universe])[0]
    if reach["first"] is None:
        held = standing.why_held(database, universe, "symbol_signals")
        raise RequestError(
            held
            or f"No member of {universe} has a signal: the rules look back over months of bars, "
            "and published counts have no members."
        )
    return reach["first"], reach["last"]


def _no_signal(database: Database, address: Address) -> RequestError:
    """Why an address leads nowhere: its day, or its symbol."""
    universe, symbol, session = address
    first, last = reach(database, universe)
    if not first <= session <= last:
        return RequestError(f"Members of {universe} have signals from {first} through {last}, and none on {session}.")
    then = find_name_then(database, symbol, session, session)
    if then is not None:
        return RequestError(f"{then.said} Ask for {address._replace(symbol=then.symbol)}.")
    rows = rows_of(
        database,
        "SELECT symbol FROM symbol_signals s JOIN security_symbols n USING (security_id) "
        f"WHERE universe = %s AND session = %s AND {valid_on('n', 'session')}",
        [universe, session],
    )
    if not rows:
        return RequestError(f"No member of {universe} has a signal on {session}; it may be no session.")
    near = difflib.get_close_matches(symbol.upper(), [row["symbol"] for row in rows], n=3, cutoff=0.6)
    hint = f"Did you mean {' or '.join(near)}?" if near else "It was no member then, or its history was too short."
    return RequestError(f"{symbol} has no signal as a member of {universe} on {session}. {hint}")
