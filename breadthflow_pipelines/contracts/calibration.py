"""What sums and records of symbol signals must be before they are stored. How they come about: evaluation/."""

import polars as pl

from breadthflow_pipelines.contracts.verdict import contract, key_rules
from breadthflow_pipelines.model.vocabulary import ACTIONS, BUY, GROUPINGS, HORIZONS, SELL, VERDICTS, WHOLE

_SUMS = (
    *("signals", "hits", "expected", "relative", "confidence", "missed", "signals_squared"),
    *("lift_squared", "lift_signals", "relative_squared", "relative_signals"),
)
_KEY = ("universe", "month", "horizon", "rule", "action", "grouped_by", "bin")

SUMS = contract(
    "symbol_calibration",
    {
        "universe": pl.String,
        "month": pl.Date,
        "horizon": pl.Int32,
        **dict.fromkeys(("rule", "action", "grouped_by"), pl.String),
        **dict.fromkeys(("bin", "sessions"), pl.Int32),
        **dict.fromkeys(_SUMS, pl.Float64),
    },
    {
        **key_rules(*_KEY),
        "horizon, action or grouping unknown": pl.col("horizon").is_in(HORIZONS)
        & pl.col("action").is_in((*ACTIONS, WHOLE))
        & pl.col("grouped_by").is_in(GROUPINGS),
        "not the first day of a month": pl.col("month").dt.day() == 1,
        "no signals, or fewer than sessions": (pl.col("sessions") > 0) & (pl.col("signals") >= pl.col("sessions")),
        "more hits than signals": pl.col("hits").is_between(0, pl.col("signals")),
        "a sum not finite": pl.all_horizontal(pl.col(name).is_finite() for name in _SUMS),
    },
)

RECORDS = contract(
    "symbol_records",
    {
        "universe": pl.String,
        "month": pl.Date,
        **dict.fromkeys(("rule", "action"), pl.String),
        **dict.fromkeys(("record_hit_rate", "record_base_rate"), pl.Float64),
        "record_n": pl.Int64,
        "verdict": pl.String,
    },
    {
        **key_rules("universe", "month", "rule", "action"),
        "action or verdict unknown": pl.col("action").is_in((BUY, SELL)) & pl.col("verdict").is_in(VERDICTS),
        "a rate outside 0 to 1": pl.col("record_hit_rate").is_between(0, 1)
        & pl.col("record_base_rate").is_between(0, 1),
        "no earlier signal": pl.col("record_n") > 0,
    },
)
