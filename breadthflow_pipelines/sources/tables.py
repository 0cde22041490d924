"""One table of bars, Parquet or text, opened for one reading. Knows no directory and no other table."""

import datetime as dt
import io
from collections.abc import Iterator, Sequence
from functools import cached_property

import polars as pl

from breadthflow_pipelines.sources import delimited, parquet, tree
from breadthflow_pipelines.sources.delimited import RejectedLine
from breadthflow_pipelines.sources.layout import Layout, Options
from breadthflow_pipelines.sources.protocol import Account
from breadthflow_pipelines.sources.tree import TableFile


class Table:
    """One table, opened for one reading."""

    def __init__(self, stream: io.BufferedReader, file: TableFile, options: Options, symbol: str | None = None) -> None:
        self._table: parquet.Table | delimited.Table
        self._table = parquet.Table(stream, options.zone) if tree.is_parquet(stream) else delimited.Table(stream)
        self.names = self._table.names
        self._about = (file, options, symbol)

    @cached_property
    def layout(self) -> Layout:
        """What its columns mean."""
        return Layout(self.names, *self._about)

    @property
    def account(self) -> Account:
        """What became of its lines, once all bars were read."""
        return self._table.account

    def bars(self, start: dt.date, end: dt.date) -> Iterator[pl.DataFrame]:
        """Its rows in READ_SCHEMA, symbols as the table spells them; rows outside start through end may be missing."""
        for rows, rejected in self._rows(start, end, self.layout.wanted):
            yield self.layout.bars(rows, rejected)

    def symbols_and_sessions(self) -> Iterator[pl.DataFrame]:
        """symbol, session and whole of every row, as Layout.symbols_and_sessions says."""
        for rows, rejected in self._rows(dt.date.min, dt.date.max, self.layout.key_columns):
            yield self.layout.symbols_and_sessions(rows, rejected)

    def _rows(
        self, start: dt.date, end: dt.date, wanted: Sequence[int]
    ) -> Iterator[tuple[pl.DataFrame, Sequence[RejectedLine]]]:
        if isinstance(self._table, parquet.Table):
            for rows in self._table.frames(wanted, self.layout.day, start, end):
                yield rows, ()
        else:
            yield from self._table.blocks(wanted, self.layout.expected)
