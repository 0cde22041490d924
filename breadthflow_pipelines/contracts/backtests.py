"""What backtests must be before they are stored. How they come about: evaluation/backtests.py."""

import polars as pl

from breadthflow_pipelines.contracts.verdict import contract, key_rules, or_null
from breadthflow_pipelines.model.vocabulary import BASES, CASH, PORTFOLIOS, THRESHOLD_KINDS

_DAYS = ("first_session", "last_session")
_FALL = ("peak_session", "trough_session", "recovered_session")
_EARNED = ("exposure", "turnover", "cagr", "volatility", "sharpe", "sortino", "calmar", "max_drawdown")
_CHANCE = tuple(
    f"{figure}_{name}" for figure in ("cagr", "sharpe", "max_drawdown") for name in ("p05", "random", "p95", "as_good")
)
_SHARES = ("hit_rate", *(name for name in _CHANCE if name.endswith("as_good")))

FIGURES = contract(
    "backtests",
    {
        **dict.fromkeys(("universe", "rule", "thresholds", "portfolio"), pl.String),
        "cost": pl.Float64,
        **dict.fromkeys(("held", "basis", "cash"), pl.String),
        **dict.fromkeys(_DAYS, pl.Date),
        "trades": pl.Int32,
        **dict.fromkeys(_EARNED, pl.Float64),
        **dict.fromkeys(_FALL, pl.Date),
        **dict.fromkeys(("hit_rate", "profit_factor", *_CHANCE), pl.Float64),
        "reason": pl.String,
    },
    {
        **key_rules("universe", "rule", "thresholds", "portfolio", "cost"),
        "thresholds, portfolio, basis or cash unknown": pl.col("thresholds").is_in(THRESHOLD_KINDS)
        & pl.col("portfolio").is_in(PORTFOLIOS)
        & or_null(pl.col("basis").is_in(BASES))
        & or_null(pl.col("cash").is_in(CASH)),
        "no figures without a reason, or figures with one": pl.col("cagr").is_null() == pl.col("reason").is_not_null(),
        "a figure not finite": pl.all_horizontal(
            or_null(pl.col(name).is_finite()) for name in (*_EARNED, "profit_factor", *_CHANCE)
        ),
        "a share outside 0 to 1": pl.all_horizontal(or_null(pl.col(name).is_between(0, 1)) for name in _SHARES),
        "a fall outside -1 to 0": or_null(pl.col("max_drawdown").is_between(-1, 0)),
    },
)

TRADES = contract(
    "backtest_trades",
    {
        **dict.fromkeys(("universe", "rule", "thresholds"), pl.String),
        **dict.fromkeys(("entry_session", "exit_session"), pl.Date),
        "sessions": pl.Int32,
        **dict.fromkeys(("weight", "market", "return"), pl.Float64),
        "signal_id": pl.String,
        "signals": pl.Int32,
    },
    {
        **key_rules("universe", "rule", "thresholds", "entry_session"),
        "no signal": pl.col("signal_id").is_not_null() & (pl.col("signals") > 0),
        "left before it was entered": or_null(pl.col("exit_session") > pl.col("entry_session"))
        & (pl.col("sessions") > 0),
        "a figure not finite": pl.all_horizontal(pl.col(name).is_finite() for name in ("weight", "market", "return")),
    },
)

YEARS = contract(
    "backtest_years",
    {
        **dict.fromkeys(("universe", "rule"), pl.String),
        "year": pl.Int32,
        "threshold": pl.Float64,
        **dict.fromkeys(("sample_from", "sample_to"), pl.Date),
        **dict.fromkeys(("in_sample", "out_of_sample"), pl.Float64),
    },
    {
        **key_rules("universe", "rule", "year"),
        "chosen by its own year, or later": pl.col("sample_to").dt.year() < pl.col("year"),
        "a figure not finite": or_null(pl.col("in_sample").is_finite() & pl.col("out_of_sample").is_finite()),
    },
)
