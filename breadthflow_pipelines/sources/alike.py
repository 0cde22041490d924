"""Small plain tables with the same columns, read as one text: parsing thousands one by one takes five times as long.

Only tables in which there is nothing to ask about are read together. All others are read alone, as tables.py does, with
the same result.
"""

import datetime as dt
import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import polars as pl

from breadthflow_pipelines.sources import delimited, parsing, tree
from breadthflow_pipelines.sources.layout import Layout, Options
from breadthflow_pipelines.sources.protocol import Account
from breadthflow_pipelines.sources.tree import TableFile
from breadthflow_pipelines.sources.unreadable import noting_failure

SMALL = 2**20  # bytes of a table; what a larger one costs is its rows
AT_ONCE = 8 * 2**20  # bytes
MOST_TABLES = 64
FEWEST = 8  # that are read together once more without others, where something is odd in one of all


class _Plain(NamedTuple):
    """A table that may be read with others. body: all lines but the header, each ended. rows: as many as those."""

    number: int
    names: tuple[str, ...]
    body: bytes
    rows: int
    layout: Layout

    @property
    def account(self) -> Account:
        """Where its lines went: all but the header are rows."""
        return Account(lines=self.rows + 1, rows=self.rows, headers=1)


@dataclass(frozen=True)
class Portion:
    """Tables that follow each other, by number. together: the same, of one header; none where each is read alone."""

    numbers: list[int]
    together: Sequence[_Plain] = ()

    @property
    def halves(self) -> "list[Portion]":
        """The same in two parts."""
        middle = len(self.together) // 2
        return [_portion(self.together[:middle]), _portion(self.together[middle:])]

    def symbols_and_sessions(self) -> pl.DataFrame | None:
        """symbol, session and table of every row; None where the tables are to be read alone."""
        return self._found(lambda layout: layout.key_columns, lambda layout, rows: layout.symbols_and_sessions(rows))

    def bars(self) -> pl.DataFrame | None:
        """The rows in READ_SCHEMA, and their tables; None where the tables are to be read alone."""
        return self._found(lambda layout: layout.wanted, lambda layout, rows: layout.bars(rows))

    def _found(
        self, columns: Callable[[Layout], Sequence[int]], meant: Callable[[Layout, pl.DataFrame], pl.DataFrame]
    ) -> pl.DataFrame | None:
        """What these columns say; None where something is odd in a table, which reading it alone settles."""
        failed: dict[str, str] = {}
        if self.together:
            layout = self.together[0].layout
            with noting_failure("", failed):
                rows = self._rows(columns(layout))
                return None if rows is None else self._each_its_own(meant(layout, rows))
        return None

    def _rows(self, wanted: Sequence[int]) -> pl.DataFrame | None:
        """All rows, where each line is one of the expected types, with a day that has come."""
        layout, width = self.together[0].layout, len(self.together[0].names)
        text = b"".join(plain.body for plain in self.together)
        rows = delimited.plain_rows(text, width, wanted, layout.expected)
        if rows is None or rows.height != sum(plain.rows for plain in self.together):
            return None
        days = rows[str(layout.day)]
        last = days.max()
        have_come = isinstance(last, dt.date) and last <= parsing.today(layout.zone)
        return rows if have_come and not days.null_count() else None

    def _each_its_own(self, found: pl.DataFrame) -> pl.DataFrame:
        """The rows with the symbols and the numbers of their tables."""
        tables = pl.DataFrame(
            {
                "symbol": [plain.layout.symbol for plain in self.together],
                "table": self.numbers,
                "rows": [plain.rows for plain in self.together],
            },
            schema={"symbol": pl.String, "table": pl.Int64, "rows": pl.Int64},
        )
        of_rows = tables.select(pl.col("symbol", "table").repeat_by("rows").explode())
        return found.with_columns(of_rows)


def read_together(
    reader: tree.Reader,
    files: Iterable[tuple[int, TableFile]],
    options: Options,
    read: Callable[[Portion], pl.DataFrame | None],
) -> Iterator[tuple[Portion, pl.DataFrame | None]]:
    """All of these tables, in their order, and what ``read`` gives of each portion; None: to be read one by one."""
    for portion in portions(reader, files, options):
        yield from _read_in_halves(portion, read)


def _read_in_halves(
    portion: Portion, read: Callable[[Portion], pl.DataFrame | None]
) -> Iterator[tuple[Portion, pl.DataFrame | None]]:
    found = read(portion)
    if found is None and len(portion.together) >= 2 * FEWEST:
        for half in portion.halves:
            yield from _read_in_halves(half, read)
    else:
        yield portion, found


def portions(reader: tree.Reader, files: Iterable[tuple[int, TableFile]], options: Options) -> Iterator[Portion]:
    """All of these tables, in their order, as many together as may be."""
    gathered: list[_Plain] = []
    held = 0
    for number, file in files:
        plain = _plain(reader, number, file, options)
        if gathered and (
            plain is None
            or plain.names != gathered[0].names
            or held + len(plain.body) > AT_ONCE
            or len(gathered) == MOST_TABLES
        ):
            yield _portion(gathered)
            gathered, held = [], 0
        if plain is None:
            yield Portion([number])
        else:
            gathered.append(plain)
            held += len(plain.body)
    if gathered:
        yield _portion(gathered)


def _portion(gathered: Sequence[_Plain]) -> Portion:
    return Portion([plain.number for plain in gathered], gathered if len(gathered) > 1 else ())


def _plain(reader: tree.Reader, number: int, file: TableFile, options: Options) -> _Plain | None:
    """The table, where it may be read with others; None where it is to be read alone, or cannot be read."""
    failed: dict[int, str] = {}
    with noting_failure(number, failed), reader.open(file) as stream:
        text = b"" if tree.is_parquet(stream) else stream.read(SMALL + 1)
        header, _, body = text.partition(b"\n")
        if not body or len(text) > SMALL or not _is_plain(text):
            return None
        if not body.endswith(b"\n"):
            body += b"\n"
        names = _names(header)
        layout = Layout(names, file, options)
        return _Plain(number, names, body, body.count(b"\n"), layout) if layout.of_one_symbol else None
    return None


def _is_plain(text: bytes) -> bool:
    """Whether a text has nothing but ASCII, no quotation mark, and no line that ends in an unusual way."""
    unusual_ends = b"\r" in text and text.count(b"\r") != text.count(b"\r\n")
    return text.isascii() and b'"' not in text and not unusual_ends


@lru_cache(maxsize=64)
def _names(header: bytes) -> tuple[str, ...]:
    return tuple(delimited.Table(io.BytesIO(header)).names)
