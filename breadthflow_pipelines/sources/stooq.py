"""Daily bars from Stooq's bulk archives, read member by member and never unpacked. Judges no bar.

They hold two kinds of files: one for each symbol, named after it (``data/daily/us/nasdaq stocks/1/aapl.us.txt``), and
one for each day, with the symbols in a column (``20241122_d.txt``). Old archives have the columns
``Date,Open,High,Low,Close,Volume,OpenInt``, current ones ``<TICKER>,<PER>,<DATE>,<TIME>,<OPEN>,<HIGH>,<LOW>,<CLOSE>,
<VOL>,<OPENINT>``.
"""

import datetime as dt
import hashlib
import io
import re
import zipfile
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import groupby
from pathlib import Path, PurePosixPath

import polars as pl

from breadthflow_pipelines.errors import RequestError, SourceError, printable
from breadthflow_pipelines.locations import shown
from breadthflow_pipelines.sessions import ExchangeCalendar
from breadthflow_pipelines.sources import naming, parsing
from breadthflow_pipelines.sources.delimited import lines
from breadthflow_pipelines.sources.layout import Options
from breadthflow_pipelines.sources.listing import (
    Sessions,
    members_by_bars,
    reach_of_members,
    securities_of,
    whole_spans,
)
from breadthflow_pipelines.sources.naming import STOOQ_MARKETS as MARKETS
from breadthflow_pipelines.sources.protocol import (
    READ_SCHEMA,
    Account,
    Chunk,
    Description,
    Outcome,
    Reading,
)
from breadthflow_pipelines.sources.tables import Table
from breadthflow_pipelines.sources.tree import TableFile, opened
from breadthflow_pipelines.sources.unreadable import UnreadableError, noting_failure
from breadthflow_pipelines.sources.web import Web, is_page

CHUNK_ROWS = 300_000
CHUNK_MEMBERS = 500
MEMBER_BYTES = 64 * 2**20  # IBM since 1962 has 700 kB, a day of all markets some 3 MB

_SPANS = pl.Schema({"symbol": pl.String, "opened": pl.Date, "closed": pl.Date})
_OF_SYMBOL = re.compile(r"(?P<ticker>[a-z0-9^_.-]+)\.(?P<market>[a-z]{2})\.txt")
_OF_DAY = re.compile(r"(\d{8}|data)_d(_[a-z]+)?\.txt")
_OTHER_PERIODS = ("hourly", "5 min")


@dataclass(frozen=True)
class _Member:
    """A file of the archive. symbol: ours; None where a column has it."""

    name: str
    symbol: str | None


@dataclass
class _Progress:
    """What has been read: symbols with bars, the last session of each, symbols of damaged files, and problems.

    account: of all lines read; delivered: rows that became bars.
    """

    fetched: set[str] = field(default_factory=set)
    reach: dict[str, dt.date] = field(default_factory=dict)
    failed: set[str] = field(default_factory=set)
    problems: list[str] = field(default_factory=list)
    account: Account = field(default_factory=Account)
    files: int = 0
    delivered: int = 0


