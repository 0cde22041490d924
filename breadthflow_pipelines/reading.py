"""The store's breadth and signals as frames, for notebooks and scripts. Reads only; docs/reading.md has an example.

The store is the one that the environment means, as for the command: BREADTHFLOW_HOME or BREADTHFLOW_DATABASE_URL.
"""

import datetime as dt
from typing import Literal, overload

import pandas as pd
import polars as pl

from breadthflow_pipelines.errors import RequestError
from breadthflow_pipelines.model.vocabulary import ALL
from breadthflow_pipelines.settings import get_settings
from breadthflow_pipelines.warehouse import frame_listing
from breadthflow_pipelines.warehouse.database import open_database

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
    database = open_database(get_settings())
    rows = frame_listing.breadth_frame(database, universe, _day(start), _day(end), segment, _moment(as_of))
    return rows if frames == "polars" else rows.to_pandas()


@overload
def signals(
    universe: str,
    start: Day = None,
    end: Day = None,
    *,
    segment: str | None = ALL,
    rule: str | None = None,
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
    frames: Literal["polars"],
) -> pl.DataFrame: ...
def signals(
    universe: str,
    start: Day = None,
    end: Day = None,
    *,
    segment: str | None = ALL,
    rule: str | None = None,
    frames: Literal["pandas", "polars"] = "pandas",
) -> pd.DataFrame | pl.DataFrame:
    """Signals of a universe from start through end, a row for each; ``evidence`` is JSON text.

    A signal is known at the close of its session, so it can be acted on from the next one.

    Args:
        segment: ALL, the universe as a whole; a sector; None for every segment.
        rule: only this one's; breadth_score and conviction have a row for every session.

    Raises:
        RequestError: nothing of the universe is stored; says which there are, or what helps.
        DatabaseError: the store cannot be reached.
    """
    database = open_database(get_settings())
    rows = frame_listing.signals_frame(database, universe, _day(start), _day(end), segment, rule)
    return rows if frames == "polars" else rows.to_pandas()


def _day(day: Day) -> dt.date | None:
    if not isinstance(day, str):
        return day
    try:
        return dt.date.fromisoformat(day)
    except ValueError:
        raise RequestError(f"{day} is not a day; write it as 2024-03-01.") from None


def _moment(moment: Moment) -> dt.datetime | None:
    if isinstance(moment, str):
        try:
            moment = dt.datetime.fromisoformat(moment)
        except ValueError:
            raise RequestError(f"{moment} is not a moment; write it as 2024-03-01T22:00-05:00.") from None
    return moment.replace(tzinfo=dt.UTC) if moment is not None and moment.tzinfo is None else moment
