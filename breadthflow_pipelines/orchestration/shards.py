"""Securities in portions of so many bars, so that memory does not grow with the market. What is done: assets/."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import polars as pl

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