class Stooq:
    """An archive (.zip), one file of it, or a directory with its files, at a path or an http(s) address.

    Stooq adjusts prices for splits and dividends and gives no second close. A symbol may have files in two directories,
    as after a change of exchange: all of its rows come in one chunk, so that the contract can compare them.

    location: what to read. markets: those wanted; symbols of the first have no suffix (AAPL), those of others
    keep their market (BP.UK). directory: where an archive from an address is kept, to be updated by the next run.
    instruments: a CSV with symbol, name, sector. calendar: the exchange's; without it, any day may have a
    bar, also one on which the exchange has not closed yet.
    """

    name = "stooq"
    synthetic = False

    def __init__(
        self,
        location: Path | str,
        markets: Sequence[str],
        web: Web,
        directory: Path,
        instruments: Path | None = None,
        calendar: ExchangeCalendar | None = None,
    ) -> None:
        unknown = [market for market in markets if market not in MARKETS]
        if unknown or not markets:
            raise RequestError(
                f"BREADTHFLOW_MARKETS: {', '.join(unknown) or 'nothing'} is not a market of Stooq's; "
                f"there are: {', '.join(MARKETS)}."
            )
        self.location = location
        self.markets = tuple(markets)
        self.instruments = instruments
        self.calendar = calendar
        zone = calendar.timezone if calendar else Options.zone
        self._options = Options(markets=self.markets, only_markets=True, zone=zone)
        self._web = web
        self._directory = directory

    def describe(self) -> Description:
        """What is at the location. An archive at an address is not downloaded for that: its symbols may be unknown."""
        if isinstance(self.location, str):
            self._web.check(self.location)
        there = isinstance(self.location, Path) or self._copy.exists()
        return Description(
            name=self.name,
            about=f"daily bars of {', '.join(self.markets)} from Stooq's archive {shown(self.location)}",
            synthetic=self.synthetic,
            symbols=len(self._symbols) if there else None,
            first_session=None,
            last_session=None,
        )

    def securities(self) -> pl.DataFrame:
        """One row per symbol, sorted, valid without limits, the symbol as its key; name and sector as far as known."""
        return securities_of(self._symbols, self.instruments)

    def members(self) -> pl.DataFrame:
        """Universe ``all``: each symbol from its first bar until the day after its last; open if that is recent.

        Reads the whole archive; with a universe file that is not necessary.
        """
        return members_by_bars(self._spans)

    def members_reach(self) -> dt.date | None:
        """The last day of a row that may be a bar; None where there is none."""
        return reach_of_members(self._spans)

    def bars(self, symbols: Collection[str] | None, start: dt.date, end: dt.date) -> Iterator[Chunk]:
        """Bars as Source.bars says; a last chunk without bars settles the symbols that gave none, and names problems.

        FETCHED: has a bar in the range. FAILED: a file of it cannot be read. NOT_YET: its files end before ``start``.
        ABSENT: in no file, or its files reach the range without a bar of it.
        """
        wanted = None if symbols is None else set(symbols)
        files = [file for file in self._files if wanted is None or file.symbol is None or file.symbol in wanted]
        progress = _Progress()
        latest = self.calendar.last_closed() if self.calendar else dt.date.max
        for together in self._read(files, wanted, progress):
            # A row without a date, or of a day to come, counts at the end of its file, and where that is not asked for
            # yet, at the last session that is: exactly one of many calls delivers it.
            ending = [symbol for symbol, last in progress.reach.items() if start <= min(last, latest) <= end]
            come = parsing.session_come(self._options.zone)
            undated = come.is_null() & pl.col("symbol").is_in(ending)
            bars = together.filter(come.is_between(start, end) | undated)
            if bars.is_empty():
                continue
            here = set(bars["symbol"].drop_nulls().unique())
            progress.fetched |= here
            progress.delivered += bars.height
            yield Chunk(bars, dict.fromkeys(here, Outcome.FETCHED))
        asked = {file.symbol for file in files if file.symbol} | progress.reach.keys() if wanted is None else wanted
        found = {symbol: _outcome(symbol, progress, start) for symbol in asked}
        outcomes = {symbol: outcome for symbol, outcome in found.items() if outcome is not None}
        reading = Reading(progress.files, progress.account, progress.delivered)
        yield Chunk(pl.DataFrame(schema=READ_SCHEMA), outcomes, tuple(progress.problems), reading)

    def _read(self, files: Sequence[_Member], wanted: set[str] | None, progress: _Progress) -> Iterator[pl.DataFrame]:
        """All bars of those files in READ_SCHEMA, in pieces of some CHUNK_ROWS; a symbol's own files stay together."""
        frames, rows, number = [pl.DataFrame(schema=READ_SCHEMA)], 0, 0
        with self._opened() as archive:
            for _, same in groupby(files, key=lambda file: file.symbol):
                for file in same:
                    bars = self._bars(archive, file, progress)
                    if wanted is not None and file.symbol is None:
                        bars = bars.filter(pl.col("symbol").is_in(list(wanted)))
                    frames.append(bars)
                    rows, number = rows + bars.height, number + 1
                if rows > CHUNK_ROWS or number >= CHUNK_MEMBERS:
                    yield pl.concat(frames)
                    frames, rows, number = [frames[0]], 0, 0
        if rows:
            yield pl.concat(frames)

    def _bars(self, archive: "_Archive", file: _Member, progress: _Progress) -> pl.DataFrame:
        """The daily rows of a file, those of other markets left out; what cannot be read is noted in ``progress``."""
        frames = [pl.DataFrame(schema=READ_SCHEMA)]
        problems: dict[_Member, str] = {}
        with noting_failure(file, problems):
            content = archive.read(file.name)
            if is_page(content):
                raise UnreadableError("it is a web page, not a table")
            if content.strip():
                about = TableFile(Path(file.name))
                table = Table(io.BufferedReader(io.BytesIO(content)), about, self._options, file.symbol)
                frames += table.bars(dt.date.min, dt.date.max)
                progress.account += table.account
            else:  # symbols that are new have empty files
                blank = len(lines(content))
                progress.account += Account(lines=blank, blank=blank)
            progress.files += 1
        for why in problems.values():
            progress.problems.append(f"{printable(file.name)} in {shown(self.location)}: {why}")
            if file.symbol is not None:
                progress.failed.add(file.symbol)
            return frames[0]
        bars = pl.concat(frames)
        lasts = bars.group_by("symbol").agg(parsing.session_come(self._options.zone).max())
        for symbol, last in lasts.drop_nulls().iter_rows():
            progress.reach[symbol] = max(last, progress.reach.get(symbol, last))
        return bars

    @cached_property
    def _files(self) -> list[_Member]:
        """The members that are wanted, sorted by symbol."""
        with self._opened() as archive:
            found = [_Member(name, symbol) for name in archive.names() for symbol in self._meaning(name)]
        if not found:
            raise RequestError(
                f"{shown(self.location)} has no daily bars of {', '.join(self.markets)} in Stooq's form; "
                "set BREADTHFLOW_SOURCE_PATH or BREADTHFLOW_MARKETS."
            )
        return sorted(found, key=lambda file: (file.symbol or "", file.name))

    def _meaning(self, name: str) -> tuple[str | None, ...]:
        """The symbol of a member, None for a day of all symbols; empty where it is not wanted."""
        path = PurePosixPath(name.lower())
        if any(part in _OTHER_PERIODS for part in path.parts):
            return ()
        if match := _OF_SYMBOL.fullmatch(path.name):
            wanted = match["market"] in self.markets
            return (naming.symbol_of_stooq(match["ticker"], match["market"], self.markets),) if wanted else ()
        return (None,) if _OF_DAY.fullmatch(path.name) else ()

    @cached_property
    def _symbols(self) -> list[str]:
        """All symbols, sorted; files of a day have to be read to know theirs."""
        named = {file.symbol for file in self._files if file.symbol is not None}
        days = [file for file in self._files if file.symbol is None]
        inside = {
            symbol for bars in self._read(days, None, _Progress()) for symbol in bars["symbol"].drop_nulls().unique()
        }
        return sorted(named | inside)

    @cached_property
    def _spans(self) -> pl.DataFrame:
        """symbol, opened, closed: the first and the last row that may be a bar."""
        sessions = Sessions(parsing.today(self._options.zone), self.calendar)
        spans = [
            bars.filter(sessions.include(bars["session"]) & bars["fault"].is_null())
            .group_by("symbol")
            .agg(opened=pl.col("session").min(), closed=pl.col("session").max())
            for bars in self._read(self._files, None, _Progress())
        ]
        return whole_spans(pl.concat([pl.DataFrame(schema=_SPANS), *spans]))

    @property
    def _copy(self) -> Path:
        """Where the archive of an address is kept; each address has its own copy."""
        address = str(self.location)
        suffix = ".txt" if shown(address).lower().endswith(".txt") else ".zip"
        return self._directory / f"{hashlib.sha256(address.encode()).hexdigest()[:16]}{suffix}"

    @cached_property
    def _local(self) -> Path:
        if isinstance(self.location, Path):
            return self.location
        if not self._web.fetch(self.location, self._copy):
            raise RequestError(f"{shown(self.location)} does not exist; correct BREADTHFLOW_SOURCE_PATH.")
        return self._copy

    def _opened(self) -> "_Archive":
        path = self._local
        if not path.exists():
            raise RequestError(f"{shown(path)} does not exist; set BREADTHFLOW_SOURCE_PATH to an archive of Stooq's.")
        problems: dict[Path, str] = {}
        with noting_failure(path, problems):
            return _Archive(path)
        page = path.is_file() and is_page(path.read_bytes()[:1024])
        if isinstance(self.location, str):
            path.unlink(missing_ok=True)  # the next run asks for it again
        why = "it is a web page" if page else problems[path]
        # An address may give a whole one next time.
        kind = SourceError if isinstance(self.location, str) else RequestError
        raise kind(f"{shown(self.location)} is not an archive that can be read: {why}. Fetch it again.")


