"""In which batches tables in files are read, so that no more rows than fit into memory are held at once.

Knows what file_index.py found; reads nothing.
"""

import calendar
import datetime as dt
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import polars as pl

CHUNK_ROWS = 300_000
CHUNK_FILES = 256  # reading a file costs memory for its rows outside the range, too
PASS_ROWS = 1_000_000  # rows held at once of a table with more than a chunk; each batch reads all of its file

Days = tuple[dt.date, dt.date]  # both included


class Batch(NamedTuple):
    """Tables that are read together, by number, and the days of each chunk that they give, in order."""

    tables: list[int]
    chunks: list[Days]


def batches(contents: pl.DataFrame, start: dt.date, end: dt.date) -> Iterator[Batch]:
    """What to read together: whole tables, many small ones in a batch, and large ones by years or months.

    contents: as Index has them. Tables with the same sessions of a symbol are in one batch, cut at the same days: their
    contract can only compare rows of a session that come in one chunk.
    """
    undated = pl.col("first").is_null() & pl.col("reach").is_between(start, end)
    asked = contents.filter(((pl.col("first") <= end) & (pl.col("last") >= start)).fill_null(value=False) | undated)
    leaders = _leaders(asked)
    years = (
        asked.with_columns(leader=pl.col("table").replace(leaders))
        .group_by("leader", "year")
        .agg(pl.col("rows").sum(), pl.col("table").unique().sort())
        .sort("leader", "year")
        .group_by("leader", maintain_order=True)
        .agg("year", "rows", pl.col("table").explode().unique().sort())
    )
    small: list[int] = []
    rows = 0
    for _, of_years, of_rows, tables in years.iter_rows():
        more = sum(of_rows)
        if small and (rows + more > CHUNK_ROWS or len(small) + len(tables) > CHUNK_FILES):
            yield Batch(small, [(start, end)])
            small, rows = [], 0
        if more <= CHUNK_ROWS:
            small += tables
            rows += more
        else:
            for days in _grouped(_spans(of_years, of_rows, start, end)):
                yield Batch(tables, days)
    if small:
        yield Batch(small, [(start, end)])


def _leaders(contents: pl.DataFrame) -> dict[int, int]:
    """By table that shares sessions of a symbol with another, the first table of all that are connected in this way."""
    leader: dict[int, int] = {}

    def lead(table: int) -> int:
        while leader.get(table, table) != table:
            table = leader[table]
        return table

    spans = contents.drop_nulls("symbol").group_by("symbol", "table").agg(pl.col("first").min(), pl.col("last").max())
    several = spans.drop_nulls().filter(pl.len().over("symbol") > 1).sort("symbol", "first", "table")
    for _, rows in several.group_by("symbol", maintain_order=True):
        reached, furthest = dt.date.min, -1
        for table, first, last in rows.select("table", "first", "last").iter_rows():
            if first <= reached:
                one, other = sorted((lead(table), lead(furthest)))
                leader[one], leader[other] = one, one
            if last > reached:
                reached, furthest = last, table
    return {table: lead(table) for table in leader}


def _spans(years: list[int], rows: list[int], start: dt.date, end: dt.date) -> Iterator[tuple[dt.date, dt.date, int]]:
    """The range in years, or months where a year exceeds CHUNK_ROWS: first and last day, and the rows to expect."""
    for year, count in zip(years, rows, strict=True):
        months = 12 if count <= CHUNK_ROWS else 1
        for month in range(1, 13, months):
            until = month + months - 1
            first = max(start, dt.date(year, month, 1))
            last = min(end, dt.date(year, until, calendar.monthrange(year, until)[1]))
            if first <= last:
                yield first, last, count * months // 12


def _grouped(spans: Iterable[tuple[dt.date, dt.date, int]]) -> Iterator[list[Days]]:
    """Consecutive spans, as many together as fit into memory: reading a file again for each of them takes too long."""
    days: list[Days] = []
    held = 0
    for first, last, rows in spans:
        if days and held + rows > PASS_ROWS:
            yield days
            days, held = [], 0
        days.append((first, last))
        held += rows
    if days:
        yield days
