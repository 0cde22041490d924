"""Moments that people ask for: how one is written, and what is refused. When sessions close is in sessions.py."""

import datetime as dt
import re

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


def _parsed(text: str) -> dt.datetime:
    if not _MOMENT.fullmatch(text):
        raise ValueError(text)
    return dt.datetime.fromisoformat(text)
