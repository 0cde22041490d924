"""Members of the S&P 500 from Wikipedia: its table of constituents, folded back by its table of changes.

Makes a universe file and not a universe at each run: anybody can edit the page, and a run must not change what it makes
of 2015 because somebody did today. A file can be read, compared and kept (docs/decisions/universes.md).
"""

import csv
import datetime as dt
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import lxml.etree
import lxml.html
import polars as pl

from breadthflow_pipelines.errors import RequestError, SourceError
from breadthflow_pipelines.locations import shown
from breadthflow_pipelines.sources.protocol import MEMBER_SCHEMA
from breadthflow_pipelines.sources.tree import opened
from breadthflow_pipelines.sources.universe_file import INSTRUMENT_SCHEMA, read_instruments, read_universe
from breadthflow_pipelines.sources.unreadable import refusing
from breadthflow_pipelines.sources.web import Web
from breadthflow_pipelines.spelling import spelled

PAGE = "https://en.wikipedia.org/wiki/List_of_S%26P_500_companies"
UNIVERSE = "sp500"
FEWEST, MOST = 490, 510  # members at any time: 500 companies, some with two classes of shares, and days between changes
MOST_SPAN = 1000  # rows or columns that a cell may cover; HTML's own limit for columns
SHOWN = 3  # how many stretches a message names

_CURRENT = ("symbol", "security", "gics sector", "date added")
_CHANGES = ("added ticker", "removed ticker")
_DATE_FORMATS = ("%Y-%m-%d", "%B %d, %Y", "%b %d, %Y", "%d %B %Y", "%d %b %Y", "%B %d %Y", "%b %d %Y")
_FOOTNOTE = re.compile(r"\[[^\]]*\]|\([^)]*\)")
_SYMBOL = re.compile(r"[A-Z][A-Z0-9]{0,4}(-[A-Z]{1,2})?")  # five letters at most, and a class
_NOBODY = ("", "NA", "NIL", "NONE", "NOBODY", "NULL", "TBA", "TBD")  # what stands in a cell that names nobody


class Constituent(NamedTuple):
    """A member of today; added: null where the page does not say."""

    symbol: str
    name: str
    sector: str
    added: dt.date | None


class Change(NamedTuple):
    """Who came and who went before the open of ``day``; None: nobody."""

    day: dt.date
    added: str | None
    removed: str | None


class Interval(NamedTuple):
    """A membership, half-open; first is None where the page does not reach back that far, out where it lasts."""

    symbol: str
    first: dt.date | None
    out: dt.date | None


@dataclass(frozen=True)
class Membership:
    """members: MEMBER_SCHEMA, from ``since`` on. instruments: INSTRUMENT_SCHEMA, today's. notes: what is doubtful."""

    members: pl.DataFrame
    instruments: pl.DataFrame
    since: dt.date
    notes: tuple[str, ...]


def sp500(web: Web, page: Path | str = PAGE, since: dt.date | None = None) -> Membership:
    """Read the page, or a copy of it, and fold its changes back.

    since: the first day wanted; None: the earliest one from which the page's counts hold.

    Raises:
        SourceError: the page cannot be read, has other tables than it used to have, or its counts of members do not
            hold: FEWEST to MOST on every day from ``since`` on.
    """
    current, changes, doubts = sound(*parse(_content(web, page), shown(page)))
    intervals, notes = fold(current, changes)
    counts = _counts(intervals)
    holds = _holds_since(counts)
    if holds is None:
        raise SourceError(f"{shown(page)} has {len(current)} constituents; that is not the S&P 500.")
    first = since or holds
    if first < holds:
        raise SourceError(
            f"{shown(page)} does not know all members from {first} on: {_stretches(counts, first)}. "
            f"Its counts hold from {holds} on: --from {holds}."
        )
    rows = [
        (UNIVERSE, symbol, max(first, began or first), out)
        for symbol, began, out in sorted(intervals, key=lambda one: (one.symbol, one.first or dt.date.min))
        if out is None or out > first
    ]
    instruments = [(one.symbol, one.name, one.sector) for one in sorted(current)]
    return Membership(
        members=pl.DataFrame(rows, schema=MEMBER_SCHEMA, orient="row"),
        instruments=pl.DataFrame(instruments, schema=INSTRUMENT_SCHEMA, orient="row"),
        since=first,
        notes=(*doubts, *notes),
    )


