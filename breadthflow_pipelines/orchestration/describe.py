"""How assets look in the Dagster UI: owners, schemas, lineage, the numbers of a materialization. Computes none."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import dagster as dg
import polars as pl

from breadthflow_pipelines.orchestration.failures import retried_if_unreachable
from breadthflow_pipelines.orchestration.partitions import FORMAT, WHOLE
from breadthflow_pipelines.warehouse.bulk import Merged
from breadthflow_pipelines.warehouse.derived import Measure
from breadthflow_pipelines.warehouse.tables import metadata as tables

OWNERS = ["team:breadthflow"]
SHOWN_ROWS = 10


def stored_asset(
    table: str,
    *,
    group: str,
    code_version: str,
    kinds: Iterable[str] = (),
    measures: Sequence[Measure] = (),
    **options: Any,
) -> Callable[[Callable[..., dg.MaterializeResult[Any]]], dg.AssetsDefinition]:
    """An asset that fills the table of its name: what all of them have in common is said here."""

    def decorate(compute: Callable[..., dg.MaterializeResult[Any]]) -> dg.AssetsDefinition:
        asset: dg.AssetsDefinition = dg.asset(
            group_name=group,
            owners=OWNERS,
            kinds={"postgres", "polars", *kinds},
            code_version=code_version,
            backfill_policy=WHOLE,
            metadata=table_metadata(table, measures),
            **options,
        )(retried_if_unreachable(compute))
        return asset

    return decorate


def table_metadata(table: str, measures: Sequence[Measure] = ()) -> dict[str, Any]:
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


def lineage(origins: Mapping[str, Iterable[tuple[str, str]]]) -> dg.TableColumnLineage:
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
    context: dg.AssetExecutionContext, merged: Merged, rows: pl.DataFrame, figures: Mapping[str, pl.Expr]
) -> None:
    """Give each month's materialization its own figures, which the UI plots; those of the whole run are beside them.

    rows: has ``session``; figures are aggregations over a month's rows.
    """
    of_rows = _by_month(rows.group_by(month=pl.col("session").dt.strftime(FORMAT)).agg(**figures))
    changed = {
        f"month_{kind}": pl.col("rows").filter(pl.col("kind") == kind).sum()
        for kind in ("inserted", "updated", "deleted")
    }
    of_changes = _by_month(merged.changes.group_by(month=pl.col("session").dt.strftime(FORMAT)).agg(**changed))
    nothing = dict.fromkeys((*figures, *changed), 0)
    for month in context.partition_keys:
        own = {**nothing, **of_rows.get(month, {}), **of_changes.get(month, {})}
        context.add_asset_metadata(own, partition_key=month)


def _by_month(rows: pl.DataFrame) -> dict[str, dict[str, Any]]:
    return {str(row.pop("month")): row for row in rows.to_dicts()}


def shown(rows: pl.DataFrame, *, most: int = SHOWN_ROWS) -> dg.MetadataValue[Any]:
    """The first rows as a table, values as people write them."""
    records = [
        dg.TableRecord({name: _plain(value) for name, value in row.items()}) for row in rows.head(most).to_dicts()
    ]
    schema = dg.TableSchema(columns=[dg.TableColumn(name, "string") for name in rows.columns])
    return dg.MetadataValue.table(records=records, schema=schema)


def _plain(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.4g}" if abs(value) < 1 else f"{value:,.2f}"
    if isinstance(value, list):
        return "; ".join(str(item) for item in value)
    return "" if value is None else str(value)
