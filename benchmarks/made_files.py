"""Markets of any size as a vendor's files, one for each symbol: many demo markets, each of another seed."""

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import polars as pl
from common import CALENDAR, sound_bars

from breadthflow_pipelines.sources.demo import DemoMarket
from breadthflow_pipelines.sources.demo_companies import COMPANIES, EPOCH, UNIVERSE

HEADER = "date,open,high,low,close,volume\n"


@dataclass(frozen=True)
class MadeMarket:
    """Files of a market, and the lines of its last session, which are not in them yet.

    universe: who its members are; None: everybody who has bars.
    """

    files: Path
    universe: Path | None
    symbols: int
    bars: int
    sessions: list[dt.date]  # with the last one
    last_lines: dict[Path, str]

    @property
    def size(self) -> str:
        return f"{self.bars:,} bars of {self.symbols:,} symbols, {self.sessions[0]:%Y-%m} to {self.sessions[-1]:%Y-%m}"

    def add_last_session(self) -> None:
        """What a vendor does in the evening: one more line in the file of each company that is listed."""
        for path, line in self.last_lines.items():
            with path.open("a") as file:
                file.write(line)

    def newest(self, directory: Path, sessions: int) -> "MadeMarket":
        """The same symbols in another directory, with no more than so many sessions, the last one among them."""
        days = self.sessions[-sessions:]
        files = directory / "files"
        files.mkdir(parents=True)
        written = 0
        for path in sorted(self.files.iterdir()):
            header, *lines = path.read_text().splitlines(keepends=True)
            kept = [line for line in lines if line >= f"{days[0]}"]
            written += len(kept)
            if kept or path in self.last_lines:
                (files / path.name).write_text(header + "".join(kept))
        last_lines = {files / path.name: line for path, line in self.last_lines.items()}
        return MadeMarket(files, self.universe, len(list(files.iterdir())), written, days, last_lines)

    def correct(self, session: dt.date) -> str:
        """Give one bar of that session another close, inside the bar; whose it was."""
        for path in sorted(self.last_lines):
            lines = path.read_text().splitlines(keepends=True)
            for number, line in enumerate(lines):
                if line.startswith(f"{session},"):
                    day, opened, high, low, close, volume = line.split(",")
                    low, high = sorted((low, high), key=float)
                    other = low if close != low else high
                    lines[number] = ",".join((day, opened, high, low, other, volume))
                    path.write_text("".join(lines))
                    return path.stem
        raise LookupError(f"no file has a bar of {session}")


def seeds_for(symbols: int) -> int:
    """Of how many demo markets so many symbols are."""
    return -(-symbols // COMPANIES)


def demo_markets(seeds: int, last: dt.date) -> Iterator[tuple[DemoMarket, pl.DataFrame, str]]:
    """Demo markets through a session: the market, its sound bars, and what makes its symbols different from others'."""
    for seed in range(seeds):
        market = DemoMarket(CALENDAR, seed=seed, last_session=last)
        yield market, sound_bars(market, last), f"{seed:03d}"


def demo_bars(seeds: int = 7) -> pl.DataFrame:
    """All sound bars of so many demo markets through the last closed session, with a security_id for each symbol."""
    markets = demo_markets(seeds, CALENDAR.last_closed())
    bars = pl.concat(found.with_columns(pl.col("symbol") + suffix) for _, found, suffix in markets)
    return bars.with_columns(security_id=pl.col("symbol").rank("dense").cast(pl.Int64))


def last_session_for(seeds: int, bars: int) -> dt.date:
    """The session through which that many demo markets have about so many bars; the last closed one if all are less."""
    last = CALENDAR.last_closed()
    daily = sound_bars(DemoMarket(CALENDAR, seed=0), last).group_by("session").len().sort("session")
    reached = daily.filter(pl.col("len").cum_sum() * seeds <= bars)
    session: dt.date = reached["session"][-1]
    return session


def without_last_line(lines: str) -> tuple[str, str]:
    """The lines before the last one, and it."""
    *before, last = lines.splitlines(keepends=True)
    return "".join(before), last


def write_market(directory: Path, symbols: int, bars: int) -> MadeMarket:
    """Write about so many bars of about so many symbols, without the last session, and who is in their universe."""
    seeds = seeds_for(symbols)
    last = last_session_for(seeds, bars)
    files = directory / "files"
    files.mkdir(parents=True)
    written, last_lines, members, number = 0, {}, [], 0
    for market, found, suffix in demo_markets(seeds, last):
        spell = pl.col("symbol").str.head(4) + suffix
        named = found.with_columns(spell, pl.col("volume").cast(pl.Int64)).sort("symbol", "session")
        members.append(market.members().with_columns(spell))
        for (symbol,), own in named.group_by("symbol", maintain_order=True):
            path = files / f"{symbol}.csv"
            lines = own.select("session", "open", "high", "low", "close", "volume").write_csv(include_header=False)
            if own["session"][-1] == last:
                lines, last_lines[path] = without_last_line(lines)
            path.write_text(HEADER + lines)
            written += own.height
            number += 1
    universe = directory / "universe.csv"
    pl.concat(members).with_columns(universe=pl.lit(UNIVERSE)).sort("symbol", "valid_from").write_csv(universe)
    return MadeMarket(files, universe, number, written - len(last_lines), CALENDAR.between(EPOCH, last), last_lines)