def write(membership: Membership, path: Path) -> tuple[int, int]:
    """Write the universe file, and beside it instruments.csv; returns how many rows came and how many went.

    Rows of other universes stay, as do instruments that are known already. Nothing is replaced before the new file
    could be read like any universe file.

    Raises:
        RequestError: a file that is there cannot be used, or the directory cannot be written.
    """
    before = read_universe(path) if path.exists() else pl.DataFrame(schema=MEMBER_SCHEMA)
    others = before.filter(pl.col("universe") != UNIVERSE)
    beside = path.parent / "instruments.csv"
    known = read_instruments(beside) if beside.exists() else pl.DataFrame(schema=INSTRUMENT_SCHEMA)
    new = membership.instruments.join(known, on="symbol", how="anti")
    members = pl.concat([others, membership.members])
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _replace(path, members)
        if new.height:
            _replace(beside, pl.concat([known, new]).sort("symbol"))
    except OSError as error:
        raise RequestError(f"{path} cannot be written: {error.strerror}.") from None
    ours = before.filter(universe=UNIVERSE)
    came = membership.members.join(ours, on=MEMBER_SCHEMA.names(), how="anti", nulls_equal=True)
    went = ours.join(membership.members, on=MEMBER_SCHEMA.names(), how="anti", nulls_equal=True)
    return came.height, went.height


def parse(content: bytes, page: str) -> tuple[list[Constituent], list[Change]]:
    """Both tables of the page.

    Raises:
        SourceError: a table is missing or has other columns, a symbol stands there twice, or a date of a change cannot
            be read; says which.
    """
    with refusing(page, SourceError):
        return _parsed(content, page)


def _parsed(content: bytes, page: str) -> tuple[list[Constituent], list[Change]]:
    try:
        root = lxml.html.fromstring(content, parser=lxml.html.HTMLParser(encoding=_encoding(content)))
    except (lxml.etree.LxmlError, ValueError):
        raise SourceError(f"{page} is no web page that can be read.") from None
    for note in root.xpath("//sup | //style | //script"):
        note.drop_tree()
    tables = [_table(table) for table in root.xpath("//table")]
    current = [
        Constituent(symbol, row["security"], row["gics sector"], _date(row["date added"]))
        for row in _rows(tables, _CURRENT, page)
        if (symbol := _symbol(row["symbol"]))
    ]
    twice = [symbol for symbol, number in Counter(one.symbol for one in current).items() if number > 1]
    if twice:
        raise SourceError(f"{page} lists {', '.join(twice)} twice among the constituents.")
    return current, [_change(row, page) for row in _rows(tables, _CHANGES, page)]


def sound(
    current: Iterable[Constituent], changes: Iterable[Change]
) -> tuple[list[Constituent], list[Change], tuple[str, ...]]:
    """Both tables without whatever does not look like a symbol: words, dates, other cells; and a note of each."""
    notes: list[str] = []

    def checked(symbol: str | None, what: str) -> str | None:
        if symbol is None or _SYMBOL.fullmatch(symbol):
            return symbol
        notes.append(f"{symbol!r} {what}: that is no symbol, so nobody is taken for it")
        return None

    members = [one for one in current if checked(one.symbol, "stands among the constituents")]
    known = [
        Change(day, checked(added, f"was added on {day}"), checked(removed, f"was removed on {day}"))
        for day, added, removed in changes
    ]
    return members, known, tuple(notes)


