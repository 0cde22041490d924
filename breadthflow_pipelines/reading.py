"""What the store says as frames, for notebooks and scripts. Reads only; docs/reading.md has an example.

The store is the one that the environment means, as for the command: BREADTHFLOW_HOME or BREADTHFLOW_DATABASE_URL.
"""

import datetime as dt
from typing import Literal, overload

import pandas as pd
import polars as pl

from breadthflow_pipelines.errors import RequestError
from breadthflow_pipelines.model.vocabulary import ALL
from breadthflow_pipelines.moments import check_days, utc_moment
from breadthflow_pipelines.settings import get_settings
from breadthflow_pipelines.signals.asked import check_horizon, check_rule
from breadthflow_pipelines.warehouse import frame_listing
from breadthflow_pipelines.warehouse.database import existing_database

Day = dt.date | str | None  # text as 2024-03-01; None is the first or the last that there is
Moment = dt.datetime | str | None  # text as 2024-03-01T22:00-05:00; UTC without a zone


@overload
def breadth(
    universe: str,
    start: Day = None,
    end: Day = None,
    *,
    segment: str | None = ALL,
    as_of: Moment = None,
    frames: Literal["pandas"] = "pandas",
) -> pd.DataFrame: ...
@overload
def breadth(
    universe: str,
    start: Day = None,
    end: Day = None,
    *,
    segment: str | None = ALL,
    as_of: Moment = None,
    frames: Literal["polars"],
) -> pl.DataFrame: ...
def breadth(
    universe: str,
    start: Day = None,
    end: Day = None,
    *,
    segment: str | None = ALL,
    as_of: Moment = None,
    frames: Literal["pandas", "polars"] = "pandas",
) -> pd.DataFrame | pl.DataFrame:
    """Counts and indicators of a universe from start through end, a row for each segment and session.

    Args:
        segment: ALL, the universe as a whole; a sector; None for every segment.
        as_of: what the store said at that moment, instead of what it says now.

    Raises:
        RequestError: the universe, the segment or the days are not in the store, or were not then; says what is.
        DatabaseError: the store cannot be reached.
    """
    database = existing_database(get_settings())
    rows = frame_listing.breadth_frame(database, universe, *_days(start, end), segment, _moment(as_of))
    return rows if frames == "polars" else rows.to_pandas()


@overload
def signals(
    universe: str,
    start: Day = None,
    end: Day = None,
    *,
    segment: str | None = ALL,
    rule: str | None = None,
    as_of: Moment = None,
    frames: Literal["pandas"] = "pandas",
) -> pd.DataFrame: ...
@overload
def signals(
    universe: str,
    start: Day = None,
    end: Day = None,
    *,
    segment: str | None = ALL,
    rule: str | None = None,
    as_of: Moment = None,
    frames: Literal["polars"],
) -> pl.DataFrame: ...
def signals(
    universe: str,
    start: Day = None,
    end: Day = None,
    *,
    segment: str | None = ALL,
    rule: str | None = None,
    as_of: Moment = None,
    frames: Literal["pandas", "polars"] = "pandas",
) -> pd.DataFrame | pl.DataFrame:
    """Signals of a universe from start through end, a row for each; ``evidence`` is JSON text.

    A signal is known at the close of its session, so it can be acted on from the next one.

    Args:
        segment: ALL, the universe as a whole; a sector; None for every segment.
        rule: only this one's; breadth_score and conviction have a row for every session.
        as_of: what the store said at that moment, instead of what it says now.

    Raises:
        RequestError: nothing of the universe is stored, no signal of it was known then, or there is no such rule; says
            what there is.
        DatabaseError: the store cannot be reached.
    """
    check_rule(rule)
    database = existing_database(get_settings())
    rows = frame_listing.signals_frame(database, universe, *_days(start, end), segment, rule, _moment(as_of))
    return rows if frames == "polars" else rows.to_pandas()


@overload
def outcomes(
    universe: str,
    start: Day = None,
    end: Day = None,
    *,
    segment: str | None = ALL,
    rule: str | None = None,
    horizon: int | None = None,
    frames: Literal["pandas"] = "pandas",
) -> pd.DataFrame: ...
@overload
def outcomes(
    universe: str,
    start: Day = None,
    end: Day = None,
    *,
    segment: str | None = ALL,
    rule: str | None = None,
    horizon: int | None = None,
    frames: Literal["polars"],
) -> pl.DataFrame: ...
def outcomes(
    universe: str,
    start: Day = None,
    end: Day = None,
    *,
    segment: str | None = ALL,
    rule: str | None = None,
    horizon: int | None = None,
    frames: Literal["pandas", "polars"] = "pandas",
) -> pd.DataFrame | pl.DataFrame:
    """What followed each signal of a universe from start through end: a row for each signal and horizon.

    Entered at the close of the session after the signal's. ``return``, ``excess`` and ``hit`` are null until the window
    has closed.

    Args:
        segment: ALL, the universe as a whole; a sector; None for every segment.
        rule, horizon: only this one's; horizons are 5, 21, 63, 126 and 252 sessions.

    Raises:
        RequestError: nothing of the universe is stored, or there is no such rule or horizon; says what there is.
        DatabaseError: the store cannot be reached.
    """
    check_rule(rule)
    check_horizon(horizon)
    rows = frame_listing.judged_frame(
        existing_database(get_settings()),
        "outcomes",
        universe,
        *_days(start, end),
        segment=segment,
        rule=rule,
        horizon=horizon,
    )
    return rows if frames == "polars" else rows.to_pandas()


