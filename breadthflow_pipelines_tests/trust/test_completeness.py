"""What bars alone tell of what must not be built on: by hand."""

import datetime as dt

import polars as pl
import pytest

from breadthflow_pipelines.trust.completeness import FOUND, broken_months, missing_sessions

DAYS = [dt.date(1970, 11, day) for day in (12, 13, 16, 17, 18)]


def rejected(*days: str) -> pl.DataFrame:
    return pl.DataFrame({"session": [dt.date.fromisoformat(day) for day in days]}, schema={"session": pl.Date})


def held(bars: dict[str, int]) -> pl.DataFrame:
    rows = {"session": [dt.date.fromisoformat(day) for day in bars], "bars": list(bars.values())}
    return pl.DataFrame(rows, schema={"session": pl.Date, "bars": pl.Int64})


def test_sessions_that_are_expected_and_not_held_are_missing_whole() -> None:
    found = missing_sessions(DAYS, pl.Series([DAYS[0], DAYS[1], DAYS[4]]))
    assert found.rows() == [("*", DAYS[2], 1.0, "no bars"), ("*", DAYS[3], 1.0, "no bars")]
    assert found.schema == FOUND
    assert missing_sessions(DAYS, pl.Series(DAYS)).schema == FOUND


@pytest.mark.parametrize(
    ("bad", "good", "found"),
    [
        (5, 10, False),  # so few say nothing of a source, however small the market
        (6, 594, False),  # one in a hundred
        (6, 593, True),
        (1, 0, True),  # of a month whose every row is broken
    ],
)
def test_a_month_is_held_where_more_than_one_row_in_a_hundred_is_broken(bad: int, good: int, *, found: bool) -> None:
    rows = broken_months(rejected(*["2023-06-15"] * bad), held({"2023-06-14": good} if good else {}))
    assert (rows.height == 1) is found
    assert rows.schema == FOUND


def test_months_are_judged_by_themselves_and_hold_from_their_first_broken_row() -> None:
    bad = rejected(*["2023-06-20"] * 34, "2023-06-15", *["2023-07-03"] * 6)
    rows = broken_months(bad, held({"2023-06-15": 1469, "2023-07-03": 5000}))
    (row,) = rows.iter_rows(named=True)
    assert (row["session"], row["said"]) == (dt.date(2023, 6, 15), "35 of 1,504 rows rejected (2.3 %, allowed 1 %)")
    assert row["missing"] == pytest.approx(35 / 1504)


def test_a_row_of_a_day_without_a_session_counts_for_its_month() -> None:
    rows = broken_months(rejected(*["2023-07-01"] * 6), held({"2023-07-03": 100}))  # a Saturday
    assert rows["session"].to_list() == [dt.date(2023, 7, 1)]
