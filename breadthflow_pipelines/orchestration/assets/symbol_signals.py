"""Signals of each member of a universe: what the technical rules say together. The rules are in signals/."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, groupby
from typing import Any

import dagster as dg
import polars as pl

from breadthflow_pipelines.contracts import breadth as contracts
from breadthflow_pipelines.contracts.verdict import require
from breadthflow_pipelines.observability.progress import advance
from breadthflow_pipelines.orchestration.assets.monthly import derived_monthly_asset
from breadthflow_pipelines.orchestration.catalogue_columns import SIGNAL_BOUNDS, SIGNAL_COLUMNS
from breadthflow_pipelines.orchestration.fanout import done_once, spread
from breadthflow_pipelines.orchestration.gates import judge_members
from breadthflow_pipelines.orchestration.holds import AssetHolds
from breadthflow_pipelines.orchestration.partitions import LONG_PIECE_BARS, PIECE_BARS, Days, Span, portions
from breadthflow_pipelines.orchestration.pending_changes import Scope
from breadthflow_pipelines.orchestration.piecework import Stage
from breadthflow_pipelines.orchestration.resources import Market
from breadthflow_pipelines.orchestration.ui_metadata import marked, of_market, shown
from breadthflow_pipelines.signals.symbols import RULE_COLUMNS, SYMBOL_RULES, gates
from breadthflow_pipelines.signals.symbols import symbol_signals as compute_signals
from breadthflow_pipelines.warehouse import member_store, security_store
from breadthflow_pipelines.warehouse.bulk import NOTHING, Merged
from breadthflow_pipelines.warehouse.new_years import NewYears
from breadthflow_pipelines.warehouse.recomputations import Some
from breadthflow_pipelines.warehouse.universe_listing import synthetic_universes


def symbol_signals_asset(months: dg.MonthlyPartitionsDefinition) -> dg.AssetsDefinition:
    """The asset ``symbol_signals``, cut into these months."""
    rules = [{"rule": rule.name, "weight": rule.weight, "about": rule.about} for rule in SYMBOL_RULES]
    return derived_monthly_asset(
        "symbol_signals",
        months,
        _signal,
        rows=_members,
        figures={action: pl.col(action).sum() for action in ("signals", "buys", "sells")},
        judge=judge_members,
        details=_details,
        code_version="2",
        layer="signals",
        kinds={"pandera"},
        made_of={
            **{
                vote.name: [("bars" if column == "close" else "price_indicators", column) for column in rule.columns]
                for vote, rule in zip(SIGNAL_COLUMNS, SYMBOL_RULES, strict=True)
            },
            "regime": [("market_signals", "value")],
        },
        more_metadata={"rules": shown(pl.DataFrame(rules))},
        derived_columns=SIGNAL_COLUMNS,
        deps=["bars", "price_indicators", "market_signals"],
    )


@dataclass(frozen=True)
class _OfDays:
    """Signals on some days. securities: of whom; None: of all members. new: as the preparation of the store gave it.

    The store looks through a whole year for the indicators of some weeks, so more is read at a time than is computed.
    """

    holds: AssetHolds
    securities: frozenset[int] | None = None
    new: NewYears | None = None

    @property
    def stages(self) -> Sequence[Stage]:
        return self._read, self._stored

    def _read(self, market: Market, days: Days, _: None) -> pl.DataFrame:
        return member_store.members_with_indicators(market.store, RULE_COLUMNS, *days, self.securities)

    def _stored(self, market: Market, days: Days, members: pl.DataFrame) -> Merged:
        merged = NOTHING
        for own in portions(days, members["session"], PIECE_BARS):
            of_days = members.filter(pl.col("session").is_between(*own))
            signals = compute_signals(of_days, member_store.regimes(market.store, *own))
            merged += member_store.record_symbol_signals(
                market.store,
                require(contracts.symbol_signals(SIGNAL_BOUNDS), self.holds.without_held(signals)),
                SIGNAL_COLUMNS,
                days=own,
                securities=self.securities,
                held=self.holds.first_sessions,
                new=self.new,
            )
        return merged


def _signal(market: Market, scope: Scope, run_id: str) -> Merged:  # noqa: ARG001 - the rows name no run
    """Buy, sell or hold for each member: what six technical rules say together, gated by the universe's breadth."""
    span, some = scope.left, scope.some
    if span.is_empty:
        return NOTHING
    once = some is None and done_once(market)
    with member_store.symbol_signals_prepared(market.store, SIGNAL_COLUMNS, span.days, once=once) as new:
        if some is None:
            merged = _of_stretches(market, _OfDays(scope.holds, new=new), [span.days])
        else:
            of_some = _OfDays(scope.holds, some.securities)
            merged = _of_stretches(market, of_some, [span.days]) if some.securities else NOTHING
            merged += _of_stretches(market, _OfDays(scope.holds), _concerning_all(market, scope, some))
        advance("symbol signals", 0.9, "keys")
    advance("symbol signals", 1, f"through {span.end}")
    return merged


def _of_stretches(market: Market, work: _OfDays, stretches: Sequence[Days]) -> Merged:
    spans = [Span(*stretch, stretch.end) for stretch in stretches]
    listed = security_store.listed(market.store, chain.from_iterable(span.calendar_years for span in spans))
    pieces = [days for span in spans for days in span.pieces(listed, LONG_PIECE_BARS)]
    merged, done = NOTHING, 0
    for days, stored in spread(market, "symbol_signals", work, pieces):
        merged, done = merged + stored, done + 1
        advance("symbol signals", 0.9 * done / len(pieces), f"through {days.end}")
    return merged


def _concerning_all(market: Market, scope: Scope, some: Some) -> list[Days]:
    """Stretches of days that concern every member: the run's own, those noted, and those of another regime."""
    regimes = gates(member_store.regimes(market.store, *scope.left.days))
    moved = member_store.sessions_of_other_regimes(market.store, regimes, *scope.left.days)
    concerned = some.sessions.union(moved)
    runs = groupby(market.calendar.between(*scope.left.days), concerned.__contains__)
    found = [list(sessions) for among, sessions in runs if among]
    return [*scope.own_days, *(Days(sessions[0], sessions[-1]) for sessions in found)]


def _members(market: Market, scope: Scope) -> pl.DataFrame:
    members = member_store.member_totals(market.store, scope.own.start, scope.own.end)
    return of_market(members, market, synthetic_universes(market.store))


def _details(market: Market, scope: Scope, members: pl.DataFrame) -> Mapping[str, Any]:  # noqa: ARG001
    newest_first = members.sort("session", descending=True)
    return {"last_sessions": shown(marked(newest_first, synthetic_universes(market.store)))}
