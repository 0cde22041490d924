"""Sensors that send alerts of runs and checks that failed. What an alert says is in alert_messages.py."""

import dagster as dg

from breadthflow_pipelines.observability.alerts import Alert
from breadthflow_pipelines.orchestration.automation import alert_messages
from breadthflow_pipelines.settings import Settings

SECONDS = 30  # between two looks


def alert_failed_runs(settings: Settings) -> dg.SensorDefinition:
    """Sends an alert for each run that failed, whoever started it."""

    @dg.run_failure_sensor(
        name="alert_failed_runs",
        monitor_all_code_locations=True,
        minimum_interval_seconds=SECONDS,
        default_status=_default_status(settings),
        description="Tells BREADTHFLOW_ALERT_URLS which run failed, why, and what to run next.",
    )
    def sensor(context: dg.RunFailureSensorContext) -> None:
        alert = alert_messages.failed_run(
            context.dagster_run,
            list(context.get_step_failure_events()),
            alert_messages.evaluations_of(context.instance, context.dagster_run.run_id),
            context.failure_event.message or alert_messages.NO_REASON,
        )
        _send(context, settings, alert)

    return sensor


def alert_failed_checks(settings: Settings) -> dg.SensorDefinition:
    """Sends an alert for checks of severity error that failed without ending their run."""

    @dg.run_status_sensor(
        run_status=dg.DagsterRunStatus.SUCCESS,
        name="alert_failed_checks",
        monitor_all_code_locations=True,
        minimum_interval_seconds=SECONDS,
        default_status=_default_status(settings),
        description="Tells BREADTHFLOW_ALERT_URLS which checks failed in a run that went through.",
    )
    def sensor(context: dg.RunStatusSensorContext) -> None:
        run = context.dagster_run
        alert = alert_messages.failed_checks(run, alert_messages.evaluations_of(context.instance, run.run_id))
        if alert is not None:
            _send(context, settings, alert)

    return sensor


def _default_status(settings: Settings) -> dg.DefaultSensorStatus:
    return dg.DefaultSensorStatus.RUNNING if settings.alert_targets else dg.DefaultSensorStatus.STOPPED


def _send(context: dg.RunStatusSensorContext, settings: Settings, alert: Alert) -> None:
    done = alert_messages.alerter(context.instance, settings).send(alert)
    context.log.info("%s: %s", alert.fingerprint, done)
