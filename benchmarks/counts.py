"""Counting breadth of the synthetic market: this project's Polars against a wide pandas panel, as scripts do it."""

import pandas as pd
import polars as pl
from common import CALENDAR, demo_bars, in_turn, show

from breadthflow_pipelines.indicators.counts import count_breadth

bars = demo_bars()
members = (
    bars.select("security_id")
    .unique()
    .with_columns(
        universe=pl.lit("demo"),
        sector=pl.lit(None, pl.String),
        valid_from=bars["session"].min(),
        valid_to=pl.lit(None, pl.Date),
    )
)
sessions = CALENDAR.frame().with_columns(counted=pl.lit(value=True)).filter(pl.col("session") <= CALENDAR.last_closed())
long = bars.select("security_id", "session", "high", "low", "close", "volume").to_pandas()


def in_polars() -> pl.DataFrame:
    return count_breadth(bars.with_columns(pl.col("volume").cast(pl.Int64)), members, sessions)


def in_pandas() -> pd.DataFrame:
    wide = {
        name: long.pivot(index="session", columns="security_id", values=name)
        for name in ("high", "low", "close", "volume")
    }
    close, change = wide["close"], wide["close"].diff()
    counts = {"advances": (change > 0).sum(axis=1), "declines": (change < 0).sum(axis=1)}
    counts["up_volume"] = wide["volume"].where(change > 0).sum(axis=1)
    counts["down_volume"] = wide["volume"].where(change < 0).sum(axis=1)
    for window in (20, 50, 200):
        counts[f"above_{window}"] = (close > close.rolling(window).mean()).sum(axis=1)
    counts["new_highs"] = (wide["high"] > wide["high"].rolling(252).max().shift(1)).sum(axis=1)
    counts["new_lows"] = (wide["low"] < wide["low"].rolling(252).min().shift(1)).sum(axis=1)
    return pd.DataFrame(counts)


if __name__ == "__main__":
    show(f"Breadth counts of {bars.height:,} bars", in_turn({"Polars, long": in_polars, "pandas, wide": in_pandas}))
