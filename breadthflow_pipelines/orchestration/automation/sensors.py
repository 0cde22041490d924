"""What happens by itself between two evenings: new files are run, what is missing is asked for, what breaks is told.

Each is thin: what it decides is in file_arrivals.py, planning.py and alert_messages.py (docs/operations.md).
"""

import datetime as dt
import hashlib
import json
from collections import Counter
from collections.abc import Collection, Mapping
from pathlib import Path

import dagster as dg
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

from breadthflow_pipelines import sessions
from breadthflow_pipelines.errors import BreadthFlowError
from breadthflow_pipelines.model.datasets import DAILY_JOB, MONTHLY_ASSETS
from breadthflow_pipelines.model.gates import listed
from breadthflow_pipelines.observability.alerts import Alert
from breadthflow_pipelines.orchestration import freshness, gates, ingest_figures, lights
from breadthflow_pipelines.orchestration.automation import alert_messages
from breadthflow_pipelines.orchestration.automation.file_arrivals import Arrived, Folder, Known, key, look, ranges
from breadthflow_pipelines.orchestration.automation.schedules import MISSED_AFTER
from breadthflow_pipelines.orchestration.hosting.instance import show_pools
from breadthflow_pipelines.orchestration.partitions import FORMAT, first_to_refresh, range_tags
from breadthflow_pipelines.orchestration.planning import (
    UNFINISHED,
    due_session,
    first_due,
    held_sessions,
    lacking,
    unfinished_run,
    without_rows,
)
from breadthflow_pipelines.orchestration.resources import Market
from breadthflow_pipelines.orchestration.stored_text import Kept
from breadthflow_pipelines.sessions import ExchangeCalendar, exchange_calendar
from breadthflow_pipelines.settings import Settings
from breadthflow_pipelines.sources.protocol import Outcome
from breadthflow_pipelines.sources.registry import file_options
from breadthflow_pipelines.sources.universe_file import instruments_beside
from breadthflow_pipelines.warehouse import bar_store
from breadthflow_pipelines.warehouse.verdicts import last_judged

EVERY_FEW_MINUTES = 300  # seconds between two looks at what is missing
ALERT_SECONDS, FOLDER_SECONDS, LIGHT_SECONDS = 30, 30, 30
# From one try to the next; the first one is at once. After the last nobody asks again for that session.
WAITS = tuple(dt.timedelta(minutes=minutes) for minutes in (0, 15, 30, 60, 120))
NAMED = 3  # files, in a run's tag

RUNNING, STOPPED = dg.DefaultSensorStatus.RUNNING, dg.DefaultSensorStatus.STOPPED


def sensors(
    job: UnresolvedAssetJobDefinition, checks: UnresolvedAssetJobDefinition, settings: Settings
) -> list[dg.SensorDefinition]:
    """All sensors; those that have nothing to do with these settings are there, and stopped.

    Each look asks for the calendar again: a day may have been closed since the last one.
    """
    return [
        new_files(job, settings),
        catch_up(job),
        late_sessions(settings),
        check_lights(checks),
        alert_failed_runs(settings),
        alert_failed_checks(settings),
    ]


