"""Sensors that keep the checks in the UI up to date: those by the clock, and those that Dagster no longer shows."""

import datetime as dt
import hashlib
import json
from collections.abc import Collection

import dagster as dg
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

from breadthflow_pipelines.model.datasets import MONTHLY_ASSETS
from breadthflow_pipelines.orchestration import check_statuses, freshness
from breadthflow_pipelines.orchestration.automation import alert_messages
from breadthflow_pipelines.orchestration.holds import first_hold
from breadthflow_pipelines.orchestration.hosting.instance import show_pools
from breadthflow_pipelines.orchestration.planning import UNFINISHED, held_sessions, lacking, without_rows
from breadthflow_pipelines.orchestration.resources import Market
from breadthflow_pipelines.sessions import due_session
from breadthflow_pipelines.settings import Settings
from breadthflow_pipelines.warehouse.verdicts import last_judged

LATE_SECONDS, STATUS_SECONDS = 300, 30  # between two looks


def late_sessions(settings: Settings) -> dg.SensorDefinition:
    """Fails the checks of assets that lack the session that is due by the clock, and passes them again."""

    @dg.sensor(
        name="late_sessions",
        minimum_interval_seconds=LATE_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Fails the check last_session_in of each asset that lacks the last session, and passes it again.",
    )
    def sensor(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        show_pools(context.instance, MONTHLY_ASSETS)
        alerts = alert_messages.alerter(context.instance, settings)
        for memory in alert_messages.MEMORIES:
            alert_messages.alerter(context.instance, settings, memory).send_unsent()
        market = Market()
        session = due_session(market.calendar, dt.timedelta(hours=settings.late_after_hours))
        before = json.loads(context.cursor or "{}")
        if before == {"session": str(session), "late": []} and not freshness.is_hidden(context.instance):
            return dg.SkipReason(f"{session} is in.")
        held = held_sessions(market, session)
        if held is None:
            return dg.SkipReason("The store is empty, so nothing is late.")
        late = lacking(held, session)
        now = {"session": str(session), "late": late}
        if late and now != before:
            hold = first_hold(market, "symbol_signals") if "bars" not in late else None
            alerts.send(alert_messages.late_session(session, late, held, hold[1] if hold else None))
        events = freshness.outdated_statuses(context.instance, market)
        skipped = f"{session} is late in {', '.join(late)}." if late else f"{session} is in."
        skipped += " Checks were reported." if events else ""
        return dg.SensorResult(asset_events=events, cursor=json.dumps(now), skip_reason=skipped)

    return sensor


def check_lights(checks: UnresolvedAssetJobDefinition) -> dg.SensorDefinition:
    """Keeps checks visible: Dagster shows them as not evaluated whenever their asset is materialized."""

    @dg.sensor(
        job=checks,
        name="check_lights",
        minimum_interval_seconds=STATUS_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Shows the last result of each check again once its asset was made, and has each judged once.",
    )
    def sensor(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        market = Market()
        newest = f"{context.instance.event_log_storage.get_maximum_record_id()} {last_judged(market.store)}"
        if newest == context.cursor:
            return dg.SkipReason("Nothing was made or judged since.")
        assert context.repository_def is not None  # noqa: S101 - the daemon has it
        keys = context.repository_def.asset_graph.asset_check_keys
        events = [
            *check_statuses.outdated_statuses(context.instance, market, keys),
            *freshness.outdated_statuses(context.instance, market),
        ]
        first = _never_evaluated(context.instance, market, keys)
        key = hashlib.sha256(" ".join(sorted(map(str, first))).encode()).hexdigest()[:16]
        requests = [dg.RunRequest(run_key=f"first judgement {key}", asset_check_keys=first)] if first else []
        skipped = f"{len(events)} checks are shown again." if events else "All checks are shown."
        return dg.SensorResult(
            asset_events=events, run_requests=requests, cursor=newest, skip_reason=None if requests else skipped
        )

    return sensor


def _never_evaluated(
    instance: dg.DagsterInstance, market: Market, keys: Collection[dg.AssetCheckKey]
) -> list[dg.AssetCheckKey]:
    """The checks that have rows to judge and never did; none while runs work that may come to them."""
    if instance.get_runs(dg.RunsFilter(statuses=UNFINISHED), limit=1):
        return []
    nothing = without_rows(market)
    return [
        key for key in check_statuses.never_evaluated(instance, keys) if key.asset_key.to_user_string() not in nothing
    ]
