"""What a portfolio would have made of a rule: long or flat, or a tilt, after costs, beside what needs no rule.

A backtest says what a rule would have been worth, not whether that was chance: see significance.py. Its figures are
defined in figures.py. Nothing is optimised but thresholds, in walk_forward.py.
"""

import datetime as dt
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import polars as pl

from breadthflow_pipelines.errors import RequestError
from breadthflow_pipelines.evaluation.figures import BASIS, FIGURES, Floats, figures, net
from breadthflow_pipelines.evaluation.growth import by_month
from breadthflow_pipelines.evaluation.random_entries import chance
from breadthflow_pipelines.evaluation.returns import YEAR, risk_free
from breadthflow_pipelines.model.vocabulary import (
    ALL_RATES,
    BENCHMARK,
    BUY,
    BUY_AND_HOLD,
    FOLLOWED,
    HOLD,
    NO_RATE,
    SAME_EXPOSURE,
    SELL,
    SESSION_RULES,
    SOME_RATES,
)
from breadthflow_pipelines.signals.rules import RULES

COSTS = (0.0, 5.0, 10.0, 25.0)  # basis points of what changes hands: from none to a wide spread
COST = 10.0


@dataclass(frozen=True)
class Plan:
    """How signals become the share of the portfolio that is in the market; the rest is in cash.

    base: while nothing speaks. bought, sold: after a buy or a sell. hold: sessions that a signal counts (None: until
    the next signal of any kind); a signal of action hold ends it and goes back to base.
    """

    base: float = 0.0
    bought: float = 1.0
    sold: float = 0.0
    hold: int | None = None


HOLD_SESSIONS = 63  # sessions that an event counts, a quarter; a convention
LONG_FLAT = Plan(hold=HOLD_SESSIONS)
UNTIL_TOLD = Plan()
"""In the market from a buy until something else is said: for what says something on every session."""
OVERLAY = Plan(base=0.6, bought=0.8, sold=0.4, hold=HOLD_SESSIONS)
"""A balanced holding that leans 20 points either way."""


def plan_of(rule: str, *, overlay: bool = False) -> Plan:
    """How a rule of signals/rules.py is followed: bought or sold for a quarter, or until a score says something else.

    A rule that only sells is followed by one who is in the market otherwise. overlay: as a tilt of a balanced holding.

    Raises:
        RequestError: the rule claims nothing.
    """
    hold = None if rule in SESSION_RULES else HOLD_SESSIONS
    if RULES[rule].action == HOLD:
        raise RequestError(f"{rule} claims nothing: it says neither buy nor sell, so nobody could follow it.")
    if overlay:
        return replace(OVERLAY, hold=hold)
    return Plan(base=1.0 if RULES[rule].action == SELL else 0.0, hold=hold)


@dataclass(frozen=True)
class Backtest:
    """What came of a plan.

    daily: since (the close before), session, weight (in the market meanwhile), signal_id (that set it; null: none),
        market and cash (their returns), turnover (at ``since``), return (after costs), wealth (1 before the first).
    figures: one row per portfolio and cost in basis points: portfolio, cost, first_session, last_session, exposure,
        turnover (a year), FIGURES. A benchmark's are of the sessions from its first close through its last.
    chance: one row per figure (cagr, sharpe, max_drawdown): figure, rule, p05, median and p95 of RANDOM_RUNS that enter
        at random, as often and for as long, and so at the same cost; share_as_good: of the runs, the rule among them,
        that did as well. Empty where the plan never left its base.
    trades: one row per stretch of one weight other than the base: entry_session and exit_session (at whose closes it
        was traded; null: still open), sessions, weight, market (its return meanwhile), return (what the trade added to
        holding the base, after its costs), signal_id (that opened it), signals (how many set it).
    monthly: year, month, return.
    """

    daily: pl.DataFrame
    figures: pl.DataFrame
    chance: pl.DataFrame
    trades: pl.DataFrame
    monthly: pl.DataFrame


def backtest(
    signals: pl.DataFrame,
    levels: pl.DataFrame,
    plan: Plan = LONG_FLAT,
    *,
    cost: float = COST,
    rates: pl.DataFrame | None = None,
    benchmark: pl.DataFrame | None = None,
    start: dt.date | None = None,
    end: dt.date | None = None,
) -> Backtest:
    """Follow one rule's signals in one universe.

    signals: session, action, signal_id, of one rule in one universe. levels: session, level, in LEVEL_SCHEMA's sense,
    of one series. rates: session, rate (per cent a year), or null: cash earns nothing. benchmark: session, level, of
    what is to be held beside it. start, end: sessions to report; signals before them count. cost: basis points of each
    unit of turnover.

    Raises:
        RequestError: fewer than two levels lie between start and end.
    """
    wanted = targets(signals, levels["session"], plan)
    return report(daily_returns(wanted, levels, plan.base, cost, rates), plan.base, cost, start, end, benchmark)


