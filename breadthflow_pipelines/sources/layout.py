"""The layout of a table: its columns by our names, the position of its symbol, and its rows as bars. Judges no bar.

A cell that cannot be read is null, and its text is kept beside its row (UNREAD_SCHEMA), like that of a rejected line.
"""

import datetime as dt
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache

import polars as pl
import pyarrow as pa

from breadthflow_pipelines.errors import RequestError, printable
from breadthflow_pipelines.sources import naming, parsing
from breadthflow_pipelines.sources.delimited import RejectedLine
from breadthflow_pipelines.sources.naming import key
from breadthflow_pipelines.sources.protocol import BAR_SCHEMA, UNREAD_SCHEMA
from breadthflow_pipelines.sources.tree import TableFile
from breadthflow_pipelines.sources.unreadable import UnreadableError, shortened

# Names that a column may have, as ``key`` gives them; the first one that a table has counts.
SYNONYMS: Mapping[str, tuple[str, ...]] = {
    "symbol": ("symbol", "ticker", "name"),  # name: Yahoo collections put the ticker there
    "session": ("session", "date"),
    "volume": ("volume", "vol"),
    "close_adjusted": ("closeadjusted", "adjclose", "adjustedclose", "closeadj", "adjcloseprice", "adjustedcloseprice"),
}
OPTIONAL = ("symbol", "close_adjusted")  # a symbol may be in the file's name, an adjusted close may be missing
NUMBERS = tuple(name for name, dtype in BAR_SCHEMA.items() if dtype == pl.Float64)
TICKERS = 0.9  # least share of symbols in the distinct cells of a column ``Name`` that holds symbols, not companies
MOST_RAW = 1_000  # characters that are kept of an unreadable line, or of the unreadable cells of a row
MOST_NAME = 60  # characters of a column's name that are shown
HEADERS_TRIED = 100  # rows without a day that are searched for another header

_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+")  # AdjClose has two
_OUR_WORDS = frozenset({"symbol", "ticker", "date", "session", "open", "high", "low", "close", "volume", "vol", "adj"})
_NOT_OURS = ("openint", "openinterest", "lastupdated", "dividends", "stocksplits")
_NOTHING_UNREAD = {name: pl.lit(None, kind) for name, kind in UNREAD_SCHEMA.items()}
_TICKER = r"^[A-Z0-9^][A-Z0-9._^=/-]{0,19}$"


@dataclass(frozen=True)
class Options:
    """How tables are to be read.

    columns: other names of columns, ours to theirs, ``{"session": "Day", "close": "Last"}``. symbol: its position,
    "filename" or the end of a path such as ``{symbol}_data.csv``; None: in a column, a directory or the file's name.
    markets: Stooq's; the symbols of the first have no suffix; only_markets: rows of others are skipped. zone: the
    exchange's, in which timestamps in UTC have their day.

    Raises:
        RequestError: columns has a name that is not one of ours.
    """

    columns: Mapping[str, str] = field(default_factory=dict)
    symbol: str | None = None
    markets: tuple[str, ...] = ("us",)
    only_markets: bool = False
    zone: str = "America/New_York"

    def __post_init__(self) -> None:
        unknown = [ours for ours in self.columns if ours not in BAR_SCHEMA]
        if unknown:
            raise RequestError(
                f"The column mapping names {', '.join(unknown)}, which no bar has; ours are {', '.join(BAR_SCHEMA)}."
            )


