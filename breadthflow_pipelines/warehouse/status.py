"""What the reading commands ask of the store. By rows, not frames: these commands start in a fraction of a second.

Rows of a universe or of a security say whether it is ``synthetic``: a store may hold invented ones beside real ones.
"""

import datetime as dt
from collections.abc import Mapping, Sequence

from psycopg2 import sql
from psycopg2.extras import RealDictCursor

from breadthflow_pipelines.errors import RequestError
from breadthflow_pipelines.model.vocabulary import ALL, ARMED_SESSION, BREADTH_SCORE, SESSION_RULES
from breadthflow_pipelines.spelling import Lookalikes
from breadthflow_pipelines.warehouse import standing
from breadthflow_pipelines.warehouse.database import Database, Row, rows_of
from breadthflow_pipelines.warehouse.history import KEPT, known_then
from breadthflow_pipelines.warehouse.naming import as_stored

_SIGNAL_COLUMNS = (
    "signal_id, universe, segment, session, rule, action, confidence, value, threshold, calibrated, state, convention, "
    "evidence"
)


def breadth_columns(database: Database) -> list[str]:
    """The columns that breadth can be asked for: universe, segment, session, state, counts, doubts, indicators."""
    query = (
        "SELECT attname::text AS name FROM pg_attribute WHERE attrelid = 'breadth'::regclass AND attnum > 0 "
        "ORDER BY attnum"
    )
    return [row["name"] for row in rows_of(database, query, [])]


def breadth(
    database: Database,
    universe: str,
    first: dt.date | None,
    last: dt.date | None,
    segment: str | None,
    columns: Sequence[str],
    as_of: dt.datetime | None = None,
) -> list[Row]:
    """These columns of the counts and indicators of a universe, and ``synthetic``, by segment and session.

    as_of: a moment with a zone; what the store said then, instead of what it says now.

    Raises:
        RequestError: the universe, the segment or the days are not in the store, or were not then; says what is.
    """
    where, values = _where({"universe": universe, "segment": segment}, first, last)
    shown = sql.SQL(", ").join(map(sql.Identifier, columns))
    query = sql.SQL("SELECT {} FROM breadth WHERE {} ORDER BY universe, segment, session").format(shown, sql.SQL(where))
    if as_of is not None:
        query = _known_then(database, as_of) + query
    rows = rows_of(database, query, values)
    if not rows and as_of is not None:
        raise _nothing_then(database, universe, as_of)
    if not rows:
        raise _nothing(database, universe, segment, first, last)
    invented = universe in synthetic_universes(database)
    return [{**row, "synthetic": invented} for row in rows]


def _known_then(database: Database, as_of: dt.datetime) -> sql.Composed:
    """Tables and views under their own names, as they were at a moment: the views of now, over the rows of then."""
    views = rows_of(
        database,
        "SELECT pg_get_viewdef('all_counts'::regclass) AS all_counts, pg_get_viewdef('breadth'::regclass) AS breadth",
        [],
    )[0]
    moment = sql.Literal(as_of)
    then: dict[str, sql.Composable] = {name: known_then(name).format(moment=moment) for name in KEPT}
    then |= {name: sql.SQL(query.strip().rstrip(";").replace("%", "%%")) for name, query in views.items()}
    parts = [sql.SQL("{} AS ({})").format(sql.Identifier(name), query) for name, query in then.items()]
    return sql.SQL("WITH {} ").format(sql.SQL(", ").join(parts))


def _nothing_then(database: Database, universe: str, as_of: dt.datetime) -> RequestError:
    standing.check_known(database, universe)
    query = (
        "SELECT least((SELECT min(computed_at) FROM breadth_indicators WHERE universe = %s), (SELECT min(known_from) "
        "FROM breadth_revisions WHERE universe = %s AND relation = 'breadth_indicators')) AS first"
    )
    first = rows_of(database, query, [universe, universe])[0]["first"]
    return RequestError(
        f"At {as_of:%Y-%m-%d %H:%M:%S %Z} no such breadth of {universe} was known; the store's first is of "
        f"{first.astimezone(dt.UTC):%Y-%m-%d %H:%M:%S} UTC."
    )


