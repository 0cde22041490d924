"""Delimited text in, tables of text out; every line is accounted for. What cells mean is not known here.

Every CSV and TXT file of every source is read by this module, because a row that a parser drops goes unnoticed. Lines
are counted separately, and a text is refused unless ``lines = rows + rejected + blank + headers + continued``. The
separator is a comma; cells may be quoted as in RFC 4180. Blocks of lines go to a parser that is strict about the number
of cells. A block in which quotation marks are ambiguous is read line by line: a mark that opens no quotation is part of
its cell (``8" pipe``). docs/decisions/reading-files.md has the reasons.
"""

import csv
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import chain
from types import MappingProxyType
from typing import Any, NamedTuple, Protocol

import polars as pl
import pyarrow as pa
import pyarrow.csv as arrow_csv

from breadthflow_pipelines.sources.protocol import Account
from breadthflow_pipelines.sources.unreadable import UnreadableError

BLOCK = 16 * 2**20  # bytes read at a time
LONGEST_LINE = 64 * 2**20  # bytes; a file with a longer one is not a table
MOST_COLUMNS = 10_000
MOST_JOINED = 100  # lines that one quoted cell may cover; a stray quotation mark must not swallow the file

_EMPTY_LINE = re.compile(rb"^\r?\n", re.MULTILINE)
_BYTE_ORDER_MARK = re.compile(rb"^(?:\xef\xbb\xbf)+", re.MULTILINE)  # also inside, where files were concatenated
_AS_TEXT: Mapping[Any, pa.DataType] = MappingProxyType({})
_BLANKS = " \t\r\n"
_BLANK_CHARACTERS = _BLANKS + ',"'  # all that a blank line may hold
_BEGINS_BLANK = (b",", b" ", b"\t", b'"')


class Stream(Protocol):
    """A stream of bytes."""

    def read(self, size: int = -1, /) -> bytes:
        """At most ``size`` bytes; none at the end."""
        ...


class RejectedLine(NamedTuple):
    """A line with more or fewer cells than the header. cells: as far as they can be told apart."""

    text: str
    cells: list[str]


class Block(NamedTuple):
    """A part of a table.

    rows: the wanted columns, named by their index in the header, "0", "3". A column is text, unless all of the block
    could be read as the expected type: Float64 or Date, null where a cell is empty.
    """

    rows: pl.DataFrame
    rejected: list[RejectedLine]


class Row(NamedTuple):
    """A row and the number of its first line, from 1."""

    line: int
    cells: list[str]


