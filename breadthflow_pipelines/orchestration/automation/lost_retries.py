"""A sensor that has Dagster try again the runs whose retry was lost.

Dagster reads each failure once. Where the code server is away at that moment, as when it died together with the run,
it cannot make the retry, and gives it up for good. This lets it read the failure again, which repeats nothing: runs
that have their retry keep it.
"""

import datetime as dt

import dagster as dg
from dagster._core.storage.tags import WILL_RETRY_TAG

LOOK_SECONDS = 60
NEWER_THAN = dt.timedelta(days=2)  # Dagster dates updates by the server's own zone, which may be a day away
MOST_TRIES = 10  # a run whose job is gone can never be tried again
GIVEN_UP = "Failed to retry run"  # what Dagster notes


def lost_retries() -> dg.SensorDefinition:
    """The sensor; it is evaluated where the code server answers, so a retry can be made."""

    @dg.sensor(
        name="lost_retries",
        minimum_interval_seconds=LOOK_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Has failed runs tried again whose retry was lost while the code server was away.",
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
    """Runs that Dagster was to retry and could not, and that nobody has run again."""
    failed = dg.RunsFilter(statuses=[dg.DagsterRunStatus.FAILURE], updated_after=now - NEWER_THAN)
    ids = [record.dagster_run.run_id for record in instance.get_run_records(failed)]
    return [run for run in ids if 0 < _times_given_up(instance, run) <= MOST_TRIES and not _repeated(instance, run)]


def _times_given_up(instance: dg.DagsterInstance, run_id: str) -> int:
    events = instance.all_logs(run_id, of_type=dg.DagsterEventType.ENGINE_EVENT)
    return sum(entry.dagster_event is not None and entry.dagster_event.message == GIVEN_UP for entry in events)


def _repeated(instance: dg.DagsterInstance, run_id: str) -> bool:
    group = instance.get_run_group(run_id)
    return group is not None and any(run.parent_run_id == run_id for run in group[1])


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
