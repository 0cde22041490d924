"""The whole catalogue for three universes, each with eleven sectors, over 50 years of invented counts.

Indicators over the whole frame, as the pipeline computes them, against the same formulas one series at a time; then the
events and the conviction that follow from them.
"""

import datetime as dt

import numpy as np
import polars as pl
from common import CALENDAR, in_turn, show

from breadthflow_pipelines.indicators.breadth_catalogue import CATALOGUE, breadth_indicators
from breadthflow_pipelines.indicators.thrusts import threshold_events
from breadthflow_pipelines.model.counts import COUNT_COLUMNS
from breadthflow_pipelines.model.vocabulary import KEY
from breadthflow_pipelines.signals.conviction import conviction
from breadthflow_pipelines.signals.rules import EVENTS

SESSIONS = CALENDAR.between(dt.date(1974, 1, 1), dt.date(2023, 12, 31))
REAL = ("coverage", "points_gained", "points_lost", "index_close")
dice = np.random.default_rng(1969)


def counts(universe: str, segment: str) -> pl.DataFrame:
    """A market whose share of advances wanders, and with it everything that is counted."""
    days = len(SESSIONS)
    up = np.clip(0.5 + 0.1 * np.sin(np.arange(days) / 9) + dice.normal(0, 0.1, days), 0.02, 0.98)
    able, rising, falling = np.full(days, 500), (up * 500).astype(int), ((1 - up) * 480).astype(int)
    extremes = {f"new_highs{kind}": rising // 12 for kind in ("", "_20", "_total_return")}
    extremes |= {f"new_lows{kind}": falling // 12 for kind in ("", "_20", "_total_return")}
    moved = dict.fromkeys(("advances", "up_volume", "up_dollars", "points_gained"), rising * 1000)
    moved |= dict.fromkeys(("declines", "down_volume", "down_dollars", "points_lost"), falling * 1000)
    moved |= {"advances": rising, "declines": falling, "index_close": 1000 + np.cumsum(dice.normal(0, 1, days))}
    above = {f"above_{n}": rising for n in (20, 50, 100, 150, 200)}
    figures = dict.fromkeys(COUNT_COLUMNS, able) | {"unchanged": able // 25} | extremes | moved | above
    return pl.DataFrame({"universe": universe, "segment": segment, "session": SESSIONS, **figures}).with_columns(
        pl.col(REAL).cast(pl.Float64)
    )


every = pl.concat(counts(u, s) for u in ("a", "b", "c") for s in ("ALL", *(f"sector {i}" for i in range(11))))
formulas = {name: indicator.expression for name, indicator in CATALOGUE.items()}


def one_series_at_a_time() -> pl.DataFrame:
    series = every.sort(KEY).partition_by("universe", "segment", maintain_order=True)
    return pl.concat(one.select(*KEY, **formulas) for one in series)


if __name__ == "__main__":
    indicators = breadth_indicators(every)
    events = threshold_events(indicators, EVENTS)
    show(
        f"{len(CATALOGUE)} indicators, {len(EVENTS)} thrusts and warnings, {every.height:,} rows of counts",
        in_turn(
            {
                "indicators": lambda: breadth_indicators(every),
                "indicators, one series at a time": one_series_at_a_time,
                "thrusts and warnings": lambda: threshold_events(indicators, EVENTS),
                "conviction": lambda: conviction(indicators, events),
            }
        ),
    )
