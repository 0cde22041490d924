"""What was refused or is doubted, as commands list it: bars, and lines of published counts.

By rows, not frames: these commands start in a fraction of a second. Who decides on a bar: decisions.py.
"""

import datetime as dt

from psycopg2 import sql

from breadthflow_pipelines.errors import RequestError
from breadthflow_pipelines.model.vocabulary import DECIDED, LAPSED, PRICES, Status
from breadthflow_pipelines.warehouse.database import Database, Row, last_rows_of, rows_of
from breadthflow_pipelines.warehouse.privacy import sees_names
from breadthflow_pipelines.warehouse.sql import conditions, quoted, valid_on
from breadthflow_pipelines.warehouse.standing import check_universe
from breadthflow_pipelines.warehouse.store_retention import check_kept
from breadthflow_pipelines.warehouse.symbol_lookup import find_symbol, refuse_other_name


def rejected(
    database: Database,
    first: dt.date | None,
    last: dt.date | None,
    *,
    source: str | None = None,
    symbol: str | None = None,
    reason: str | None = None,
    status: str | None = None,
    most: int | None = None,
) -> list[Row]:
    """Rows that broke the contract of bars, with all their reasons, and bars that rules flag, oldest first.

    reason: any part of one. status: ``rejected``, ``gone`` or one of the quarantine's; without it all but those that
    lapsed or are gone. most: the last so many rows.

    Raises:
        RequestError: the symbol may mean several, or is another one on these days.
    """
    symbol = find_symbol(database, symbol)
    where, values = rejected_where(database, first, last, source=source, symbol=symbol, reason=reason, status=status)
    listed = f"SELECT {', '.join(_SHOWN)} FROM {rejected_source(with_names=sees_names(database))}"
    rows = last_rows_of(database, f"{listed} WHERE {where}", values, _ORDER, most)
    if not rows:
        refuse_other_name(database, symbol, first, last)
    return rows


def rejected_where(
    database: Database,
    first: dt.date | None,
    last: dt.date | None,
    *,
    universe: str | None = None,
    source: str | None,
    symbol: str | None,
    reason: str | None,
    status: str | None,
) -> tuple[str, list[object]]:
    """The condition on rejected_source() that these arguments mean, as rejected() has them, and its values.

    universe: only of symbols that are or were members of it. symbol: as it is stored.

    Raises:
        RequestError: there is no such universe; says which there are.
    """
    own = {"source": source, "symbol": symbol, "status": status}
    where, values = conditions(own, first, last)
    if status is None:
        where += f" AND coalesce(status, '') NOT IN ('{LAPSED}', '{Status.GONE}')"
    where += " AND position(lower(%s) IN lower(reason)) > 0"
    asked: list[object] = [*values, reason or ""]
    if universe is not None:
        check_universe(database, universe)
        where += f" AND symbol IN ({members_symbols('%s')})"
        asked += [universe, universe]
    return where, asked


def members_symbols(universe: str) -> str:
    """A query of the symbols of whoever is or was a member of a universe. universe: the mark of its name."""
    return (
        f"SELECT symbol FROM universe_members WHERE universe = {universe} UNION SELECT symbol FROM security_symbols "
        f"WHERE security_id IN (SELECT security_id FROM universe_members WHERE universe = {universe})"
    )


_ORDER = "session, symbol, reason"
_OF_VENDORS = (*PRICES, "volume")


