"""All sensors: new files are run, what is missing is asked for, checks are shown, what breaks is alerted, or retried.

Each is thin: what it decides is in file_arrivals.py, planning.py and alert_messages.py (docs/operations.md).
"""

import dagster as dg
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

from breadthflow_pipelines.orchestration.automation.alert_sensors import alert_failed_checks, alert_failed_runs
from breadthflow_pipelines.orchestration.automation.catch_up import catch_up
from breadthflow_pipelines.orchestration.automation.check_sensors import check_lights, late_sessions
from breadthflow_pipelines.orchestration.automation.file_sensor import new_files
from breadthflow_pipelines.orchestration.automation.lost_retries import lost_retries
from breadthflow_pipelines.settings import Settings


def sensors(
    job: UnresolvedAssetJobDefinition, checks: UnresolvedAssetJobDefinition, settings: Settings
) -> list[dg.SensorDefinition]:
    """All sensors; those that have nothing to do with these settings are registered, and stopped.

    Each look asks for the calendar again: a day may have been closed since the last one.
    """
    return [
        new_files(job, settings),
        catch_up(job),
        late_sessions(settings),
        check_lights(checks),
        alert_failed_runs(settings),
        alert_failed_checks(settings),
        lost_retries(),
    ]