def symbols(
    database: Database,
    universe: str,
    first: dt.date | None,
    last: dt.date | None,
    symbol: str | None,
    action: str | None,
) -> list[Row]:
    """Signals and technical indicators of a universe's members; of the last session where neither day is given.

    Raises:
        RequestError: the universe or the symbol has no signal at all; says what there is.
    """
    standing.check_known(database, universe)
    symbol = _as_stored(database, symbol)
    if first is None and last is None:
        query = "SELECT max(session) AS last FROM symbol_signals WHERE universe = %s"
        first = last = rows_of(database, query, [universe])[0]["last"]
        if first is None:
            held = standing.held_of(database, universe, "symbol_signals")
            raise RequestError(
                held
                or f"No member of {universe} has a signal: the rules look back over months of bars, "
                "and published counts have no members."
            )
    where, values = _where({"universe": universe, "symbol": symbol, "action": action}, first, last)
    rows = rows_of(
        database,
        "SELECT symbol, s.*, p.*, synthetic FROM symbol_signals s "
        "JOIN price_indicators p USING (universe, session, security_id) "
        "JOIN security_symbols n USING (security_id) JOIN securities USING (security_id) "
        f"WHERE daterange(n.valid_from, n.valid_to) @> session AND {where} ORDER BY s.session, strength DESC, symbol",
        values,
    )
    if not rows and symbol is not None and action is None:
        raise RequestError(f"{symbol} has no signal as a member of {universe} from {first} through {last}.")
    return [{name: value for name, value in row.items() if name not in _UNSHOWN} for row in rows]


_UNSHOWN = frozenset({"security_id", "computed_at"})


def members(database: Database, universe: str, day: dt.date) -> list[Row]:
    """The members of a universe on a day.

    Their universe, symbol (as the membership file spells it), name, sector, valid_from, valid_to, first_bar, last_bar.

    Raises:
        RequestError: the universe has no members at all; says which have.
    """
    rows = rows_of(
        database,
        "SELECT universe, m.symbol, name, sector, m.valid_from, m.valid_to, "
        "own.first AS first_bar, own.last AS last_bar "
        f"FROM universe_members m JOIN securities USING (security_id) CROSS JOIN LATERAL {_OWN_BARS} own "
        "WHERE universe = %s AND daterange(m.valid_from, m.valid_to) @> %s ORDER BY m.symbol",
        [universe, day],
    )
    if not rows:
        _with_members(database, universe)
    return rows


def members_without_bars(database: Database, universe: str | None = None) -> list[Row]:
    """Members of which no bar is stored, though there are bars of the time of their membership.

    universe, symbol, valid_from, valid_to, and nearest: the stored symbols that may have been meant.

    Raises:
        RequestError: the universe has no members at all; says which have.
    """
    if universe is not None:
        _with_members(database, universe)
    rows = rows_of(
        database,
        "WITH reach AS (SELECT min(own.first) AS first, max(own.last) AS last "
        f"FROM securities CROSS JOIN LATERAL {_OWN_BARS} own) "
        "SELECT universe, symbol, valid_from, valid_to FROM universe_members m, reach "
        "WHERE universe = coalesce(%s, universe) AND daterange(valid_from, valid_to) && daterange(first, last, '[]') "
        "AND NOT EXISTS (SELECT FROM bars WHERE bars.security_id = m.security_id) "
        "ORDER BY universe, symbol, valid_from",
        [universe],
    )
    known = rows_of(
        database,
        "SELECT DISTINCT symbol FROM security_symbols s "
        "WHERE EXISTS (SELECT FROM bars WHERE bars.security_id = s.security_id)",
        [],
    )
    lookalikes = Lookalikes([row["symbol"] for row in known])
    return [row | {"nearest": lookalikes.of(row["symbol"])} for row in rows]


# By security, because its first and last bar are the ends of the table's index.
_OWN_BARS = (
    "(SELECT min(session) AS first, max(session) AS last FROM bars WHERE bars.security_id = securities.security_id)"
)


def _with_members(database: Database, universe: str) -> None:
    found = rows_of(database, "SELECT DISTINCT universe FROM universe_members ORDER BY 1", [])
    names = [row["universe"] for row in found]
    if universe not in names:
        if not names:
            raise RequestError(standing.why_nothing(database))
        raise RequestError(f"Universe {universe} has no members; there are: {', '.join(names)}.")


