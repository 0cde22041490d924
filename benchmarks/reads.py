"""What people ask a filled store for: seconds in the database, and of the whole command. backfill.py has the store.

In the database: what the server takes for the very statements of the command, on connections as new as the command's.
"""

import datetime as dt
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import cycle
from typing import Any

from commands import PROGRAM, MadeStore
from common import p95, show, target
from starts import seconds_of

from breadthflow_pipelines.sources.demo_companies import UNIVERSE
from breadthflow_pipelines.warehouse import bar_store, breadth_listing, database, signal_listing, symbol_listing

IN_DATABASE, WHOLE = 40, 20  # times each
EVENTS = 5  # of each universe, as commands show them


class Timed:
    """A cursor that adds up what its statements take."""

    def __init__(self, cursor: Any) -> None:
        self._cursor = cursor
        self.seconds = 0.0

    def execute(self, *args: object) -> None:
        began = time.perf_counter()
        self._cursor.execute(*args)
        self.seconds += time.perf_counter() - began

    def __iter__(self) -> Iterator[Any]:
        return iter(self._cursor)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cursor, name)


def measure(store: MadeStore) -> None:
    """Three reads: the latest signals; a year of breadth; a symbol's indicators and signals, and its bars."""
    db, sessions = store.database, store.market.sessions
    members = database.rows_of(
        db,
        "SELECT symbol, security_id FROM security_symbols JOIN (SELECT DISTINCT security_id FROM symbol_signals) s "
        "USING (security_id) ORDER BY md5(symbol) LIMIT %s",
        [IN_DATABASE],
    )
    columns = breadth_listing.breadth_columns(db)
    full = [year for year in {day.year for day in sessions} if year > sessions[0].year] or [sessions[0].year]
    years = cycle([(dt.date(year, 1, 1), dt.date(year, 12, 31)) for year in full])
    symbols, numbers = cycle([row["symbol"] for row in members]), cycle([row["security_id"] for row in members])
    span = ("--from", str(sessions[0]), "--to", str(sessions[-1]))

    def of_a_year() -> Sequence[str]:
        first, last = next(years)
        return "breadth", "--universe", UNIVERSE, "--from", str(first), "--to", str(last)

    _row(
        store,
        "latest signals",
        lambda: signal_listing.latest_signals(db, EVENTS),
        lambda: ("signals", "--universe", UNIVERSE, "--from", str(sessions[-21])),
    )
    _row(
        store,
        "a year of a universe's breadth",
        lambda: breadth_listing.breadth(db, UNIVERSE, *next(years), None, columns),
        of_a_year,
    )
    _row(
        store,
        "a symbol's indicators and signals",
        lambda: symbol_listing.symbol_signals(db, UNIVERSE, sessions[0], sessions[-1], next(symbols), None),
        lambda: ("symbols", "--universe", UNIVERSE, "--symbol", next(symbols), *span),
    )
    seconds = []
    for _ in range(IN_DATABASE):
        began = time.perf_counter()
        bar_store.bars_of(db, [next(numbers)])
        seconds.append(time.perf_counter() - began)
    target("a symbol's bars, p95 with their way to a frame", store.market.size, p95(seconds) * 1000, "<= 100", "ms")


def _row(store: MadeStore, what: str, ask: Callable[[], object], command: Callable[[], Sequence[str]]) -> None:
    in_database = []
    asked: Any = database  # where its functions look for it
    plain, cursors = asked.answer, list[Timed]()

    def timed(cursor: object, *args: object) -> object:
        cursors.append(Timed(cursor))
        return plain(cursors[-1], *args)

    asked.answer = timed
    try:
        for _ in range(IN_DATABASE):
            cursors.clear()
            ask()
            in_database.append(sum(cursor.seconds for cursor in cursors))
    finally:
        asked.answer = plain
    assert min(in_database) > 0, f"no statement of {what} was timed"
    whole = [seconds_of(PROGRAM, *command(), environment=store.environment) for _ in range(WHOLE)]
    show(f"{what}, p95", {"in the database": p95(in_database), "the whole command": p95(whole)})
    target(f"{what}, p95 in the database", store.market.size, p95(in_database) * 1000, "<= 100", "ms")
    target(f"{what}, p95 of the whole command", store.market.size, p95(whole), "<= 1", "s")
