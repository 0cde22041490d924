"""Technical indicators and signals of each member. The bars they are made of: market.py."""

import datetime as dt
from collections.abc import Iterator
from functools import partial

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
from breadthflow_pipelines.orchestration.assets.market import universe_members
from breadthflow_pipelines.orchestration.assets.signals import market_signals
from breadthflow_pipelines.orchestration.catalogue_columns import (
    PER_SYMBOL,
    SYMBOL,
    SYMBOL_BOUNDS,
    VOTE_BOUNDS,
    VOTES,
    origins,
)
from breadthflow_pipelines.orchestration.describe import (
    marked,
    merge_metadata,
    monthly_metadata,
    of_market,
    shown,
    stored_asset,
)
from breadthflow_pipelines.orchestration.gates import judge_members, refuse_held
from breadthflow_pipelines.orchestration.partitions import Span, span_of
from breadthflow_pipelines.orchestration.pending_changes import Work, catching_up
from breadthflow_pipelines.orchestration.resources import Market
from breadthflow_pipelines.signals.symbols import RULE_COLUMNS, SYMBOL_RULES
from breadthflow_pipelines.signals.symbols import symbol_signals as compute_signals
from breadthflow_pipelines.warehouse import bar_store, member_store, security_store
from breadthflow_pipelines.warehouse.bulk import NOTHING, Merged
from breadthflow_pipelines.warehouse.universe_listing import synthetic_universes

SHARD_BARS = 300_000  # of whole histories computed at a time: some 200 MB
LAST_ID = 2**62  # beyond every security's number
_OF_MEMBERS = ("universe", "session", "security_id")


def price_indicators_asset(
    months: dg.MonthlyPartitionsDefinition, bars: dg.AssetsDefinition, quarantine: dg.AssetsDefinition
) -> dg.AssetsDefinition:
    """The asset ``price_indicators``, cut into these months."""

    @stored_asset(
        "price_indicators",
        code_version="1",
        layer="indicators",
        kinds={"pandera"},
        made_of={
            **origins(PER_SYMBOL, "bars"),
            RELATIVE_STRENGTH.name: [("bars", "close"), ("universe_members", "security_id")],
        },
        measures=SYMBOL,
        partitions_def=months,
        pool="price_indicators",
        # Recursions remember a security's first bar, so a month's figures need the table, not only that month of it.
        deps=[bars, quarantine, universe_members],
    )
    def price_indicators(context: dg.AssetExecutionContext, market: Market) -> dg.MaterializeResult:  # type: ignore[type-arg]
        """Averages, RSI, MACD, bands, ranges and relative strength of each member, from its bars' whole history."""
        span = span_of(context.run.tags, market.settings, market.calendar)
        with market.store.exclusive("price_indicators"), catching_up(market, "price_indicators", span) as work:
            merged = NOTHING if work.span.is_empty else _compute(market, work)
        told = member_store.member_totals(market.store, span.start, span.end)
        told = of_market(told, market, synthetic_universes(market.store))
        monthly_metadata(
            context,
            merged,
            told,
            {"members": pl.col("indicators").sum(), "sessions": pl.col("session").n_unique()},
            always={"synthetic": market.source.synthetic},
        )
        refuse_held(context, market, work.held)
        return dg.MaterializeResult(
            metadata={
                **work.told(merged),
                **merge_metadata(merged),
                "synthetic": market.source.synthetic,
            }
        )

    return price_indicators


def _compute(market: Market, work: Work) -> Merged:
    """Compute the span shard by shard, each security from its first bar on, however the months are cut."""
    span = work.span
    members = security_store.members(market.store)
    held = roster(members, market.calendar.frame().filter(pl.col("session").is_between(span.start, span.end)))
    held = held.select(_OF_MEMBERS)
    medians = _medians(market, span, held)
    merged, done = NOTHING, 0
    sizes = bar_store.histories(market.store, span.start, span.end)
    whole = int(sizes["bars"].sum())
    for low, high, shard in _shards(sizes):
        bars = bar_store.whole_history(market.store, shard["security_id"].to_list(), span.end)
        rows = held.join(technical_indicators(bars), on=["security_id", "session"])
        computed = relative_strength(rows, medians).with_columns(convention=pl.lit(CONVENTION, pl.Int32))
        merged += member_store.record_price_indicators(
            market.store,
            require(contracts.price_indicators(SYMBOL_BOUNDS), work.held.free(computed)),
            SYMBOL,
            days=(span.start, span.end),
            securities=(low, high),
            held=work.held.firsts,
        )
        done += int(shard["bars"].sum())
        advance("price indicators", done / max(1, whole), f"{done:,} bars")
    advance("price indicators", 1, f"through {span.end}")
    return merged


