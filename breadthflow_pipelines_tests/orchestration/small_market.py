"""A small market on disk, as the files source reads it: fifteen members in three sectors, fourteen months of sessions.

The prices are a seeded random walk. It has what real markets have: late listings, a delisting, members that leave and
come back, one that nobody has bars of, a hole, unchanged closes, broken rows, and an index that is nobody's member.
"""

import csv
import datetime as dt
import random
from collections.abc import Sequence
from pathlib import Path

import exchange_calendars

START = "2022-11"
FIRST, LAST = dt.date(2022, 11, 1), dt.date(2023, 12, 29)
SESSIONS = [stamp.date() for stamp in exchange_calendars.get_calendar("XNYS").sessions_in_range(str(FIRST), str(LAST))]
INDEX = "IDX"
SYMBOLS = sorted([*(letter * 3 for letter in "ABCDEFGHIJKLMNO"), INDEX])
SECTORS = ("Energy", "Health", "Technology")
HOLE = ("FFF", dt.date(2023, 4, 18))  # a session on which one member did not trade
LISTED_LATE = {"KKK": dt.date(2023, 3, 15), "LLL": dt.date(2023, 9, 5)}
DELISTED_AFTER = {"JJJ": dt.date(2023, 9, 29)}
BROKEN = {  # by symbol: a row that is not to be stored, and the rule that says so
    "AAA": (("2023-02-10", 50, 40, 60, 50, 1000), "high below low"),
    "BBB": (("2023-06-20", 50, 51, -1, 50, 1000), "price not positive"),
    "CCC": (("2023-07-01", 50, 51, 49, 50, 1000), "no closed session of XNYS"),  # a Saturday
}
MEMBERS = [
    *((symbol, "2022-11-01", "") for symbol in SYMBOLS if symbol not in ("BBB", "GGG", INDEX, "JJJ", "KKK", "LLL")),
    ("BBB", "2022-11-01", "2023-03-01"),  # leaves
    ("BBB", "2023-08-10", ""),  # and comes back
    ("GGG", "2023-05-22", ""),  # joins with bars of its own from before
    ("JJJ", "2022-11-01", "2023-10-02"),
    ("KKK", "2023-03-15", ""),
    ("LLL", "2023-09-05", "2023-12-15"),  # leaves within the last weeks
    ("VANISHED", "2022-11-01", "2023-11-15"),  # a vendor dropped its bars with its listing
]

Row = tuple[str | float, ...]


class SmallMarket:
    """The market's files below ``root``; ``rows`` can be changed and written again."""

    def __init__(self, root: Path, seed: int = 20221101) -> None:
        self.bars = root / "bars"
        self.bars.mkdir(parents=True)
        self.universe = root / "members.csv"
        self.rows = {symbol: _walk(symbol, random.Random(f"{seed} {symbol}")) for symbol in SYMBOLS}  # noqa: S311
        for symbol, (row, _) in BROKEN.items():
            good = [kept for kept in self.rows[symbol] if kept[0] != row[0]]
            self.rows[symbol] = sorted([*good, row])
        self.write()
        _write(self.universe, "universe,symbol,valid_from,valid_to", [("small", *member) for member in MEMBERS])
        sectors = [(s, f"{s} Incorporated", SECTORS[ord(s[0]) % len(SECTORS)]) for s in SYMBOLS]
        _write(root / "instruments.csv", "symbol,name,sector", sectors)

    def environment(self) -> dict[str, str]:
        """The settings that make this the market of a deployment."""
        return {
            "BREADTHFLOW_SOURCE": "files",
            "BREADTHFLOW_SOURCE_PATH": str(self.bars),
            "BREADTHFLOW_UNIVERSE_FILE": str(self.universe),
            "BREADTHFLOW_START": START,
            "BREADTHFLOW_INDEX_SYMBOLS": f"small={INDEX}",
        }

    def write(self, through: dt.date = LAST) -> None:
        """Write the bars through that session, one file per symbol; a symbol not yet listed has none."""
        for symbol, rows in self.rows.items():
            known = [row for row in rows if str(row[0]) <= str(through)]
            path = self.bars / f"{symbol.lower()}.csv"
            if known:
                _write(path, "session,open,high,low,close,volume", known)
            else:
                path.unlink(missing_ok=True)  # of a later session that was written before

    def files(self) -> list[Path]:
        """All files that it consists of."""
        return [path for path in self.bars.parent.glob("*") if path.is_file()] + list(self.bars.glob("*"))

    def restate(self, symbol: str, session: dt.date, close: float) -> float:
        """Give a bar another close, with a high and a low around it; returns the close that it had."""
        place = next(i for i, row in enumerate(self.rows[symbol]) if row[0] == str(session))
        day, open_, _, _, old, volume = self.rows[symbol][place]
        self.rows[symbol][place] = (day, open_, max(float(open_), close), min(float(open_), close), close, volume)
        self.write()
        return float(old)

    def good_rows(self) -> int:
        """How many rows there are that keep the contract."""
        return sum(len(rows) for rows in self.rows.values()) - len(BROKEN)


def _walk(symbol: str, chance: random.Random) -> list[Row]:
    rows: list[Row] = []
    close = chance.uniform(20, 80)
    first, last = LISTED_LATE.get(symbol, FIRST), DELISTED_AFTER.get(symbol, LAST)
    for i, session in enumerate(SESSIONS):
        before = close
        if chance.random() > 0.05:  # else it closes where it closed before
            tide = 0.004 if (i // 30) % 2 else -0.004  # the market as a whole turns every thirty sessions
            close = round(before * (1 + tide + chance.gauss(0, 0.015)), 2)
        high, low = round(max(before, close) * 1.005, 2), round(min(before, close) * 0.995, 2)
        if first <= session <= last and (symbol, session) != HOLE:
            rows.append((str(session), round(before, 2), high, low, round(close, 2), chance.randint(1_000, 90_000)))
    return rows


def _write(path: Path, header: str, rows: Sequence[Row]) -> None:
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(header.split(","))
        writer.writerows(rows)
