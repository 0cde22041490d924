"""What alerts say: what broke, where, and what to run next. How they are sent: observability/alerts.py."""

import calendar
import datetime as dt
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import dagster as dg

from breadthflow_pipelines.errors import NEXT_LINE, HeldError, UnreachableError, in_words
from breadthflow_pipelines.model.datasets import CHECKS_JOB, PUBLISHED_JOB
from breadthflow_pipelines.model.run_tags import SESSION_TAG, THROUGH_TAG, months_of
from breadthflow_pipelines.observability.alerts import Alert, Alerter
from breadthflow_pipelines.orchestration.check_results import NEXT, WHAT
from breadthflow_pipelines.orchestration.step_failures import step_failure
from breadthflow_pipelines.orchestration.stored_text import StoredText
from breadthflow_pipelines.settings import Settings

RETRY_TAG, ROOT_TAG = "dagster/retry_number", "dagster/root_run_id"
MOST_ROWS = 3  # of a check's table
LONGEST_FIGURE = 300
NO_REASON = "It ended without saying why."
# Runs send digests and reviews beside the daemon, and they do not count among an hour's alerts: they have a memory of
# their own.
ALERTS, DIGESTS = MEMORIES = ("alerts", "digests")


def alerter(instance: dg.DagsterInstance, settings: Settings, memory: str = ALERTS) -> Alerter:
    """Sends to the addresses of the settings, and remembers in Dagster's storage what it sent."""
    return Alerter(settings.alert_targets, StoredText(instance, memory), settings.secrets)


def failed_run(
    run: dg.DagsterRun,
    failures: Sequence[dg.DagsterEvent],
    evaluations: Iterable[dg.AssetCheckEvaluation],
    message: str,
) -> Alert:
    """A run that ended before it was done. failures: of its steps; message: the text where no step failed."""
    failed = _errors_only(evaluations)
    raised = [failure for event in failures if not (failure := step_failure(event)).is_failed_check]
    texts = [f"{failure.step}: {failure.message.partition(NEXT_LINE)[0]}" for failure in raised]
    texts += [_describe(evaluation) for evaluation in failed]
    where = [*(failure.step for failure in raised), *(_check_name(evaluation) for evaluation in failed)]
    command = _rerun(run)
    held = next((failure for failure in raised if failure.class_name == HeldError.__name__), None)
    if held is not None:
        command = held.message.partition(NEXT_LINE)[2]
    elif failed and not raised:
        command = _mend(failed) or f"breadthflow check --select {_names(failed)}; when the data are mended: {command}"
    elif any(failure.is_a(UnreachableError) for failure in raised):
        command = f"breadthflow sources (does it answer?), then: {command}"
    return Alert(
        title=f"BreadthFlow: {', '.join(where) or run.job_name} failed",
        what="\n".join(texts) or in_words(message),
        where=_place(run, where),
        command=command,
        kind=("run", run.job_name, *where, *(failure.class_name for failure in raised)),
        occasion=f"run {_root(run)}",
    )


def failed_checks(run: dg.DagsterRun, evaluations: Iterable[dg.AssetCheckEvaluation]) -> Alert | None:
    """Checks of severity error that failed in a run which went through; None where there are none."""
    failed = _errors_only(evaluations)
    if not failed:
        return None
    where = [_check_name(evaluation) for evaluation in failed]
    return Alert(
        title=f"BreadthFlow: check {', '.join(where)} failed",
        what="\n".join(_describe(evaluation) for evaluation in failed),
        where=_place(run, where),
        command=_mend(failed) or f"breadthflow check --select {_names(failed)}; then: {_rerun(run)}",
        kind=("checks", *where),
        occasion=f"checks {run.run_id}",
    )


def made_good(failed: dg.DagsterRun, later: dg.DagsterRun) -> bool:
    """Whether a run that went through did what an earlier one was to do: all that was due, or at least its months."""
    if later.job_name != failed.job_name or _configured(later) != _configured(failed):
        return False
    if later.asset_selection not in (None, failed.asset_selection):
        return False
    if later.asset_check_selection not in (None, failed.asset_check_selection):
        return False
    if SESSION_TAG in failed.tags and SESSION_TAG in later.tags:
        return later.tags[SESSION_TAG] >= failed.tags[SESSION_TAG]
    asked, done = months_of(failed.tags), months_of(later.tags)
    return done is None or (asked is not None and done[0] <= asked[0] and asked[1] <= done[1])


def late_session(
    session: dt.date, late: Sequence[str], held: Mapping[str, dt.date | None], hold: str | None = None
) -> Alert:
    """A session that should be in the store and is not. hold: what keeps it from being computed, if it is a hold."""
    lasts = ", ".join(f"{name} through {held[name] or 'nothing'}" for name in late)
    what, _, command = (hold or "").partition(NEXT_LINE)
    why = f" {what}" if what else ""
    return Alert(
        title=f"BreadthFlow: session {session} is late",
        what=f"It should be in the store by now. Held: {lasts}.{why}",
        where=f"{', '.join(late)}, session {session}",
        command=command or "breadthflow run",
        kind=("late", str(session), *late),
    )


def given_up(session: dt.date, missing: str, tries: int) -> Alert:
    """A session of which something is still missing after the last try."""
    return Alert(
        title=f"BreadthFlow: session {session} is incomplete",
        what=f"{missing}. It was asked for {tries} times; nobody asks again before the next session.",
        where=f"bars, session {session}",
        command="breadthflow sources (does it answer?), then: breadthflow run",
        kind=("given up", str(session)),
    )


