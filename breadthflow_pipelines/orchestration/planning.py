"""What should be in the store by now, what is missing, and from which day on a run must read. Runs nothing."""

import datetime as dt
from collections.abc import Mapping

import dagster as dg

from breadthflow_pipelines.errors import BreadthFlowError
from breadthflow_pipelines.indicators.conventions import CONVENTION
from breadthflow_pipelines.model.datasets import DAILY_JOB, MARKET_ASSETS, MONTHLY_ASSETS, PUBLISHED_ASSETS, WATCHED
from breadthflow_pipelines.observability.logs import log
from breadthflow_pipelines.orchestration.catalogue_columns import PRICE_COLUMNS, SIGNAL_COLUMNS
from breadthflow_pipelines.orchestration.holds import first_hold
from breadthflow_pipelines.orchestration.partitions import Span, first_to_refresh, months_unfinished
from breadthflow_pipelines.orchestration.resources import Market
from breadthflow_pipelines.sources.protocol import Resumable
from breadthflow_pipelines.warehouse import breadth_store, member_store, recomputations
from breadthflow_pipelines.warehouse.bar_store import reach
from breadthflow_pipelines.warehouse.calendar import unapplied_days
from breadthflow_pipelines.warehouse.overview import empty_tables, last_sessions

SIGNALS = ("market_signals", "symbol_signals")  # of a short history there are none
LOOKED_BACK = dt.timedelta(days=92)  # a table whose last row is older counts as empty
UNFINISHED = [
    *(dg.DagsterRunStatus.QUEUED, dg.DagsterRunStatus.NOT_STARTED, dg.DagsterRunStatus.STARTING),
    *(dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING),
]


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


def first_day_due_or_recent(instance: dg.DagsterInstance, session: dt.date) -> dt.date:
    """``first_day_due`` of a session; where it cannot be found out, the first day whose bars may still change."""
    market = Market()
    try:
        return first_day_due(instance, market, session)
    except BreadthFlowError as error:  # the run will meet it too, and say so
        log.warning("first_day_due_unknown", reason=str(error))
        return first_to_refresh(session, market.calendar)


def unfinished_run(instance: dg.DagsterInstance) -> dg.DagsterRun | None:
    """A daily run that waits or works, if there is one."""
    found = instance.get_runs(dg.RunsFilter(job_name=DAILY_JOB, statuses=UNFINISHED), limit=1)
    return found[0] if found else None


def first_day_due(instance: dg.DagsterInstance, market: Market, through: dt.date) -> dt.date:
    """The first day that a run through ``through`` must read.

    It is the first day of all months that were never run, that were counted by an older convention, that lack a new
    indicator of members, in which a day became a session since, of which the source could not give everything when last
    asked, or whose bars may still change.

    What changed below an asset needs no reading (pending_changes.py). What is held cannot be computed, so its months
    are not read again each day; sessions without bars are asked for apart (gates.py).
    """
    start = market.settings.start_date
    held_days = reach(market.store, synthetic=market.source.synthetic)
    if held_days is None:
        return start
    held = {name for name in MONTHLY_ASSETS if first_hold(market, name)}
    of_bars = "breadth_counts" in held
    if of_bars:
        held.add("quarantined_bars")  # a check of bars ends a run before it comes to them
    open_assets = (name for name in MONTHLY_ASSETS if name not in held)
    done = set.intersection(*(instance.get_materialized_partitions(dg.AssetKey(name)) for name in open_assets))
    missing = [month for month in Span(start, through, through).months if month not in done]
    refresh = max(start, first_to_refresh(min(held_days[1], through), market.calendar))
    due = [
        refresh,
        *(dt.date.fromisoformat(f"{month}-01") for month in missing[:1]),
        recomputations.due(market.store, "bars").first,
        *filter(market.calendar.is_session, unapplied_days(market.store, market.calendar.changes, start)),
        None if of_bars else breadth_store.outdated_from(market.store, CONVENTION, start),
        None if of_bars else member_store.lacking_from(market.store, PRICE_COLUMNS, SIGNAL_COLUMNS),
        _unfinished(market),
    ]
    return max(start, min(day for day in due if day is not None))


def _unfinished(market: Market) -> dt.date | None:
    """The first day of what the source could not give when it was last asked."""
    since = market.source.unfinished_since() if isinstance(market.source, Resumable) else None
    return None if since is None else months_unfinished(since, market.calendar)


def without_rows(market: Market) -> set[str]:
    """Assets whose checks have no rows to judge: published counts were never imported, or no bars ever loaded."""
    empty = empty_tables(market.store)
    made_of_bars = {*MARKET_ASSETS} - {*PUBLISHED_ASSETS}
    return (
        (made_of_bars if "securities" in empty else set())
        | (empty & {"exchange_breadth"})
        | (set(PUBLISHED_ASSETS) if {"securities", "exchange_breadth"} <= empty else set())
    )
