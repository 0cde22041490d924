"""Universe and instrument files: who belonged to which universe when, and what a company is called. Reads no bars."""

import csv
import datetime as dt
import re
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import polars as pl

from breadthflow_pipelines.errors import RequestError
from breadthflow_pipelines.sources.protocol import MEMBER_SCHEMA

INSTRUMENT_SCHEMA = pl.Schema({"symbol": pl.String, "name": pl.String, "sector": pl.String})
UNIVERSE_NAME = re.compile(r"[A-Za-z0-9_.-]{1,40}")
SHOWN = 3  # how many faults a message names; a file that is wrong throughout would fill the screen


class _Member(NamedTuple):
    line: int
    universe: str
    symbol: str
    valid_from: dt.date
    valid_to: dt.date | None


def read_universe(path: Path) -> pl.DataFrame:
    """The members of a file with the columns universe, symbol, valid_from, valid_to, in MEMBER_SCHEMA.

    Dates are YYYY-MM-DD. ``valid_to`` is the first day out; empty: still a member. Symbols become upper case. Columns
    may stand in any order and others are ignored. Rows come sorted by universe, symbol and valid_from.

    Raises:
        RequestError: the file is missing, a column is, or a row cannot be used: names the file, up to three lines
            and why. One such row refuses the whole file, for a universe with a hole counts wrongly and looks right.
    """
    members: list[_Member] = []
    faults: list[tuple[int, str]] = []
    for line, cells in _rows(path, MEMBER_SCHEMA.names()):
        try:
            members.append(_member(line, cells))
        except ValueError as error:
            faults.append((line, str(error)))
    members.sort(key=lambda member: (member.universe, member.symbol, member.valid_from, member.line))
    faults += _overlaps(members)
    _refuse(path, faults)
    if not members:
        raise RequestError(f"{path} names no member of any universe.")
    return pl.DataFrame([member[1:] for member in members], schema=MEMBER_SCHEMA, orient="row")


def read_instruments(path: Path) -> pl.DataFrame:
    """Names and sectors: symbol (upper case, once each, sorted), name, sector; null where a cell is empty.

    Raises:
        RequestError: the file or a column is missing, a symbol is empty or stands there twice.
    """
    found: dict[str, tuple[int, list[str]]] = {}
    faults: list[tuple[int, str]] = []
    for line, cells in _rows(path, INSTRUMENT_SCHEMA.names()):
        symbol = cells[0].upper()
        if not symbol:
            faults.append((line, "no symbol"))
        elif symbol in found:
            faults.append((line, f"{symbol} already stands in line {found[symbol][0]}"))
        else:
            found[symbol] = (line, cells)
    _refuse(path, faults)
    rows = [(symbol, cells[1] or None, cells[2] or None) for symbol, (_, cells) in sorted(found.items())]
    return pl.DataFrame(rows, schema=INSTRUMENT_SCHEMA, orient="row")


def instruments_beside(universe_file: Path) -> Path | None:
    """The file instruments.csv in the universe file's directory, where there is one."""
    path = universe_file.parent / "instruments.csv"
    return path if path.is_file() else None


def _rows(path: Path, columns: Sequence[str]) -> Iterator[tuple[int, list[str]]]:
    """Line number and the stripped cells of those columns, in their order; blank lines are passed over."""
    try:
        # Names may be in any 8-bit encoding; what decides (symbols, dates) is ASCII.
        with path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
            reader = csv.reader(file)
            header = [name.strip().lower() for name in next(reader, [])]
            missing = [name for name in columns if name not in header]
            if missing:
                raise RequestError(f"{path}, line 1: no column {', '.join(missing)}; needed are {', '.join(columns)}.")
            places = [header.index(name) for name in columns]
            for cells in reader:
                if any(cell.strip() for cell in cells):
                    yield reader.line_num, [cells[i].strip() if i < len(cells) else "" for i in places]
    except OSError as error:
        raise RequestError(f"{path} cannot be read: {error.strerror}.") from None
    except csv.Error as error:
        raise RequestError(f"{path} cannot be read as CSV: {error}.") from None


def _member(line: int, cells: Sequence[str]) -> _Member:
    universe, symbol, valid_from, valid_to = cells
    if not UNIVERSE_NAME.fullmatch(universe):
        raise ValueError(f"universe {universe!r} is not 1 to 40 of A-Z a-z 0-9 _ . -")
    if not symbol:
        raise ValueError("no symbol")
    first = _date("valid_from", valid_from)
    out = _date("valid_to", valid_to) if valid_to else None
    if out is not None and out <= first:
        raise ValueError(f"valid_to {out} is not after valid_from {first}")
    return _Member(line, universe, symbol.upper(), first, out)


def _date(column: str, text: str) -> dt.date:
    try:
        return dt.date.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{column} {text!r} is not a date YYYY-MM-DD") from None


def _overlaps(members: Sequence[_Member]) -> list[tuple[int, str]]:
    """Intervals that begin before the one before them ended; ``members`` sorted by universe, symbol, valid_from."""
    return [
        (max(a.line, b.line), f"{b.symbol} in {b.universe} overlaps line {min(a.line, b.line)}")
        for a, b in pairwise(members)
        if (a.universe, a.symbol) == (b.universe, b.symbol) and (a.valid_to is None or a.valid_to > b.valid_from)
    ]


def _refuse(path: Path, faults: list[tuple[int, str]]) -> None:
    if not faults:
        return
    named = "; ".join(f"line {line}: {reason}" for line, reason in sorted(faults)[:SHOWN])
    more = f"; and {len(faults) - SHOWN} more" if len(faults) > SHOWN else ""
    raise RequestError(f"{path} cannot be used: {named}{more}.")
