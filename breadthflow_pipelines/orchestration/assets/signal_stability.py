"""How many events stay when members are missing or a convention is another one. The mathematics is in evaluation/."""

import datetime as dt
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import reduce

import dagster as dg
import polars as pl

from breadthflow_pipelines.contracts import evaluation as contracts
from breadthflow_pipelines.contracts.verdict import require
from breadthflow_pipelines.evaluation.stability import (
    DRAWS,
    EXTREMES,
    beside_published,
    dropouts,
    of_extremes,
    stability,
    with_a_session_less,
)
from breadthflow_pipelines.indicators.breadth_catalogue import breadth_indicators
from breadthflow_pipelines.indicators.counts import added, breadth_of, partial_counts, without
from breadthflow_pipelines.indicators.thrusts import Thrust, threshold_events
from breadthflow_pipelines.model.vocabulary import ALL, CLOSES, DEADLINE, DROPOUT, REINVESTED
from breadthflow_pipelines.observability.progress import advance
from breadthflow_pipelines.orchestration.asset_definition import stored_asset
from breadthflow_pipelines.orchestration.beside import published_beside
from breadthflow_pipelines.orchestration.resources import Market
from breadthflow_pipelines.orchestration.run_figures import RowCounts
from breadthflow_pipelines.orchestration.shards import SHARD_BARS, shards
from breadthflow_pipelines.orchestration.ui_metadata import marked, shown
from breadthflow_pipelines.signals.calibration import calibrated_events
from breadthflow_pipelines.signals.rules import CALIBRATED, EVENTS
from breadthflow_pipelines.warehouse import bar_store, breadth_store, evaluation_store, security_store
from breadthflow_pipelines.warehouse.universe_listing import synthetic_universes

_ABLE = "able_252"
_LIST = ("universe", "rule", "session")


@stored_asset(
    "signal_stability",
    code_version="1",
    layer="evaluation",
    kinds={"pandera"},
    made_of={
        "kept": [
            *(("breadth_counts", "advances"), ("exchange_breadth", "advances")),
            *(("bars", "close"), ("universe_members", "security_id")),
        ]
    },
    deps=[
        *(dg.AssetDep(name, partition_mapping=dg.AllPartitionMapping()) for name in ("bars", "breadth_counts")),
        "exchange_breadth",
        "universe_members",
    ],
)
def signal_stability(market: Market) -> dg.MaterializeResult:  # type: ignore[type-arg]
    """The share of each rule's events that stay without 5 % of the members, with other conventions, as published.

    Takes minutes. Of rules of events: scores and convictions say something of every session, and have no list.
    """
    with market.store.exclusive("signal_stability"):
        counts = breadth_store.all_counts(market.store).filter(segment=ALL)
        events = pl.concat([_of_published_levels(counts), _of_calibrated_levels(counts)])
        found = stability(
            events,
            {
                DEADLINE: [_rerun(counts, with_a_session_less())],
                REINVESTED: _of_total_returns(counts),
                CLOSES: _of_closes(market, counts),
                DROPOUT: _without_some(market, counts),
            },
        )
        beside = published_beside(market.settings, market.store)
        found = pl.concat([found, *_of_published_counts(counts, beside.pairs)]).sort("universe", "rule", "variation")
        merged = evaluation_store.record_stability(market.store, require(contracts.STABILITY, found))
    synthetic = synthetic_universes(market.store)
    return dg.MaterializeResult(
        metadata={
            "least_stable": shown(marked(found.sort("kept", "universe", "rule"), synthetic), most=30),
            "not_compared": dg.MetadataValue.md("\n\n".join(beside.missing) or "nothing"),
            **RowCounts.of(merged).to_metadata(),
            "dagster/row_count": merged.read,
        }
    )


def _of_published_counts(counts: pl.DataFrame, pairs: Mapping[str, str]) -> Iterator[pl.DataFrame]:
    """What stays of the events of each counted universe in the counts of the exchange beside it."""
    for universe, exchange in pairs.items():
        published = counts.filter(universe=exchange).with_columns(universe=pl.lit(universe))
        yield beside_published(breadth_indicators(counts.filter(universe=universe)), breadth_indicators(published))


