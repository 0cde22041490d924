"""Whether a confidence and a strength mean what they say: hit rates and returns of symbol signals, with their errors.

A million rows are judged by sums that add up, so a history can be read year by year, as long as a session is whole.
How the signals are made is in signals/symbols.py; levels of rules for other universes are in signals/calibration.py.
"""

from collections.abc import Sequence

import polars as pl

from breadthflow_pipelines.model.vocabulary import BUY, HOLD, HORIZONS, MEMBER_KEY, SELL
from breadthflow_pipelines.signals.symbols import VOTE_COLUMNS

BINS = 10  # of confidence, each a tenth wide; and of strength, each a tenth of a session's members
FOLLOWED_COLUMNS = (*MEMBER_KEY, "horizon", "relative")
GROUP = ("universe", "horizon", "measure", "action", "bin")
_ADDED = ("n", "returns", "hits", "said", "missed")  # of a session: rows, relative returns, hits, confidence, Brier's
_SUMS = {
    "sessions": pl.len().cast(pl.Int64),
    **{name: pl.col(name).sum() for name in _ADDED},
    "n_n": (pl.col("n") * pl.col("n")).sum(),
    **{f"{name}_{name}": (pl.col(name) * pl.col(name)).sum() for name in ("returns", "hits")},
    **{f"{name}_n": (pl.col(name) * pl.col("n")).sum() for name in ("returns", "hits")},
}
EVERY = "all"
"""The measure of all rows, against which the others are held: as often does a member beat, or trail, its universe."""


def member_outcomes(
    bars: pl.DataFrame, held: pl.DataFrame, sessions: pl.DataFrame, horizons: Sequence[int] = HORIZONS
) -> pl.DataFrame:
    """What each member returned after each session, less what its universe's members did: FOLLOWED_COLUMNS.

    bars: security_id, session, close and close_adjusted (or null), from the first session to be told of through
    1 + the longest horizon sessions after the last. held: MEMBER_KEY: the members of each session to be told of.
    sessions: session, ordinal: the exchange's, through the last one that has bars.

    One enters at the next session's close and leaves at the close ``horizon`` sessions after it, as in outcomes.py.
    A member without a bar at the entry cannot be bought and is left out. One without a bar at the exit left at its last
    close before, since leaving it out would leave out those that ended. relative: the return, by close_adjusted where
    both bars have it, less the mean return of the members told of on that session and horizon; a fraction. Only windows
    whose exit has come are given.
    """
    numbered = sessions.select("session", ordinal=pl.col("ordinal").cast(pl.Int64))
    priced = bars.select("security_id", "session", "close", "close_adjusted").join(numbered, on="session")
    priced = priced.sort("ordinal")
    last = priced["ordinal"].max()
    asked = held.select(MEMBER_KEY).join(numbered, on="session").with_columns(entry=pl.col("ordinal") + 1)
    prices = priced.select("security_id", "close", "close_adjusted", entry="ordinal")
    entered = asked.join(prices, on=["security_id", "entry"]).rename(
        {"close": "entry_close", "close_adjusted": "entry_adjusted"}
    )
    told = []
    for horizon in horizons:
        left = (
            entered.with_columns(exit=pl.col("entry") + horizon)
            .filter(pl.col("exit") <= last)
            .sort("exit")
            .join_asof(
                priced.select("security_id", "close", "close_adjusted", exit="ordinal"),
                on="exit",
                by="security_id",
                check_sortedness=False,
            )
        )
        change = pl.coalesce(
            pl.col("close_adjusted") / pl.col("entry_adjusted"), pl.col("close") / pl.col("entry_close")
        )
        relative = change - change.mean().over("universe", "session")
        told.append(left.select(*MEMBER_KEY, pl.lit(horizon, pl.Int32).alias("horizon"), relative=relative))
    return pl.concat(told).sort(*MEMBER_KEY, "horizon")


def calibration_sums(signals: pl.DataFrame, followed: pl.DataFrame) -> pl.DataFrame:
    """What a stretch of history adds to the calibration: GROUP and sums. Sums of stretches add up.

    signals: MEMBER_KEY, action, confidence, strength and VOTE_COLUMNS. followed: FOLLOWED_COLUMNS. All rows of a
    be in one stretch. Signals whose window has not closed are left out. The measures:

    - EVERY: all rows, once as if each had been bought and once as if sold.
    - action: what was said, buy, sell and hold; confidence: buys and sells by tenths of their confidence.
    - strength: tenths of the session's members by strength, 01 to 10, ties together; vote_NAME: the sign of a vote.
    """
    rows = signals.join(followed, on=MEMBER_KEY).with_columns(tenth=_tenth().over("universe", "session", "horizon"))
    decided = pl.col("action") != HOLD
    digits = pl.col("tenth").cast(pl.String).str.zfill(2)
    of_confidence = pl.min_horizontal((BINS * pl.col("confidence")).floor(), BINS - 1) / BINS
    said, everything = pl.col("action"), pl.lit(EVERY)
    parts = [
        _added(rows, EVERY, pl.lit(BUY), everything),
        _added(rows, EVERY, pl.lit(SELL), everything),
        _added(rows, "action", said, everything),
        _added(rows.filter(decided), "confidence", said, of_confidence.round(1).cast(pl.String)),
        _added(rows, "strength", everything, digits),
    ]
    signs = {-1: "against", 0: "neither", 1: "for"}
    for vote in VOTE_COLUMNS:
        sign = pl.col(vote).sign().cast(pl.Int8).replace_strict(signs, return_dtype=pl.String)
        parts.append(_added(rows.filter(pl.col(vote).is_not_null()), vote, everything, sign))
    return pl.concat(parts).sort(GROUP)


