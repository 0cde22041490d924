"""Tables and figures as the Dagster UI shows them. Computes none."""

from collections.abc import Collection
from typing import Any

import dagster as dg
import polars as pl

from breadthflow_pipelines.orchestration.resources import Market

SHOWN_ROWS = 10


def plotted(rows: pl.DataFrame, figures: Collection[str], synthetic: Collection[str]) -> dict[str, float | int]:
    """Figures of each universe under names of their own, so that the UI plots no two universes as one line.

    rows: ``universe`` and the figures, one row for each; null is left out.
    """
    return {
        f"{row['universe']}{' (synthetic)' if row['universe'] in synthetic else ''}: {figure}": row[figure]
        for row in rows.sort("universe").iter_rows(named=True)
        for figure in figures
        if row[figure] is not None
    }


def of_market(rows: pl.DataFrame, market: Market, synthetic: Collection[str]) -> pl.DataFrame:
    """Rows of the universes that this market has: a store may hold invented ones from before it held real ones."""
    invented = pl.col("universe").is_in(list(synthetic))
    return rows.filter(invented if market.source.synthetic else ~invented)


def marked(rows: pl.DataFrame, synthetic: Collection[str]) -> pl.DataFrame:
    """Rows of universes with ``synthetic`` beside ``universe``: invented rows say so wherever they are shown."""
    after = rows.columns.index("universe") + 1
    invented = pl.col("universe").is_in(list(synthetic)).alias("synthetic")
    return rows.select(*rows.columns[:after], invented, *rows.columns[after:])


def shown(rows: pl.DataFrame, *, most: int = SHOWN_ROWS) -> dg.MetadataValue[Any]:
    """The first rows as a table, values as people write them; of no rows a table without columns, which is shorter."""
    records = [
        dg.TableRecord({name: _plain(value) for name, value in row.items()}) for row in rows.head(most).to_dicts()
    ]
    schema = dg.TableSchema(columns=[dg.TableColumn(name, "string") for name in rows.columns if records])
    return dg.MetadataValue.table(records=records, schema=schema)


def _plain(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}" if abs(value) < 1 else f"{value:,.2f}"
    if isinstance(value, list):
        return "; ".join(str(item) for item in value)
    return "" if value is None else str(value)
