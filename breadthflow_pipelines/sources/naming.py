"""Symbols from the names of files and directories. Opens nothing."""

import re
from collections.abc import Sequence
from functools import lru_cache
from urllib.parse import unquote

import polars as pl

from breadthflow_pipelines.sources import parsing
from breadthflow_pipelines.sources.tree import TEXTS, TableFile

STOOQ_MARKETS = ("us", "uk", "de", "jp", "hk", "hu", "pl")  # as Stooq marks them: aapl.us
FILE_NAME = "filename"  # the value of BREADTHFLOW_SOURCE_SYMBOL that is not a pattern

_SYMBOL = re.compile(r"[A-Za-z0-9^][A-Za-z0-9._^=-]{0,19}")
_MARKETS = "|".join(STOOQ_MARKETS)
_STOOQ_MEMBER = re.compile(rf"(?P<ticker>.+)\.(?P<market>{_MARKETS})", re.IGNORECASE)  # aapl.us.txt, of an archive
_STOOQ_DOWNLOAD = re.compile(rf"(?P<ticker>.+)_(?P<market>{_MARKETS})_d", re.IGNORECASE)  # aapl_us_d.csv, of one symbol
_STOOQ_PLAIN = ["date", "open", "high", "low", "close", "volume"]
_STOOQ_OLD = [*_STOOQ_PLAIN, "openint"]
_TIME = re.compile(
    r"\d{1,4}([-_.]?\d{1,2}){0,2}|(year|month|day|date|session|week|quarter|yyyy|mm|dd)=.*", re.IGNORECASE
)
_NO_VALUE = "__HIVE_DEFAULT_PARTITION__"


def key(name: str) -> str:
    """A column's name without what differs between vendors: case, blanks, dots, dashes, underscores, brackets."""
    return "".join(char for char in name.lower() if char.isalnum() or char == "\0")  # kept, for it reveals UTF-16


def symbol_of_file(file: TableFile, names: Sequence[str], markets: Sequence[str]) -> str | None:
    """The symbol in a file's name, if it can be one; names are those of its columns.

    Stooq's suffixes are removed from Stooq's own files, recognised by name and columns: ``aapl.us.txt`` is AAPL. Other
    names are taken as they are: ``SAP.DE.csv`` is SAP.DE.
    """
    keys = [key(name) for name in names]
    match = None
    if keys == _STOOQ_OLD or (names and names[0].strip().startswith("<")):
        match = _STOOQ_MEMBER.fullmatch(file.stem) or _STOOQ_DOWNLOAD.fullmatch(file.stem)
    elif keys in (_STOOQ_PLAIN, []) and file.stem == file.stem.lower():  # none: an unreadable file
        is_member = file.ending.startswith(TEXTS[1])
        match = (_STOOQ_MEMBER.fullmatch(file.stem) if is_member else None) or _STOOQ_DOWNLOAD.fullmatch(file.stem)
    if match is not None and _SYMBOL.fullmatch(match["ticker"]):
        return symbol_of_stooq(match["ticker"], match["market"], markets)
    return parsing.spelled(file.stem) if _SYMBOL.fullmatch(file.stem) else None


def symbol_of_stooq(ticker: str, market: str, markets: Sequence[str]) -> str:
    """Our symbol for a share in one of Stooq's markets: with its market, unless that is the first of ``markets``."""
    return (ticker if market.lower() == markets[0] else f"{ticker}.{market}").upper()


def symbol_of_stooq_column(ticker: pl.Expr, markets: Sequence[str]) -> pl.Expr:
    """The same of tickers as Stooq writes them in a column, ``AAPL.US``; one without a market stays as it is."""
    return ticker.str.to_uppercase().str.strip_suffix(f".{markets[0].upper()}")


def symbol_by_setting(file: TableFile, setting: str) -> str | None:
    """The symbol at the position that BREADTHFLOW_SOURCE_SYMBOL names; None if the path does not match it."""
    if setting == FILE_NAME:
        found = file.stem
    else:
        path = "/".join(file.parts)
        bare = path[: len(path) - len(file.ending)] + file.ending.removesuffix(".gz").removesuffix(".zst")
        match = pattern(setting).fullmatch(path) or pattern(setting).fullmatch(bare)
        found = match["symbol"] if match else ""
    return parsing.spelled(found) if parsing.is_symbol(found) else None


@lru_cache(maxsize=8)
def pattern(setting: str) -> re.Pattern[str]:
    """What a path must end with, for a setting like ``{symbol}_data.csv`` or ``{symbol}/*.parquet``."""
    text = re.escape(setting.strip("/"))
    text = text.replace(re.escape("{symbol}"), "(?P<symbol>[^/]+?)").replace(re.escape("*"), "[^/]*")
    return re.compile(rf"(?:.*/)?{text}", re.IGNORECASE)


def in_directories(file: TableFile) -> dict[str, str]:
    """The values of directories named ``column=value``, as Hive, Spark, DuckDB and Polars write them, by key."""
    pairs = (part.split("=", 1) for part in file.parts[:-1] if "=" in part)
    said = {key(name): unquote(value) for name, value in pairs if value != _NO_VALUE}
    return {name: value for name, value in said.items() if parsing.is_symbol(value)}


def directory_of_something(file: TableFile) -> str | None:
    """The last directory named ``column=value`` that is not about time; None if there is none."""
    named = [part for part in file.parts[:-1] if "=" in part and not _TIME.fullmatch(part)]
    return named[-1] if named else None


def is_of_time(directory: str) -> bool:
    """Whether a directory is named after a time: 2020, 2020-01-31, year=2020."""
    return bool(_TIME.fullmatch(directory))
