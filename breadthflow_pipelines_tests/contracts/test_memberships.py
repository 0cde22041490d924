"""Memberships made by bars: what the source no longer has stays where bars are stored, and nothing else does."""

import datetime as dt

import polars as pl
import pytest

from breadthflow_pipelines.contracts.memberships import joined, reaching_beyond
from breadthflow_pipelines.sources.demo import DemoMarket
from breadthflow_pipelines.sources.files import Files
from breadthflow_pipelines.sources.protocol import MembersByBars
from breadthflow_pipelines.sources.stooq import Stooq
from breadthflow_pipelines.sources.yahoo import Yahoo
from breadthflow_pipelines_tests.warehouse.frames import day, members

NEWEST, SINCE = dt.date(2024, 6, 28), dt.date(2016, 1, 1)
GONE = ("2018-01-02", "2023-03-31")  # the bars of one that was delisted
FRESH = ("2018-01-02", "2024-06-27")  # and of one that trades
Ends = tuple[str, str] | None


def frame(stays: str, universe: str = "all", security: int = 1) -> pl.DataFrame:
    """Memberships of one security, each written as its first day in, a slash, and its first day out."""
    ends = [stay.split("/") for stay in stays.split()]
    return members(*((universe, security, start, end or None) for start, end in ends))


def written(found: pl.DataFrame) -> str:
    return " ".join(f"{start}/{end or ''}" for start, end in found.select("valid_from", "valid_to").iter_rows())


def ends_of(*ends: tuple[int, Ends]) -> pl.DataFrame:
    rows = [(number, *(map(day, of) if of else (None, None))) for number, of in ends]
    return pl.DataFrame(rows, schema={"security_id": pl.Int64, "first": pl.Date, "last": pl.Date}, orient="row")


@pytest.mark.parametrize(
    ("given", "stored", "bars", "expected"),
    [
        ("", "2018-01-02/2023-04-01", GONE, "2018-01-02/2023-04-01"),  # its file was put away
        ("", "2018-01-02/", GONE, "2018-01-02/2023-04-01"),  # likewise, before it was seen to end
        ("", "2018-01-02/", FRESH, "2018-01-02/"),  # the file may be back tomorrow
        ("", "2018-01-02/", ("2018-01-02", "2024-06-18"), "2018-01-02/"),  # ten days, as of a symbol that is given
        ("", "2018-01-02/", ("2018-01-02", "2024-06-17"), "2018-01-02/2024-06-18"),
        ("", "2018-01-02/", None, ""),  # all of its rows were rejected
        ("", "2018-01-02/2019-01-01 2021-01-04/", FRESH, "2018-01-02/2019-01-01 2021-01-04/"),
        # A file for each day, and those of long ago are put away.
        ("2024-06-03/", "2018-01-02/", FRESH, "2018-01-02/"),
        # Rows without a price stood before its listing, and were removed: no bar is stored of them.
        ("2018-01-02/", "2016-03-01/", FRESH, "2018-01-02/"),
        # Files of before the first day that is counted are put away; no bar was ever read from them.
        ("2016-01-01/", "1990-01-02/", ("2016-01-04", "2024-06-27"), "1990-01-02/"),
        # The newest of its files cannot be read.
        ("2018-01-02/2024-01-01", "2018-01-02/", FRESH, "2018-01-02/"),
        ("2018-01-02/2023-01-01", "2018-01-02/", GONE, "2018-01-02/2023-04-01"),
        ("2018-01-02/2023-01-01", "2018-01-02/2023-04-01", GONE, "2018-01-02/2023-04-01"),
        # It ended, and false rows after its end were removed.
        ("2018-01-02/2023-04-01", "2018-01-02/", GONE, "2018-01-02/2023-04-01"),
        ("2018-01-02/2023-04-01", "2018-01-02/2023-09-01", GONE, "2018-01-02/2023-04-01"),
        # It is back, or another company has its symbol: it was no member in between.
        ("2024-06-03/", "2018-01-02/2023-04-01", GONE, "2018-01-02/2023-04-01 2024-06-03/"),
        ("2024-06-03/", "2018-01-02/2023-04-01", None, "2024-06-03/"),
        # It is back with rows of before, or on the day after its last one.
        ("2023-03-01/", "2018-01-02/2023-04-01", GONE, "2018-01-02/"),
        ("2023-04-01/", "2018-01-02/2023-04-01", GONE, "2018-01-02/"),
        # Only the first of two stays is still given.
        ("2018-01-02/2019-01-01", "2018-01-02/2019-01-01 2021-01-04/", FRESH, "2018-01-02/2019-01-01 2021-01-04/"),
        # A source may give several: only their ends grow.
        ("2018-06-01/2019-01-01 2021-01-04/2024-01-01", "2018-01-02/", FRESH, "2018-01-02/2019-01-01 2021-01-04/"),
    ],
)
def test_what_stays_of_a_stored_membership(given: str, stored: str, bars: Ends, expected: str) -> None:
    told, ends = frame(given), ends_of((1, bars))
    found = joined(told, reaching_beyond(told, frame(stored)), ends, NEWEST, SINCE)
    assert written(found) == expected
    assert found.schema == told.schema
    # The next evening finds nothing more to do.
    assert written(joined(told, reaching_beyond(told, found), ends, NEWEST, SINCE)) == expected


@pytest.mark.parametrize(
    ("given", "stored"),
    [
        ("2018-01-02/", "2018-01-02/"),
        ("2016-01-04/", "2018-01-02/"),  # older files came
        ("2018-01-02/", "2018-01-02/2023-04-01"),  # it is back
        ("2018-01-02/2024-06-01", "2018-01-02/2024-06-01"),
    ],
)
def test_no_bars_are_looked_up_of_what_is_given_as_it_is_stored_or_longer(given: str, stored: str) -> None:
    assert reaching_beyond(frame(given), frame(stored)).is_empty()


def test_each_security_of_each_universe_is_judged_by_itself() -> None:
    given = pl.concat([frame("2024-06-03/"), frame("2020-01-02/", security=2), frame("2020-01-02/", "nyse")])
    stored = pl.concat([frame("2018-01-02/"), frame("2018-01-02/", security=3), frame("2019-01-02/", "nyse")])
    bars = ends_of((1, FRESH), (3, GONE))
    found = joined(given, reaching_beyond(given, stored), bars, NEWEST, SINCE)
    assert found.select("universe", "security_id", "symbol").rows() == [
        ("all", 1, "S1"),
        ("all", 2, "S2"),
        ("all", 3, "S3"),
        ("nyse", 1, "S1"),
    ]
    assert written(found) == "2018-01-02/ 2020-01-02/ 2018-01-02/2023-04-01 2019-01-02/"


def test_only_sources_whose_members_follow_from_bars_keep_those_that_they_lack() -> None:
    """The demo market's members follow from its seed, Yahoo's are a list that somebody wrote."""
    by_bars = {source: issubclass(source, MembersByBars) for source in (Files, Stooq, Yahoo, DemoMarket)}
    assert by_bars == {Files: True, Stooq: True, Yahoo: False, DemoMarket: False}
