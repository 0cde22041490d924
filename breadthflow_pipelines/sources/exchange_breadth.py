"""Counts that an exchange publishes: one file per series, without header, lines ``YYYYMMDD, value``.

Published files contain rows on holidays and repeated rows. Lines that are wrong by calendar or form are rejected here,
with the reason; whether a value is plausible (half totals, a change of unit) is checked in trust/count_guards.py.
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from breadthflow_pipelines.errors import RequestError
from breadthflow_pipelines.locations import shown
from breadthflow_pipelines.model.counts import COUNTS
from breadthflow_pipelines.sessions import ExchangeCalendar
from breadthflow_pipelines.sources import delimited, parsing
from breadthflow_pipelines.sources.tree import opened
from breadthflow_pipelines.sources.unreadable import refusing, shortened
from breadthflow_pipelines.sources.web import Web, is_page

SERIES: Mapping[str, str] = {count.series: count.name for count in COUNTS if count.series and count.whole}
INDEX = "index"  # the level of the exchange's index, the only series that is not a count
NEEDED = ("advn", "decln")  # both are needed for breadth; every other series may be missing
MOST_PUBLISHED = 1e12  # issues, shares or points; fifty times the greatest volume, and a count in any unit of volume
REJECTED_SCHEMA = pl.Schema(
    {"series": pl.String, "line": pl.Int64, "session": pl.Date, "value": pl.String, "reason": pl.String}
)
MOST_LINE = 1_000  # characters of a line that are read and kept; a date and a number have 30
_EXCHANGE_NAME = re.compile(r"[A-Za-z0-9_.-]{1,40}")
_FILE_NAME = re.compile(rf"(?P<exchange>[A-Za-z0-9_.-]+)_(?P<series>{'|'.join((*SERIES, INDEX))})\.csv", re.IGNORECASE)


@dataclass
class PublishedCounts:
    """What an exchange's files hold.

    counts: ``session``, the eight columns of SERIES (Int64: issues, or shares as published) and ``index_close``
        (Float64), one row per session with any count, sorted; null where a series is missing or has no usable row.
    rejected: one row per rejected line: ``series`` (the file's suffix), ``line`` (from 1), ``session`` (null where
        the date cannot be read), ``value`` (as read; the whole line where the date cannot be read), ``reason``.
    """

    counts: pl.DataFrame
    rejected: pl.DataFrame


def read_published_counts(directory: Path, exchange: str, calendar: ExchangeCalendar) -> PublishedCounts:
    """Read ``<exchange>_advn.csv`` and so on; the case of the name matters only if names differ in nothing else.

    A value must be a whole number; ``1850.0`` and ``1.85e3`` are. A fraction is rejected, not rounded, because it means
    that the unit is not single issues or shares. Of several lines for a session, the first is kept if all have one
    value; otherwise all are rejected.

    Raises:
        RequestError: no such directory, exchange or needed series; says what is there.
        RequestError: a file cannot be read, or two files are one series.
    """
    files = _files(directory, exchange)
    sessions = calendar.frame().select("session", is_session=True)
    judged = pl.concat([_judge(_lines(path), series, sessions, calendar.name) for series, path in files.items()])
    accepted = judged.filter(pl.col("reason").is_null())
    counts = accepted.filter(pl.col("series") != INDEX).pivot(
        "series", index="session", values="count", on_columns=list(SERIES)
    )
    index = accepted.filter(series=INDEX).select("session", index_close="number")
    return PublishedCounts(
        counts=counts.rename(dict(SERIES)).join(index, on="session", how="left").sort("session"),
        rejected=judged.filter(pl.col("reason").is_not_null()).select(REJECTED_SCHEMA.names()),
    )


def unread_files(directory: Path, exchange: str) -> list[str]:
    """Files that look like the exchange's and are none of its series, by name."""
    own = re.compile(rf"{re.escape(exchange)}_.*\.csv", re.IGNORECASE)
    with refusing(shown(directory), RequestError):
        names = sorted(path.name for path in directory.iterdir())
    return [name for name in names if own.fullmatch(name) and not _FILE_NAME.fullmatch(name)]


def fetch_published_counts(address: str, exchange: str, web: Web, workspace: Path) -> Path:
    """Bring an exchange's series from the web into a directory that ``read_published_counts`` reads; returns it.

    address: a directory of them, or what stands before ``advn.csv`` and so on, ``https://host/NYSE_``. workspace: where
    directories of fetched series are kept; unchanged ones are not sent again.

    Raises:
        RequestError: the exchange's name is invalid, or a needed series is missing.
        SourceError: a series cannot be fetched; those before it are kept.
    """
    _check_name(exchange)
    prefix = address if address.endswith("_") else f"{address.rstrip('/')}/{exchange}_"
    directory = workspace / hashlib.sha256(prefix.encode()).hexdigest()[:16]
    missing = []
    for series in (*SERIES, INDEX):
        target = directory / f"{exchange}_{series}.csv"
        if not web.fetch(f"{prefix}{series}.csv", target):
            missing.append(series)
        elif is_page(target.read_bytes()[:1024]):
            target.unlink()
            raise RequestError(f"{shown(prefix)}{series}.csv is a web page and no series; correct the address.")
    lacking = [f"{series}.csv" for series in NEEDED if series in missing]
    if lacking:
        raise RequestError(f"{shown(prefix)} has no {' and no '.join(lacking)}; advances and declines are both needed.")
    return directory