class Table:
    """One text, to be read once from its beginning to its end. names: the header's cells, without blanks around them.

    Raises:
        UnreadableError: it is empty, or its first line is longer than any header.
    """

    def __init__(self, stream: Stream) -> None:
        self._counts = dict.fromkeys(("lines", "rows", "rejected", "blank", "headers", "continued"), 0)
        self._pieces = self._whole_lines(stream)
        self.names, self._first = self._header(next(self._pieces, b""))
        self._header_row = [name.lower() for name in self.names]

    @property
    def account(self) -> Account:
        """Where each line went; of the whole text once it has been read to its end."""
        return Account(**self._counts)

    def blocks(self, wanted: Sequence[int], expected: Mapping[int, pa.DataType] = _AS_TEXT) -> Iterator[Block]:
        """The rows with those columns, by their index in the header, and the rejected lines.

        expected: columns that probably hold numbers (pa.float64()) or days (pa.date32()). Text works, too, but slower.

        Raises:
            UnreadableError: a line is too long, or lines remain that are not accounted for.
        """
        self._expected = {str(column): kind for column, kind in expected.items() if column in wanted}
        left_open = b""
        for piece in chain([self._first], self._pieces):
            block, left_open = self._read(left_open + piece, wanted, ended=False)
            yield block
        if left_open:
            yield self._read(left_open, wanted, ended=True)[0]
        self._settle()

    def numbered(self) -> Iterator[Row]:
        """Each row with the number of its line, including rows with a wrong number of cells; for small texts."""
        before = sum(self._counts[kind] for kind in ("blank", "headers", "continued"))
        found = lines(b"".join(chain([self._first], self._pieces)))
        at = 0
        while at < len(found):
            used, cells = _record(found, at, len(self.names), ended=True)
            if self._counted(cells, used):
                yield Row(before + at + 1, cells)
            at += used
        self._settle()

    def _whole_lines(self, stream: Stream) -> Iterator[bytes]:
        """The text in pieces that end where a line ends, its lines counted."""
        begun = b""
        while piece := stream.read(BLOCK):
            self._counts["lines"] += piece.count(b"\n")
            whole, end, rest = piece.rpartition(b"\n")
            if end:
                yield begun + whole + end
                begun = rest
            else:
                begun += piece
            if len(begun) > LONGEST_LINE:
                raise UnreadableError(f"a line of it has more than {LONGEST_LINE >> 20} MiB")
        if begun:
            self._counts["lines"] += 1
            yield begun

    def _header(self, piece: bytes) -> tuple[list[str], bytes]:
        """The names, and the lines after them."""
        behind = 0
        for line in _first_lines(piece):
            behind += len(line)
            (text,) = lines(line)
            if "\r" in text.strip(_BLANK_CHARACTERS + "\r"):
                raise UnreadableError("its lines end with CR alone; save it with LF or CR LF")
            if text.strip(_BLANK_CHARACTERS):
                break
            self._counts["blank"] += 1
        else:
            raise UnreadableError("it is empty")
        used, cells = _quoted([text], 0)
        if used != 1:
            cells = text.split(",")
        if len(cells) > MOST_COLUMNS:
            raise UnreadableError(f"its first line has {len(cells):,} cells")
        self._counts["headers"] += 1
        return [cell.strip() for cell in cells], piece[behind:]

    def _read(self, data: bytes, wanted: Sequence[int], *, ended: bool) -> tuple[Block, bytes]:
        """The rows of these lines, and the last lines if a quoted cell in them may continue after them."""
        block = self._strictly(data, wanted)
        return (block, b"") if block is not None else self._line_by_line(data, wanted, ended=ended)

    def _strictly(self, data: bytes, wanted: Sequence[int]) -> Block | None:
        """The rows, each on one line with exactly the header's number of cells; None where that is not certain.

        No row can be lost or merged here: each takes at least one line, and there are as many rows as lines.
        """
        number = data.count(b"\n") + (not data.endswith(b"\n"))
        data = _clean(data)
        if data.count(b"\r") != data.count(b"\r\n"):
            return None
        may_be_blank = data[:1] in _BEGINS_BLANK or any(b"\n" + begin in data for begin in _BEGINS_BLANK)
        parsed = None if may_be_blank else self._typed(data, wanted)
        parsed = parsed or _parse(data, len(self.names), wanted)
        if parsed is None:
            return None
        rows, odd = parsed
        empty = len(_EMPTY_LINE.findall(data)) if _has_empty_lines(data) else 0
        if rows.height + len(odd) + empty != number:
            return None
        if b'"' in data and (odd or _may_go_on(data)):
            return None
        rejected = [line for line in odd if line.text.strip(_BLANK_CHARACTERS)]
        self._counts["blank"] += empty + len(odd) - len(rejected)
        found = {"headers": self._headers(data, rows), "blank": self._blank(data, rows) if may_be_blank else None}
        none_of_these = [~those for those in found.values() if those is not None]
        for kind, those in found.items():
            self._counts[kind] += int(those.sum()) if those is not None else 0
        rows = rows.filter(*none_of_these) if none_of_these else rows
        self._counts["rows"] += rows.height
        self._counts["rejected"] += len(rejected)
        return Block(rows, rejected)

    def _typed(self, data: bytes, wanted: Sequence[int]) -> tuple[pl.DataFrame, list[RejectedLine]] | None:
        """The rows in the expected types; None where a cell is something else and has to be read as text."""
        if not self._expected:
            return None
        parsed = _parse(data, len(self.names), wanted, self._expected)
        if parsed is None:
            self._expected = {}  # other blocks will have the same
            return None
        numbers = [parsed[0][name] for name, kind in self._expected.items() if kind == pa.float64()]
        return parsed if all(math.isfinite(column.sum()) for column in numbers) else None

    def _headers(self, data: bytes, rows: pl.DataFrame) -> pl.Series | None:
        """Which rows repeat the header, as in concatenated files; None where none does."""
        wanted = {column: self._header_row[int(column)] for column in rows.columns}
        is_text = all(dtype == pl.String for dtype in rows.dtypes)  # a header is never a number or a day
        if not is_text or self._header_row[int(rows.columns[0])].encode() not in data.lower():
            return None
        same = pl.all_horizontal(
            pl.col(column).str.strip_chars().str.to_lowercase() == name for column, name in wanted.items()
        )
        return rows.select(same).to_series()

    def _blank(self, data: bytes, rows: pl.DataFrame) -> pl.Series:
        """Which rows are empty in every cell, including columns that are not wanted."""
        empty = pl.all_horizontal(pl.all().str.strip_chars(_BLANKS) == "")
        blank = rows.select(empty).to_series()
        if blank.any() and rows.width < len(self.names):
            parsed = _parse(data, len(self.names), range(len(self.names)))
            blank = parsed[0].select(empty).to_series() if parsed else blank
        return blank

    def _line_by_line(self, data: bytes, wanted: Sequence[int], *, ended: bool) -> tuple[Block, bytes]:
        found = lines(data)
        rows_read: list[list[str]] = []
        rejected: list[RejectedLine] = []
        at = 0
        while at < len(found):
            used, cells = _record(found, at, len(self.names), ended=ended)
            if not used:
                break
            if self._counted(cells, used):
                if len(cells) == len(self.names):
                    rows_read.append([cells[column] for column in wanted])
                else:
                    rejected.append(RejectedLine(found[at], cells))
            at += used
        rows = pl.DataFrame(rows_read, schema={str(column): pl.String for column in wanted}, orient="row")
        return Block(rows, rejected), b"\n".join(data.split(b"\n")[at:]) if at < len(found) else b""

    def _counted(self, cells: Sequence[str], used: int) -> bool:
        """Count a record of so many lines; whether it is a row or a rejected line."""
        self._counts["continued"] += used - 1
        kind = "rows" if len(cells) == len(self.names) else "rejected"
        if not any(cell.strip(_BLANKS) for cell in cells):
            kind = "blank"
        elif [cell.strip().lower() for cell in cells] == self._header_row:
            kind = "headers"
        self._counts[kind] += 1
        return kind in ("rows", "rejected")

    def _settle(self) -> None:
        account = self.account
        if not account.balanced:
            counts = ", ".join(f"{number:,} {kind}" for kind, number in self._counts.items())
            raise UnreadableError(f"not all of its lines are accounted for: {counts}")


