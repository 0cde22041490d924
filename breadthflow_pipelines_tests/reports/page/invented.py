"""Facts of invented universes, computed as the pipeline computes them, for the tests of pages."""

import datetime as dt
from dataclasses import replace

import numpy as np
import polars as pl

from breadthflow_pipelines.evaluation.backtest import COST, plan_of
from breadthflow_pipelines.evaluation.backtests import FIGURES_SCHEMA, YEARS_SCHEMA, backtests
from breadthflow_pipelines.evaluation.growth import growth
from breadthflow_pipelines.indicators.conventions import CONVENTION
from breadthflow_pipelines.model.vocabulary import ALL, FIXED, KEY, SHOWN_RULE
from breadthflow_pipelines.reports.page.facts import Facts
from breadthflow_pipelines.signals.market import market_signals
from breadthflow_pipelines_tests.reports.test_charts import computed, counts

KNOWN = dt.datetime(2024, 5, 6, 21, 30, tzinfo=dt.UTC)
RECORDS = {
    **dict.fromkeys(("rule", "action"), pl.String),
    **dict.fromkeys(("horizon", "events", "episodes"), pl.Int64),
    **dict.fromkeys(("hit_rate", "base_rate", "lift", "p_rotation", "p_family"), pl.Float64),
    **dict.fromkeys(("verdict", "reason"), pl.String),
}
NO_RECORD = {
    **dict.fromkeys(("record_hit_rate", "record_base_rate"), pl.lit(None, pl.Float64)),
    "record_n": pl.lit(None, pl.Int32),
    "verdict": pl.lit(None, pl.String),
}
LEVEL = {"session": pl.Date, "level": pl.Float64}
WEALTH = {"session": pl.Date, **dict.fromkeys(("return", "wealth", "held"), pl.Float64)}
FAULTS = {"kind": pl.String, "what": pl.String, "rows": pl.Int64, "first": pl.Date, "last": pl.Date}


def facts(
    universe: str = "small",
    sessions: int = 700,
    *,
    synthetic: bool = False,
    sectors: tuple[str, ...] = ("Energy", "Utilities"),
    **changed: pl.Expr,
) -> Facts:
    """A universe of 300 members with these sectors. changed: counts that are not those of test_charts.py,
    where no index is known."""
    of = counts(universe, sessions).with_columns(**{"index_close": pl.lit(None, pl.Float64), **changed})
    indicators = computed(of)
    signals = market_signals(of, indicators)
    parts = [
        indicators.select(segment=pl.lit(name), session="session", pct_above_50=pl.col("pct_above_50") * share)
        for name, share in zip(sectors, (1.0, 0.5), strict=False)
    ]
    empty = indicators.select("segment", "session", "pct_above_50").clear()
    return Facts(
        universe=universe,
        breadth=of.join(indicators.drop("settled", "convention"), on=KEY).sort("session"),
        signals=signals.filter(segment=ALL).with_columns(**NO_RECORD).sort("session", "rule"),
        sectors=pl.concat([empty, *parts]),
        faults=pl.DataFrame(schema=FAULTS),
        records=pl.DataFrame(schema=RECORDS),
        level=pl.DataFrame(schema=LEVEL),
        backtests=pl.DataFrame(schema=FIGURES_SCHEMA),
        years=pl.DataFrame(schema=YEARS_SCHEMA),
        growth=pl.DataFrame(schema=WEALTH),
        known_at=KNOWN,
        convention=CONVENTION,
        synthetic=synthetic,
        version="1.2.3",
    )


def backtested(of: Facts) -> Facts:
    """With the backtests of its signals, in members that move by chance."""
    sessions = of.breadth["session"]
    walk = np.exp(np.cumsum(np.random.default_rng(3).normal(0.0004, 0.01, sessions.len())))
    level = pl.DataFrame({"session": sessions, "level": walk})
    levels = level.with_columns(
        universe=pl.lit(of.universe), basis=pl.lit("price"), held=pl.lit("members in equal parts")
    )
    kept = backtests(of.signals, levels, levels.clear())
    trades = kept.trades.filter(rule=SHOWN_RULE, thresholds=FIXED)
    path = growth(level, trades, plan_of(SHOWN_RULE).base, COST)
    return replace(of, level=level, backtests=kept.figures, years=kept.years, growth=path)