def fold(current: Sequence[Constituent], changes: Iterable[Change]) -> tuple[list[Interval], tuple[str, ...]]:
    """Memberships from today's members and the changes before, newest first; and what does not fit together.

    A share that came under another symbol than it has today is known again by the date on which it was added. Of a
    share that went, but is a member later without having come again, the removal counts for nothing.
    """
    fold = _Fold(current)
    by_day: dict[dt.date, list[Change]] = {}
    for change in changes:
        by_day.setdefault(change.day, []).append(change)
    for day in sorted(by_day, reverse=True):
        fold.came([change.added for change in by_day[day] if change.added], day)
        fold.went([change.removed for change in by_day[day] if change.removed], day)
    return fold.intervals(), tuple(fold.notes)


class _Fold:
    """Members as of a day that moves back in time."""

    def __init__(self, current: Sequence[Constituent]) -> None:
        self._added: Mapping[str, dt.date | None] = {one.symbol: one.added for one in current}
        self._members: dict[str, dt.date | None] = dict.fromkeys(self._added)  # with the first day out
        self._closed: list[Interval] = []
        self.notes: list[str] = []

    def came(self, symbols: Sequence[str], day: dt.date) -> None:
        for symbol in sorted(
            symbols, key=lambda one: one not in self._members
        ):  # the known leave fewer to be taken for
            name = symbol if symbol in self._members else self._renamed(symbol, day)
            if name is not None:
                self._closed.append(Interval(name, day, self._members.pop(name)))

    def went(self, symbols: Sequence[str], day: dt.date) -> None:
        for symbol in symbols:
            if symbol in self._members:
                self.notes.append(f"{symbol} was removed on {day}, but is a member later without having been added")
            else:
                self._members[symbol] = day

    def intervals(self) -> list[Interval]:
        """All memberships, none for less than a day; those that no change began begin when the constituent says."""
        known = {symbol: self._added.get(symbol) if out is None else None for symbol, out in self._members.items()}
        open_ones = [Interval(symbol, known[symbol], out) for symbol, out in self._members.items()]
        return [one for one in (*self._closed, *open_ones) if None in (one.first, one.out) or one.first < one.out]  # type: ignore[operator]

    def _renamed(self, symbol: str, day: dt.date) -> str | None:
        """The member of today that was added as ``symbol`` on that day, where only one can be it."""
        able = [name for name, out in self._members.items() if out is None and self._added[name] == day]
        if len(able) == 1:
            self.notes.append(f"{symbol}, added on {day}, is taken for {able[0]} of today")
            return able[0]
        self.notes.append(f"{symbol} was added on {day}, but is no member after that")
        return None


def _content(web: Web, page: Path | str) -> bytes:
    if isinstance(page, Path):
        with refusing(shown(page), RequestError), opened(page) as stream:
            return stream.read()
    content = web.read(page)
    if content is None:
        raise SourceError(f"{shown(page)} does not exist any more; name another page or a copy with --page.")
    return content


def _encoding(content: bytes) -> str | None:
    """UTF-8, as the page is written, even where a saved copy no longer says so; None: as it says."""
    try:
        content.decode("utf-8")
    except UnicodeDecodeError:
        return None
    return "utf-8"


def _table(table: lxml.html.HtmlElement) -> list[list[str]]:
    """The cells of a table as text, each repeated over the rows and columns that it covers."""
    rows: list[list[str]] = []
    covered: dict[tuple[int, int], str] = {}
    for number, row in enumerate(table.xpath(".//tr")):
        cells: list[str] = []
        for cell in row.xpath("./td | ./th"):
            _fill(cells, covered, number)
            text = " ".join(cell.text_content().split())
            down, across = _span(cell, "rowspan"), _span(cell, "colspan")
            for column in range(len(cells), len(cells) + across):
                covered.update({(number + below, column): text for below in range(1, down)})
            cells += [text] * across
        _fill(cells, covered, number)
        rows.append(cells)
    return rows


def _fill(cells: list[str], covered: dict[tuple[int, int], str], number: int) -> None:
    """Append the cells of earlier rows that reach down to here."""
    while (number, len(cells)) in covered:
        cells.append(covered[number, len(cells)])


def _span(cell: lxml.html.HtmlElement, name: str) -> int:
    value = str(cell.get(name, "1")).strip()
    return min(MOST_SPAN, max(1, int(value))) if value.isdecimal() else 1