def signals(
    database: Database,
    first: dt.date | None,
    last: dt.date | None,
    universe: str | None,
    segment: str | None,
    rule: str | None,
) -> list[Row]:
    """Signals, oldest first; none is an answer as long as the universe is in the store."""
    if universe is not None:
        standing.check_known(database, universe)
    where, values = _where({"universe": universe, "segment": segment, "rule": rule}, first, last)
    order = "session, universe, segment, rule"
    query = f"SELECT {_SIGNAL_COLUMNS} FROM market_signals WHERE {where} ORDER BY {order}"
    return _marked(database, rows_of(database, query, values))


def latest_signals(database: Database, events: int, universe: str | None = None) -> list[Row]:
    """Of each universe (or one) as a whole: score and conviction of its last session, and its last few events."""
    return rows_of(
        database,
        f"""
        WITH ranked AS (
            SELECT {_SIGNAL_COLUMNS}, rule = ANY(%s) AS is_measure,
                   row_number() OVER (PARTITION BY universe, CASE WHEN rule = ANY(%s) THEN rule END
                                      ORDER BY session DESC, rule) AS nth
              FROM market_signals WHERE segment = '{ALL}' AND universe = coalesce(%s, universe))
        SELECT {_SIGNAL_COLUMNS} FROM ranked WHERE nth <= CASE WHEN is_measure THEN 1 ELSE %s END
         ORDER BY universe, session, is_measure, rule
        """,
        [list(SESSION_RULES), list(SESSION_RULES), universe, events],
    )


def scores(database: Database, session: dt.date, universe: str | None) -> list[Row]:
    """The breadth scores and convictions of a session, every segment.

    Raises:
        RequestError: there is none; says which sessions have one.
    """
    found = [row for row in signals(database, session, session, universe, None, None) if row["rule"] in SESSION_RULES]
    if not found:
        where, values = _where({"universe": universe, "rule": BREADTH_SCORE}, None, None)
        reach = rows_of(
            database, f"SELECT min(session) AS f, max(session) AS l FROM market_signals WHERE {where}", values
        )[0]
        if reach["f"] is None:
            raise RequestError(standing.why_nothing(database, universe, "market_signals"))
        raise RequestError(
            f"No breadth score of {session}{f' for {universe}' if universe else ''}: "
            f"there are scores from {reach['f']} through {reach['l']}."
        )
    return found


def signal(database: Database, signal_id: str) -> tuple[Row, list[Row]]:
    """A signal and the breadth of the sessions that it rests on, with every column.

    Raises:
        RequestError: no signal has that id.
    """
    found = rows_of(database, f"SELECT {_SIGNAL_COLUMNS} FROM market_signals WHERE signal_id = %s", [signal_id])
    if not found:
        if "market_signals" in empty_tables(database):
            raise RequestError(standing.why_nothing(database, asset="market_signals"))
        raise RequestError(f"No signal has the id {signal_id}: copy one from breadthflow signals.")
    row = found[0]
    armed = row["evidence"].get(ARMED_SESSION, str(row["session"]))
    key = [row["universe"], row["segment"], armed, row["session"]]
    query = "SELECT * FROM breadth WHERE universe = %s AND segment = %s AND session BETWEEN %s AND %s ORDER BY session"
    return row, rows_of(database, query, key)


def rejected(
    database: Database,
    first: dt.date | None,
    last: dt.date | None,
    *,
    source: str | None = None,
    symbol: str | None = None,
    reason: str | None = None,
    status: str | None = None,
) -> list[Row]:
    """Rows that broke the contract of bars, with all their reasons, and bars that rules speak against, oldest first.

    reason: any part of one. status: ``rejected``, ``gone`` or one of the quarantine's; without it all but those that
    lapsed or are gone.
    """
    own = {"source": source, "symbol": _as_stored(database, symbol), "status": status}
    where, values = _where(own, first, last)
    spoken = "status NOT IN ('lapsed', 'gone')" if status is None else "true"
    query = f"{_REJECTED} WHERE {where} AND {spoken} AND position(lower(%s) IN lower(reason)) > 0 ORDER BY {_ORDER}"
    return rows_of(database, query, [*values, reason or ""])


