"""How far a run goes beyond its own months, to what changed below an asset, and how far it may go, to what is held."""

import datetime as dt
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from breadthflow_pipelines.contracts.bars import not_a_session
from breadthflow_pipelines.model.datasets import DATASETS
from breadthflow_pipelines.orchestration.holds import AssetHolds, holds_of
from breadthflow_pipelines.orchestration.known_months import known_months
from breadthflow_pipelines.orchestration.partitions import Days, Span
from breadthflow_pipelines.orchestration.resources import Market
from breadthflow_pipelines.warehouse import bar_store, recomputations, universe_listing
from breadthflow_pipelines.warehouse.bulk import Merged
from breadthflow_pipelines.warehouse.calendar import apply_changes
from breadthflow_pipelines.warehouse.holds import first_wrong
from breadthflow_pipelines.warehouse.recomputations import Change, Some


@dataclass(frozen=True)
class Reach:
    """How far a change goes, for an asset whose rows do not rest on all that was before them.

    One of the two is given. bars: how many sound bars of its own security a row rests on besides that of its session.
    sessions: the same of sessions, of whomever.
    """

    bars: int | None = None
    sessions: int | None = None

    def end(self, market: Market, changes: Iterable[Change], last: dt.date) -> dt.date:
        """The last session that these changes concern; last: the last one that is stored."""
        return max((self._end_of(market, change, last) for change in changes), default=last)

    def _end_of(self, market: Market, change: Change, last: dt.date) -> dt.date:
        if change.through is None:
            return last
        if self.sessions is not None:
            later = market.calendar.between(change.through, last)
            return later[self.sessions] if len(later) > self.sessions else last
        if self.bars is None or change.securities is None:
            return last
        return min(last, bar_store.after_bars(market.store, change.securities, change.through, self.bars) or last)


@dataclass(frozen=True)
class Scope:
    """What an asset is about in a run. own: the run's months. span: those and what changed below the asset.

    left: what of the span is to be computed. unchanged: how many months of it are not, for nothing changed. some: what
    alone changed below the asset, where it can be computed for that; None: all that is left is to be. changes: what
    changed below it, change by change.
    """

    own: Span
    span: Span
    causes: tuple[str, ...]
    holds: AssetHolds
    left: Span
    unchanged: int
    some: Some | None = None
    changes: tuple[Change, ...] = ()

    @property
    def own_days(self) -> list[Days]:
        """The run's own months, as far as they are left."""
        start, end = max(self.own.start, self.left.start), min(self.own.end, self.left.end)
        return [Days(start, end)] if start <= end else []

    @property
    def is_unchanged(self) -> bool:
        """Whether all of the span is known to be right as it is stored."""
        return self.left.is_empty and not self.span.is_empty

    def metadata(self, merged: Merged) -> dict[str, Any]:
        """The days that were computed, and how many sessions had rows before that changed or are gone.

        months_unchanged: months that were not read, for neither their rows nor what they are made of changed.
        """
        wider = self.span.start < self.own.start or self.span.end > self.own.end
        why = f"because of changes in {', '.join(self.causes)}" if wider else "its own months"
        if self.some is not None:
            why += f", beyond its own months {len(self.some.securities)} securities"
        return {
            "sessions_revised": merged.sessions_revised,
            "computed": "nothing" if self.is_unchanged else f"{self.left.start} to {self.left.end}, {why}",
            "months_unchanged": self.unchanged,
        }


def settle_calendar(market: Market) -> list[dt.date]:
    """Let what is stored know the present calendar; gives the days that it had otherwise."""
    calendar = market.calendar
    since = market.settings.start_date
    return apply_changes(market.store, calendar.changes, since, calendar.is_session, not_a_session(calendar))


@contextmanager
def with_pending_changes(
    market: Market,
    asset: str,
    own: Span,
    judge: Callable[[Span], None] = lambda _: None,
    reach: Reach | None = None,
) -> Iterator[Scope]:
    """The run's own span, widened to all sessions that rest on what changed below the asset.

    The caller holds ``exclusive(asset)``. The calendar is settled first, or rows of another calendar would stay. The
    span ends where every universe is held. Months that are known to be right are not left to compute; none is from the
    first session on whose rows the asset's own gate found wrong. At the end the pending changes are removed, except for
    what is held. judge: judges the span before the holds are read. reach: how far a change goes; None: through the last
    session that is stored.
    """
    settle_calendar(market)
    due = recomputations.due(market.store, asset)
    start, end = own.start, own.end
    stored = bar_store.reach(market.store, synthetic=market.source.synthetic)
    if stored is not None:
        if due.first is not None:
            concerned = stored[1] if reach is None else reach.end(market, due.changes, stored[1])
            start, end = min(start, due.first), max(end, concerned)
        # Before the year of the first bar there is nothing to compute, even where memberships reach further back.
        start = max(start, stored[0].replace(month=1, day=1))
    judge(Span(start, end, own.through))
    holds = holds_of(market, asset)
    last = holds.last_open_day(end, universe_listing.made_of_bars(market.store)) if holds.by_universe else end
    span = Span(start, last, own.through)
    wrong = first_wrong(market.store, asset)
    known = known_months(market, asset, span, holds, min(filter(None, (due.first, wrong)), default=None))
    beyond = known.left.start < own.start or known.left.end > own.end
    some = due.some if beyond and DATASETS[asset].by_security else None
    yield Scope(own, span, due.causes, holds, known.left, known.known, some, due.changes)
    if some is None:
        known.record(market)
    first = min(holds.first_sessions.values(), default=None)
    waiting = first is not None and first <= end
    recomputations.done(market.store, asset, due, max(first, start) if first and waiting else None)