def new_files(job: UnresolvedAssetJobDefinition, settings: Settings) -> dg.SensorDefinition:
    """Runs the months that new files touch."""
    folder = _watched_folder(settings)

    @dg.sensor(
        job=job,
        name="new_files",
        minimum_interval_seconds=FOLDER_SECONDS,
        default_status=STOPPED if isinstance(folder, str) else RUNNING,
        description="Runs the months that a new or changed file of bars touches, once it has come in whole.",
    )
    def sensor(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        if isinstance(folder, str):
            return dg.SkipReason(folder)
        if not folder.path.exists():
            return dg.SkipReason(f"{folder.path} does not exist; it is looked for again.")
        kept = Kept(context.instance, "files")
        written = kept.read()
        known = Known.recalled(written, context.cursor)
        read_before = _last_read(context.instance) if known is None else None
        try:
            known, arrived = look(folder, known, sessions.present().timestamp(), read_before)
        except BreadthFlowError as error:
            return dg.SkipReason(str(error))
        text = known.written()
        if text != written:
            kept.write(text)
        _name_unreadable(context, settings, folder, arrived)
        requests = [
            dg.RunRequest(
                run_key=f"{key(files)} {first:{FORMAT}} {last:{FORMAT}}",
                tags={**range_tags(first, last), "breadthflow/files": _named(files)},
            )
            for first, last, files in ranges(arrived, settings.start_date, Market().calendar.last_closed())
        ]
        coming = sum(not entry.settled and entry.size >= 0 for entry in known.files.values())
        skipped = f"Nothing new in {folder.path}: {len(known.files) - coming} files are known, {coming} are coming in."
        return dg.SensorResult(run_requests=requests, skip_reason=None if requests else skipped, cursor=known.id)

    return sensor


def catch_up(job: UnresolvedAssetJobDefinition) -> dg.SensorDefinition:
    """Asks for what should be in and is not: after downtime at once, after a try that missed something later."""

    @dg.sensor(
        job=job,
        name="catch_up",
        minimum_interval_seconds=EVERY_FEW_MINUTES,
        default_status=RUNNING,
        description="Asks for sessions that were missed, and again for what was not to be had, a few times.",
    )
    def sensor(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        market = Market()
        session = due_session(market.calendar, MISSED_AFTER)
        told = json.loads(context.cursor or "{}")
        told = told if told.get("session") == str(session) else {"session": str(session), "tries": 0}
        if told.get("over"):
            return dg.SkipReason(f"Nothing more to ask for of {session}: {told['over']}.")
        busy = unfinished_run(context.instance)
        if busy is not None:
            return dg.SkipReason(f"Run {busy.run_id[:8]} is not over yet.")
        if session < market.settings.start_date:
            return dg.SkipReason(f"{session} lies before the first month of history, {market.settings.start}.")
        missing = _missing(context.instance, market, session)
        if missing is None:
            return dg.SkipReason("The store is empty; breadthflow run fills it, or the evening's run does.")
        if not missing:
            return _over(told, "everything is in")
        hold = gates.first_hold(market, "symbol_signals")
        if hold is not None and hold[0] < first_to_refresh(session, market.calendar).replace(day=1):
            return dg.SkipReason(" ".join(hold[1].splitlines()))  # no run would read that session
        tries = int(told["tries"])
        if tries == len(WAITS):
            alert = alert_messages.given_up(session, missing, tries)
            alert_messages.alerter(context.instance, market.settings).send(alert)
            return _over(told, f"it was asked for {tries} times, and {missing}")
        at = _not_before(context.instance, market.calendar, session, told)
        if sessions.present() < at:
            return dg.SkipReason(f"{missing[:1].upper()}{missing[1:]}; asks again at {at:%Y-%m-%d %H:%M} UTC.")
        tags = {
            **range_tags(max(first_due(context.instance, session), market.settings.start_date), session),
            "session": str(session),
            "breadthflow/reason": missing,
        }
        cursor = {**told, "tries": tries + 1, "at": sessions.present().isoformat()}
        request = dg.RunRequest(run_key=f"{session} try {tries + 1}", tags=tags)
        return dg.SensorResult(run_requests=[request], cursor=json.dumps(cursor))

    return sensor


def late_sessions(settings: Settings) -> dg.SensorDefinition:
    """Turns the lights of assets red that lack the session that is due by the clock, and green again."""

    @dg.sensor(
        name="late_sessions",
        minimum_interval_seconds=EVERY_FEW_MINUTES,
        default_status=RUNNING,
        description="Fails the check last_session_in of each asset that lacks the last session, and passes it again.",
    )
    def sensor(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        show_pools(context.instance, MONTHLY_ASSETS)
        alerts = alert_messages.alerter(context.instance, settings)
        alerts.send_what_was_not()
        market = Market()
        session = due_session(market.calendar, dt.timedelta(hours=settings.late_after_hours))
        told = json.loads(context.cursor or "{}")
        if told == {"session": str(session), "late": []} and not freshness.out(context.instance):
            return dg.SkipReason(f"{session} is in.")
        held = held_sessions(market, session)
        if held is None:
            return dg.SkipReason("The store is empty, so nothing is late.")
        late = lacking(held, session)
        now = {"session": str(session), "late": late}
        said = f"{session} is late in {', '.join(late)}." if late else f"{session} is in."
        if late and now != told:
            hold = gates.first_hold(market, "symbol_signals") if "bars" not in late else None
            alerts.send(alert_messages.late_session(session, late, held, hold[1] if hold else None))
        events = freshness.to_report(context.instance, market)
        said += " Checks were told." if events else ""
        return dg.SensorResult(asset_events=events, cursor=json.dumps(now), skip_reason=said)

    return sensor


def check_lights(checks: UnresolvedAssetJobDefinition) -> dg.SensorDefinition:
    """Keeps the lights of checks on: Dagster puts them out whenever their asset is made."""

    @dg.sensor(
        job=checks,
        name="check_lights",
        minimum_interval_seconds=LIGHT_SECONDS,
        default_status=RUNNING,
        description="Shows the last word of each check again once its asset was made, and has all judged once.",
    )
    def sensor(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        market = Market()
        newest = f"{context.instance.event_log_storage.get_maximum_record_id()} {last_judged(market.store)}"
        if newest == context.cursor:
            return dg.SkipReason("Nothing was made or judged since.")
        assert context.repository_def is not None  # noqa: S101 - the daemon has it
        keys = context.repository_def.asset_graph.asset_check_keys
        events = [*lights.to_report(context.instance, market, keys), *freshness.to_report(context.instance, market)]
        first = _never_judged(context.instance, market, keys)
        key = hashlib.sha256(" ".join(sorted(map(str, first))).encode()).hexdigest()[:16]
        requests = [dg.RunRequest(run_key=f"first judgement {key}", asset_check_keys=first)] if first else []
        said = f"{len(events)} checks are shown again." if events else "All lights are on."
        return dg.SensorResult(
            asset_events=events, run_requests=requests, cursor=newest, skip_reason=None if requests else said
        )

    return sensor


def alert_failed_runs(settings: Settings) -> dg.SensorDefinition:
    """Sends an alert for each run that failed, whoever started it."""

    @dg.run_failure_sensor(
        name="alert_failed_runs",
        monitor_all_code_locations=True,
        minimum_interval_seconds=ALERT_SECONDS,
        default_status=RUNNING if settings.alert_targets else STOPPED,
        description="Tells BREADTHFLOW_ALERT_URLS which run failed, why, and what to run next.",
    )
    def sensor(context: dg.RunFailureSensorContext) -> None:
        alert = alert_messages.failed_run(
            context.dagster_run,
            list(context.get_step_failure_events()),
            alert_messages.evaluations_of(context.instance, context.dagster_run.run_id),
            context.failure_event.message or "It ended without saying why.",
        )
        _tell(context, settings, alert)

    return sensor


def alert_failed_checks(settings: Settings) -> dg.SensorDefinition:
    """Sends an alert for checks of severity error that failed without ending their run."""

    @dg.run_status_sensor(
        run_status=dg.DagsterRunStatus.SUCCESS,
        name="alert_failed_checks",
        monitor_all_code_locations=True,
        minimum_interval_seconds=ALERT_SECONDS,
        default_status=RUNNING if settings.alert_targets else STOPPED,
        description="Tells BREADTHFLOW_ALERT_URLS which checks failed in a run that went through.",
    )
    def sensor(context: dg.RunStatusSensorContext) -> None:
        run = context.dagster_run
        alert = alert_messages.failed_checks(run, alert_messages.evaluations_of(context.instance, run.run_id))
        if alert is not None:
            _tell(context, settings, alert)

    return sensor


def _tell(context: dg.RunStatusSensorContext, settings: Settings, alert: Alert) -> None:
    done = alert_messages.alerter(context.instance, settings).send(alert)
    context.log.info("%s: %s", alert.fingerprint, done)


def _watched_folder(settings: Settings) -> Folder | str:
    """The folder in which new files are looked for, or why there is none."""
    if settings.source != "files":
        return f"BREADTHFLOW_SOURCE={settings.source} reads no folder of files."
    if settings.source_path is None:
        return "BREADTHFLOW_SOURCE_PATH is not set."
    source = Path(settings.source_path)
    watched = settings.drop_folder or source
    if not watched.is_relative_to(source):
        return (
            f"BREADTHFLOW_DROP_FOLDER={watched} does not lie in BREADTHFLOW_SOURCE_PATH={source}: "
            "runs would not read what arrives there."
        )
    beside = instruments_beside(settings.universe_file) if settings.universe_file else None
    ignored = tuple(path for path in (settings.universe_file, beside) if path is not None)
    return Folder(watched, file_options(settings, exchange_calendar(settings.calendar)), ignored)


def _last_read(instance: dg.DagsterInstance) -> float | None:
    """When the run began that made bars last: it read every file that was there by then."""
    event = instance.get_latest_materialization_event(dg.AssetKey("bars"))
    record = instance.get_run_record_by_id(event.run_id) if event is not None and event.run_id else None
    return record.start_time if record is not None else None


def _name_unreadable(
    context: dg.SensorEvaluationContext, settings: Settings, folder: Folder, arrived: list[Arrived]
) -> None:
    problems = {file.path: file.problem for file in arrived if file.problem}
    for name, problem in problems.items():
        context.log.warning("%s cannot be read: %s", name, problem)
    if problems:
        alert = alert_messages.unreadable_files(str(folder.path), problems)
        alert_messages.alerter(context.instance, settings).send(alert)


def _named(files: list[Arrived]) -> str:
    return listed([file.path for file in files], NAMED)


def _over(told: Mapping[str, object], why: str) -> dg.SensorResult:
    return dg.SensorResult(cursor=json.dumps({**told, "over": why}), skip_reason=f"{told['session']}: {why}.")


def _never_judged(
    instance: dg.DagsterInstance, market: Market, keys: Collection[dg.AssetCheckKey]
) -> list[dg.AssetCheckKey]:
    """The checks that have something to judge and never did; none while runs work that may come to them."""
    if instance.get_runs(dg.RunsFilter(statuses=UNFINISHED), limit=1):
        return []
    nothing = without_rows(market)
    return [key for key in lights.never_judged(instance, keys) if key.asset_key.to_user_string() not in nothing]


def _missing(instance: dg.DagsterInstance, market: Market, session: dt.date) -> str | None:
    """What of a session is not in and may come in a later run, in words; empty where all is; None in an empty store."""
    held = held_sessions(market, session)
    if held is None:
        return None
    late = lacking(held, session)
    if late:
        return f"{session} is not in {', '.join(late)}"
    outcomes = _outcomes(instance, session)
    if outcomes[Outcome.FAILED]:
        return f"{outcomes[Outcome.FAILED]} symbols could not be read"
    before = market.calendar.back(session, 1)
    bars = dict(bar_store.sessions_held(market.store, before, session, synthetic=market.source.synthetic).iter_rows())
    fewer = bars.get(before, 0) - bars.get(session, 0)
    if outcomes[Outcome.NOT_YET] and fewer > 0:  # others ended long ago, and will never have it
        return f"{fewer} symbols have no bar of {session} yet"
    return ""


def _outcomes(instance: dg.DagsterInstance, session: dt.date) -> Counter[str]:
    """How many symbols of each outcome the last run of the session's month had."""
    return Counter(ingest_figures.latest(instance, "bars", session.strftime(FORMAT)).get("symbols", {}))


def _not_before(
    instance: dg.DagsterInstance, calendar: ExchangeCalendar, session: dt.date, told: Mapping[str, object]
) -> dt.datetime:
    """When to ask again: at once where nobody has asked since the close, else some time after the last answer."""
    records = instance.get_run_records(dg.RunsFilter(job_name=DAILY_JOB), limit=1)
    ended = records[0].end_time if records and records[0].end_time else 0.0
    last = dt.datetime.fromtimestamp(ended, dt.UTC)
    tries = int(str(told["tries"]))
    if tries == 0 and last < calendar.close_of(session):
        return calendar.close_of(session)
    asked = dt.datetime.fromisoformat(str(told["at"])) if "at" in told else last
    return max(last, asked) + WAITS[max(1, tries)]