def _rows(tables: Sequence[Sequence[Sequence[str]]], columns: Sequence[str], page: str) -> list[dict[str, str]]:
    """The rows of the table that has those columns, by lower-case name; a heading of two rows counts as one."""
    for table in tables:
        for depth in (1, 2):
            names = _names(table, depth)
            if set(columns) <= set(names):
                width = len(names)
                return [dict(zip(names, [*row, *[""] * width], strict=False)) for row in table[depth:] if any(row)]
    raise SourceError(f"{page} has no table with the columns {', '.join(columns)} any more; name a copy with --page.")


def _names(table: Sequence[Sequence[str]], depth: int) -> list[str]:
    headings = list(table[:depth])
    width = min((len(row) for row in headings), default=0)
    return [" ".join(dict.fromkeys(row[column].lower() for row in headings)) for column in range(width)]


def _change(row: Mapping[str, str], page: str) -> Change:
    name = next((name for name in row if "date" in name), "")
    day = _date(row.get(name, ""))
    if day is None:
        raise SourceError(
            f"{page} has a change on {row.get(name)!r}, which is no date: {', '.join(row.values())[:80]}."
        )
    return Change(day, _symbol(row["added ticker"]) or None, _symbol(row["removed ticker"]) or None)


def _symbol(text: str) -> str:
    """A cell's symbol in our spelling; empty where it names nobody: blank, a dash, N/A, a footnote alone.

    What does not look like a symbol comes as it stands there; see sound().
    """
    said = _FOOTNOTE.sub("", text).strip()
    symbol = spelled(said.upper())
    if "".join(filter(str.isalnum, symbol)) in _NOBODY:
        return ""
    return symbol if _SYMBOL.fullmatch(symbol) else said


def _date(text: str) -> dt.date | None:
    cleaned = " ".join(_FOOTNOTE.sub("", text).replace("Sept.", "Sep").replace("Sept ", "Sep ").split())
    for form in _DATE_FORMATS:
        try:
            return dt.datetime.strptime(cleaned.replace(".", ""), form).replace(tzinfo=dt.UTC).date()
        except ValueError:
            continue
    return None


def _counts(intervals: Iterable[Interval]) -> list[tuple[dt.date, int]]:
    """How many are members from each day on on which that changes, in order; the first day stands for all before."""
    steps: Counter[dt.date] = Counter()
    for _, first, out in intervals:
        steps[first or dt.date.min] += 1
        if out is not None:
            steps[out] -= 1
    counts, number = [], 0
    for day in sorted(steps):
        number += steps[day]
        counts.append((day, number))
    return counts


def _holds_since(counts: Sequence[tuple[dt.date, int]]) -> dt.date | None:
    """The first day from which every count lies between FEWEST and MOST; None where the last one does not.

    Counts without an end in the past are not followed beyond the first change: what was before, nobody recorded.
    """
    since = None
    for day, number in reversed(counts):
        if not FEWEST <= number <= MOST:
            return since
        if day > dt.date.min:
            since = day
    return since


def _stretches(counts: Sequence[tuple[dt.date, int]], first: dt.date) -> str:
    ends = [day for day, _ in counts[1:]] + [dt.date.max]
    wrong = [
        f"{number} of {max(day, first)} to {end - dt.timedelta(days=1)}"
        for (day, number), end in zip(counts, ends, strict=True)
        if end > first and not FEWEST <= number <= MOST
    ]
    more = f" and {len(wrong) - SHOWN} more stretches" if len(wrong) > SHOWN else ""
    return "; ".join(wrong[:SHOWN]) + more if wrong else "its changes do not reach back so far"


def _replace(path: Path, rows: pl.DataFrame) -> None:
    """Write a CSV file so that nobody ever sees half of it; a universe file is read before it counts."""
    part = path.with_name(f".{path.name}.part")
    with part.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(rows.columns)
        writer.writerows(rows.iter_rows())
    (read_instruments if rows.columns == INSTRUMENT_SCHEMA.names() else read_universe)(part)
    part.replace(path)
