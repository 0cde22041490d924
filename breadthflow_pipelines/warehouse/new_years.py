"""New years of a divided table, filled before they are part of it, in the transactions in which they become that.

Nobody sees them before all are full, and of a run that is killed nothing is left (docs/decisions/new-years.md). Whose
rows they are: member_store.py.
"""

import datetime as dt
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import Any

import polars as pl
import psycopg2.extensions
import sqlalchemy as sa

from breadthflow_pipelines.warehouse.bulk import (
    NOTHING,
    Merged,
    Statement,
    analyze_new,
    append,
    execute,
    fetch,
    run,
    yearly_partitions,
)
from breadthflow_pipelines.warehouse.database import Database
from breadthflow_pipelines.warehouse.sql import array, spaced

SHARES = 2  # of the years: even and odd ones; a process of the server fills one core


class _Share:
    """Every so many years of those that are new, the transaction that fills them, and the thread that it belongs to."""

    def __init__(
        self, table: sa.Table, new: Sequence[int], connection: psycopg2.extensions.connection, thread: Executor
    ) -> None:
        self.thread = thread
        self._table, self._new, self._connection = table, new, connection
        self._merged = NOTHING
        with connection.cursor() as cursor:
            for year in new:
                run(cursor, "CALL add_year_apart($1, $2)", (table.name, year))

    def append(self, rows: pl.DataFrame) -> Merged:
        with self._connection.cursor() as cursor:
            appended = append(cursor, self._table, rows, self._new)
        self._merged += appended
        return appended

    def close(self) -> None:
        self._call("close_years_apart")

    def join(self, then: Callable[[Merged], Sequence[Statement]]) -> None:
        self._call("join_years")
        with self._connection.cursor() as cursor:
            for statement, bound in then(self._merged):
                run(cursor, statement, bound)
        self._connection.commit()  # the next share waits for that before its years join

    def _call(self, routine: str) -> None:
        with self._connection.cursor() as cursor:
            run(cursor, f"CALL {routine}($1, {array('$2', 'integer')})", (self._table.name, spaced(self._new)))


class NewYears:
    """Takes rows of a table that has none of them, some of whose years are new. Several threads may append."""

    def __init__(self, shares: Sequence[_Share]) -> None:
        self._shares = shares

    def append(self, rows: pl.DataFrame) -> Merged:
        """Add rows, each of which is added once; that a key is there twice, or a security nowhere, is found later."""
        number = pl.col("session").dt.year() % len(self._shares)
        parts = [rows.filter(number == share) for share in range(len(self._shares))]
        return sum(self._each(_Share.append, parts), NOTHING)

    def join(self, then: Callable[[Merged], Sequence[Statement]]) -> None:
        """Let the years be part of the table, once all of them have their keys. then: as of years_to_fill()."""
        self._each(_Share.close)
        self._each(_Share.join, [then] * len(self._shares))

    def _each(self, work: Callable[..., Any], *given: Sequence[object]) -> list[Any]:
        """What the shares make side by side, each of its own of what is given."""
        doing = [share.thread.submit(work, share, *own) for share, *own in zip(self._shares, *given, strict=True)]
        return [done.result() for done in doing]


@contextmanager
def years_to_fill(
    database: Database,
    table: sa.Table,
    days: tuple[dt.date, dt.date],
    *,
    once: bool,
    then: Callable[[Merged], Sequence[Statement]] = lambda _: (),
) -> Iterator[NewYears | None]:
    """Make a place for the rows of these days, both ends included; gives where to append them, or None to merge them.

    They are appended where there is a new year among theirs, no row of theirs is stored, and each is written ``once``.
    At the end the new years become part of the table, and statements of ``then`` are run with that, unless there is an
    error: then all is as it was. The caller holds ``exclusive`` of the table.
    """
    years = range(days[0].year, days[1].year + 1)
    new = _without_partition(database, table, years) if once else frozenset[int]()
    if not new or _is_stored(database, table, days):
        execute(database, [(statement, ()) for statement in yearly_partitions(table, years)])
        yield None
        return
    with ExitStack() as open_:
        shares = []
        for share in range(SHARES):
            connection = open_.enter_context(database.connect())
            thread = open_.enter_context(ThreadPoolExecutor(max_workers=1, thread_name_prefix="new years"))
            shares.append(_Share(table, [year for year in sorted(new) if year % SHARES == share], connection, thread))
        filled = NewYears(shares)
        yield filled
        filled.join(then)
    execute(database, [analyze_new(table)])


def _without_partition(database: Database, table: sa.Table, years: range) -> frozenset[int]:
    query = "SELECT right(inhrelid::regclass::text, 4)::int AS year FROM pg_inherits WHERE inhparent = $1::regclass"
    return frozenset(years).difference(fetch(database, query, (table.name,))["year"])


def _is_stored(database: Database, table: sa.Table, days: tuple[dt.date, dt.date]) -> bool:
    query = f"SELECT EXISTS (SELECT FROM {table.name} WHERE session BETWEEN $1 AND $2)"
    return bool(fetch(database, query, days).item())
