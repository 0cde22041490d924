"""Results of checks: each is over all months that the check ever judged, whichever months the run was about.

A check judges the months of its run and stores a verdict for each (warehouse/verdicts.py); its result is read from all
verdicts. How the UI goes on showing it: check_statuses.py.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

import dagster as dg

from breadthflow_pipelines.model.gates import joined, remedy
from breadthflow_pipelines.orchestration.resources import Market
from breadthflow_pipelines.warehouse import verdicts
from breadthflow_pipelines.warehouse.verdicts import ALL, NEWEST, Fault

Metadata = Mapping[str, Any]

# In a result's metadata: what is so, and the command that mends it.
WHAT, NEXT = "what", "next"
COUNTS = ("failing", "failing_months", "months_judged")
SEVERITIES = {"error": dg.AssetCheckSeverity.ERROR, "warn": dg.AssetCheckSeverity.WARN}


def faults_by_month(
    rows: Iterable[Mapping[str, Any]], describe: Callable[[Mapping[str, Any]], str]
) -> dict[str, Fault]:
    """Rows that fail, as faults of the months of their ``session``. describe: a row that fails, in words."""
    months: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        months.setdefault(ALL if row["session"] is None else f"{row['session']:%Y-%m}", []).append(row)
    faults = {}
    for month, group in months.items():
        sessions = [row["session"] for row in group if row["session"] is not None]
        text = joined([describe(row) for row in group])
        faults[month] = Fault(len(group), text, min(sessions, default=None), max(sessions, default=None))
    return faults


def result(
    context: dg.AssetCheckExecutionContext,
    market: Market,
    faults: Mapping[str, Fault],
    months: Collection[str] = (ALL,),
    *,
    passed: str,
    warn: bool = False,
    metadata: Metadata | None = None,
) -> dg.AssetCheckResult:
    """Store what a check found in the months that it judged; gives its result over all months.

    passed: the text where nothing fails. warn: whether a failure is a warning. metadata: more, of this run.
    """
    (key,) = context.selected_asset_check_keys
    record_verdicts(context, market, key, faults, months, warn=warn)
    return stored_result(market, key, months, passed=passed, metadata=metadata)


def record_verdicts(
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


def stored_result(
    market: Market, key: dg.AssetCheckKey, own: Collection[str], *, passed: str, metadata: Metadata | None = None
) -> dg.AssetCheckResult:
    """The result of a check over all months, from its stored verdicts. own: the months that this run judged.

    Where none of the run's own months fails, an older failure does not end the run: it is a warning of the run, and
    the check turns red in the UI when the run is over.
    """
    rows = verdicts.by_check(market.store, [key.name]).get(key.name, [])
    bad = failing_months(key.name, rows, own)
    concerned = [row for row in bad if row["month"] in own]
    severity = SEVERITIES[bad[0]["severity"]] if concerned else dg.AssetCheckSeverity.WARN
    return dg.AssetCheckResult(
        check_name=key.name,
        asset_key=key.asset_key,
        passed=not bad,
        severity=severity if bad else SEVERITIES[rows[0]["severity"]] if rows else dg.AssetCheckSeverity.ERROR,
        metadata={**result_metadata(key, rows, bad, own, passed), **(metadata or {})},
    )


def result_metadata(
    key: dg.AssetCheckKey, rows: Sequence[Metadata], bad: Sequence[Metadata], own: Collection[str], passed: str
) -> dict[str, Any]:
    """What a result says. rows: the verdicts of all months, those that fail in bad. passed: the text if none does."""
    counts = {
        "failing": sum(row["failing"] for row in bad),
        "failing_months": len(bad),
        "months_judged": len(rows),
    }
    if not bad:
        return {WHAT: passed, **counts}
    concerned = [row for row in bad if row["month"] in own]
    # The same may be wrong in many months: a price that is too large, a symbol that did not answer.
    each = dict.fromkeys(f"{row['said']} (since {row['since']:%Y-%m-%d})" for row in (concerned or bad))
    text = joined(list(each))
    others = len(bad) - len(concerned)
    if concerned and others:
        text += f"; and {others} month{'s' if others > 1 else ''} that {'were' if others > 1 else 'was'} judged before"
    if not concerned and passed:
        text = f"{passed}; but {text}"
    days = [row[end] for row in (concerned or bad) for end in ("first_session", "last_session") if row[end]]
    first, last = min(days, default=None), max(days, default=None)
    next_ = remedy(key.asset_key.to_user_string(), key.name, first, last)
    return {WHAT: text, NEXT: next_, **counts}


def failing_months(check: str, rows: Sequence[Metadata], own: Collection[str] = ()) -> list[Metadata]:
    """The months that fail; whether the asset is current is a matter of the newest month, and of a run's own."""
    judged = [row for row in rows if row["month"] in own or row is rows[-1]] if check == NEWEST else rows
    return [row for row in judged if row["failing"]]
