"""What returns, outcomes and records must be before they are stored. How they come about: evaluation/."""

import polars as pl

from breadthflow_pipelines.contracts.verdict import contract, key_rules, or_null
from breadthflow_pipelines.model.vocabulary import (
    ACTIONS,
    BASES,
    HOLD,
    HORIZONS,
    NOT_JUDGED,
    VARIATIONS,
    VERDICTS,
    WHOLE,
    WINDOW_CLOSED,
    WINDOW_STATES,
)

_KEY = {"universe": pl.String, "segment": pl.String, "session": pl.Date}
_KINDS = ("contributing", "missing", "first", "gap")
_KEPT = tuple(f"kept_{name}" for name in VARIATIONS)
_FROM_OPEN = ("hit_rate_from_open", "base_rate_from_open")
_SHARES = (
    *("hit_rate", "base_rate", *_FROM_OPEN, *_KEPT, "detectable"),
    "p_rotation",
    "p_mean",
    "base_matched",
    "p_matched",
    "p_family",
)
_MEANS = ("lift", "lift_low", "lift_high", "mean", "base_mean", "median", "base_median", "p10", "p90", "mean_from_open")


RETURNS = contract(
    "universe_returns",
    {
        **_KEY,
        **dict.fromkeys(("return", "intraday"), pl.Float64),
        **dict.fromkeys(("members", *_KINDS, "adjusted"), pl.Int64),
    },
    {
        **key_rules(*_KEY),
        "a member is not counted exactly once": pl.sum_horizontal(_KINDS) == pl.col("members"),
        "a return without members, or members without one": pl.col("return").is_null() == (pl.col("contributing") == 0),
        "return not finite, or a loss of more than all": or_null(
            (pl.col("return") >= -1) & pl.col("return").is_finite()
        ),
        "intraday of nobody": pl.col("intraday").is_null() | (pl.col("contributing") > 0),
        "intraday not finite, or a loss of more than all": or_null(
            (pl.col("intraday") >= -1) & pl.col("intraday").is_finite()
        ),
        "more adjusted than contributing": pl.col("adjusted") <= pl.col("contributing"),
    },
)

OUTCOMES = contract(
    "signal_outcomes",
    {
        "signal_id": pl.String,
        **_KEY,
        **dict.fromkeys(("rule", "action"), pl.String),
        "horizon": pl.Int32,
        "state": pl.String,
        **dict.fromkeys(("entry_session", "exit_session"), pl.Date),
        **dict.fromkeys(("return", "base_return", "excess", "drawdown"), pl.Float64),
        "hit": pl.Boolean,
        "basis": pl.String,
        "return_from_open": pl.Float64,
    },
    {
        **key_rules("signal_id", "horizon"),
        "horizon, action, state or basis unknown": pl.col("horizon").is_in(HORIZONS)
        & pl.col("action").is_in(ACTIONS)
        & pl.col("state").is_in(WINDOW_STATES)
        & pl.col("basis").is_in(BASES),
        "not closed and told, or closed and not told": (pl.col("state") == WINDOW_CLOSED)
        == pl.col("return").is_not_null(),
        "entry or exit not after what comes before": or_null(
            (pl.col("entry_session") > pl.col("session")) & (pl.col("exit_session") > pl.col("entry_session"))
        ),
        "a hold that hits or misses": or_null((pl.col("action") != HOLD) | pl.col("hit").is_null()),
        "return or drawdown out of bounds": or_null((pl.col("return") >= -1) & pl.col("drawdown").is_between(-1, 0)),
        "told from the open, and not closed": pl.col("return_from_open").is_null() | (pl.col("state") == WINDOW_CLOSED),
        "return from the open out of bounds": or_null(pl.col("return_from_open") >= -1),
    },
)

ACCURACY = contract(
    "signal_accuracy",
    {
        **dict.fromkeys(("universe", "rule", "action"), pl.String),
        "horizon": pl.Int32,
        **dict.fromkeys(("era", "verdict", "reason"), pl.String),
        **dict.fromkeys(("first_session", "last_session"), pl.Date),
        **dict.fromkeys(("eligible", "events", "open", "left_out", "episodes", "effective_n"), pl.Int32),
        **dict.fromkeys((*_SHARES, "p_holm", *_MEANS, "drawdown", "base_drawdown"), pl.Float64),
        "family": pl.String,
        "family_members": pl.Int32,
        "basis": pl.String,
    },
    {
        **key_rules("universe", "rule", "action", "horizon", "era"),
        "horizon, action or verdict unknown": pl.col("horizon").is_in(HORIZONS)
        & pl.col("action").is_in(ACTIONS)
        & pl.col("verdict").is_in(VERDICTS),
        "a share outside 0 to 1": pl.all_horizontal(or_null(pl.col(c).is_between(0, 1)) for c in _SHARES),
        "a figure not finite": pl.all_horizontal(or_null(pl.col(c).is_finite()) for c in _MEANS),
        "not judged without a reason, or judged with one": (pl.col("verdict") == NOT_JUDGED)
        == pl.col("reason").is_not_null(),
        "judged without what chance gives": (pl.col("verdict") == NOT_JUDGED) == pl.col("p_rotation").is_null(),
        "a part of history adjusted for the family": (pl.col("era") == WHOLE) | pl.col("p_family").is_null(),
        "more events than sessions, or windows than events": (pl.col("events") <= pl.col("eligible"))
        & (pl.col("effective_n") <= pl.col("events")),
    },
)

STABILITY = contract(
    "signal_stability",
    {
        **dict.fromkeys(("universe", "rule", "variation"), pl.String),
        **dict.fromkeys(("reruns", "events"), pl.Int32),
        **dict.fromkeys(("kept", "kept_least", "jaccard"), pl.Float64),
    },
    {
        **key_rules("universe", "rule", "variation"),
        "variation unknown": pl.col("variation").is_in(VARIATIONS),
        "nothing to keep": (pl.col("reruns") > 0) & (pl.col("events") > 0),
        "a share outside 0 to 1": pl.all_horizontal(
            pl.col(name).is_between(0, 1) for name in ("kept", "kept_least", "jaccard")
        ),
    },
)

RECORDS = contract(
    "signal_records",
    {
        **dict.fromkeys(("signal_id", "universe"), pl.String),
        "session": pl.Date,
        **dict.fromkeys(("record_hit_rate", "record_base_rate"), pl.Float64),
        "record_n": pl.Int32,
        "verdict": pl.String,
    },
    {
        **key_rules("signal_id"),
        "a rate outside 0 to 1": pl.col("record_hit_rate").is_between(0, 1)
        & pl.col("record_base_rate").is_between(0, 1),
        "no earlier signal": pl.col("record_n") > 0,
        "verdict unknown": pl.col("verdict").is_in(VERDICTS),
    },
)