class Layout:
    """The layout of one table, from its columns and its path. It accompanies one reading from beginning to end.

    symbol: whose bars these are, where that is known. wanted: the indices of the columns to read. unused: columns that
    look like ours and are not used. by_column: whether a column has the symbols. own_name: the symbol, where it is the
    file's name. passed_over: skipped rows. unread_day: the text of the first cell that is not a day.

    Raises:
        UnreadableError: a column is missing, or there is no symbol.
    """

    def __init__(self, names: Sequence[str], file: TableFile, options: Options, symbol: str | None = None) -> None:
        self._known = symbol
        self._names, self._file, self._options = tuple(names), file, options
        self._said = naming.in_directories(file)
        self._columns = self._found()
        missing = [ours for ours in BAR_SCHEMA if ours not in self._columns and not self._may_lack(ours)]
        if missing:
            raise UnreadableError(
                f"no column for {', '.join(missing)}; its columns are {', '.join(names)}{_hint(names)}"
            )
        self.by_column = "symbol" in self._columns
        self.own_name: str | None = None
        self.symbol = None if self.by_column else self._own_symbol()
        self._stooq = any(name.startswith("<") for name in names)
        self._period = next((at for at, name in enumerate(names) if self._stooq and key(name) == "per"), None)
        self.unread_day = ""
        self._companies: int | None = None  # the index of a column of companies' names
        self._company: str | None = None
        self.passed_over = 0
        self.wanted = sorted({*self._columns.values(), *([self._period] if self._period is not None else [])})
        surplus = (name for at, name in enumerate(names) if at not in self.wanted)
        self.unused = tuple(shortened(name, MOST_NAME) for name in surplus if _is_like_ours(name))

    @property
    def key_columns(self) -> list[int]:
        """The indices of the columns with symbol and day."""
        numbers = [at for ours, at in self._columns.items() if ours in NUMBERS]
        return [at for at in self.wanted if at not in numbers] or self.wanted

    @property
    def expected(self) -> dict[int, pa.DataType]:
        """The types that columns of text probably have: numbers and days."""
        return {
            at: pa.date32() if ours == "session" else pa.float64()
            for ours, at in self._columns.items()
            if ours != "symbol"
        }

    @property
    def of_one_symbol(self) -> bool:
        """Whether each row is a daily bar of the table's own symbol, on the day that the row has."""
        return not self.by_column and self._period is None and self.day is not None

    @property
    def zone(self) -> str:
        """The time zone of the exchange."""
        return self._options.zone

    @property
    def day(self) -> int | None:
        """The index of the column with days."""
        return self._columns.get("session")

    def bars(self, rows: pl.DataFrame, rejected: Sequence[RejectedLine] = ()) -> pl.DataFrame:
        """Rows and rejected lines in READ_SCHEMA; symbols as their column spells them.

        rows: the wanted columns, named by their index.

        Raises:
            UnreadableError: a column has an impossible type, a second header, or several companies without symbols.
        """
        rows = self._wanted_of(rows)
        bars = rows.select_seq(
            **self._where(rows), **{ours: self._number(ours, rows) for ours in NUMBERS}, **_NOTHING_UNREAD
        )
        if any(bars[ours].null_count() for ours in self._columns):
            bars = self._with_unread(rows, bars)
        return pl.concat([bars, self._lines(rejected)]) if rejected else bars

    def symbols_and_sessions(self, rows: pl.DataFrame, rejected: Sequence[RejectedLine] = ()) -> pl.DataFrame:
        """Only symbol and session of the same, and ``whole``: that a row is no rejected line."""
        rows = self._wanted_of(rows)
        found = rows.select_seq(**self._where(rows))
        if found["session"].null_count():
            found = found.with_columns(session=self._moments(rows, found))
        found = found.with_columns(whole=pl.lit(value=True))
        if not rejected:
            return found
        return pl.concat([found, self._lines(rejected).select("symbol", "session", whole=pl.lit(value=False))])

    def _found(self) -> dict[str, int]:
        """The index of each of our columns that the table has."""
        found: dict[str, int | None] = {}
        for ours in BAR_SCHEMA:
            if ours in self._options.columns:
                found[ours] = column_index(self._options.columns[ours], self._names)
            else:
                indices = (column_index(theirs, self._names) for theirs in SYNONYMS.get(ours, (ours,)))
                found[ours] = next((at for at in indices if at is not None), None)
        if self._options.symbol or self._known:
            del found["symbol"]
        return {ours: at for ours, at in found.items() if at is not None}

    def _may_lack(self, ours: str) -> bool:
        if ours == "symbol" and self._options.symbol:
            return True
        return (ours in OPTIONAL and ours not in self._options.columns) or self._in_directory(ours) is not None

    def _in_directory(self, ours: str) -> str | None:
        """The symbol or the day in a directory such as ``symbol=AAA``."""
        if ours not in ("symbol", "session"):
            return None
        theirs = self._options.columns.get(ours)
        candidates = SYNONYMS[ours] if theirs is None else (key(theirs),)
        return next((self._said[name] for name in candidates if name in self._said), None)

    def _own_symbol(self) -> str:
        if self._known:
            return self._known
        if self._options.symbol:
            found = naming.symbol_by_setting(self._file, self._options.symbol)
            if found is None:
                long = parsing.too_long(self._file.stem) if self._options.symbol == naming.FILE_NAME else ""
                raise UnreadableError(
                    long or f"its path is not as BREADTHFLOW_SOURCE_SYMBOL={self._options.symbol} says"
                )
            return found
        said = self._in_directory("symbol")
        if said is not None:
            return parsing.spelled(said)
        if directory := naming.directory_of_something(self._file):
            raise UnreadableError(
                parsing.too_long(directory.partition("=")[2])
                or f"no column holds the symbol; if the directory {printable(directory)} does, set "
                f"BREADTHFLOW_SOURCE_COLUMNS=symbol={printable(directory.split('=')[0])}, and if the file's name does, "
                f"BREADTHFLOW_SOURCE_SYMBOL={naming.FILE_NAME}"
            )
        found = naming.symbol_of_file(self._file, self._names, self._options.markets)
        if found is None:
            raise UnreadableError(
                parsing.too_long(self._file.stem)
                or "no column holds the symbol, and the file's name does not look like one; if it is one, set "
                f"BREADTHFLOW_SOURCE_SYMBOL={naming.FILE_NAME}"
            )
        self.own_name = found if found == parsing.spelled(self._file.stem) else None  # else Stooq says what it is
        return found

    def _wanted_of(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Without rows of hours and minutes, and of other markets, which Stooq's tables may contain."""
        found = rows
        if self._period is not None:
            found = found.filter(parsing.text(str(self._period)).str.to_uppercase() == "D")
        if self._options.only_markets and self.by_column:
            endings = "|".join(self._options.markets)
            found = found.filter(parsing.text(str(self._columns["symbol"])).str.contains(rf"(?i)\.({endings})$"))
        self.passed_over += rows.height - found.height
        self._settle_companies(found)
        return found

    def _settle_companies(self, rows: pl.DataFrame) -> None:
        """Decide whether a column ``Name`` has symbols; if it has names of companies, there may only be one."""
        at = self._columns.get("symbol", self._companies)
        if at is None or key(self._names[at]) != "name" or "symbol" in self._options.columns:
            return
        named = rows.select(parsing.text(str(at)).unique()).to_series()
        named = named.filter(named != "")
        if self._companies is None:
            if named.is_empty() or named.str.contains(_TICKER).mean() >= TICKERS:  # type: ignore[operator]
                return
            self._companies = self._columns.pop("symbol")
            self.by_column = False
            self.symbol = self._own_symbol()
        companies = {*named, *([self._company] if self._company else [])}
        if len(companies) > 1:
            several = ", ".join(sorted(companies)[:2])
            raise UnreadableError(
                f"its column {self._names[at]} names companies ({several}) and no column has their symbols; name "
                "that with BREADTHFLOW_SOURCE_COLUMNS=symbol=..., or set "
                f"BREADTHFLOW_SOURCE_SYMBOL={naming.FILE_NAME} where they are one company"
            )
        self._company = next(iter(companies), None)

    def _where(self, rows: pl.DataFrame) -> dict[str, pl.Expr]:
        """The symbol and the session of each row."""
        at = self._columns.get("symbol")
        symbol = parsing.symbol(str(at)) if at is not None else pl.repeat(self.symbol, pl.len(), dtype=pl.String)
        if at is not None and self._stooq:
            symbol = naming.symbol_of_stooq_column(symbol, self._options.markets)
        at = self._columns.get("session")
        if at is None:
            return {"symbol": symbol, "session": pl.repeat(self._said_day, pl.len(), dtype=pl.Date)}
        return {"symbol": symbol, "session": parsing.day(str(at), rows.schema[str(at)])}

    @cached_property
    def _said_day(self) -> dt.date:
        """The day in a directory's name."""
        said = self._in_directory("session")
        frame = pl.DataFrame({"said": [said]}, schema={"said": pl.String})
        day = frame.select(parsing.day("said", pl.String())).item()
        if not isinstance(day, dt.date):
            raise UnreadableError(f"its directory says {said}, which is not a day")
        return day

    def _number(self, ours: str, rows: pl.DataFrame) -> pl.Expr:
        at = self._columns.get(ours)
        if at is None:
            return pl.lit(None, pl.Float64)
        if rows.schema[str(at)] == pl.Date:
            raise UnreadableError(f"its column {self._named(ours)} holds days and no numbers")
        return parsing.number(str(at), rows.schema[str(at)])

    def _moments(self, rows: pl.DataFrame, found: pl.DataFrame) -> pl.Series:
        """The sessions, including those written as timestamps; the first unreadable one is kept in ``unread_day``."""
        at = self._columns.get("session")
        if at is None or rows.schema[str(at)] == pl.Date:
            return found["session"]
        zone = self._options.zone
        session = found.with_columns(cell=rows[str(at)]).select(
            pl.coalesce("session", parsing.day_of_moment("cell", zone))
        )
        unread = rows.filter(session.to_series().is_null())[str(at)]
        self.unread_day = self.unread_day or next((printable(str(cell)) for cell in unread.drop_nulls()), "")
        return session.to_series()

    def _with_unread(self, rows: pl.DataFrame, bars: pl.DataFrame) -> pl.DataFrame:
        """The bars with timestamps read, and with the text of cells that gave no value."""
        bars = bars.with_columns(session=self._moments(rows, bars))
        self._refuse_another_header(rows, bars)
        written = [ours for ours in self._columns if self._is_written(ours, rows) and bars[ours].null_count()]
        texts = rows.select(parsing.text(str(self._columns[ours])).alias(ours) for ours in written)
        lost = {ours: bars[ours].is_null() & (texts[ours] != "") for ours in written}
        if not any(those.any() for those in lost.values()):
            return bars
        unread = texts.with_columns(pl.when(pl.lit(those)).then(ours).alias(ours) for ours, those in lost.items())
        faulty = {
            ours: pl.col(ours).is_not_null()
            & (pl.lit(ours == "symbol") | ~pl.col(ours).str.to_lowercase().is_in(parsing.MISSING))
            for ours in written
        }
        faults = unread.select(
            fault=pl.concat_str(
                [pl.when(wrong).then(parsing.unread(ours)) for ours, wrong in faulty.items()],
                separator=", ",
                ignore_nulls=True,
            ),
            raw=pl.concat_str([pl.format(f"{ours}={{}}", ours) for ours in written], separator=", ", ignore_nulls=True),
        )
        return bars.with_columns(
            fault=pl.Series(
                [f"{which} cannot be read" if which else None for which in faults["fault"]], dtype=pl.String
            ),
            raw=pl.Series([shortened(raw, MOST_RAW) if raw else None for raw in faults["raw"]], dtype=pl.String),
        )

    def _is_written(self, ours: str, rows: pl.DataFrame) -> bool:
        """Whether the column has text, or whole numbers in place of days; other types need no text."""
        dtype = rows.schema[str(self._columns[ours])]
        return dtype == pl.String or (ours == "session" and dtype != pl.Date)

    def _refuse_another_header(self, rows: pl.DataFrame, bars: pl.DataFrame) -> None:
        """Refuse a second header with other columns: below it, every number would be read as another one."""
        nothing = bars["session"].is_null() & bars["open"].is_null() & bars["close"].is_null()
        if not nothing.any():
            return
        days, closes = ({*SYNONYMS.get(ours, (ours,)), key(self._named(ours))} for ours in ("session", "close"))
        for row in rows.filter(nothing).unique(maintain_order=True).head(HEADERS_TRIED).iter_rows():
            keys = {key(str(cell)) for cell in row}
            if keys & days and keys & closes:
                header = ", ".join(str(cell) for cell in row)
                raise UnreadableError(f"another header stands among its rows ({header}); give each its own file")

    def _named(self, ours: str) -> str:
        """The table's own name of that column."""
        at = self._columns.get(ours)
        return self._names[at] if at is not None else ours

    def _lines(self, rejected: Sequence[RejectedLine]) -> pl.DataFrame:
        """Lines without the header's number of cells, with their symbol and day if those are known.

        Only cells before the first number are reliable, and a symbol only if there is a day.
        """
        first = min(at for ours, at in self._columns.items() if ours in NUMBERS)
        leading = {str(at): at for ours, at in self._columns.items() if ours not in NUMBERS}
        rows = pl.DataFrame(
            {
                name: [line.cells[at] if at < min(first, len(line.cells)) else None for line in rejected]
                for name, at in leading.items()
            }
            | {"line": [""] * len(rejected)},
            schema=dict.fromkeys((*leading, "line"), pl.String),
        )
        found = rows.select(**self._where(rows))
        session = self._moments(rows, found)
        return found.select(
            symbol=pl.when(session.is_not_null()).then("symbol") if self.by_column else "symbol",
            session=session,
            **dict.fromkeys(NUMBERS, pl.lit(None, pl.Float64)),
            fault=pl.Series([f"{_cells(len(line.cells))} under a header of {len(self._names)}" for line in rejected]),
            raw=pl.Series([shortened(line.text, MOST_RAW) for line in rejected]),
        )


@lru_cache(maxsize=1024)
def column_index(name: str, names: tuple[str, ...]) -> int | None:
    """The index of the column with that name: exactly, or else up to differences between vendors (``key``)."""
    if name in names:
        return names.index(name)
    keys = [key(theirs) for theirs in names]
    return keys.index(key(name)) if key(name) in keys and key(name) else None


def _is_like_ours(name: str) -> bool:
    words = {word.lower() for word in _WORD.findall(name)}
    like = bool(words & _OUR_WORDS) or key(name).startswith("adj") or "close" in key(name) or "volume" in key(name)
    return like and key(name) not in _NOT_OURS


def _cells(number: int) -> str:
    return "1 cell" if number == 1 else f"{number} cells"


def _hint(names: Sequence[str]) -> str:
    """The probable cause if a table has none of our columns."""
    header = "".join(names)
    if "\0" in header:
        return " (it looks like UTF-16; save it as UTF-8)"
    separators = {";": "semicolons", "\t": "tabs", "|": "bars"}
    written = [word for char, word in separators.items() if char in header]
    return f" (separated by {written[0]}, not by commas)" if written and len(names) == 1 else ""
