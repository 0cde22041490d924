"""Published counts, breadth counts and indicators. What they are made from: market.py; what they say: signals.py."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
import polars as pl
from pydantic import Field

from breadthflow_pipelines.contracts import breadth as contracts
from breadthflow_pipelines.contracts.verdict import ContractError, require
from breadthflow_pipelines.errors import RequestError, SourceError
from breadthflow_pipelines.indicators.breadth_catalogue import CATALOGUE
from breadthflow_pipelines.indicators.breadth_catalogue import breadth_indicators as compute_indicators
from breadthflow_pipelines.indicators.counts import breadth_state, count_breadth
from breadthflow_pipelines.indicators.price import WARM_UP_BARS
from breadthflow_pipelines.model.counts import COUNTS
from breadthflow_pipelines.model.vocabulary import ALL, KEY
from breadthflow_pipelines.observability.progress import advance
from breadthflow_pipelines.orchestration.assets.market import securities, universe_members
from breadthflow_pipelines.orchestration.catalogue_columns import BREADTH, BREADTH_BOUNDS, origins
from breadthflow_pipelines.orchestration.describe import (
    marked,
    merge_metadata,
    monthly_metadata,
    of_market,
    plotted,
    shown,
    stored_asset,
)
from breadthflow_pipelines.orchestration.gates import holding, judge_coverage, refuse_held
from breadthflow_pipelines.orchestration.partitions import REVISABLE_SESSIONS, span_of
from breadthflow_pipelines.orchestration.pending_changes import Work, catching_up
from breadthflow_pipelines.orchestration.resources import Market
from breadthflow_pipelines.reports.charts import indicator_charts
from breadthflow_pipelines.sources.exchange_breadth import read_published_counts
from breadthflow_pipelines.sources.registry import published_directory
from breadthflow_pipelines.trust.count_guards import judge_published, scope_stretches, unit_stretches
from breadthflow_pipelines.warehouse import bar_store, breadth_store, rejection_store, security_store
from breadthflow_pipelines.warehouse.bulk import NOTHING, Merged
from breadthflow_pipelines.warehouse.publications import remembered
from breadthflow_pipelines.warehouse.universe_listing import synthetic_universes

_TELLING = ("ad_line", "mcclellan_oscillator_ratio", "zweig_ema", "pct_above_50", "net_new_highs")
_PLOTTED = {
    "net_advances": pl.col("advances") - pl.col("declines"),
    "mcclellan_oscillator": pl.col("mcclellan_oscillator_ratio"),
    "pct_above_50": pl.col("pct_above_50"),
    "pct_above_200": pl.col("pct_above_200"),
    "members_priced": pl.col("priced"),
    "coverage": pl.col("coverage"),
}
PUBLISHED_SHOWN = ("advances", "declines", "unchanged", "up_volume", "down_volume")


class PublishedCounts(dg.Config):
    """One publication to read instead of those that are configured; both, or neither."""

    exchange: str = Field(default="", description="whose counts; a universe of that name")
    directory: str = Field(default="", description="holds its files X_advn.csv, X_decln.csv, ...")


@stored_asset("exchange_breadth", code_version="1", layer="source", kinds={"csv"})
def exchange_breadth(
    context: dg.AssetExecutionContext, config: PublishedCounts, market: Market
) -> dg.MaterializeResult:  # type: ignore[type-arg]
    """Advances, declines, volumes, highs and lows as exchanges published them; each a universe of its exchange's name.

    Read from where BREADTHFLOW_EXCHANGE_BREADTH and `breadthflow import-breadth` say; where neither does, from nowhere.
    """
    if config.exchange or config.directory:
        return _said([_publish(market, config.exchange, Path(config.directory), context.run.run_id)], [])
    read, problems = [], []
    for exchange, where in publications(market).items():
        try:
            directory = published_directory(market.settings, where, exchange)
            read.append(_publish(market, exchange, directory, context.run.run_id))
        except (RequestError, SourceError, ContractError) as error:
            problems.append(f"{exchange}: {error}")  # it costs itself; what is stored of it stays as it was
    return _said(read, problems)


def publications(market: Market) -> dict[str, Path | str]:
    """By exchange, where every run reads its counts: what was imported, and before that what the settings name."""
    return {**remembered(market.store), **market.settings.publications}


@dataclass(frozen=True)
class _Read:
    """What came of one publication."""

    exchange: str
    merged: Merged
    counts: pl.DataFrame
    rejected: pl.DataFrame


def _publish(market: Market, exchange: str, directory: Path, run_id: str) -> _Read:
    published = read_published_counts(directory, exchange, market.calendar)
    judged = judge_published(published.counts.with_columns(exchange=pl.lit(exchange)))
    counts = require(contracts.PUBLISHED, judged)
    merged = breadth_store.record_published(market.store, counts, exchange, run_id)
    rejection_store.record_rejected_counts(market.store, published.rejected, exchange, run_id)
    advance("published counts", 1, f"{counts.height} sessions")
    return _Read(exchange, merged, counts, published.rejected.select(pl.lit(exchange).alias("exchange"), pl.all()))


def _said(read: Sequence[_Read], problems: list[str]) -> dg.MaterializeResult:  # type: ignore[type-arg]
    if not read:
        configure = "none configured: set BREADTHFLOW_EXCHANGE_BREADTH, or run breadthflow import-breadth"
        nothing = "none could be read" if problems else configure
        return dg.MaterializeResult(metadata={"publications": nothing, "problems": problems})
    merged = sum((one.merged for one in read), NOTHING)
    counts = pl.concat(one.counts for one in read)
    reach = counts.group_by("exchange", maintain_order=True).agg(
        sessions=pl.len(), first=pl.col("session").min(), last=pl.col("session").max()
    )
    doubted = counts.filter(pl.col("doubts").list.len() > 0)
    rejected = pl.concat(one.rejected for one in read)
    return dg.MaterializeResult(
        metadata={
            "publications": shown(reach),
            "problems": problems,
            **merge_metadata(merged),
            "dagster/row_count": merged.read,
            "rows_rejected": rejected.height,
            "rejected": shown(rejected),
            "rows_doubted": doubted.height,
            "doubted": shown(doubted.select("exchange", "session", "doubts", *PUBLISHED_SHOWN), most=50),
            "volume_units": shown(unit_stretches(counts)),
            "rows_of_another_list": counts["usual_issues"].count(),
            "other_lists": shown(scope_stretches(counts), most=50),
        }
    )


def breadth_counts_asset(
    months: dg.MonthlyPartitionsDefinition, bars: dg.AssetsDefinition, quarantine: dg.AssetsDefinition
) -> dg.AssetsDefinition:
    """The asset ``breadth_counts``, cut into these months."""

    @stored_asset(
        "breadth_counts",
        code_version="1",
        layer="counts",
        kinds={"pandera"},
        made_of={
            **{count.name: list(count.made_of) for count in COUNTS},
            "segment": [("securities", "sector")],
            "universe": [("universe_members", "universe")],
        },
        partitions_def=months,
        pool="breadth_counts",
        # A month's counts look back over a year of bars, so they need the table, not only the same month of it.
        deps=[bars, quarantine, universe_members, securities],
    )
    def breadth_counts(context: dg.AssetExecutionContext, market: Market) -> dg.MaterializeResult:  # type: ignore[type-arg]
        """How many members rose, fell, stood above their means, made new extremes; per universe, sector and session."""
        span = span_of(context.run.tags, market.settings, market.calendar)
        with market.store.exclusive("breadth_counts"), catching_up(market, "breadth_counts", span) as work:
            merged = _count(market, work, context.run.run_id)
        held = breadth_store.coverage(market.store, span.start, span.end)
        held = of_market(held, market, synthetic_universes(market.store))
        monthly_metadata(
            context,
            merged,
            held,
            {
                "sessions": pl.col("session").n_unique(),
                "least_coverage": pl.col("coverage").min(),
                "mean_priced": pl.col("priced").mean(),
            },
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

    return breadth_counts


def _count(market: Market, work: Work, run_id: str) -> Merged:
    """Count the span year by year: memory stays small however long the history."""
    span = work.span
    members = security_store.members(market.store)
    calendar = market.calendar.frame()
    merged = NOTHING
    for done, (start, end) in enumerate(span.years, 1):
        bars = bar_store.bars_to_count(market.store, start, end, WARM_UP_BARS)
        sessions = calendar.with_columns(counted=pl.col("session").is_between(start, end))
        index = bar_store.index_closes(market.store, market.settings.index_symbols, start, end)
        counts = require(contracts.COUNTS, count_breadth(bars, members, sessions, index))
        hold = breadth_store.settling_coverage(market.settings.coverage_gate, start, end, run_id)
        merged += breadth_store.record_counts(market.store, work.held.free(counts), start, end, hold, work.held.firsts)
        advance("breadth counts", done / len(span.years), f"through {end}")
    return merged


@stored_asset(
    "breadth_indicators",
    code_version="2",
    layer="indicators",
    kinds={"pandera"},
    made_of=origins(CATALOGUE, "breadth_counts"),
    measures=BREADTH,
    deps=[
        dg.AssetDep("breadth_counts", partition_mapping=dg.AllPartitionMapping()),
        dg.AssetDep("exchange_breadth"),
    ],
)
def breadth_indicators(context: dg.AssetExecutionContext, market: Market) -> dg.MaterializeResult:  # type: ignore[type-arg]
    """The A/D line, McClellan, Zweig's average and the rest, from all of history; only changed rows are written."""
    with market.store.exclusive("breadth_indicators"):
        judge_coverage(market, context.run.run_id)  # the gate may be another one than when they were counted
        held = holding(market, "breadth_indicators")
        counts = held.free(breadth_store.all_counts(market.store))
        closed = market.calendar.last_closed()
        revisable_from = market.calendar.back(closed, REVISABLE_SESSIONS - 1)
        states = breadth_state(counts, market.settings.coverage_gate, revisable_from)
        computed = compute_indicators(counts).join(states.select(*KEY, "state"), on=KEY)
        contract = contracts.indicators(BREADTH_BOUNDS)
        merged = breadth_store.record_indicators(market.store, require(contract, computed), BREADTH, held.firsts)
    advance("breadth indicators", 1, f"{computed.height} rows")
    whole = computed.filter(segment=ALL).join(counts, on=KEY)
    latest = whole.sort("session").group_by("universe", maintain_order=True).last()
    synthetic = synthetic_universes(market.store)
    charts = indicator_charts(counts, computed, synthetic)
    refuse_held(context, market, held, unless_next=("market_signals", "symbol_signals"))
    return dg.MaterializeResult(
        metadata={
            **{name: dg.MetadataValue.md(text) for name, text in charts.items()},
            **plotted(latest.with_columns(**_PLOTTED), _PLOTTED, synthetic),
            "latest": shown(marked(latest.select("universe", "session", "state", *_TELLING), synthetic)),
            **merge_metadata(merged),
            "dagster/row_count": merged.read,
        }
    )
