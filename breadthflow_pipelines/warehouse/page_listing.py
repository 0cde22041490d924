"""What the API lists page by page: which rows, in which order, under which names. How pages work: paging.py.

Every listing says whether a row is of an invented universe. Columns are chosen by their names; the key is always there.
as_of, everywhere: a moment with a zone; rows as the store had them then, or a refusal where they are not kept.
"""

import datetime as dt
from collections.abc import Mapping, Sequence

from breadthflow_pipelines.model.datasets import BREADTH_REVISIONS, SIGNAL_REVISIONS
from breadthflow_pipelines.model.vocabulary import ALL, SIGNAL_RECORD
from breadthflow_pipelines.warehouse import (
    breadth_listing,
    history,
    rejections,
    signal_listing,
    standing,
    symbol_listing,
)
from breadthflow_pipelines.warehouse.change_listing import check_unchanged
from breadthflow_pipelines.warehouse.database import Database, rows_of
from breadthflow_pipelines.warehouse.paging import KeyValue, Listing, Page, page
from breadthflow_pipelines.warehouse.sql import conditions, valid_on
from breadthflow_pipelines.warehouse.symbol_lookup import find_symbol, refuse_other_name
from breadthflow_pipelines.warehouse.universe_listing import marked
from breadthflow_pipelines.warehouse.views import RECORD_OF_MEMBERS

SESSIONS = Listing(
    "breadth_indicators i LEFT JOIN breadth_counts c USING (universe, segment, session)",
    {"universe": str, "session": dt.date},
)
BREADTH = Listing("breadth", {"universe": str, "segment": str, "session": dt.date})
SIGNALS = Listing("signals_with_record", {"universe": str, "segment": str, "session": dt.date, "rule": str})
SYMBOLS = Listing(
    "symbol_signals s JOIN price_indicators p USING (universe, session, security_id) "
    f"{symbol_listing.NAMED} {RECORD_OF_MEMBERS}",
    {"s.session": dt.date, "security_id": int},
)
OUTCOMES = Listing(
    "signal_outcomes", {"universe": str, "segment": str, "session": dt.date, "rule": str, "horizon": int}
)
ACCURACY = Listing("signal_accuracy", {"universe": str, "rule": str, "action": str, "horizon": int, "era": str})
BACKTESTS = Listing("backtests", {"universe": str, "rule": str, "thresholds": str, "portfolio": str, "cost": float})

REJECTED_KEY: Mapping[str, type] = {"ordered_by": dt.date, "rejected_id": str}
REJECTED_COUNTS = Listing(
    rejections.rejected_counts_source(), {"exchange": str, "file": str, "line": int, "rejected_id": str}
)

# Of these only the newest rows are kept: what to ask where they changed after a moment.
_NO_MOMENT = "Leave as_of out for what it says now; "
_INSTEAD = {
    SYMBOLS.source: f"{_NO_MOMENT}GET /v1/signals and GET /v1/breadth with as_of tell of the market then.",
    OUTCOMES.source: f"{_NO_MOMENT}GET /v1/signals with as_of gives the signals of then.",
    ACCURACY.source: f"{_NO_MOMENT}GET /v1/signals gives each signal with the record of its rule as known then.",
    BACKTESTS.source: f"{_NO_MOMENT}rows with thresholds walk forward rest on earlier years alone.",
}
_OF_SYMBOLS = ("symbol_signals", "price_indicators", "symbol_records", "security_symbols")

After = Sequence[KeyValue] | None


def plain_page(
    database: Database,
    listing: Listing,
    columns: Sequence[str],
    equal: Mapping[str, str | int | None],
    first: dt.date | None = None,
    last: dt.date | None = None,
    as_of: dt.datetime | None = None,
    *,
    after: After,
    most: int,
) -> Page:
    """Rows of a table. equal: by column, the value that is asked for; None is any.

    Raises:
        RequestError: there is no such universe, says which there are; or the table changed since as_of.
    """
    where, values = _where(database, equal, first, last)
    named = {name: f'"{name}"' for name in columns}
    found = page(database, listing, named, where, values, after=after, most=most)
    if as_of is not None:
        check_unchanged(database, (listing.source,), as_of, _INSTEAD[listing.source])
    return _marked(database, found)


def _where(
    database: Database, equal: Mapping[str, str | int | None], first: dt.date | None, last: dt.date | None
) -> tuple[str, list[str | int | dt.date]]:
    """The condition that these arguments of plain_page() mean, and its values."""
    universe = equal.get("universe")
    if universe is not None:
        standing.check_universe(database, str(universe))
    return conditions({f'"{name}"': value for name, value in equal.items()}, first, last)


def sessions_page(
    database: Database,
    columns: Sequence[str],
    universe: str | None,
    first: dt.date | None,
    last: dt.date | None,
    *,
    after: After,
    most: int,
) -> Page:
    """The sessions of universes as a whole: state, members, priced, coverage.

    Raises:
        RequestError: there is no such universe; says which there are.
    """
    equal: Mapping[str, str | int | None] = {"universe": universe, "segment": ALL}
    return plain_page(database, SESSIONS, columns, equal, first, last, after=after, most=most)


def breadth_page(
    database: Database,
    columns: Sequence[str],
    universe: str,
    segment: str | None,
    first: dt.date | None,
    last: dt.date | None,
    as_of: dt.datetime | None,
    *,
    after: After,
    most: int,
) -> Page:
    """Counts and indicators of a universe; as_of as breadth_listing.breadth() has it.

    Raises:
        RequestError: there is no such universe, or nothing of it was known then; says what there is.
    """
    standing.check_universe(database, universe)
    where, values = conditions({"universe": universe, "segment": segment}, first, last)
    given = history.tables_as_of(database, as_of, BREADTH_REVISIONS)
    named = {name: f'"{name}"' for name in columns}
    found = page(database, BREADTH, named, where, values, after=after, most=most, given=given)
    if not found.rows and after is None and as_of is not None:
        raise breadth_listing.nothing(database, universe, segment, first, last, as_of)
    return _marked(database, found)


