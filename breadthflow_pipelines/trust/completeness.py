"""Bars on which nothing may be built: sessions without any, and months with too many broken rows. Pure.

Holds that follow from counts and from findings are queries (warehouse/breadth_store.py and its neighbours); what a
hold does is in orchestration/gates.py.
"""

import datetime as dt
from collections.abc import Sequence

import polars as pl

from breadthflow_pipelines.model.gates import EVERY

MOST_REJECTED = 0.01  # of the rows of a month; nothing is built on a source with a larger broken share
FEW_REJECTED = 5  # so few broken rows say nothing about a source, even in a small market

FOUND = pl.Schema({"universe": pl.String, "session": pl.Date, "missing": pl.Float64, "said": pl.String})

_MONTH = pl.col("session").dt.truncate("1mo")


def missing_sessions(expected: Sequence[dt.date], held: pl.Series) -> pl.DataFrame:
    """The expected sessions without bars, in the schema FOUND; missing is 1."""
    missing = pl.DataFrame({"session": sorted(set(expected) - set(held))}, schema={"session": pl.Date})
    return missing.select(universe=pl.lit(EVERY), session="session", missing=1.0, said=pl.lit("no bars"))


def broken_months(rejected: pl.DataFrame, held: pl.DataFrame) -> pl.DataFrame:
    """The months with too many broken rows, each with the session of its first one, in the schema FOUND.

    rejected: session, one row for each broken row that no good one has replaced. held: session, bars. Months are judged
    one by one, so that it does not matter how history is divided into runs.
    """
    bad = rejected.group_by(month=_MONTH).agg(rejected=pl.len().cast(pl.Int64), session=pl.col("session").min())
    good = held.group_by(month=_MONTH).agg(held=pl.col("bars").sum().cast(pl.Int64))
    share = pl.col("rejected") / (pl.col("held") + pl.col("rejected"))
    few = (pl.col("held") > 0) & (pl.col("rejected") <= FEW_REJECTED)
    months = bad.join(good, on="month", how="left").with_columns(pl.col("held").fill_null(0))
    found = months.filter((share > MOST_REJECTED) & ~few).with_columns(missing=share).sort("month")
    said = [rejected_share(row["rejected"], row["held"]) for row in found.iter_rows(named=True)]
    return found.select(
        universe=pl.lit(EVERY), session="session", missing="missing", said=pl.Series(said, dtype=pl.String)
    )


def rejected_share(rejected: int, held: int) -> str:
    """The number and the share of rejected rows, in words."""
    rows = held + rejected
    share = 100 * rejected / max(1, rows)
    return f"{rejected:,} of {rows:,} rows rejected ({share:.1f} %, allowed {100 * MOST_REJECTED:g} %)"
