"""What following each rule was worth, beside holding and beside chance. The mathematics is in evaluation/."""

from collections.abc import Collection

import dagster as dg
import polars as pl

from breadthflow_pipelines.contracts import backtests as contracts
from breadthflow_pipelines.contracts.verdict import require
from breadthflow_pipelines.evaluation.backtest import COST, plan_of
from breadthflow_pipelines.evaluation.backtests import Backtests
from breadthflow_pipelines.evaluation.backtests import backtests as followed
from breadthflow_pipelines.evaluation.growth import growth
from breadthflow_pipelines.model.vocabulary import ALL, BUY_AND_HOLD, FIXED, FOLLOWED, SHOWN_RULE
from breadthflow_pipelines.observability.progress import advance
from breadthflow_pipelines.orchestration.asset_definition import stored_asset
from breadthflow_pipelines.orchestration.holdings import benchmarks, interest, traded
from breadthflow_pipelines.orchestration.resources import Market
from breadthflow_pipelines.orchestration.run_figures import RowCounts
from breadthflow_pipelines.orchestration.ui_metadata import marked, plotted, shown
from breadthflow_pipelines.reports.backtests import growth_chart, worth_sentence
from breadthflow_pipelines.reports.charts import named
from breadthflow_pipelines.warehouse import evaluation_store
from breadthflow_pipelines.warehouse.universe_listing import synthetic_universes

_OF = {
    "cagr": [("universe_returns", "return"), ("exchange_breadth", "index_close"), ("market_signals", "action")],
    "trades": [("market_signals", "action")],
}
_SHOWN = ("universe", "rule", "thresholds", "trades", "exposure", "cagr", "sharpe", "max_drawdown", "cagr_as_good")


@stored_asset(
    "backtests",
    code_version="1",
    layer="evaluation",
    kinds={"pandera"},
    made_of=_OF,
    deps=[
        dg.AssetDep("universe_returns", partition_mapping=dg.AllPartitionMapping()),
        "exchange_breadth",
        "market_signals",
    ],
)
def backtests(market: Market) -> dg.MaterializeResult:  # type: ignore[type-arg]
    """What following each registered rule made after costs, beside holding and 1,000 runs at random times; trades."""
    with market.store.exclusive("backtests"):
        levels, rates = traded(market.store), interest(market.settings)
        beside = benchmarks(market.settings, market.store)
        found = followed(evaluation_store.market_signals(market.store, ALL), levels, beside, rates)
        merged = evaluation_store.record_backtests(
            market.store,
            require(contracts.FIGURES, found.figures),
            require(contracts.TRADES, found.trades),
            require(contracts.YEARS, found.years),
        )
    rules = found.figures.filter(portfolio=FOLLOWED, cost=COST)
    advance("backtests", 1, f"{rules['reason'].is_null().sum()} backtests")
    synthetic = synthetic_universes(market.store)
    told = rules.filter(pl.col("reason").is_null()).sort("cagr_as_good", "universe", "rule", nulls_last=True)
    untold = rules.filter(pl.col("reason").is_not_null()).select("universe", "rule", "thresholds", "reason")
    return dg.MaterializeResult(
        metadata={
            **_pictures(found, levels, rates, synthetic),
            **plotted(rules.group_by("universe").agg(trades=pl.col("trades").sum()), ["trades"], synthetic),
            "least_like_chance": shown(marked(told.select(_SHOWN), synthetic), most=20),
            "not_tested": shown(marked(untold, synthetic), most=20),
            "benchmarks_without_a_close": ", ".join(
                sorted(market.settings.index_symbols.keys() - {*beside["universe"]})
            ),
            **RowCounts.of(merged).to_metadata(),
            "dagster/row_count": merged.read,
        }
    )


def _pictures(
    found: Backtests, levels: pl.DataFrame, rates: pl.DataFrame | None, synthetic: Collection[str]
) -> dict[str, dg.MetadataValue]:
    """A sentence and a chart of each universe."""
    own = found.figures.filter(pl.col("reason").is_null(), rule=SHOWN_RULE, thresholds=FIXED, cost=COST)
    said, drawn = [], []
    for rule in own.filter(portfolio=FOLLOWED).iter_rows(named=True):
        universe = rule["universe"]
        held = own.filter(universe=universe, portfolio=BUY_AND_HOLD).row(0, named=True)
        said.append(worth_sentence(named(universe, synthetic), rule, held))
        trades = found.trades.filter(universe=universe, rule=SHOWN_RULE, thresholds=FIXED)
        path = growth(levels.filter(universe=universe), trades, plan_of(SHOWN_RULE).base, COST, rates=rates)
        drawn.append(growth_chart(f"{named(universe, synthetic)}: wealth of following {SHOWN_RULE}", path))
    shown_as = {"now": said, "charts": drawn}
    return {name: dg.MetadataValue.md("\n\n".join(parts)) for name, parts in shown_as.items() if parts}
