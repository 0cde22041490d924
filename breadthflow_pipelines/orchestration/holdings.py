"""What backtests trade, and what is held beside: from the store, and from files that settings name.

Imports no Dagster, so that a command can ask without a run.
"""

import datetime as dt
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import polars as pl

from breadthflow_pipelines.errors import RequestError
from breadthflow_pipelines.evaluation.returns import benchmark_levels, levels
from breadthflow_pipelines.model.vocabulary import ALL
from breadthflow_pipelines.settings import Settings
from breadthflow_pipelines.sources.index_file import read_index
from breadthflow_pipelines.sources.rates import read_rates
from breadthflow_pipelines.sources.universe_file import instruments_beside, read_instruments, read_universe
from breadthflow_pipelines.warehouse import bar_store, evaluation_store
from breadthflow_pipelines.warehouse.database import Database

MEMBERS, INDEX = "members in equal parts", "index"


def traded(store: Database) -> pl.DataFrame:
    """LEVEL_SCHEMA of every universe as a whole with returns of members or an index; held: which of the two."""
    returns = evaluation_store.returns(store, ALL)
    counted = pl.col("universe").is_in(returns["universe"].unique().to_list())
    held = pl.when(counted).then(pl.lit(MEMBERS)).otherwise(pl.lit(INDEX))
    return levels(returns, evaluation_store.published_indexes(store)).with_columns(held=held)


def benchmarks(settings: Settings, store: Database) -> pl.DataFrame:
    """LEVEL_SCHEMA of the index that settings name for a universe; held: its symbol, or the name of its file.

    Raises:
        RequestError: a file cannot be read.
    """
    names = settings.index_shares | {universe: file.name for universe, file in settings.index_files.items()}
    return benchmark_levels(_index(settings, store)).with_columns(
        held=pl.col("universe").replace_strict(names, default=None, return_dtype=pl.String)
    )


def index_closes(settings: Settings, store: Database) -> pl.DataFrame:
    """universe, session, index_close of the index that settings name for a universe, all that is known of it.

    Raises:
        RequestError: a file cannot be read.
    """
    return _index(settings, store).select("universe", "session", index_close="close")


def _index(settings: Settings, store: Database) -> pl.DataFrame:
    """universe, session, close, close_adjusted."""
    files = [closes.select(pl.lit(name).alias("universe"), pl.all()) for name, closes in _files(settings)]
    shares = bar_store.index_closes(store, settings.index_shares, dt.date.min, dt.date.max)
    return pl.concat([shares, *files], how="vertical_relaxed")


def _files(settings: Settings) -> Iterator[tuple[str, pl.DataFrame]]:
    """By universe, INDEX_SCHEMA of the file that settings name."""
    for name, file in settings.index_files.items():
        with _named("BREADTHFLOW_INDEX_SYMBOLS"):
            closes = read_index(file)
        yield name, closes


def interest(settings: Settings, file: Path | None = None) -> pl.DataFrame | None:
    """What cash earns: RATE_SCHEMA of the file that settings name; None without one. file: of --risk-free, instead.

    Raises:
        RequestError: the file cannot be read; names the setting or the option, the file and the line.
    """
    path = file or settings.risk_free
    if path is None:
        return None
    with _named("BREADTHFLOW_RISK_FREE" if file is None else "--risk-free"):
        return read_rates(path)


def check_files(settings: Settings) -> None:
    """Read the files that a run would come to when it has begun, so that it is refused before.

    Raises:
        RequestError: one cannot be read; names the setting, the file and the line.
    """
    interest(settings)
    deque(_files(settings), maxlen=0)
    if settings.universe_file is not None:
        with _named("BREADTHFLOW_UNIVERSE_FILE"):
            read_universe(settings.universe_file)
            if beside := instruments_beside(settings.universe_file):
                read_instruments(beside)


@contextmanager
def _named(variable: str) -> Iterator[None]:
    """Say in a refusal which setting named the file."""
    try:
        yield
    except RequestError as error:
        raise RequestError(f"{variable} cannot be used: {error}") from None
