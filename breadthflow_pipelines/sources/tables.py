"""A table of bars of either kind, Parquet or text, opened for one reading. Knows no directory and no other table."""

import datetime as dt
import io
from collections.abc import Iterator, Sequence
from functools import cached_property

import polars as pl

from breadthflow_pipelines.sources import delimited, parquet, tree
from breadthflow_pipelines.sources.delimited import Turned
from breadthflow_pipelines.sources.layout import Layout, Options
from breadthflow_pipelines.sources.protocol import Account
from breadthflow_pipelines.sources.tree import Place


class Table:
    """One table, opened for one reading."""

    def __init__(self, stream: io.BufferedReader, place: Place, options: Options, symbol: str | None = None) -> None:
        self._table: parquet.Table | delimited.Table
        self._table = parquet.Table(stream, options.zone) if tree.is_parquet(stream) else delimited.Table(stream)
        self.names = self._table.names
        self._about = (place, options, symbol)

    @cached_property
    def layout(self) -> Layout:
        """What its columns mean."""
        return Layout(self.names, *self._about)

    @property
    def account(self) -> Account:
        """Where its lines went, once all bars were read."""
        return self._table.account

    def bars(self, start: dt.date, end: dt.date) -> Iterator[pl.DataFrame]:
        """Its rows in READ_SCHEMA, symbols as the table spells them; rows outside start through end may lack."""
        for rows, turned in self._rows(start, end, self.layout.wanted):
            yield self.layout.bars(rows, turned)

    def places(self) -> Iterator[pl.DataFrame]:
        """Symbol and session of every row."""
        for rows, turned in self._rows(dt.date.min, dt.date.max, self.layout.placing):
            yield self.layout.places(rows, turned)

    def _rows(
        self, start: dt.date, end: dt.date, wanted: Sequence[int]
    ) -> Iterator[tuple[pl.DataFrame, Sequence[Turned]]]:
        if isinstance(self._table, parquet.Table):
            for rows in self._table.frames(wanted, self.layout.day, start, end):
                yield rows, ()
        else:
            yield from self._table.blocks(wanted, self.layout.hoped)
