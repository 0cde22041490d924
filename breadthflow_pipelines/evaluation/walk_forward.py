"""Thresholds chosen each year by the years before it. What followed them is a backtest like any other."""

import datetime as dt
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import polars as pl

from breadthflow_pipelines.evaluation.backtest import (
    COST,
    HOLD_SESSIONS,
    UNTIL_TOLD,
    Backtest,
    Plan,
    by_threshold,
    daily_returns,
    report,
    targets,
)
from breadthflow_pipelines.evaluation.figures import sharpe_ratio
from breadthflow_pipelines.evaluation.returns import YEAR
from breadthflow_pipelines.model.vocabulary import BREADTH_SCORE, CONVICTION

MIN_SAMPLE = 5 * YEAR  # sessions that a threshold is chosen from; fewer have seen one market

THRESHOLDS = {BREADTH_SCORE: (50.0, 55.0, 60.0, 65.0, 70.0, 75.0), CONVICTION: (1.0, 2.0, 3.0, 4.0)}
"""What is chosen from, by score."""

_CHOICES = {
    "year": pl.Int32,
    "threshold": pl.Float64,
    "sample_from": pl.Date,
    "sample_to": pl.Date,
    "in_sample": pl.Float64,
}


def walk_forward(
    scores: pl.DataFrame,
    levels: pl.DataFrame,
    thresholds: Sequence[float],
    *,
    horizon: int = HOLD_SESSIONS,
    plan: Plan = UNTIL_TOLD,
    cost: float = COST,
    rates: pl.DataFrame | None = None,
    benchmark: pl.DataFrame | None = None,
) -> tuple[pl.DataFrame, Backtest | None]:
    """Choose the threshold of each calendar year by the years before it, and follow the choices.

    scores: session, value, signal_id. The threshold of a year is that with the highest Sharpe ratio, after costs, from
    the first score through the last session that lies more than ``horizon`` sessions before the year: the embargo, so
    that no holding that reaches into the year chooses for it. Of equals the first. Fewer than MIN_SAMPLE sessions
    choose nothing.

    Gives the choices - year, threshold, sample_from, sample_to, in_sample (the Sharpe ratio that it was chosen by),
    out_of_sample (that of the year) - and the backtest of the chosen years alone, or None where there is none.
    """
    wanted = [targets(by_threshold(scores, level), levels["session"], plan) for level in thresholds]
    days = [daily_returns(one, levels, plan.base, cost, rates) for one in wanted]
    beyond = [(day["return"] - day["cash"]).to_numpy() for day in days]
    sessions = days[0]["session"]
    choices, chosen = [], []
    for year, sample in _samples(sessions, scores["session"].min(), horizon):
        ratios = [sharpe_ratio(row[sample]) for row in beyond]
        best = int(np.argmax([-np.inf if ratio is None else ratio for ratio in ratios]))
        choices.append((year, thresholds[best], sessions[sample.start], sessions[sample.stop - 1], ratios[best]))
        chosen.append(wanted[best].filter(pl.col("session").dt.year() == year))
    table = pl.DataFrame(choices, schema=_CHOICES, orient="row")
    if not chosen:
        return table.with_columns(out_of_sample=pl.lit(None, pl.Float64)), None
    first = dt.date(choices[0][0], 1, 1)
    idle = (
        wanted[0]
        .filter(pl.col("session") < first)
        .with_columns(target=pl.lit(plan.base), signal_id=pl.lit(None, pl.String))
    )
    followed = daily_returns(pl.concat([idle, *chosen]), levels, plan.base, cost, rates)
    after = report(followed, plan.base, cost, first, None, benchmark)
    of_year = after.daily.select(year=pl.col("session").dt.year(), beyond=pl.col("return") - pl.col("cash"))
    told = {year: sharpe_ratio(of_year.filter(year=year)["beyond"].to_numpy()) for year in table["year"]}
    return table.with_columns(out_of_sample=pl.Series(told.values(), dtype=pl.Float64)), after


def _samples(sessions: pl.Series, first: Any, embargo: int) -> Iterator[tuple[int, slice]]:
    """Each calendar year with a sample before it that is long enough, and where the sample lies."""
    begin = int((sessions < first).sum())
    years = sessions.dt.year()
    for year in years.unique().sort():
        stop = int((years < year).sum()) - embargo
        if stop - begin >= MIN_SAMPLE:
            yield year, slice(begin, stop)
