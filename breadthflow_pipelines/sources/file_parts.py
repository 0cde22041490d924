"""A part of what is read from files: some tables and days, with all that it takes to read them, here or elsewhere.

Which tables are read together is in file_batches.py; what all parts come to, files.py says.
"""

import datetime as dt
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import polars as pl

from breadthflow_pipelines.errors import RequestError
from breadthflow_pipelines.locations import shown
from breadthflow_pipelines.sources import parsing, tree
from breadthflow_pipelines.sources.alike import Portion, read_together
from breadthflow_pipelines.sources.file_batches import Batch, Days
from breadthflow_pipelines.sources.file_index import Index
from breadthflow_pipelines.sources.layout import Options
from breadthflow_pipelines.sources.protocol import Chunk, Outcome, Taken
from breadthflow_pipelines.sources.tables import Table
from breadthflow_pipelines.sources.tree import TableFile
from breadthflow_pipelines.sources.unreadable import noting_failure

Stamp = tuple[int, int]  # size, and when it was written


@dataclass(frozen=True)
class Part:
    """Tables by number, and the days of each chunk that they give; a plain value, which another process can be sent.

    reach: by number, a table's last session. clashes: as Index has them. stamps: by number, of files that another
    process is to read; none where this one does.
    """

    files: Mapping[int, TableFile]
    chunks: list[Days]
    reach: Mapping[int, dt.date]
    clashes: Mapping[str, str]
    options: Options
    stamps: Mapping[int, Stamp | None] = field(default_factory=dict)

    @classmethod
    def of(cls, batch: Batch, index: Index, reach: Mapping[int, dt.date], options: Options) -> "Part":
        """The part that a batch of an index is, but for tables that cannot be used."""
        numbers = [number for number in batch.tables if number not in index.unusable]
        files = {number: index.tables[number] for number in numbers}
        return cls(files, batch.chunks, {n: reach[n] for n in numbers}, index.clashes, options)

    def __str__(self) -> str:
        first, *others = map(str, self.files.values())
        days = f"{self.chunks[0][0]} to {self.chunks[-1][1]}"
        return f"{first}{f' and {len(others):,} more files' if others else ''}, {days}"

    def to_send(self, root: Path) -> "Part":
        """The same for a process that reaches the files at a path of its own: named from root, and with stamps."""
        return replace(
            self,
            files={number: replace(file, path=file.path.relative_to(root)) for number, file in self.files.items()},
            stamps={number: _stamp(file.path) for number, file in self.files.items()},
        )

    def received(self, root: Path) -> "Part":
        """The part that to_send() made, here, where its files lie at root.

        Raises:
            RequestError: one of them is not there, or is not the one that was meant.
        """
        files = {number: replace(file, path=root / file.path) for number, file in self.files.items()}
        for number, file in files.items():
            if _stamp(file.path) != self.stamps[number]:
                raise RequestError(
                    f"{shown(file.path)} is not the file that the run reads: it is missing here, or differs in size or "
                    "time. Let all machines mount the same directory."
                )
        return replace(self, files=files)

    def bars(self, reader: tree.Reader, wanted: list[str] | None, taken: Taken) -> Iterator[Chunk]:
        """Its bars, chunk by chunk. wanted: of these symbols; None: of all. A table that fails is not read again."""
        for bars in self._frames(reader, wanted, taken.unreadable):
            here = set(bars.filter(pl.col("session").is_not_null())["symbol"].drop_nulls().unique())
            taken.fetched |= here
            taken.delivered += bars.height
            yield Chunk(bars, dict.fromkeys(here, Outcome.FETCHED))

    def _frames(
        self, reader: tree.Reader, wanted: list[str] | None, unreadable: dict[int, str]
    ) -> Iterator[pl.DataFrame]:
        frames = []
        readable = [(number, file) for number, file in self.files.items() if number not in unreadable]
        for portion, together in read_together(reader, readable, self.options, Portion.bars):
            if together is not None:
                frames.append(self._asked(together.drop("table"), wanted, pl.col("session")))
                continue
            for number in portion.numbers:
                with noting_failure(number, unreadable):
                    frames += list(self._rows(reader, number, wanted))
        bars = pl.concat(frames) if frames else pl.DataFrame()
        if len(self.chunks) > 1 and frames:
            parts = (bars.filter(pl.col("placed").is_between(first, last)) for first, last in self.chunks)
            yield from (part.drop("placed") for part in parts if part.height)
        elif bars.height:
            yield bars

    def _rows(self, reader: tree.Reader, number: int, wanted: list[str] | None) -> Iterator[pl.DataFrame]:
        """The requested rows of a table, in READ_SCHEMA; with ``placed``, the day they are cut by, if they are."""
        placed = parsing.session_come(self.options.zone).fill_null(self.reach[number])
        with reader.open(self.files[number]) as stream:
            table = Table(stream, self.files[number], self.options)
            for bars in table.bars(*self._days):
                ours = _with_our_symbols(bars, self.clashes) if table.layout.by_column else bars
                yield self._asked(ours, wanted, placed)

    @property
    def _days(self) -> Days:
        """From the first day of its chunks through the last."""
        return self.chunks[0][0], self.chunks[-1][1]

    def _asked(self, bars: pl.DataFrame, wanted: list[str] | None, placed: pl.Expr) -> pl.DataFrame:
        """Those of the rows that are asked for. placed: the day that a row is cut by."""
        # Nearly always all of a small file is asked for.
        if wanted is not None or not _lies_within(bars["session"], *self._days, self.options.zone):
            asked = placed.is_between(*self._days)
            if wanted is not None:
                asked &= pl.col("symbol").is_in(wanted) | no_symbol()
            bars = bars.filter(asked)
        return bars.with_columns(placed=placed) if len(self.chunks) > 1 else bars


def no_symbol() -> pl.Expr:
    """Whether the symbol of a row cannot be read."""
    return pl.col("symbol").is_null()


def _stamp(path: Path) -> Stamp | None:
    """None where there is no such file."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_size, found.st_mtime_ns


def _lies_within(sessions: pl.Series, start: dt.date, end: dt.date, zone: str) -> bool:
    """Whether all of them are known and from start through end, and none lies in the future."""
    first, last = sessions.min(), sessions.max()
    if not isinstance(first, dt.date) or not isinstance(last, dt.date) or sessions.null_count():
        return False
    return start <= first and last <= min(end, parsing.today(zone))


def _with_our_symbols(bars: pl.DataFrame, clashes: Mapping[str, str]) -> pl.DataFrame:
    """The bars with symbols spelled as ours; those of clashing ones without it and with the reason."""
    ours = parsing.spelled_column("symbol")
    if not clashes:
        return bars.with_columns(symbol=ours)
    clashing = ours.is_in(list(clashes))
    why = pl.format("symbols that differ by case only: {}", ours.replace_strict(clashes, default=None))
    return bars.with_columns(
        symbol=pl.when(~clashing).then(ours),
        fault=pl.when(clashing).then(pl.coalesce("fault", why)).otherwise("fault"),
        raw=pl.when(clashing).then(pl.coalesce("raw", pl.format("symbol={}", "symbol"))).otherwise("raw"),
    )