def _check_name(exchange: str) -> None:
    if not _EXCHANGE_NAME.fullmatch(exchange):
        raise RequestError(f"{exchange!r} is not an exchange name: 1 to 40 of A-Z a-z 0-9 _ . -")


def _files(directory: Path, exchange: str) -> dict[str, Path]:
    """The files of that exchange, by series in the order of SERIES."""
    _check_name(exchange)
    with refusing(shown(directory), RequestError):
        if not directory.is_dir():
            raise RequestError(f"{shown(directory)} is not a directory; give the one that holds {exchange}_advn.csv.")
        paths = sorted(directory.iterdir())
    there: dict[str, dict[str, Path]] = {}
    for path in paths:
        if match := _FILE_NAME.fullmatch(path.name):
            of, series = there.setdefault(match["exchange"], {}), match["series"].lower()
            if series in of:
                raise RequestError(f"{shown(directory)}: {of[series].name} and {path.name} are one series; keep one.")
            of[series] = path
    alike = (name for name in there if name.lower() == exchange.lower())
    spelled = exchange if exchange in there else next(alike, None)
    if spelled is None:
        known = f"it has {', '.join(there)}" if there else "it has no published counts at all"
        raise RequestError(f"{directory} has no file {exchange}_advn.csv or like it; {known}.")
    files = {series: there[spelled][series] for series in (*SERIES, INDEX) if series in there[spelled]}
    missing = [f"{spelled}_{series}.csv" for series in NEEDED if series not in files]
    if missing:
        raise RequestError(f"{directory} has no {' and no '.join(missing)}; advances and declines are both needed.")
    return files


def _lines(path: Path) -> pl.DataFrame:
    """Line number, the whole line, and its parts before and after the first comma; without blank lines."""
    with refusing(shown(path), RequestError), opened(path) as stream:
        lines = [shortened(line.strip(), MOST_LINE) for line in delimited.lines(stream.read())]
    numbered = [(number, line) for number, line in enumerate(lines, start=1) if line]
    parts = pl.col("text").str.splitn(",", 2)
    return pl.DataFrame(numbered, schema={"line": pl.Int64, "text": pl.String}, orient="row").with_columns(
        date=parts.struct[0].str.strip_chars(), value=parts.struct[1].str.strip_chars()
    )


def _judge(lines: pl.DataFrame, series: str, sessions: pl.DataFrame, calendar: str) -> pl.DataFrame:
    """REJECTED_SCHEMA's columns, ``count`` and ``number``; ``reason`` is null for accepted lines."""
    number = pl.col("number")
    read = (
        lines.with_columns(
            session=parsing.within_dates(pl.col("date").str.to_date("%Y%m%d", strict=False)),
            number=pl.col("value").cast(pl.Float64, strict=False),
            count=pl.coalesce(
                pl.col("value").cast(pl.Int64, strict=False),
                pl.col("value").cast(pl.Float64, strict=False).cast(pl.Int64, strict=False),
            ),
        )
        .join(sessions, on="session", how="left", maintain_order="left")
        .with_columns(
            reason=pl.when(pl.col("session").is_null())
            .then(pl.lit("not a date"))
            .when(pl.col("is_session").is_null())
            .then(pl.lit(f"no session of {calendar}"))
            .when(~number.is_finite().fill_null(value=False) | pl.col("count").is_null())
            .then(pl.lit("not a number"))
            .when(number < 0)
            .then(pl.lit("negative"))
            .when(number > MOST_PUBLISHED)
            .then(pl.lit("beyond any market"))
            .when((number != number.round()) & (series != INDEX))
            .then(pl.lit("not a whole number"))
            .when((number == 0) & (series == INDEX))
            .then(pl.lit("no level"))
        )
    )
    usable = pl.col("number").filter(pl.col("reason").is_null())
    rank = pl.col("line").filter(pl.col("reason").is_null()).min()
    repeated = (usable.n_unique() > 1) | (pl.col("line") > rank)
    return read.with_columns(
        series=pl.lit(series),
        value=pl.when(pl.col("session").is_null()).then(pl.col("text")).otherwise(pl.col("value")),
        reason=pl.when(pl.col("reason").is_null() & repeated.over("session"))
        .then(pl.lit("repeated session"))
        .otherwise(pl.col("reason")),
    ).select(*REJECTED_SCHEMA.names(), "count", "number")
