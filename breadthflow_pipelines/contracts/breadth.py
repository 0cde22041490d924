"""What counts, indicators and signals must be before they are stored. How they come about: indicators/, signals/."""

import math
from collections.abc import Mapping

import pandera.polars as pa
import polars as pl

from breadthflow_pipelines.contracts.verdict import contract, key_rules, or_null
from breadthflow_pipelines.model import counts
from breadthflow_pipelines.model.counts import BY_ABLE, DIRECTIONS, Unit
from breadthflow_pipelines.model.vocabulary import ACTIONS, HOLD, STATES

_KEY = {"universe": pl.String, "segment": pl.String, "session": pl.Date}
_MEMBER = {"universe": pl.String, "session": pl.Date, "security_id": pl.Int64}
Bounds = Mapping[str, tuple[float | None, float | None]]


def _within_able(*names: str) -> pl.Expr:
    """Of each of these counts: no more did it than could."""
    within = (pl.col(name) <= pl.col(able) for able, those in BY_ABLE.items() for name in those if name in names)
    return pl.all_horizontal(or_null(rule) for rule in within)


_moved = pl.sum_horizontal(pl.col(DIRECTIONS).fill_null(0))
_able_counts = [name for those in BY_ABLE.values() for name in those]
_above_means = [name for name in _able_counts if name.startswith("above_")]
_sums = [count.name for count in counts.COUNTS if count.unit not in (Unit.FRACTION, Unit.LEVEL)]
_levels = [count.name for count in counts.COUNTS if count.unit in (Unit.PRICE, Unit.LEVEL)]

COUNTS = contract(
    "breadth_counts",
    {
        **_KEY,
        **{count.name: pl.Int64 if count.whole else pl.Float64 for count in counts.COUNTS},
        "convention": pl.Int32,
    },
    {
        **key_rules(*_KEY),
        "a count is negative": pl.all_horizontal(or_null(pl.col(c) >= 0) for c in _sums),
        "points or index not finite": pl.all_horizontal(or_null(pl.col(c).is_finite()) for c in _levels),
        "priced members not between none and all": pl.col("priced")
        .is_between(0, pl.col("members"))
        .fill_null(value=False),
        "coverage is not priced / members": (
            (pl.col("coverage") - pl.col("priced") / pl.col("members")).abs() < 1e-12
        ).fill_null(value=False),
        "a priced member is not counted exactly once": (
            _moved + pl.col("no_prior") + pl.col("gap") == pl.col("priced")
        ).fill_null(value=False),
        "moves known in part": pl.sum_horizontal(pl.col(DIRECTIONS).is_null()).is_in([0, 3]),
        "able members not between none and all priced": pl.all_horizontal(
            pl.col(able).is_between(0, pl.col("priced")).fill_null(value=False) for able in BY_ABLE
        ),
        "more members above a mean than able": _within_able(*_above_means),
        "more new highs or lows than able": _within_able(*(name for name in _able_counts if name not in _above_means)),
        "convention missing": pl.col("convention").is_not_null(),
    },
)


def indicators(bounds: Bounds) -> pa.DataFrameSchema:
    """The contract of breadth indicators with these names and bounds (None: open)."""
    return contract(
        "breadth_indicators",
        {
            **_KEY,
            **dict.fromkeys(bounds, pl.Float64),
            "state": pl.String,
            "settled": pl.Boolean,
            "convention": pl.Int32,
        },
        {
            **key_rules(*_KEY),
            **_bounded(bounds),
            "state unknown": pl.col("state").is_in(STATES),
            "settled or convention missing": pl.all_horizontal(pl.col("settled", "convention").is_not_null()),
        },
    )


def price_indicators(bounds: Bounds) -> pa.DataFrameSchema:
    """The contract of technical indicators of members with these names and bounds (None: open)."""
    return contract(
        "price_indicators",
        {**_MEMBER, **dict.fromkeys(bounds, pl.Float64), "convention": pl.Int32},
        {
            **key_rules(*_MEMBER),
            **_bounded(bounds),
            "convention missing": pl.col("convention").is_not_null(),
        },
    )


