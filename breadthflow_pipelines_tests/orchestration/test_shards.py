"""Shards are securities that begin at about the same time, with about so many bars together."""

import datetime as dt

import polars as pl
import pytest

from breadthflow_pipelines.orchestration.shards import Shard, shards, shards_of


def of(*sizes: tuple[int, int, int | None]) -> pl.DataFrame:
    """Securities: number, bars, and the year in which these begin."""
    since = [None if year is None else dt.date(year, 1, 2) for _, _, year in sizes]
    return pl.DataFrame(
        {"security_id": [one for one, _, _ in sizes], "bars": [bars for _, bars, _ in sizes], "since": since},
        schema={"security_id": pl.Int64, "bars": pl.Int64, "since": pl.Date},
    )


@pytest.mark.parametrize(
    ("sizes", "most", "expected"),
    [
        (of((1, 5, 2000), (2, 5, 2000), (3, 5, 2000), (4, 5, 2000)), 10, [([1, 2], 10), ([3, 4], 10)]),
        (of((1, 5, 2000), (2, 5, 2010), (3, 5, 1962), (4, 5, 2011)), 10, [([3, 1], 10), ([2, 4], 10)]),
        (of((1, 5, 2000), (2, 5, 2001), (3, 5, 2002)), 100, [([1, 2, 3], 15)]),
        (of((1, 50, 2000), (2, 1, 2001), (3, 1, 2002)), 10, [([1], 50), ([2, 3], 2)]),  # one larger than a shard
        (of((1, 0, None), (2, 0, None), (3, 7, 2000)), 10, [([3, 1, 2], 7)]),  # those without bars are in one as well
        (of(), 10, [([], 0)]),
    ],
)
def test_securities_are_parted_by_when_they_begin_and_by_their_bars(
    sizes: pl.DataFrame, most: int, expected: list[tuple[list[int], int]]
) -> None:
    assert [(shard.securities, shard.bars) for shard in shards(sizes, most)] == expected


def test_single_securities_are_parts_of_their_own_with_bars_or_without() -> None:
    sizes = of((3, 10, 2000), (5, 20, 2000), (8, 30, 2000))
    assert shards_of(sizes, {8, 4}) == [Shard([4], 0), Shard([8], 30)]
