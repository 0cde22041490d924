"""Invented markets as a vendor's files, one for each symbol, for benchmarks of whole backfills."""

import datetime as dt
from pathlib import Path

import numpy as np
import polars as pl
from common import CALENDAR

SHORTEST = 60  # sessions of a symbol
STILL_LISTED = 0.55  # share of symbols that trade to the end; the others leave on a random day


def write_market(directory: Path, symbols: int, bars: int, first: int, last: int) -> int:
    """Write about ``bars`` daily bars of so many symbols, between the years first and last; how many they became."""
    sessions = np.array(CALENDAR.between(dt.date(first, 1, 1), dt.date(last, 12, 31)), dtype="datetime64[D]")
    dice = np.random.default_rng(1969)
    written = 0
    directory.mkdir(parents=True, exist_ok=True)
    for number in range(symbols):
        length = int(np.clip(dice.normal(1, 0.25) * bars / symbols, SHORTEST, len(sessions)))
        stays = dice.random() < STILL_LISTED
        end = len(sessions) if stays else int(dice.integers(length, len(sessions) + 1))
        frame = _bars(dice, length).with_columns(date=pl.Series(sessions[end - length : end]))
        frame.select("date", "open", "high", "low", "close", "volume").write_csv(directory / f"syn{number:05d}.csv")
        written += length
    return written


def _bars(dice: np.random.Generator, length: int) -> pl.DataFrame:
    close = np.clip(50 * np.exp(np.cumsum(dice.normal(0.0002, 0.02, length))), 1, 10_000).round(4)
    open_ = (close * np.exp(dice.normal(0, 0.005, length))).round(4)
    high = (np.maximum(open_, close) * (1 + abs(dice.normal(0, 0.005, length)))).round(4)
    low = (np.minimum(open_, close) * (1 - abs(dice.normal(0, 0.005, length)))).round(4)
    volume = dice.integers(10_000, 5_000_000, length)
    return pl.DataFrame({"open": open_, "high": high, "low": low, "close": close, "volume": volume})
