"""What outcomes and records are computed from, as the store has it: the windows that followed every session."""

import polars as pl

from breadthflow_pipelines.evaluation.outcomes import windows
from breadthflow_pipelines.evaluation.returns import levels
from breadthflow_pipelines.orchestration.resources import Market
from breadthflow_pipelines.warehouse import evaluation_store


def followed(market: Market, segment: str | None = None) -> pl.DataFrame:
    """WINDOW_SCHEMA of every universe with returns of members or an index, or of one segment of each."""
    returns = evaluation_store.returns(market.store, segment)
    indexes = evaluation_store.published_indexes(market.store)
    return windows(levels(returns, indexes), market.calendar.frame())
