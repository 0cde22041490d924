"""Rows by the million, in and out: merged into tables, and queries as frames. What the rows mean is not known here.

Frames come through ADBC (arrow_connections.py); what is written goes through psycopg2, rows by COPY (copying.py).
"""

import datetime as dt
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl
import psycopg2.extensions
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from breadthflow_pipelines.warehouse.arrow_connections import arrow_cursor, frame_of
from breadthflow_pipelines.warehouse.copying import copy_rows
from breadthflow_pipelines.warehouse.database import Database
from breadthflow_pipelines.warehouse.sql import array, by_name, quoted, spaced

Parameter = str | int | float | bool | dt.date | dt.datetime

Statement = tuple[str, Sequence[Parameter]]

_Cursor = psycopg2.extensions.cursor

COMPARED_ROWS = 100_000  # of bars at a time, with those that are stored

_CHANGES = {"session": pl.Date, "kind": pl.String, "rows": pl.Int64}


@dataclass(frozen=True)
class Merged:
    """What a merge did. changes: session (null where the table has none), kind, rows.

    securities: whose rows those are, and maybe some more; None where that is not known.
    """

    read: int
    changes: pl.DataFrame
    securities: frozenset[int] | None = None

    @property
    def inserted(self) -> int:
        return self._rows("inserted")

    @property
    def updated(self) -> int:
        return self._rows("updated")

    @property
    def deleted(self) -> int:
        return self._rows("deleted")

    @property
    def unchanged(self) -> int:
        return self.read - self.inserted - self.updated

    @property
    def first_changed(self) -> dt.date | None:
        """The first session of which a row was inserted, updated or deleted."""
        first: dt.date | None = self.changes["session"].min()  # type: ignore[assignment]
        return first

    @property
    def last_changed(self) -> dt.date | None:
        """The last such session."""
        last: dt.date | None = self.changes["session"].max()  # type: ignore[assignment]
        return last

    @property
    def sessions_revised(self) -> int:
        """How many sessions had a row before that was updated or deleted."""
        return self.changes.filter(pl.col("kind") != "inserted")["session"].n_unique()

    def _rows(self, kind: str) -> int:
        return int(self.changes.filter(kind=kind)["rows"].sum())

    def __add__(self, other: "Merged") -> "Merged":
        both = None if self.securities is None or other.securities is None else self.securities | other.securities
        return Merged(self.read + other.read, pl.concat([self.changes, other.changes]), both)


NOTHING = Merged(0, pl.DataFrame(schema=_CHANGES), frozenset())


def fetch(database: Database, query: str, parameters: Sequence[Parameter] = ()) -> pl.DataFrame:
    """The answer to a query with ``$1``, ``$2``, ... as a frame."""
    with arrow_cursor(database) as cursor:
        return frame_of(cursor, query, parameters)


def fetch_together(database: Database, queries: Sequence[Statement]) -> list[pl.DataFrame]:
    """The answers to several queries, all of one moment: what others write meanwhile is in none of them."""
    with arrow_cursor(database) as cursor:
        cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        return [frame_of(cursor, query, parameters) for query, parameters in queries]


def execute(database: Database, statements: Sequence[Statement]) -> None:
    """Run statements with ``$1``, ``$2``, ... in one transaction."""
    with database.connect() as connection, connection.cursor() as cursor:
        for statement, bound in statements:
            run(cursor, statement, bound)


