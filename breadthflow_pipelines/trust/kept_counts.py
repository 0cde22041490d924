"""What stays of an exchange's stored counts where its publication gives less than it did. Pure; stores nothing.

A publisher that turns to a file of the last year, or lacks a file for an evening, has taken nothing back
(docs/decisions/published-counts.md). Reading files: sources/exchange_breadth.py. Judging rows: count_guards.py.

given, stored: session, and the counts and index_close of SERIES, one row per session; null where there is none. given:
all that a publication has now. stored: what the store has of the exchange.
"""

import polars as pl

from breadthflow_pipelines.errors import RequestError
from breadthflow_pipelines.model.counts import COUNTS, PUBLISHED

SERIES = {count.name: count.series for count in COUNTS if count.series}  # by column, what the file's name ends in


def refuse_unlike(given: pl.DataFrame, stored: pl.DataFrame, exchange: str) -> None:
    """Refuse a publication that would end a stored series, or go on with another index than the one before it.

    Raises:
        RequestError: a series that is stored has no value now, or a shorter index none of its levels; says what helps.
    """
    sessions = {name: stored[name].count() for name in SERIES}
    lost = [name for name in SERIES if sessions[name] and not given[name].count()]
    if lost:
        files = " and ".join(f"{exchange}_{SERIES[name]}.csv" for name in lost)
        told = " and ".join(f"{sessions[name]:,} of {name}" for name in lost)
        raise RequestError(
            f"{files} {'is' if len(lost) == 1 else 'are'} not there any more, or without a line that can be used; "
            f"values are stored, {told}. Put the file back; or drop them: {_dropping(exchange)}"
        )
    both = given.drop_nulls("index_close").join(stored.drop_nulls("index_close"), on="session", suffix="_stored")
    alike = (both["index_close"] == both["index_close_stored"]).any()
    # One level that differs may be a correction.
    if both.height > 1 and not alike and kept_counts(given, stored)["index_close"].count():
        raise RequestError(
            f"{exchange}_{SERIES['index_close']}.csv has none of the levels that are stored, and not all of their "
            "sessions: is it another index, or on another scale? Give all of its sessions; or drop what it does not "
            f"give: {_dropping(exchange)}"
        )


def kept_counts(given: pl.DataFrame, stored: pl.DataFrame) -> pl.DataFrame:
    """What is stored of each series before its first session in a publication, and after its last; else null.

    Series begin and end on sessions of their own: one whose file was shortened loses nothing because others were not.
    A level of the index is kept only where there are counts beside it.
    """
    kept = stored.select("session", *(pl.when(_outside(given, name)).then(name).alias(name) for name in SERIES))
    counts, level = pl.any_horizontal(pl.col(PUBLISHED).is_not_null()), pl.col("index_close").is_not_null()
    return kept.filter(counts | (level & pl.col("session").is_in(given["session"].to_list()))).sort("session")


def with_kept(given: pl.DataFrame, kept: pl.DataFrame) -> pl.DataFrame:
    """The counts of a publication and, where it has none, those that were kept, as kept_counts() gives them."""
    both = given.join(kept, on="session", how="full", coalesce=True, suffix="_kept")
    return both.select("session", *(pl.coalesce(name, f"{name}_kept") for name in SERIES)).sort("session")


def kept_by_series(kept: pl.DataFrame) -> pl.DataFrame:
    """series (what the file's name ends in), sessions, first, last of those of which anything was kept."""
    days = [
        kept.drop_nulls(name).select(
            pl.lit(series).alias("series"),
            sessions=pl.len().cast(pl.Int64),
            first=pl.col("session").min(),
            last=pl.col("session").max(),
        )
        for name, series in SERIES.items()
    ]
    return pl.concat(days).filter(pl.col("sessions") > 0)


def _outside(given: pl.DataFrame, name: str) -> pl.Expr:
    """Whether a session lies before the first one with a value of that series, or after the last; null without any."""
    days = given.drop_nulls(name)["session"]
    first, last = (pl.lit(day, pl.Date) for day in (days.min(), days.max()))
    return (pl.col("session") < first) | (pl.col("session") > last)


def _dropping(exchange: str) -> str:
    return f"breadthflow import-breadth DIRECTORY --exchange {exchange} --replace"
