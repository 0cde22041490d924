"""What a source must provide. Each source has a module of its own; none of them knows Dagster or SQL."""

import datetime as dt
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol, runtime_checkable

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
UNREAD_SCHEMA = pl.Schema(  # beside BAR_SCHEMA, from sources that read files
    {
        "fault": pl.String,  # why the row cannot be read, as the reason to reject it; null if it can
        "raw": pl.String,  # the text of the unreadable cells, or the whole line
    }
)
READ_SCHEMA = pl.Schema({**BAR_SCHEMA, **UNREAD_SCHEMA})
SECURITY_SCHEMA = pl.Schema(
    {
        "source_key": pl.String,  # identifies the company within its source and never changes; often the symbol
        "symbol": pl.String,
        "valid_from": pl.Date,  # first day of the symbol for this company; null: as far back as known
        "valid_to": pl.Date,  # first day on which it no longer is; null: still
        "name": pl.String,
        "sector": pl.String,  # null where unknown
    }
)
MEMBER_SCHEMA = pl.Schema(
    {"universe": pl.String, "symbol": pl.String, "valid_from": pl.Date, "valid_to": pl.Date}  # half-open intervals
)


class Outcome(StrEnum):
    """The outcome of a request for one symbol."""

    FETCHED = "fetched"
    ABSENT = "absent"  # the source does not have it: another attempt will not help
    FAILED = "failed"  # the source failed on it: another attempt may help
    NOT_YET = "not_yet"  # the source has it, but not all of these sessions yet


@dataclass(frozen=True)
class Account:
    """What became of the lines of texts; a row of a Parquet file counts as a line.

    rejected: lines without the header's number of cells. continued: lines that continue a quoted cell.
    """

    lines: int = 0
    rows: int = 0
    rejected: int = 0
    blank: int = 0
    headers: int = 0
    continued: int = 0

    @property
    def balanced(self) -> bool:
        """Whether every line is accounted for."""
        return self.lines == self.rows + self.rejected + self.blank + self.headers + self.continued

    def __add__(self, other: "Account") -> "Account":
        return Account(*(ours + theirs for ours, theirs in zip(self._parts, other._parts, strict=True)))

    @property
    def _parts(self) -> tuple[int, ...]:
        return self.lines, self.rows, self.rejected, self.blank, self.headers, self.continued


@dataclass(frozen=True)
class Reading:
    """The result of reading files, all of them, whatever part was requested."""

    files: int
    account: Account
    delivered: int  # rows and rejected lines that were delivered as bars
    columns_unused: Mapping[str, int] = field(default_factory=dict)  # that look like ours; in how many files
    others: tuple[str, ...] = ()  # names of files that are not read

    @property
    def outside(self) -> int:
        """Rows of days or symbols that were not requested."""
        return self.account.rows + self.account.rejected - self.delivered


@dataclass(frozen=True)
class Description:
    """A source's description of itself."""

    name: str
    about: str  # one line for people: what it is and where it reads from
    synthetic: bool
    symbols: int | None  # None: not known before a download
    first_session: dt.date | None
    last_session: dt.date | None
    notes: tuple[str, ...] = ()  # remarks: files that are not read, columns that are not used


@dataclass(frozen=True)
class Chunk:
    """A piece of the answer, small enough to be loaded in one transaction.

    bars has the columns of BAR_SCHEMA and perhaps of UNREAD_SCHEMA, not validated: the contract comes next. outcomes
    has the symbols that this chunk settles; over all chunks of a call, every requested symbol has at least one outcome,
    and the last one counts. problems names unreadable parts with the reason. reading comes with the last chunk of a
    source that reads files.
    """

    bars: pl.DataFrame
    outcomes: Mapping[str, Outcome] = field(default_factory=dict)
    problems: tuple[str, ...] = ()
    reading: Reading | None = None


@dataclass
class Taken:
    """What was read of some parts of a source.

    fetched: symbols that gave bars. delivered: how many rows. unreadable: by number, tables that failed, and why.
    """

    fetched: set[str] = field(default_factory=set)
    delivered: int = 0
    unreadable: dict[int, str] = field(default_factory=dict)

    def add(self, other: "Taken") -> None:
        """Count another part's as well."""
        self.fetched |= other.fetched
        self.delivered += other.delivered
        self.unreadable |= other.unreadable


class Source(Protocol):
    """A supplier of daily bars."""

    name: str
    synthetic: bool

    def describe(self) -> Description:
        """Describe the source and its range. Raises SourceError if it does not answer."""
        ...

    def securities(self) -> pl.DataFrame:
        """All securities on offer, in SECURITY_SCHEMA, one row per interval of a symbol."""
        ...

    def members(self) -> pl.DataFrame:
        """The universes that the source provides, in MEMBER_SCHEMA; empty if there are none."""
        ...

    def bars(self, symbols: Collection[str] | None, start: dt.date, end: dt.date) -> Iterator[Chunk]:
        """Bars of those symbols (None: all) from start through end, in chunks of at most some 300,000 rows."""
        ...


@runtime_checkable
class Resumable(Protocol):
    """A source that remembers failed requests, so that a later run can repeat them."""

    def unfinished_since(self) -> dt.date | None:
        """The first day of what is still missing; None if nothing is."""
        ...


@runtime_checkable
class MembersByBars(Protocol):
    """A source whose members are those that it has bars of: one whom it lacks by now was a member all the same."""

    def members_reach(self) -> dt.date | None:
        """The last day of a row that made a member; members whose own is not long before it are open."""
        ...


@runtime_checkable
class Divisible(Protocol):
    """A source of which other processes can read parts, each for itself."""

    def parts(self, start: dt.date, end: dt.date) -> Sequence[Any]:
        """Plain values: all that lies from start through end, each row in one part."""
        ...

    def read(self, part: Any, taken: Taken) -> Iterator[Chunk]:
        """The bars of a part, in another process than the one that made it; notes in ``taken`` what was read.

        Raises:
            RequestError: this process does not reach what the other one meant.
        """
        ...

    def settled(self, start: dt.date, taken: Iterable[Taken]) -> Chunk:
        """What is left to say after all parts were read: outcomes, problems and the reading, as after bars()."""
        ...


@runtime_checkable
class Fingerprinted(Protocol):
    """A source that can say without reading whether it would give the same bars again."""

    def fingerprint(self) -> str:
        """A text that is another one whenever the source might give anything else."""
        ...


def label(source: Source) -> str:
    """The name of a source in the store and on screens; synthetic data are always marked."""
    return f"{source.name} (synthetic)" if source.synthetic else source.name
