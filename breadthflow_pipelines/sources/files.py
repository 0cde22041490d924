"""Daily bars from tables in files, one or a directory of them. Judges no bar: the contract does that later.

What is in which table is in file_index.py, and what is read together in file_batches.py. Bars are read block by block,
and of a table with many symbols no more at once than fits into memory, however long its history.
"""

import datetime as dt
from collections.abc import Collection, Iterator, Mapping
from functools import cached_property
from pathlib import Path

import polars as pl

from breadthflow_pipelines.locations import shown
from breadthflow_pipelines.sources import naming, parsing, tree
from breadthflow_pipelines.sources.file_batches import Batch, Days, batches
from breadthflow_pipelines.sources.file_index import Index, remembered_index, session_known
from breadthflow_pipelines.sources.layout import Options
from breadthflow_pipelines.sources.protocol import (
    MEMBER_SCHEMA,
    READ_SCHEMA,
    Chunk,
    Description,
    Outcome,
    Reading,
)
from breadthflow_pipelines.sources.stamp import stamp
from breadthflow_pipelines.sources.tables import Table
from breadthflow_pipelines.sources.tree import TableFile
from breadthflow_pipelines.sources.universe_file import INSTRUMENT_SCHEMA, read_instruments
from breadthflow_pipelines.sources.unreadable import noting_failure

STILL_LISTED = dt.timedelta(days=10)  # a symbol whose last bar is no older than this against the newest is listed


