"""Made markets for the tests of the evaluation: what is in them is known, because it was put there."""

import datetime as dt
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import polars as pl

from breadthflow_pipelines.evaluation.family import Claim
from breadthflow_pipelines.evaluation.trials import Trial

FIRST = dt.date(2000, 1, 3)
RULE = "appel_time_trend"  # one that buys, published in 2013
Floats = npt.NDArray[np.float64]


def day(number: int) -> dt.date:
    """Every day is a session."""
    return FIRST + dt.timedelta(days=number)


def sessions(count: int) -> pl.DataFrame:
    return pl.DataFrame(
        {"session": [day(i) for i in range(count)], "ordinal": range(count)},
        schema={"session": pl.Date, "ordinal": pl.Int32},
    )


def levels(
    level: Floats | list[float], universe: str = "NASDAQ", intraday: Sequence[float | None] | float | None = None
) -> pl.DataFrame:
    values = np.asarray(level, dtype=np.float64)
    return pl.DataFrame(
        {
            "universe": universe,
            "segment": "ALL",
            "session": [day(i) for i in range(len(values))],
            "level": values,
            "intraday": intraday,
            "basis": "price",
        },
        schema_overrides={"intraday": pl.Float64},
    )


def walk(dice: np.random.Generator, length: int, drift: float = 0.0004, spread: float = 0.01) -> Floats:
    """A level whose returns know nothing of each other."""
    return np.asarray(np.exp(np.cumsum(dice.normal(drift, spread, length))))


def signals(numbers: npt.ArrayLike, rule: str = RULE, action: str = "buy", universe: str = "NASDAQ") -> pl.DataFrame:
    days = [day(int(i)) for i in np.atleast_1d(np.asarray(numbers))]
    return pl.DataFrame({"session": days}, schema={"session": pl.Date}).select(
        pl.format("{} {} {}", pl.lit(rule), pl.lit(action), "session").alias("signal_id"),
        pl.lit(universe).alias("universe"),
        pl.lit("ALL").alias("segment"),
        "session",
        pl.lit(rule).alias("rule"),
        pl.lit(action).alias("action"),
        pl.lit("final").alias("state"),
    )


def everywhere(count: int, rule: str = RULE, universe: str = "NASDAQ") -> pl.DataFrame:
    """Every session is eligible."""
    return pl.DataFrame({"universe": universe, "rule": rule, "session": [day(i) for i in range(count)]})


def trailing(level: Floats) -> Floats:
    return np.array([value / level[max(0, i - 251) : i + 1].max() - 1 for i, value in enumerate(level)])


def trial(
    level: Floats, numbers: npt.ArrayLike, horizon: int, claim: Claim | None = None, fallen: Floats | None = None
) -> Trial:
    """A trial straight from arrays: for tests that need thousands."""
    count = len(level) - 1 - horizon
    change = level[1 + horizon :] / level[1 : count + 1] - 1
    event = np.zeros(len(level), dtype=bool)
    event[np.asarray(numbers, dtype=np.int64)] = True
    session = np.datetime64(FIRST) + np.arange(count)
    return Trial(
        claim=claim or Claim(RULE, "buy"),
        universe="NASDAQ",
        horizon=horizon,
        open=0,
        left_out=0,
        basis="price",
        number=np.arange(count),
        session=session,
        exit=session + 1 + horizon,
        event=event[:count],
        change=change,
        from_open=change,
        excess=change - change.mean(),
        fall=np.zeros(count),
        trailing=(np.zeros(len(level)) if fallen is None else fallen)[:count],
    )


def scores(values: list[float]) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "session": [day(i) for i in range(len(values))],
            "value": values,
            "signal_id": [f"score {i}" for i in range(len(values))],
        }
    )
