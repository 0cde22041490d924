"""Technical indicators of each member of a universe, from bars. What they say is in symbol_signals.py."""

import datetime as dt
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import NamedTuple

import dagster as dg
import polars as pl

from breadthflow_pipelines.contracts import breadth as contracts
from breadthflow_pipelines.contracts.verdict import require
from breadthflow_pipelines.indicators.conventions import CONVENTION
from breadthflow_pipelines.indicators.counts import memberships, roster
from breadthflow_pipelines.indicators.price import by_history
from breadthflow_pipelines.indicators.relative import MEDIAN, RELATIVE_STRENGTH, median_returns, relative_strength
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
from breadthflow_pipelines.orchestration.fanout import done_once, spread
from breadthflow_pipelines.orchestration.holds import AssetHolds
from breadthflow_pipelines.orchestration.overlap import overlapped
from breadthflow_pipelines.orchestration.partitions import LONG_PIECE_BARS, Days, Span
from breadthflow_pipelines.orchestration.pending_changes import Reach, Scope
from breadthflow_pipelines.orchestration.piecework import Stage
from breadthflow_pipelines.orchestration.resources import Market
from breadthflow_pipelines.orchestration.shards import SHARD_BARS, Shard, shards, shards_of
from breadthflow_pipelines.orchestration.ui_metadata import of_market
from breadthflow_pipelines.warehouse import bar_store, member_store, security_store
from breadthflow_pipelines.warehouse.bulk import NOTHING, Merged, execute
from breadthflow_pipelines.warehouse.new_years import NewYears
from breadthflow_pipelines.warehouse.recomputations import session_notes, single_session_notes
from breadthflow_pipelines.warehouse.universe_listing import synthetic_universes

MANY_MOVED = 100  # sessions with another median, from which on all members are computed again
_OF_MEMBERS = ("universe", "session", "security_id")