def merge(
    database: Database,
    table: sa.Table,
    frame: pl.DataFrame,
    *,
    scope: str | None = None,
    parameters: Sequence[Parameter] = (),
    first: Sequence[str] = (),
    before_update: str | None = None,
    before_delete: str | None = None,
    then: Callable[[Merged], Sequence[Statement]] | None = None,
    side_by_side: bool = False,
) -> Merged:
    """Make the table hold the frame's rows, in one transaction: new ones inserted, changed updated, equal ones left.

    Args:
        frame: the table's key and some of its other columns; the rest get their defaults, also on an update.
        scope: a condition on the table; rows that meet it and are not in the frame are deleted. None: nothing is.
        parameters: the values of ``$1``, ... in ``scope``.
        first: statements to run before anything is written, after what is stored was read.
        before_update: a statement that sees the table as it was; {changed} in it becomes the join of changed rows ``t``
            with those of the frame, ``s``.
        before_delete: the same for rows that are to go; {gone} becomes those rows, ``t``.
        then: gives statements that are to hold together with what was merged.
        side_by_side: let merges of other scopes write at the same time. The caller sees to it, by an exclusive lock on
            the asset, that scopes do not overlap, unless they are equal; or, without a scope, that rows do not.

    A process killed at any moment leaves the table as it was. Two merges into one table take turns, but for
    side_by_side, where only two of the same scope do.
    """
    columns = frame.columns
    key = [c.name for c in table.primary_key if c.name in columns]
    values = [c for c in columns if c not in key]
    stamps = [c.name for c in table.c if c.server_default is not None and c.name not in columns]
    same = " AND ".join(f"t.{c} = s.{c}" for c in key)
    compared = [c for c in values if c not in _PROVENANCE]
    changed = (
        f"(SELECT s.* FROM changed JOIN stage s USING ({_list(key)})) s "
        f"CROSS JOIN LATERAL (SELECT * FROM {table.name} t WHERE {same} OFFSET 0) t"
    )
    updates = ", ".join([*(f"{c} = s.{c}" for c in values), *(f"{c} = DEFAULT" for c in stamps)])
    gone = f"{table.name} t WHERE ({scope}) AND NOT EXISTS (SELECT FROM stage s WHERE {same})"
    session = "t.session" if "session" in table.c else "NULL::date"
    which = f"stage s JOIN changed USING ({_list(key)}) WHERE {same}"
    update = f"UPDATE {table.name} t SET {updates} FROM {which}"
    insert = f"INSERT INTO {table.name} AS t ({_list(columns)}) SELECT {_list(columns, 's.')} FROM stage s"
    known = f"SELECT FROM met t WHERE {same}"

    with database.connect() as connection, connection.cursor() as cursor:
        _wait_for_turn(cursor, table.name, f"{scope} {spaced(parameters)}" if scope else "", alone=not side_by_side)
        left = _left_to_do(database, table, frame, key, compared, scope, parameters)
        for statement in first:
            run(cursor, statement)
        if left.nothing_stored:
            merged = append(cursor, table, frame) if frame.height else NOTHING
        else:
            rows, scope = left.rows, left.scope
            if rows.height or scope is not None:
                _stage(cursor, table, rows)
            changes = [pl.DataFrame(schema=_CHANGES)]
            if scope is not None:
                if before_delete is not None:
                    run(cursor, before_delete.format(gone=gone), parameters)
                changes.append(_change(cursor, session, "deleted", f"DELETE FROM {gone}", parameters))
            met, differing = _compare(cursor, table, key, compared) if rows.height else (0, 0)
            if differing:
                if before_update is not None:
                    run(cursor, before_update.format(changed=changed))
                changes.append(_change(cursor, session, "updated", update))
            if met < rows.height:
                changes.append(_change(cursor, session, "inserted", f"{insert} WHERE NOT EXISTS ({known})"))
            whose = _securities(rows) if scope is None else None
            merged = Merged(frame.height, pl.concat(changes), whose)
        _analyze_once(cursor, table, merged)
        for statement, bound in then(merged) if then else ():
            run(cursor, statement, bound)
    return merged


def yearly_partitions(table: sa.Table, years: Iterable[int]) -> list[str]:
    """Statements that make the partitions of a table for these years, where they are missing."""
    return [f"CALL add_yearly_partition('{table.name}', {year})" for year in sorted(years)]


def years_of(rows: pl.DataFrame) -> list[int]:
    """The calendar years of the rows' sessions."""
    return rows["session"].dt.year().unique().to_list()


def _wait_for_turn(cursor: _Cursor, table: str, scope: str, *, alone: bool) -> None:
    """Lock the table to the end of the transaction, against all other merges, or against those of the same scope."""
    locks = [(f"pg_advisory_xact_lock{'' if alone else '_shared'}", f"breadthflow table {table}")]
    if scope and not alone:
        locks.append(("pg_advisory_xact_lock", f"breadthflow table {table} where {scope}"))
    for function, what in locks:
        run(cursor, f"SELECT {function}(hashtextextended($1, 0))", (what,))


def _compare(cursor: _Cursor, table: sa.Table, key: Sequence[str], compared: Sequence[str]) -> tuple[int, int]:
    """Note the keys of the frame that the table has, in ``met``, and of rows that differ, in ``changed``; how many."""
    differs = f"({_list(compared, 't.')}) IS DISTINCT FROM ({_list(compared, 's.')})" if compared else "false"
    run(
        cursor,
        f"CREATE TEMPORARY TABLE met ON COMMIT DROP AS SELECT {_list(key, 't.')}, {differs} AS differs "
        f"FROM {_near(table, key)}",
    )
    [(met, differing)] = run(cursor, "SELECT count(*), count(*) FILTER (WHERE differs) FROM met")
    if met:
        run(cursor, "ANALYZE met")
    if differing:
        run(cursor, f"CREATE TEMPORARY TABLE changed ON COMMIT DROP AS SELECT {_list(key)} FROM met WHERE differs")
        run(cursor, "ANALYZE changed")
    return met, differing