def _of_published_levels(counts: pl.DataFrame, thrusts: Iterable[Thrust] = EVENTS) -> pl.DataFrame:
    return threshold_events(breadth_indicators(counts), thrusts).select(_LIST)


def _of_calibrated_levels(counts: pl.DataFrame) -> pl.DataFrame:
    return calibrated_events(breadth_indicators(counts)).select(_LIST)


def _rerun(counts: pl.DataFrame, thrusts: Sequence[Thrust]) -> pl.DataFrame:
    """The events of these thrusts, and a row without a session for each list that was asked for."""
    names = [thrust.name for thrust in thrusts]
    return pl.concat([_of_published_levels(counts, thrusts), _asked(counts["universe"].unique(), names)])


def _asked(universes: pl.Series, rules: Collection[str]) -> pl.DataFrame:
    asked = pl.DataFrame({"universe": universes.sort()}).join(pl.DataFrame({"rule": [*rules]}), how="cross")
    return asked.with_columns(session=pl.lit(None, pl.Date))


def _of_total_returns(counts: pl.DataFrame) -> Iterator[pl.DataFrame]:
    """Once, where dividends are known of any universe."""
    reinvested = [f"{name}_total_return" for name in (*EXTREMES, _ABLE)]
    told = pl.col(reinvested[0]).is_not_null().any().over("universe")
    universes = counts.filter(told)
    if universes.height:
        renamed = {name: pl.col(f"{name}_total_return") for name in (*EXTREMES, _ABLE)}
        yield _rerun(universes.with_columns(**renamed), of_extremes())


def _of_closes(market: Market, counts: pl.DataFrame) -> Iterator[pl.DataFrame]:
    """Once, where there are members: bars that have no range, counted again."""
    members, counted, sessions = _of_members(market, counts)
    if counted.is_empty():
        return

    def parts() -> Iterator[pl.DataFrame]:
        for shard in shards(bar_store.bars_of_members(market.store, *_ends(counted)), SHARD_BARS):
            bars = bar_store.bars_of(market.store, shard.securities).with_columns(high="close", low="close")
            yield partial_counts(bars, shard.of(members), sessions)

    of_closes = breadth_of(reduce(added, parts())).select("universe", "segment", "session", *EXTREMES)
    others = counted.drop(EXTREMES).join(of_closes, on=["universe", "segment", "session"], how="left")
    advance("signal stability", 0.1, "highs and lows of closes")
    yield _rerun(others.select(counts.columns), of_extremes())


def _without_some(market: Market, counts: pl.DataFrame) -> Iterator[pl.DataFrame]:
    """As often as there are draws, where there are members: what those who are missing added, taken away."""
    members, counted, sessions = _of_members(market, counts)
    if counted.is_empty():
        return
    calibrated = _asked(counted["universe"].unique(), [rule.name for rule in CALIBRATED.values()])
    for done, missing in enumerate(dropouts(members), 1):
        bars = bar_store.bars_of(market.store, missing["security_id"].unique().sort().to_list())
        left = without(counted, partial_counts(bars, missing, sessions))
        yield pl.concat([_rerun(left, EVENTS), _of_calibrated_levels(left), calibrated])
        advance("signal stability", 0.1 + 0.9 * done / DRAWS, f"draw {done} of {DRAWS}")


def _of_members(market: Market, counts: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """All members, those of the counts that are made of them, and the calendar with the sessions of these marked."""
    members = security_store.members(market.store)
    counted = counts.filter(pl.col("universe").is_in(members["universe"].unique().to_list()))
    between = pl.col("session").is_between(*_ends(counted)) if counted.height else pl.lit(value=False)
    return members, counted, market.calendar.frame().with_columns(counted=between)


def _ends(counted: pl.DataFrame) -> tuple[dt.date, dt.date]:
    """The first and the last session of some counts."""
    first, last = counted.select(first=pl.col("session").min(), last=pl.col("session").max()).row(0)
    return first, last
