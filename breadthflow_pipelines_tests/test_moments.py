"""Moments that people ask for: what each means, and what is refused."""

import datetime as dt

import pytest

from breadthflow_pipelines.moments import utc_moment

NEW_YEAR = dt.datetime(2024, 1, 1, tzinfo=dt.UTC)


@pytest.mark.parametrize(
    "written",
    [
        "2024-01-01",  # a day is its midnight
        "2024-01-01T00:00",  # without a zone, in UTC
        "2024-01-01 00:00:00.000000Z",
        "2023-12-31T19:00-05:00",
        "2024-01-01T05:30+0530",
        NEW_YEAR.replace(tzinfo=None),
        NEW_YEAR.astimezone(dt.timezone(dt.timedelta(hours=9))),
    ],
)
def test_a_moment_is_in_utc_however_it_is_written(written: str | dt.datetime) -> None:
    moment = utc_moment(written)
    assert (moment, moment.utcoffset()) == (NEW_YEAR, dt.timedelta(0))


@pytest.mark.parametrize(
    ("written", "why"),
    [
        ("yesterday", "yesterday is not a moment; write it as 2024-03-01, 2024-03-01T22:00Z or"),
        ("2024-13-01", "2024-13-01 is not a moment"),
        ("1712010400000", "1712010400000 is not a moment"),  # milliseconds since 1970, not a day of 1712
        ("٢٠٢٤-01-01", "is not a moment"),
        ("0001-01-01T00:00+14:00", "is not a moment"),  # UTC has no year for it
        ("2999-01-01", "2999-01-01 lies in the future"),
    ],
)
def test_what_is_not_a_moment_or_has_not_come_is_refused(written: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        utc_moment(written)
