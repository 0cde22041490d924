"""By which transactions rows were written: what tells that none was changed, without reading values.

Month by month, and session by session of the newest months.

Every row of PostgreSQL bears the number of the transaction that wrote it. Where the same transactions wrote the same
number of a month's rows, no row was added, changed or removed, by whomever. What follows from that, and what a month is
made of, is said elsewhere (orchestration/known_months.py; docs/decisions/fingerprints.md).
"""

import datetime as dt
from collections.abc import Mapping, Sequence

import polars as pl

from breadthflow_pipelines.warehouse import tables
from breadthflow_pipelines.warehouse.bulk import Statement, execute, fetch, fetch_together
from breadthflow_pipelines.warehouse.database import Database
from breadthflow_pipelines.warehouse.sql import array, quoted, spaced

ByDay = Mapping[dt.date, str]  # by the first day of a month, or by session
# By statement about a large table: how often the table had been changed, and what was answered.
Counted = dict[Statement, tuple[object, pl.DataFrame]]

LARGE = ("bars", "price_indicators", "symbol_signals")  # to count their rows takes seconds

_COLUMNS = (
    "SELECT string_agg(attnum || ' ' || attname, ',' ORDER BY attnum) FROM pg_attribute "
    "WHERE attrelid = {table}::regclass AND attnum > 0 AND NOT attisdropped"
)
# The columns too: one that was dropped and is there again is null in all rows, whose writers are the same.
_HASH = (
    "encode(sha256(convert_to(string_agg(xmin::text || ' ' || rows, ',' ORDER BY xmin::text COLLATE \"C\") || ("
    + _COLUMNS.format(table="'{table}'")
    + "), 'UTF8')), 'hex')"
)
_CHANGES = (
    f"SELECT relation, count(*), sum(transaction)::text, max(transaction), ({_COLUMNS.format(table='relation')}) "
    f"FROM store_changes WHERE relation IN ({quoted(LARGE)}) GROUP BY relation"
)


def columns_of(name: str) -> set[str]:
    """The declared columns of a table."""
    return set(tables.metadata.tables[name].c.keys())


def writers_by_month(database: Database, names: Sequence[str], through: dt.date, counted: Counted) -> list[ByDay]:
    """Of each of these tables: by the first day of each month through a day that has rows, a hash of their writers.

    A table has sessions or months. counted: what was answered before.
    """
    found = _answers(database, [(name, (_by_month(name), (through,))) for name in names], counted)
    return [dict(frame.select("month", "writers").iter_rows()) for frame in found]


def writers_by_session(database: Database, names: Sequence[str], start: dt.date, end: dt.date) -> list[ByDay]:
    """The same by session from start through end; of a table that has months, of each session's month."""
    found = fetch_together(database, [(_by_session(name), (start, end)) for name in names])
    return [dict(frame.select("session", "writers").iter_rows()) for frame in found]


def writers(database: Database, name: str, counted: Counted) -> str:
    """The same of a whole table."""
    query = f"SELECT {_HASH.format(table=name)} AS w FROM (SELECT xmin, count(*) AS rows FROM {name} GROUP BY xmin) w"
    [found] = _answers(database, [(name, (query, ()))], counted) if name in LARGE else [fetch(database, query)]
    return str(found.item())


def _answers(database: Database, asked: Sequence[tuple[str, Statement]], counted: Counted) -> list[pl.DataFrame]:
    """What statements about tables answer at one moment; those in ``counted`` whose table nobody wrote since are known.

    Triggers note who wrote. asked: the table and the statement.
    """
    known = {statement: counted[statement] for _, statement in asked if statement in counted}
    while True:
        left = [statement for _, statement in asked if statement not in known]
        states, *found = fetch_together(database, [(_CHANGES, ()), *left])
        state = {name: tuple(changes) for name, *changes in states.iter_rows()}
        if all(known[statement][0] == state.get(name) for name, statement in asked if statement in known):
            break
        known = {}
    answers = dict(zip(left, found, strict=True)) | {statement: answer for statement, (_, answer) in known.items()}
    counted.update({statement: (state.get(name), answers[statement]) for name, statement in asked if name in LARGE})
    return [answers[statement] for _, statement in asked]


def recorded(database: Database, asset: str) -> dict[dt.date, tuple[str, str]]:
    """By month, what the asset's rows were made of when they were found to be right, and their writers then."""
    query = "SELECT month, made_of, writers FROM computed_months WHERE asset = $1"
    return {month: (made_of, by) for month, made_of, by in fetch(database, query, (asset,)).iter_rows()}


def record(database: Database, asset: str, months: Mapping[dt.date, tuple[str, str]]) -> None:
    """Note of each month what its rows are made of, and their writers."""
    note: list[Statement] = [
        (
            "INSERT INTO computed_months (asset, month, made_of, writers) VALUES ($1, $2, $3, $4) "
            "ON CONFLICT (asset, month) DO UPDATE SET made_of = excluded.made_of, writers = excluded.writers",
            (asset, month, *known),
        )
        for month, known in sorted(months.items())
    ]
    execute(database, note)


def recorded_sessions(database: Database, asset: str, start: dt.date, end: dt.date) -> dict[dt.date, tuple[str, str]]:
    """As recorded(), by session from start through end."""
    query = "SELECT session, made_of, writers FROM computed_sessions WHERE asset = $1 AND session BETWEEN $2 AND $3"
    return {session: (made_of, by) for session, made_of, by in fetch(database, query, (asset, start, end)).iter_rows()}


def record_sessions(database: Database, asset: str, sessions: Mapping[dt.date, tuple[str, str]]) -> None:
    """Note the same of sessions, which follow each other; what was noted of sessions before them is forgotten."""
    if not sessions:
        return
    days = sorted(sessions)
    execute(
        database,
        [
            ("DELETE FROM computed_sessions WHERE asset = $1 AND session <= $2", (asset, days[-1])),
            (
                "INSERT INTO computed_sessions (asset, session, made_of, writers) "
                f"SELECT $1, * FROM unnest({array('$2', 'date')}, {array('$3', 'text')}, {array('$4', 'text')})",
                (asset, spaced(days), *(spaced(sessions[day][at] for day in days) for at in range(2))),
            ),
        ],
    )


def _by_session(name: str) -> str:
    if "month" in columns_of(name):
        return (
            "SELECT day::date AS session, writers FROM generate_series($1::date, $2::date, '1 day') AS day "
            f"JOIN ({_by_month(name, '$2')}) m ON month = date_trunc('month', day)::date"
        )
    return (
        f"SELECT session, {_HASH.format(table=name)} AS writers FROM ("
        f"SELECT session, xmin, count(*) AS rows FROM {name} WHERE session BETWEEN $1 AND $2 GROUP BY session, xmin) w "
        "GROUP BY session"
    )


def _by_month(name: str, through: str = "$1") -> str:
    month, day = "date_trunc('month', session::timestamp)::date", "session"
    if "month" in columns_of(name):
        month, day = "month", "month"
    # By day first: the scan then compares days and numbers, and computes no month for each row.
    return (
        f"SELECT month, {_HASH.format(table=name)} AS writers FROM ("
        f"SELECT {month} AS month, xmin, sum(rows) AS rows FROM ("
        f"SELECT {day}, xmin, count(*) AS rows FROM {name} WHERE {day} <= {through} GROUP BY {day}, xmin) days "
        "GROUP BY 1, xmin) writers GROUP BY month"
    )
