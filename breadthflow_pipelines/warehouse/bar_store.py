"""Bars: stored, revised, read to be counted. Whose they are: security_store.py; those refused: rejection_store.py."""

import datetime as dt
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import partial

import polars as pl

from breadthflow_pipelines.model.vocabulary import PRICES
from breadthflow_pipelines.spelling import meant
from breadthflow_pipelines.warehouse import tables
from breadthflow_pipelines.warehouse.bulk import Merged, Parameter, execute, fetch, merge, yearly_partitions, years_of
from breadthflow_pipelines.warehouse.database import Database
from breadthflow_pipelines.warehouse.recomputations import merge_notes
from breadthflow_pipelines.warehouse.sql import any_of, array, own_bars, spaced, valid_on

_OF = ("universe", "symbol")


def prepare_bars(database: Database, years: Iterable[int]) -> None:
    """Make the partitions of these years, so that bars of them can be stored side by side."""
    execute(database, [(statement, ()) for statement in yearly_partitions(tables.bars, years)])


def load_bars(
    database: Database, bars: pl.DataFrame, source: str, run_id: str, *, side_by_side: bool = False
) -> Merged:
    """Store resolved bars: new ones inserted, changed ones updated with the old values kept in bar_revisions.

    side_by_side: while others store other bars, none of the same security and session; see prepare_bars().
    """
    rows = bar_rows(bars, source, run_id)
    return merge(
        database,
        tables.bars,
        rows,
        first=[] if side_by_side else yearly_partitions(tables.bars, years_of(rows)),
        before_update=keep_bar_revisions("correction"),
        then=partial(merge_notes, "bars"),
        side_by_side=side_by_side,
    )


def bar_rows(bars: pl.DataFrame, source: str, run_id: str) -> pl.DataFrame:
    """Resolved bars as the table has them."""
    return bars.select(
        *("security_id", "session", *PRICES),
        pl.col("volume").round().cast(pl.Int64),
        "close_adjusted",
        source=pl.lit(source),
        run_id=pl.lit(run_id),
    )


def stored_bars(database: Database, securities: pl.Series, start: dt.date, end: dt.date) -> pl.DataFrame:
    """security_id, session, open, high, low, close, close_adjusted of the stored bars from start through end."""
    return fetch(
        database,
        "SELECT security_id, session, open, high, low, close, close_adjusted FROM bars "
        f"WHERE session BETWEEN $2 AND $3 AND {any_of('security_id', '$1', 'bigint')}",
        (spaced(securities), start, end),
    )


def keep_bar_revisions(kind: tables.BarChange) -> str:
    """The statement that keeps the old values of bars that are to change, and what kind of change it is."""
    return (
        "INSERT INTO bar_revisions (security_id, session, kind, run_id, old_run_id, old_ingested_at, "
        + ", ".join(f"old_{c}, new_{c}" for c in tables.REVISABLE)
        + f") SELECT t.security_id, t.session, '{kind}', s.run_id, t.run_id, t.ingested_at, "
        + ", ".join(f"t.{c}, s.{c}" for c in tables.REVISABLE)
        + " FROM {changed}"
    )


def bars_to_count(
    database: Database, start: dt.date, end: dt.date, warm_up: int, securities: Sequence[int]
) -> pl.DataFrame:
    """Sound bars of securities from start through end, each one's after its last ``warm_up`` before start.

    Returns security_id, session, high, low, close, volume, close_adjusted. However far back those bars lie they are
    found, so what is computed from them does not depend on how history is cut.
    """
    return _with_warm_up(
        database, ("high", "low", "close", "volume", "close_adjusted"), start, end, warm_up, securities
    )


def bars_to_return(database: Database, start: dt.date, end: dt.date, securities: Sequence[int]) -> pl.DataFrame:
    """security_id, session, open, close, close_adjusted of securities' sound bars, and of each the last one before."""
    return _with_warm_up(database, ("open", "close", "close_adjusted"), start, end, 1, securities)


def after_bars(database: Database, securities: Collection[int], day: dt.date, bars: int) -> dt.date | None:
    """The session by which each of these securities has so many sound bars after a day; None where one has fewer."""
    found = fetch(
        database,
        f"SELECT (SELECT session FROM sound_bars b WHERE b.security_id = w.security_id AND session > $2 "
        f"ORDER BY session OFFSET $3 - 1 LIMIT 1) AS session FROM unnest({array('$1', 'bigint')}) AS w (security_id)",
        (spaced(securities), day, bars),
    )["session"]
    last: dt.date | None = None if found.null_count() else found.max()  # type: ignore[assignment]
    return last


def bars_of(database: Database, securities: Sequence[int]) -> pl.DataFrame:
    """security_id, session, high, low, close, volume, close_adjusted of every sound bar of these securities."""
    return fetch(
        database,
        "SELECT security_id, session, high, low, close, volume, close_adjusted FROM sound_bars "
        f"WHERE {any_of('security_id', '$1', 'bigint')}",
        (spaced(securities),),
    )


