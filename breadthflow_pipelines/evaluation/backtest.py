"""What a portfolio would have made of a rule: long or flat, or a tilt, after costs, beside what needs no rule.

A backtest says what a rule would have been worth, not whether that was chance: see significance.py. Figures are those
of the field, and equal to quantstats' on the same returns. Nothing here is optimised but thresholds, and those walk
forward: what they were chosen by and what came of them never share a figure.
"""

import datetime as dt
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from breadthflow_pipelines.errors import RequestError
from breadthflow_pipelines.evaluation.returns import YEAR, risk_free

COSTS = (0.0, 5.0, 10.0, 25.0)  # basis points of what changes hands: from none to a wide spread
COST = 10.0
BASIS = 10_000  # basis points
RANDOM_RUNS = 1_000
SEED = 20_011
MIN_SAMPLE = 5 * YEAR  # sessions that a threshold is chosen from; fewer have seen one market

FIGURES = (
    *("cagr", "volatility", "sharpe", "sortino", "calmar"),
    *("max_drawdown", "peak_session", "trough_session", "recovered_session"),
    *("hit_rate", "profit_factor"),
)
RULE, BUY_AND_HOLD, SAME_EXPOSURE = "rule", "buy and hold", "same exposure"

Floats = npt.NDArray[np.float64]


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


HOLD = 63  # sessions that an event counts, a quarter; a convention
LONG_FLAT = Plan(hold=HOLD)
UNTIL_TOLD = Plan()
"""In the market from a buy until something else is said: for what says something on every session."""
OVERLAY = Plan(base=0.6, bought=0.8, sold=0.4, hold=HOLD)
"""A balanced holding that leans 20 points either way."""


