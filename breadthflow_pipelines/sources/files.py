"""Daily bars from Parquet and CSV files, one or a directory of them. Judges no bar: the contract does that later.

A first look reads only symbols and dates of every file, once for each object, and says what is where. Bars are then
read lazily, file by file, and a file with many symbols year by year, so memory does not grow with the history.
"""

import calendar
import datetime as dt
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import polars as pl

from breadthflow_pipelines.errors import RequestError, SourceError
from breadthflow_pipelines.sources import cells
from breadthflow_pipelines.sources.protocol import BAR_SCHEMA, MEMBER_SCHEMA, Chunk, Description, Outcome
from breadthflow_pipelines.sources.universe_file import INSTRUMENT_SCHEMA, read_instruments

SUFFIXES = (".parquet", ".csv", ".txt")
MARKETS = ("us", "uk", "de", "jp", "hk", "hu", "pl")  # Stooq's: aapl.us.txt; `bf.b.csv` keeps its share class
SYNONYMS: Mapping[str, tuple[str, ...]] = {  # the first one that a file has counts
    "symbol": ("symbol", "ticker", "name"),  # name: Yahoo collections put the ticker there
    "session": ("session", "date"),
    "close_adjusted": ("close_adjusted", "adj_close"),
}
OPTIONAL = ("symbol", "close_adjusted")  # a symbol may stand in the file's name, an adjusted close nowhere
NUMBERS = tuple(name for name, dtype in BAR_SCHEMA.items() if dtype == pl.Float64)
CHUNK_ROWS = 300_000
CHUNK_FILES = 256  # reading a file costs memory for its rows outside the range, too
STILL_LISTED = dt.timedelta(days=10)  # a symbol whose last bar is no older than this against the newest is listed

_NAME_SYMBOL = re.compile(r"[A-Z0-9^][A-Z0-9._^=-]{0,19}")
_LOOK_SCHEMA = pl.Schema(
    {
        "path": pl.String,
        "symbol": pl.String,
        "year": pl.Int32,
        "first": pl.Date,
        "last": pl.Date,
        "rows": pl.Int64,
        "reach": pl.Date,  # the file's last session
    }
)


class _UnfitError(Exception):
    """A file that can be opened but holds no bars; the message is the reason."""


# Polars panics, instead of raising an error, on some Parquet pages that were damaged.
_READ_ERRORS = (_UnfitError, pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError)


@dataclass(frozen=True)
class _Look:
    """What a first look found: one row per file, symbol and year, and the reason for each file it could not use."""

    held: pl.DataFrame
    problems: Mapping[Path, str]


@dataclass(frozen=True)
class _Piece:
    """The part of one file from start through end; undated says that the rows without a date belong to it."""

    path: Path
    start: dt.date
    end: dt.date
    undated: bool
    rows: int


