"""Wealth session by session, from what is kept of a backtest: its trades, and the levels that it traded."""

import datetime as dt

import numpy as np
import polars as pl

from breadthflow_pipelines.evaluation.figures import net
from breadthflow_pipelines.evaluation.returns import risk_free


def growth(
    levels: pl.DataFrame,
    trades: pl.DataFrame,
    base: float,
    cost: float,
    *,
    rates: pl.DataFrame | None = None,
    first: dt.date | None = None,
) -> pl.DataFrame:
    """What a backtest made, and what holding the market made: session, return, wealth, held (the other's wealth).

    levels: session, level. trades: entry_session, exit_session (null: open), weight. base: the weight outside them.
    cost, rates: as of ``backtest``. first: the first session of the report (None: the second level's). Wealth is 1
    before it. Empty where there are fewer than two levels.
    """
    known = levels.select("session", "level").sort("session")
    market = (pl.col("level") / pl.col("level").shift(1) - 1).alias("market")
    days = known.with_columns(market).drop_nulls("market").filter(pl.col("session") >= (first or dt.date.min))
    sessions = days["session"].to_numpy()
    weight = np.full(days.height, base)
    for entry, exit_, held in trades.select("entry_session", "exit_session", "weight").iter_rows():
        begin = np.searchsorted(sessions, np.datetime64(entry), side="right")
        end = days.height if exit_ is None else np.searchsorted(sessions, np.datetime64(exit_), side="right")
        weight[begin:end] = held
    if days.is_empty():
        return pl.DataFrame(schema=dict.fromkeys(("return", "wealth", "held"), pl.Float64)).insert_column(
            0, pl.Series("session", [], pl.Date)
        )
    cash = risk_free(days["session"], rates)["rate"].to_numpy()
    own, other = (net(part, days["market"].to_numpy(), cash, cost) for part in (weight, np.ones(days.height)))
    return days.select(
        "session",
        pl.Series("return", own),
        pl.Series("wealth", np.cumprod(1 + own)),
        pl.Series("held", np.cumprod(1 + other)),
    )


def by_month(daily: pl.DataFrame) -> pl.DataFrame:
    """Returns of each month: year, month, return. daily: session, return; in order."""
    month = {"year": pl.col("session").dt.year(), "month": pl.col("session").dt.month()}
    return daily.group_by(**month, maintain_order=True).agg(((1 + pl.col("return")).product() - 1).alias("return"))
