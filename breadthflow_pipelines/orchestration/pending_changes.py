"""How far a run goes beyond its own months, to whatever became due, and how far it may go, to what is held."""

import datetime as dt
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from breadthflow_pipelines.contracts.bars import not_a_session
from breadthflow_pipelines.orchestration.gates import Held, holding
from breadthflow_pipelines.orchestration.partitions import Span
from breadthflow_pipelines.orchestration.resources import Market
from breadthflow_pipelines.warehouse import bar_store, recomputations, universe_listing
from breadthflow_pipelines.warehouse.bulk import Merged
from breadthflow_pipelines.warehouse.calendar import apply_changes


@dataclass(frozen=True)
class Work:
    """The span that an asset computes, why it is wider than that of the run, where it is, and what is held of it."""

    span: Span
    wider: bool
    causes: tuple[str, ...]
    held: Held

    def told(self, merged: Merged) -> dict[str, Any]:
        """What the materialization says of it: sessions_revised were there before and are not what they were."""
        why = f"because of changes in {', '.join(self.causes)}" if self.wider else "its own months"
        return {
            "sessions_revised": merged.sessions_revised,
            "computed": f"{self.span.start} to {self.span.end}, {why}",
        }


def settle_calendar(market: Market) -> list[dt.date]:
    """Let what is stored know the calendar of now; gives the days that are others than it knew."""
    calendar = market.calendar
    since = market.settings.start_date
    return apply_changes(market.store, calendar.changes, since, calendar.is_session, not_a_session(calendar))


@contextmanager
def catching_up(
    market: Market, asset: str, own: Span, judge: Callable[[Span], None] = lambda _: None
) -> Iterator[Work]:
    """The run's own span, from the first session that the asset does not know of through the last one stored.

    Whoever computes by a calendar lets the store know it first, or what was computed by another one would stay.

    What is made of bars looks back a year and more, so a change goes on through all that follows. The span ends where
    every universe is held. What was due is forgotten at the end, but for what is held; the caller holds
    ``exclusive(asset)``. judge: what is to be judged of the span before it is asked what is held.
    """
    settle_calendar(market)
    due = recomputations.due(market.store, asset)
    start, end = own.start, own.end
    reach = bar_store.reach(market.store, synthetic=market.source.synthetic)
    if reach is not None:
        if due.first is not None:
            start, end = min(start, due.first), max(end, reach[1])
        # Before the year of the first bar there is nothing to compute, whoever was a member since when.
        start = max(start, reach[0].replace(month=1, day=1))
    whole = Span(start, end, own.through)
    judge(whole)
    held = holding(market, asset)
    until = held.open_until(end, universe_listing.made_of_bars(market.store)) if held.holds else end
    yield Work(Span(start, until, own.through), start < own.start or until > own.end, due.causes, held)
    first = min(held.firsts.values(), default=None)
    waiting = first is not None and first <= end
    recomputations.done(market.store, asset, due, max(first, start) if first and waiting else None)
