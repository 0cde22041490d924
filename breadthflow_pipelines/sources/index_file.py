"""The closes of an index from a file. Bars of shares, and interest rates, are read elsewhere in this room."""

import csv
import datetime as dt
import math
from collections.abc import Iterator, Sequence
from pathlib import Path

import polars as pl

from breadthflow_pipelines.errors import RequestError
from breadthflow_pipelines.locations import shown
from breadthflow_pipelines.sources import delimited
from breadthflow_pipelines.sources.layout import SYNONYMS
from breadthflow_pipelines.sources.naming import key
from breadthflow_pipelines.sources.tree import opened
from breadthflow_pipelines.sources.unreadable import refusing, shortened

INDEX_SCHEMA = pl.Schema({"session": pl.Date, "close": pl.Float64, "close_adjusted": pl.Float64})
_Row = tuple[dt.date, float, float | None]


def read_index(path: Path) -> pl.DataFrame:
    """INDEX_SCHEMA of a CSV file, sorted; close_adjusted, with dividends, is null where the file has none.

    The file has a header with a date and a close, and perhaps an adjusted close, under names that files of bars may
    have; or it has none, and lines as an exchange's own index file: YYYYMMDD, close. Rows without a close, as on
    holidays, are passed over.

    Raises:
        RequestError: the file, a column or a row cannot be read, or a session comes twice; names the line.
    """
    with refusing(shown(path), RequestError), opened(path) as stream:
        rows = list(csv.reader(delimited.lines(stream.read())))
    found: dict[dt.date, _Row] = {}
    for line, row in _read(path, rows):
        if row[0] in found:
            raise RequestError(f"{shown(path)}, line {line}: {row[0]} comes twice; keep one line for it.")
        found[row[0]] = row
    if not found:
        raise RequestError(f"{shown(path)} has no close of any session.")
    closes = pl.DataFrame(list(found.values()), schema=INDEX_SCHEMA, orient="row").sort("session")
    # Of an index without dividends vendors repeat the close: nothing was adjusted.
    repeated = (pl.col("close_adjusted") == pl.col("close")).all(ignore_nulls=False)
    return closes.with_columns(close_adjusted=pl.when(~repeated.fill_null(value=False)).then("close_adjusted"))


def _read(path: Path, rows: Sequence[list[str]]) -> Iterator[tuple[int, _Row]]:
    """Each row that has a close, with the number of its line."""
    bare = bool(rows) and len(rows[0]) == 2 and _day(rows[0][0]) is not None
    at = (0, 1, None) if bare else _columns(path, rows[0] if rows else [])
    for line, cells in enumerate(rows[not bare :], start=2 - bare):
        written = [cells[i].strip() if i is not None and i < len(cells) else "" for i in at]
        if not written[1]:
            continue
        session, close, adjusted = _day(written[0]), _price(written[1]), _price(written[2])
        if session is None or close is None or (written[2] and adjusted is None):
            told = shortened(",".join(cells), 80)
            raise RequestError(f"{shown(path)}, line {line}: {told} is not a date and a close above zero.")
        yield line, (session, close, adjusted)


def _columns(path: Path, header: Sequence[str]) -> tuple[int, int, int | None]:
    names = {key(name): i for i, name in reversed(list(enumerate(header)))}
    session, adjusted = (
        next((names[k] for k in SYNONYMS[of] if k in names), None) for of in ("session", "close_adjusted")
    )
    if session is None or "close" not in names:
        raise RequestError(f"{shown(path)} has no columns date and close: write date,close in its first line.")
    return session, names["close"], adjusted


def _day(text: str) -> dt.date | None:
    try:
        return dt.date.fromisoformat(text.strip())  # YYYY-MM-DD or YYYYMMDD
    except ValueError:
        return None


def _price(text: str) -> float | None:
    try:
        price = float(text)
    except ValueError:
        return None
    return price if math.isfinite(price) and price > 0 else None
