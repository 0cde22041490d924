"""Check of the sums that symbol signals are judged by."""

import dagster as dg
import polars as pl

from breadthflow_pipelines.model.vocabulary import BY_ALL, BY_CONFIDENCE, BY_STRENGTH, COMBINED, HOLD
from breadthflow_pipelines.orchestration.checks.judging import whole_table_result
from breadthflow_pipelines.orchestration.resources import Market
from breadthflow_pipelines.orchestration.ui_metadata import shown
from breadthflow_pipelines.warehouse import calibration_store


@dg.asset_check(asset="symbol_calibration")
def calibration_adds_up(context: dg.AssetCheckExecutionContext, market: Market) -> dg.AssetCheckResult:
    """However the signals of a month are grouped, there are as many of them, and what they returned cancels out."""
    sums = calibration_store.sums(market.store).filter(rule=COMBINED)
    n, grouped = pl.col("signals"), pl.col("grouped_by")
    decided = pl.col("action") != HOLD
    found = (
        sums.group_by("universe", "month", "horizon")
        .agg(
            signals=n.filter(grouped == BY_ALL).sum(),
            by_strength=n.filter(grouped == BY_STRENGTH).sum(),
            decided=n.filter((grouped == BY_ALL) & decided).sum(),
            by_confidence=n.filter(grouped == BY_CONFIDENCE).sum(),
            relative=pl.col("relative").filter(grouped == BY_ALL).sum(),
        )
        .sort("universe", "month", "horizon")
    )
    whole = (pl.col("signals") == pl.col("by_strength")) & (pl.col("decided") == pl.col("by_confidence"))
    broken = found.filter(~whole | (pl.col("relative").abs() > 1e-6 * n))
    first = broken.row(0, named=True) if broken.height else {}
    fault = (
        f"{broken.height:,} of {found.height:,} months and horizons do not add up, first {first['universe']} "
        f"{first['month']:%Y-%m}, {first['horizon']} sessions"
        if broken.height
        else None
    )
    return whole_table_result(
        context,
        market,
        fault,
        passed=f"the sums of {found.height:,} months and horizons add up",
        failing=max(1, broken.height),
        metadata={"broken": shown(broken)},
    )
