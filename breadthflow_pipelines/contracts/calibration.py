"""What sums and records of symbol signals must be before they are stored. How they come about: evaluation/."""

import polars as pl

from breadthflow_pipelines.contracts.verdict import contract, key_rules, or_null
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

_RATES = ("hit_rate", "base_rate", "confidence", "p", "p_family")
_MEASURED = ("lift", "lift_error", "relative", "relative_error", "brier", "brier_base", "skill")

ACCURACY = contract(
    "symbol_accuracy",
    {
        "universe": pl.String,
        "horizon": pl.Int32,
        **dict.fromkeys(("rule", "action", "grouped_by"), pl.String),
        "bin": pl.Int32,
        "signals": pl.Int64,
        "sessions": pl.Int32,
        **dict.fromkeys((*_RATES, *_MEASURED), pl.Float64),
        "windows": pl.Int32,
        **dict.fromkeys(("verdict", "reason"), pl.String),
    },
    {
        **key_rules(*(name for name in _KEY if name != "month")),
        "no signals, or fewer than sessions": (pl.col("sessions") > 0) & (pl.col("signals") >= pl.col("sessions")),
        "a rate outside 0 to 1": pl.all_horizontal(or_null(pl.col(name).is_between(0, 1)) for name in _RATES),
        "a figure not finite": pl.all_horizontal(or_null(pl.col(name).is_finite()) for name in _MEASURED),
        "a verdict unknown": or_null(pl.col("verdict").is_in(VERDICTS)),
        "a verdict of what was not judged": pl.col("p").is_null() | pl.col("verdict").is_not_null(),
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
