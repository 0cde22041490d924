"""Parquet files as frames of text, numbers and days, whatever their types. What columns mean is not known here."""

import datetime as dt
import re
from collections.abc import Iterator, Sequence
from typing import IO

import polars as pl
import pyarrow as pa
import pyarrow.parquet as arrow_parquet

from breadthflow_pipelines.sources import parsing
from breadthflow_pipelines.sources.protocol import Account
from breadthflow_pipelines.sources.unreadable import UnreadableError

BATCH = 250_000  # rows at a time

_TICKS = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}  # of a second
_DAY = 86_400  # seconds
_UTC = ("UTC", "Etc/UTC", "GMT", "Z", "+00:00", "-00:00")
_OFFSET = re.compile(r"(?P<sign>[+-])(?P<hours>\d\d):?(?P<minutes>\d\d)")
_TEXT = (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view)
_BYTES = (pa.types.is_binary, pa.types.is_large_binary, pa.types.is_fixed_size_binary, pa.types.is_binary_view)


class Table:
    """One file, to be read once. names: its columns. zone: the exchange's, in which timestamps in UTC have their day.

    Raises:
        OSError, pa.ArrowException and others: it is damaged, encrypted, or no Parquet file.
    """

    def __init__(self, stream: IO[bytes], zone: str) -> None:
        self._file = arrow_parquet.ParquetFile(stream)
        self._zone = zone
        self._read = self._blank = 0
        self.names: list[str] = self._file.schema_arrow.names

    @property
    def account(self) -> Account:
        """Each row counts as a line; complete when all of them were read."""
        return Account(lines=self._read, rows=self._read - self._blank, blank=self._blank)

    def frames(self, wanted: Sequence[int], day: int | None, start: dt.date, end: dt.date) -> Iterator[pl.DataFrame]:
        """The rows with those columns, named by their index: "0", "3".

        day: the index of the column with days. Rows of days outside start through end may be left out.

        Raises:
            UnreadableError: a column has a type that is neither text nor number nor day, two have one name, or rows are
                missing.
        """
        names = [self.names[column] for column in wanted]
        for name in names:
            if self.names.count(name) > 1:
                raise UnreadableError(f"two of its columns are called {name}")
        # Statistics of row groups could save reading some of them, but reading statistics of a damaged file may end the
        # process.
        for batch in self._file.iter_batches(BATCH, columns=names):
            rows = pl.DataFrame([self._column(batch.column(self.names[column]), column) for column in wanted])
            filled = rows.filter(pl.any_horizontal(pl.all().is_not_null()))
            self._read += rows.height
            self._blank += rows.height - filled.height
            yield (
                filled.filter(self._is_near(str(day), start, end)) if filled.schema.get(str(day)) == pl.Date else filled
            )
        if self._read != self._file.metadata.num_rows:
            raise UnreadableError(
                f"of the {self._file.metadata.num_rows:,} rows that it says it has, {self._read:,} are there"
            )

    def _is_near(self, day: str, start: dt.date, end: dt.date) -> pl.Expr:
        """Whether a row may be requested: also without a day, and with a day in the future."""
        since = pl.col(day).to_physical()
        first, last, today = ((one - dt.date(1970, 1, 1)).days for one in (start, end, parsing.today(self._zone)))
        return since.is_null() | since.is_between(first, last) | (since > today)

    def _column(self, values: pa.Array, column: int) -> pl.Series:
        """The cells as text, numbers or days. Types that end Polars' process never reach it."""
        kind, name = values.type, str(column)
        is_text = any(is_kind(kind) for is_kind in _TEXT)
        if any(is_kind(kind) for is_kind in _BYTES) or (is_text and not _is_valid(values)):
            return _decoded(values.cast(pa.large_binary()), name)
        values.validate(full=True)
        if isinstance(kind, pa.BaseExtensionType):
            return self._column(values.storage, column)
        if pa.types.is_dictionary(kind):
            return self._column(values.dictionary_decode(), column)
        if pa.types.is_temporal(kind) and not (pa.types.is_time(kind) or pa.types.is_duration(kind)):
            return _dates(_days(values, self._zone), name)
        if pa.types.is_null(kind):
            return pl.Series(name, [None] * len(values), dtype=pl.String)
        if pa.types.is_decimal(kind) or pa.types.is_floating(kind):
            return pl.Series(name, values.cast(pa.float64()))
        if not (pa.types.is_integer(kind) or is_text):
            raise UnreadableError(f"its column {self.names[column]} holds {kind}: neither text nor numbers nor days")
        return pl.Series(name, values)


def _is_valid(values: pa.Array) -> bool:
    """Whether values match their type: text is UTF-8."""
    try:
        values.validate(full=True)
    except pa.ArrowInvalid:
        return False
    return True


def _decoded(values: pa.Array, name: str) -> pl.Series:
    """Bytes as text; bytes that are not UTF-8 become U+FFFD."""
    values.validate(full=True)
    text = [cell.decode(errors="replace") if cell is not None else None for cell in values.to_pylist()]
    return pl.Series(name, text, dtype=pl.String)


def _integers(values: pa.Array) -> pl.Series:
    """Days and timestamps as stored integers, because computing with years outside the calendar raises errors."""
    width = pa.int32() if pa.types.is_date32(values.type) else pa.int64()
    return pl.Series(values.view(width)).cast(pl.Int64)


def _days(values: pa.Array, exchange: str) -> pl.Series:
    """The day of each cell, since 1970, in its own zone; in the exchange's for UTC timestamps other than midnight."""
    written, kind = _integers(values), values.type
    if pa.types.is_date32(kind):
        return written
    if pa.types.is_date64(kind):
        return written // (_TICKS["ms"] * _DAY)
    ticks = _TICKS[kind.unit]
    seconds, whole = written // ticks, written % (ticks * _DAY) == 0
    if kind.tz is None:
        return seconds // _DAY
    if kind.tz in _UTC:
        return (seconds // _DAY).zip_with(whole, _local_days(seconds, exchange))
    if offset := _OFFSET.fullmatch(kind.tz):
        shift = int(offset["hours"]) * 3600 + int(offset["minutes"]) * 60
        return (seconds + (shift if offset["sign"] == "+" else -shift)) // _DAY
    return _local_days(seconds, kind.tz)


def _local_days(seconds: pl.Series, zone: str) -> pl.Series:
    days = seconds // _DAY
    known = days.is_between(parsing.FIRST_DAY + 1, parsing.LAST_DAY - 1).fill_null(value=False)
    moments = (seconds.zip_with(known, pl.Series([0])) * _TICKS["us"]).cast(pl.Datetime("us"))
    local = moments.dt.replace_time_zone("UTC").dt.convert_time_zone(zone).dt.date()
    return local.cast(pl.Int32).cast(pl.Int64).zip_with(known, days)


def _dates(days: pl.Series, name: str) -> pl.Series:
    """Days since 1970 as dates; as text if one of them is outside the range of dates."""
    known = days.is_between(parsing.FIRST_DAY, parsing.LAST_DAY) | days.is_null()
    dates = days.zip_with(known, pl.Series([None], dtype=pl.Int64)).cast(pl.Int32).cast(pl.Date).alias(name)
    if known.all():
        return dates
    return dates.cast(pl.String).zip_with(known, days.cast(pl.String) + " days since 1970").alias(name)