def _medians(market: Market, span: Span, held: pl.DataFrame) -> pl.DataFrame:
    """The median return of each universe on each session, year by year: it takes all members at once, but few bars."""
    years = []
    for start, end in span.years:
        bars = by_history(bar_store.bars_to_count(market.store, start, end, ROC_LONG))
        change = roc(pl.col("close"), ROC_LONG).over(HISTORY).alias(f"roc_{ROC_LONG}")
        returns = bars.select("security_id", "session", change).filter(pl.col("session") >= start)
        years.append(median_returns(held.join(returns, on=["security_id", "session"])))
    return pl.concat(years)


def _shards(sizes: pl.DataFrame) -> Iterator[tuple[int, int, pl.DataFrame]]:
    """Ranges of securities (first, last, and their sizes) of about SHARD_BARS bars, which leave no number out."""
    number = (sizes["bars"].cum_sum() - 1) // SHARD_BARS
    shards = [sizes.filter(number == shard) for shard in number.unique().sort()] or [sizes]
    ends = [int(shard["security_id"][-1]) for shard in shards[:-1]] + [LAST_ID]
    starts = [0] + [end + 1 for end in ends[:-1]]
    yield from zip(starts, ends, shards, strict=True)


def symbol_signals_asset(
    months: dg.MonthlyPartitionsDefinition, bars: dg.AssetsDefinition, price_indicators: dg.AssetsDefinition
) -> dg.AssetsDefinition:
    """The asset ``symbol_signals``, cut into these months."""

    @stored_asset(
        "symbol_signals",
        code_version="1",
        layer="signals",
        kinds={"pandera"},
        made_of={
            **{
                vote.name: [
                    ("bars" if column == "close" else "price_indicators", column)
                    for column in sorted(set(rule.vote.meta.root_names()))
                ]
                for vote, rule in zip(VOTES, SYMBOL_RULES, strict=True)
            },
            "regime": [("market_signals", "value")],
        },
        shows={
            "rules": shown(pl.DataFrame([{"rule": r.name, "weight": r.weight, "about": r.about} for r in SYMBOL_RULES]))
        },
        measures=VOTES,
        partitions_def=months,
        pool="symbol_signals",
        deps=[bars, price_indicators, market_signals],
    )
    def symbol_signals(context: dg.AssetExecutionContext, market: Market) -> dg.MaterializeResult:  # type: ignore[type-arg]
        """Buy, sell or hold for each member: what six technical rules say together, gated by the universe's breadth."""
        span = span_of(context.run.tags, market.settings, market.calendar)
        judge = partial(judge_members, market, run_id=context.run.run_id)
        with market.store.exclusive("symbol_signals"), catching_up(market, "symbol_signals", span, judge) as work:
            merged = _signal(market, work)
        synthetic = synthetic_universes(market.store)
        told = of_market(member_store.member_totals(market.store, span.start, span.end), market, synthetic)
        actions = {action: pl.col(action).sum() for action in ("signals", "buys", "sells")}
        monthly_metadata(context, merged, told, actions, always={"synthetic": market.source.synthetic})
        refuse_held(context, market, work.held)
        return dg.MaterializeResult(
            metadata={
                "last_sessions": shown(marked(told.sort("session", descending=True), synthetic)),
                **work.told(merged),
                **merge_metadata(merged),
                "synthetic": market.source.synthetic,
            }
        )

    return symbol_signals


def _signal(market: Market, work: Work) -> Merged:
    span, merged = work.span, NOTHING
    for start, end in span.years:
        rows = member_store.members_with_indicators(market.store, RULE_COLUMNS, start, end)
        signals = compute_signals(rows, member_store.regimes(market.store, start, end))
        sound = require(contracts.symbol_signals(VOTE_BOUNDS), work.held.free(signals))
        merged += member_store.record_symbol_signals(
            market.store, sound, VOTES, days=(start, end), held=work.held.firsts
        )
        advance("symbol signals", _part(span, end), f"through {end}")
    return merged


def _part(span: Span, day: dt.date) -> float:
    return ((day - span.start).days + 1) / ((span.end - span.start).days + 1)
