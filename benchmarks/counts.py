"""Counts of breadth of a large market in memory: this project's, shard by shard, against the usual wide pandas panel.

Both give the same counts, which is looked at cell by cell. Each side has a process of its own (counting.py). The full
size is the default: python benchmarks/counts.py --symbols 8000 --sessions 2000
"""

import argparse
import statistics
import subprocess
import sys
from pathlib import Path

import polars as pl
from common import CALENDAR, ROUNDS, attempt, show, target, temporary_place
from counting import COLUMNS
from made_files import demo_markets, seeds_for
from polars.testing import assert_frame_equal

from breadthflow_pipelines.model.counts import COUNT_COLUMNS
from breadthflow_pipelines.sources.demo import BROKEN_ROWS
from breadthflow_pipelines.sources.demo_companies import EPOCH, REUSES, symbol_name

COUNTING = Path(__file__).with_name("counting.py")
SAME = 1e-9  # relative; sums of floats differ by their order
# Of these the wide panel knows nothing: whose bar is missing, or whose symbol is another company's later.
LEFT_OUT = {row.symbol for row in BROKEN_ROWS} | {symbol_name(reuse.leaver) for reuse in REUSES}


def made_bars(symbols: int, sessions: int) -> pl.DataFrame:
    """Bars of demo markets, each symbol's without a hole, in order of security and session."""
    last = CALENDAR.between(EPOCH, CALENDAR.last_closed())[sessions - 1]
    parts = [
        found.filter(~pl.col("symbol").is_in(LEFT_OUT)).with_columns(pl.col("symbol") + suffix)
        for _, found, suffix in demo_markets(4 * seeds_for(symbols) // 3, last)
    ]
    bars = pl.concat(parts).with_columns(security_id=pl.col("symbol").rank("dense").cast(pl.Int64))
    bars = bars.filter(pl.col("security_id") <= symbols).with_columns(pl.col("volume").cast(pl.Int64))
    return bars.select("security_id", "session", *COLUMNS).sort("security_id", "session")


def counted(side: str, place: Path) -> tuple[float, float]:
    """Seconds of one side, and the most memory that its process had, in MB."""
    files = (place / "bars.parquet", place / "sessions.parquet", place / f"{side}.parquet")
    done = subprocess.run([sys.executable, COUNTING, side, *files], stdout=subprocess.PIPE, text=True)
    if done.returncode:
        raise RuntimeError(f"counting by {side} ended with {done.returncode}")
    seconds, peak = map(float, done.stdout.split())
    return seconds, peak


def compared(ours: pl.DataFrame, theirs: pl.DataFrame) -> int:
    """How many cells both have; each must be the same. Where it is unknown, ours is null, and the panel has a zero."""
    theirs = theirs.with_columns(pl.col("session").cast(pl.Date)).sort("session")
    names = [name for name in COUNT_COLUMNS if name in theirs.columns]
    assert_frame_equal(
        ours.select("session", pl.col(names).cast(pl.Float64).fill_null(0)),
        theirs.select("session", pl.col(names).cast(pl.Float64)),
        rel_tol=SAME,
    )
    return len(names) * ours.height


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--symbols", type=int, default=8_000)
    parser.add_argument("--sessions", type=int, default=2_000)
    sizes = parser.parse_args()
    with attempt("breadth counts in memory"), temporary_place() as place:
        bars = made_bars(sizes.symbols, sizes.sessions)
        bars.write_parquet(place / "bars.parquet")
        size = f"{bars.height:,} bars of {bars['security_id'].n_unique():,} symbols, {sizes.sessions:,} sessions"
        counting = pl.col("session").is_between(EPOCH, bars["session"].max())
        CALENDAR.frame().with_columns(counted=counting).write_parquet(place / "sessions.parquet")
        del bars
        ran: dict[str, list[tuple[float, float]]] = {"ours": [], "pandas": []}
        for _ in range(ROUNDS):
            for side, found in ran.items():
                found.append(counted(side, place))
        cells = compared(*(pl.read_parquet(place / f"{side}.parquet") for side in ran))
    (seconds, peak), (their_seconds, their_peak) = (
        map(statistics.median, zip(*found, strict=True)) for found in ran.values()
    )
    show(f"Breadth counts of {size}; {cells:,} cells are the same", {"ours": seconds, "pandas, wide": their_seconds})
    show("The most memory of the process, with the bars", {"ours": peak, "pandas, wide": their_peak}, "MB")
    target("breadth counts, pandas by ours", size, their_seconds / seconds, ">= 10")
    target("memory of breadth counts, ours by pandas", size, peak / their_peak, "<= 0.25")


if __name__ == "__main__":
    main()