def by_threshold(scores: pl.DataFrame, enter: float, leave: float | None = None) -> pl.DataFrame:
    """Signals of a score: buy from ``enter`` on, hold below ``leave`` (None: enter); between, the last one stands.

    scores: session, value, signal_id. Use with a Plan whose hold is None.
    """
    value = pl.col("value")
    action = pl.when(value >= enter).then(pl.lit(BUY)).when(value < (enter if leave is None else leave))
    return scores.with_columns(action=action.then(pl.lit(HOLD))).drop_nulls("action")


def targets(signals: pl.DataFrame, sessions: pl.Series, plan: Plan) -> pl.DataFrame:
    """The weight wanted at the close of each session: session, target, signal_id; in order.

    A signal of a day that is not among the sessions counts from the next one that is. Of several on one, the last named
    stands. What is wanted at a close is traded at the next one, and earns from the session after that.
    """
    days = pl.DataFrame({"session": sessions.sort()}).with_row_index("number")
    said = (
        signals.select(spoken="session", action="action", signal_id="signal_id")
        .sort("spoken", maintain_order=True)
        .join_asof(days.with_columns(spoken="session"), on="spoken", strategy="forward")
        .drop_nulls("number")
        .group_by("number")
        .agg(pl.col("action", "signal_id").last())
    )
    weight = {BUY: plan.bought, SELL: plan.sold, HOLD: plan.base}
    told = days.join(said, on="number", how="left", maintain_order="left").with_columns(
        since=pl.when(pl.col("action").is_not_null()).then("number"),
        target=pl.col("action").replace_strict(weight, return_dtype=pl.Float64),
        signal_id=pl.when(pl.col("action") != HOLD).then("signal_id"),
    )
    stands = pl.col("since").forward_fill()
    latest = {name: pl.col(name).gather(stands) for name in ("target", "signal_id")}
    live = stands.is_not_null()
    if plan.hold is not None:
        live &= pl.col("number") - stands < plan.hold
    return told.select(
        "session",
        target=pl.when(live).then(latest["target"]).otherwise(plan.base),
        signal_id=pl.when(live).then(latest["signal_id"]),
    )


def daily_returns(
    wanted: pl.DataFrame, levels: pl.DataFrame, base: float, cost: float, rates: pl.DataFrame | None
) -> pl.DataFrame:
    """Backtest.daily without what depends on where the report begins, turnover and wealth; from the second level on."""
    known = levels.select("session", "level").join(wanted, on="session").sort("session")
    weight = pl.col("target").shift(2).fill_null(base)
    return (
        known.join(risk_free(known["session"], rates).select("session", cash="rate"), on="session")
        .sort("session")
        .select(
            pl.col("session").shift(1).alias("since"),
            "session",
            weight.alias("weight"),
            pl.col("signal_id").shift(2),
            (pl.col("level") / pl.col("level").shift(1) - 1).alias("market"),
            "cash",
        )
        .drop_nulls("market")
        .with_columns(turnover=(pl.col("weight") - pl.col("weight").shift(1, fill_value=0.0)).abs())
        .with_columns((_gross(pl.col("weight")) - cost / BASIS * pl.col("turnover")).alias("return"))
    )


def _gross(weight: pl.Expr | float) -> pl.Expr:
    return weight * pl.col("market") + (1 - weight) * pl.col("cash")


def report(
    daily: pl.DataFrame,
    base: float,
    cost: float,
    start: dt.date | None,
    end: dt.date | None,
    benchmark: pl.DataFrame | None = None,
) -> Backtest:
    """The backtest of daily returns, reported from start through end. base: the weight while nothing speaks."""
    shown = daily.filter(pl.col("session") >= (start or dt.date.min), pl.col("session") <= (end or dt.date.max))
    if shown.is_empty():
        raise RequestError(
            f"No two levels lie between {start or 'the first'} and {end or 'the last'}: nothing to test."
        )
    first = pl.int_range(pl.len()) == 0  # what is held on the first session is bought for it
    shown = (
        shown.with_columns(turnover=pl.when(first).then(pl.col("weight").abs()).otherwise("turnover"))
        .with_columns((_gross(pl.col("weight")) - cost / BASIS * pl.col("turnover")).alias("return"))
        .with_columns(wealth=(1 + pl.col("return")).cum_prod())
    )
    return Backtest(
        daily=shown,
        figures=_figures(shown, cost, benchmark),
        chance=chance(shown, base, cost),
        trades=_trades(shown, base, cost),
        monthly=by_month(shown),
    )