_ORDER = "session, symbol, reason"
_REJECTED = """
SELECT * FROM (
    SELECT session, symbol, source, array_to_string(reasons, '; ') AS reason,
           CASE WHEN gone_at IS NULL THEN 'rejected' ELSE 'gone' END AS status,
           open, high, low, close, volume, raw, NULL::jsonb AS evidence, rejected_at AS found_at,
           NULL::timestamptz AS decided_at, NULL AS decided_by,
           NULL AS decision, run_id
      FROM rejected_bars
    UNION ALL
    SELECT q.session, n.symbol, b.source, q.rule, q.status, b.open, b.high, b.low, b.close, b.volume, NULL,
           q.evidence, q.found_at, q.decided_at, q.decided_by, q.reason, q.run_id
      FROM quarantined_bars q LEFT JOIN bars b USING (security_id, session)
      LEFT JOIN security_symbols n
             ON n.security_id = q.security_id AND daterange(n.valid_from, n.valid_to) @> q.session
) AS told
"""


def rejected_counts(
    database: Database, exchange: str, first: dt.date | None, last: dt.date | None, reason: str | None = None
) -> list[Row]:
    """Lines of an exchange's published counts that broke their contract, by file and line. reason: any part of one.

    Raises:
        RequestError: no such exchange; says which there are.
    """
    known = rows_of(
        database, "SELECT exchange FROM exchange_breadth UNION SELECT exchange FROM rejected_counts ORDER BY 1", []
    )
    names = [row["exchange"] for row in known]
    if exchange not in names:
        there = f"there are: {', '.join(names)}" if names else "none were imported: run breadthflow import-breadth"
        raise RequestError(f"There are no published counts of {exchange}; {there}.")
    where, values = _where({"exchange": exchange}, first, last)
    return rows_of(
        database,
        "SELECT session, exchange, exchange || '_' || series || '.csv' AS file, line, value, reason, rejected_at, "
        f"run_id FROM rejected_counts WHERE {where} AND position(lower(%s) IN lower(reason)) > 0 ORDER BY file, line",
        [*values, reason or ""],
    )


def last_scores(database: Database, universe: str | None = None, through: dt.date | None = None) -> list[Row]:
    """Score and conviction of each universe (or one) as a whole: of its last session and of its last final one.

    through: the last session to look at; without it the last that is stored.
    """
    found = rows_of(
        database,
        f"""
        WITH told AS (
            SELECT universe, session, state, rule, value, action, max(session) OVER (PARTITION BY universe) AS last,
                   max(session) FILTER (WHERE state = 'final') OVER (PARTITION BY universe) AS last_final
              FROM market_signals
             WHERE segment = '{ALL}' AND rule = ANY(%s) AND universe = coalesce(%s, universe)
               AND session <= coalesce(%s, session))
        SELECT universe, session, state, rule, value, action FROM told WHERE session IN (last, last_final)
         ORDER BY universe, session, rule
        """,
        [list(SESSION_RULES), universe, through],
    )
    return _marked(database, found)


def _marked(database: Database, rows: list[Row]) -> list[Row]:
    """Rows of universes, each saying whether it is invented."""
    invented = synthetic_universes(database)
    return [{**row, "synthetic": row["universe"] in invented} for row in rows]


def synthetic_universes(database: Database) -> set[str]:
    """The universes that have members which do not exist."""
    query = "SELECT DISTINCT universe FROM universe_members JOIN securities USING (security_id) WHERE synthetic"
    return {row["universe"] for row in rows_of(database, query, [])}


def empty_tables(database: Database) -> set[str]:
    """Which of the store's tables have no row."""
    names = (
        *("securities", "universe_members", "bars", "exchange_breadth"),
        *("breadth_counts", "breadth_indicators", "market_signals", "price_indicators", "symbol_signals"),
    )
    query = "SELECT " + ", ".join(f"EXISTS (SELECT FROM {name}) AS {name}" for name in names)
    return {name for name, filled in rows_of(database, query, [])[0].items() if not filled}


def any_bars(database: Database) -> bool:
    """Whether a bar is stored, or was turned away."""
    query = "SELECT EXISTS (SELECT FROM bars) OR EXISTS (SELECT FROM rejected_bars) AS any"
    return bool(rows_of(database, query, [])[0]["any"])


