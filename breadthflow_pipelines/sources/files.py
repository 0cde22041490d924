"""Daily bars from tables in files, one or a directory of them. Judges no bar: the contract does that later.

A first look reads only symbols and dates of every table, once for each object, and says what is where. Bars are then
read block by block, and of a table with many symbols no more at once than fits into memory, however long its history.
"""

import calendar
import datetime as dt
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import polars as pl

from breadthflow_pipelines.errors import RequestError, printable
from breadthflow_pipelines.locations import shown
from breadthflow_pipelines.sources import naming, parsing, tree
from breadthflow_pipelines.sources.layout import Options, place_of
from breadthflow_pipelines.sources.protocol import (
    MEMBER_SCHEMA,
    READ_SCHEMA,
    Account,
    Chunk,
    Description,
    Outcome,
    Reading,
)
from breadthflow_pipelines.sources.tables import Table
from breadthflow_pipelines.sources.tree import Place
from breadthflow_pipelines.sources.unfit import UnfitError, costing_itself, refusing
from breadthflow_pipelines.sources.universe_file import INSTRUMENT_SCHEMA, read_instruments

CHUNK_ROWS = 300_000
CHUNK_FILES = 256  # reading a file costs memory for its rows outside the range, too
PASS_ROWS = 1_000_000  # rows that are held at once of a table with more than a chunk; each pass reads all of its file
STILL_LISTED = dt.timedelta(days=10)  # a symbol whose last bar is no older than this against the newest is listed

_LOOK_SCHEMA = pl.Schema(
    {
        "table": pl.Int64,  # its number
        "written": pl.String,  # the symbol as a column spells it
        "symbol": pl.String,
        "year": pl.Int32,
        "first": pl.Date,
        "last": pl.Date,
        "rows": pl.Int64,
        "reach": pl.Date,  # the table's last session
    }
)


@dataclass
class _Look:
    """What a first look found. held: _LOOK_SCHEMA. broken: by a table's number, why it cannot be used.

    unopened: the same of paths that no table could be found in. clashes: symbols that are spelled in several ways, and
    how. headers: the names of all columns.
    """

    tables: list[Place] = field(default_factory=list)
    held: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=_LOOK_SCHEMA))
    broken: dict[int, str] = field(default_factory=dict)
    unopened: dict[str, str] = field(default_factory=dict)
    others: tuple[str, ...] = ()
    clashes: dict[str, str] = field(default_factory=dict)
    account: Account = field(default_factory=Account)
    headers: set[str] = field(default_factory=set)
    unused: Counter[str] = field(default_factory=Counter)

    def problems(self, broken: Mapping[int, str]) -> tuple[str, ...]:
        """What cannot be read, by name."""
        named = {**self.unopened, **{str(self.tables[number]): why for number, why in broken.items()}}
        return tuple(f"{name}: {why}" for name, why in named.items())


class _Pass(NamedTuple):
    """Tables that are read together, and the days of the chunks that become of them, one after the other."""

    tables: list[int]
    cuts: list[tuple[dt.date, dt.date]]


