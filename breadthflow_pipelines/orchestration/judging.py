"""What outcomes and records are computed from, as the store has it: the windows that followed every session."""

import polars as pl

from breadthflow_pipelines.evaluation.eligibility import eligible_sessions
from breadthflow_pipelines.evaluation.outcomes import windows
from breadthflow_pipelines.evaluation.returns import levels
from breadthflow_pipelines.model.vocabulary import ALL
from breadthflow_pipelines.orchestration.resources import Market
from breadthflow_pipelines.warehouse import breadth_store, evaluation_store


def followed(market: Market, segment: str | None = None) -> pl.DataFrame:
    """WINDOW_SCHEMA of every universe with returns of members or an index, or of one segment of each."""
    returns = evaluation_store.returns(market.store, segment)
    indexes = evaluation_store.published_indexes(market.store)
    return windows(levels(returns, indexes), market.calendar.frame())


def judged(market: Market) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """What records are made from: the signals of whole universes, the sessions eligible for them, and what followed."""
    signals = evaluation_store.market_signals(market.store, ALL)
    eligible = eligible_sessions(breadth_store.whole_indicators(market.store), signals)
    return signals, eligible, followed(market, ALL)
