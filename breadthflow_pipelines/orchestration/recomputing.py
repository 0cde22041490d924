"""How far a run goes beyond its own months, to whatever became due, and how far it may go, to what is held."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from breadthflow_pipelines.orchestration.gates import Held, holding
from breadthflow_pipelines.orchestration.partitions import Span
from breadthflow_pipelines.orchestration.resources import Market
from breadthflow_pipelines.warehouse import holds, recomputations
from breadthflow_pipelines.warehouse import market as warehouse
from breadthflow_pipelines.warehouse.bulk import Merged


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


@contextmanager
def catching_up(
    market: Market, asset: str, own: Span, judge: Callable[[Span], None] = lambda _: None
) -> Iterator[Work]:
    """The run's own span, from the first session that the asset does not know of through the last one stored.

    What is made of bars looks back a year and more, so a change goes on through all that follows. The span ends where
    every universe is held. What was due is forgotten at the end, but for what is held; the caller holds
    ``exclusive(asset)``. judge: what is to be judged of the span before it is asked what is held.
    """
    due = recomputations.due(market.store, asset)
    whole = own
    reach = warehouse.reach(market.store, synthetic=market.source.synthetic) if due.first else None
    if due.first is not None and reach is not None:
        whole = Span(min(own.start, due.first), max(own.end, reach[1]), own.through)
    judge(whole)
    held = holding(market, asset)
    until = held.open_until(whole.end, holds.universes(market.store)) if held.holds else whole.end
    span = Span(whole.start, until, whole.through)
    yield Work(span, span != own, due.causes, held)
    first = min(held.firsts.values(), default=None)
    waiting = first is not None and first <= whole.end
    recomputations.done(market.store, asset, due, max(first, whole.start) if first and waiting else None)
