"""Technical indicators of each member of a universe, from bars. What they say is in symbol_signals.py."""

import datetime as dt
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
from breadthflow_pipelines.indicators.technical import (
    ROC_LONG,
    STATE_COLUMNS,
    WINDOW,
    formulas,
    indicators_and_states,
    roc,
)
from breadthflow_pipelines.observability.progress import advance
from breadthflow_pipelines.orchestration.assets.monthly import derived_monthly_asset
from breadthflow_pipelines.orchestration.catalogue_columns import (
    PRICE_BOUNDS,
    PRICE_COLUMNS,
    PRICE_INDICATORS,
    origins,
)
from breadthflow_pipelines.orchestration.overlap import overlapped
from breadthflow_pipelines.orchestration.partitions import Span
from breadthflow_pipelines.orchestration.pending_changes import Scope
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
        code_version="2",
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


class _Read(NamedTuple):
    """A shard's bars, and the states from which on recursions go where the bars do not begin with the history."""

    shard: Shard
    bars: pl.DataFrame
    states: pl.DataFrame


class _Computed(NamedTuple):
    """A shard's indicators, and the states from which on later runs go."""

    shard: Shard
    indicators: pl.DataFrame
    states: pl.DataFrame


def _compute(market: Market, scope: Scope, run_id: str) -> Merged:  # noqa: ARG001 - the rows name no run
    """Averages, RSI, MACD, bands, ranges and relative strength of each member, from its bars' whole history.

    The history is not read where the store knows what the recursions were on a bar before the span.
    """
    span = scope.span
    if span.is_empty:
        return NOTHING
    members = security_store.members(market.store)
    sessions = market.calendar.frame().filter(pl.col("session").is_between(span.start, span.end))
    medians = _medians(market, span, members, sessions)
    recursions = formulas()
    # Shard by shard, each security from where its recursions can go on, however the months are cut.
    sizes = bar_store.histories(market.store, span.start, span.end, recursions, WINDOW)
    contract = contracts.price_indicators(PRICE_BOUNDS)
    known_from = _first_state(span)

    def read() -> Iterator[_Read]:
        for shard in shards(sizes, SHARD_BARS):
            bars = bar_store.bars_from(market.store, shard.of(sizes), span.end)
            states = bar_store.states_before(market.store, shard.securities, span.start, recursions)
            yield _Read(shard, bars, _in_columns(states))

    def compute(piece: _Read) -> _Computed:
        found, states = indicators_and_states(piece.bars, piece.states, _to_go_on_from(piece.bars, span, known_from))
        of_members = roster(piece.shard.of(members), sessions).select(_OF_MEMBERS)
        rows = of_members.join(found, on=["security_id", "session"])
        indicators = relative_strength(rows, medians).with_columns(convention=pl.lit(CONVENTION, pl.Int32))
        in_one = pl.concat_list(STATE_COLUMNS).alias("states")
        kept = states.select("security_id", "session", in_one, formulas=pl.lit(recursions))
        return _Computed(piece.shard, require(contract, scope.holds.without_held(indicators)), kept)

    def store(piece: _Computed) -> tuple[int, Merged]:
        merged = member_store.record_price_indicators(
            market.store,
            piece.indicators,
            PRICE_COLUMNS,
            days=(span.start, span.end),
            securities=piece.shard.ends,
            held=scope.holds.first_sessions,
        )
        member_store.record_recursion_states(
            market.store,
            piece.states,
            days=(known_from, span.end),
            securities=piece.shard.ends,
            and_later=bool(scope.causes),
        )
        return piece.shard.bars, merged

    merged, done, whole = NOTHING, 0, max(1, int(sizes["bars"].sum()))
    for bars, stored in overlapped(overlapped(read(), compute), store):
        merged, done = merged + stored, done + bars
        advance("price indicators", done / whole, f"{done:,} bars")
    advance("price indicators", 1, f"through {span.end}")
    return merged


def _first_state(span: Span) -> dt.date:
    """The first day of the year in which the month before the span lies: from then on the run says what is kept."""
    return (span.start - dt.timedelta(days=31)).replace(month=1, day=1)


def _to_go_on_from(bars: pl.DataFrame, span: Span, since: dt.date) -> pl.DataFrame:
    """The bars whose states are kept: each security's last of every year, and its last before the span's last month.

    So that the next daily run goes on from right before its month, and one that corrects an earlier year from the end
    of the year before. Returns security_id, session.
    """
    known = bars.filter(pl.col("session") >= since)
    before = known.filter(pl.col("session") < span.end.replace(day=1)).group_by("security_id").agg(_LAST)
    of_years = known.filter(pl.col("session") >= span.start).group_by("security_id", _YEAR).agg(_LAST).drop("year")
    return pl.concat([before, of_years]).unique()


_LAST, _YEAR = pl.col("session").max(), pl.col("session").dt.year().alias("year")


def _in_columns(states: pl.DataFrame) -> pl.DataFrame:
    """States as the store has them, one column for each recursion."""
    return states.select(
        "security_id", "session", *(pl.col("states").list.get(i).alias(name) for i, name in enumerate(STATE_COLUMNS))
    )


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
