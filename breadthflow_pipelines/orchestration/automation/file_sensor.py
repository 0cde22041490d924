"""The sensor that runs the months of new files. What has arrived is decided in file_arrivals.py."""

from pathlib import Path

import dagster as dg
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

from breadthflow_pipelines import sessions
from breadthflow_pipelines.errors import BreadthFlowError
from breadthflow_pipelines.model.gates import listed
from breadthflow_pipelines.model.run_tags import FORMAT, range_tags
from breadthflow_pipelines.orchestration.automation import alert_messages
from breadthflow_pipelines.orchestration.automation.file_arrivals import Folder, key, look, ranges
from breadthflow_pipelines.orchestration.automation.folder_state import ArrivedFile, FolderState
from breadthflow_pipelines.orchestration.resources import Market
from breadthflow_pipelines.orchestration.stored_text import StoredText
from breadthflow_pipelines.sessions import exchange_calendar
from breadthflow_pipelines.settings import Settings
from breadthflow_pipelines.sources.registry import file_options
from breadthflow_pipelines.sources.universe_file import instruments_beside

SECONDS = 30  # between two looks into the folder
FILES_NAMED = 3  # in a run's tag


def new_files(job: UnresolvedAssetJobDefinition, settings: Settings) -> dg.SensorDefinition:
    """Runs the months that new files touch."""
    folder = _watched_folder(settings)
    stopped = isinstance(folder, str)

    @dg.sensor(
        job=job,
        name="new_files",
        minimum_interval_seconds=SECONDS,
        default_status=dg.DefaultSensorStatus.STOPPED if stopped else dg.DefaultSensorStatus.RUNNING,
        description="Runs the months that a new or changed file of bars touches, once it has come in whole.",
    )
    def sensor(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        if isinstance(folder, str):
            return dg.SkipReason(folder)
        if not folder.path.exists():
            return dg.SkipReason(f"{folder.path} does not exist; it is looked for again.")
        storage = StoredText(context.instance, "files")
        before = storage.read()
        state = FolderState.from_text(before, context.cursor)
        read_before = _last_read(context.instance) if state is None else None
        try:
            state, arrived = look(folder, state, sessions.present().timestamp(), read_before)
        except BreadthFlowError as error:
            return dg.SkipReason(str(error))
        text = state.to_text()
        if text != before:
            storage.write(text)
        _report_unreadable(context, settings, folder, arrived)
        requests = [
            dg.RunRequest(
                run_key=f"{key(files)} {first:{FORMAT}} {last:{FORMAT}}",
                tags={**range_tags(first, last), "breadthflow/files": _names(files)},
            )
            for first, last, files in ranges(arrived, settings.start_date, Market().calendar.last_closed())
        ]
        coming = sum(not entry.settled and entry.size >= 0 for entry in state.files.values())
        skipped = f"Nothing new in {folder.path}: {len(state.files) - coming} files are known, {coming} are coming in."
        return dg.SensorResult(run_requests=requests, skip_reason=None if requests else skipped, cursor=state.id)

    return sensor


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
    """When the last run of ``bars`` began: it read every file that was there by then."""
    event = instance.get_latest_materialization_event(dg.AssetKey("bars"))
    record = instance.get_run_record_by_id(event.run_id) if event is not None and event.run_id else None
    return record.start_time if record is not None else None


def _report_unreadable(
    context: dg.SensorEvaluationContext, settings: Settings, folder: Folder, arrived: list[ArrivedFile]
) -> None:
    problems = {file.path: file.problem for file in arrived if file.problem}
    for name, problem in problems.items():
        context.log.warning("%s cannot be read: %s", name, problem)
    if problems:
        alert = alert_messages.unreadable_files(str(folder.path), problems)
        alert_messages.alerter(context.instance, settings).send(alert)


def _names(files: list[ArrivedFile]) -> str:
    return listed([file.path for file in files], FILES_NAMED)