def plain_rows(
    text: bytes, width: int, wanted: Sequence[int], expected: Mapping[int, pa.DataType]
) -> pl.DataFrame | None:
    """The rows of a plain text without a header, in the expected types; None where a line or a cell is something else.

    Empty lines are no rows: the caller compares the number of rows with that of lines.
    """
    parsed = _parse(text, width, wanted, {str(column): kind for column, kind in expected.items() if column in wanted})
    if parsed is None or parsed[1]:
        return None
    numbers = (column for column in parsed[0].iter_columns() if column.dtype == pl.Float64)
    return parsed[0] if all(math.isfinite(column.sum()) for column in numbers) else None


def _parse(
    data: bytes, width: int, wanted: Sequence[int], expected: Mapping[str, pa.DataType] = _AS_TEXT
) -> tuple[pl.DataFrame, list[RejectedLine]] | None:
    """The rows with ``width`` cells, and the lines with another number; None where the parser fails."""
    odd: list[RejectedLine] = []

    def turn(row: arrow_csv.InvalidRow) -> str:
        odd.append(RejectedLine(row.text.rstrip("\r"), row.text.rstrip("\r").split(",")))
        return "skip"

    columns = tuple(str(column) for column in wanted)
    try:
        table = arrow_csv.read_csv(
            pa.BufferReader(data),
            # One thread and one block: rows stay in order, and none is split.
            arrow_csv.ReadOptions(column_names=_names(width), use_threads=False, block_size=len(data) + 1),
            arrow_csv.ParseOptions(quote_char='"' if b'"' in data else False, invalid_row_handler=turn),
            _conversion(columns, tuple(expected.items())),
        )
    except pa.ArrowInvalid:
        return None
    rows = pl.from_arrow(table)
    assert isinstance(rows, pl.DataFrame)  # noqa: S101 - a table never becomes a series
    return rows, odd


