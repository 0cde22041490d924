"""What a source must offer. One file per source beside this one; none of them knows Dagster or SQL."""

import datetime as dt
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol, runtime_checkable

import polars as pl

BAR_SCHEMA = pl.Schema(
    {
        "symbol": pl.String,
        "session": pl.Date,
        "open": pl.Float64,
        "high": pl.Float64,
        "low": pl.Float64,
        "close": pl.Float64,
        "volume": pl.Float64,  # shares; a vendor may ship fractions after a split, the store rounds to whole shares
        "close_adjusted": pl.Float64,  # splits and dividends; null where the source has none
    }
)
UNREAD_SCHEMA = pl.Schema(  # of a source that knows it, beside BAR_SCHEMA
    {
        "fault": pl.String,  # why a row is none that can be read, as the reason to reject it; null where it is one
        "raw": pl.String,  # what stands in the cells that cannot be read, or the whole line
    }
)
READ_SCHEMA = pl.Schema({**BAR_SCHEMA, **UNREAD_SCHEMA})
SECURITY_SCHEMA = pl.Schema(
    {
        "source_key": pl.String,  # names the company within its source and never changes; often just the symbol
        "symbol": pl.String,
        "valid_from": pl.Date,  # first day of the symbol for this company; null: as far back as known
        "valid_to": pl.Date,  # first day on which it no longer is; null: still
        "name": pl.String,
        "sector": pl.String,  # null where nobody said
    }
)
MEMBER_SCHEMA = pl.Schema(
    {"universe": pl.String, "symbol": pl.String, "valid_from": pl.Date, "valid_to": pl.Date}  # half-open intervals
)


class Outcome(StrEnum):
    """What became of one symbol that was asked for."""

    FETCHED = "fetched"
    ABSENT = "absent"  # the source does not have it: asking again is no use
    FAILED = "failed"  # the source broke on it: asking again may help
    NOT_YET = "not_yet"  # the source has it, but not all of these sessions yet


@dataclass(frozen=True)
class Account:
    """Where the lines of texts went; a row of a Parquet file counts as a line.

    rejected: lines that have not the header's number of cells. continued: lines that go on with a quoted cell.
    """

    lines: int = 0
    rows: int = 0
    rejected: int = 0
    blank: int = 0
    headers: int = 0
    continued: int = 0

    @property
    def balanced(self) -> bool:
        """Whether each line went somewhere."""
        return self.lines == self.rows + self.rejected + self.blank + self.headers + self.continued

    def __add__(self, other: "Account") -> "Account":
        return Account(*(ours + theirs for ours, theirs in zip(self._parts, other._parts, strict=True)))

    @property
    def _parts(self) -> tuple[int, ...]:
        return self.lines, self.rows, self.rejected, self.blank, self.headers, self.continued


@dataclass(frozen=True)
class Reading:
    """What reading files came to, all of them, whatever part of it was asked for."""

    files: int
    account: Account
    delivered: int  # rows, and lines that are none, that came out as bars
    columns_unused: Mapping[str, int] = field(default_factory=dict)  # that look like ours; in how many files
    others: tuple[str, ...] = ()  # what lies beside the files and is not read

    @property
    def outside(self) -> int:
        """Rows of other days or symbols than those that were asked for."""
        return self.account.rows + self.account.rejected - self.delivered


@dataclass(frozen=True)
class Description:
    """What a source says of itself."""

    name: str
    about: str  # one line for people: what it is and where it reads from
    synthetic: bool
    symbols: int | None  # None: not known before a download
    first_session: dt.date | None
    last_session: dt.date | None
    notes: tuple[str, ...] = ()  # what to know of it: files that are not read, columns that are not used


@dataclass(frozen=True)
class Chunk:
    """A piece of the answer, small enough to be loaded in one transaction.

    bars holds BAR_SCHEMA's columns, perhaps UNREAD_SCHEMA's as well, unvalidated: the contract comes next. outcomes
    speaks of the symbols that this chunk settles; over all chunks of a call every requested symbol is spoken of at
    least once, and the last word counts. problems are unreadable pieces, named with the reason. reading comes with
    the last chunk, of a source that reads files.
    """

    bars: pl.DataFrame
    outcomes: Mapping[str, Outcome] = field(default_factory=dict)
    problems: tuple[str, ...] = ()
    reading: Reading | None = None


class Source(Protocol):
    """A supplier of daily bars."""

    name: str
    synthetic: bool

    def describe(self) -> Description:
        """Say what this is and how far it reaches. Raises SourceError when it does not answer."""
        ...

    def securities(self) -> pl.DataFrame:
        """All securities on offer, in SECURITY_SCHEMA, one row per interval of a symbol."""
        ...

    def members(self) -> pl.DataFrame:
        """The universes that the source brings along, in MEMBER_SCHEMA; empty where it brings none."""
        ...

    def bars(self, symbols: Collection[str] | None, start: dt.date, end: dt.date) -> Iterator[Chunk]:
        """Bars of those symbols (None: all) from start through end, in chunks of at most some 300,000 rows."""
        ...


@runtime_checkable
class Resumable(Protocol):
    """A source that remembers what it could not get, so that a later run can go back for it."""

    def unfinished_since(self) -> dt.date | None:
        """The first day of what is still to be got; None where nothing is."""
        ...


def label(source: Source) -> str:
    """What the store's source columns and the screens call a source: invented data say so wherever they show."""
    return f"{source.name} (synthetic)" if source.synthetic else source.name
