"""What turns red when the last session is late: Dagster's coarse policy, and a check that knows the calendar.

The check is reported without a run, by the sensor late_sessions; see docs/decisions/freshness.md.
"""

import datetime as dt
from collections.abc import Sequence
from typing import Any

import dagster as dg

from breadthflow_pipelines.model.datasets import LATE_CHECK, MARKET_ASSETS, WATCHED
from breadthflow_pipelines.orchestration.check_results import NEXT, WHAT
from breadthflow_pipelines.orchestration.check_statuses import not_shown
from breadthflow_pipelines.orchestration.planning import held_sessions, lacking
from breadthflow_pipelines.orchestration.resources import Market
from breadthflow_pipelines.sessions import ExchangeCalendar, due_session

SPARE = dt.timedelta(days=1)  # beside the exchange's longest break
BY_HAND = dt.timedelta(days=35)  # published counts are old when none were imported for more than a month


def with_freshness(
    assets: Sequence[dg.AssetsDefinition], calendar: ExchangeCalendar
) -> Sequence[dg.AssetsDefinition | dg.AssetSpec]:
    """The same assets; those of the daily run fail when nothing was made for longer than the exchange ever pauses.

    Published counts are imported by hand, so they have longer; an asset that was never materialized is not judged.
    """
    daily = dg.FreshnessPolicy.time_window(fail_window=calendar.longest_break() + SPARE)
    by_hand = dg.FreshnessPolicy.time_window(fail_window=BY_HAND)

    def with_policy(spec: dg.AssetSpec) -> dg.AssetSpec:
        policy = daily if spec.key.to_user_string() in MARKET_ASSETS else by_hand
        changed: dg.AssetSpec = dg.apply_freshness_policy(spec, policy, overwrite_existing=False)
        return changed

    return dg.map_asset_specs(with_policy, assets)


def evaluations(session: dt.date, held: dict[str, dt.date | None]) -> list[dg.AssetCheckEvaluation]:
    """The check of each asset, as an event that needs no run. held: the last session of each."""
    late = lacking(held, session)
    return [
        dg.AssetCheckEvaluation(
            asset_key=dg.AssetKey(name),
            check_name=LATE_CHECK,
            passed=name not in late,
            metadata=_metadata(session, last, late=name in late),
            severity=dg.AssetCheckSeverity.ERROR,
            blocking=False,
        )
        for name, last in held.items()
    ]


def outdated_statuses(instance: dg.DagsterInstance, market: Market) -> list[dg.AssetCheckEvaluation]:
    """What the UI should show of these checks where it shows nothing or something old; none in an empty store.

    Dagster no longer shows a check once its asset is materialized again, even where the session is still in.
    """
    session = due_session(market.calendar, dt.timedelta(hours=market.settings.late_after_hours))
    held = held_sessions(market, session)
    if held is None:
        return []
    now = evaluations(session, held)
    keys = [evaluation.asset_check_key for evaluation in now]
    shown = instance.event_log_storage.get_latest_asset_check_execution_by_key(keys)
    before = {key: record.evaluation for key, record in shown.items()}
    hidden = {*not_shown(instance, keys), *(key for key in keys if key not in shown)}
    return [
        evaluation
        for evaluation in now
        if evaluation.asset_check_key in hidden or _differs(evaluation, before[evaluation.asset_check_key])
    ]


def is_hidden(instance: dg.DagsterInstance) -> bool:
    """Whether the UI shows one of the checks as not evaluated though it was."""
    return bool(not_shown(instance, [dg.AssetCheckKey(dg.AssetKey(name), LATE_CHECK) for name in WATCHED]))


def _differs(now: dg.AssetCheckEvaluation, before: dg.AssetCheckEvaluation | None) -> bool:
    return before is None or (now.passed, now.metadata) != (before.passed, before.metadata)


def late_checks() -> list[dg.AssetChecksDefinition]:
    """The check of each asset of sessions, for whoever runs it by hand; no job of ours does."""
    return [_late_check(name) for name in WATCHED]


def _late_check(asset: str) -> dg.AssetChecksDefinition:
    @dg.asset_check(
        asset=asset,
        name=LATE_CHECK,
        description="The last session that is due by the clock is here. The sensor late_sessions tells it.",
    )
    def check(market: Market) -> dg.AssetCheckResult:
        session = due_session(market.calendar, dt.timedelta(hours=market.settings.late_after_hours))
        held = held_sessions(market, session) or dict.fromkeys(WATCHED)
        late = asset in lacking(held, session)
        return dg.AssetCheckResult(passed=not late, metadata=_metadata(session, held[asset], late=late))

    return check


def _metadata(session: dt.date, last: dt.date | None, *, late: bool) -> dict[str, Any]:
    """The figures, and in words what they mean."""
    held = str(last) if last else "none"
    what = f"{session} is late; the last one held is {held}" if late else f"{session} is in"
    what = what if late or last else "there are none yet: history is too short"
    return {
        WHAT: what,
        **({NEXT: "breadthflow run"} if late else {}),
        "due": str(session),
        "last_held": held,
    }