@lru_cache(maxsize=64)
def _names(width: int) -> list[str]:
    return [str(column) for column in range(width)]


@lru_cache(maxsize=64)
def _conversion(columns: tuple[str, ...], expected: tuple[tuple[str, pa.DataType], ...]) -> arrow_csv.ConvertOptions:
    return arrow_csv.ConvertOptions(
        check_utf8=False,
        include_columns=columns,
        column_types={**dict.fromkeys(columns, pa.string()), **dict(expected)},
        null_values=[""],
    )


def _record(lines: Sequence[str], at: int, width: int, *, ended: bool) -> tuple[int, list[str]]:
    """How many lines the record that begins there takes, and its cells; 0 where that depends on lines not yet read."""
    line = lines[at]
    literal = line.split(",")
    if '"' not in line:
        return 1, literal
    used, cells = _quoted(lines, at)
    if used == 1:
        return 1, literal if len(cells) != width and len(literal) == width else cells
    if not used and not ended and len(lines) - at < MOST_JOINED:
        return 0, literal
    if used and len(cells) == width and _is_joined(lines[at : at + used], width):
        return used, cells
    return 1, literal


def _is_joined(record: Sequence[str], width: int) -> bool:
    """Whether these lines form one record. A line that may be a row of its own must not disappear in a cell.

    A cell with line breaks is closed before a separator. The last line alone has the header's number of cells wherever
    the break is in the first column; so that counts against the record only where the first line has it, too.
    """
    try:
        next(csv.reader([f"{line}\n" for line in record], strict=True))
    except csv.Error:
        return False
    inner = record[1:-1] if record[0].count(",") != width - 1 else record[1:]
    return not any(_fits(line, width) for line in inner)


def _quoted(lines: Sequence[str], at: int) -> tuple[int, list[str]]:
    """How many lines the quoted cells take, and the cells; 0 where a quotation mark is never closed."""
    reader = csv.reader(chain((f"{line}\n" for line in lines[at : at + MOST_JOINED]), ("",)))
    try:
        cells = next(reader)
    except csv.Error:  # a carriage return in a line, or an enormous cell
        return 0, []
    available = min(MOST_JOINED, len(lines) - at)
    return (reader.line_num, cells) if reader.line_num <= available else (0, [])


def _fits(line: str, width: int) -> bool:
    """Whether the line alone has ``width`` cells."""
    used, cells = _quoted([line], 0)
    return (used == 1 and len(cells) == width) or line.count(",") == width - 1


def lines(data: bytes) -> list[str]:
    """The lines of a text without their line ends; bytes that are not UTF-8 become U+FFFD."""
    found = _clean(data).decode().split("\n")
    if data.endswith(b"\n") or not data:
        found.pop()
    return [line.removesuffix("\r") for line in found]


def _first_lines(data: bytes) -> Iterator[bytes]:
    """The lines one by one, with their line ends, without splitting a large piece as a whole."""
    at = 0
    while at < len(data):
        end = data.find(b"\n", at) + 1 or len(data)
        yield data[at:end]
        at = end


def _clean(data: bytes) -> bytes:
    """UTF-8 without byte order marks; bytes that are not UTF-8 become U+FFFD."""
    if data.isascii():
        return data
    try:
        data.decode()
    except UnicodeDecodeError:
        data = data.decode(errors="replace").encode()
    return _BYTE_ORDER_MARK.sub(b"", data)


def _has_empty_lines(data: bytes) -> bool:
    return data[:1] in (b"\n", b"\r") or b"\n\n" in data or b"\n\r\n" in data


def _may_go_on(data: bytes) -> bool:
    """Whether a quoted cell may still be open at the end of the data."""
    (last,) = lines(data.rstrip(b"\r\n").rpartition(b"\n")[2] + b"\n")  # a cell may hold the empty lines after it
    return _quoted([last], 0)[0] != 1