def _near(table: sa.Table, key: Sequence[str]) -> str:
    """The table's rows ``t`` joined with those of the stage ``s``: found through the key, however large the table is.

    Of each combination of the key's leading columns the stage has, one stretch of the key is read. A plain join would
    scan all partitions for a chunk that concerns a few rows of each. A key of one column is of a table that is small,
    or not partitioned, so that the planner finds the way through its index.
    """
    same = " AND ".join(f"t.{c} = s.{c}" for c in key)
    if len(key) == 1:
        return f"{table.name} t JOIN stage s ON {same}"
    *leading, last = key
    names = _list(leading)
    stretch = " AND ".join([*(f"t.{c} = w.{c}" for c in leading), f"t.{last} BETWEEN w.lowest AND w.highest"])
    return (
        f"(SELECT {names}, min({last}) AS lowest, max({last}) AS highest FROM stage GROUP BY {names}) w "
        f"CROSS JOIN LATERAL (SELECT * FROM {table.name} t WHERE {stretch} OFFSET 0) t JOIN stage s ON {same}"
    )


@dataclass(frozen=True)
class _Left:
    """What the database has to compare. nothing_stored: known to have none of the scope, or none near the bars.

    scope: where rows are to be deleted; None where everything stored stays, and then ``rows``, of the frame, are those
    that are new or differ, which most days are few.
    """

    rows: pl.DataFrame
    scope: str | None
    nothing_stored: bool = False


def _left_to_do(
    database: Database,
    table: sa.Table,
    frame: pl.DataFrame,
    key: Sequence[str],
    compared: Sequence[str],
    scope: str | None,
    parameters: Sequence[Parameter],
) -> _Left:
    """Hold the frame against what the table has in the scope, or, without one, near the bars of the frame.

    All is left where that cannot be compared here: arrays, and tables whose rows have no stretches to look for. JSON
    comes as text; where it is the same as the frame's, so is what it says, and the database compares the others.
    Reading takes a fraction of the time of writing the frame beside the table.
    """
    columns = [*key, *compared]
    if any(isinstance(table.c[name].type, sa.ARRAY) for name in columns):
        return _Left(frame, scope)
    if scope is not None:
        taken = ", ".join(f"{c}::text" if isinstance(table.c[c].type, postgresql.JSONB) else c for c in columns)
        stored = fetch(database, f"SELECT {taken} FROM {table.name} WHERE {scope}", parameters)
        if stored.is_empty():
            return _Left(frame, scope, nothing_stored=True)
        if not stored.join(frame, on=key, how="anti").is_empty():
            return _Left(frame, scope)
        return _Left(_differing(frame, stored, key, compared), None)
    if list(key) != ["security_id", "session"] or frame.is_empty():
        return _Left(frame, None)
    left, nothing_stored = [frame.clear()], True
    for part in frame.iter_slices(COMPARED_ROWS):
        stored = _near_bars(database, table, part, columns)
        nothing_stored = nothing_stored and stored.is_empty()
        left.append(_differing(part, stored, key, compared))
    return _Left(pl.concat(left), None, nothing_stored)


def _near_bars(database: Database, table: sa.Table, frame: pl.DataFrame, columns: Sequence[str]) -> pl.DataFrame:
    """These columns of each security's rows from its first through its last session in the frame."""
    spans = frame.group_by("security_id").agg(first=pl.col("session").min(), last=pl.col("session").max())
    wanted = f"unnest({array('$1', 'bigint')}, {array('$2', 'date')}, {array('$3', 'date')})"
    query = (
        f"SELECT {_list(columns, 't.')} FROM {wanted} AS w (security_id, first, last) CROSS JOIN LATERAL (SELECT * "
        f"FROM {table.name} t WHERE t.security_id = w.security_id AND t.session BETWEEN w.first AND w.last OFFSET 0) t"
    )
    return fetch(database, query, [spaced(spans[name]) for name in ("security_id", "first", "last")])


