"""What the UI shows of a check: its last word on the whole asset, whichever months the last run was about.

Each check judges its run's own months and stores what it says of each (warehouse/verdicts.py); its result is over all
months that were ever judged. Dagster shows a result only until its asset is made again, so those that went out are
reported again, with the time at which they were judged (docs/decisions/gates.md).
"""

import asyncio
import datetime as dt
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

import dagster as dg
from dagster._core.loader import LoadingContext
from dagster._core.storage.asset_check_execution_record import (
    COMPLETED_ASSET_CHECK_EXECUTION_RECORD_STATUSES,
    AssetCheckExecutionRecord,
    AssetCheckExecutionResolvedStatus,
)

from breadthflow_pipelines.model.datasets import LATE_CHECK
from breadthflow_pipelines.model.gates import joined, remedy
from breadthflow_pipelines.orchestration.resources import Market
from breadthflow_pipelines.warehouse import verdicts
from breadthflow_pipelines.warehouse.verdicts import ALL, NEWEST, Fault

Metadata = Mapping[str, Any]

WHAT, NEXT, JUDGED = "what", "next", "judged"
COUNTS = ("failing", "failing_months", "months_judged")
_SEVERITIES = {"error": dg.AssetCheckSeverity.ERROR, "warn": dg.AssetCheckSeverity.WARN}


def by_month(rows: Iterable[Mapping[str, Any]], said: Callable[[Mapping[str, Any]], str]) -> dict[str, Fault]:
    """Rows that fail, as faults of the months of their ``session``; said: of one row, in words."""
    months: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        months.setdefault(ALL if row["session"] is None else f"{row['session']:%Y-%m}", []).append(row)
    faults = {}
    for month, group in months.items():
        sessions = [row["session"] for row in group if row["session"] is not None]
        said_of = joined([said(row) for row in group])
        faults[month] = Fault(len(group), said_of, min(sessions, default=None), max(sessions, default=None))
    return faults


def result(
    context: dg.AssetCheckExecutionContext,
    market: Market,
    faults: Mapping[str, Fault],
    months: Collection[str] = (ALL,),
    *,
    well: str,
    warn: bool = False,
    more: Metadata | None = None,
) -> dg.AssetCheckResult:
    """Store what a check found in the months that it judged, and say what it knows of all of them.

    well: what is so where nothing fails. more: figures of this run, beside those of the whole asset.
    """
    (key,) = context.selected_asset_check_keys
    record(context, market, key, faults, months, warn=warn)
    return known(market, key, months, well=well, more=more)


def record(
    context: dg.AssetCheckExecutionContext,
    market: Market,
    key: dg.AssetCheckKey,
    faults: Mapping[str, Fault],
    months: Collection[str],
    *,
    warn: bool,
) -> None:
    """Store what a check found in the months that it judged."""
    asset, severity = key.asset_key.to_user_string(), "warn" if warn else "error"
    verdicts.record(market.store, asset, key.name, months, faults, run_id=context.run.run_id, severity=severity)


def known(
    market: Market, key: dg.AssetCheckKey, own: Collection[str], *, well: str, more: Metadata | None = None
) -> dg.AssetCheckResult:
    """What a check says of its asset, from what is stored.

    Where nothing of the run's own months fails, an older failure does not end the run: it is a warning of the run, and
    the light turns red when the run is over.
    """
    rows = verdicts.by_check(market.store, [key.name]).get(key.name, [])
    bad = _failing(key.name, rows, own)
    concerned = [row for row in bad if row["month"] in own]
    severity = _SEVERITIES[bad[0]["severity"]] if concerned else dg.AssetCheckSeverity.WARN
    return dg.AssetCheckResult(
        check_name=key.name,
        asset_key=key.asset_key,
        passed=not bad,
        severity=severity if bad else _SEVERITIES[rows[0]["severity"]] if rows else dg.AssetCheckSeverity.ERROR,
        metadata={**_metadata(key, rows, bad, own, well), **(more or {})},
    )


def to_report(
    instance: dg.DagsterInstance, market: Market, keys: Collection[dg.AssetCheckKey]
) -> list[dg.AssetCheckEvaluation]:
    """The checks whose light is out, or says something else than what is known, as events that need no run.

    A light is out where its asset was made after the check was judged, or where a run ended before it came to it. The
    check by the clock is left to freshness.py; one that was never judged has nothing to show.
    """
    keys = [key for key in keys if key.name != LATE_CHECK]
    records = _shown(instance, keys)
    rows = verdicts.by_check(market.store, {key.name for key in keys})
    reported = []
    for key, (record, shown) in records.items():
        last = record if record.status in COMPLETED_ASSET_CHECK_EXECUTION_RECORD_STATUSES else _completed(instance, key)
        if last is None or last.evaluation is None:
            continue
        light = _light(key, rows[key.name], last.evaluation) if key.name in rows else _again(key, last)
        if not shown or _differ(light, record.evaluation):
            reported.append(light)
    return reported


