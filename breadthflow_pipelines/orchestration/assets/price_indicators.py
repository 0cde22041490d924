"""Technical indicators of each member of a universe, from bars. What they say is in symbol_signals.py."""

from collections.abc import Iterator
from typing import NamedTuple

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
from breadthflow_pipelines.orchestration.overlap import stored_meanwhile
from breadthflow_pipelines.orchestration.partitions import Span
from breadthflow_pipelines.orchestration.pending_changes import Scope
from breadthflow_pipelines.orchestration.resources import Market
from breadthflow_pipelines.orchestration.ui_metadata import of_market
from breadthflow_pipelines.warehouse import bar_store, member_store, security_store
from breadthflow_pipelines.warehouse.bulk import NOTHING, Merged
from breadthflow_pipelines.warehouse.universe_listing import synthetic_universes

SHARD_BARS = 300_000  # of whole histories computed at a time: some 200 MB
LAST_ID = 2**62  # beyond every security's number
_OF_MEMBERS = ("universe", "session", "security_id")


class _Shard(NamedTuple):
    """Indicators of a range of securities, both ends included, and how many bars they are computed from."""

    securities: tuple[int, int]
    bars: int
    indicators: pl.DataFrame


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


def _compute(market: Market, scope: Scope, run_id: str) -> Merged:  # noqa: ARG001 - the rows name no run
    """Averages, RSI, MACD, bands, ranges and relative strength of each member, from its bars' whole history."""
    span = scope.span
    if span.is_empty:
        return NOTHING
    members = security_store.members(market.store)
    sessions = market.calendar.frame().filter(pl.col("session").is_between(span.start, span.end))
    of_members = roster(members, sessions).select(_OF_MEMBERS)
    medians = _medians(market, span, of_members)
    # Shard by shard, each security from its first bar on, however the months are cut.
    sizes = bar_store.histories(market.store, span.start, span.end)
    contract = contracts.price_indicators(PRICE_BOUNDS)

    def computed() -> Iterator[_Shard]:
        for low, high, shard in _shards(sizes):
            bars = bar_store.whole_history(market.store, shard["security_id"].to_list(), span.end)
            rows = of_members.join(technical_indicators(bars), on=["security_id", "session"])
            indicators = relative_strength(rows, medians).with_columns(convention=pl.lit(CONVENTION, pl.Int32))
            yield _Shard((low, high), bars.height, require(contract, scope.holds.without_held(indicators)))

    def store(shard: _Shard) -> tuple[int, Merged]:
        return shard.bars, member_store.record_price_indicators(
            market.store,
            shard.indicators,
            PRICE_COLUMNS,
            days=(span.start, span.end),
            securities=shard.securities,
            held=scope.holds.first_sessions,
        )

    merged, done, whole = NOTHING, 0, max(1, int(sizes["bars"].sum()))
    for bars, stored in stored_meanwhile(computed(), store):
        merged, done = merged + stored, done + bars
        advance("price indicators", done / whole, f"{done:,} bars")
    advance("price indicators", 1, f"through {span.end}")
    return merged


def _medians(market: Market, span: Span, of_members: pl.DataFrame) -> pl.DataFrame:
    """The median return of each universe on each session, year by year: it takes all members at once, but few bars."""
    years = []
    for start, end in span.years:
        bars = by_history(bar_store.bars_to_count(market.store, start, end, ROC_LONG))
        change = roc(pl.col("close"), ROC_LONG).over(HISTORY).alias(f"roc_{ROC_LONG}")
        returns = bars.select("security_id", "session", change).filter(pl.col("session") >= start)
        years.append(median_returns(of_members.join(returns, on=["security_id", "session"])))
    return pl.concat(years)


def _shards(sizes: pl.DataFrame) -> Iterator[tuple[int, int, pl.DataFrame]]:
    """Ranges of securities (first, last, and their sizes) of about SHARD_BARS bars, which leave no number out."""
    number = (sizes["bars"].cum_sum() - 1) // SHARD_BARS
    shards = [sizes.filter(number == shard) for shard in number.unique().sort()] or [sizes]
    ends = [int(shard["security_id"][-1]) for shard in shards[:-1]] + [LAST_ID]
    starts = [0] + [end + 1 for end in ends[:-1]]
    yield from zip(starts, ends, shards, strict=True)


def _members(market: Market, scope: Scope) -> pl.DataFrame:
    members = member_store.member_totals(market.store, scope.own.start, scope.own.end)
    return of_market(members, market, synthetic_universes(market.store))