def closes(database: Database, start: dt.date, end: dt.date, warm_up: int) -> pl.DataFrame:
    """security_id, session, close of the bars of all members that bars_to_count would give."""
    return _with_warm_up(database, ("close",), start, end, warm_up, None)


def _with_warm_up(
    database: Database,
    columns: Sequence[str],
    start: dt.date,
    end: dt.date,
    warm_up: int,
    securities: Sequence[int] | None,
) -> pl.DataFrame:
    """Of these securities; None: of all that ever were members, for whom whole years are looked through at once."""
    names = ", ".join(f"b.{name}" for name in ("security_id", "session", *columns))
    within = "session BETWEEN $1 AND $2"
    if securities is None:
        wanted, own = _EVER_MEMBERS, f"sound_bars b JOIN wanted USING (security_id) WHERE {within}"
    else:
        wanted = f"SELECT unnest({array('$4', 'bigint')}) AS security_id"
        # OFFSET 0 keeps the planner from reading the bars of everybody.
        own = (
            "wanted CROSS JOIN LATERAL (SELECT * FROM sound_bars "
            f"WHERE sound_bars.security_id = wanted.security_id AND {within} OFFSET 0) b"
        )
    query = f"""
        WITH wanted AS ({wanted})
        SELECT {names} FROM wanted CROSS JOIN LATERAL (
               SELECT * FROM sound_bars
                WHERE sound_bars.security_id = wanted.security_id AND session < $1 ORDER BY session DESC LIMIT $3) b
        UNION ALL
        SELECT {names} FROM {own}
        """
    parameters: list[Parameter] = [start, end, warm_up]
    return fetch(database, query, parameters if securities is None else [*parameters, spaced(securities)])


_EVER_MEMBERS = "SELECT DISTINCT security_id FROM universe_members"


def bars_of_members(database: Database, start: dt.date, end: dt.date) -> pl.DataFrame:
    """security_id, sound bars from start through end of everybody who ever was a member, and the first of these.

    The latter is ``since``, null without any bar.
    """
    return fetch(
        database,
        f"SELECT security_id, coalesce(b.bars, 0) AS bars, b.since FROM ({_EVER_MEMBERS}) m LEFT JOIN ("
        "SELECT security_id, count(*) AS bars, min(session) AS since FROM sound_bars WHERE session BETWEEN $1 AND $2 "
        "GROUP BY security_id) b USING (security_id)",
        (start, end),
    )


def histories(database: Database, start: dt.date, end: dt.date, formulas: str, window: int) -> pl.DataFrame:
    """What to read of each member on a day from start through end, so that its recursions are known from start on.

    Returns security_id, first, bars and since of every security: the day from which on to read, how many sound bars
    there are from then through end, and the first of these. Where the recursions of these formulas can go on from a bar
    before start, ``first`` is this bar, or the one ``window`` bars before start if that is earlier; otherwise the
    history's beginning. Others than members have no bar here.
    """
    return fetch(
        database,
        "SELECT security_id, first, coalesce(bars, 0) AS bars, since FROM securities LEFT JOIN ("
        "SELECT security_id, first, bars, since FROM (SELECT DISTINCT security_id FROM universe_members "
        "WHERE daterange(valid_from, valid_to) && daterange($1, $2, '[]')) m "
        f"LEFT JOIN ({_GOING_ON}) k USING (security_id) "
        "CROSS JOIN LATERAL (SELECT CASE WHEN k.session IS NULL THEN $5::date ELSE least(k.session, coalesce((SELECT "
        "session FROM sound_bars b WHERE b.security_id = m.security_id AND session < $1 "
        "ORDER BY session DESC OFFSET $4 - 1 LIMIT 1), $5::date)) END AS first) f "
        "CROSS JOIN LATERAL (SELECT count(*) AS bars, min(session) AS since FROM sound_bars b "
        "WHERE b.security_id = m.security_id AND session BETWEEN f.first AND $2) n) h USING (security_id)",
        (start, end, formulas, window, dt.date.min),
    )


def states_before(database: Database, securities: Sequence[int], start: dt.date, formulas: str) -> pl.DataFrame:
    """security_id, session, states: where the recursions of these securities go on before a day; a list for each."""
    return fetch(
        database,
        f"SELECT security_id, session, states FROM recursion_states JOIN ({_GOING_ON}) k USING (security_id, session) "
        f"WHERE {any_of('security_id', '$2', 'bigint')}",
        (start, spaced(securities), formulas),
    )


# The last bar before $1 after which the recursions of the formulas $3 go on; a bar that is no longer sound is none.
_GOING_ON = (
    "SELECT security_id, max(session) AS session FROM recursion_states s WHERE session < $1 AND formulas = $3 "
    "AND EXISTS (SELECT FROM sound_bars b WHERE b.security_id = s.security_id AND b.session = s.session) "
    "GROUP BY security_id"
)


