"""Daily bars from tables in files, one or a directory of them. Judges no bar: the contract does that later.

What is in which table is in file_index.py, what is read together in file_batches.py, and how in file_parts.py. Bars are
read block by block, and of a table with many symbols no more at once than fits into memory, however long its history.
"""

import datetime as dt
from collections.abc import Collection, Iterable, Iterator, Mapping
from functools import cached_property
from pathlib import Path

import polars as pl

from breadthflow_pipelines.locations import shown
from breadthflow_pipelines.sessions import ExchangeCalendar
from breadthflow_pipelines.sources import naming, parsing, tree
from breadthflow_pipelines.sources.file_batches import batches
from breadthflow_pipelines.sources.file_index import Index, remembered_index
from breadthflow_pipelines.sources.file_parts import Part, no_symbol
from breadthflow_pipelines.sources.layout import Options
from breadthflow_pipelines.sources.listing import Sessions, members_by_bars, reach_of_members, securities_of
from breadthflow_pipelines.sources.protocol import (
    READ_SCHEMA,
    Chunk,
    Description,
    Outcome,
    Reading,
    Taken,
)
from breadthflow_pipelines.sources.stamp import stamp
from breadthflow_pipelines.sources.tree import TableFile


class Files:
    """A file or a directory with all directories below it, of tables whose endings are in tree.ENDINGS.

    Layouts known without configuration, columns in any order and spelling, other columns ignored:
    ``symbol, session, open, high, low, close, volume[, close_adjusted]``; Stooq's ``Date,Open,High,Low,Close,Volume,
    OpenInt`` and ``<TICKER>,<PER>,<DATE>,...``; Yahoo's ``Date,High,Low,Open,Close,Volume,Adj Close,Name``. Where no
    column holds the symbol, a directory such as ``symbol=AAA`` does, or the file's name: ``brk-b.us.txt`` is BRK-B.
    Dates are YYYY-MM-DD, YYYYMMDD, moments, Parquet Date or Timestamp.

    A row with a cell that cannot be read is delivered with its text, to be rejected. A row without a date, or of a day
    after today, counts at its table's last session: it comes with the call and the chunk whose range holds that
    session, so that a history fetched in pieces shows it once; where a table reaches beyond ``last``, at that day.
    Blank lines are not rows.

    path: where to read. instruments: a CSV with symbol, name, sector. ignored: files below path that hold no bars.
    last: the last day that is ever asked for, the last closed session; later rows through today are not asked for yet.
    calendar: the exchange's; without it, any day may have a bar.
    """

    name = "files"
    synthetic = False

    def __init__(
        self,
        path: Path,
        options: Options | None = None,
        instruments: Path | None = None,
        ignored: Collection[Path] = (),
        last: dt.date = dt.date.max,
        calendar: ExchangeCalendar | None = None,
    ) -> None:
        self.path = path
        self.calendar = calendar
        self.last = last
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
        return securities_of(self._symbols, self.instruments)

    def members(self) -> pl.DataFrame:
        """Universe ``all``: each symbol from its first bar until the day after its last; open if that is recent.

        As members_by_bars() says: rows that can be no bar, for their day or for their cells' number, do not count.
        """
        return members_by_bars(self._index.contents)

    def members_reach(self) -> dt.date | None:
        """The last day of a row that may be a bar; None where there is none."""
        return reach_of_members(self._index.contents)

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
        contents = self._contents
        if wanted is not None:
            contents = contents.filter(pl.col("symbol").is_in(wanted) | no_symbol())
        taken = Taken(unreadable=dict(found.unusable))
        with tree.Reader() as reader:
            for part in self._parts(contents, start, end):
                yield from part.bars(reader, wanted, taken)
        yield self._settled(contents, wanted, start, taken)

    def parts(self, start: dt.date, end: dt.date) -> list[Part]:
        """All that lies in the range, in parts that other processes can read; together they give each row once."""
        return [part.to_send(self.path) for part in self._parts(self._contents, start, end)]

    def read(self, part: Part, taken: Taken) -> Iterator[Chunk]:
        """The bars of one of the parts(), where their files lie at this source's path.

        Raises:
            RequestError: they are not the files of the process that made the part.
        """
        with tree.Reader() as reader:
            yield from part.received(self.path).bars(reader, None, taken)

    def settled(self, start: dt.date, taken: Iterable[Taken]) -> Chunk:
        """The last chunk of bars(), after what was read of all parts."""
        everything = Taken(unreadable=dict(self._index.unusable))
        for some in taken:
            everything.add(some)
        return self._settled(self._contents, None, start, everything)

    def _parts(self, contents: pl.DataFrame, start: dt.date, end: dt.date) -> Iterator[Part]:
        for batch in batches(contents, start, end):
            yield Part.of(batch, self._index, self._reach, self.options)

    def _settled(self, contents: pl.DataFrame, wanted: list[str] | None, start: dt.date, taken: Taken) -> Chunk:
        found = self._index
        files = len(found.tables) - len(found.unusable)
        reading = Reading(files, found.account, taken.delivered, dict(found.unused), found.others)
        outcomes = self._outcomes(contents, taken.unreadable, taken.fetched, wanted, start)
        return Chunk(pl.DataFrame(schema=READ_SCHEMA), outcomes, found.problems(taken.unreadable), reading)

    @cached_property
    def _symbols(self) -> pl.Series:
        """Those that have a bar, sorted."""
        return self._index.contents.filter(pl.col("first").is_not_null())["symbol"].drop_nulls().unique().sort()

    @cached_property
    def _reach(self) -> dict[int, dt.date]:
        """The session of each table at which its rows without a date count."""
        return dict(self._contents.select("table", "reach").unique().iter_rows())

    @cached_property
    def _contents(self) -> pl.DataFrame:
        """Index.contents; no table reaches beyond the last day that is ever asked for."""
        return self._index.contents.with_columns(pl.col("reach").clip(upper_bound=self.last))

    @cached_property
    def _index(self) -> Index:
        sessions = Sessions(parsing.today(self.options.zone), self.calendar)
        return remembered_index(self.path, self.options, self._ignored, sessions)

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


def _files(number: int) -> str:
    return "1 file" if number == 1 else f"{number:,} files"


def _date(value: object) -> dt.date | None:
    return value if isinstance(value, dt.date) else None