def _differing(frame: pl.DataFrame, stored: pl.DataFrame, key: Sequence[str], compared: Sequence[str]) -> pl.DataFrame:
    """The rows of the frame that are not stored as they are."""
    here = {name: stored.schema[name] for name in (*key, *compared)}
    there = stored.with_columns(_known=pl.lit(value=True))
    met = frame.select(list(here)).cast(here).join(there, on=key, how="left", suffix="_there", maintain_order="left")  # type: ignore[arg-type]
    equal = [pl.col(name).eq_missing(pl.col(f"{name}_there")) for name in compared]
    return frame.filter(~met.select(pl.all_horizontal(pl.col("_known").fill_null(value=False), *equal)).to_series())


def append(cursor: _Cursor, table: sa.Table, frame: pl.DataFrame, new: Collection[int] = ()) -> Merged:
    """Write rows of which the table has none, without comparing them first: in half the time.

    new: the years whose tables this transaction has made, which nobody else sees yet (new_years.py).
    """
    for year, name, rows in _places(table, frame):
        copy_rows(cursor, name, table, rows, frozen=year in new)
    session = pl.col("session") if "session" in frame.columns else pl.lit(None, pl.Date)
    counted = frame.group_by(session=session).agg(rows=pl.len())
    changes = counted.select("session", kind=pl.lit("inserted"), rows="rows").cast(_CHANGES)  # type: ignore[arg-type]
    return Merged(frame.height, changes, _securities(frame))


def _places(table: sa.Table, frame: pl.DataFrame) -> Iterator[tuple[int | None, str, pl.DataFrame]]:
    """Where the rows belong: in the table, or each in the partition of its year.

    Through a divided table whose triggers see what is written, PostgreSQL writes one row after another; into a
    partition, many at a time (docs/decisions/references.md).
    """
    if not table.dialect_options["postgresql"]["partition_by"]:
        yield None, table.name, frame
        return
    for year in sorted(years_of(frame)):
        rows = frame.filter(pl.col("session").is_between(dt.date(year, 1, 1), dt.date(year, 12, 31)))
        yield year, f"{table.name}_{year:04}", rows


def _securities(written: pl.DataFrame) -> frozenset[int] | None:
    return frozenset(written["security_id"].unique()) if "security_id" in written.columns else None


def analyze_new(table: sa.Table) -> Statement:
    """The statement that gives the planner statistics of a table, or of partitions, that got their first rows.

    The server gathers them a minute later by itself. Until then it takes any table for a small one, and joins a year of
    bars with their members by comparing each with each.
    """
    # Rows are looked for by their keys alone; of fifty columns of figures nobody asks how they are spread.
    return f"CALL analyze_new('{table.name}', ARRAY[{quoted(c.name for c in table.primary_key)}])", ()


def _analyze_once(cursor: _Cursor, table: sa.Table, merged: Merged) -> None:
    if merged.inserted:
        run(cursor, *analyze_new(table))


# Who wrote a row and when is not a reason to write it again.
_PROVENANCE = frozenset({"run_id"})


def _stage(cursor: _Cursor, table: sa.Table, frame: pl.DataFrame) -> None:
    """Put the frame beside the table, in the table's types."""
    dialect = postgresql.dialect()  # type: ignore[no-untyped-call]
    declared = ", ".join(f"{c} {table.c[c].type.compile(dialect)}" for c in frame.columns)
    run(cursor, f"CREATE TEMPORARY TABLE stage ({declared}) ON COMMIT DROP")
    if frame.height:
        copy_rows(cursor, "stage", table, frame)
    run(cursor, f"ANALYZE stage ({_list([c.name for c in table.primary_key if c.name in frame.columns])})")


def _change(
    cursor: _Cursor, session: str, kind: str, statement: str, parameters: Sequence[Parameter] = ()
) -> pl.DataFrame:
    query = (
        f"WITH done AS ({statement} RETURNING {session} AS session) "
        "SELECT session, count(*) AS rows FROM done GROUP BY session"
    )
    done = [(day, kind, rows) for day, rows in run(cursor, query, parameters)]
    return pl.DataFrame(done, schema=_CHANGES, orient="row")


def run(cursor: _Cursor, statement: str, bound: Sequence[Parameter] = ()) -> list[tuple[Any, ...]]:
    """Run a statement with ``$1``, ``$2``, ...; what it answers, if it does."""
    cursor.execute(*by_name(statement, bound))
    return cursor.fetchall() if cursor.description else []


def _list(columns: Sequence[str], prefix: str = "") -> str:
    return ", ".join(f"{prefix}{c}" for c in columns)