class _Archive:
    """A ZIP file, a directory or a single file, as names with contents; a context that closes what it opened."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._zip = zipfile.ZipFile(path) if path.is_file() and path.suffix.lower() != ".txt" else None

    def __enter__(self) -> "_Archive":
        return self

    def __exit__(self, *_: object) -> None:
        if self._zip is not None:
            self._zip.close()

    def names(self) -> list[str]:
        if self._zip is not None:
            return [info.filename for info in self._zip.infolist() if not info.is_dir()]
        if self._path.is_file():
            return [self._path.name]
        return [path.relative_to(self._path).as_posix() for path in self._path.rglob("*.txt") if path.is_file()]

    def read(self, name: str) -> bytes:
        if self._zip is not None:
            if self._zip.getinfo(name).file_size > MEMBER_BYTES:
                raise UnreadableError(f"it has more than {MEMBER_BYTES >> 20} MiB")
            return self._zip.read(name)
        with opened(self._path if self._path.is_file() else self._path / name) as file:
            return file.read()


def _outcome(symbol: str, progress: _Progress, start: dt.date) -> Outcome | None:
    """The final outcome of a symbol without bars, or not all; None where it stays FETCHED."""
    if symbol in progress.failed:
        return Outcome.FAILED
    if symbol in progress.fetched:
        return None
    return Outcome.NOT_YET if symbol in progress.reach and progress.reach[symbol] < start else Outcome.ABSENT
