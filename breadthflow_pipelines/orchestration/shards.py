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
from breadthflow_pipelines.warehouse.bar_store import EVERYBODY

SHARD_BARS = 75_000  # counted or computed at a time, with those that only warm up; up to five exist, some 60 MB each


class Shard(NamedTuple):
    """The securities from ``first`` through ``last``, those that have bars, and how many bars these are."""

    first: int
    last: int
    securities: list[int]
    bars: int

    def __str__(self) -> str:
        return f"securities {self.first} to {self.last}"

    @property
    def ends(self) -> tuple[int, int]:
        """The first and the last number."""
        return self.first, self.last

    def of(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Those rows that are about its securities, with bars or without."""
        return rows.filter(pl.col("security_id").is_between(*self.ends))


def shards_of(sizes: pl.DataFrame, securities: Iterable[int]) -> list[Shard]:
    """One of each of these securities alone, whether it has bars or not. sizes: as shards() takes them."""
    bars = dict(sizes.select("security_id", "bars").iter_rows())
    return [Shard(one, one, [one] if one in bars else [], bars.get(one, 0)) for one in sorted(securities)]


def shards(sizes: pl.DataFrame, most: int) -> Iterator[Shard]:
    """Ranges of securities of about ``most`` bars each, which leave no number out; at least one.

    sizes: security_id, bars; in order of security_id.
    """
    number = (sizes["bars"].cum_sum() - 1).clip(lower_bound=0) // most
    parts = [sizes.filter(number == part) for part in number.unique().sort()] or [sizes]
    first = EVERYBODY[0]
    for part in parts:
        last = EVERYBODY[1] if part is parts[-1] else int(part["security_id"][-1])
        yield Shard(first, last, part["security_id"].to_list(), int(part["bars"].sum()))
        first = last + 1


def parts_of_members(
    market: Market,
    days: Days,
    warm_up: int,
    what: str,
    read: Callable[[Shard], pl.DataFrame],
    part: Callable[[Shard, pl.DataFrame], pl.DataFrame],
) -> Iterator[pl.DataFrame]:
    """What ``part`` makes of the bars of all members, shard by shard; while it works on one, the next is read.

    warm_up: bars of each security that are read before the days. what: is said of the progress.
    """
    sizes = bar_store.bars_of_members(market.store, *days).with_columns(pl.col("bars") + warm_up)
    whole, done = max(1, int(sizes["bars"].sum())), 0

    def made(piece: tuple[Shard, pl.DataFrame]) -> tuple[int, pl.DataFrame]:
        shard, bars = piece
        return shard.bars, part(shard, bars)

    for bars, found in overlapped(((shard, read(shard)) for shard in shards(sizes, SHARD_BARS)), made):
        yield found
        done += bars
        advance(what, 0.9 * done / whole, f"{done:,} bars")
        give_back()
