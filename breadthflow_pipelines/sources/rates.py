"""Interest rates from a file, to hold returns against. Bars and members are read elsewhere in this room."""

import csv
import datetime as dt
import io
import math
from pathlib import Path

import polars as pl

from breadthflow_pipelines.errors import RequestError
from breadthflow_pipelines.locations import shown
from breadthflow_pipelines.sources.tree import opened
from breadthflow_pipelines.sources.unreadable import refusing, shortened

RATE_SCHEMA = pl.Schema({"session": pl.Date, "rate": pl.Float64})
COLUMNS = ("session", "rate")


def read_rates(path: Path) -> pl.DataFrame:
    """The rates of a CSV file with the columns session (YYYY-MM-DD) and rate (per cent a year), sorted.

    Rows without a rate, as on holidays, are passed over.

    Raises:
        RequestError: the file, a column or a row cannot be read, or a session comes twice; names the line.
    """
    found: dict[dt.date, float] = {}
    with refusing(shown(path), RequestError), opened(path) as stream:
        lines = io.StringIO(stream.read().decode("utf-8-sig"))
        reader = csv.DictReader(lines)
        if not set(COLUMNS) <= set(reader.fieldnames or ()):
            raise RequestError(f"{shown(path)} has no columns session and rate: write session,rate in its first line.")
        for row in reader:
            if not row["rate"]:
                continue
            session, rate = _rate(path, reader.line_num, row)
            if session in found:
                raise RequestError(
                    f"{shown(path)}, line {reader.line_num}: {session} comes twice; keep one line for it."
                )
            found[session] = rate
    return pl.DataFrame(list(found.items()), schema=RATE_SCHEMA, orient="row").sort("session")


def _rate(path: Path, line: int, row: dict[str, str]) -> tuple[dt.date, float]:
    try:
        session, rate = dt.date.fromisoformat(row["session"]), float(row["rate"])
    except (TypeError, ValueError):
        session, rate = dt.date.min, math.nan
    if not -100 < rate < 1000:
        told = shortened(f"{row['session']},{row['rate']}", 80)
        raise RequestError(f"{shown(path)}, line {line}: {told} is not a date and a rate in per cent a year.")
    return session, rate
