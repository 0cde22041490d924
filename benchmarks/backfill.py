"""Whole runs of the command on a made market: files to signals, and what a store that is filled still costs.

The limit is a bare COPY of the same rows and one read of the bars (bare_copies.py). Shapes: ``index``, a few hundred
symbols over eleven years, ``market``, many symbols, and ``histories``, many symbols of 56 years, most of them late.

python benchmarks/backfill.py market --symbols 7000 --bars 10000000
"""

import argparse
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path

import reads
import starts
from bare_copies import backfill_limit
from commands import MadeStore, Ran, made_store
from common import attempt, show, target, temporary_place
from made_files import MadeMarket, write_market
from made_histories import write_histories

from breadthflow_pipelines.warehouse.database import rows_of

SMALLER = 20  # times, the store that a daily run is compared on
YEARS_BACK = 10  # of the bar that is corrected
MOST_MEMORY = 700  # MB of a process
BARE_DAGSTER = Path(__file__).with_name("bare_dagster.py")

# By table, how many rows were written since a moment, and of how many securities and sessions.
_WRITTEN = {
    "bars": ("count(*)", "count(DISTINCT security_id)", "count(DISTINCT session)", "ingested_at"),
    "price_indicators": ("count(*)", "count(DISTINCT security_id)", "count(DISTINCT session)", "computed_at"),
    "symbol_signals": ("count(*)", "count(DISTINCT security_id)", "count(DISTINCT session)", "computed_at"),
    "breadth_counts": ("count(*)", "NULL::bigint", "count(DISTINCT session)", "computed_at"),
}


def first_runs(store: MadeStore, last: date) -> list[Ran]:
    """The market from files to signals, held against its limit; the same again; the last month."""
    market = store.market
    first = market.sessions[0]
    whole = store.backfill(first, last)
    limits = backfill_limit(store.database, range(first.year, last.year + 1))
    least = sum(limits.values())
    target("backfill, files to signals, by its limit", market.size, whole.seconds / least, "<= 2")
    share = 1 - whole.inside["ours"] / whole.inside["run"]
    target("Dagster's bookkeeping of a backfill", market.size, share, "<= 0.25", "of the run")
    ran = {"files to signals, empty store": whole}
    again_began = _now(store)
    ran["the same again, nothing changed"] = again = store.backfill(first, last)
    note = f"{sum(rows for rows, _, _ in written(store, again_began).values()):,} rows written"
    target("the same again, by the first", market.size, again.seconds / whole.seconds, "<= 0.5", note=note)
    ran["the last month alone"] = store.backfill(last.replace(day=1), last)
    show("The limit, by table", limits)
    show(market.size, {"bare COPY, one read": least, **{what: each.seconds for what, each in ran.items()}})
    show("Seconds of processors, with the database's", {what: each.processor for what, each in ran.items()})
    show("Memory that the process had for itself", {what: float(each.peak) for what, each in ran.items()}, "MB")
    return list(ran.values())