# By table, whose rows a session has: published counts have universes too, and say nothing of bars.
_OF_BARS = {
    "bars": "FROM bars JOIN securities USING (security_id) WHERE synthetic = %(synthetic)s",
    **dict.fromkeys(
        ("breadth_counts", "breadth_indicators", "market_signals", "price_indicators", "symbol_signals"),
        "FROM {} WHERE universe IN (SELECT universe FROM universe_members)",
    ),
}


def last_sessions(
    database: Database, tables: Sequence[str], since: dt.date, through: dt.date, *, synthetic: bool
) -> dict[str, dt.date | None]:
    """By table, its last session from since through a day that was made of bars; None where it has none."""
    found: dict[str, dt.date | None] = {}
    for table in tables:
        query = "SELECT max(session) AS last " + _OF_BARS[table] + " AND session BETWEEN %(since)s AND %(through)s"
        values = {"synthetic": synthetic, "since": since, "through": through}
        found[table] = rows_of(database, sql.SQL(query).format(sql.Identifier(table)), values)[0]["last"]
    return found


def overview(database: Database) -> dict[str, list[Row]]:
    """What the store holds: bars by source, universes with their last session, what was rejected or doubted and why."""
    return {
        "bars": rows_of(
            database,
            # Twice as fast as count(DISTINCT), which sorts.
            "WITH each AS (SELECT source, min(session) AS first, max(session) AS last, count(*) AS bars "
            "FROM bars GROUP BY source, security_id) "
            "SELECT source, min(first) AS first, max(last) AS last, sum(bars)::bigint AS bars, count(*) AS securities "
            "FROM each GROUP BY source ORDER BY source",
            [],
        ),
        "universes": rows_of(database, _UNIVERSES, []),
        "rejected": rows_of(
            database,
            "SELECT source, reason, count(*) AS rows, min(session) AS first, max(session) AS last "
            "FROM rejected_bars, unnest(reasons) AS reason WHERE gone_at IS NULL GROUP BY source, reason "
            "UNION ALL SELECT exchange, reason, count(*), min(session), max(session) FROM rejected_counts "
            "GROUP BY exchange, reason ORDER BY 1, 3 DESC, 2",
            [],
        ),
        "quarantined": rows_of(
            database,
            "SELECT rule, status, synthetic, count(*) AS bars, min(session) AS first, max(session) AS last "
            "FROM quarantined_bars JOIN securities USING (security_id) WHERE status <> 'lapsed' "
            "GROUP BY rule, status, synthetic ORDER BY 1, 2, 3",
            [],
        ),
        "doubted": rows_of(
            database,
            "SELECT exchange, reason, count(*) AS rows, min(session) AS first, max(session) AS last "
            "FROM exchange_breadth, unnest(doubts) AS reason GROUP BY exchange, reason ORDER BY 1, 3 DESC, 2",
            [],
        ),
        "units": rows_of(
            database,
            "SELECT exchange, volume_unit, min(session) AS first, max(session) AS last, count(*) AS sessions "
            "FROM exchange_breadth WHERE volume_unit IS NOT NULL GROUP BY exchange, volume_unit ORDER BY 1, 3",
            [],
        ),
        "other_lists": rows_of(database, _OTHER_LISTS, []),
        "calendar": rows_of(
            database, "SELECT session, change, reason, applied_at FROM calendar_changes ORDER BY session, change", []
        ),
        "revised": rows_of(
            database,
            "SELECT coalesce(kind, 'unknown') AS kind, synthetic, count(*) AS rows, min(session) AS first, "
            "max(session) AS last, max(revised_at) AS changed FROM bar_revisions JOIN securities USING (security_id) "
            "GROUP BY 1, 2 ORDER BY 1, 2",
            [],
        ),
        "restated": rows_of(
            database,
            "SELECT symbol, synthetic, price_ratio, adjusted_ratio, noticed_at AS noticed, applied_at AS stored_anew "
            "FROM restatements r JOIN securities USING (security_id) "
            "LEFT JOIN LATERAL (SELECT symbol FROM security_symbols s "
            "WHERE s.security_id = r.security_id ORDER BY valid_to DESC NULLS FIRST LIMIT 1) n ON true "
            "ORDER BY applied_at IS NULL DESC, noticed_at DESC, symbol LIMIT 10",
            [],
        ),
        "due": rows_of(
            database,
            "SELECT asset, min(first_session) AS first, string_agg(DISTINCT cause, ', ' ORDER BY cause) AS changed "
            "FROM recomputations GROUP BY asset ORDER BY asset",
            [],
        ),
    }


