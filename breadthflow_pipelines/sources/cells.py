"""Cells of vendors' files as expressions: text, numbers and days. What they mean together is for each source to say."""

import polars as pl


def text(column: str) -> pl.Expr:
    """The cell as text, without blanks around it."""
    return pl.col(column).cast(pl.String).str.strip_chars()


def number(column: str, dtype: pl.DataType) -> pl.Expr:
    """The cell as Float64; null where it is no number. dtype: the column's own."""
    value = text(column) if dtype == pl.String else pl.col(column)
    return value.cast(pl.Float64, strict=False).fill_nan(None)


def day(column: str, dtype: pl.DataType) -> pl.Expr:
    """The cell as Date, of YYYY-MM-DD, YYYYMMDD, a date or a moment; null where it is none. dtype: the column's own."""
    if dtype == pl.Date:
        return pl.col(column)
    if isinstance(dtype, pl.Datetime):
        return pl.col(column).dt.date()
    written = text(column)
    compact = pl.when(written.str.len_chars() == len("YYYYMMDD")).then(written)  # "2024111" would be read as some day
    return pl.coalesce(written.str.to_date("%Y-%m-%d", strict=False), compact.str.to_date("%Y%m%d", strict=False))
