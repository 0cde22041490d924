"""Technical indicators of each member of a universe, from bars. What they say is in symbol_signals.py."""

from collections.abc import Sequence
from dataclasses import dataclass

import dagster as dg
import polars as pl

from breadthflow_pipelines.contracts import breadth as contracts
from breadthflow_pipelines.contracts.verdict import require
from breadthflow_pipelines.indicators.conventions import CONVENTION
from breadthflow_pipelines.indicators.counts import roster
from breadthflow_pipelines.indicators.price import HISTORY, by_history
from breadthflow_pipelines.indicators.relative import RELATIVE_STRENGTH, median_returns, relative_strength
from breadthflow_pipelines.indicators.technical import ROC_LONG, roc, technical_indicators
from breadthflow_pipelines.observability.progress import advance
from breadthflow_pipelines.orchestration.assets.monthly import derived_monthly_asset
from breadthflow_pipelines.orchestration.catalogue_columns import (
    PRICE_BOUNDS,
    PRICE_COLUMNS,
    PRICE_INDICATORS,
    origins,
)
from breadthflow_pipelines.orchestration.fanout import spread
from breadthflow_pipelines.orchestration.holds import AssetHolds
from breadthflow_pipelines.orchestration.partitions import Days, Span
from breadthflow_pipelines.orchestration.pending_changes import Scope
from breadthflow_pipelines.orchestration.piecework import Stage
from breadthflow_pipelines.orchestration.resources import Market
from breadthflow_pipelines.orchestration.shards import Shard, shards
from breadthflow_pipelines.orchestration.ui_metadata import of_market
from breadthflow_pipelines.warehouse import bar_store, member_store, security_store
from breadthflow_pipelines.warehouse.bulk import NOTHING, Merged
from breadthflow_pipelines.warehouse.universe_listing import synthetic_universes

SHARD_BARS = 100_000  # of whole histories computed at a time: some 70 MB
_OF_MEMBERS = ("universe", "session", "security_id")


def price_indicators_asset(months: dg.MonthlyPartitionsDefinition) -> dg.AssetsDefinition:
    """The asset ``price_indicators``, cut into these months."""
    return derived_monthly_asset(
        "price_indicators",
        months,
        _compute,
        rows=_members,
        figures={"members": pl.col("indicators").sum(), "sessions": pl.col("session").n_unique()},
        code_version="1",
        layer="indicators",
        kinds={"pandera"},
        made_of={
            **origins(PRICE_INDICATORS, "bars"),
            RELATIVE_STRENGTH.name: [("bars", "close"), ("universe_members", "security_id")],
        },
        derived_columns=PRICE_COLUMNS,
        # Recursions remember a security's first bar, so a month's figures need the table, not only that month of it.
        deps=["bars", "quarantined_bars", "universe_members"],
    )


@dataclass(frozen=True)
class _OfShards:
    """Indicators of the members in a shard, on the days of a span; what all shards need for that, as plain values."""

    days: Days
    members: pl.DataFrame
    sessions: pl.DataFrame
    medians: pl.DataFrame
    holds: AssetHolds

    @property
    def stages(self) -> Sequence[Stage]:
        return self._read, self._computed, self._stored

    def _read(self, market: Market, shard: Shard, _: None) -> pl.DataFrame:
        return bar_store.whole_history(market.store, shard.securities, self.days.end)

    def _computed(self, market: Market, shard: Shard, bars: pl.DataFrame) -> pl.DataFrame:  # noqa: ARG002
        of_members = roster(shard.of(self.members), self.sessions).select(_OF_MEMBERS)
        rows = of_members.join(technical_indicators(bars), on=["security_id", "session"])
        indicators = relative_strength(rows, self.medians).with_columns(convention=pl.lit(CONVENTION, pl.Int32))
        return require(contracts.price_indicators(PRICE_BOUNDS), self.holds.without_held(indicators))

    def _stored(self, market: Market, shard: Shard, indicators: pl.DataFrame) -> Merged:
        return member_store.record_price_indicators(
            market.store,
            indicators,
            PRICE_COLUMNS,
            days=self.days,
            securities=shard.ends,
            held=self.holds.first_sessions,
        )


def _compute(market: Market, scope: Scope, run_id: str) -> Merged:  # noqa: ARG001 - the rows name no run
    """Averages, RSI, MACD, bands, ranges and relative strength of each member, from its bars' whole history."""
    span = scope.span
    if span.is_empty:
        return NOTHING
    days = span.days
    members = security_store.members(market.store)
    sessions = market.calendar.frame().filter(pl.col("session").is_between(*days))
    work = _OfShards(days, members, sessions, _medians(market, span, members, sessions), scope.holds)
    member_store.prepare_price_indicators(market.store, PRICE_COLUMNS, days)
    # Shard by shard, each security from its first bar on, however the months are cut.
    sizes = bar_store.histories(market.store, *days)
    merged, done, whole = NOTHING, 0, max(1, int(sizes["bars"].sum()))
    for shard, stored in spread(market, "price_indicators", work, shards(sizes, SHARD_BARS)):
        merged, done = merged + stored, done + shard.bars
        advance("price indicators", done / whole, f"{done:,} bars")
    advance("price indicators", 1, f"through {span.end}")
    return merged


def _medians(market: Market, span: Span, members: pl.DataFrame, sessions: pl.DataFrame) -> pl.DataFrame:
    """The median return of each universe on each session, piece by piece: a median takes all members at once."""
    found, before = [], pl.DataFrame()
    for start, end in span.pieces(security_store.how_many(market.store)):
        # The bars before the first piece are asked for; those before another are the last ones of the pieces before it.
        warm_up = 0 if before.width else ROC_LONG
        bars = pl.concat([before, bar_store.closes(market.store, start, end, warm_up)], how="diagonal")
        bars = by_history(bars)
        change = roc(pl.col("close"), ROC_LONG).over(HISTORY).alias(f"roc_{ROC_LONG}")
        returns = bars.select("security_id", "session", change).filter(pl.col("session") >= start)
        present = roster(members, sessions.filter(pl.col("session").is_between(start, end))).select(_OF_MEMBERS)
        found.append(median_returns(present.join(returns, on=["security_id", "session"])))
        before = bars.drop("history").group_by("security_id").tail(ROC_LONG)
    return pl.concat(found)


def _members(market: Market, scope: Scope) -> pl.DataFrame:
    members = member_store.member_totals(market.store, scope.own.start, scope.own.end)
    return of_market(members, market, synthetic_universes(market.store))
