"""The figures of a portfolio, as the field defines them: growth, risk, drawdown. What is held is in backtest.py.

Equal to quantstats' on the same returns.
"""

import datetime as dt

import numpy as np
import numpy.typing as npt
import polars as pl

from breadthflow_pipelines.evaluation.returns import YEAR

FIGURES = (
    *("cagr", "volatility", "sharpe", "sortino", "calmar"),
    *("max_drawdown", "peak_session", "trough_session", "recovered_session"),
    *("hit_rate", "profit_factor"),
)

BASIS = 10_000  # basis points

Floats = npt.NDArray[np.float64]


def figures(returns: Floats, cash: Floats, sessions: pl.Series) -> dict[str, float | dt.date | None]:
    """FIGURES of one portfolio's returns, each null where it cannot be told. cash: what cash earned meanwhile.

    Fractions; a year is YEAR sessions. cagr: the growth of wealth; volatility: of returns. sharpe and sortino: of what
    was earned beyond cash, by its deviation and by that of its losses from zero. max_drawdown, 0 or less: of closes
    and of the 1 before the first session; recovered_session: when wealth was back at the peak. calmar: cagr over it.
    hit_rate: sessions that earned more than cash, of those that earned something else; profit_factor: what they earned
    beyond it, over what others lost against it. So a session out of the market, which earns what cash does, is neither.
    """
    beyond = returns - cash
    cagr = growth(returns)
    deepest = _deepest(returns, sessions)
    return {
        "cagr": cagr,
        "volatility": float(returns.std(ddof=1) * YEAR**0.5) if len(returns) > 1 else None,
        "sharpe": sharpe_ratio(beyond),
        "sortino": _ratio(beyond.mean() * YEAR**0.5, float(np.sqrt(np.mean(np.minimum(beyond, 0) ** 2)))),
        "calmar": _ratio(cagr, -max_drawdown(returns)),
        **deepest,
        "hit_rate": _ratio(float((beyond > 0).sum()), float((beyond != 0).sum())),
        "profit_factor": _ratio(float(beyond[beyond > 0].sum()), -float(beyond[beyond < 0].sum())),
    }


def net(weight: Floats, market: Floats, cash: Floats, cost: float) -> Floats:
    """The returns of these weights, after costs. market, cash: what each earned; cost: basis points of turnover.

    One session after the other along the last axis.
    """
    earned = weight * (market - cash)
    earned += cash
    paid = np.empty_like(earned)
    paid[..., 0] = weight[..., 0]
    np.subtract(weight[..., 1:], weight[..., :-1], out=paid[..., 1:])
    np.abs(paid, out=paid)
    paid *= cost / BASIS
    earned -= paid
    return np.asarray(earned)


def growth(returns: Floats) -> float:
    """What wealth grew by in a year, compounded."""
    return float(np.prod(1 + returns) ** (YEAR / len(returns)) - 1)


def _ratio(part: float, whole: float) -> float | None:
    return float(part / whole) if whole > 0 else None


def sharpe_ratio(beyond: Floats) -> float | None:
    """The Sharpe ratio of a year. beyond: what each session earned beyond cash."""
    return _ratio(beyond.mean() * YEAR**0.5, float(beyond.std(ddof=1))) if len(beyond) > 1 else None


def _falls(returns: Floats) -> tuple[Floats, Floats]:
    """Wealth, from 1 before the first session on, and how far it lies below its highest so far."""
    wealth = np.concatenate([[1.0], np.cumprod(1 + returns)])
    return wealth, wealth / np.maximum.accumulate(wealth) - 1


def max_drawdown(returns: Floats) -> float:
    """The deepest fall of wealth from its highest so far, 0 or less."""
    return float(_falls(returns)[1].min())


def _deepest(returns: Floats, sessions: pl.Series) -> dict[str, float | dt.date | None]:
    """The deepest fall and its days; a peak before the first session has none."""
    wealth, fall = _falls(returns)
    trough = int(fall.argmin())
    found: dict[str, float | dt.date | None] = {
        "max_drawdown": float(fall[trough]),
        **dict.fromkeys(("peak_session", "trough_session", "recovered_session")),
    }
    if trough:
        peak = int(wealth[:trough].argmax())
        back = np.flatnonzero(wealth[trough:] >= wealth[peak])
        found |= {"peak_session": sessions[peak - 1] if peak else None, "trough_session": sessions[trough - 1]}
        found["recovered_session"] = sessions[trough + int(back[0]) - 1] if len(back) else None
    return found