def symbol_signals(bounds: Bounds) -> pa.DataFrameSchema:
    """The contract of signals of members whose rules voted within these bounds."""
    return contract(
        "symbol_signals",
        {
            **_MEMBER,
            "action": pl.String,
            **dict.fromkeys(("confidence", "strength", "regime"), pl.Float64),
            "gated": pl.Boolean,
            **dict.fromkeys(bounds, pl.Float64),
            "convention": pl.Int32,
        },
        {
            **key_rules(*_MEMBER),
            **_bounded(bounds),
            "action unknown": pl.col("action").is_in(ACTIONS),
            "confidence outside 0 to 1": pl.col("confidence").is_between(0, 1).fill_null(value=False),
            "strength outside -1 to 1": pl.col("strength").is_between(-1, 1).fill_null(value=False),
            "regime outside 0 to 100": or_null(pl.col("regime").is_between(0, 100)),
            "gated but not on hold": ~pl.col("gated") | (pl.col("action") == HOLD),
            "gated or convention missing": pl.all_horizontal(pl.col("gated", "convention").is_not_null()),
        },
    )


def _bounded(bounds: Bounds) -> dict[str, pl.Expr]:
    if not bounds:
        return {}
    inside = [
        pl.col(name).is_between(-math.inf if low is None else low, math.inf if high is None else high)
        | ~pl.col(name).is_finite()
        for name, (low, high) in bounds.items()
    ]
    return {
        "a value is not finite": pl.all_horizontal(or_null(pl.col(name).is_finite()) for name in bounds),
        "a value outside its bounds": pl.all_horizontal(or_null(rule) for rule in inside),
    }


SIGNALS = contract(
    "market_signals",
    {
        "signal_id": pl.String,
        **_KEY,
        **dict.fromkeys(("rule", "action"), pl.String),
        **dict.fromkeys(("confidence", "value", "threshold"), pl.Float64),
        "calibrated": pl.Boolean,
        "state": pl.String,
        "convention": pl.Int32,
        "evidence": pl.String,
    },
    {
        **key_rules(*_KEY, "rule"),
        "signal_id missing or repeated": pl.col("signal_id").is_not_null() & pl.col("signal_id").is_unique(),
        "action unknown": pl.col("action").is_in(ACTIONS),
        "confidence outside 0 to 1": pl.col("confidence").is_between(0, 1).fill_null(value=False),
        "value or threshold not finite": pl.all_horizontal(
            pl.col(c).is_finite().fill_null(value=False) for c in ("value", "threshold")
        ),
        "state unknown": pl.col("state").is_in(STATES),
        "calibrated, convention or evidence missing": pl.all_horizontal(
            pl.col("calibrated", "convention", "evidence").is_not_null()
        ),
    },
)

PUBLISHED = contract(
    "exchange_breadth",
    {
        "exchange": pl.String,
        "session": pl.Date,
        **dict.fromkeys(counts.PUBLISHED, pl.Int64),
        "index_close": pl.Float64,
        "volume_unit": pl.Int64,
        "usual_issues": pl.Float64,
        "doubts": pl.List(pl.String),
        **dict.fromkeys(("issues_usable", "volume_usable"), pl.Boolean),
    },
    {
        **key_rules("exchange", "session"),
        "a count is negative": pl.all_horizontal(or_null(pl.col(c) >= 0) for c in counts.PUBLISHED),
        "index not a positive number": or_null((pl.col("index_close") > 0) & pl.col("index_close").is_finite()),
        "usual issues not a positive number": or_null(
            (pl.col("usual_issues") > 0) & pl.col("usual_issues").is_finite()
        ),
        "left out without a doubt": (pl.col("doubts").list.len() > 0)
        | (pl.col("issues_usable") & (pl.col("volume_usable") | pl.col("volume_unit").is_null())),
    },
)
