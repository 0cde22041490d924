"""The records of rules by the return of a benchmark, for whoever asks; those that are kept are by their universe's own.

Imports no Dagster, so that a command can ask without a run.
"""

import polars as pl

from breadthflow_pipelines.errors import RequestError
from breadthflow_pipelines.evaluation.eligibility import eligible_sessions
from breadthflow_pipelines.evaluation.outcomes import windows
from breadthflow_pipelines.evaluation.significance import accuracy
from breadthflow_pipelines.evaluation.stability import with_kept
from breadthflow_pipelines.model.vocabulary import ALL
from breadthflow_pipelines.orchestration.holdings import benchmarks
from breadthflow_pipelines.sessions import exchange_calendar
from breadthflow_pipelines.settings import Settings
from breadthflow_pipelines.warehouse import breadth_store, evaluation_store
from breadthflow_pipelines.warehouse.database import Database


def benchmark_of(settings: Settings, store: Database, universe: str) -> pl.DataFrame:
    """LEVEL_SCHEMA of the index that settings name for a universe; held: its symbol, or the name of its file.

    Raises:
        RequestError: they name none, it has no close, or its file cannot be read.
    """
    if universe not in settings.index_symbols:
        raise RequestError(f"{universe} has no benchmark: name one in BREADTHFLOW_INDEX_SYMBOLS.")
    found = benchmarks(settings, store).filter(universe=universe)
    if found.is_empty():
        raise RequestError(
            f"The benchmark of {universe}, {settings.index_symbols[universe]}, has no close in the store."
        )
    return found


def accuracy_on_benchmark(settings: Settings, store: Database, universe: str, levels: pl.DataFrame) -> pl.DataFrame:
    """The record of every rule of a universe by these levels, in the columns of the kept ones, each judged alone.

    levels: of its benchmark. Those of days that are no sessions are left out.
    """
    calendar = exchange_calendar(settings.calendar, settings.calendar_changes).frame()
    signals = evaluation_store.market_signals(store, ALL).filter(universe=universe)
    indicators = breadth_store.whole_indicators(store).filter(universe=universe)
    followed = windows(levels.join(calendar, on="session", how="semi").drop("held"), calendar)
    records = accuracy(signals, eligible_sessions(indicators, signals), followed, registered=False)
    return with_kept(records, evaluation_store.stability(store))