def unreadable_files(folder: str, reasons: Mapping[str, str]) -> Alert:
    """Files that arrived and cannot be read."""
    return Alert(
        title=f"BreadthFlow: {len(reasons)} file(s) that arrived cannot be read",
        what="\n".join(f"{name}: {reason}" for name, reason in reasons.items()),
        where=folder,
        command="breadthflow sources; put a whole file in its place, and it is read by itself",
        kind=("unreadable", *reasons),
    )


def daily_digest(run: dg.DagsterRun, headline: str, text: str, command: str) -> Alert:
    """The digest that a run made; the run shows all of it where the message is cut."""
    return _bulletin("digest", run, headline, text, command)


def monthly_review(run: dg.DagsterRun, headline: str, text: str, command: str) -> Alert:
    """The review that a run made, in the same way."""
    return _bulletin("review", run, headline, text, command)


def evaluations_of(instance: dg.DagsterInstance, run_id: str) -> Iterator[dg.AssetCheckEvaluation]:
    """The evaluations of the checks of a run."""
    for event in events_of(instance, run_id, dg.DagsterEventType.ASSET_CHECK_EVALUATION):
        yield event.asset_check_evaluation_data


def events_of(instance: dg.DagsterInstance, run_id: str, kind: dg.DagsterEventType) -> list[dg.DagsterEvent]:
    """The events of a kind that a run recorded."""
    return [entry.dagster_event for entry in instance.all_logs(run_id, of_type=kind) if entry.dagster_event]


def _bulletin(what: str, run: dg.DagsterRun, headline: str, text: str, command: str) -> Alert:
    return Alert(
        title=f"BreadthFlow {what}: {headline}",
        what=text,
        where=_place(run, []),
        command=command,
        kind=(what, _root(run)),
        occasion=f"run {_root(run)}",
    )


def _errors_only(evaluations: Iterable[dg.AssetCheckEvaluation]) -> list[dg.AssetCheckEvaluation]:
    """The failed ones of severity error, the last word on each."""
    last = {evaluation.asset_check_key: evaluation for evaluation in evaluations}
    return [each for each in last.values() if not each.passed and each.severity == dg.AssetCheckSeverity.ERROR]


def _place(run: dg.DagsterRun, where: Sequence[str]) -> str:
    """Asset or check, run, months and session, as far as the run names them."""
    start, end = months_of(run.tags) or ("", "")
    parts = [*where, f"run {run.run_id[:8]} of {run.job_name}"]
    if start:
        parts.append(f"month {start}" if start == end else f"months {start} to {end}")
    session = run.tags.get(SESSION_TAG) or run.tags.get(THROUGH_TAG)
    return ", ".join([*parts, f"session {session}"] if session else parts)


def _rerun(run: dg.DagsterRun) -> str:
    """The command that does what the run was to do."""
    if run.job_name == CHECKS_JOB:
        return "breadthflow check"
    if run.job_name == PUBLISHED_JOB:
        config: Any = run.run_config
        for part in ("ops", "exchange_breadth", "config"):
            config = config.get(part, {})
        if config.get("exchange"):
            replacing = " --replace" if config.get("replace") else ""
            return f"breadthflow import-breadth {config.get('directory')} --exchange {config['exchange']}{replacing}"
    start, end = months_of(run.tags) or ("", "")
    if not start or SESSION_TAG in run.tags:
        return "breadthflow run"
    year, month = map(int, end.split("-"))
    return f"breadthflow backfill --from {start}-01 --to {end}-{calendar.monthrange(year, month)[1]}"


def _configured(run: dg.DagsterRun) -> dict[str, Any]:
    """What a run was told, but for how it logs."""
    config: Any = run.run_config
    return {name: value for name, value in config.items() if name != "loggers"}


def _root(run: dg.DagsterRun) -> str:
    """The first attempt where Dagster retries by itself; a person who runs it again is alerted again."""
    return run.tags.get(ROOT_TAG, run.run_id) if RETRY_TAG in run.tags else run.run_id


def _check_name(evaluation: dg.AssetCheckEvaluation) -> str:
    return f"{evaluation.asset_key.to_user_string()}.{evaluation.check_name}"


def _names(evaluations: Sequence[dg.AssetCheckEvaluation]) -> str:
    return ",".join(dict.fromkeys(evaluation.check_name for evaluation in evaluations))


def _mend(evaluations: Sequence[dg.AssetCheckEvaluation]) -> str:
    """The commands that mend these failures, as the checks name them; the first few."""
    commands = [str(evaluation.metadata[NEXT].value) for evaluation in evaluations if NEXT in evaluation.metadata]
    return "; then ".join(list(dict.fromkeys(commands))[:MOST_ROWS])


def _describe(evaluation: dg.AssetCheckEvaluation) -> str:
    if WHAT in evaluation.metadata:
        return f"{_check_name(evaluation)}: {evaluation.metadata[WHAT].value}"
    figures = [f"{name} {text}" for name, entry in evaluation.metadata.items() if (text := _figure(entry))]
    return f"{_check_name(evaluation)}: {', '.join(figures)}"


def _figure(entry: dg.MetadataValue[Any]) -> str:
    """A figure in a few words; of a table the first rows, which name universe and session."""
    if isinstance(entry, dg.TableMetadataValue):
        rows = [" ".join(f"{name}={value}" for name, value in row.data.items()) for row in entry.records[:MOST_ROWS]]
        more = f" and {len(entry.records) - MOST_ROWS} more" if len(entry.records) > MOST_ROWS else ""
        return f"[{'; '.join(rows)}{more}]"[:LONGEST_FIGURE] if rows else ""
    value = entry.value
    plain = isinstance(value, str | int | float) or (isinstance(value, list | dict) and len(value) > 0)
    return str(value)[:LONGEST_FIGURE] if plain else ""
