"""What the UI shows of checks: the last result of each, reported again once Dagster no longer shows it.

Dagster shows a result only until the asset is materialized again. It is then reported once more, without a run, with
the time at which the check was evaluated (docs/decisions/gates.md). What a result says: check_results.py.
"""

import asyncio
import datetime as dt
from collections.abc import Collection, Sequence
from typing import Any

import dagster as dg
from dagster._core.loader import LoadingContext
from dagster._core.storage.asset_check_execution_record import (
    COMPLETED_ASSET_CHECK_EXECUTION_RECORD_STATUSES,
    AssetCheckExecutionRecord,
    AssetCheckExecutionResolvedStatus,
)

from breadthflow_pipelines.model.datasets import LATE_CHECK
from breadthflow_pipelines.orchestration.check_results import (
    COUNTS,
    NEXT,
    SEVERITIES,
    WHAT,
    Metadata,
    failing_months,
    result_metadata,
)
from breadthflow_pipelines.orchestration.resources import Market
from breadthflow_pipelines.warehouse import verdicts

JUDGED = "judged"  # in the metadata of what is reported again: when the check was evaluated


def outdated_statuses(
    instance: dg.DagsterInstance, market: Market, keys: Collection[dg.AssetCheckKey]
) -> list[dg.AssetCheckEvaluation]:
    """What the UI should show, of the checks of which it shows nothing or something old; as events that need no run.

    Nothing is shown of a check whose asset was materialized after it was evaluated, or to which a run did not come. The
    check by the clock is left to freshness.py; one that was never evaluated has nothing to show.
    """
    keys = [key for key in keys if key.name != LATE_CHECK]
    records = _shown(instance, keys)
    rows = verdicts.by_check(market.store, {key.name for key in keys})
    reported = []
    for key, (record, shown) in records.items():
        last = record if record.status in COMPLETED_ASSET_CHECK_EXECUTION_RECORD_STATUSES else _completed(instance, key)
        if last is None or last.evaluation is None:
            continue
        status = _from_verdicts(key, rows[key.name], last.evaluation) if key.name in rows else _repeated(key, last)
        if not shown or _differ(status, record.evaluation):
            reported.append(status)
    return reported


def not_shown(instance: dg.DagsterInstance, keys: Collection[dg.AssetCheckKey]) -> list[dg.AssetCheckKey]:
    """The checks among these that the UI shows as not evaluated though they were."""
    return [key for key, (_, shown) in _shown(instance, keys).items() if not shown]


def never_evaluated(instance: dg.DagsterInstance, keys: Collection[dg.AssetCheckKey]) -> list[dg.AssetCheckKey]:
    """The checks among these that no run ever came to, or was to come to."""
    found = instance.event_log_storage.get_latest_asset_check_execution_by_key(list(keys))
    return [key for key in keys if key not in found and key.name != LATE_CHECK]


def _from_verdicts(
    key: dg.AssetCheckKey, rows: Sequence[Metadata], last: dg.AssetCheckEvaluation
) -> dg.AssetCheckEvaluation:
    bad = failing_months(key.name, rows)
    what = last.metadata.get(WHAT)
    passed = str(what.value) if what is not None and last.passed else "Nothing fails of what was judged"
    of_all = result_metadata(key, rows, bad, [row["month"] for row in rows], passed)
    judged = max(row["judged_at"] for row in rows)
    of_last = {name: entry for name, entry in last.metadata.items() if name not in (NEXT, JUDGED)}
    return _evaluation(key, last, not bad, SEVERITIES[rows[0]["severity"]], {**of_last, **of_all}, judged)


def _repeated(key: dg.AssetCheckKey, record: AssetCheckExecutionRecord) -> dg.AssetCheckEvaluation:
    """The last evaluation once more, of a check that stores no verdicts."""
    last = record.evaluation
    assert last is not None  # noqa: S101 - it is completed
    before = last.metadata.get(JUDGED)
    moment = before.value if isinstance(before, dg.TimestampMetadataValue) else None
    metadata = {name: entry for name, entry in last.metadata.items() if name != JUDGED}
    judged = dt.datetime.fromtimestamp(moment or record.create_timestamp, dt.UTC)
    return _evaluation(key, last, last.passed, last.severity, metadata, judged)


def _evaluation(
    key: dg.AssetCheckKey,
    last: dg.AssetCheckEvaluation,
    passed: bool,
    severity: dg.AssetCheckSeverity,
    metadata: Metadata,
    judged: dt.datetime,
) -> dg.AssetCheckEvaluation:
    return dg.AssetCheckEvaluation(
        asset_key=key.asset_key,
        check_name=key.name,
        passed=passed,
        severity=severity,
        description=f"Judged at {judged.astimezone(dt.UTC):%Y-%m-%d %H:%M} UTC.",
        metadata={**metadata, JUDGED: dg.MetadataValue.timestamp(judged)},
        blocking=last.blocking,
    )


def _differ(status: dg.AssetCheckEvaluation, shown: dg.AssetCheckEvaluation | None) -> bool:
    def compared(one: dg.AssetCheckEvaluation) -> tuple[object, ...]:
        severity = None if one.passed else one.severity
        return (one.passed, severity, *(one.metadata[name].value for name in COUNTS if name in one.metadata))

    return shown is None or compared(status) != compared(shown)


def _completed(instance: dg.DagsterInstance, key: dg.AssetCheckKey) -> AssetCheckExecutionRecord | None:
    summary = instance.event_log_storage.get_asset_check_summary_records([key])[key]
    return summary.last_completed_check_execution_record


class _Loading(LoadingContext):
    """What Dagster needs to resolve records: an instance, and room for what it has loaded."""

    def __init__(self, instance: dg.DagsterInstance) -> None:
        self._instance = instance
        self._loaders: dict[Any, Any] = {}

    @property
    def instance(self) -> dg.DagsterInstance:
        return self._instance

    @property
    def loaders(self) -> dict[Any, Any]:
        return self._loaders


def _shown(
    instance: dg.DagsterInstance, keys: Collection[dg.AssetCheckKey]
) -> dict[dg.AssetCheckKey, tuple[AssetCheckExecutionRecord, bool]]:
    """The last record of each check and whether the UI shows an answer for it; those that run now are left out."""

    async def is_shown(record: AssetCheckExecutionRecord, context: _Loading) -> bool | None:
        status = await record.resolve_status(context)
        if status == AssetCheckExecutionResolvedStatus.IN_PROGRESS:
            return None
        answered = status in (AssetCheckExecutionResolvedStatus.SUCCEEDED, AssetCheckExecutionResolvedStatus.FAILED)
        return answered and await record.targets_latest_materialization(context)

    async def all_shown() -> list[bool | None]:
        context = _Loading(instance)
        return await asyncio.gather(*(is_shown(record, context) for record in records.values()))

    records = instance.event_log_storage.get_latest_asset_check_execution_by_key(list(keys))
    answers = zip(records.items(), asyncio.run(all_shown()), strict=True)
    return {key: (record, shown) for (key, record), shown in answers if shown is not None}
