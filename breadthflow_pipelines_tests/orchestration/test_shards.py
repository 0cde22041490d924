"""Shards are ranges of numbers without a hole between them, of about so many bars each."""

from itertools import pairwise

import polars as pl
import pytest

from breadthflow_pipelines.orchestration.shards import Shard, shards, shards_of
from breadthflow_pipelines.warehouse.bar_store import EVERYBODY


@pytest.mark.parametrize(
    ("bars", "most", "expected"),
    [
        ([5, 5, 5, 5], 10, [([1, 2], 10), ([3, 4], 10)]),
        ([5, 5, 5], 100, [([1, 2, 3], 15)]),
        ([50, 1, 1], 10, [([1], 50), ([2, 3], 2)]),  # one that is larger than a shard
        ([0, 0, 7], 10, [([1, 2, 3], 7)]),  # members without bars belong to a shard as well
        ([], 10, [([], 0)]),
    ],
)
def test_securities_are_parted_by_their_bars(bars: list[int], most: int, expected: list[tuple[list[int], int]]) -> None:
    sizes = pl.DataFrame(
        {"security_id": range(1, len(bars) + 1), "bars": bars}, schema={"security_id": pl.Int64, "bars": pl.Int64}
    )
    found = list(shards(sizes, most))
    assert [(shard.securities, shard.bars) for shard in found] == expected
    assert (found[0].first, found[-1].last) == EVERYBODY
    assert all(one.last + 1 == following.first for one, following in pairwise(found))


def test_single_securities_are_parts_of_their_own_with_bars_or_without() -> None:
    sizes = pl.DataFrame({"security_id": [3, 5, 8], "bars": [10, 20, 30]})
    assert shards_of(sizes, {8, 4}) == [Shard(4, 4, [], 0), Shard(8, 8, [8], 30)]
