"""What followed each signal of the market. The mathematics is in evaluation/outcomes.py."""

from functools import partial
from typing import NamedTuple

import dagster as dg
import polars as pl

from breadthflow_pipelines.contracts import evaluation as contracts
from breadthflow_pipelines.contracts.verdict import require
from breadthflow_pipelines.evaluation.outcomes import outcomes, revised
from breadthflow_pipelines.model.vocabulary import ALL, WINDOW_CLOSED, WINDOW_OPEN
from breadthflow_pipelines.observability.progress import advance
from breadthflow_pipelines.orchestration.asset_definition import stored_asset
from breadthflow_pipelines.orchestration.judging import followed
from breadthflow_pipelines.orchestration.overlap import overlapped
from breadthflow_pipelines.orchestration.resources import Market
from breadthflow_pipelines.orchestration.run_figures import RowCounts
from breadthflow_pipelines.orchestration.ui_metadata import marked, shown
from breadthflow_pipelines.warehouse import evaluation_store
from breadthflow_pipelines.warehouse.bulk import NOTHING, Merged
from breadthflow_pipelines.warehouse.universe_listing import synthetic_universes

_SHOWN = ("session", "universe", "rule", "action", "horizon", "return", "excess", "hit")


@stored_asset(
    "signal_outcomes",
    code_version="1",
    layer="evaluation",
    kinds={"pandera"},
    made_of={
        "return": [("universe_returns", "return"), ("exchange_breadth", "index_close")],
        "action": [("market_signals", "action")],
        "session": [("market_signals", "session")],
    },
    deps=[
        dg.AssetDep("universe_returns", partition_mapping=dg.AllPartitionMapping()),
        "exchange_breadth",
        "market_signals",
    ],
)
def signal_outcomes(market: Market) -> dg.MaterializeResult:  # type: ignore[type-arg]
    """Return, excess, worst fall and hit of each signal at each horizon; only changes are written.

    An outcome is closed at its exit, and then changes only where a price was restated: the run's figures say how many.
    """
    with market.store.exclusive("signal_outcomes"):
        work = partial(_follow, market, followed(market))
        halves = list(overlapped(evaluation_store.HALVES, work, at_a_time=2))
    found, restated = pl.concat(half.found for half in halves), pl.concat(half.restated for half in halves)
    merged = sum((half.merged for half in halves), NOTHING)
    advance("signal outcomes", 1, f"{found.height} outcomes")
    synthetic = synthetic_universes(market.store)
    of_whole = found.filter(pl.col("segment") == ALL, pl.col("hit").is_not_null())
    latest = of_whole.sort("exit_session", "universe", "rule", "horizon", descending=[True, False, False, False])
    return dg.MaterializeResult(
        metadata={
            "latest_closed": shown(marked(latest.select(_SHOWN), synthetic)),
            "closed": found.filter(state=WINDOW_CLOSED).height,
            "open": found.filter(state=WINDOW_OPEN).height,
            "closed_outcomes_revised": restated.height,
            "revised": shown(marked(restated.select(*_SHOWN, "return_before"), synthetic)),
            **RowCounts.of(merged).to_metadata(),
            "dagster/row_count": merged.read,
        }
    )


class _Half(NamedTuple):
    """Outcomes of half of the signals, those of them that were closed and say something else now, what was written."""

    found: pl.DataFrame
    restated: pl.DataFrame
    merged: Merged


def _follow(market: Market, told: pl.DataFrame, half: str) -> _Half:
    """Compute and store the outcomes of one of HALVES. told: what followed every session."""
    signals = evaluation_store.market_signals(market.store, which=half)
    found = require(contracts.OUTCOMES, outcomes(signals, told))
    restated = revised(evaluation_store.closed_outcomes(market.store, half), found)
    return _Half(found, restated, evaluation_store.record_outcomes(market.store, found, half))