def rejected_source(*, with_values: bool = True, with_names: bool = False) -> str:
    """What stands behind FROM: columns of both kinds, rejected_id, and ordered_by, a session that is never null.

    with_values: whether what vendors delivered, and what rules saw of it, is there; else it is null.
    with_names: whether who decided is there.
    """
    of_rows, of_bars = (
        ", ".join(f"{alias}{name}" if with_values else f"NULL::double precision AS {name}" for name in _OF_VENDORS)
        for alias in ("", "b.")
    )
    raw, evidence = ("raw", "q.evidence") if with_values else ("NULL::text", "NULL::jsonb")
    decided_by = "q.decided_by" if with_names else "NULL"
    return f"""(
    SELECT session, symbol, source, array_to_string(reasons, '; ') AS reason,
           CASE WHEN gone_at IS NULL THEN '{Status.REJECTED}' ELSE '{Status.GONE}' END AS status,
           {of_rows}, {raw} AS raw, NULL::jsonb AS evidence, rejected_at AS found_at,
           gone_at, NULL::timestamptz AS decided_at, NULL AS decided_by,
           NULL AS decision, run_id, fingerprint AS rejected_id, coalesce(session, date '0001-01-01') AS ordered_by
      FROM rejected_bars
    UNION ALL
    SELECT q.session, n.symbol, b.source, q.rule, q.status, {of_bars}, NULL,
           {evidence}, q.found_at, NULL, q.decided_at, {decided_by}, q.reason, q.run_id,
           concat_ws(':', q.security_id, q.session, q.rule), q.session
      FROM quarantined_bars q LEFT JOIN bars b USING (security_id, session)
      LEFT JOIN security_symbols n
             ON n.security_id = q.security_id AND {valid_on("n", "q.session")}
) AS listed"""


THEN = "rejected_then"


def rejected_as_of(database: Database, as_of: dt.datetime, *, with_values: bool) -> sql.Composed:
    """What stands before a query of THEN: rejected_source() as far as it was found by a moment.

    status: as it was then. Of a flagged bar it is null unless it was decided by then and not again since: when a rule
    proposed it, left it out or let it go is not kept.

    Raises:
        RequestError: rows that were there then have been dropped.
    """
    check_kept(database, "rejected_bars", as_of)
    columns = ", ".join(name for name in (*_SHOWN, "rejected_id", "ordered_by") if name != "status")
    return sql.SQL(
        f"WITH {THEN} AS (SELECT {columns}, CASE WHEN gone_at > {{moment}} THEN '{Status.REJECTED}' "
        f"WHEN status IN ({quoted((Status.REJECTED, Status.GONE))}) THEN status "
        f"WHEN status IN ({quoted(DECIDED)}) AND decided_at <= {{moment}} THEN status END AS status "
        f"FROM {rejected_source(with_values=with_values)} WHERE found_at <= {{moment}}) "
    ).format(moment=sql.Literal(as_of))


_SHOWN = (
    *("session", "symbol", "source", "reason", "status", *_OF_VENDORS, "raw", "evidence", "found_at"),
    *("decided_at", "decided_by", "decision", "run_id"),
)


def rejected_counts(
    database: Database, exchange: str, first: dt.date | None, last: dt.date | None, reason: str | None = None
) -> list[Row]:
    """Lines of an exchange's published counts that broke their contract, by file and line. reason: any part of one.

    Raises:
        RequestError: no such exchange; says which there are.
    """
    query = "SELECT exchange FROM exchange_breadth UNION SELECT exchange FROM rejected_counts ORDER BY 1"
    names = [row["exchange"] for row in rows_of(database, query)]
    if exchange not in names:
        there = f"there are: {', '.join(names)}" if names else "none were imported: run breadthflow import-breadth"
        raise RequestError(f"There are no published counts of {exchange}; {there}.")
    where, values = conditions({"exchange": exchange}, first, last)
    return rows_of(
        database,
        "SELECT session, exchange, file, line, value, reason, rejected_at, run_id "
        f"FROM {rejected_counts_source()} WHERE {where} AND position(lower(%s) IN lower(reason)) > 0 "
        "ORDER BY file, line",
        [*values, reason or ""],
    )


def rejected_counts_source() -> str:
    """What stands behind FROM for lines of published counts, with rejected_id."""
    return (
        "(SELECT session, exchange, exchange || '_' || series || '.csv' AS file, line, value, reason, rejected_at, "
        "run_id, fingerprint AS rejected_id FROM rejected_counts) AS listed"
    )


def any_bars(database: Database) -> bool:
    """Whether a bar is stored, or was turned away."""
    query = "SELECT EXISTS (SELECT FROM bars) OR EXISTS (SELECT FROM rejected_bars) AS any"
    return bool(rows_of(database, query, [])[0]["any"])
