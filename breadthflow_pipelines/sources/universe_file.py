"""Universe and instrument files: members of universes over time, names and sectors of companies. Reads no bars."""

import datetime as dt
import re
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import polars as pl

from breadthflow_pipelines.errors import RequestError, printable
from breadthflow_pipelines.locations import shown
from breadthflow_pipelines.sources import delimited, parsing
from breadthflow_pipelines.sources.protocol import MEMBER_SCHEMA
from breadthflow_pipelines.sources.tree import opened
from breadthflow_pipelines.sources.unreadable import WORDS, refusing, shortened

INSTRUMENT_SCHEMA = pl.Schema({"symbol": pl.String, "name": pl.String, "sector": pl.String})
UNIVERSE_NAME = re.compile(r"[A-Za-z0-9_.-]{1,40}")
SHOWN = 3  # faults that a message names; a completely wrong file would fill the screen


class _Member(NamedTuple):
    line: int
    universe: str
    symbol: str
    valid_from: dt.date
    valid_to: dt.date | None


def read_universe(path: Path) -> pl.DataFrame:
    """The members of a file with the columns universe, symbol, valid_from, valid_to, in MEMBER_SCHEMA.

    Dates are YYYY-MM-DD. ``valid_to`` is the first day out; empty: still a member. Symbols are spelled like those of
    bars. Columns may have any order, and others are ignored. Rows are sorted by universe, symbol and valid_from.

    Raises:
        RequestError: the file or a column is missing, or a row cannot be used: names the file, up to three lines and
            the reasons. One such row is enough: counts of an incomplete universe are wrong but look right.
    """
    members: list[_Member] = []
    rows, faults = _rows(path, MEMBER_SCHEMA.names())
    for line, row in rows:
        try:
            members.append(_member(line, row))
        except ValueError as error:
            faults.append((line, str(error)))
    members.sort(key=lambda member: (member.universe, member.symbol, member.valid_from, member.line))
    faults += _overlaps(members)
    _refuse(path, faults)
    if not members:
        raise RequestError(f"{shown(path)} names no member of any universe.")
    return pl.DataFrame([member[1:] for member in members], schema=MEMBER_SCHEMA, orient="row")


def read_instruments(path: Path) -> pl.DataFrame:
    """Names and sectors: symbol (once each, sorted), name, sector; null where a cell is empty.

    Raises:
        RequestError: the file or a column is missing, or a symbol is invalid or occurs twice.
    """
    found: dict[str, tuple[int, list[str]]] = {}
    rows, faults = _rows(path, INSTRUMENT_SCHEMA.names())
    for line, row in rows:
        try:
            symbol = _symbol(row[0])
        except ValueError as error:
            faults.append((line, str(error)))
            continue
        if symbol in found:
            faults.append((line, f"{symbol} is already in line {found[symbol][0]}"))
        else:
            found[symbol] = (line, row)
    _refuse(path, faults)
    known = [(symbol, *(printable(cell) or None for cell in row[1:])) for symbol, (_, row) in sorted(found.items())]
    return pl.DataFrame(known, schema=INSTRUMENT_SCHEMA, orient="row")


def instruments_beside(universe_file: Path) -> Path | None:
    """The file instruments.csv in the universe file's directory, where there is one."""
    path = universe_file.parent / "instruments.csv"
    with refusing(shown(path), RequestError):
        return path if path.is_file() else None


def _rows(path: Path, columns: Sequence[str]) -> tuple[list[tuple[int, list[str]]], list[tuple[int, str]]]:
    """Line number and stripped cells of those columns, in their order; and lines that are not rows, with the reason."""
    rows: list[tuple[int, list[str]]] = []
    faults: list[tuple[int, str]] = []
    with refusing(shown(path), RequestError), opened(path) as stream:
        table = delimited.Table(stream)
        header = [name.lower() for name in table.names]
        missing = [name for name in columns if name not in header]
        if missing:
            raise RequestError(
                f"{shown(path)}, line 1: no column {', '.join(missing)}; needed are {', '.join(columns)}."
            )
        indices = [header.index(name) for name in columns]
        for line, row in table.numbered():
            if len(row) == len(header):
                rows.append((line, [row[i].strip() for i in indices]))
            else:
                faults.append((line, f"{len(row)} cells under a header of {len(header)}"))
    return rows, faults


def _member(line: int, row: Sequence[str]) -> _Member:
    universe, symbol, valid_from, valid_to = row
    if not UNIVERSE_NAME.fullmatch(universe):
        raise ValueError(f"universe {_quoted(universe)} is not 1 to 40 of A-Z a-z 0-9 _ . -")
    first = _date("valid_from", valid_from)
    out = _date("valid_to", valid_to) if valid_to else None
    if out is not None and out <= first:
        raise ValueError(f"valid_to {out} is not after valid_from {first}")
    return _Member(line, universe, _symbol(symbol), first, out)


def _symbol(text: str) -> str:
    if not text:
        raise ValueError("no symbol")
    if said := parsing.too_long(text):
        raise ValueError(f"symbol {said}")
    if not parsing.is_symbol(text):
        raise ValueError(f"symbol {_quoted(text)} cannot be one")
    return parsing.spelled(text)


def _date(column: str, text: str) -> dt.date:
    try:
        return dt.date.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{column} {_quoted(text)} is not a date YYYY-MM-DD") from None


def _quoted(text: str) -> str:
    return f"'{shortened(text, WORDS)}'"


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
    raise RequestError(f"{shown(path)} cannot be used: {named}{more}.")
