"""What is held: every asset asks before it is computed, leaves held rows out, and ends a run that was asked for them.

Which checks hold what is in model/gates.py, where they judge in gates.py; the holds are in warehouse/holds.py.
"""

import datetime as dt
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

import dagster as dg
import polars as pl
from dagster._core.storage.tags import BACKFILL_ID_TAG

from breadthflow_pipelines.errors import HeldError
from breadthflow_pipelines.model.gates import Hold
from breadthflow_pipelines.model.run_tags import FORMAT, PARTITION_TAG, RANGE_START_TAG
from breadthflow_pipelines.orchestration.partitions import span_of
from breadthflow_pipelines.orchestration.resources import Market
from breadthflow_pipelines.warehouse import holds
from breadthflow_pipelines.warehouse.standing import held_message


@dataclass(frozen=True)
class AssetHolds:
    """The first hold of each universe that keeps an asset from being computed; a universe without any is not in it."""

    asset: str
    by_universe: Mapping[str, Hold] = field(default_factory=dict)

    @property
    def first_sessions(self) -> dict[str, dt.date]:
        """By universe, the session from which on its rows stay as they are."""
        return {universe: hold["session"] for universe, hold in self.by_universe.items()}

    def without_held(self, rows: pl.DataFrame) -> pl.DataFrame:
        """The rows (universe, session, ...) that are not held."""
        if not self.by_universe:
            return rows
        first = pl.col("universe").replace_strict(self.first_sessions, default=None, return_dtype=pl.Date)
        return rows.filter((pl.col("session") < first).fill_null(value=True))

    def last_open_day(self, end: dt.date, universes: Collection[str]) -> dt.date:
        """The last day through ``end`` on which at least one of these universes is not held."""
        if not universes or set(universes) - self.by_universe.keys():
            return end
        return min(end, max(self.first_sessions.values()) - dt.timedelta(days=1))


def holds_of(market: Market, asset: str) -> AssetHolds:
    """What keeps an asset from being computed, as the store knows it now."""
    return AssetHolds(asset, holds.first_held(market.store, asset))


def refuse_held(
    context: dg.AssetExecutionContext, market: Market, holds: AssetHolds, *, unless_next: Sequence[str] = ()
) -> None:
    """End the step if the run was asked for held sessions. What is not held was computed and stored by now.

    Months before the hold are recorded as materialized. unless_next: assets computed from this one that end the run
    themselves where they are part of it, so that other universes are computed first.

    Raises:
        HeldError: names the gate, the sessions, the figures and the command that helps.
    """
    selected = {key.to_user_string() for key in context.job_def.asset_layer.executable_asset_keys}
    if selected & set(unless_next) or ("exchange_breadth" in selected and "breadth_counts" not in selected):
        return
    mine = _of_this_market(market, holds, end := _last_day_asked_for(context, market))
    if not mine:
        return
    first = min(hold["session"] for hold in mine.values())
    if context.assets_def.partitions_def is not None:
        for month in context.partition_keys:
            if month < first.strftime(FORMAT):
                context.log_event(dg.AssetMaterialization(context.asset_key, partition=month))
    raise HeldError(held_message(market.store, holds.asset, mine, end))


def first_hold(market: Market, asset: str) -> tuple[dt.date, str] | None:
    """From which session on an asset is held in this market, and why, with the command that helps; None: it is not."""
    mine = _of_this_market(market, holds_of(market, asset), dt.date.max)
    if not mine:
        return None
    first = min(hold["session"] for hold in mine.values())
    return first, held_message(market.store, asset, mine)


def _of_this_market(market: Market, holds: AssetHolds, end: dt.date) -> dict[str, Hold]:
    """The holds through ``end`` of universes of this market: a store may have those of another, real or synthetic."""
    synthetic = market.source.synthetic
    return {
        universe: hold
        for universe, hold in holds.by_universe.items()
        if hold["session"] <= end and hold["of_synthetic"] == synthetic
    }


def _last_day_asked_for(context: dg.AssetExecutionContext, market: Market) -> dt.date:
    """The last day that a run was asked for; a part of a backfill that has no months is asked for the backfill's."""
    tags = context.run.tags
    span = span_of(tags, market.settings, market.calendar)
    if RANGE_START_TAG in tags or PARTITION_TAG in tags or BACKFILL_ID_TAG not in tags:
        return span.end
    backfill = context.instance.get_backfill(tags[BACKFILL_ID_TAG])
    data = backfill.asset_backfill_data if backfill else None
    subsets = data.target_subset.partitions_subsets_by_asset_key.values() if data else ()
    last = max((key for subset in subsets for key in subset.get_partition_keys()), default=None)
    return span.end if last is None else span_of({**tags, PARTITION_TAG: last}, market.settings, market.calendar).end
