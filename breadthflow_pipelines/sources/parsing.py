"""Parsing of cells in vendors' files, as expressions: text, numbers, days and symbols. Columns are layout.py's."""

import datetime as dt
from unicodedata import category
from zoneinfo import ZoneInfo

import polars as pl

from breadthflow_pipelines.errors import printable

LONGEST_SYMBOL = 40
SHOWN = 12  # characters of what is too long for a symbol
MISSING = ("", "-", "--", "#n/a", "n/a", "n.a.", "na", "nan", "nil", "none", "null")  # texts for a missing value
# The first and the last day that a Python date can have, in days since 1970.
FIRST_DAY, LAST_DAY = ((day - dt.date(1970, 1, 1)).days for day in (dt.date.min, dt.date.max))

_UTC = ("Z", "UTC", "+00:00", "+0000", "-00:00")
# 2024-03-01 00:00:00-05:00, 2024-03-01T05:00:00.000Z
_MOMENT = r"^(\d{4}-\d{2}-\d{2})[ T](\d{2}:\d{2}(?::\d{2})?)(?:\.\d+)?\s*(Z|UTC|[+-]\d{2}:?\d{2})?$"


def text(column: str) -> pl.Expr:
    """The cell as stripped text; empty where it is null."""
    return pl.col(column).cast(pl.String).str.strip_chars().fill_null("")


def number(column: str, dtype: pl.DataType) -> pl.Expr:
    """The cell as Float64; null if it is not a number. dtype: the column's own."""
    if dtype != pl.String:
        return pl.col(column).cast(pl.Float64, strict=False).fill_nan(None)
    read = text(column).cast(pl.Float64, strict=False)
    return pl.when(read.is_finite()).then(read)


def day(column: str, dtype: pl.DataType) -> pl.Expr:
    """The cell as Date, from YYYY-MM-DD, YYYYMMDD or a date; null if it is none of these. dtype: the column's own."""
    if dtype == pl.Date:
        return within_dates(pl.col(column))
    written = text(column)
    compact = pl.when(written.str.len_chars() == len("YYYYMMDD")).then(written)  # "2024111" would be read as some day
    read = pl.coalesce(written.str.to_date("%Y-%m-%d", strict=False), compact.str.to_date("%Y%m%d", strict=False))
    return within_dates(read)


def day_of_moment(column: str, zone: str) -> pl.Expr:
    """The day of a cell with a timestamp as text; null if it is not one.

    It is the day as written, in the offset as written. For a timestamp in UTC, which is how programs write any time, it
    is the day in ``zone``, the exchange's; midnight in UTC is a day without a time.
    """
    part = text(column).str.extract_groups(_MOMENT).struct
    date, time, offset = part[0], part[1], part[2]
    moment = pl.concat_str(date, pl.lit(" "), time.str.head(5)).str.to_datetime("%Y-%m-%d %H:%M", strict=False)
    local = moment.dt.replace_time_zone("UTC").dt.convert_time_zone(zone).dt.date()
    abroad = offset.is_in(_UTC) & (time.str.head(5) != "00:00")
    return within_dates(pl.when(abroad).then(local).otherwise(moment.dt.date()))


def symbol(column: str) -> pl.Expr:
    """The cell as a symbol, spelled as it is; null where it is empty or cannot be one.

    Nearly everything is a symbol somewhere: digits, blanks, ``NA``, ``TRUE``, umlauts. Invisible characters are not.
    """
    written = text(column)
    visible = ~written.str.contains(r"[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\x{fffd}]")
    return pl.when(written.str.len_chars().is_between(1, LONGEST_SYMBOL) & visible).then(written)


def is_symbol(written: str) -> bool:
    """Whether ``symbol`` accepts the text."""
    visible = all(category(char) not in ("Cc", "Cf", "Cs", "Zl", "Zp") and char != "\ufffd" for char in written)
    return visible and 1 <= len(written) <= LONGEST_SYMBOL


def too_long(written: str) -> str:
    """What to say of a text that has too many characters for a symbol; empty where it has not."""
    if len(written) <= LONGEST_SYMBOL:
        return ""
    return f"'{printable(written[:SHOWN])}...' has {len(written):,} characters, and a symbol at most {LONGEST_SYMBOL}"


def unread(ours: str) -> pl.Expr:
    """How a fault names an unreadable cell; the column ``ours`` has its text."""
    if ours != "symbol":
        return pl.lit(ours)
    long = f"symbol of more than {LONGEST_SYMBOL} characters"
    return pl.when(pl.col(ours).str.len_chars() > LONGEST_SYMBOL).then(pl.lit(long)).otherwise(pl.lit(ours))


def spelled(written: str) -> str:
    """A vendor's symbol in our spelling: letters keep their case, but a symbol in lower case is put in upper case.

    ``aapl`` is AAPL; ``AMpB``, a preferred share, is not AMPB.
    """
    return written.upper() if written == written.lower() else written


def spelled_column(column: str) -> pl.Expr:
    """``spelled`` of each symbol of a column."""
    written = pl.col(column)
    return pl.when(written == written.str.to_lowercase()).then(written.str.to_uppercase()).otherwise(written)


def today(zone: str) -> dt.date:
    """The day that it is now in that time zone, the exchange's."""
    return dt.datetime.now(ZoneInfo(zone)).date()


def session_come(zone: str) -> pl.Expr:
    """The column ``session``, null where the day has not yet come at the exchange, whose zone this is."""
    return pl.when(pl.col("session") <= today(zone)).then("session")


def within_dates(days: pl.Expr) -> pl.Expr:
    """The days, null where they are outside the range of Python dates and could not be shown."""
    return pl.when(days.to_physical().is_between(FIRST_DAY, LAST_DAY)).then(days)