def daily(store: MadeStore) -> list[Ran]:
    """One new session, as every evening: in this store, and in two that are SMALLER times smaller.

    One of them has the same symbols for fewer sessions, so that as many bars are new; the other has fewer symbols.
    """
    market = store.market
    with temporary_place() as place:
        short = market.newest(place / "short", len(market.sessions) // SMALLER)
        few = write_market(place / "few", market.symbols // SMALLER, market.bars // SMALLER)
        same, small = (_in_another(smaller) for smaller in (short, few))
    large = _new_session(store)
    bare = _bare_dagster(store)
    show(
        "One new session",
        {
            f"{few.bars:,} bars of {few.symbols:,} symbols stored": small.seconds,
            f"{short.bars:,} bars of {short.symbols:,} symbols stored": same.seconds,
            f"{market.bars:,} bars stored": large.seconds,
            "of it before the first asset": large.inside["started"],
            "Dagster alone: its start, one asset that does nothing": bare,
        },
    )
    for what, other in (("with as many new bars", same), ("of 20 times fewer symbols", small)):
        row = f"one new session, by a store 20 times smaller {what}"
        note = f"{large.processor / other.processor:.2f} in seconds of processors"
        target(row, market.size, large.seconds / other.seconds, "<= 1.3", "", note)
    note = f"{large.inside['started'] - bare:.1f} s of it before the first asset"
    target("one new session, beyond Dagster's own start", market.size, large.seconds - bare, "<= 3", "s", note)
    return [large]


def _in_another(market: MadeMarket) -> Ran:
    with made_store(market.files.parent, market) as store:
        store.backfill(market.sessions[0], market.sessions[-2])
        return _new_session(store)


def _new_session(store: MadeStore) -> Ran:
    store.market.add_last_session()
    return store.run("run", "--date", str(store.market.sessions[-1]))


def _bare_dagster(store: MadeStore) -> float:
    def once() -> float:
        began = time.perf_counter()
        subprocess.run([sys.executable, BARE_DAGSTER], env=store.environment, check=True, capture_output=True)
        return time.perf_counter() - began

    return statistics.median(once() for _ in range(3))


def correction(store: MadeStore) -> list[Ran]:
    """A vendor changes one close of ten years back; the month is read again, and what rests on it is recomputed."""
    sessions = store.market.sessions
    back = sessions[-1].replace(day=1, year=sessions[-1].year - YEARS_BACK)
    session = next(day for day in sessions if day >= back)
    whose = store.market.correct(session)
    began = _now(store)
    ran = store.backfill(session, session)
    rows = written(store, began)
    if not rows["bars"][0]:
        raise RuntimeError(f"the correction of {whose} on {session} was not noticed")
    said = ", ".join(f"{table} {count:,}" for table, (count, _, _) in rows.items())
    others = max(securities or 0 for _, securities, _ in rows.values()) - 1
    note = f"rows written: {said}; of {others} other securities"
    target("a correction of one bar ten years back", store.market.size, ran.seconds, "<= 15", "s", note)
    return [ran]


def written(store: MadeStore, since: object) -> dict[str, tuple[int, int | None, int]]:
    """By table: rows that were written since a moment, of how many securities, and of how many sessions."""
    found = {}
    for table, (rows, securities, sessions, stamp) in _WRITTEN.items():
        query = f"SELECT {rows} AS a, {securities} AS b, {sessions} AS c FROM {table} WHERE {stamp} >= %s"
        row = rows_of(store.database, query, [since])[0]
        found[table] = (row["a"], row["b"], row["c"])
    return found


def _now(store: MadeStore) -> object:
    return rows_of(store.database, "SELECT clock_timestamp() AS now", [])[0]["now"]


# By shape: symbols and bars, None where these follow from the symbols, and what is measured after the first runs.
SHAPES: dict[str, tuple[int, int | None, dict[str, Callable[[MadeStore], list[Ran] | None]]]] = {
    "index": (660, 1_660_000, {"a correction": correction, "start of commands": starts.measure}),
    "market": (1_400, 2_000_000, {"one new session": daily, "reads": reads.measure}),
    "histories": (700, None, {}),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("shape", choices=SHAPES)
    parser.add_argument("--symbols", type=int)
    parser.add_argument("--bars", type=int)
    asked = parser.parse_args()
    symbols, bars, more = SHAPES[asked.shape]
    with temporary_place() as place:
        wanted = asked.bars or bars
        many = asked.symbols or symbols
        market: MadeMarket = write_histories(place, many) if wanted is None else write_market(place, many, wanted)
        with made_store(place, market) as store:
            ran: list[Ran] = []
            with attempt(f"backfill of {market.size}"):
                ran += first_runs(store, market.sessions[-2])
            for what, measure in more.items() if ran else ():
                with attempt(f"{what}, {asked.shape}"):
                    ran += measure(store) or []
            if ran:
                target("memory of a process", market.size, max(each.peak for each in ran), f"<= {MOST_MEMORY}", "MB")


if __name__ == "__main__":
    main()
