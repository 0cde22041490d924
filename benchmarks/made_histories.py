"""A market of 56 years as a vendor's files, in the shape that real ones have: most companies are listed late.

Prices are made: a walk that comes back to where it began. What they show is how cost grows with years, nothing else.
"""

import datetime as dt
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl
from common import CALENDAR
from made_files import MadeMarket, without_last_line

FIRST, LAST = dt.date(1962, 1, 2), dt.date(2017, 11, 10)
HEADER = "Date,Open,High,Low,Close,Volume,OpenInt\n"
# Of a hundred companies, how many are listed from a year on until the next one named, and the last year.
LISTED = ((1962, 0.6), (1963, 1.0), (1980, 3.2), (1995, 4.4), (2004, 1.2), (2005, 18.0), (2006, 71.6))
DELISTED = 0.12  # of all companies, before the last session
SHORTEST = 30  # sessions


def write_histories(directory: Path, symbols: int) -> MadeMarket:
    """Write files of so many symbols, each from its listing to its end, without the last session."""
    random = np.random.default_rng(7)
    sessions = CALENDAR.between(FIRST, LAST)
    files = directory / "files"
    files.mkdir(parents=True)
    written, last_lines = 0, {}
    for number, (start, end) in enumerate(_lives(random, sessions, symbols)):
        path = files / f"q{number:05d}.us.txt"
        bars = _bars(random, sessions[start:end])
        lines = bars.write_csv(include_header=False)
        if end == len(sessions):
            lines, last_lines[path] = without_last_line(lines)
        path.write_text(HEADER + lines)
        written += bars.height
    return MadeMarket(files, None, symbols, written - len(last_lines), sessions, last_lines)


def _lives(random: np.random.Generator, sessions: Sequence[dt.date], symbols: int) -> list[tuple[int, int]]:
    """Of each company, the number of its first session and of the one after its last."""
    years = [year for year, _ in LISTED] + [LAST.year + 1]
    stretch = random.choice(len(LISTED), size=symbols, p=np.array([share for _, share in LISTED]) / 100)
    of_year = np.searchsorted([day.year for day in sessions], years)
    of_year[-1] = len(sessions) - SHORTEST
    lives = []
    for which in stretch.tolist():
        start = int(random.integers(of_year[which], of_year[which + 1]))
        gone = random.random() < DELISTED
        lives.append((start, int(random.integers(start + SHORTEST, len(sessions) + 1)) if gone else len(sessions)))
    return lives


def _bars(random: np.random.Generator, days: Sequence[dt.date]) -> pl.DataFrame:
    """Bars of those sessions in the vendor's columns."""
    steps = random.normal(0, 0.018, len(days))
    level = np.empty(len(days))
    now = 0.0
    for i, step in enumerate(steps.tolist()):
        now = level[i] = 0.998 * now + step
    close = random.uniform(15, 80) * np.exp(level)
    opened = close * np.exp(random.normal(0, 0.006, len(days)))
    high = np.maximum(opened, close) * (1 + np.abs(random.normal(0, 0.005, len(days))))
    low = np.minimum(opened, close) * (1 - np.abs(random.normal(0, 0.005, len(days))))
    return pl.DataFrame(
        {
            "Date": days,
            "Open": opened,
            "High": high,
            "Low": low,
            "Close": close,
            "Volume": random.integers(20_000, 3_000_000, len(days)),
            "OpenInt": np.zeros(len(days), np.int64),
        },
        schema_overrides={"Date": pl.Date},
    ).with_columns(pl.col("Open", "High", "Low", "Close").round(4))
