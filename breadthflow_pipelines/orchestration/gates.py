"""What must not be built on: judged where it is found, and refused by every asset that reads, whoever started the run.

What a gate is and what it holds is in gates.py, the holds themselves in warehouse/holds.py (docs/decisions/gates.md).
"""

import datetime as dt
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import dagster as dg
import polars as pl
from dagster._core.storage.tags import BACKFILL_ID_TAG

from breadthflow_pipelines.errors import HeldError
from breadthflow_pipelines.model.gates import MISSING, REJECTED, THIN, Hold
from breadthflow_pipelines.observability.logs import logger
from breadthflow_pipelines.orchestration.partitions import (
    FORMAT,
    PARTITION_TAG,
    RANGE_START_TAG,
    Span,
    months_between,
    span_of,
)
from breadthflow_pipelines.orchestration.resources import Market
from breadthflow_pipelines.sources.protocol import label
from breadthflow_pipelines.trust.completeness import broken_months, missing_sessions
from breadthflow_pipelines.warehouse import bar_store, holds, rejection_store, verdicts
from breadthflow_pipelines.warehouse.breadth_store import settling_coverage
from breadthflow_pipelines.warehouse.bulk import Statement, execute
from breadthflow_pipelines.warehouse.member_store import settling_members
from breadthflow_pipelines.warehouse.standing import held_message

log = logger(__name__)

ONE_DAY = dt.timedelta(hours=20)  # a session without bars is asked for once a day; evenings are not 24 hours apart
MOST_STRETCHES = 3  # of such sessions in one run: each is a reading of the source


@dataclass(frozen=True)
class Held:
    """The first hold of each universe that keeps an asset from being made; those without any are not in it."""

    asset: str
    holds: Mapping[str, Hold] = field(default_factory=dict)

    @property
    def firsts(self) -> dict[str, dt.date]:
        """By universe, the session from which on its rows stay as they are."""
        return {universe: hold["session"] for universe, hold in self.holds.items()}

    def free(self, rows: pl.DataFrame) -> pl.DataFrame:
        """The rows (universe, session, ...) that may be made."""
        if not self.holds:
            return rows
        first = pl.col("universe").replace_strict(self.firsts, default=None, return_dtype=pl.Date)
        return rows.filter((pl.col("session") < first).fill_null(value=True))

    def open_until(self, end: dt.date, universes: Collection[str]) -> dt.date:
        """The last day through ``end`` on which any of these universes may be made."""
        if not universes or set(universes) - self.holds.keys():
            return end
        return min(end, max(self.firsts.values()) - dt.timedelta(days=1))


def holding(market: Market, asset: str) -> Held:
    """What keeps an asset from being made, as the store knows it now."""
    return Held(asset, holds.first_held(market.store, asset))


def judge_missing(
    market: Market, span: Span, held: pl.DataFrame, run_id: str, *, asked: Sequence[tuple[dt.date, dt.date]] = ()
) -> None:
    """Hold from sessions of these days without bars; lift what is mended.

    held: session and bars of the span. asked: days, from and through, for which the source was just asked.
    """
    if span.is_empty:
        return
    reach = bar_store.reach(market.store, synthetic=market.source.synthetic)
    expected = market.calendar.between(max(span.start, reach[0]), min(span.end, reach[1])) if reach else []
    none = verdicts.Fault(1, "there are no bars at all")
    _settle(
        market,
        MISSING,
        missing_sessions(expected, held["session"]),
        span,
        run_id,
        also=[holds.asked_for(first, last) for first, last in asked],
        besides=None if reach else dict.fromkeys(span.months, none),
    )


def judge_rejected(market: Market, span: Span, held: pl.DataFrame, rejected: pl.DataFrame, run_id: str) -> None:
    """Hold from months with too many broken rows; lift what is mended. held: session and bars of the span."""
    if not span.is_empty:
        _settle(market, REJECTED, broken_months(rejected, held), span, run_id)


