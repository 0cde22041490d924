"""What every asset's definition has in common: its table's columns, lineage, tags, owners. Computes nothing."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import wraps
from typing import Any

import dagster as dg

from breadthflow_pipelines.model.datasets import DATASETS
from breadthflow_pipelines.observability.memory import give_back
from breadthflow_pipelines.orchestration.partitions import WHOLE
from breadthflow_pipelines.orchestration.retries import retried_if_unreachable
from breadthflow_pipelines.orchestration.run_metadata import log_run_metadata
from breadthflow_pipelines.warehouse.formula_columns import FormulaColumn
from breadthflow_pipelines.warehouse.tables import metadata as tables

OWNERS = ["team:breadthflow"]
LINEAGE = "dagster/column_lineage"

Origins = Mapping[str, Iterable[tuple[str, str]]]


def stored_asset(
    table: str,
    *,
    layer: str,
    code_version: str,
    kinds: Iterable[str] = (),
    derived_columns: Sequence[FormulaColumn] = (),
    made_of: Origins | None = None,
    more_metadata: Mapping[str, Any] | None = None,
    **options: Any,
) -> Callable[[Callable[..., dg.MaterializeResult[Any]]], dg.AssetsDefinition]:
    """An asset of the name of the table that it fills.

    derived_columns: those that follow a catalogue. made_of: the (asset, column) pairs that each computed column is made
    from. more_metadata: of the asset, the same in all runs. layer and the rest: as of ``own_asset``.
    """
    metadata = {
        **table_metadata(table, derived_columns),
        **({LINEAGE: lineage(made_of)} if made_of else {}),
        **(more_metadata or {}),
    }
    stored_with = {"postgres", "polars", *kinds}
    return own_asset(table, layer=layer, code_version=code_version, kinds=stored_with, metadata=metadata, **options)


def own_asset(
    name: str, *, layer: str, code_version: str, kinds: Iterable[str], **options: Any
) -> Callable[[Callable[..., dg.MaterializeResult[Any]]], dg.AssetsDefinition]:
    """An asset of ours, whatever it fills. layer: how far it is from the source, to filter assets by."""
    group = DATASETS[name].group

    def decorate(compute: Callable[..., dg.MaterializeResult[Any]]) -> dg.AssetsDefinition:
        asset: dg.AssetsDefinition = dg.asset(
            name=name,
            group_name=group,
            owners=OWNERS,
            kinds={*kinds},
            code_version=code_version,
            backfill_policy=WHOLE,
            tags={"domain": group, "layer": layer},
            **options,
        )(_with_metadata_stored_once(retried_if_unreachable(compute)))
        return asset

    return decorate


def _with_metadata_stored_once(
    compute: Callable[..., dg.MaterializeResult[Any]],
) -> Callable[..., dg.MaterializeResult[Any]]:
    """The same computation; its result's metadata is stored once, and not with every month (run_metadata.py)."""

    @wraps(compute)
    def wrapped(*args: Any, **kwargs: Any) -> dg.MaterializeResult[Any]:
        log_run_metadata(compute(*args, **kwargs).metadata or {})
        give_back()
        return dg.MaterializeResult()

    return wrapped


def table_metadata(table: str, derived_columns: Sequence[FormulaColumn] = ()) -> dict[str, Any]:
    """Name, columns and column comments of a table, as the store declares them, with those that follow a catalogue."""
    columns = [
        dg.TableColumn(
            column.name,
            str(column.type).lower(),
            description=column.comment,
            constraints=dg.TableColumnConstraints(nullable=bool(column.nullable), unique=bool(column.unique)),
        )
        for column in tables.tables[table].columns
    ]
    columns += [dg.TableColumn(column.name, "double precision", description=column.about) for column in derived_columns]
    return {"dagster/table_name": table, "dagster/column_schema": dg.TableSchema(columns=columns)}


def lineage(origins: Origins) -> dg.TableColumnLineage:
    """Which (asset, column) each column is made from."""
    return dg.TableColumnLineage(
        {
            column: [dg.TableColumnDep(asset_key=dg.AssetKey(asset), column_name=name) for asset, name in sources]
            for column, sources in origins.items()
        }
    )