_DAYS = ("first_session", "last_session")
_FIGURES_SCHEMA = {
    "portfolio": pl.String,
    "cost": pl.Float64,
    **dict.fromkeys(_DAYS, pl.Date),
    **dict.fromkeys(("exposure", "turnover", *FIGURES), pl.Float64),
    **dict.fromkeys(("peak_session", "trough_session", "recovered_session"), pl.Date),
}


def _figures(daily: pl.DataFrame, cost: float, benchmark: pl.DataFrame | None) -> pl.DataFrame:
    """The rule at every cost, and at its own cost beside holding the market, all of it or as much as the rule did."""
    weight = daily["weight"].to_numpy()
    whole, same = np.ones_like(weight), np.full_like(weight, weight.mean())
    rows = [_portfolio(FOLLOWED, weight, daily, basis) for basis in sorted({*COSTS, cost})]
    rows += [_portfolio(BUY_AND_HOLD, whole, daily, cost), _portfolio(SAME_EXPOSURE, same, daily, cost)]
    beside = daily.clear() if benchmark is None else _beside(daily, benchmark)
    if beside.height:
        rows.append(_portfolio(BENCHMARK, np.ones(beside.height), beside, cost))
    return pl.DataFrame(rows, schema=_FIGURES_SCHEMA)


def _portfolio(name: str, held: Floats, daily: pl.DataFrame, cost: float) -> dict[str, Any]:
    market, cash, sessions = daily["market"].to_numpy(), daily["cash"].to_numpy(), daily["session"]
    changed = np.abs(np.diff(held, prepend=0.0))
    return {
        "portfolio": name,
        "cost": cost,
        **dict(zip(_DAYS, (sessions[0], sessions[-1]), strict=True)),
        "exposure": float(held.mean()),
        "turnover": float(changed.sum() * YEAR / len(held)),
        **figures(net(held, market, cash, cost), cash, sessions),
    }


def _beside(daily: pl.DataFrame, benchmark: pl.DataFrame) -> pl.DataFrame:
    """session, market, cash: what a benchmark returned, as long as it has closes; without one for a day it stands."""
    closes = benchmark.select("session", "level").drop_nulls().sort("session")
    days = pl.concat([daily["since"].head(1), daily["session"]]).to_frame("session")
    known = days.join_asof(closes, on="session", strategy="backward").filter(
        pl.col("session") <= closes["session"].max()
    )
    market = (pl.col("level") / pl.col("level").shift(1) - 1).alias("market")
    return daily.select("session", "cash").join(known.select("session", market), on="session").drop_nulls("market")


def earned_on_cash(daily: pl.DataFrame, rates: pl.DataFrame | None) -> str:
    """Whether cash earned a rate in the sessions of Backtest.daily, as vocabulary.CASH has it."""
    if rates is None or rates.is_empty():
        return NO_RATE
    known = risk_free(daily["session"], rates)["known"]
    return ALL_RATES if known.all() else SOME_RATES if known.any() else NO_RATE


def _trades(daily: pl.DataFrame, base: float, cost: float) -> pl.DataFrame:
    """Backtest.trades. A trade pays for its distance from the base, on the way there and, once closed, back."""
    away = abs(pl.col("weight").first() - base)
    closed = pl.col("session").last() < daily["session"][-1]
    paid = cost / BASIS * away * (1 + closed.cast(pl.Int8))
    own, without = ((1 + _gross(weight)).product() for weight in (pl.col("weight"), base))
    return (
        daily.group_by(stretch=pl.col("weight").rle_id(), maintain_order=True)
        .agg(
            entry_session=pl.col("since").first(),
            exit_session=pl.when(closed).then(pl.col("session").last()),
            sessions=pl.len().cast(pl.Int32),
            weight=pl.col("weight").first(),
            market=(1 + pl.col("market")).product() - 1,
            **{"return": own / without - 1 - paid},
            signal_id=pl.col("signal_id").drop_nulls().first(),
            signals=pl.col("signal_id").drop_nulls().n_unique().cast(pl.Int32),
        )
        .filter(pl.col("weight") != base)
        .drop("stretch")
    )
