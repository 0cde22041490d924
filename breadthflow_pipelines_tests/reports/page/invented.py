"""Facts of invented universes, computed as the pipeline computes them, for the tests of pages."""

import datetime as dt

import polars as pl

from breadthflow_pipelines.indicators.conventions import CONVENTION
from breadthflow_pipelines.model.vocabulary import ALL, KEY
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
        signals=signals.filter(segment=ALL).sort("session", "rule"),
        sectors=pl.concat([empty, *parts]),
        faults=pl.DataFrame(schema=FAULTS),
        records=pl.DataFrame(schema=RECORDS),
        known_at=KNOWN,
        convention=CONVENTION,
        synthetic=synthetic,
        version="1.2.3",
    )
