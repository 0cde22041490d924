"""Signals of each universe: what the indicators say, with the evidence. The rules are in signals/."""

import dagster as dg
import polars as pl

from breadthflow_pipelines.contracts import breadth as contracts
from breadthflow_pipelines.contracts.verdict import require
from breadthflow_pipelines.indicators.breadth_catalogue import CATALOGUE
from breadthflow_pipelines.indicators.score import COMPONENTS
from breadthflow_pipelines.model.vocabulary import ALL, SESSION_RULES
from breadthflow_pipelines.observability.progress import advance
from breadthflow_pipelines.orchestration.asset_definition import stored_asset
from breadthflow_pipelines.orchestration.catalogue_columns import BREADTH_COLUMNS
from breadthflow_pipelines.orchestration.holds import holds_of, refuse_held
from breadthflow_pipelines.orchestration.resources import Market
from breadthflow_pipelines.orchestration.run_figures import RowCounts
from breadthflow_pipelines.orchestration.ui_metadata import marked, plotted, shown
from breadthflow_pipelines.reports.charts import signal_charts
from breadthflow_pipelines.signals.market import changed_signals
from breadthflow_pipelines.signals.market import market_signals as compute_signals
from breadthflow_pipelines.signals.rules import RULES
from breadthflow_pipelines.warehouse import breadth_store
from breadthflow_pipelines.warehouse.universe_listing import synthetic_universes

CHANGED_SHOWN = 50
_SHOWN = ("session", "universe", "rule", "action", "confidence", "value", "state")

# By thrusts, and by the components of the score, which look at a few counts too.
_LOOKED_AT = {column for rule in RULES.values() if rule.thrust for column in rule.thrust.columns}.union(
    *(component.formula.meta.root_names() for component in COMPONENTS.values())
)


@stored_asset(
    "market_signals",
    code_version="1",
    layer="signals",
    kinds={"pandera"},
    made_of={
        "value": [("breadth_indicators", name) for name in sorted(_LOOKED_AT & CATALOGUE.keys())],
        "state": [("breadth_indicators", "state")],
        "session": [("breadth_indicators", "session")],
    },
    deps=["breadth_indicators"],
)
def market_signals(context: dg.AssetExecutionContext, market: Market) -> dg.MaterializeResult:  # type: ignore[type-arg]
    """Buy, sell or hold, each with its rule, threshold and evidence; from all of history, only changes are written."""
    with market.store.exclusive("market_signals"):
        holds = holds_of(market, "market_signals")
        counts = holds.without_held(breadth_store.all_counts(market.store))
        indicators = holds.without_held(breadth_store.indicators(market.store, BREADTH_COLUMNS))
        signals = require(contracts.SIGNALS, compute_signals(counts, indicators))
        changed = changed_signals(holds.without_held(breadth_store.signal_actions(market.store)), signals)
        merged = breadth_store.record_signals(market.store, signals, holds.first_sessions)
    advance("market signals", 1, f"{signals.height} signals")
    by_rule = signals.group_by("universe", "rule", "action").agg(signals=pl.len(), last=pl.col("session").max())
    latest = signals.filter(pl.col("segment") == ALL).sort("session", descending=True)
    synthetic = synthetic_universes(market.store)
    charts = signal_charts(indicators, signals, synthetic)
    refuse_held(context, market, holds, unless_next=("symbol_signals",))
    return dg.MaterializeResult(
        metadata={
            **{name: dg.MetadataValue.md(text) for name, text in charts.items()},
            **plotted(_newest(latest), SESSION_RULES, synthetic),
            "latest": shown(marked(latest.select(*_SHOWN), synthetic)),
            "final_signals_changed": changed.height,
            "changed": shown(marked(changed, synthetic), most=CHANGED_SHOWN),
            "by_rule": shown(marked(by_rule.sort("universe", "rule", "action"), synthetic), most=30),
            **RowCounts.of(merged).to_metadata(),
            "dagster/row_count": merged.read,
        }
    )


def _newest(latest: pl.DataFrame) -> pl.DataFrame:
    """Of each universe the newest value of each measure, null where it has none; latest: newest first."""
    newest = {rule: pl.col("value").filter(pl.col("rule") == rule).first() for rule in SESSION_RULES}
    return latest.group_by("universe").agg(**newest)
