"""What is shown of the calibration of symbol signals: a sentence, and pictures. Drawing is in svg.py."""

from collections.abc import Collection, Mapping
from typing import Any

import polars as pl

from breadthflow_pipelines.model.vocabulary import (
    BUY,
    BY_ALL,
    BY_CONFIDENCE,
    BY_STRENGTH,
    COMBINED,
    RECORD_HORIZON,
    SELL,
)
from breadthflow_pipelines.reports import svg
from breadthflow_pipelines.reports.charts import named

LEAST = 100  # signals of a tenth that is drawn; fewer say little
_COLOURS = {BUY: svg.UP, SELL: svg.DOWN}


def calibration_charts(found: pl.DataFrame, synthetic: Collection[str]) -> dict[str, str]:
    """Markdown by metadata name: a sentence on each universe, and its pictures. found: as judged has it."""
    shown = found.filter(horizon=RECORD_HORIZON, rule=COMBINED)
    universes = shown["universe"].unique().sort().to_list()
    if not universes:
        return {}
    said, pictures = [], []
    for universe in universes:
        title, rows = named(universe, synthetic), shown.filter(universe=universe)
        said += [calibration_sentence(title, row) for row in rows.filter(grouped_by=BY_ALL).iter_rows(named=True)]
        pictures += [_reliability(title, rows.filter(grouped_by=BY_CONFIDENCE)), _deciles(title, rows)]
    return {"now": "\n\n".join(filter(None, said)), "charts": "\n\n".join(pictures)}


def calibration_sentence(universe: str, row: Mapping[str, Any]) -> str:
    """What became of the buys or sells of a universe, in words; empty of holds, which claim nothing."""
    if row["action"] not in (BUY, SELL):
        return ""
    beside = "beat" if row["action"] == BUY else "trailed"
    better = "a worse" if row["skill"] is None or row["skill"] < 0 else "a better"
    reason = f" ({row['reason']})" if row["reason"] else ""
    return (
        f"**{universe}**: of {row['signals']:,} {row['action']}s, {row['hit_rate']:.1%} {beside} the mean of their "
        f"universe over the next {row['horizon']} sessions; of all members, {row['base_rate']:.1%} did: "
        f"{row['verdict']}{reason}. Read as a probability, their confidence is {better} forecast than that rate."
    )


def _reliability(title: str, rows: pl.DataFrame) -> str:
    """Hit rates by confidence, and where they would lie if confidence were a probability."""
    heading = f"{title}: right by confidence, {RECORD_HORIZON} sessions, in %; dashed: if it were a probability"
    drawn = []
    for action in (BUY, SELL):
        told = rows.filter(pl.col("action") == action, pl.col("signals") >= LEAST).sort("bin")
        points = [(100 * said, 100 * right) for said, right in told.select("confidence", "hit_rate").iter_rows()]
        base = [(100 * said, 100 * rate) for said, rate in told.select("confidence", "base_rate").iter_rows()]
        drawn += [svg.Curve(f"{action}s", points, _COLOURS[action]), svg.Curve(f"base of {action}s", base, svg.SOFT)]
    ideal = svg.Curve("as said", [(0.0, 0.0), (100.0, 100.0)], svg.SECOND, dashed=True)
    return svg.markdown(heading, svg.curves(heading, [*drawn, ideal], "confidence, %"))


def _deciles(title: str, rows: pl.DataFrame) -> str:
    """Mean returns beside the universe by tenth of strength."""
    heading = f"{title}: return beside the universe by tenth of strength, {RECORD_HORIZON} sessions, in %"
    told = rows.filter(grouped_by=BY_STRENGTH).sort("bin")
    points = [(float(tenth), 100 * relative) for tenth, relative in told.select("bin", "relative").iter_rows()]
    return svg.markdown(heading, svg.curves(heading, [svg.Curve("", points)], "tenth, strongest: 10", zero=True))