class Files:
    """A file or a directory (searched through and through, hidden files left out) of .parquet, .csv and .txt.

    Layouts known without configuration, columns in any order and any case, surplus ones ignored:
    ``symbol, session, open, high, low, close, volume[, close_adjusted]``; Stooq's
    ``Date,Open,High,Low,Close,Volume,OpenInt``; Yahoo's ``Date,High,Low,Open,Close,Volume,Adj Close,Name``. Where no
    column holds the symbol the file's name does: ``brk-b.us.txt`` is BRK-B. Symbols are upper case throughout. Dates
    are YYYY-MM-DD, YYYYMMDD, Parquet Date or Datetime; dates in the future count for nothing here.

    A cell that is no number becomes null, as does a date that cannot be read. A row without a date is placed at its
    file's last session: it comes with the call and the chunk whose range holds that session, so a history fetched in
    pieces shows it once. Blank lines are no rows.

    path: where to read. columns: other names of columns, ours to theirs, ``{"session": "Day", "close": "Last"}``.
    instruments: a CSV with symbol, name, sector.
    """

    name = "files"
    synthetic = False

    def __init__(self, path: Path, columns: Mapping[str, str] | None = None, instruments: Path | None = None) -> None:
        self.path = path
        self.columns = dict(columns or {})
        self.instruments = instruments
        unknown = [ours for ours in self.columns if ours not in BAR_SCHEMA]
        if unknown:
            raise RequestError(
                f"The column mapping names {', '.join(unknown)}, which no bar has; ours are {', '.join(BAR_SCHEMA)}."
            )

    def describe(self) -> Description:
        held = self._look.held
        return Description(
            name=self.name,
            about=f"bars read from {self.path}",
            synthetic=self.synthetic,
            symbols=held["symbol"].drop_nulls().n_unique(),
            first_session=_date(held["first"].min()),
            last_session=_date(held["last"].max()),
        )

    def securities(self) -> pl.DataFrame:
        """One row per symbol, sorted, valid without limits, the symbol as its key; name and sector as far as known."""
        known = read_instruments(self.instruments) if self.instruments else pl.DataFrame(schema=INSTRUMENT_SCHEMA)
        symbols = self._look.held.select(pl.col("symbol").drop_nulls().unique().sort())
        return symbols.join(known, on="symbol", how="left", maintain_order="left").select(
            pl.col("symbol").alias("source_key"),
            "symbol",
            pl.lit(None, pl.Date).alias("valid_from"),
            pl.lit(None, pl.Date).alias("valid_to"),
            "name",
            "sector",
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
        """Bars as Source.bars says; a last chunk without bars settles the symbols that gave none.

        FETCHED: has a bar in the range. FAILED: its file could not be read, or not to its end. NOT_YET: every file
        that holds the symbol ends before ``start``. ABSENT: in no file, or a file reaches the range without a bar of
        it. Rows whose symbol cannot be read come along with any request, so that they can be rejected.
        """
        held = self._look.held
        if symbols is not None:
            held = held.filter(pl.col("symbol").is_in(list(symbols)) | pl.col("symbol").is_null())
        problems = dict(self._look.problems)
        fetched: set[str] = set()
        for batch in _batches(_pieces(held, start, end)):
            bars = self._read(batch, symbols, problems)
            if bars.is_empty():
                continue
            here = set(bars.filter(pl.col("session").is_not_null())["symbol"].drop_nulls().unique())
            fetched |= here
            yield Chunk(bars, dict.fromkeys(here, Outcome.FETCHED))
        outcomes = _outcomes(held, problems, fetched, symbols, start)
        if outcomes or problems:
            named = tuple(f"{path}: {reason}" for path, reason in problems.items())
            yield Chunk(pl.DataFrame(schema=BAR_SCHEMA), outcomes, named)

    @cached_property
    def _look(self) -> _Look:
        looks: list[pl.DataFrame] = []
        problems: dict[Path, str] = {}
        headers: set[str] = set()
        paths = self._paths()
        for path in paths:
            try:
                scan = _open(path)
                headers.update(map(_key, scan.collect_schema().names()))
                looks.append(_look_into(path, self._shape(path, scan)))
            except _READ_ERRORS as error:
                problems[path] = _reason(error)
        strangers = [f"{ours}={theirs}" for ours, theirs in self.columns.items() if _key(theirs) not in headers]
        if strangers and headers:
            raise RequestError(f"No file in {self.path} has the columns mapped as {', '.join(strangers)}.")
        if not looks:
            path, reason = next(iter(problems.items()))
            raise SourceError(f"None of the {len(paths)} file(s) in {self.path} can be read. {path.name}: {reason}.")
        return _Look(pl.concat(looks), problems)

    def _paths(self) -> list[Path]:
        if self.path.is_file():
            if self.path.suffix.lower() not in SUFFIXES:
                raise RequestError(f"{self.path} is none of {', '.join(SUFFIXES)}; set BREADTHFLOW_SOURCE_PATH.")
            return [self.path]
        if not self.path.is_dir():
            raise RequestError(f"{self.path} does not exist; set BREADTHFLOW_SOURCE_PATH to a file or a directory.")
        paths = sorted(
            path
            for path in self.path.rglob("*")
            if path.suffix.lower() in SUFFIXES
            and not any(part.startswith(".") for part in path.relative_to(self.path).parts)
            and path.is_file()
            and not (self.instruments and self.instruments.exists() and path.samefile(self.instruments))
        )
        if not paths:
            raise RequestError(f"{self.path} holds no {', '.join(SUFFIXES)} file; set BREADTHFLOW_SOURCE_PATH.")
        return paths

    def _shape(self, path: Path, scan: pl.LazyFrame) -> pl.LazyFrame:
        """BAR_SCHEMA's columns of a file as it is, and ``blank``: whether a row says nothing at all."""
        schema = scan.collect_schema()
        theirs = self._columns(schema.names())
        if "symbol" in theirs:
            symbol = cells.text(theirs["symbol"]).str.to_uppercase()
            symbol = pl.when(symbol != "").then(symbol)
        elif name := _symbol_in_name(path):
            symbol = pl.lit(name)
        else:
            raise _UnfitError("no column holds the symbol, and the file's name is none")
        numbers = {
            ours: cells.number(theirs[ours], schema[theirs[ours]]) if ours in theirs else pl.lit(None, pl.Float64)
            for ours in NUMBERS
        }
        session = cells.day(theirs["session"], schema[theirs["session"]])
        blank = pl.all_horizontal(cells.text(column).fill_null("") == "" for column in theirs.values())
        return scan.select(symbol=symbol, session=session, **numbers, blank=blank)

    def _columns(self, names: Iterable[str]) -> dict[str, str]:
        """Our columns to this file's, as the mapping and the known names say."""
        by_key: dict[str, str] = {}
        for name in names:
            by_key.setdefault(_key(name), name)
        found: dict[str, str] = {}
        for ours in BAR_SCHEMA:
            candidates = (_key(self.columns[ours]),) if ours in self.columns else SYNONYMS.get(ours, (ours,))
            known = next((by_key[key] for key in candidates if key in by_key), None)
            if known is not None:
                found[ours] = known
        missing = [ours for ours in BAR_SCHEMA if ours not in found and (ours in self.columns or ours not in OPTIONAL)]
        if missing:
            raise _UnfitError(f"no column for {', '.join(missing)}; its columns are {', '.join(by_key.values())}")
        return found

    def _read(self, batch: list[_Piece], symbols: Collection[str] | None, problems: dict[Path, str]) -> pl.DataFrame:
        """The bars of those pieces; a file that fails is added to ``problems`` and not read again."""
        session, symbol = pl.col("session"), pl.col("symbol")
        frames = [pl.DataFrame(schema=BAR_SCHEMA)]
        for piece in batch:
            if piece.path in problems:
                continue
            asked = session.is_between(piece.start, piece.end)
            if piece.undated:
                asked |= session.is_null() & ~pl.col("blank")
            if symbols is not None:
                asked &= symbol.is_in(list(symbols)) | symbol.is_null()
            try:
                frames.append(self._shape(piece.path, _open(piece.path)).filter(asked).drop("blank").collect())
            except _READ_ERRORS as error:
                problems[piece.path] = _reason(error)
        return pl.concat(frames)


def _open(path: Path) -> pl.LazyFrame:
    if path.suffix.lower() == ".parquet":
        return pl.scan_parquet(path, glob=False)
    # Everything as text: a guessed type would fail on the first cell that is no number.
    return pl.scan_csv(path, infer_schema=False, encoding="utf8-lossy", truncate_ragged_lines=True, glob=False)


def _look_into(path: Path, bars: pl.LazyFrame) -> pl.DataFrame:
    """The rows of _LOOK_SCHEMA for one file; rows without a date count in the year of its last session."""
    session = pl.col("session")
    tomorrow = dt.datetime.now(dt.UTC).date() + dt.timedelta(days=1)  # somewhere it is tomorrow already
    found = (
        bars.filter(session.is_null() | (session <= tomorrow))
        .group_by("symbol", year=session.dt.year())
        .agg(first=session.min(), last=session.max(), rows=pl.len())
        .collect(engine="streaming")
    )
    reach = _date(found["last"].max())
    if reach is None:
        raise _UnfitError("not a single date can be read in it" if found.height else "it holds no rows")
    return found.select(
        path=pl.lit(str(path)),
        symbol="symbol",
        year=pl.col("year").fill_null(reach.year),
        first="first",
        last="last",
        rows="rows",
        reach=pl.lit(reach),
    ).cast(_LOOK_SCHEMA)


def _pieces(held: pl.DataFrame, start: dt.date, end: dt.date) -> Iterator[list[_Piece]]:
    """What to read, in the order of files: a file whole, or by years and months where it holds too much.

    Files that hold the same sessions of a symbol come together, cut alike: only a chunk that has all rows of a session
    lets its contract see that they differ.
    """
    asked = held.filter(pl.col("year").is_between(start.year, end.year))
    together = _together(asked)
    files = asked.group_by("path").agg(pl.col("reach").first(), undated=pl.col("first").is_null().any())
    facts = {path: (reach, undated) for path, reach, undated in files.iter_rows()}
    years = (
        asked.with_columns(leader=pl.col("path").replace(together))
        .group_by("leader", "year")
        .agg(pl.col("rows").sum(), pl.col("path").unique().sort())
        .sort("leader", "year")
        .group_by("leader", maintain_order=True)
        .agg("year", "rows", pl.col("path").explode().unique().sort())
    )
    for _, of_years, rows, paths in years.iter_rows():
        for first, last, count in _spans(of_years, rows, start, end):
            yield [
                _Piece(Path(path), first, last, undated and first <= reach <= last, count // len(paths))
                for path in paths
                for reach, undated in [facts[path]]
            ]


def _together(held: pl.DataFrame) -> dict[str, str]:
    """Each file that shares sessions of a symbol with another one, and the first file of all that hang together so."""
    leader: dict[str, str] = {}

    def lead(path: str) -> str:
        while leader.get(path, path) != path:
            path = leader[path]
        return path

    spans = held.drop_nulls("symbol").group_by("symbol", "path").agg(pl.col("first").min(), pl.col("last").max())
    several = spans.filter(pl.len().over("symbol") > 1).sort("symbol", "first", "path")
    for _, rows in several.group_by("symbol", maintain_order=True):
        reached, furthest = dt.date.min, ""
        for path, first, last in rows.select("path", "first", "last").iter_rows():
            if first <= reached:
                one, other = sorted((lead(path), lead(furthest)))
                leader[one], leader[other] = one, one
            if last > reached:
                reached, furthest = last, path
    return {path: lead(path) for path in leader}


def _spans(years: list[int], rows: list[int], start: dt.date, end: dt.date) -> Iterator[tuple[dt.date, dt.date, int]]:
    """The range in parts of about CHUNK_ROWS rows at most, with the rows to expect: whole, else years, else months."""
    if sum(rows) <= CHUNK_ROWS:
        yield start, end, sum(rows)
        return
    for year, count in zip(years, rows, strict=True):
        months = 12 if count <= CHUNK_ROWS else 1
        for month in range(1, 13, months):
            until = month + months - 1
            first = max(start, dt.date(year, month, 1))
            last = min(end, dt.date(year, until, calendar.monthrange(year, until)[1]))
            if first <= last:
                yield first, last, count * months // 12


def _batches(together: Iterable[list[_Piece]]) -> Iterator[list[_Piece]]:
    batch: list[_Piece] = []
    rows = 0
    for pieces in together:
        more = sum(piece.rows for piece in pieces)
        if batch and (rows + more > CHUNK_ROWS or len(batch) + len(pieces) > CHUNK_FILES):
            yield batch
            batch, rows = [], 0
        batch += pieces
        rows += more
    if batch:
        yield batch


def _outcomes(
    held: pl.DataFrame,
    problems: Mapping[Path, str],
    fetched: Collection[str],
    symbols: Collection[str] | None,
    start: dt.date,
) -> dict[str, Outcome]:
    """The last word on every symbol that was asked for and not fetched, or not in full."""
    broken = held.filter(pl.col("path").is_in([str(path) for path in problems]))
    failed = set(broken["symbol"].drop_nulls()) | {name for path in problems if (name := _symbol_in_name(path))}
    reach = dict(held.drop_nulls("symbol").group_by("symbol").agg(pl.col("reach").max()).iter_rows())
    outcomes: dict[str, Outcome] = {}
    for symbol in (reach.keys() | failed) if symbols is None else set(symbols):
        if symbol in failed:
            outcomes[symbol] = Outcome.FAILED
        elif symbol not in fetched:
            outcomes[symbol] = Outcome.NOT_YET if symbol in reach and reach[symbol] < start else Outcome.ABSENT
    return outcomes


def _key(name: str) -> str:
    return name.strip().lower().replace(" ", "_")


def _symbol_in_name(path: Path) -> str | None:
    stem, _, market = path.stem.rpartition(".")
    symbol = (stem if stem and market.lower() in MARKETS else path.stem).upper()
    return symbol if _NAME_SYMBOL.fullmatch(symbol) else None


def _date(value: object) -> dt.date | None:
    return value if isinstance(value, dt.date) else None


def _reason(error: BaseException) -> str:
    """The first line of what went wrong, fit for a terminal whatever bytes the file held."""
    line = str(error.strerror if isinstance(error, OSError) and error.strerror else error).split("\n", 1)[0]
    return "".join(char if char.isprintable() else "?" for char in line[:200])
