"""Securities and members of sources that know nothing of either: they have symbols, and the bars of each."""

import datetime as dt
from collections.abc import Iterable
from pathlib import Path

import polars as pl

from breadthflow_pipelines.sources.protocol import MEMBER_SCHEMA, SECURITY_SCHEMA
from breadthflow_pipelines.sources.universe_file import INSTRUMENT_SCHEMA, read_instruments

STILL_LISTED = dt.timedelta(days=10)  # a symbol whose last bar is no older than this against the newest is listed


def securities_of(symbols: Iterable[str], instruments: Path | None) -> pl.DataFrame:
    """SECURITY_SCHEMA, one row per symbol, valid without limits, the symbol as its key.

    instruments: a file with the names and sectors of some of them.

    Raises:
        RequestError: that file cannot be used.
    """
    known = read_instruments(instruments) if instruments else pl.DataFrame(schema=INSTRUMENT_SCHEMA)
    listed = pl.DataFrame({"symbol": symbols}, schema={"symbol": pl.String})
    never = pl.lit(None, pl.Date)
    return (
        listed.join(known, on="symbol", how="left", maintain_order="left")
        .with_columns(source_key="symbol", valid_from=never, valid_to=never)
        .select(SECURITY_SCHEMA.names())
    )


def members_by_bars(spans: pl.DataFrame) -> pl.DataFrame:
    """MEMBER_SCHEMA: universe ``all``, each symbol from its first bar until the day after its last; open if recent.

    spans: symbol, first, last, of parts of its history; null where nothing is known.
    """
    whole = spans.group_by("symbol").agg(pl.col("first").min(), pl.col("last").max())
    gone = pl.col("last") < pl.col("last").max() - STILL_LISTED
    return (
        whole.drop_nulls()
        .select(
            universe=pl.lit("all"),
            symbol="symbol",
            valid_from="first",
            valid_to=pl.when(gone).then(pl.col("last").dt.offset_by("1d")),
        )
        .cast(MEMBER_SCHEMA)
        .sort("symbol")
    )
