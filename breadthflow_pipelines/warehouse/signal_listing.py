"""Signals of whole universes and their sectors as commands list them, and the scores among them.

By rows, not frames: these commands start in a fraction of a second. What explains a signal is in its evidence. Those of
single members are in symbol_listing.py.
"""

import datetime as dt

from psycopg2 import sql

from breadthflow_pipelines.errors import RequestError
from breadthflow_pipelines.model.datasets import SIGNAL_REVISIONS
from breadthflow_pipelines.model.vocabulary import (
    ALL,
    ARMED_SESSION,
    BREADTH_SCORE,
    FINAL,
    MARKET_SIGNAL,
    SESSION_RULES,
    SIGNAL_RECORD,
)
from breadthflow_pipelines.warehouse import history, standing
from breadthflow_pipelines.warehouse.database import Database, Row, last_rows_of, rows_of
from breadthflow_pipelines.warehouse.overview import empty_tables
from breadthflow_pipelines.warehouse.sql import conditions, quoted
from breadthflow_pipelines.warehouse.universe_listing import marked

# Signals, each with what the record of its rule was then.
LISTED = ", ".join((*MARKET_SIGNAL, *SIGNAL_RECORD))


def signals_query(where: str, evidence: str = "evidence::text") -> str:
    """MARKET_SIGNAL and SIGNAL_RECORD of every signal of which the condition is true, by segment, session and rule.

    evidence: what to give as such, JSON text.
    """
    named = (f"{evidence} AS evidence" if name == "evidence" else name for name in (*MARKET_SIGNAL, *SIGNAL_RECORD))
    return f"SELECT {', '.join(named)} FROM signals_with_record WHERE {where} ORDER BY segment, session, rule"


def evidence_shown(where: str) -> str:
    """Evidence for signals_query as a page needs it: of each event, and of each measure's last session with breadth.

    where: the condition on market_signals, and on breadth_indicators, among which the last session is meant.
    """
    counted = f"SELECT max(session) FROM breadth_indicators WHERE {where}"
    last = f"SELECT rule, max(session) FROM market_signals WHERE {where} AND session <= ({counted}) GROUP BY rule"
    return f"CASE WHEN rule NOT IN ({quoted(SESSION_RULES)}) OR (rule, session) IN ({last}) THEN evidence::text END"


def signals(
    database: Database,
    first: dt.date | None,
    last: dt.date | None,
    universe: str | None,
    segment: str | None,
    rule: str | None,
    as_of: dt.datetime | None = None,
    most: int | None = None,
) -> list[Row]:
    """Signals, oldest first; none is an answer as long as the universe is in the store.

    as_of: a moment with a zone; what the store said then, instead of what it says now. most: the last so many.

    Raises:
        RequestError: no such universe is in the store, or none of its signals was known then; says what is.
    """
    if universe is not None:
        standing.check_universe(database, universe)
    where, values = conditions({"universe": universe, "segment": segment, "rule": rule}, first, last)
    order = "session, universe, segment, rule"
    given = history.tables_as_of(database, as_of, SIGNAL_REVISIONS)
    query = given + sql.SQL(f"SELECT {LISTED} FROM signals_with_record WHERE {where}")
    rows = last_rows_of(database, query, values, order, most)
    if not rows and as_of is not None:
        check_known(database, universe, as_of)
    return marked(database, rows)


def check_known(database: Database, universe: str | None, as_of: dt.datetime) -> None:
    """Refuse a moment before the first signal (of the universe) was known; a store without any has none to know.

    Raises:
        RequestError: says since when some are known.
    """
    first = history.first_known(database, "market_signals", universe)
    if first is not None and as_of < first:
        raise history.not_known_yet(as_of, f"no signal{f' of {universe}' if universe else ''}", first)


def latest_signals(database: Database, events: int, universe: str | None = None) -> list[Row]:
    """Of each universe (or one) as a whole: score and conviction of its last session, and its last few events."""
    return rows_of(
        database,
        f"""
        WITH ranked AS (
            SELECT {LISTED}, rule = ANY(%s) AS is_measure,
                   row_number() OVER (PARTITION BY universe, CASE WHEN rule = ANY(%s) THEN rule END
                                      ORDER BY session DESC, rule) AS nth
              FROM signals_with_record WHERE segment = '{ALL}' AND universe = coalesce(%s, universe))
        SELECT {LISTED} FROM ranked WHERE nth <= CASE WHEN is_measure THEN 1 ELSE %s END
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
        where, values = conditions({"universe": universe, "rule": BREADTH_SCORE}, None, None)
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


def last_scores(database: Database, universe: str | None = None, through: dt.date | None = None) -> list[Row]:
    """Score and conviction of each universe (or one) as a whole: of its last session and of its last final one.

    through: the last session to look at; without it the last that is stored.
    """
    found = rows_of(
        database,
        f"""
        WITH scored AS (
            SELECT universe, session, state, rule, value, action, max(session) OVER (PARTITION BY universe) AS last,
                   max(session) FILTER (WHERE state = '{FINAL}') OVER (PARTITION BY universe) AS last_final
              FROM market_signals
             WHERE segment = '{ALL}' AND rule = ANY(%s) AND universe = coalesce(%s, universe)
               AND session <= coalesce(%s, session))
        SELECT universe, session, state, rule, value, action FROM scored WHERE session IN (last, last_final)
         ORDER BY universe, session, rule
        """,
        [list(SESSION_RULES), universe, through],
    )
    return marked(database, found)


def signal(database: Database, signal_id: str) -> tuple[Row, list[Row]]:
    """A signal and the breadth of the sessions that it rests on, with every column.

    Raises:
        RequestError: no signal has that id.
    """
    found = rows_of(database, f"SELECT {LISTED} FROM signals_with_record WHERE signal_id = %s", [signal_id])
    if not found:
        if "market_signals" in empty_tables(database):
            raise RequestError(standing.why_nothing(database, asset="market_signals"))
        missing = f"No signal has the id {signal_id}" if signal_id.strip() else "The id is empty"
        raise RequestError(
            f"{missing}: copy one from breadthflow signals, or from breadthflow symbols, where it is "
            "universe:symbol:session."
        )
    row = found[0]
    armed = row["evidence"].get(ARMED_SESSION, str(row["session"]))
    key = [row["universe"], row["segment"], armed, row["session"]]
    query = "SELECT * FROM breadth WHERE universe = %s AND segment = %s AND session BETWEEN %s AND %s ORDER BY session"
    return row, rows_of(database, query, key)