class Files:
    """A file or a directory with all directories below it, of tables whose endings are in tree.ENDINGS.

    Layouts known without configuration, columns in any order and spelling, other columns ignored:
    ``symbol, session, open, high, low, close, volume[, close_adjusted]``; Stooq's ``Date,Open,High,Low,Close,Volume,
    OpenInt`` and ``<TICKER>,<PER>,<DATE>,...``; Yahoo's ``Date,High,Low,Open,Close,Volume,Adj Close,Name``. Where no
    column holds the symbol, a directory such as ``symbol=AAA`` does, or the file's name: ``brk-b.us.txt`` is BRK-B.
    Dates are YYYY-MM-DD, YYYYMMDD, moments, Parquet Date or Timestamp; dates in the future count for nothing here.

    A row with a cell that cannot be read is delivered with its text, to be rejected. A row without a date counts at its
    table's last session: it comes with the call and the chunk whose range holds that session, so that a history fetched
    in pieces shows it once. Blank lines are not rows.

    path: where to read. instruments: a CSV with symbol, name, sector. ignored: files below path that hold no bars.
    """

    name = "files"
    synthetic = False

    def __init__(
        self,
        path: Path,
        options: Options | None = None,
        instruments: Path | None = None,
        ignored: Collection[Path] = (),
    ) -> None:
        self.path = path
        self.options = options or Options()
        self.instruments = instruments
        self._ignored = [*ignored, *([instruments] if instruments else [])]

    def describe(self) -> Description:
        found = self._index
        notes = list(tree.note_of_others(found.others, shown(self.path)))
        if found.unused:
            named = ", ".join(f"{name} (in {_files(number)})" for name, number in sorted(found.unused.items()))
            notes.append(f"columns that look like ours and are not used: {named}; see BREADTHFLOW_SOURCE_COLUMNS")
        notes += [f"refused, for they differ by case only: {written}" for written in found.clashes.values()]
        return Description(
            name=self.name,
            about=f"bars read from {shown(self.path)}",
            synthetic=self.synthetic,
            symbols=self._symbols.len(),
            first_session=_date(found.contents["first"].min()),
            last_session=_date(found.contents["last"].max()),
            notes=tuple(notes),
        )

    def fingerprint(self) -> str:
        """The names, sizes and times of its files."""
        return " ".join(stamp(path) for path in (self.path, *([self.instruments] if self.instruments else [])))

    def securities(self) -> pl.DataFrame:
        """One row per symbol, sorted, valid without limits, the symbol as its key; name and sector as far as known."""
        known = read_instruments(self.instruments) if self.instruments else pl.DataFrame(schema=INSTRUMENT_SCHEMA)
        return (
            self._symbols.to_frame("symbol")
            .join(known, on="symbol", how="left", maintain_order="left")
            .select(
                pl.col("symbol").alias("source_key"),
                "symbol",
                pl.lit(None, pl.Date).alias("valid_from"),
                pl.lit(None, pl.Date).alias("valid_to"),
                "name",
                "sector",
            )
        )

    def members(self) -> pl.DataFrame:
        """Universe ``all``: each symbol from its first bar until the day after its last; open if that is recent."""
        spans = self._index.contents.group_by("symbol").agg(pl.col("first").min(), pl.col("last").max())
        gone = pl.col("last") < pl.col("last").max() - STILL_LISTED
        return (
            spans.drop_nulls()
            .select(
                pl.lit("all").alias("universe"),
                "symbol",
                pl.col("first").alias("valid_from"),
                pl.when(gone).then(pl.col("last").dt.offset_by("1d")).alias("valid_to"),
            )
            .cast(MEMBER_SCHEMA)
            .sort("symbol")
        )

    def bars(self, symbols: Collection[str] | None, start: dt.date, end: dt.date) -> Iterator[Chunk]:
        """Bars as Source.bars says; a last chunk without bars settles the symbols that gave none, and names problems.

        FETCHED: has a bar in the range. FAILED: its file could not be read, or not to its end. NOT_YET: every file
        that holds the symbol ends before ``start``. ABSENT: in no file, or a file reaches the range without a bar of
        it. Rows whose symbol cannot be read come along with any request, so that they can be rejected.
        """
        if symbols is not None and not symbols:
            return
        found = self._index
        wanted = None if symbols is None else list(symbols)
        contents = found.contents
        if wanted is not None:
            contents = contents.filter(pl.col("symbol").is_in(wanted) | _no_symbol())
        unreadable = dict(found.unusable)
        fetched: set[str] = set()
        delivered = 0
        with tree.Reader() as reader:
            for batch in batches(contents, start, end):
                for bars in self._read(reader, batch, wanted, unreadable):
                    here = set(bars.filter(pl.col("session").is_not_null())["symbol"].drop_nulls().unique())
                    fetched |= here
                    delivered += bars.height
                    yield Chunk(bars, dict.fromkeys(here, Outcome.FETCHED))
        files = len(found.tables) - len(found.unusable)
        reading = Reading(files, found.account, delivered, dict(found.unused), found.others)
        yield Chunk(
            pl.DataFrame(schema=READ_SCHEMA),
            self._outcomes(contents, unreadable, fetched, wanted, start),
            found.problems(unreadable),
            reading,
        )

    @cached_property
    def _symbols(self) -> pl.Series:
        """Those that have a bar, sorted."""
        return self._index.contents.filter(pl.col("first").is_not_null())["symbol"].drop_nulls().unique().sort()

    @cached_property
    def _reach(self) -> dict[int, dt.date]:
        """The last session of each table."""
        return dict(self._index.contents.select("table", "reach").unique().iter_rows())

    @cached_property
    def _index(self) -> Index:
        return remembered_index(self.path, self.options, self._ignored)

    def _read(
        self, reader: tree.Reader, batch: Batch, wanted: list[str] | None, unreadable: dict[int, str]
    ) -> Iterator[pl.DataFrame]:
        """The bars of a batch, chunk by chunk; a table that fails is added to ``unreadable`` and not read again."""
        frames = []
        for number in batch.tables:
            if number not in unreadable:
                with noting_failure(number, unreadable):
                    frames += list(self._rows(reader, number, batch.chunks, wanted))
        bars = pl.concat(frames) if frames else pl.DataFrame()
        if len(batch.chunks) > 1 and frames:
            parts = (bars.filter(pl.col("placed").is_between(first, last)) for first, last in batch.chunks)
            yield from (part.drop("placed") for part in parts if part.height)
        elif bars.height:
            yield bars

    def _rows(
        self, reader: tree.Reader, number: int, chunks: list[Days], wanted: list[str] | None
    ) -> Iterator[pl.DataFrame]:
        """The requested rows of a table, in READ_SCHEMA; with ``placed``, the day they are cut by, if they are."""
        found = self._index
        (start, _), (_, end) = chunks[0], chunks[-1]
        placed = session_known().fill_null(self._reach[number])
        asked = placed.is_between(start, end)
        if wanted is not None:
            asked &= pl.col("symbol").is_in(wanted) | _no_symbol()
        with reader.open(found.tables[number]) as stream:
            table = Table(stream, found.tables[number], self.options)
            for bars in table.bars(start, end):
                ours = _with_our_symbols(bars, found.clashes) if table.layout.by_column else bars
                # Nearly always all of a small file is asked for, and thousands of them come.
                if wanted is not None or not _lies_within(bars["session"], start, end):
                    ours = ours.filter(asked)
                yield ours.with_columns(placed=placed) if len(chunks) > 1 else ours

    def _outcomes(
        self,
        contents: pl.DataFrame,
        unreadable: Mapping[int, str],
        fetched: Collection[str],
        symbols: Collection[str] | None,
        start: dt.date,
    ) -> dict[str, Outcome]:
        """The final outcome of every symbol that was requested and not fetched, or not in full."""
        failed = set(contents.filter(pl.col("table").is_in(list(unreadable)))["symbol"].drop_nulls())
        failed |= {symbol for number in unreadable if (symbol := self._supposed_symbol(self._index.tables[number]))}
        reach = dict(contents.drop_nulls("symbol").group_by("symbol").agg(pl.col("reach").max()).iter_rows())
        outcomes: dict[str, Outcome] = {}
        for symbol in (reach.keys() | failed) if symbols is None else set(symbols):
            if symbol in failed:
                outcomes[symbol] = Outcome.FAILED
            elif symbol not in fetched:
                outcomes[symbol] = Outcome.NOT_YET if symbol in reach and reach[symbol] < start else Outcome.ABSENT
        return outcomes

    def _supposed_symbol(self, file: TableFile) -> str | None:
        """The symbol whose bars an unreadable file probably holds."""
        if self.options.symbol:
            return naming.symbol_by_setting(file, self.options.symbol)
        said = naming.in_directories(file).get("symbol")
        return parsing.spelled(said) if said else naming.symbol_of_file(file, [], self.options.markets)


def _lies_within(sessions: pl.Series, start: dt.date, end: dt.date) -> bool:
    """Whether all of them are known and from start through end, and none lies in the future."""
    first, last = _date(sessions.min()), _date(sessions.max())
    if first is None or last is None or sessions.null_count():
        return False
    return start <= first and last <= min(end, dt.datetime.now(dt.UTC).date())


def _no_symbol() -> pl.Expr:
    return pl.col("symbol").is_null()


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


def _files(number: int) -> str:
    return "1 file" if number == 1 else f"{number:,} files"


def _date(value: object) -> dt.date | None:
    return value if isinstance(value, dt.date) else None