def out(instance: dg.DagsterInstance, keys: Collection[dg.AssetCheckKey]) -> list[dg.AssetCheckKey]:
    """Those of these checks that the UI shows as not evaluated though they once were."""
    return [key for key, (_, shown) in _shown(instance, keys).items() if not shown]


def never_judged(instance: dg.DagsterInstance, keys: Collection[dg.AssetCheckKey]) -> list[dg.AssetCheckKey]:
    """Those of these checks that no run ever came to, or was to come to."""
    found = instance.event_log_storage.get_latest_asset_check_execution_by_key(list(keys))
    return [key for key in keys if key not in found and key.name != LATE_CHECK]


def _metadata(
    key: dg.AssetCheckKey, rows: Sequence[Metadata], bad: Sequence[Metadata], own: Collection[str], well: str
) -> dict[str, Any]:
    counts = {
        "failing": sum(row["failing"] for row in bad),
        "failing_months": len(bad),
        "months_judged": len(rows),
    }
    if not bad:
        return {WHAT: well, **counts}
    concerned = [row for row in bad if row["month"] in own]
    # The same may be wrong in many months: a price that is too large, a symbol that did not answer.
    each = dict.fromkeys(f"{row['said']} (since {row['since']:%Y-%m-%d})" for row in (concerned or bad))
    said = joined(list(each))
    others = len(bad) - len(concerned)
    if concerned and others:
        said += f"; and {others} month{'s' if others > 1 else ''} that {'were' if others > 1 else 'was'} judged before"
    if not concerned and well:
        said = f"{well}; but {said}"
    days = [row[end] for row in (concerned or bad) for end in ("first_session", "last_session") if row[end]]
    first, last = min(days, default=None), max(days, default=None)
    next_ = remedy(key.asset_key.to_user_string(), key.name, first, last)
    return {WHAT: said, NEXT: next_, **counts}


def _failing(check: str, rows: Sequence[Metadata], own: Collection[str] = ()) -> list[Metadata]:
    """The months that fail; whether the asset is current is a matter of the newest month, and of a run's own."""
    judged = [row for row in rows if row["month"] in own or row is rows[-1]] if check == NEWEST else rows
    return [row for row in judged if row["failing"]]


def _light(key: dg.AssetCheckKey, rows: Sequence[Metadata], last: dg.AssetCheckEvaluation) -> dg.AssetCheckEvaluation:
    bad = _failing(key.name, rows)
    what = last.metadata.get(WHAT)
    well = str(what.value) if what is not None and last.passed else "Nothing fails of what was judged"
    told = _metadata(key, rows, bad, [row["month"] for row in rows], well)
    judged = max(row["judged_at"] for row in rows)
    kept = {name: entry for name, entry in last.metadata.items() if name not in (NEXT, JUDGED)}
    return _evaluation(key, last, not bad, _SEVERITIES[rows[0]["severity"]], {**kept, **told}, judged)


def _again(key: dg.AssetCheckKey, record: AssetCheckExecutionRecord) -> dg.AssetCheckEvaluation:
    """The last word once more, of a check of which the store knows nothing."""
    last = record.evaluation
    assert last is not None  # noqa: S101 - it is completed
    before = last.metadata.get(JUDGED)
    moment = before.value if isinstance(before, dg.TimestampMetadataValue) else None
    kept = {name: entry for name, entry in last.metadata.items() if name != JUDGED}
    judged = dt.datetime.fromtimestamp(moment or record.create_timestamp, dt.UTC)
    return _evaluation(key, last, last.passed, last.severity, kept, judged)


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


def _differ(light: dg.AssetCheckEvaluation, shown: dg.AssetCheckEvaluation | None) -> bool:
    def told(one: dg.AssetCheckEvaluation) -> tuple[object, ...]:
        severity = None if one.passed else one.severity
        return (one.passed, severity, *(one.metadata[name].value for name in COUNTS if name in one.metadata))

    return shown is None or told(light) != told(shown)


def _completed(instance: dg.DagsterInstance, key: dg.AssetCheckKey) -> AssetCheckExecutionRecord | None:
    summary = instance.event_log_storage.get_asset_check_summary_records([key])[key]
    return summary.last_completed_check_execution_record


class _Loading(LoadingContext):
    """What Dagster's own reading of records wants: an instance, and room for what was read."""

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
    """The last record of each check and whether the UI shows an answer for it; those that run just now are left out."""

    async def look(record: AssetCheckExecutionRecord, context: _Loading) -> bool | None:
        status = await record.resolve_status(context)
        if status == AssetCheckExecutionResolvedStatus.IN_PROGRESS:
            return None
        answered = status in (AssetCheckExecutionResolvedStatus.SUCCEEDED, AssetCheckExecutionResolvedStatus.FAILED)
        return answered and await record.targets_latest_materialization(context)

    async def look_at_all() -> list[bool | None]:
        context = _Loading(instance)
        return await asyncio.gather(*(look(record, context) for record in records.values()))

    records = instance.event_log_storage.get_latest_asset_check_execution_by_key(list(keys))
    answers = zip(records.items(), asyncio.run(look_at_all()), strict=True)
    return {key: (record, shown) for (key, record), shown in answers if shown is not None}
