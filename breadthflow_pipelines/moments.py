"""Days and moments that people ask for: how a moment is written, and what is refused. Sessions are in sessions.py.

Commands that read load this and start fast: sessions.py brings polars along.
"""

import datetime as dt
import re

from breadthflow_pipelines.errors import RequestError

# Not all that fromisoformat takes: it reads 1712010400000, milliseconds since 1970, as a day of 1712.
_MOMENT = re.compile(r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d{1,6})?)?([+-]\d\d:?\d\d|Z)?)?", re.ASCII)


def utc_moment(asked: str | dt.datetime) -> dt.datetime:
    """A moment in UTC; a day is its midnight, and what has no zone is in UTC.

    Raises:
        ValueError: it is not a moment, or lies in the future; says how to write one.
    """
    try:
        moment = _parsed(asked) if isinstance(asked, str) else asked
        moment = moment.replace(tzinfo=dt.UTC) if moment.tzinfo is None else moment.astimezone(dt.UTC)
    except (ValueError, OverflowError):  # in UTC it may lie outside the years 1 to 9999
        raise ValueError(
            f"{asked} is not a moment; write it as 2024-03-01, 2024-03-01T22:00Z or 2024-03-01T22:00-05:00"
        ) from None
    if moment > dt.datetime.now(dt.UTC):
        raise ValueError(f"{asked} lies in the future")
    return moment


def check_days(first: dt.date | None, last: dt.date | None) -> None:
    """Refuse a range that ends before it begins; None is an open end.

    Raises:
        RequestError: it does.
    """
    if first is not None and last is not None and last < first:
        raise RequestError(f"The range ends on {last}, before it begins on {first}.")


def _parsed(text: str) -> dt.datetime:
    if not _MOMENT.fullmatch(text):
        raise ValueError(text)
    return dt.datetime.fromisoformat(text)