def signals_page(
    database: Database,
    columns: Sequence[str],
    equal: Mapping[str, str | int | None],
    first: dt.date | None,
    last: dt.date | None,
    as_of: dt.datetime | None,
    *,
    after: After,
    most: int,
) -> Page:
    """Signals of universes and their sectors. equal: by column, the value that is asked for; None is any.

    Raises:
        RequestError: there is no such universe, or no signal (of it) was known then; says what there is.
    """
    where, values = _where(database, equal, first, last)
    given = history.tables_as_of(database, as_of, SIGNAL_REVISIONS)
    named = {name: f'"{name}"' for name in columns}
    found = page(database, SIGNALS, named, where, values, after=after, most=most, given=given)
    if not found.rows and as_of is not None:
        universe = equal.get("universe")
        signal_listing.check_known(database, None if universe is None else str(universe), as_of)
    return _marked(database, found)


def symbols_page(
    database: Database,
    columns: Sequence[str],
    universe: str,
    segment: str | None,
    first: dt.date | None,
    last: dt.date | None,
    symbol: str | None,
    action: str | None,
    as_of: dt.datetime | None,
    *,
    after: After,
    most: int,
) -> Page:
    """Signals and technical indicators of a universe's members; of the last session where neither day is given.

    Raises:
        RequestError: the universe has no such signals, the symbol may mean several or is another one on these days, or
            something changed since as_of.
    """
    standing.check_universe(database, universe)
    symbol = find_symbol(database, symbol)
    if first is None and last is None:
        # Pages that follow stay with the session of the first one, whatever a run adds meanwhile.
        first = last = symbol_listing.reach(database, universe)[1] if after is None else after[0]
    sector = None if segment == ALL else segment
    equal = {"s.universe": universe, "securities.sector": sector, "symbol": symbol, "s.action": action}
    where, values = conditions(equal, first, last)
    named = {name: _OF_MEMBERS.get(name, f'"{name}"') for name in (*columns, "synthetic")}
    whole = f"{valid_on('n', 'session')} AND {where}"
    found = page(database, SYMBOLS, named, whole, values, after=after, most=most)
    if as_of is not None:
        check_unchanged(database, _OF_SYMBOLS, as_of, _INSTEAD[SYMBOLS.source])
    if not found.rows and after is None:
        refuse_other_name(database, symbol, first, last)
    return found


_OF_MEMBERS = {
    **{name: f"s.{name}" for name in ("universe", "session", "action", "convention")},
    **{name: f"r.{name}" for name in SIGNAL_RECORD},
    "signal_id": f"concat_ws('{symbol_listing.BETWEEN}', s.universe, symbol, s.session)",
}


def symbol_columns(database: Database) -> set[str]:
    """The columns of votes and technical indicators that this store has."""
    query = (
        "SELECT attname::text AS name FROM pg_attribute "
        "WHERE attrelid IN ('symbol_signals'::regclass, 'price_indicators'::regclass) "
        "AND attnum > 0 AND NOT attisdropped"
    )
    return {row["name"] for row in rows_of(database, query)}


def rejected_page(
    database: Database,
    columns: Sequence[str],
    first: dt.date | None,
    last: dt.date | None,
    as_of: dt.datetime | None,
    *,
    universe: str | None,
    source: str | None,
    symbol: str | None,
    reason: str | None,
    status: str | None,
    with_values: bool,
    after: After,
    most: int,
) -> Page:
    """Rows that broke the contract of bars, and bars that rules flag; arguments as of rejections.rejected().

    with_values: whether prices, volumes and evidence may be shown; else they are null.

    Raises:
        RequestError: there is no such universe, the symbol may mean several or is another one on these days, or rows
            that were there at as_of have been dropped.
    """
    symbol = find_symbol(database, symbol)
    asked = {"universe": universe, "source": source, "symbol": symbol, "reason": reason, "status": status}
    where, values = rejections.rejected_where(database, first, last, **asked)
    if as_of is None:
        given, behind = None, rejections.rejected_source(with_values=with_values)
    else:
        given, behind = rejections.rejected_as_of(database, as_of, with_values=with_values), rejections.THEN
    named = {name: f'"{name}"' for name in columns}
    listing = Listing(behind, REJECTED_KEY)
    found = page(database, listing, named, where, values, after=after, most=most, given=given)
    if not found.rows and after is None:
        refuse_other_name(database, symbol, first, last)
    return found


def rejected_counts_page(
    database: Database,
    columns: Sequence[str],
    first: dt.date | None,
    last: dt.date | None,
    as_of: dt.datetime | None,
    *,
    exchange: str | None,
    reason: str | None,
    after: After,
    most: int,
) -> Page:
    """Lines of published counts that broke their contract."""
    where, values = conditions({"exchange": exchange}, first, last)
    where += " AND position(lower(%s) IN lower(reason)) > 0 AND rejected_at <= coalesce(%s, rejected_at)"
    named = {name: f'"{name}"' for name in columns}
    return page(database, REJECTED_COUNTS, named, where, [*values, reason or "", as_of], after=after, most=most)


def _marked(database: Database, found: Page) -> Page:
    return Page(marked(database, found.rows), found.next)
