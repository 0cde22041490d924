"""What a run of an asset came to, kept once: told when the asset is computed, and read again by whoever asks.

A result's metadata would be repeated in the materialization of every month of the run, and be stored a second time with
the step's output. So an asset without months says it of its one materialization, and one with months in an observation,
its names beginning with ``run/``; each month's materialization has the figures of that month alone (describe.py).
"""

from collections.abc import Iterable, Mapping
from typing import Any

import dagster as dg

PREFIX = "run/"


def tell(totals: Mapping[str, Any]) -> None:
    """Keep what the asset that is being computed says of its run."""
    context = dg.AssetExecutionContext.get()
    if context.assets_def.partitions_def is None:
        context.add_asset_metadata(dict(totals))
        return
    said = {f"{PREFIX}{name}": value for name, value in totals.items()}
    context.log_event(dg.AssetObservation(asset_key=context.asset_key, metadata=said))


def of_events(events: Iterable[dg.DagsterEvent]) -> dict[str, dict[str, Any]]:
    """By asset, in the order in which they came, what these events of a run say that it came to."""
    found: dict[str, dict[str, Any]] = {}
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


def latest(instance: dg.DagsterInstance, asset: str, month: str | None = None) -> dict[str, Any]:
    """What the last run of an asset, or of one of its months, came to; empty where there was none."""
    wanted = dg.AssetRecordsFilter(dg.AssetKey(asset), asset_partitions=[month] if month else None)
    found = instance.fetch_materializations(wanted, limit=1).records
    if not found:
        return {}
    kinds = {dg.DagsterEventType.ASSET_MATERIALIZATION, dg.DagsterEventType.ASSET_OBSERVATION}
    entries = instance.all_logs(found[0].run_id, of_type=kinds)
    return of_events(entry.dagster_event for entry in entries if entry.dagster_event).get(asset, {})
