"""The gates judge: each compares what is stored with what it requires, and stores or lifts the holds.

What a gate is and what it holds: model/gates.py. Who asks for the holds: holds.py (docs/decisions/gates.md).
"""

import datetime as dt
from collections.abc import Iterator, Sequence

import polars as pl

from breadthflow_pipelines.model.gates import INCOMPLETE, MISSING, REJECTED, THIN
from breadthflow_pipelines.model.run_tags import FORMAT
from breadthflow_pipelines.observability.logs import log
from breadthflow_pipelines.orchestration.partitions import Span, months_between
from breadthflow_pipelines.orchestration.resources import Market
from breadthflow_pipelines.sources.protocol import label
from breadthflow_pipelines.trust.completeness import broken_months, missing_sessions
from breadthflow_pipelines.warehouse import bar_store, holds, member_store, rejection_store, verdicts
from breadthflow_pipelines.warehouse.breadth_store import settling_coverage
from breadthflow_pipelines.warehouse.bulk import Statement, execute

ONE_DAY = dt.timedelta(hours=20)  # a session without bars is asked for once a day; evenings are not 24 hours apart
MOST_STRETCHES = 3  # of such sessions in one run: each is a reading of the source


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
    """Replace the holds of a gate of bars by those that were found, and store the verdict of each month."""
    rows, days = holds.given_rows(found.to_dicts()), (span.start, span.end)
    before = _accepted(market)
    settling = holds.settling(gate, *rows, days, run_id, synthetic=market.source.synthetic)
    execute(market.store, [settling, *also])
    held = {(hold["gate"], hold["universe"], hold["session"]) for hold in holds.holding(market.store, [gate])}
    for lapsed in before - _accepted(market):
        why = "more is missing than was accepted" if lapsed in held else "nothing is missing"
        log.warning("acceptance_lapsed", gate=lapsed[0], universe=lapsed[1], session=str(lapsed[2]), why=why)
    verdicts.record_gate(market.store, gate, span.months, run_id=run_id, besides=besides)


def rejected_rows(market: Market, span: Span) -> pl.DataFrame:
    """The source's broken rows of these days; not those of days that the calendar file closes."""
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
    """Judge what a run has read: its own months, and other days that no run has judged.

    before: the first and the last session with bars, before the run. again: other days that were asked for once more.
    These are months between the first bar and the last that were never run, which are holes as well; the former end of
    history, where bars follow it now; and holds on days that are no longer sessions.
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
    """Days before a run's own, from and through, without any bars, for which the source was not asked today.

    None for a run about the past: it is about its own months alone.
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


def judge_members(market: Market, span: Span, run_id: str) -> pl.DataFrame:
    """Hold each universe from sessions on which not exactly its priced members have indicators; lift others.

    Returns how many were priced and how many have indicators: universe, session, priced, indicators.
    """
    totals = member_store.indicator_totals(market.store, span.start, span.end)
    if not span.is_empty:
        priced, indicators = pl.col("priced"), pl.col("indicators")
        found = totals.filter(priced != indicators).select(
            "universe",
            "session",
            missing=(priced - indicators).abs() / pl.max_horizontal(priced, indicators),
            said=pl.format("{} of {} priced members have indicators", indicators, priced),
        )
        rows = holds.given_rows(found.to_dicts())
        execute(market.store, [holds.settling(INCOMPLETE, *rows, (span.start, span.end), run_id)])
    return totals


def _accepted(market: Market) -> set[tuple[str, str, dt.date]]:
    return {(row["gate"], row["universe"], row["session"]) for row in holds.accepted(market.store)}


def _stretches(months: set[str], own: Span) -> Iterator[tuple[dt.date, dt.date]]:
    """The months as stretches of days, from and through; the last one ends where the run does."""
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
