"""A market's files into an empty table of bars, through the contracts, beside a bare COPY of the same rows.

And whether a bar costs at the end of the load what it did at its beginning. python benchmarks/loading.py
--symbols 7000 --bars 10000000 is the full size.
"""

import argparse
import os
import time
from collections.abc import Callable
from typing import Any

from bare_copies import copied
from commands import MadeStore, made_store
from common import attempt, show, target, temporary_place
from made_files import write_market

PARTS = 5  # of the load; the last one is compared with the first one


def ingested(store: MadeStore) -> tuple[float, list[tuple[float, int]]]:
    """Seconds from the first file to the last row, and when how many bars were stored."""
    os.environ.update({name: value for name, value in store.environment.items() if name.startswith("BREADTHFLOW_")})
    from breadthflow_pipelines.contracts.identity import number_securities
    from breadthflow_pipelines.orchestration.ingest import ingest
    from breadthflow_pipelines.orchestration.partitions import Span
    from breadthflow_pipelines.orchestration.resources import Market
    from breadthflow_pipelines.warehouse import bar_store, security_store

    market, sessions = Market(), store.market.sessions
    numbered = number_securities(market.source.securities(), security_store.security_numbers(market.store))
    security_store.record_securities(market.store, numbered, synthetic=False)
    stored: list[tuple[float, int]] = []

    def noted(load: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            merged = load(*args, **kwargs)
            stored.append((time.perf_counter() - began, merged.inserted))
            return merged

        return wrapped

    bar_store.load_bars = noted(bar_store.load_bars)
    began = time.perf_counter()
    ingest(market, Span(sessions[0], sessions[-1], sessions[-1]), "benchmark", held=None)
    return time.perf_counter() - began, stored


def by_million(stored: list[tuple[float, int]]) -> list[float]:
    """Seconds for a million bars in each part of the load; parts are of about as many bars."""
    whole = sum(bars for _, bars in stored)
    found: list[float] = []
    done, began, since = 0, 0.0, 0
    for moment, bars in stored:
        done += bars
        if done >= whole * (len(found) + 1) / PARTS:
            found.append((moment - began) / (done - since) * 1e6)
            began, since = moment, done
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--symbols", type=int, default=1_400)
    parser.add_argument("--bars", type=int, default=2_000_000)
    sizes = parser.parse_args()
    with attempt("bars through the contracts"), temporary_place() as place:
        market = write_market(place, sizes.symbols, sizes.bars)
        with made_store(place, market) as store:
            seconds, stored = ingested(store)
            least = copied(store.database, "bars", range(market.sessions[0].year, market.sessions[-1].year + 1))
        parts = by_million(stored)
        show(
            f"{market.size}, into an empty table",
            {"bare COPY of the rows": least, "files, read and judged, into the table": seconds},
        )
        each = {f"part {number} of {len(parts)}": part for number, part in enumerate(parts, start=1)}
        show("One million bars, in the order of the load", each)
        target("bars through the contracts, by a bare COPY", market.size, seconds / least, "<= 2")
        target("a million bars, at the end of the load by its start", market.size, parts[-1] / parts[0], "<= 1.3")


if __name__ == "__main__":
    main()
