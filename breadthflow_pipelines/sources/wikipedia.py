"""Members of the S&P 500 from Wikipedia: its table of constituents, folded back by its table of changes.

It writes a universe file, which runs read instead of the page: anybody can edit the page, and that must not change the
past of a run. A file can be read, compared and kept (docs/decisions/universes.md).
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
FEWEST, MOST = 490, 510  # members at any time: 500 companies, some with two share classes, and days between changes
MOST_SPAN = 1000  # rows or columns that a cell may cover; HTML's own limit for columns
SHOWN = 3  # stretches that a message names

_CURRENT = ("symbol", "security", "gics sector", "date added")
_CHANGES = ("added ticker", "removed ticker")
_DATE_FORMATS = ("%Y-%m-%d", "%B %d, %Y", "%b %d, %Y", "%d %B %Y", "%d %b %Y", "%B %d %Y", "%b %d %Y")
_FOOTNOTE = re.compile(r"\[[^\]]*\]|\([^)]*\)")
_SYMBOL = re.compile(r"[A-Z][A-Z0-9]{0,4}(-[A-Z]{1,2})?")  # five letters at most, and a class
_NOBODY = ("", "NA", "NIL", "NONE", "NOBODY", "NULL", "TBA", "TBD")  # texts of cells without a symbol


class Constituent(NamedTuple):
    """A current member. added: None where the page has no date."""

    symbol: str
    name: str
    sector: str
    added: dt.date | None


class Change(NamedTuple):
    """The symbols added and removed before the open of ``day``; None: none."""

    day: dt.date
    added: str | None
    removed: str | None


class Interval(NamedTuple):
    """A membership, half-open; first is None if the page does not reach back that far, out if it lasts."""

    symbol: str
    first: dt.date | None
    out: dt.date | None


@dataclass(frozen=True)
class Membership:
    """members: MEMBER_SCHEMA, from ``since`` on. instruments: INSTRUMENT_SCHEMA, current ones. notes: doubts."""

    members: pl.DataFrame
    instruments: pl.DataFrame
    since: dt.date
    notes: tuple[str, ...]


def sp500(web: Web, page: Path | str = PAGE, since: dt.date | None = None) -> Membership:
    """Read the page, or a copy of it, and fold its changes back.

    since: the first day wanted; None: the earliest one from which the page's counts hold.

    Raises:
        SourceError: the page cannot be read, its tables have changed, or its number of members is not between FEWEST
            and MOST on every day from ``since`` on.
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
    """Write the universe file, and instruments.csv beside it. Returns the number of rows added and removed.

    Rows of other universes stay, and so do existing instruments. A file is replaced only after the new one was read
    successfully as a universe file.

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
        SourceError: a table is missing or has other columns, a symbol occurs twice, or the date of a change cannot be
            read; says which.
    """
    with refusing(page, SourceError):
        return _parsed(content, page)


def _parsed(content: bytes, page: str) -> tuple[list[Constituent], list[Change]]:
    try:
        root = lxml.html.fromstring(content, parser=lxml.html.HTMLParser(encoding=_encoding(content)))
    except (lxml.etree.LxmlError, ValueError):
        raise SourceError(f"{page} is not a web page that can be read.") from None
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
    """Both tables without cells that are not symbols, such as words and dates; and a note about each."""
    notes: list[str] = []

    def checked(symbol: str | None, what: str) -> str | None:
        if symbol is None or _SYMBOL.fullmatch(symbol):
            return symbol
        notes.append(f"{symbol!r} {what}: that is not a symbol, so no member is made of it")
        return None

    members = [one for one in current if checked(one.symbol, "stands among the constituents")]
    known = [
        Change(day, checked(added, f"was added on {day}"), checked(removed, f"was removed on {day}"))
        for day, added, removed in changes
    ]
    return members, known, tuple(notes)


def fold(current: Sequence[Constituent], changes: Iterable[Change]) -> tuple[list[Interval], tuple[str, ...]]:
    """Memberships from the current members and the changes, newest first; and notes about contradictions.

    A share that was added under another symbol than its current one is recognised by the date on which it was added. A
    removal is ignored if the share is a member later without having been added again.
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
        """All memberships of at least a day; those without an addition begin at the constituent's date."""
        known = {symbol: self._added.get(symbol) if out is None else None for symbol, out in self._members.items()}
        open_ones = [Interval(symbol, known[symbol], out) for symbol, out in self._members.items()]
        return [one for one in (*self._closed, *open_ones) if None in (one.first, one.out) or one.first < one.out]  # type: ignore[operator]

    def _renamed(self, symbol: str, day: dt.date) -> str | None:
        """The current member that was added as ``symbol`` on that day, if only one is possible."""
        able = [name for name, out in self._members.items() if out is None and self._added[name] == day]
        if len(able) == 1:
            self.notes.append(f"{symbol}, added on {day}, is taken for {able[0]} of today")
            return able[0]
        self.notes.append(f"{symbol} was added on {day}, but is not a member after that")
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
    """UTF-8, the page's encoding, even if a saved copy does not declare it; None: as declared."""
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
    """Append the cells of earlier rows that extend to this one."""
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
            f"{page} has a change on {row.get(name)!r}, which is not a date: {', '.join(row.values())[:80]}."
        )
    return Change(day, _symbol(row["added ticker"]) or None, _symbol(row["removed ticker"]) or None)


def _symbol(text: str) -> str:
    """A cell's symbol in our spelling; empty for a cell without one: blank, a dash, N/A, a footnote alone.

    Text that does not look like a symbol is returned as it is; see sound().
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
    """The number of members from each day on which it changes, in order; the first day stands for all before."""
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
    """The first day from which every count lies between FEWEST and MOST; None if the last one does not.

    The counts are not followed beyond the first recorded change.
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
    """Write a CSV file atomically, after the new file was read successfully."""
    part = path.with_name(f".{path.name}.part")
    with part.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(rows.columns)
        writer.writerows(rows.iter_rows())
    (read_instruments if rows.columns == INSTRUMENT_SCHEMA.names() else read_universe)(part)
    part.replace(path)
