"""What should be in the store by now, what of it is not, and from which month on a run must read."""

import datetime as dt
from collections.abc import Mapping
from zoneinfo import ZoneInfo

import dagster as dg

from breadthflow_pipelines import sessions
from breadthflow_pipelines.errors import BreadthFlowError
from breadthflow_pipelines.observability.logs import logger
from breadthflow_pipelines.orchestration.partitions import first_to_refresh
from breadthflow_pipelines.orchestration.resources import Market
from breadthflow_pipelines.orchestration.schedules import DAILY_JOB, EVENING, WATCHED
from breadthflow_pipelines.sessions import ExchangeCalendar
from breadthflow_pipelines.warehouse.market import reach
from breadthflow_pipelines.warehouse.status import last_sessions

log = logger(__name__)

SIGNALS = ("market_signals", "symbol_signals")  # of a short history there are none
LOOKED_BACK = dt.timedelta(days=92)  # a table whose last row is older is said to have none
UNFINISHED = [
    *(dg.DagsterRunStatus.QUEUED, dg.DagsterRunStatus.NOT_STARTED, dg.DagsterRunStatus.STARTING),
    *(dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING),
]


def deadline(session: dt.date, calendar: ExchangeCalendar, grace: dt.timedelta) -> dt.datetime:
    """When a session is to be in the store: ``grace`` after the evening's run, or after the close where that is later.

    A half day closes hours before the run that fetches it, so the close alone would not do.
    """
    evening = dt.datetime.combine(session, EVENING, ZoneInfo(calendar.timezone))
    return max(evening, calendar.close_of(session)) + grace


def due_session(calendar: ExchangeCalendar, grace: dt.timedelta) -> dt.date:
    """The last session that is to be in the store by now."""
    now = sessions.present()
    session = calendar.last_closed(now)
    while session > calendar.first and deadline(session, calendar, grace) > now:
        session = calendar.back(session, 1)
    return session


def held_sessions(market: Market, session: dt.date) -> dict[str, dt.date | None] | None:
    """The last session through ``session`` that each watched table holds, or None where that lies months back.

    None instead of all that where the store has no bars at all: nothing of it can be late.
    """
    synthetic = market.source.synthetic
    held = last_sessions(market.store, WATCHED, session - LOOKED_BACK, session, synthetic=synthetic)
    return held if any(held.values()) or reach(market.store, synthetic=synthetic) is not None else None


def lacking(held: Mapping[str, dt.date | None], session: dt.date) -> list[str]:
    """The tables that do not hold that session though they should. Signals are due only where there ever were some."""
    return [name for name, last in held.items() if last != session and not (name in SIGNALS and last is None)]


def first_due(instance: dg.DagsterInstance, session: dt.date) -> dt.date:
    """The first day that a run through ``session`` must read; where nobody can tell, what may still change."""
    from breadthflow_pipelines.orchestration.runs import first_month_due  # it builds what asks here

    market = Market()
    try:
        return first_month_due(instance, market, session)
    except BreadthFlowError as error:  # the run will meet it too, and say so
        log.warning("first_month_due_unknown", reason=str(error))
        return first_to_refresh(session, market.calendar)


def unfinished_run(instance: dg.DagsterInstance) -> dg.DagsterRun | None:
    """A daily run that waits or works, if there is one."""
    found = instance.get_runs(dg.RunsFilter(job_name=DAILY_JOB, statuses=UNFINISHED), limit=1)
    return found[0] if found else None