def bars_from(database: Database, wanted: pl.DataFrame, through: dt.date) -> pl.DataFrame:
    """security_id, session, high, low, close, volume of every sound bar, as a rule in order of the first two.

    wanted: security_id, first: whose, and from which day on, each.
    """
    firsts = f"unnest({array('$1', 'bigint')}, {array('$2', 'date')}) AS w (security_id, first)"
    by_security = wanted.sort("security_id")
    return fetch(
        database,
        # Each security's own bars come out of its keys in order; all of them would have to be sorted.
        f"SELECT b.security_id, session, high, low, close, volume FROM {firsts} CROSS JOIN LATERAL (SELECT * "
        "FROM sound_bars b WHERE b.security_id = w.security_id AND session BETWEEN w.first AND $3 ORDER BY session) b",
        (spaced(by_security["security_id"]), spaced(by_security["first"]), through),
    )


def index_closes(database: Database, symbols: Mapping[str, str], start: dt.date, end: dt.date) -> pl.DataFrame:
    """universe, session, close, close_adjusted from start through end, of the symbol that is each universe's index.

    A symbol that is spelled otherwise in the store is found, where only one can be meant.
    """
    stored = set(fetch(database, "SELECT DISTINCT symbol FROM security_symbols")["symbol"])
    symbols = {universe: names[0] for universe, name in symbols.items() if len(names := meant(name, stored)) == 1}
    found = fetch(
        database,
        "SELECT s.symbol, b.session, b.close, b.close_adjusted FROM security_symbols s "
        "JOIN sound_bars b USING (security_id) "
        f"WHERE {valid_on('s', 'b.session')} AND b.session BETWEEN $1 AND $2 "
        f"AND {any_of('s.symbol', '$3', 'text')} ORDER BY b.session",
        (start, end, spaced(symbols.values())),
    )
    of = pl.DataFrame(
        {"universe": list(symbols), "symbol": list(symbols.values())}, schema=dict.fromkeys(_OF, pl.String)
    )
    return of.join(found, on="symbol").drop("symbol")


def too_large(database: Database, start: dt.date, end: dt.date, close: float, dollars: float) -> pl.DataFrame:
    """symbol, sessions, first, last, close (the greatest) of members with sound bars above either, dearest first."""
    return fetch(
        database,
        "SELECT symbol, count(*) AS sessions, min(session) AS first, max(session) AS last, max(close) AS close "
        "FROM sound_bars b JOIN security_symbols n ON n.security_id = b.security_id "
        f"AND {valid_on('n', 'session')} "
        "WHERE session BETWEEN $1 AND $2 AND (close > $3 OR close * volume > $4) "
        "AND EXISTS (SELECT FROM universe_members m WHERE m.security_id = b.security_id) "
        "GROUP BY symbol ORDER BY 5 DESC, 1",
        (start, end, close, dollars),
    )


def sessions_held(database: Database, start: dt.date, end: dt.date, *, synthetic: bool) -> pl.DataFrame:
    """session, bars: how many bars of invented, or of real, companies each session from start through end has."""
    return fetch(
        database,
        "SELECT session, count(*) AS bars FROM bars JOIN securities USING (security_id) "
        "WHERE session BETWEEN $1 AND $2 AND synthetic = $3 GROUP BY session ORDER BY session",
        (start, end, synthetic),
    )


def bars_of_source(
    database: Database, source: str, start: dt.date, end: dt.date, securities: Collection[int] | None = None
) -> pl.DataFrame:
    """How many stored bars from start through end a source gave, now or once.

    securities: of these alone; None: of all. Returns session, security_id, bars: a row for each session (without a
    security) and a row for each security (without a session).
    """
    of = "" if securities is None else f"AND {any_of('security_id', '$4', 'bigint')} "
    return fetch(
        database,
        "SELECT session, security_id, count(*) AS bars FROM bars WHERE source = $1 AND session BETWEEN $2 AND $3 "
        f"{of}GROUP BY GROUPING SETS ((session), (security_id))",
        (source, start, end, *([] if securities is None else [spaced(securities)])),
    )


def ends_of_bars(database: Database, securities: Collection[int]) -> pl.DataFrame:
    """security_id, first, last: the first and the last session with a bar of each of these; null where none has one."""
    return fetch(
        database,
        f"SELECT w.security_id, own.first, own.last FROM unnest({array('$1', 'bigint')}) AS w (security_id) "
        f"CROSS JOIN LATERAL {own_bars('w')} own",
        (spaced(securities),),
    )


def reach(database: Database, *, synthetic: bool) -> tuple[dt.date, dt.date] | None:
    """The first and the last session with a bar of an invented or of a real company, or None."""
    query = (
        "SELECT min(own.first) AS first, max(own.last) AS last "
        f"FROM securities s CROSS JOIN LATERAL {own_bars('s')} own WHERE synthetic = $1"
    )
    first, last = fetch(database, query, (synthetic,)).row(0)
    return None if first is None else (first, last)
