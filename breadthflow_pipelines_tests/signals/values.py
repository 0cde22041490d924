"""Invented indicator values for every column that a rule reads, wild enough that every rule fires."""

import random
from collections.abc import Iterator

import polars as pl

from breadthflow_pipelines_tests.indicators.markets import day

# Centre and swing of each value: thresholds lie about two swings out.
SWINGS = {
    "zweig_ema": (0.5, 0.07),
    "zweig_sma": (0.5, 0.07),
    "ad_ratio_10": (1.2, 0.4),
    "whaley_adt5": (50.0, 13.0),
    "whaley_adt20": (50.0, 6.0),
    "whaley_udt5": (50.0, 14.0),
    "whaley_udt2": (50.0, 20.0),
    "mcclellan_oscillator_ratio": (0.0, 60.0),
    "pct_above_50": (50.0, 20.0),
    "pct_at_20_high": (25.0, 16.0),
    "record_high_pct": (50.0, 35.0),
    "net_new_highs_pct": (1.0, 4.0),
}
MARKS = {"day_90": 0.06, "day_90_volume": 0.06, "hindenburg_omen": 0.03, "hindenburg_omen_28": 0.02}
FROM_COUNTS = ("pct_above_200", "net_new_highs", "up_volume_share")  # what the score reads besides
COLUMNS = (*SWINGS, *MARKS, "index_trend_50", *FROM_COUNTS)
Row = dict[str, object]


def _walk(dice: random.Random, centre: float, swing: float) -> Iterator[float]:
    pull = 0.0
    while True:
        pull = 0.85 * pull + dice.gauss(0, 0.53)
        yield centre + swing * pull


def values(seed: int, length: int, universe: str = "NYSE", segment: str = "ALL", step: int = 1) -> list[Row]:
    """Rows of indicators, ``step`` days apart, in which every tenth value is unknown."""
    dice = random.Random(seed)  # noqa: S311
    walks = {name: _walk(dice, *swing) for name, swing in SWINGS.items()}
    rows = []
    for i in range(length):
        row: Row = {"universe": universe, "segment": segment, "session": day(i * step)}
        row |= {name: next(walk) for name, walk in walks.items()}
        row |= {name: dice.choice((-1.0, 1.0)) * (dice.random() < often) for name, often in MARKS.items()}
        row |= {"hindenburg_omen": abs(row["hindenburg_omen"])} | {"index_trend_50": dice.choice((0.0, 1.0))}  # type: ignore[arg-type]
        row |= {name: dice.random() for name in FROM_COUNTS}
        rows.append({name: None if name in COLUMNS and dice.random() < 0.1 else value for name, value in row.items()})
    return rows


def frame(rows: list[Row]) -> pl.DataFrame:
    """Rows as an indicator frame; what a row does not give is null."""
    schema = {"universe": pl.String, "segment": pl.String, "session": pl.Date, **dict.fromkeys(COLUMNS, pl.Float64)}
    return pl.DataFrame(rows, schema=schema)