class Files:
    """A file or a directory, searched through and through, of tables as tree.ENDINGS lists them.

    Layouts known without configuration, columns in any order and spelling, surplus ones ignored:
    ``symbol, session, open, high, low, close, volume[, close_adjusted]``; Stooq's ``Date,Open,High,Low,Close,Volume,
    OpenInt`` and ``<TICKER>,<PER>,<DATE>,...``; Yahoo's ``Date,High,Low,Open,Close,Volume,Adj Close,Name``. Where no
    column holds the symbol, a directory such as ``symbol=AAA`` does, or the file's name: ``brk-b.us.txt`` is BRK-B.
    Dates are YYYY-MM-DD, YYYYMMDD, moments, Parquet Date or Timestamp; dates in the future count for nothing here.

    A row of which something cannot be read comes along with what stands there, to be rejected. A row without a date is
    placed at its table's last session: it comes with the call and the chunk whose range holds that session, so a
    history fetched in pieces shows it once. Blank lines are no rows.

    path: where to read. instruments: a CSV with symbol, name, sector. ignored: files below path that are no bars.
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
        look = self._look
        notes = list(tree.told_others(look.others, shown(self.path)))
        if look.unused:
            named = ", ".join(f"{name} (in {_files(number)})" for name, number in sorted(look.unused.items()))
            notes.append(f"columns that look like ours and are not used: {named}; see BREADTHFLOW_SOURCE_COLUMNS")
        notes += [f"refused, for they differ by case only: {written}" for written in look.clashes.values()]
        return Description(
            name=self.name,
            about=f"bars read from {shown(self.path)}",
            synthetic=self.synthetic,
            symbols=self._symbols.len(),
            first_session=_date(look.held["first"].min()),
            last_session=_date(look.held["last"].max()),
            notes=tuple(notes),
        )

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
        spans = self._look.held.group_by("symbol").agg(pl.col("first").min(), pl.col("last").max())
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
        look = self._look
        wanted = None if symbols is None else list(symbols)
        held = look.held if wanted is None else look.held.filter(pl.col("symbol").is_in(wanted) | _no_symbol())
        broken = dict(look.broken)
        fetched: set[str] = set()
        delivered = 0
        with tree.Reader() as reader:
            for one in _passes(held, start, end):
                for bars in self._read(reader, one, wanted, broken):
                    here = set(bars.filter(pl.col("session").is_not_null())["symbol"].drop_nulls().unique())
                    fetched |= here
                    delivered += bars.height
                    yield Chunk(bars, dict.fromkeys(here, Outcome.FETCHED))
        yield Chunk(
            pl.DataFrame(schema=READ_SCHEMA),
            self._outcomes(held, broken, fetched, wanted, start),
            look.problems(broken),
            Reading(len(look.tables) - len(look.broken), look.account, delivered, dict(look.unused), look.others),
        )

    @cached_property
    def _symbols(self) -> pl.Series:
        """Those that have a bar, sorted."""
        return self._look.held.filter(pl.col("first").is_not_null())["symbol"].drop_nulls().unique().sort()

    @cached_property
    def _reach(self) -> dict[int, dt.date]:
        """The last session of each table."""
        return dict(self._look.held.select("table", "reach").unique().iter_rows())

    @cached_property
    def _look(self) -> _Look:
        look = self._found()
        looks: list[pl.DataFrame] = []
        named: dict[int, str] = {}
        accounts: dict[int, Account] = {}
        with tree.Reader() as reader:
            for number, place in enumerate(look.tables):
                with costing_itself(number, look.broken), reader.open(place) as stream:
                    table = Table(stream, place, self.options)
                    look.headers.update(table.names)
                    looks.append(_look_into(number, table))
                    accounts[number] = table.account
                    look.unused.update(table.layout.unused)
                    if table.layout.own_name is not None:
                        named[number] = table.layout.own_name
        self._check_columns(look)
        look.broken.update(_not_told_apart({number: look.tables[number] for number in named}, named))
        held = pl.concat([look.held, *looks]).filter(~pl.col("table").is_in(list(look.broken)))
        if held.is_empty():
            raise RequestError(self._nothing(look))
        look.account = sum((accounts[number] for number in accounts if number not in look.broken), Account())
        look.clashes = _clashes(held)
        look.held = held.with_columns(symbol=pl.when(~pl.col("symbol").is_in(list(look.clashes))).then("symbol"))
        return look

    def _nothing(self, look: _Look) -> str:
        """Says that not one file can be read, and why the first cannot."""
        where = shown(self.path)
        first, *others = look.problems(look.broken)
        if not others and first.startswith(f"{where}: "):
            return f"{where} cannot be read: {first.removeprefix(f'{where}: ')}."
        return f"None of the {len(others) + 1} file(s) in {where} can be read. {first.removeprefix(f'{where}/')}."

    def _found(self) -> _Look:
        """The tables that there are, none of them opened."""
        where = shown(self.path)
        with refusing(where, RequestError):
            found = self._searched(where)
            ignored = [other for other in self._ignored if other.exists()]
        look = _Look(unopened=dict(found.problems), others=tuple(found.others))
        for path in found.files:
            with costing_itself(shown(path), look.unopened):
                look.tables += tree.places(path) if not any(path.samefile(other) for other in ignored) else []
        if not look.tables and not look.unopened:
            others = "; ".join(tree.told_others(look.others, "it"))
            raise RequestError(
                f"{where} holds no {', '.join(tree.ENDINGS)} file; set BREADTHFLOW_SOURCE_PATH"
                f"{f' ({others})' if others else ''}."
            )
        return look

    def _searched(self, where: str) -> tree.Found:
        if self.path.is_dir():
            return tree.search(self.path)
        if not self.path.exists():
            raise RequestError(f"{where} does not exist; set BREADTHFLOW_SOURCE_PATH to a file or a directory.")
        if not self.path.is_file() or not tree.is_table(self.path.name):
            raise RequestError(f"{where} is none of {', '.join(tree.ENDINGS)}; set BREADTHFLOW_SOURCE_PATH.")
        return tree.Found([self.path])

    def _check_columns(self, look: _Look) -> None:
        """Refuse a mapping that names a column which no table and no directory has."""
        said = [name for place in look.tables for name in naming.in_directories(place)]
        strangers = [
            f"{ours}={theirs}"
            for ours, theirs in self.options.columns.items()
            if place_of(theirs, (*look.headers, *said)) is None
        ]
        if strangers and look.headers:
            raise RequestError(f"No file in {shown(self.path)} has the columns mapped as {', '.join(strangers)}.")

    def _read(
        self, reader: tree.Reader, one: _Pass, wanted: list[str] | None, broken: dict[int, str]
    ) -> Iterator[pl.DataFrame]:
        """The bars of those tables, cut into chunks; a table that fails is added to ``broken`` and not read again."""
        frames = []
        for number in one.tables:
            if number not in broken:
                with costing_itself(number, broken):
                    frames += list(self._rows(reader, number, one.cuts, wanted))
        bars = pl.concat(frames) if frames else pl.DataFrame()
        if len(one.cuts) > 1 and frames:
            parts = (bars.filter(pl.col("placed").is_between(first, last)) for first, last in one.cuts)
            yield from (part.drop("placed") for part in parts if part.height)
        elif bars.height:
            yield bars

    def _rows(
        self, reader: tree.Reader, number: int, cuts: list[tuple[dt.date, dt.date]], wanted: list[str] | None
    ) -> Iterator[pl.DataFrame]:
        """The rows of a table that are asked for, in READ_SCHEMA; with the day ``placed`` where they are to be cut."""
        look = self._look
        (start, _), (_, end) = cuts[0], cuts[-1]
        placed = _session_known().fill_null(self._reach[number])
        asked = placed.is_between(start, end)
        if wanted is not None:
            asked &= pl.col("symbol").is_in(wanted) | _no_symbol()
        with reader.open(look.tables[number]) as stream:
            table = Table(stream, look.tables[number], self.options)
            for bars in table.bars(start, end):
                ours = _with_our_symbols(bars, look.clashes) if table.layout.by_column else bars
                # Nearly always all of a small file is asked for, and thousands of them come.
                if wanted is not None or not _lies_within(bars["session"], start, end):
                    ours = ours.filter(asked)
                yield ours.with_columns(placed=placed) if len(cuts) > 1 else ours

    def _outcomes(
        self,
        held: pl.DataFrame,
        broken: Mapping[int, str],
        fetched: Collection[str],
        symbols: Collection[str] | None,
        start: dt.date,
    ) -> dict[str, Outcome]:
        """The last word on every symbol that was asked for and not fetched, or not in full."""
        failed = set(held.filter(pl.col("table").is_in(list(broken)))["symbol"].drop_nulls())
        failed |= {symbol for number in broken if (symbol := self._supposed_symbol(self._look.tables[number]))}
        reach = dict(held.drop_nulls("symbol").group_by("symbol").agg(pl.col("reach").max()).iter_rows())
        outcomes: dict[str, Outcome] = {}
        for symbol in (reach.keys() | failed) if symbols is None else set(symbols):
            if symbol in failed:
                outcomes[symbol] = Outcome.FAILED
            elif symbol not in fetched:
                outcomes[symbol] = Outcome.NOT_YET if symbol in reach and reach[symbol] < start else Outcome.ABSENT
        return outcomes

    def _supposed_symbol(self, place: Place) -> str | None:
        """Whose bars a file that cannot be read probably has."""
        if self.options.symbol:
            return naming.symbol_by_setting(place, self.options.symbol)
        said = naming.in_directories(place).get("symbol")
        return parsing.spelled(said) if said else naming.symbol_of_file(place, [], self.options.markets)


def _look_into(number: int, table: Table) -> pl.DataFrame:
    """The rows of _LOOK_SCHEMA for one table; rows without a date count in the year of its last session."""
    day = _session_known()
    looks = [
        found.group_by(written="symbol", year=day.dt.year()).agg(first=day.min(), last=day.max(), rows=pl.len())
        for found in table.places()
    ]
    found = pl.concat(looks) if looks else pl.DataFrame()
    if found.is_empty():
        hours = "it has bars of hours or minutes, and none of a day"
        raise UnfitError(hours if table.layout.passed_over else "it holds no rows")
    if len(looks) > 1:
        same = found.group_by("written", "year", maintain_order=True)
        found = same.agg(pl.col("first").min(), pl.col("last").max(), pl.col("rows").sum())
    reach = _date(found["last"].max())
    if reach is None:
        unread = table.layout.unread_day
        raise UnfitError(f"not a single date can be read in it{f', as in {unread}' if unread else ''}")
    by_column = table.layout.by_column
    return found.select(
        table=pl.lit(number, pl.Int64),
        written="written" if by_column else pl.lit(None, pl.String),
        symbol=parsing.spelled_column("written") if by_column else "written",
        year=pl.col("year").fill_null(reach.year),
        first="first",
        last="last",
        rows=pl.col("rows").cast(pl.Int64),
        reach=pl.lit(reach),
    )


def _session_known() -> pl.Expr:
    """The session, unless it lies in the future; somewhere it is tomorrow already."""
    tomorrow = dt.datetime.now(dt.UTC).date() + dt.timedelta(days=1)
    return pl.when(pl.col("session") <= tomorrow).then("session")


def _lies_within(sessions: pl.Series, start: dt.date, end: dt.date) -> bool:
    """Whether all of them are known and from start through end, and none lies in the future."""
    first, last = _date(sessions.min()), _date(sessions.max())
    if first is None or last is None or sessions.null_count():
        return False
    return start <= first and last <= min(end, dt.datetime.now(dt.UTC).date())


def _no_symbol() -> pl.Expr:
    return pl.col("symbol").is_null()


def _clashes(held: pl.DataFrame) -> dict[str, str]:
    """Symbols that columns write both in capitals and in small letters: nothing says whether those are one share."""
    several = held.drop_nulls("written").group_by("symbol").agg(pl.col("written").unique().sort())
    clashing = several.filter(pl.col("written").list.len() > 1).sort("symbol")
    return {symbol: ", ".join(written) for symbol, written in clashing.iter_rows()}


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


def _not_told_apart(tables: Mapping[int, Place], symbols: Mapping[int, str]) -> dict[int, str]:
    """Of tables whose symbol is their name, those whose name cannot be one, by number, and why.

    Beside each other, names that differ by case only are those of two shares or of one. Where more directories than
    names are, a name is that of the kind of file: ``AAPL/prices.csv``, ``MSFT/prices.csv``. Directories of years hold
    one table in parts.
    """
    faults: dict[int, str] = {}
    by_symbol: dict[str, list[int]] = {}
    for number, symbol in symbols.items():
        by_symbol.setdefault(symbol, []).append(number)
    spread = {symbol: {tables[number].parts[:-1] for number in numbers} for symbol, numbers in by_symbol.items()}
    spread = {symbol: within for symbol, within in spread.items() if len(within) > 1 and not _are_times(within)}
    directories = set[tuple[str, ...]]().union(*spread.values())
    for symbol, numbers in by_symbol.items():
        for number in numbers:
            twin = next((tables[other] for other in numbers if _by_case_only(tables[other], tables[number])), None)
            if twin is not None:
                faults[number] = f"its name differs from {twin.parts[-1]} by case only"
            elif symbol in spread and len(directories) > len(spread):
                faults[number] = (
                    f"{len(numbers)} files in {len(spread[symbol])} directories would be the symbol {symbol}; set "
                    f"BREADTHFLOW_SOURCE_SYMBOL={{symbol}}/{printable(tables[number].parts[-1])} where the directory "
                    f"says it, or ={naming.FILE_NAME} where the name does"
                )
    return faults


def _by_case_only(one: Place, other: Place) -> bool:
    """Whether two files lie beside each other and have one name in different letters."""
    beside = one.parts[:-1] == other.parts[:-1]
    return beside and one.stem != other.stem and one.stem.lower() == other.stem.lower()


def _are_times(directories: Collection[tuple[str, ...]]) -> bool:
    """Whether directories differ by nothing but times: 2020, 2020-01, year=2020."""
    shared = 0
    while len({directory[: shared + 1] for directory in directories}) == 1 and all(
        len(directory) > shared for directory in directories
    ):
        shared += 1
    return all(naming.is_of_time(part) for directory in directories for part in directory[shared:])


def _passes(held: pl.DataFrame, start: dt.date, end: dt.date) -> Iterator[_Pass]:
    """What to read, and in which pieces it comes: tables whole, many small ones together, or by years and months.

    Tables that hold the same sessions of a symbol come together, cut alike: only a chunk that has all rows of a session
    lets its contract see that they differ.
    """
    undated = pl.col("first").is_null() & pl.col("reach").is_between(start, end)
    asked = held.filter(((pl.col("first") <= end) & (pl.col("last") >= start)).fill_null(value=False) | undated)
    together = _together(asked)
    years = (
        asked.with_columns(leader=pl.col("table").replace(together))
        .group_by("leader", "year")
        .agg(pl.col("rows").sum(), pl.col("table").unique().sort())
        .sort("leader", "year")
        .group_by("leader", maintain_order=True)
        .agg("year", "rows", pl.col("table").explode().unique().sort())
    )
    batch: list[int] = []
    rows = 0
    for _, of_years, of_rows, tables in years.iter_rows():
        more = sum(of_rows)
        if batch and (rows + more > CHUNK_ROWS or len(batch) + len(tables) > CHUNK_FILES):
            yield _Pass(batch, [(start, end)])
            batch, rows = [], 0
        if more <= CHUNK_ROWS:
            batch += tables
            rows += more
        else:
            for cuts in _at_once(_spans(of_years, of_rows, start, end)):
                yield _Pass(tables, cuts)
    if batch:
        yield _Pass(batch, [(start, end)])


def _together(held: pl.DataFrame) -> dict[int, int]:
    """Each table that shares sessions of a symbol with another one, and the first of all that hang together so."""
    leader: dict[int, int] = {}

    def lead(table: int) -> int:
        while leader.get(table, table) != table:
            table = leader[table]
        return table

    spans = held.drop_nulls("symbol").group_by("symbol", "table").agg(pl.col("first").min(), pl.col("last").max())
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
    """The range in parts of about CHUNK_ROWS rows at most, with the rows to expect: years, or else months."""
    for year, count in zip(years, rows, strict=True):
        months = 12 if count <= CHUNK_ROWS else 1
        for month in range(1, 13, months):
            until = month + months - 1
            first = max(start, dt.date(year, month, 1))
            last = min(end, dt.date(year, until, calendar.monthrange(year, until)[1]))
            if first <= last:
                yield first, last, count * months // 12


def _at_once(spans: Iterable[tuple[dt.date, dt.date, int]]) -> Iterator[list[tuple[dt.date, dt.date]]]:
    """Spans one after the other, as many together as fit into memory: reading a file again for each takes too long."""
    cuts: list[tuple[dt.date, dt.date]] = []
    held = 0
    for first, last, rows in spans:
        if cuts and held + rows > PASS_ROWS:
            yield cuts
            cuts, held = [], 0
        cuts.append((first, last))
        held += rows
    if cuts:
        yield cuts


def _files(number: int) -> str:
    return "1 file" if number == 1 else f"{number:,} files"


def _date(value: object) -> dt.date | None:
    return value if isinstance(value, dt.date) else None