def price_indicators_asset(months: dg.MonthlyPartitionsDefinition) -> dg.AssetsDefinition:
    """The asset ``price_indicators``, cut into these months."""
    return derived_monthly_asset(
        "price_indicators",
        months,
        _compute,
        rows=_members,
        figures={"members": pl.col("indicators").sum(), "sessions": pl.col("session").n_unique()},
        code_version="3",
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

    bars: pl.DataFrame
    states: pl.DataFrame


class _Computed(NamedTuple):
    """A shard's indicators, and the states from which on later runs go."""

    indicators: pl.DataFrame
    states: pl.DataFrame


@dataclass(frozen=True)
class _OfShards:
    """Indicators of the members in a shard, over a span; what all shards need for that, as plain values.

    sizes: as bar_store.histories() gives them. changed_below: whether states of later days are wrong as well. new: as
    the preparation of the store gave it.
    """

    span: Span
    members: pl.DataFrame
    sessions: pl.DataFrame
    medians: pl.DataFrame
    sizes: pl.DataFrame
    holds: AssetHolds
    changed_below: bool
    new: NewYears | None = None

    @property
    def stages(self) -> Sequence[Stage]:
        return self._read, self._computed, self._stored

    def _read(self, market: Market, shard: Shard, _: None) -> _Read:
        wanted = shard.of(self.sizes).filter(pl.col("bars") > 0)
        bars = bar_store.bars_from(market.store, wanted, self.span.end)
        states = bar_store.states_before(market.store, shard.securities, self.span.start, formulas())
        return _Read(bars, _in_columns(states))

    def _computed(self, market: Market, shard: Shard, read: _Read) -> _Computed:  # noqa: ARG002
        going_on = _to_go_on_from(read.bars, self.span, _first_state(self.span))
        found, states = indicators_and_states(read.bars, read.states, going_on)
        of_members = roster(shard.of(self.members), self.sessions).select(_OF_MEMBERS)
        rows = of_members.join(found, on=["security_id", "session"])
        indicators = relative_strength(rows, self.medians).with_columns(convention=pl.lit(CONVENTION, pl.Int32))
        in_one = pl.concat_list(STATE_COLUMNS).alias("states")
        kept = states.select("security_id", "session", in_one, formulas=pl.lit(formulas()))
        contract = contracts.price_indicators(PRICE_BOUNDS)
        return _Computed(require(contract, self.holds.without_held(indicators)), kept)

    def _stored(self, market: Market, shard: Shard, computed: _Computed) -> Merged:
        merged = member_store.record_price_indicators(
            market.store,
            computed.indicators,
            PRICE_COLUMNS,
            days=self.span.days,
            securities=shard.securities,
            held=self.holds.first_sessions,
            new=self.new,
        )
        member_store.record_recursion_states(
            market.store,
            computed.states,
            days=(_first_state(self.span), self.span.end),
            securities=shard.securities,
            and_later=self.changed_below,
        )
        return merged


def _compute(market: Market, scope: Scope, run_id: str) -> Merged:  # noqa: ARG001 - the rows name no run
    """Averages, RSI, MACD, bands, ranges and relative strength of each member, from its bars' whole history.

    The history is not read where the store knows what the recursions were on a bar before the span. Where single
    securities changed, the others are computed for the run's own months alone, and held against other medians.
    """
    span, some = scope.left, scope.some
    if span.is_empty:
        return NOTHING
    members = security_store.members(market.store)
    sessions = market.calendar.frame().filter(pl.col("session").is_between(*span.days))
    if some is None:
        medians, moved = _medians(market, span, members, sessions), list[dt.date]()
    else:
        stored = member_store.medians(market.store, *span.days)
        medians = _medians_where_changed(market, scope, stored, members, sessions)
        moved = _moved(stored, medians)
    all_of = partial(_of_everybody, market, scope, members, sessions, medians)
    once = some is None and done_once(market)
    with member_store.price_indicators_prepared(market.store, PRICE_COLUMNS, span.days, once=once) as new:
        if some is None or len(moved) > MANY_MOVED:
            if some is not None:
                execute(market.store, session_notes("symbol_signals", [span.start], "price_indicators"))
            merged = all_of(span, new)
            advance("price indicators", 0.9, "keys")
        else:
            own = [Span(*days, span.through) for days in scope.own_days]
            work, sizes = _work(market, scope, members, sessions, medians, span)
            merged = sum(map(all_of, own), _spread(market, work, shards_of(sizes, some.securities), sizes))
            merged = sum((_held_against(market, scope, medians, day) for day in moved), merged)
    member_store.record_medians(market.store, medians, span.days)  # last: until then the rows are known to differ
    advance("price indicators", 1, f"through {span.end}")
    return merged


def _of_everybody(
    market: Market,
    scope: Scope,
    members: pl.DataFrame,
    sessions: pl.DataFrame,
    medians: pl.DataFrame,
    span: Span,
    new: NewYears | None = None,
) -> Merged:
    # Shard by shard, each security from where its recursions can go on, however the months are cut.
    work, sizes = _work(market, scope, members, sessions, medians, span)
    return _spread(market, replace(work, new=new), shards(sizes, SHARD_BARS), sizes)


def _work(
    market: Market, scope: Scope, members: pl.DataFrame, sessions: pl.DataFrame, medians: pl.DataFrame, span: Span
) -> tuple[_OfShards, pl.DataFrame]:
    """What is done over the span, and the sizes of the histories that it takes."""
    sizes = bar_store.histories(market.store, *span.days, formulas(), WINDOW)
    within = pl.col("session").is_between(*span.days)
    later = bool(scope.causes) and span == scope.left
    return _OfShards(span, members, sessions.filter(within), medians, sizes, scope.holds, later), sizes


def _spread(market: Market, work: _OfShards, pieces: Iterable[Shard], sizes: pl.DataFrame) -> Merged:
    merged, done, whole = NOTHING, 0, max(1, int(sizes["bars"].sum()))
    for shard, stored in spread(market, "price_indicators", work, pieces):
        merged, done = merged + stored, done + shard.bars
        advance("price indicators", 0.9 * done / whole, f"{done:,} bars")
    return merged


def _moved(stored: pl.DataFrame, medians: pl.DataFrame) -> list[dt.date]:
    """The sessions on which a universe has another median than the stored rows were held against."""
    both = medians.join(stored, on=["universe", "session"], how="full", coalesce=True, suffix="_stored")
    same = pl.col(MEDIAN).eq_missing(pl.col(f"{MEDIAN}_stored"))
    return both.filter(~same)["session"].unique().sort().to_list()


def _held_against(market: Market, scope: Scope, medians: pl.DataFrame, day: dt.date) -> Merged:
    """The rows of all members on a session, held against its median; nothing else in them rests on other members."""
    store = market.store
    execute(store, single_session_notes("symbol_signals", [day], "price_indicators"))
    rows = member_store.indicators_of(store, PRICE_COLUMNS, day, day)
    columns = rows.columns
    indicators = relative_strength(rows.drop(RELATIVE_STRENGTH.name), medians).select(columns)
    contract = contracts.price_indicators(PRICE_BOUNDS)
    return member_store.record_price_indicators(
        store,
        require(contract, scope.holds.without_held(indicators)),
        PRICE_COLUMNS,
        days=(day, day),
        held=scope.holds.first_sessions,
    )


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


_DAY = dt.timedelta(days=1)
_LAST, _YEAR = pl.col("session").max(), pl.col("session").dt.year().alias("year")


def _in_columns(states: pl.DataFrame) -> pl.DataFrame:
    """States as the store has them, one column for each recursion."""
    return states.select(
        "security_id", "session", *(pl.col("states").list.get(i).alias(name) for i, name in enumerate(STATE_COLUMNS))
    )


def _medians_where_changed(
    market: Market, scope: Scope, stored: pl.DataFrame, members: pl.DataFrame, sessions: pl.DataFrame
) -> pl.DataFrame:
    """The medians of all that is left: computed where a change may have moved them, and else those that are stored."""
    span = scope.left
    last = Reach(bars=ROC_LONG).end(market, scope.changes, span.end)
    stretches = [Span(span.start, last, span.through)]
    stretches += [Span(max(days.start, last + _DAY), days.end, span.through) for days in scope.own_days]
    within = pl.any_horizontal(pl.col("session").is_between(*stretch.days) for stretch in stretches)
    others = stored.filter(~within)
    if not sessions.filter(~within).join(others, on="session", how="anti").is_empty():
        return _medians(market, span, members, sessions)  # some were never noted
    return pl.concat([*(_medians(market, s, members, sessions) for s in stretches if not s.is_empty), others])


def _medians(market: Market, span: Span, members: pl.DataFrame, sessions: pl.DataFrame) -> pl.DataFrame:
    """The median return of each universe on each session, piece by piece: a median takes all members at once."""
    pieces = span.pieces(security_store.listed(market.store, span.calendar_years), LONG_PIECE_BARS)
    before = pl.DataFrame()

    def read(days: Days) -> tuple[Days, pl.DataFrame]:
        # The bars before the first piece are asked for; those before another are the last ones of the pieces before it.
        return days, bar_store.closes(market.store, *days, ROC_LONG if days == pieces[0] else 0)

    def found(piece: tuple[Days, pl.DataFrame]) -> pl.DataFrame:
        nonlocal before
        days, closes = piece
        bars = by_history(pl.concat([before, closes], how="diagonal"))
        change = roc(pl.col("close"), ROC_LONG).alias(f"roc_{ROC_LONG}")
        returns = bars.select("security_id", "session", change).filter(pl.col("session") >= days.start)
        counted = returns.join(sessions.select("session"), on="session", how="semi")
        before = bars.drop("history", "bar").group_by("security_id").tail(ROC_LONG)
        return median_returns(memberships(counted, members))

    return pl.concat(overlapped(overlapped(pieces, read, at_a_time=2), found))


def _members(market: Market, scope: Scope) -> pl.DataFrame:
    members = member_store.indicator_totals(market.store, scope.own.start, scope.own.end)
    return of_market(members, market, synthetic_universes(market.store))
