"""The job of the daily digest: collects its facts, sends them where alerts go, and shows them in the UI.

What a digest says is in reports/digest.py; when it is made, in schedules.py.
"""

import datetime as dt
import json
from collections import Counter
from collections.abc import Sequence
from zoneinfo import ZoneInfo

import dagster as dg

from breadthflow_pipelines import sessions
from breadthflow_pipelines.model.datasets import DIGEST_JOB
from breadthflow_pipelines.model.gates import GATES
from breadthflow_pipelines.observability.redaction import Redactor
from breadthflow_pipelines.orchestration.automation import alert_messages
from breadthflow_pipelines.orchestration.planning import UNFINISHED, held_sessions, lacking
from breadthflow_pipelines.orchestration.resources import Market
from breadthflow_pipelines.orchestration.stored_text import StoredText
from breadthflow_pipelines.reports.digest import Digest, FailedRun, Size, headline, markdown, next_command, plain, text
from breadthflow_pipelines.sessions import due_session
from breadthflow_pipelines.warehouse import digest_listing, verdicts
from breadthflow_pipelines.warehouse.backups import targets
from breadthflow_pipelines.warehouse.database import Database
from breadthflow_pipelines.warehouse.holds import holding
from breadthflow_pipelines.warehouse.server_listing import size

FIRST_LOOK = dt.timedelta(days=1)  # back from the first digest
SPARE = dt.timedelta(days=1)  # Dagster dates updates by the server's own zone; the end of a run is exact
ENDED = [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED]


@dg.op
def send_daily_digest(context: dg.OpExecutionContext) -> None:
    """The digest since the last one, sent to BREADTHFLOW_ALERT_URLS and shown as metadata of this run."""
    now, market = sessions.present(), Market()
    digest, redact = collect(context.instance, market, now), Redactor(market.settings.secrets)
    alert = alert_messages.daily_digest(context.run, headline(digest), plain(digest), next_command(digest))
    sent = alert_messages.alerter(context.instance, market.settings, alert_messages.DIGESTS).send(alert)
    said = {"headline": redact(headline(digest)), "sent": sent}
    context.add_output_metadata({**said, "digest": dg.MetadataValue.md(redact(markdown(digest)))})
    _last(context.instance).write(
        json.dumps({"at": now.isoformat(), "megabytes": {name: size.now for name, size in digest.sizes.items()}})
    )


def digest_job() -> dg.JobDefinition:
    """The job; it writes nothing that an asset has, and waits for no other run."""

    @dg.job(name=DIGEST_JOB, description="Say what ran, failed, was rejected or is late since the last digest.")
    def job() -> None:
        send_daily_digest()

    return job


def as_text(instance: dg.DagsterInstance, market: Market) -> str:
    """The digest as it would be sent now. Sends nothing, and the next one still reaches back as far."""
    digest = collect(instance, market, sessions.present())
    return Redactor(market.settings.secrets)(text(digest))


def collect(instance: dg.DagsterInstance, market: Market, now: dt.datetime) -> Digest:
    """The facts as they are now. A run counts in the digest that follows its end."""
    before = json.loads(_last(instance).read() or "{}")
    since = dt.datetime.fromisoformat(before["at"]) if before else now - FIRST_LOOK
    ended = _ended_since(instance, since)
    due = due_session(market.calendar, dt.timedelta(hours=market.settings.late_after_hours))
    held = held_sessions(market, due)
    megabytes = before.get("megabytes", {})
    good = [run for run in ended if run.is_success and run.job_name != DIGEST_JOB]
    under_way = instance.get_runs(dg.RunsFilter(statuses=UNFINISHED))
    return Digest(
        day=now.astimezone(ZoneInfo(market.calendar.timezone)).date(),
        since=since,
        synthetic=market.source.synthetic,
        succeeded=Counter(run.job_name for run in good),
        failed=[
            _failed(instance, run, ended[:place])
            for place, run in enumerate(ended)
            if run.status is dg.DagsterRunStatus.FAILURE
        ],
        canceled=sum(run.status is dg.DagsterRunStatus.CANCELED for run in ended),
        unfinished=sum(run.job_name != DIGEST_JOB for run in under_way),
        rows=digest_listing.rows_of_runs(market.store, [run.run_id for run in ended]),
        checks=verdicts.failing(market.store),
        holds=holding(market.store, GATES),
        due=due,
        held=held,
        late=lacking(held, due) if held else [],
        statements=digest_listing.slowest_statements(market.store),
        sizes={
            name: Size(size(Database(url, None)) / 1e6, megabytes.get(name))
            for name, url in targets(market.settings).items()
        },
    )


def _last(instance: dg.DagsterInstance) -> StoredText:
    """When the last digest was made, and how large the databases were."""
    return StoredText(instance, "digest")


def _ended_since(instance: dg.DagsterInstance, since: dt.datetime) -> list[dg.DagsterRun]:
    """The runs that ended since then, the newest first."""
    records = instance.get_run_records(dg.RunsFilter(statuses=ENDED, updated_after=since - SPARE))
    return [record.dagster_run for record in records if (record.end_time or 0) >= since.timestamp()]


def _failed(instance: dg.DagsterInstance, run: dg.DagsterRun, later: Sequence[dg.DagsterRun]) -> FailedRun:
    """Why a run failed and what helps, as its alert says it. later: runs that began after it, the newest first."""
    ends = alert_messages.events_of(instance, run.run_id, dg.DagsterEventType.RUN_FAILURE)
    told = alert_messages.failed_run(
        run,
        alert_messages.events_of(instance, run.run_id, dg.DagsterEventType.STEP_FAILURE),
        alert_messages.evaluations_of(instance, run.run_id),
        next((event.message for event in ends if event.message), alert_messages.NO_REASON),
    )
    good = next((each.run_id for each in later if each.is_success and alert_messages.made_good(run, each)), None)
    return FailedRun(run.run_id, run.job_name, told.what.splitlines()[0], told.command, good)
