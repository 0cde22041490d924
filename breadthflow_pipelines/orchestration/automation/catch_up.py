"""The sensor that asks for what should be in the store and is not: after downtime, and after a try that missed some."""

import datetime as dt
import json
from collections import Counter
from dataclasses import asdict, dataclass, replace

import dagster as dg
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

from breadthflow_pipelines import sessions
from breadthflow_pipelines.model.datasets import DAILY_JOB
from breadthflow_pipelines.model.run_tags import FORMAT, SESSION_TAG, range_tags
from breadthflow_pipelines.orchestration.automation import alert_messages
from breadthflow_pipelines.orchestration.automation.schedules import MISSED_AFTER
from breadthflow_pipelines.orchestration.holds import first_hold
from breadthflow_pipelines.orchestration.partitions import first_to_refresh
from breadthflow_pipelines.orchestration.planning import (
    first_day_due_or_recent,
    held_sessions,
    lacking,
    unfinished_run,
)
from breadthflow_pipelines.orchestration.resources import Market
from breadthflow_pipelines.orchestration.run_figures import latest_bars
from breadthflow_pipelines.reports.bulletin import number
from breadthflow_pipelines.sessions import ExchangeCalendar, due_session
from breadthflow_pipelines.sources.protocol import Outcome
from breadthflow_pipelines.warehouse import bar_store

SECONDS = 300  # between two looks at what is missing
# From one try to the next; the first one is at once. After the last nobody asks again for that session.
WAITS = tuple(dt.timedelta(minutes=minutes) for minutes in (0, 15, 30, 60, 120))


@dataclass(frozen=True)
class Tries:
    """How often a session was asked for; the sensor's cursor. at: the last time. over: why it is asked for no more."""

    session: str
    tries: int = 0
    at: str | None = None
    over: str | None = None

    @classmethod
    def of(cls, session: dt.date, cursor: str | None) -> "Tries":
        """Those of this session, as the cursor has them; none where it is about another session."""
        stored = json.loads(cursor or "{}")
        return cls(**stored) if stored.get("session") == str(session) else cls(str(session))

    def cursor(self) -> str:
        """The text that ``of`` reads."""
        return json.dumps({name: value for name, value in asdict(self).items() if value is not None})


def catch_up(job: UnresolvedAssetJobDefinition) -> dg.SensorDefinition:
    """Asks for what should be in and is not: after downtime at once, after a try that missed something later."""

    @dg.sensor(
        job=job,
        name="catch_up",
        minimum_interval_seconds=SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Asks for sessions that were missed, and again for what was not to be had, a few times.",
    )
    def sensor(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        market = Market()
        session = due_session(market.calendar, MISSED_AFTER)
        tries = Tries.of(session, context.cursor)
        reason = _reason_to_wait(context.instance, market, session, tries)
        if reason is not None:
            return dg.SkipReason(reason)
        missing = _missing(context.instance, market, session)
        if missing is None:
            return dg.SkipReason("The store is empty; breadthflow run fills it, or the evening's run does.")
        if not missing:
            return _over(tries, "everything is in")
        return _ask(context.instance, market, session, tries, missing)

    return sensor


def _reason_to_wait(instance: dg.DagsterInstance, market: Market, session: dt.date, tries: Tries) -> str | None:
    """Why nothing is asked for, whatever is missing; None where something may be."""
    if tries.over:
        return f"Nothing more to ask for of {session}: {tries.over}."
    busy = unfinished_run(instance)
    if busy is not None:
        return f"Run {busy.run_id[:8]} is not over yet."
    if session < market.settings.start_date:
        return f"{session} lies before the first month of history, {market.settings.start}."
    return None


def _ask(
    instance: dg.DagsterInstance, market: Market, session: dt.date, tries: Tries, missing: str
) -> dg.SensorResult | dg.SkipReason:
    """Ask for what is missing, once its time has come; after the last try, an alert instead."""
    hold = first_hold(market, "symbol_signals")
    if hold is not None and hold[0] < first_to_refresh(session, market.calendar).replace(day=1):
        return dg.SkipReason(" ".join(hold[1].splitlines()))  # no run would read that session
    if tries.tries == len(WAITS):
        alert = alert_messages.given_up(session, missing, tries.tries)
        alert_messages.alerter(instance, market.settings).send(alert)
        return _over(tries, f"it was asked for {tries.tries} times, and {missing}")
    at = _not_before(instance, market.calendar, session, tries)
    if sessions.present() < at:
        return dg.SkipReason(f"{missing[:1].upper()}{missing[1:]}; asks again at {at:%Y-%m-%d %H:%M} UTC.")
    first = max(first_day_due_or_recent(instance, session), market.settings.start_date)
    tags = {**range_tags(first, session), SESSION_TAG: str(session), "breadthflow/reason": missing}
    request = dg.RunRequest(run_key=f"{session} try {tries.tries + 1}", tags=tags)
    asked = replace(tries, tries=tries.tries + 1, at=sessions.present().isoformat())
    return dg.SensorResult(run_requests=[request], cursor=asked.cursor())


def _over(tries: Tries, why: str) -> dg.SensorResult:
    return dg.SensorResult(cursor=replace(tries, over=why).cursor(), skip_reason=f"{tries.session}: {why}.")


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
        return f"{number(outcomes[Outcome.FAILED], 'symbol')} could not be read"
    before = market.calendar.back(session, 1)
    bars = dict(bar_store.sessions_held(market.store, before, session, synthetic=market.source.synthetic).iter_rows())
    fewer = bars.get(before, 0) - bars.get(session, 0)
    if outcomes[Outcome.NOT_YET] and fewer > 0:  # others ended long ago, and will never have it
        return f"{fewer} symbols have no bar of {session} yet"
    return ""


def _outcomes(instance: dg.DagsterInstance, session: dt.date) -> Counter[Outcome]:
    """How many symbols of each outcome the last run of the session's month had."""
    figures = latest_bars(instance, session.strftime(FORMAT))
    return Counter(figures.symbols if figures else {})


def _not_before(
    instance: dg.DagsterInstance, calendar: ExchangeCalendar, session: dt.date, tries: Tries
) -> dt.datetime:
    """When to ask again: at once where nobody has asked since the close, else some time after the last answer."""
    records = instance.get_run_records(dg.RunsFilter(job_name=DAILY_JOB), limit=1)
    ended = records[0].end_time if records and records[0].end_time else 0.0
    last = dt.datetime.fromtimestamp(ended, dt.UTC)
    if tries.tries == 0 and last < calendar.close_of(session):
        return calendar.close_of(session)
    asked = dt.datetime.fromisoformat(tries.at) if tries.at else last
    return max(last, asked) + WAITS[max(1, tries.tries)]
