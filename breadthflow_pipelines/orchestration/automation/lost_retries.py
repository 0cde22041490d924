"""A sensor that has Dagster try again the failed runs that it should, and does not.

Dagster reads each failure once, and gives the retry up for good where it cannot be made at that moment: the code server
died together with the run, or the database's connections were cut. And it retries no run that a step ended, since most
of these would end in the same way; not so where the database was away, or a disk full. This lets it read such a failure
again, which repeats nothing: runs that have their retry keep it.
"""

import datetime as dt

import dagster as dg
from dagster._core.storage.tags import AUTO_RETRY_RUN_ID_TAG, MAX_RETRIES_TAG, WILL_RETRY_TAG

from breadthflow_pipelines.orchestration.automation.alert_messages import events_of
from breadthflow_pipelines.orchestration.step_failures import step_failure

LOOK_SECONDS = 60
NEWER_THAN = dt.timedelta(days=2)  # Dagster dates updates by the server's own zone, which may be a day away
MOST_TRIES = 10  # a run whose job is gone can never be tried again
MOST_AGAIN = 5  # runs in a row that ended like this; then it does not pass by itself
GIVEN_UP = "Failed to retry run"  # what Dagster notes
OF_NO_USE = "Not retrying run since it is part of a backfill"  # one that is over


def lost_retries() -> dg.SensorDefinition:
    """The sensor; it is evaluated where the code server answers, so a retry can be made."""

    @dg.sensor(
        name="lost_retries",
        minimum_interval_seconds=LOOK_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Has runs tried again that lost their retry, or that a full disk or an absent database ended.",
    )
    def sensor(context: dg.SensorEvaluationContext) -> dg.SkipReason:
        lost = _lost(context.instance, dt.datetime.now(dt.UTC))
        if not lost:
            return dg.SkipReason("No retry is missing.")
        for run_id in lost:
            context.instance.add_run_tags(run_id, {WILL_RETRY_TAG: "true"})
        _read_again(context.instance, lost)
        return dg.SkipReason(f"Dagster retries {', '.join(run[:8] for run in lost)}, which it had given up.")

    return sensor


def _lost(instance: dg.DagsterInstance, now: dt.datetime) -> list[str]:
    """Runs that Dagster was to retry and did not, and that nobody has run again."""
    failed = dg.RunsFilter(statuses=[dg.DagsterRunStatus.FAILURE], updated_after=now - NEWER_THAN)
    runs = [record.dagster_run for record in instance.get_run_records(failed)]
    return [run.run_id for run in runs if run.tags.get(MAX_RETRIES_TAG) != "0" and _is_lost(instance, run)]


def _is_lost(instance: dg.DagsterInstance, run: dg.DagsterRun) -> bool:
    found = instance.get_run_group(run.run_id)
    group = [] if found is None else list(found[1])
    if _is_repeated(run, group):
        return False
    notes = [event.message or "" for event in events_of(instance, run.run_id, dg.DagsterEventType.ENGINE_EVENT)]
    tries = notes.count(GIVEN_UP)
    if tries > MOST_TRIES or any(note.startswith(OF_NO_USE) for note in notes):
        return False
    promised = run.tags.get(WILL_RETRY_TAG) == "true"
    return tries > 0 or promised or (len(group) <= MOST_AGAIN and _may_pass(instance, run.run_id))


def _is_repeated(run: dg.DagsterRun, group: list[dg.DagsterRun]) -> bool:
    """Whether somebody ran it again. A retry that was made and not put into the queue is still Dagster's to start."""
    again = [other.status for other in group if other.parent_run_id == run.run_id]
    if not again:
        return AUTO_RETRY_RUN_ID_TAG in run.tags  # somebody deleted its retry
    return any(status is not dg.DagsterRunStatus.NOT_STARTED for status in again)


def _may_pass(instance: dg.DagsterInstance, run_id: str) -> bool:
    """Whether a step ended because of something that may have passed since."""
    failures = events_of(instance, run_id, dg.DagsterEventType.STEP_FAILURE)
    return any(step_failure(event).may_pass for event in failures)


def _read_again(instance: dg.DagsterInstance, run_ids: list[str]) -> None:
    """Set the place from which Dagster reads failures to before the first one of these runs."""
    from dagster._daemon.auto_run_reexecution import event_log_consumer  # only here: it brings the daemon along

    kind = dg.DagsterEventType.RUN_FAILURE
    records = (instance.get_records_for_run(run_id, of_type=kind).records for run_id in run_ids)
    first = min((record.storage_id for found in records for record in found), default=None)
    key = event_log_consumer._create_cursor_key(kind)
    reached = instance.daemon_cursor_storage.get_cursor_values({key}).get(key)
    if first is not None and reached is not None and int(reached) >= first:
        instance.daemon_cursor_storage.set_cursor_values({key: str(first - 1)})
