"""How assets look in the Dagster UI: owners, schemas, lineage, the numbers of a materialization. Computes none."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import wraps
from typing import Any

import dagster as dg
import polars as pl

from breadthflow_pipelines.model.datasets import DATASETS
from breadthflow_pipelines.orchestration import ingest_figures
from breadthflow_pipelines.orchestration.partitions import FORMAT, WHOLE
from breadthflow_pipelines.orchestration.resources import Market
from breadthflow_pipelines.orchestration.step_failures import retried_if_unreachable
from breadthflow_pipelines.warehouse.bulk import Merged
from breadthflow_pipelines.warehouse.formula_columns import FormulaColumn
from breadthflow_pipelines.warehouse.tables import metadata as tables

OWNERS = ["team:breadthflow"]
SHOWN_ROWS = 10
LINEAGE = "dagster/column_lineage"

Origins = Mapping[str, Iterable[tuple[str, str]]]


def stored_asset(
    table: str,
    *,
    layer: str,
    code_version: str,
    kinds: Iterable[str] = (),
    measures: Sequence[FormulaColumn] = (),
    made_of: Origins | None = None,
    shows: Mapping[str, Any] | None = None,
    **options: Any,
) -> Callable[[Callable[..., dg.MaterializeResult[Any]]], dg.AssetsDefinition]:
    """An asset that fills the table of its name: what all of them have in common is said here.

    layer: how far it is from the source, for whoever filters assets by it. measures: the table's derived columns.
    made_of: the (asset, column) pairs that each computed column is made from. shows: metadata that no run changes.
    """

    group = DATASETS[table].group

    def decorate(compute: Callable[..., dg.MaterializeResult[Any]]) -> dg.AssetsDefinition:
        asset: dg.AssetsDefinition = dg.asset(
            group_name=group,
            owners=OWNERS,
            kinds={"postgres", "polars", *kinds},
            code_version=code_version,
            backfill_policy=WHOLE,
            tags={"domain": group, "layer": layer},
            metadata={
                **table_metadata(table, measures),
                **({LINEAGE: lineage(made_of)} if made_of else {}),
                **(shows or {}),
            },
            **options,
        )(_told_once(retried_if_unreachable(compute)))
        return asset

    return decorate


def _told_once(compute: Callable[..., dg.MaterializeResult[Any]]) -> Callable[..., dg.MaterializeResult[Any]]:
    """The same, with what it says of its run kept in one place instead of in many (ingest_figures.py)."""

    @wraps(compute)
    def told(*args: Any, **kwargs: Any) -> dg.MaterializeResult[Any]:
        ingest_figures.tell(compute(*args, **kwargs).metadata or {})
        return dg.MaterializeResult()

    return told


def table_metadata(table: str, measures: Sequence[FormulaColumn] = ()) -> dict[str, Any]:
    """Name, columns and column comments of a table, as the store declares them; measures are its derived columns."""
    columns = [
        dg.TableColumn(
            column.name,
            str(column.type).lower(),
            description=column.comment,
            constraints=dg.TableColumnConstraints(nullable=bool(column.nullable), unique=bool(column.unique)),
        )
        for column in tables.tables[table].columns
    ]
    columns += [dg.TableColumn(measure.name, "double precision", description=measure.about) for measure in measures]
    return {"dagster/table_name": table, "dagster/column_schema": dg.TableSchema(columns=columns)}


def lineage(origins: Origins) -> dg.TableColumnLineage:
    """Which (asset, column) each column is made from."""
    return dg.TableColumnLineage(
        {
            column: [dg.TableColumnDep(asset_key=dg.AssetKey(asset), column_name=name) for asset, name in sources]
            for column, sources in origins.items()
        }
    )


def merge_metadata(merged: Merged) -> dict[str, dg.MetadataValue[Any]]:
    """Rows read, inserted, revised, unchanged and removed."""
    return {
        "rows_read": dg.MetadataValue.int(merged.read),
        "rows_inserted": dg.MetadataValue.int(merged.inserted),
        "rows_revised": dg.MetadataValue.int(merged.updated),
        "rows_unchanged": dg.MetadataValue.int(merged.unchanged),
        "rows_removed": dg.MetadataValue.int(merged.deleted),
    }


def monthly_metadata(
    context: dg.AssetExecutionContext,
    merged: Merged,
    rows: pl.DataFrame,
    figures: Mapping[str, pl.Expr],
    *,
    counted: Mapping[str, Mapping[str, int]] | None = None,
    always: Mapping[str, Any] | None = None,
) -> None:
    """Give each month's materialization its own figures, which the UI plots; a run's own are in ingest_figures.py.

    rows: has ``session``; figures are aggregations over a month's rows. counted: more figures, each by month. always:
    what is to be said of every month.
    """
    of_rows = _by_month(rows.group_by(month=pl.col("session").dt.strftime(FORMAT)).agg(**figures))
    changed = {
        name: pl.col("rows").filter(pl.col("kind") == kind).sum()
        for name, kind in (("rows_inserted", "inserted"), ("rows_revised", "updated"), ("rows_removed", "deleted"))
    }
    of_changes = _by_month(merged.changes.group_by(month=pl.col("session").dt.strftime(FORMAT)).agg(**changed))
    nothing = dict.fromkeys((*figures, *changed), 0)
    for month in context.partition_keys:
        more = {name: by_month.get(month, 0) for name, by_month in (counted or {}).items()}
        own = {**nothing, **of_rows.get(month, {}), **more, **of_changes.get(month, {}), **(always or {})}
        context.add_asset_metadata(own, partition_key=month)


def _by_month(rows: pl.DataFrame) -> dict[str, dict[str, Any]]:
    return {str(row.pop("month")): row for row in rows.to_dicts()}


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
