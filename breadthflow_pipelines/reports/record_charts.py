"""Pictures of records: how often each rule was right, with its interval, beside any session. Words: records.py.

Apart from those words because commands print them, and must not wait for Polars.
"""

from collections.abc import Mapping
from typing import Any

import polars as pl

from breadthflow_pipelines.model.vocabulary import SUGGESTIVE, SURVIVES
from breadthflow_pipelines.reports import svg

_COLOURS = {SURVIVES: svg.UP, SUGGESTIVE: svg.SECOND}


def record_charts(universe: str, records: pl.DataFrame) -> str:
    """Markdown with a picture for each horizon: every rule's hit rate and its interval beside the base rate.

    records: rows of one universe in the table of records, of the whole history. The interval is that of the lift, put
    on the base rate. Rules that cannot be judged are left out; the table beside the picture says why.
    """
    told = records.filter(pl.col("lift_low").is_not_null()).sort("rule", "action")
    pictures = []
    for (horizon,), of in told.sort("horizon", maintain_order=True).group_by("horizon", maintain_order=True):
        title = f"{universe}: right after {horizon} sessions, beside any session (tick)"
        rows = [_interval(row) for row in of.iter_rows(named=True)]
        pictures.append(svg.markdown(title, svg.intervals(title, rows)))
    return "\n\n".join(pictures)


def _interval(row: Mapping[str, Any]) -> svg.Interval:
    hits, base = row["hit_rate"], row["base_rate"]
    return svg.Interval(
        name=f"{row['rule']}, {row['action']}",
        value=hits,
        low=base + row["lift_low"],
        high=base + row["lift_high"],
        level=base,
        end=f"{hits:.0%} of {row['events']:,}, base {base:.0%}",
        colour=_COLOURS.get(row["verdict"], svg.FIRST),
    )
