"""Securities in portions of so many bars, so that memory does not grow with the market. What is done: assets/."""

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

import polars as pl

from breadthflow_pipelines.observability.memory import give_back
from breadthflow_pipelines.observability.progress import advance
from breadthflow_pipelines.orchestration.overlap import overlapped
from breadthflow_pipelines.orchestration.partitions import Days
from breadthflow_pipelines.orchestration.resources import Market
from breadthflow_pipelines.warehouse import bar_store

SHARD_BARS = 75_000  # counted or computed at a time, with those that only warm up; up to five exist, some 60 MB each


class Shard(NamedTuple):
    """Some securities, with bars or without, and how many bars they have together."""

    securities: list[int]
    bars: int

    def __str__(self) -> str:
        first, last = min(self.securities, default=0), max(self.securities, default=0)
        return f"securities {first} to {last}, {len(self.securities)} of them"

    def of(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Those rows that are about its securities."""
        return rows.filter(pl.col("security_id").is_in(self.securities))


def shards_of(sizes: pl.DataFrame, securities: Iterable[int]) -> list[Shard]:
    """One of each of these securities alone, whether it has bars or not. sizes: as shards() takes them."""
    bars = dict(sizes.select("security_id", "bars").iter_rows())
    return [Shard([one], bars.get(one, 0)) for one in sorted(securities)]


def shards(sizes: pl.DataFrame, most: int) -> Iterator[Shard]:
    """Shards of about ``most`` bars each, of securities whose bars begin at about the same time; at least one.

    So each has few years to read and to write, and histories of like length: recursions go through the longest one.

    sizes: security_id, bars, and since: the first of these bars, null without any. Each of them is in one shard.
    """
    of_age = sizes.sort("since", "security_id", nulls_last=True)
    number = (of_age["bars"].cum_sum() - 1).clip(lower_bound=0) // most
    for own in [of_age.filter(number == part) for part in number.unique().sort()] or [of_age]:
        yield Shard(own["security_id"].to_list(), int(own["bars"].sum()))


def parts_of_members(
    market: Market,
    days: Days,
    warm_up: int,
    what: str,
    read: Callable[[Shard], pl.DataFrame],
    part: Callable[[Shard, pl.DataFrame], pl.DataFrame],
) -> Iterator[pl.DataFrame]:
    """What ``part`` makes of the bars of all members, shard by shard; while it works on one, the next two are read.

    warm_up: bars of each security that are read before the days. what: is said of the progress.
    """
    sizes = bar_store.bars_of_members(market.store, *days).with_columns(pl.col("bars") + warm_up)
    whole, done = max(1, int(sizes["bars"].sum())), 0

    def made(piece: tuple[Shard, pl.DataFrame]) -> tuple[int, pl.DataFrame]:
        shard, bars = piece
        return shard.bars, part(shard, bars)

    # A process of the server gives bars out on one core, and their sums take less.
    pieces = overlapped(shards(sizes, SHARD_BARS), lambda shard: (shard, read(shard)), at_a_time=2)
    for bars, found in overlapped(pieces, made):
        yield found
        done += bars
        advance(what, 0.9 * done / whole, f"{done:,} bars")
        give_back()