def _settle(
    market: Market,
    gate: str,
    found: pl.DataFrame,
    span: Span,
    run_id: str,
    *,
    also: Sequence[Statement] = (),
    besides: verdicts.Faults | None = None,
) -> None:
    """Make the holds of a gate of bars be those that were found, with the verdict of each month."""
    rows, days = holds.given_rows(found.to_dicts()), (span.start, span.end)
    before = _accepted(market)
    settling = holds.settling(gate, *rows, days, run_id, synthetic=market.source.synthetic)
    execute(market.store, [settling, *also])
    for lapsed, universe, session in before - _accepted(market):
        log.warning("acceptance_lapsed", gate=lapsed, universe=universe, session=str(session), why="nothing is missing")
    verdicts.record_gate(market.store, gate, span.months, run_id=run_id, besides=besides)


def rejected_rows(market: Market, span: Span) -> pl.DataFrame:
    """The source's broken rows of these days; not those of days that this store's calendar was told to close."""
    rejected = rejection_store.rejected_bars(market.store, label(market.source), span.start, span.end)
    closed = [change.date for change in market.calendar.changes if not market.calendar.is_session(change.date)]
    return rejected.filter(~pl.col("session").is_in(closed))


def judge_read(
    market: Market,
    own: Span,
    run_id: str,
    before: tuple[dt.date, dt.date] | None,
    again: Sequence[tuple[dt.date, dt.date]],
) -> None:
    """Judge what a run has read: its own months, and what else nobody knows of.

    before: the first and the last session with bars, before the run. again: other days that were asked for once more.
    Between the first bar and the last there may be months that were never run, which are holes as well, an end of what
    was held that is none any more, and holds on days that are no sessions any more.
    """
    months = {*own.months, *(month for first, last in again for month in months_between(first, last))}
    if before is not None:
        months |= {*months_between(before[1], own.start), *months_between(own.end, before[0])}
    reach = bar_store.reach(market.store, synthetic=market.source.synthetic)
    if reach is not None:
        months |= {*months_between(*reach)} - verdicts.judged_months(market.store, MISSING)
    stale = (hold["session"] for hold in holds.holding(market.store, [MISSING]))
    months |= {day.strftime(FORMAT) for day in stale if not market.calendar.is_session(day)}
    asked = [*again, *([] if own.is_empty else [(own.start, own.end)])]
    for start, end in _stretches(months, own):
        span = Span(start, end, own.through)
        held = bar_store.sessions_held(market.store, start, end, synthetic=market.source.synthetic)
        judge_missing(market, span, held, run_id, asked=asked)
        judge_rejected(market, span, held, rejected_rows(market, span), run_id)


def to_ask_for_again(market: Market, own: Span) -> list[tuple[dt.date, dt.date]]:
    """Days before a run's own, from and through, of which nobody has bars, and for which nobody asked today.

    Only of a run that is about the present: one about a month of the past is about that month.
    """
    if own.end < market.calendar.last_closed():
        return []
    days = holds.to_ask_for(market.store, ONE_DAY, synthetic=market.source.synthetic)
    first = market.settings.start_date
    found: list[tuple[dt.date, dt.date]] = []
    for day in [day for day in days if first <= day < own.start and market.calendar.is_session(day)]:
        if found and market.calendar.back(day, 1) == found[-1][1]:
            found[-1] = (found[-1][0], day)
        elif len(found) < MOST_STRETCHES:
            found.append((day, day))
    return found


def judge_coverage(market: Market, run_id: str, span: Span | None = None) -> None:
    """Hold each universe from its sessions with a coverage below the gate, as the settings have it now; lift others."""
    start, end = (span.start, span.end) if span else (market.calendar.first, dt.date.max)
    execute(market.store, [settling_coverage(market.settings.coverage_gate, start, end, run_id)])
    if span is None:
        verdicts.record_gate(market.store, THIN, run_id=run_id)