def _tenth() -> pl.Expr:
    """1 to 10, by the mean rank of ties: ceil(10 * rank / rows), in whole numbers, for a float is a hair above 10."""
    twice = (2 * pl.col("strength").rank("average")).cast(pl.Int64)
    return (BINS * twice + 2 * pl.len() - 1) // (2 * pl.len())


def _added(rows: pl.DataFrame, measure: str, action: pl.Expr, bins: pl.Expr) -> pl.DataFrame:
    """The sums of one measure, by session first: its rows fall and rise together."""
    right = pl.when(pl.col("side") == SELL).then(pl.col("relative") < 0).otherwise(pl.col("relative") > 0)
    return (
        rows.with_columns(side=action, bin=bins)
        .with_columns(right=right.cast(pl.Float64))
        .group_by("universe", "horizon", "side", "bin", "session")
        .agg(
            n=pl.len().cast(pl.Float64),
            returns=pl.col("relative").sum(),
            hits=pl.col("right").sum(),
            said=pl.col("confidence").sum(),
            missed=((pl.col("confidence") - pl.col("right")) ** 2).sum(),
        )
        .group_by("universe", "horizon", pl.lit(measure).alias("measure"), action="side", bin="bin")
        .agg(**_SUMS)
        .select(*GROUP, *_SUMS)
    )


def calibration(sums: pl.DataFrame) -> pl.DataFrame:
    """The table of a history: GROUP and the columns below, sorted. sums: of calibration_sums, of one stretch or many.

    - n (rows), sessions.
    - mean_return: relative to the universe, a fraction; return_error: its standard error, by clusters of a session's
      rows; return_t: their ratio, divided by the root of the horizon, because windows of neighbouring sessions overlap
      (Hjalmarsson, New Methods for Inference in Long-Run Predictive Regressions, 2006).
    - hit_rate: of buys those that beat the universe, of sells those that trailed it, of strength and votes those that
      beat it; null of holds. hit_error as above. base_rate: the same of all rows.
    - confidence: the mean of what was said; brier: its mean squared miss; brier_base: that of always saying the base
      rate; skill: 1 - brier / brier_base, below 0 where the base rate would have been the better forecast. Of actions
      and tenths of confidence only.
    """
    added = sums.group_by(GROUP).agg(pl.all().exclude(GROUP).sum())
    base = added.filter(measure=EVERY).select("universe", "horizon", "action", base_rate=pl.col("hits") / pl.col("n"))
    either = base.filter(action=BUY).with_columns(action=pl.lit(EVERY))
    forecast = pl.col("measure").is_in(["action", "confidence"]) & (pl.col("action") != HOLD)
    rate, base_rate = pl.col("hit_rate"), pl.col("base_rate")
    return (
        added.join(pl.concat([base, either]), on=["universe", "horizon", "action"], how="left")
        .with_columns(
            mean_return=pl.col("returns") / pl.col("n"),
            return_error=_error("returns"),
            hit_rate=pl.when(pl.col("action") != HOLD).then(pl.col("hits") / pl.col("n")),
            hit_error=pl.when(pl.col("action") != HOLD).then(_error("hits")),
            confidence=pl.when(forecast).then(pl.col("said") / pl.col("n")),
            brier=pl.when(forecast).then(pl.col("missed") / pl.col("n")),
        )
        .with_columns(
            return_t=pl.when(pl.col("return_error") > 0).then(
                pl.col("mean_return") / pl.col("return_error") / pl.col("horizon").sqrt()
            ),
            brier_base=pl.when(forecast).then(rate - 2 * base_rate * rate + base_rate**2),
        )
        .with_columns(skill=pl.when(pl.col("brier_base") > 0).then(1 - pl.col("brier") / pl.col("brier_base")))
        .select(
            *GROUP,
            pl.col("n").cast(pl.Int64),
            "sessions",
            *("mean_return", "return_error", "return_t", "hit_rate", "hit_error", "base_rate"),
            *("confidence", "brier", "brier_base", "skill"),
        )
        .sort(GROUP)
    )


def _error(name: str) -> pl.Expr:
    """The standard error of sum(x) / sum(n), whose sessions are clusters: sqrt(sum of (x_s - mean * n_s)^2) / n."""
    mean = pl.col(name) / pl.col("n")
    squares = pl.col(f"{name}_{name}") - 2 * mean * pl.col(f"{name}_n") + mean**2 * pl.col("n_n")
    return pl.max_horizontal(squares, 0.0).sqrt() / pl.col("n")
