"""The record of each rule held against chance, today and beside each signal. The mathematics is in evaluation/."""

import dagster as dg
import polars as pl

from breadthflow_pipelines.contracts import evaluation as contracts
from breadthflow_pipelines.contracts.verdict import require
from breadthflow_pipelines.evaluation.family import FAMILY
from breadthflow_pipelines.evaluation.record import of_signals, records
from breadthflow_pipelines.evaluation.significance import LEVEL, accuracy
from breadthflow_pipelines.evaluation.stability import with_kept
from breadthflow_pipelines.model.vocabulary import ALL, NOT_JUDGED, SIGNAL_RECORD, VARIATIONS, VERDICTS, WHOLE
from breadthflow_pipelines.observability.progress import advance
from breadthflow_pipelines.orchestration.asset_definition import stored_asset
from breadthflow_pipelines.orchestration.judging import judged
from breadthflow_pipelines.orchestration.resources import Market
from breadthflow_pipelines.orchestration.run_figures import RowCounts
from breadthflow_pipelines.orchestration.ui_metadata import marked, plotted, shown
from breadthflow_pipelines.reports.charts import named
from breadthflow_pipelines.reports.record_charts import record_charts
from breadthflow_pipelines.reports.records import verdicts_sentence
from breadthflow_pipelines.warehouse import evaluation_store
from breadthflow_pipelines.warehouse.universe_listing import synthetic_universes

_SHOWN = ("universe", "rule", "action", "horizon", "events", "hit_rate", "base_rate", "p_family", "verdict")
_OF = {
    "verdict": [("universe_returns", "return"), ("market_signals", "action"), ("breadth_indicators", "settled")],
}
_DEPS = ["signal_outcomes", "breadth_indicators"]


@stored_asset(
    "signal_accuracy",
    code_version="1",
    layer="evaluation",
    kinds={"pandera"},
    made_of={**_OF, **{f"kept_{variation}": [("signal_stability", "kept")] for variation in VARIATIONS}},
    deps=[*_DEPS, "signal_stability"],
)
def signal_accuracy(market: Market) -> dg.MaterializeResult:  # type: ignore[type-arg]
    """Hit rate, base rate, chance and verdict of every rule, horizon and era; rules that cannot be judged say why."""
    with market.store.exclusive("signal_accuracy"):
        records = with_kept(accuracy(*judged(market)), evaluation_store.stability(market.store))
        table = require(contracts.ACCURACY, records)
        merged = evaluation_store.record_accuracy(market.store, table)
    advance("signal accuracy", 1, f"{table.height} records")
    synthetic = synthetic_universes(market.store)
    whole = table.filter(era=WHOLE)
    verdicts = whole.group_by("universe").agg(**{word: (pl.col("verdict") == word).sum() for word in VERDICTS})
    universes = verdicts["universe"].sort()
    said = [
        f"**{named(name, synthetic)}**: {verdicts_sentence(whole.filter(universe=name)['verdict'], LEVEL)}"
        for name in universes
    ]
    charts = (record_charts(named(name, synthetic), whole.filter(universe=name)) for name in universes)
    drawn = [chart for chart in charts if chart]
    told = whole.filter(pl.col("verdict") != NOT_JUDGED).sort("p_family", "p_rotation").select(_SHOWN)
    return dg.MaterializeResult(
        metadata={
            "now": dg.MetadataValue.md("\n\n".join(said)),
            **({"charts": dg.MetadataValue.md("\n\n".join(drawn))} if drawn else {}),
            **plotted(verdicts, VERDICTS, synthetic),
            "verdicts": shown(marked(verdicts.sort("universe"), synthetic)),
            "least_like_chance": shown(marked(told, synthetic), most=20),
            "family": FAMILY.name,
            **RowCounts.of(merged).to_metadata(),
            "dagster/row_count": merged.read,
        }
    )


@stored_asset("signal_records", code_version="1", layer="evaluation", kinds={"pandera"}, made_of=_OF, deps=_DEPS)
def signal_records(market: Market) -> dg.MaterializeResult:  # type: ignore[type-arg]
    """What the record of a rule was when it gave a signal: only what had closed before the session enters it."""
    with market.store.exclusive("signal_records"):
        signals, eligible, windows = judged(market)
        table = require(contracts.RECORDS, of_signals(signals, records(signals, eligible, windows)))
        merged = evaluation_store.record_records(market.store, table)
    advance("signal records", 1, f"{table.height} records")
    said = signals.filter(segment=ALL).sort("session", "universe", "rule", descending=[True, False, False])
    latest = said.join(table, on=["signal_id", "universe", "session"], how="left", maintain_order="left")
    by_verdict = table.group_by("universe", "verdict").agg(signals=pl.len()).sort("universe", "verdict")
    synthetic = synthetic_universes(market.store)
    return dg.MaterializeResult(
        metadata={
            "latest": shown(marked(latest.select("session", "universe", "rule", "action", *SIGNAL_RECORD), synthetic)),
            "by_verdict": shown(marked(by_verdict, synthetic), most=30),
            **RowCounts.of(merged).to_metadata(),
            "dagster/row_count": merged.read,
        }
    )