def judge_members(market: Market, span: Span, run_id: str) -> None:
    """Hold each universe from sessions on which not exactly its priced members have indicators; lift others."""
    if not span.is_empty:
        execute(market.store, [settling_members(span.start, span.end, run_id)])


def refuse_held(
    context: dg.AssetExecutionContext, market: Market, held: Held, *, unless_next: Sequence[str] = ()
) -> None:
    """End the step where the run was asked for what is held: what may be made was made and is stored by now.

    Months that lie before the hold are marked as made. unless_next: assets that are made of this one and end the run
    themselves where they are part of it, so that other universes get their share first.

    Raises:
        HeldError: names the gate, the sessions, the figures and the command that helps.
    """
    made = {key.to_user_string() for key in context.job_def.asset_layer.executable_asset_keys}
    if made & set(unless_next) or ("exchange_breadth" in made and "breadth_counts" not in made):
        return
    mine = _mine(market, held, end := _asked_until(context, market))
    if not mine:
        return
    first = min(hold["session"] for hold in mine.values())
    if context.assets_def.partitions_def is not None:
        for month in context.partition_keys:
            if month < first.strftime(FORMAT):
                context.log_event(dg.AssetMaterialization(context.asset_key, partition=month))
    raise HeldError(held_message(market.store, held.asset, mine, end))


def first_hold(market: Market, asset: str) -> tuple[dt.date, str] | None:
    """From which session on an asset is held in this market, and why, with the command that helps; None: it is not."""
    mine = _mine(market, holding(market, asset), dt.date.max)
    if not mine:
        return None
    first = min(hold["session"] for hold in mine.values())
    return first, held_message(market.store, asset, mine)


def _mine(market: Market, held: Held, end: dt.date) -> dict[str, Hold]:
    """The holds through ``end`` of universes of this market: a store may have those of another, real or invented."""
    synthetic = market.source.synthetic
    return {
        universe: hold
        for universe, hold in held.holds.items()
        if hold["session"] <= end and hold["of_synthetic"] == synthetic
    }


def _asked_until(context: dg.AssetExecutionContext, market: Market) -> dt.date:
    """The last day that a run was asked for; a part of a backfill that has no months is asked for the backfill's."""
    tags = context.run.tags
    span = span_of(tags, market.settings, market.calendar)
    if RANGE_START_TAG in tags or PARTITION_TAG in tags or BACKFILL_ID_TAG not in tags:
        return span.end
    backfill = context.instance.get_backfill(tags[BACKFILL_ID_TAG])
    data = backfill.asset_backfill_data if backfill else None
    subsets = data.target_subset.partitions_subsets_by_asset_key.values() if data else ()
    last = max((key for subset in subsets for key in subset.get_partition_keys()), default=None)
    return span.end if last is None else span_of({**tags, PARTITION_TAG: last}, market.settings, market.calendar).end


def _accepted(market: Market) -> set[tuple[str, str, dt.date]]:
    return {(row["gate"], row["universe"], row["session"]) for row in holds.accepted(market.store)}


def _stretches(months: set[str], own: Span) -> Iterator[tuple[dt.date, dt.date]]:
    """The months as stretches of days, from and through; a run's own end where it knows of no more."""
    stretch: list[str] = []
    for month in sorted(months):
        if stretch and len(months_between(_first(stretch[-1]), _first(month))) > 2:
            yield _first(stretch[0]), _last(stretch[-1], own)
            stretch = []
        stretch.append(month)
    if stretch:
        yield _first(stretch[0]), _last(stretch[-1], own)


def _first(month: str) -> dt.date:
    return dt.date.fromisoformat(f"{month}-01")


def _last(month: str, own: Span) -> dt.date:
    day = Span(_first(month), _first(month), own.through).with_month_before().end
    return min(day, own.end) if month in own.months[-1:] else day
