"""What counts, indicators and signals must be before they are stored. How they come about: indicators/, signals/."""

import polars as pl

from breadthflow_pipelines.contracts.verdict import contract

_KEY = {"universe": pl.String, "segment": pl.String, "session": pl.Date}
_WINDOWS = (20, 50, 200)
_WHOLE = (
    *("members", "priced", "advances", "declines", "unchanged", "no_prior", "gap", "up_volume", "down_volume"),
    *(f"{kind}_{n}" for n in _WINDOWS for kind in ("above", "able")),
    *("new_highs", "new_lows", "able_252"),
)
_REAL = (
    *("net_advances", "ad_line", "rana", "mcclellan_oscillator", "mcclellan_summation"),
    *("mcclellan_oscillator_ratio", "mcclellan_summation_ratio", "zweig_ema", "trin", "up_volume_share"),
    *("pct_above_20", "pct_above_50", "pct_above_200", "net_new_highs"),
)
_ISSUED = (
    *("advances", "declines", "unchanged", "up_volume", "down_volume", "unchanged_volume"),
    *("new_highs", "new_lows"),
)
_ACTIONS = ("buy", "sell", "hold")
_STATES = ("provisional", "final")


def _or_null(rule: pl.Expr) -> pl.Expr:
    return rule.fill_null(value=True)


def _key_rules(*key: str) -> dict[str, pl.Expr]:
    return {
        "key missing": pl.all_horizontal(pl.col(key).is_not_null()),
        "more than one row for the key": pl.struct(key).is_unique(),
    }


_moved = pl.sum_horizontal(pl.col("advances", "declines", "unchanged").fill_null(0))

COUNTS = contract(
    "breadth_counts",
    {**_KEY, **dict.fromkeys(_WHOLE, pl.Int64), "coverage": pl.Float64, "convention": pl.Int32},
    {
        **_key_rules(*_KEY),
        "a count is negative": pl.all_horizontal(_or_null(pl.col(c) >= 0) for c in _WHOLE),
        "priced members not between none and all": pl.col("priced")
        .is_between(0, pl.col("members"))
        .fill_null(value=False),
        "coverage is not priced / members": (
            (pl.col("coverage") - pl.col("priced") / pl.col("members")).abs() < 1e-12
        ).fill_null(value=False),
        "a priced member is not counted exactly once": (
            _moved + pl.col("no_prior") + pl.col("gap") == pl.col("priced")
        ).fill_null(value=False),
        "moves known in part": pl.sum_horizontal(pl.col("advances", "declines", "unchanged").is_null()).is_in([0, 3]),
        "able members not between none and all priced": pl.all_horizontal(
            pl.col(f"able_{n}").is_between(0, pl.col("priced")).fill_null(value=False) for n in (*_WINDOWS, 252)
        ),
        "more members above a mean than able": pl.all_horizontal(
            _or_null(pl.col(f"above_{n}") <= pl.col(f"able_{n}")) for n in _WINDOWS
        ),
        "more new highs or lows than able": _or_null(pl.max_horizontal("new_highs", "new_lows") <= pl.col("able_252")),
        "convention missing": pl.col("convention").is_not_null(),
    },
)

INDICATORS = contract(
    "breadth_indicators",
    {
        **_KEY,
        **dict.fromkeys(_REAL, pl.Float64),
        "state": pl.String,
        "settled": pl.Boolean,
        "convention": pl.Int32,
    },
    {
        **_key_rules(*_KEY),
        "a value is not finite": pl.all_horizontal(_or_null(pl.col(c).is_finite()) for c in _REAL),
        "a share outside 0 to 1": pl.all_horizontal(
            _or_null(pl.col(c).is_between(0, 1)) for c in ("zweig_ema", "up_volume_share")
        ),
        "a percentage outside 0 to 100": pl.all_horizontal(
            _or_null(pl.col(f"pct_above_{n}").is_between(0, 100)) for n in _WINDOWS
        ),
        "rana outside -1000 to 1000": _or_null(pl.col("rana").is_between(-1000, 1000)),
        "trin negative": _or_null(pl.col("trin") >= 0),
        "state unknown": pl.col("state").is_in(_STATES),
        "settled or convention missing": pl.all_horizontal(pl.col("settled", "convention").is_not_null()),
    },
)

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
        **_key_rules(*_KEY, "rule"),
        "signal_id missing or repeated": pl.col("signal_id").is_not_null() & pl.col("signal_id").is_unique(),
        "action unknown": pl.col("action").is_in(_ACTIONS),
        "confidence outside 0 to 1": pl.col("confidence").is_between(0, 1).fill_null(value=False),
        "value or threshold not finite": pl.all_horizontal(
            pl.col(c).is_finite().fill_null(value=False) for c in ("value", "threshold")
        ),
        "state unknown": pl.col("state").is_in(_STATES),
        "calibrated, convention or evidence missing": pl.all_horizontal(
            pl.col("calibrated", "convention", "evidence").is_not_null()
        ),
    },
)

PUBLISHED = contract(
    "exchange_breadth",
    {"exchange": pl.String, "session": pl.Date, **dict.fromkeys(_ISSUED, pl.Int64)},
    {
        **_key_rules("exchange", "session"),
        "a count is negative": pl.all_horizontal(_or_null(pl.col(c) >= 0) for c in _ISSUED),
    },
)