@dataclass(frozen=True)
class Backtest:
    """What came of a plan.

    daily: since (the close before), session, weight (in the market meanwhile), signal_id (that set it; null: none),
        market and cash (their returns), turnover (at ``since``), return (after costs), wealth (1 before the first).
    figures: one row per portfolio and cost in basis points: portfolio, cost, exposure, turnover (a year), FIGURES.
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
    start: dt.date | None = None,
    end: dt.date | None = None,
) -> Backtest:
    """Follow one rule's signals in one universe.

    signals: session, action, signal_id, of one rule in one universe. levels: session, level, in LEVEL_SCHEMA's sense,
    of one series. rates: session, rate (per cent a year), or null: cash earns nothing. start, end: sessions to report;
    signals before them count. cost: basis points of each unit of turnover.

    Raises:
        RequestError: fewer than two levels lie between start and end.
    """
    wanted = targets(signals, levels["session"], plan)
    return _told(_daily(wanted, levels, plan.base, cost, rates), plan.base, cost, start, end)


def by_threshold(scores: pl.DataFrame, enter: float, leave: float | None = None) -> pl.DataFrame:
    """Signals of a score: buy from ``enter`` on, hold below ``leave`` (None: enter); between, the last one stands.

    scores: session, value, signal_id. Use with a Plan whose hold is None.
    """
    value = pl.col("value")
    action = pl.when(value >= enter).then(pl.lit("buy")).when(value < (enter if leave is None else leave))
    return scores.with_columns(action=action.then(pl.lit("hold"))).drop_nulls("action")


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
    weight = {"buy": plan.bought, "sell": plan.sold, "hold": plan.base}
    told = days.join(said, on="number", how="left", maintain_order="left").with_columns(
        since=pl.when(pl.col("action").is_not_null()).then("number"),
        target=pl.col("action").replace_strict(weight, return_dtype=pl.Float64),
        signal_id=pl.when(pl.col("action") != "hold").then("signal_id"),
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


def walk_forward(
    scores: pl.DataFrame,
    levels: pl.DataFrame,
    thresholds: Sequence[float],
    *,
    horizon: int,
    plan: Plan = UNTIL_TOLD,
    cost: float = COST,
    rates: pl.DataFrame | None = None,
) -> tuple[pl.DataFrame, Backtest | None]:
    """Choose the threshold of each calendar year by the years before it, and follow the choices.

    scores: session, value, signal_id. The threshold of a year is that with the highest Sharpe ratio, after costs, from
    the first score through the last session that lies more than ``horizon`` sessions before the year: the embargo, so
    that no holding that reaches into the year chooses for it. Of equals the first. Fewer than MIN_SAMPLE sessions
    choose nothing.

    Gives the choices - year, threshold, sample_from, sample_to, in_sample (the Sharpe ratio that it was chosen by),
    out_of_sample (that of the year) - and the backtest of the chosen years alone, or None where there is none.
    """
    wanted = [targets(by_threshold(scores, level), levels["session"], plan) for level in thresholds]
    days = [_daily(one, levels, plan.base, cost, rates) for one in wanted]
    beyond = [(day["return"] - day["cash"]).to_numpy() for day in days]
    sessions = days[0]["session"]
    choices, chosen = [], []
    for year, sample in _samples(sessions, scores["session"].min(), horizon):
        ratios = [_sharpe(row[sample]) for row in beyond]
        best = int(np.argmax([-np.inf if ratio is None else ratio for ratio in ratios]))
        choices.append((year, thresholds[best], sessions[sample.start], sessions[sample.stop - 1], ratios[best]))
        chosen.append(wanted[best].filter(pl.col("session").dt.year() == year))
    table = pl.DataFrame(choices, schema=_CHOICES, orient="row")
    if not chosen:
        return table.with_columns(out_of_sample=pl.lit(None, pl.Float64)), None
    first = dt.date(choices[0][0], 1, 1)
    idle = (
        wanted[0]
        .filter(pl.col("session") < first)
        .with_columns(target=pl.lit(plan.base), signal_id=pl.lit(None, pl.String))
    )
    followed = _daily(pl.concat([idle, *chosen]), levels, plan.base, cost, rates)
    after = _told(followed, plan.base, cost, first, None)
    of_year = after.daily.select(year=pl.col("session").dt.year(), beyond=pl.col("return") - pl.col("cash"))
    told = {year: _sharpe(of_year.filter(year=year)["beyond"].to_numpy()) for year in table["year"]}
    return table.with_columns(out_of_sample=pl.Series(told.values(), dtype=pl.Float64)), after


_CHOICES = {
    "year": pl.Int32,
    "threshold": pl.Float64,
    "sample_from": pl.Date,
    "sample_to": pl.Date,
    "in_sample": pl.Float64,
}


def _samples(sessions: pl.Series, first: Any, embargo: int) -> Iterator[tuple[int, slice]]:
    """Each calendar year with a sample before it that is long enough, and where the sample lies."""
    begin = int((sessions < first).sum())
    years = sessions.dt.year()
    for year in years.unique().sort():
        stop = int((years < year).sum()) - embargo
        if stop - begin >= MIN_SAMPLE:
            yield year, slice(begin, stop)


def figures(returns: Floats, cash: Floats, sessions: Sequence[dt.date]) -> dict[str, float | dt.date | None]:
    """FIGURES of one portfolio's returns, each null where it cannot be told. cash: what cash earned meanwhile.

    Fractions; a year is YEAR sessions. cagr: the growth of wealth; volatility: of returns. sharpe and sortino: of what
    was earned beyond cash, by its deviation and by that of its losses from zero. max_drawdown, 0 or less: of closes
    and of the 1 before the first session; recovered_session: when wealth was back at the peak. calmar: cagr over it.
    hit_rate: sessions with a gain, of those with a change; profit_factor: gains over losses, of sessions.
    """
    beyond = returns - cash
    cagr = float(np.prod(1 + returns) ** (YEAR / len(returns)) - 1)
    deepest = _deepest(returns, sessions)
    return {
        "cagr": cagr,
        "volatility": float(returns.std(ddof=1) * YEAR**0.5) if len(returns) > 1 else None,
        "sharpe": _sharpe(beyond),
        "sortino": _ratio(beyond.mean() * YEAR**0.5, float(np.sqrt(np.mean(np.minimum(beyond, 0) ** 2)))),
        "calmar": _ratio(cagr, -_max_drawdown(returns)),
        **deepest,
        "hit_rate": _ratio(float((returns > 0).sum()), float((returns != 0).sum())),
        "profit_factor": _ratio(float(returns[returns > 0].sum()), -float(returns[returns < 0].sum())),
    }


def _ratio(part: float, whole: float) -> float | None:
    return float(part / whole) if whole > 0 else None


def _sharpe(beyond: Floats) -> float | None:
    return _ratio(beyond.mean() * YEAR**0.5, float(beyond.std(ddof=1))) if len(beyond) > 1 else None


def _falls(returns: Floats) -> tuple[Floats, Floats]:
    """Wealth, from 1 before the first session on, and how far it lies below its highest so far."""
    wealth = np.concatenate([[1.0], np.cumprod(1 + returns)])
    return wealth, wealth / np.maximum.accumulate(wealth) - 1


def _max_drawdown(returns: Floats) -> float:
    return float(_falls(returns)[1].min())


def _deepest(returns: Floats, sessions: Sequence[dt.date]) -> dict[str, float | dt.date | None]:
    """The deepest fall and its days; a peak before the first session has none."""
    wealth, fall = _falls(returns)
    days = [None, *sessions]
    trough = int(fall.argmin())
    found: dict[str, float | dt.date | None] = {
        "max_drawdown": float(fall[trough]),
        **dict.fromkeys(("peak_session", "trough_session", "recovered_session")),
    }
    if trough:
        peak = int(wealth[:trough].argmax())
        back = np.flatnonzero(wealth[trough:] >= wealth[peak])
        found |= {"peak_session": days[peak], "trough_session": days[trough]}
        found["recovered_session"] = days[trough + int(back[0])] if len(back) else None
    return found


def _daily(
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


def _told(daily: pl.DataFrame, base: float, cost: float, start: dt.date | None, end: dt.date | None) -> Backtest:
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
    month = {"year": pl.col("session").dt.year(), "month": pl.col("session").dt.month()}
    return Backtest(
        daily=shown,
        figures=_figures(shown, cost),
        chance=_chance(shown, base, cost),
        trades=_trades(shown, base, cost),
        monthly=shown.group_by(**month, maintain_order=True).agg(
            ((1 + pl.col("return")).product() - 1).alias("return")
        ),
    )


def _figures(daily: pl.DataFrame, cost: float) -> pl.DataFrame:
    """The rule at every cost, and at its own cost beside holding the market, all of it or as much as the rule did."""
    market, cash, weight = (daily[name].to_numpy() for name in ("market", "cash", "weight"))
    whole, same = np.ones_like(weight), np.full_like(weight, weight.mean())
    asked = [(RULE, weight, basis) for basis in sorted({*COSTS, cost})]
    asked += [(BUY_AND_HOLD, whole, cost), (SAME_EXPOSURE, same, cost)]
    sessions = daily["session"].to_list()
    rows = []
    for name, held, basis in asked:
        changed = np.abs(np.diff(held, prepend=0.0))
        row = {"portfolio": name, "cost": basis, "exposure": float(held.mean())}
        row["turnover"] = float(changed.sum() * YEAR / len(held))
        rows.append(row | figures(_net(held, market, cash, basis), cash, sessions))
    return pl.DataFrame(rows, schema=_FIGURES_SCHEMA)


def _net(weight: Floats, market: Floats, cash: Floats, cost: float) -> Floats:
    changed = np.abs(np.diff(weight, prepend=0.0))
    return np.asarray(weight * market + (1 - weight) * cash - cost / BASIS * changed)


def _chance(daily: pl.DataFrame, base: float, cost: float) -> pl.DataFrame:
    market, cash, weight = (daily[name].to_numpy() for name in ("market", "cash", "weight"))
    runs = [_three(_net(one, market, cash, cost), cash) for one in random_entries(weight, base, RANDOM_RUNS, SEED)]
    own = _three(_net(weight, market, cash, cost), cash)
    rows = []
    for name, rule, *others in zip(("cagr", "sharpe", "max_drawdown"), own, *runs, strict=True):
        if others:
            low, median, high = np.quantile(others, (0.05, 0.5, 0.95))
            as_good = (1 + sum(other >= rule for other in others)) / (1 + len(others))
            rows.append((name, rule, low, median, high, as_good))
    return pl.DataFrame(rows, schema=_CHANCE_SCHEMA, orient="row")


def _three(returns: Floats, cash: Floats) -> tuple[float, float, float]:
    cagr = float(np.prod(1 + returns) ** (YEAR / len(returns)) - 1)
    return cagr, _sharpe(returns - cash) or 0.0, _max_drawdown(returns)


def random_entries(weight: Floats, base: float, runs: int, seed: int) -> Iterator[Floats]:
    """Weights that leave the base as often and for as long as these, in another order and at other times.

    Every order of the stretches, and every way to part the sessions at the base between them, at least one each, is as
    likely. Each change of weight comes back, so that the cost does too, but for a stretch that falls on either end.
    Nothing where there is no stretch, or nothing else.
    """
    away = weight != base
    edges = np.flatnonzero(np.diff(np.concatenate([[False], away, [False]]).astype(np.int8)))
    stretches = [weight[start:stop] for start, stop in edges.reshape(-1, 2)]
    free = int((~away).sum()) - (len(stretches) - 1)
    if not stretches or free <= 0:
        return
    dice = np.random.default_rng(seed)
    for _ in range(runs):
        # Stars and bars: the places of the bars among the free sessions are a sample without replacement.
        bars = np.sort(dice.choice(free + len(stretches), len(stretches), replace=False))
        gaps = np.diff(bars, prepend=-1, append=free + len(stretches)) - 1
        gaps[1:-1] += 1
        parts = [np.full(gaps[0], base)]
        for place, gap in zip(dice.permutation(len(stretches)), gaps[1:], strict=True):
            parts += [stretches[place], np.full(gap, base)]
        yield np.concatenate(parts)


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


_FIGURES_SCHEMA = {
    "portfolio": pl.String,
    **dict.fromkeys(("cost", "exposure", "turnover", *FIGURES), pl.Float64),
    **dict.fromkeys(("peak_session", "trough_session", "recovered_session"), pl.Date),
}
_CHANCE_SCHEMA = {
    "figure": pl.String,
    **dict.fromkeys(("rule", "p05", "median", "p95", "share_as_good"), pl.Float64),
}