@overload
def accuracy(
    universe: str,
    *,
    rule: str | None = None,
    horizon: int | None = None,
    frames: Literal["pandas"] = "pandas",
) -> pd.DataFrame: ...
@overload
def accuracy(
    universe: str,
    *,
    rule: str | None = None,
    horizon: int | None = None,
    frames: Literal["polars"],
) -> pl.DataFrame: ...
def accuracy(
    universe: str,
    *,
    rule: str | None = None,
    horizon: int | None = None,
    frames: Literal["pandas", "polars"] = "pandas",
) -> pd.DataFrame | pl.DataFrame:
    """The record of each rule in a universe held against chance: a row for each side, horizon and era.

    A ``hit_rate`` means nothing without the ``base_rate`` beside it, and neither does without the ``verdict``.

    Args:
        rule, horizon: only this one's.

    Raises:
        RequestError: nothing of the universe is stored, or there is no such rule or horizon; says what there is.
        DatabaseError: the store cannot be reached.
    """
    check_rule(rule)
    check_horizon(horizon)
    rows = frame_listing.judged_frame(
        existing_database(get_settings()), "accuracy", universe, rule=rule, horizon=horizon
    )
    return rows if frames == "polars" else rows.to_pandas()


@overload
def backtests(
    universe: str,
    *,
    rule: str | None = None,
    frames: Literal["pandas"] = "pandas",
) -> pd.DataFrame: ...
@overload
def backtests(
    universe: str,
    *,
    rule: str | None = None,
    frames: Literal["polars"],
) -> pl.DataFrame: ...
def backtests(
    universe: str,
    *,
    rule: str | None = None,
    frames: Literal["pandas", "polars"] = "pandas",
) -> pd.DataFrame | pl.DataFrame:
    """What following each rule was worth: a row for each portfolio and cost, or one with the reason why there is none.

    Rows with thresholds ``walk forward`` cover the chosen years alone. What random entries made of the same trades is
    in the rule's row at its own cost.

    Args:
        rule: only this one's.

    Raises:
        RequestError: nothing of the universe is stored, or there is no such rule or horizon; says what there is.
        DatabaseError: the store cannot be reached.
    """
    check_rule(rule)
    rows = frame_listing.judged_frame(existing_database(get_settings()), "backtests", universe, rule=rule)
    return rows if frames == "polars" else rows.to_pandas()


@overload
def trades(
    universe: str,
    *,
    rule: str | None = None,
    frames: Literal["pandas"] = "pandas",
) -> pd.DataFrame: ...
@overload
def trades(
    universe: str,
    *,
    rule: str | None = None,
    frames: Literal["polars"],
) -> pl.DataFrame: ...
def trades(
    universe: str,
    *,
    rule: str | None = None,
    frames: Literal["pandas", "polars"] = "pandas",
) -> pd.DataFrame | pl.DataFrame:
    """The trades of the backtests: a row for each, with the signal that began it.

    Args:
        rule: only this one's.

    Raises:
        RequestError: nothing of the universe is stored, or there is no such rule or horizon; says what there is.
        DatabaseError: the store cannot be reached.
    """
    check_rule(rule)
    rows = frame_listing.judged_frame(existing_database(get_settings()), "trades", universe, rule=rule)
    return rows if frames == "polars" else rows.to_pandas()


def _days(start: Day, end: Day) -> tuple[dt.date | None, dt.date | None]:
    first, last = _day(start), _day(end)
    check_days(first, last)
    return first, last


def _day(day: Day) -> dt.date | None:
    if not isinstance(day, str):
        return day
    try:
        return dt.date.fromisoformat(day)
    except ValueError:
        raise RequestError(f"{day} is not a day; write it as 2024-03-01.") from None


def _moment(moment: Moment) -> dt.datetime | None:
    if moment is None:
        return None
    try:
        return utc_moment(moment)
    except ValueError as error:
        raise RequestError(f"as_of cannot be used: {error}.") from None
