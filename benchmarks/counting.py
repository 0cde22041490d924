"""One side of counts.py in a process of its own: python counting.py ours|pandas BARS SESSIONS RESULT, Parquet files.

It imports no more than its side needs, because its memory is measured. Prints the seconds of the counting alone,
and the most memory of the process, in MB.
"""

import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from functools import reduce
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = ("high", "low", "close", "volume", "close_adjusted")
SHARD_BARS = 75_000  # as orchestration/shards.py has it
MONTH, YEAR = 20, 252  # bars
AVERAGES = (20, 50, 100, 150, 200)
TIE = 1e-9


def ours(bars: pl.DataFrame, sessions: pl.DataFrame) -> pl.DataFrame:
    """As the pipeline counts, shard by shard, with one on each core: no database works beside it."""
    from breadthflow_pipelines.indicators.counts import added, breadth_of, partial_counts

    runs = bars["security_id"].rle().struct.unnest().select("len", security_id="value", end=pl.col("len").cum_sum())
    members = runs.select(
        "security_id",
        universe=pl.lit("all"),
        sector=pl.lit(None, pl.String),
        valid_from=bars["session"].gather(runs["end"] - runs["len"]),
        valid_to=bars["session"].gather(runs["end"] - 1).dt.offset_by("1d"),
    )

    def part(shard: pl.DataFrame) -> pl.DataFrame:
        first = shard["end"][0] - shard["len"][0]
        of_shard = members.filter(pl.col("security_id").is_between(shard["security_id"][0], shard["security_id"][-1]))
        return partial_counts(bars.slice(first, shard["end"][-1] - first), of_shard, sessions)

    shards = runs.with_columns(number=pl.col("end") // SHARD_BARS).partition_by("number", maintain_order=True)
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as cores:
        return breadth_of(reduce(added, cores.map(part, shards)))


def panel(bars: "pd.DataFrame") -> "pd.DataFrame":
    """As scripts do it: a panel of sessions by symbols for each column, and everything over whole panels."""
    import pandas as pd

    wide = {name: bars.pivot(index="session", columns="security_id", values=name) for name in COLUMNS}
    high, low, close, volume = (wide[name] for name in ("high", "low", "close", "volume"))
    change, priced = close.diff(), close.notna()
    rose, fell, stayed = change > 0, change < 0, change == 0
    dollars = (close * volume).round()
    counts = {
        "members": priced.sum(axis=1),
        "priced": priced.sum(axis=1),
        "advances": rose.sum(axis=1),
        "declines": fell.sum(axis=1),
        "unchanged": stayed.sum(axis=1),
        "no_prior": (priced & change.isna()).sum(axis=1),
        "up_volume": volume.where(rose).sum(axis=1),
        "down_volume": volume.where(fell).sum(axis=1),
        "unchanged_volume": volume.where(stayed).sum(axis=1),
        "up_dollars": dollars.where(rose).sum(axis=1),
        "down_dollars": dollars.where(fell).sum(axis=1),
        "points_gained": change.where(rose).sum(axis=1),
        "points_lost": -change.where(fell).sum(axis=1),
    }
    for window in AVERAGES:
        mean = close.rolling(window).mean()
        counts[f"above_{window}"] = (close > mean * (1 + TIE)).sum(axis=1)
        counts[f"able_{window}"] = mean.notna().sum(axis=1)
    scale = wide["close_adjusted"] / close
    for suffix, window, tops, bottoms, able, tie in (
        ("", YEAR, high, low, "able_252", 0.0),
        ("_20", MONTH, high, low, "able_extremes_20", 0.0),
        ("_total_return", YEAR, high * scale, low * scale, "able_252_total_return", TIE),
    ):
        top, bottom = tops.rolling(window).max().shift(1), bottoms.rolling(window).min().shift(1)
        counts[f"new_highs{suffix}"] = (tops > top * (1 + tie)).sum(axis=1)
        counts[f"new_lows{suffix}"] = (bottoms < bottom * (1 - tie)).sum(axis=1)
        counts[able] = (top.notna() & priced).sum(axis=1)
    return pd.DataFrame(counts)


def peak() -> float:
    """The most memory of this process, in MB; getrusage would count that of the process which started it."""
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(status["VmHWM"].split()[0]) / 1024


def main() -> None:
    side, source, calendar, result = sys.argv[1:]
    if side == "ours":
        bars, sessions = pl.read_parquet(source), pl.read_parquet(calendar)
        began = time.perf_counter()
        counts = ours(bars, sessions)
        seconds = time.perf_counter() - began
    else:
        import pandas as pd

        rows = pd.read_parquet(source)
        began = time.perf_counter()
        counted = panel(rows)
        seconds = time.perf_counter() - began
        counts = pl.from_pandas(counted.reset_index())
    sys.stdout.write(f"{seconds} {peak()}\n")
    counts.write_parquet(result)


if __name__ == "__main__":
    main()
