"""Where the metadata of a run of an asset is stored in Dagster's event log, and how it is read again.

The fields and their types are in run_figures.py; this module knows only where they are.

Dagster repeats a result's metadata in the materialization of every month of a run, and stores it once more with the
step's output. To store it once, an asset without months attaches it to its one materialization, and an asset with
months logs an observation whose field names begin with ``run/``. The materialization of each month has the figures of
that month alone (assets/monthly.py).
"""

from collections.abc import Iterable, Mapping
from typing import Any

import dagster as dg

PREFIX = "run/"

Metadata = Mapping[str, Any]


def log_run_metadata(metadata: Metadata) -> None:
    """Store the metadata of this run of the asset that is being computed."""
    context = dg.AssetExecutionContext.get()
    if context.assets_def.partitions_def is None:
        context.add_asset_metadata(dict(metadata))
        return
    prefixed = {f"{PREFIX}{name}": value for name, value in metadata.items()}
    context.log_event(dg.AssetObservation(asset_key=context.asset_key, metadata=prefixed))


def metadata_by_asset(events: Iterable[dg.DagsterEvent]) -> dict[str, Metadata]:
    """The run metadata that these events of a run hold, by asset, in the order of the events."""
    found: dict[str, Metadata] = {}
    for event in events:
        if event.is_step_materialization and event.partition is None:
            metadata = event.step_materialization_data.materialization.metadata
        elif event.is_asset_observation:
            metadata = event.asset_observation_data.asset_observation.metadata
        else:
            continue
        asset = event.asset_key.to_user_string() if event.asset_key else ""
        found[asset] = {name.removeprefix(PREFIX): entry.value for name, entry in metadata.items()}
    return found


def latest_metadata(instance: dg.DagsterInstance, asset: str, month: str | None = None) -> Metadata | None:
    """The metadata of the last run of an asset, or of one of its months; None where no run has materialized it."""
    wanted = dg.AssetRecordsFilter(dg.AssetKey(asset), asset_partitions=[month] if month else None)
    found = instance.fetch_materializations(wanted, limit=1).records
    if not found:
        return None
    kinds = {dg.DagsterEventType.ASSET_MATERIALIZATION, dg.DagsterEventType.ASSET_OBSERVATION}
    entries = instance.all_logs(found[0].run_id, of_type=kinds)
    return metadata_by_asset(entry.dagster_event for entry in entries if entry.dagster_event).get(asset)