# Runs of sessions on which an exchange published another list of issues than it usually does.
_OTHER_LISTS = """
WITH told AS (
    SELECT exchange, session, usual_issues, advances + declines + unchanged AS issues,
           row_number() OVER (PARTITION BY exchange ORDER BY session)
           - row_number() OVER (PARTITION BY exchange, usual_issues IS NULL ORDER BY session) AS stretch
      FROM exchange_breadth)
SELECT exchange, min(session) AS first, max(session) AS last, count(*) AS sessions,
       percentile_cont(0.5) WITHIN GROUP (ORDER BY issues)::bigint AS issues,
       percentile_cont(0.5) WITHIN GROUP (ORDER BY usual_issues)::bigint AS usual
  FROM told WHERE usual_issues IS NOT NULL GROUP BY exchange, stretch ORDER BY 1, 2
"""

_UNIVERSES = f"""
SELECT i.universe, min(i.session) AS first, max(i.session) AS last,
       (array_agg(i.state ORDER BY i.session DESC))[1] AS state,
       (array_agg(c.members ORDER BY i.session DESC))[1] AS members,
       (array_agg(c.priced ORDER BY i.session DESC))[1] AS priced,
       (array_agg(c.coverage ORDER BY i.session DESC))[1] AS coverage,
       (SELECT count(*) FROM market_signals s WHERE s.universe = i.universe AND s.segment = '{ALL}') AS signals,
       EXISTS (SELECT FROM universe_members m JOIN securities USING (security_id)
                WHERE m.universe = i.universe AND synthetic) AS synthetic
  FROM breadth_indicators i LEFT JOIN breadth_counts c USING (universe, segment, session)
 WHERE segment = '{ALL}' GROUP BY i.universe ORDER BY i.universe
"""


def last_runs(dagster_url: str, most: int) -> list[Row]:
    """The newest runs that Dagster's own database knows of; none where it was never used."""
    database = Database(dagster_url, None)
    if not rows_of(database, "SELECT to_regclass('runs') AS runs", [])[0]["runs"]:
        return []
    return rows_of(
        database,
        "SELECT run_id, pipeline_name AS job, status, to_timestamp(start_time) AS started, "
        "round((end_time - start_time)::numeric, 1) AS seconds FROM runs ORDER BY id DESC LIMIT %s",
        [most],
    )


def _where(
    equal: Mapping[str, str | None], first: dt.date | None, last: dt.date | None
) -> tuple[str, list[str | dt.date]]:
    conditions: list[tuple[str, str | dt.date | None]] = [(f"{column} = %s", value) for column, value in equal.items()]
    conditions += [("session >= %s", first), ("session <= %s", last)]
    given = [(text, value) for text, value in conditions if value is not None]
    return " AND ".join(text for text, _ in given) or "true", [value for _, value in given]


def _nothing(
    database: Database, universe: str, segment: str | None, first: dt.date | None, last: dt.date | None
) -> RequestError:
    standing.check_known(database, universe)
    query = "SELECT DISTINCT segment FROM breadth_indicators WHERE universe = %s ORDER BY segment"
    segments = [row["segment"] for row in rows_of(database, query, [universe])]
    if segment is not None and segment not in segments:
        return RequestError(f"Universe {universe} has no segment {segment}; there are: {', '.join(segments)}.")
    query = "SELECT min(session) AS f, max(session) AS l FROM breadth_indicators WHERE universe = %s"
    reach = rows_of(database, query, [universe])[0]
    held = standing.held_of(database, universe, "breadth_indicators") if first and first > reach["l"] else None
    return RequestError(
        f"No breadth of {universe} from {first or 'the beginning'} through {last or 'the end'}: "
        f"the store holds {reach['f']} through {reach['l']}." + (f" {held}" if held else "")
    )


def _as_stored(database: Database, symbol: str | None) -> str | None:
    if symbol is None:
        return None
    with database.connect() as connection, connection.cursor(cursor_factory=RealDictCursor) as cursor:
        return as_stored(cursor, symbol)
