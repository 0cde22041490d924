"""Securities, universe members and bars: from the source into the store. Breadth made from them is in breadth.py."""

from collections import Counter
from typing import Any

import dagster as dg
import polars as pl

from breadthflow_pipelines.contracts.bars import bar_contract
from breadthflow_pipelines.contracts.identity import (
    LISTING,
    MEMBERS,
    number_securities,
    resolve_bars,
    resolve_members,
    with_unlisted,
)
from breadthflow_pipelines.contracts.verdict import judge, require
from breadthflow_pipelines.observability.progress import advance
from breadthflow_pipelines.orchestration.describe import (
    lineage,
    merge_metadata,
    monthly_metadata,
    shown,
    stored_asset,
)
from breadthflow_pipelines.orchestration.partitions import Span, span_of
from breadthflow_pipelines.orchestration.resources import Market
from breadthflow_pipelines.sources.protocol import Chunk, Outcome, label
from breadthflow_pipelines.sources.universe_file import (
    INSTRUMENT_SCHEMA,
    instruments_beside,
    read_instruments,
    read_universe,
)
from breadthflow_pipelines.warehouse import market as warehouse
from breadthflow_pipelines.warehouse.bulk import NOTHING

GROUP = "market"


def wanted_members(market: Market) -> pl.DataFrame:
    """Point-in-time members: the universe file's where one is configured, else those that the source brings."""
    file = market.settings.universe_file
    return require(MEMBERS, read_universe(file) if file else market.source.members())


def _instruments(market: Market) -> pl.DataFrame:
    file = market.settings.universe_file
    beside = instruments_beside(file) if file else None
    return read_instruments(beside) if beside else pl.DataFrame(schema=INSTRUMENT_SCHEMA)


@stored_asset("securities", group=GROUP, code_version="1")
def securities(context: dg.AssetExecutionContext, market: Market) -> dg.MaterializeResult:  # type: ignore[type-arg]
    """Every share that the source or a universe speaks of, under a number that outlives its symbols."""
    source = market.source
    listing = require(LISTING, source.securities())
    with market.store.exclusive("securities"):
        wanted = with_unlisted(listing, wanted_members(market), _instruments(market))
        numbered = number_securities(wanted, warehouse.known_securities(market.store))
        recorded = warehouse.record_securities(market.store, numbered, synthetic=source.synthetic)
    unlisted = numbered["security_id"].n_unique() - listing["source_key"].n_unique()
    about = source.describe().about
    context.log.info("%s: %s securities", about, listing["source_key"].n_unique())
    return dg.MaterializeResult(
        metadata={
            **merge_metadata(recorded.securities),
            "dagster/row_count": recorded.securities.read,
            "source": about,
            "synthetic": source.synthetic,
            "members_without_listing": unlisted,
            "without_sector": numbered.filter(pl.col("sector").is_null())["security_id"].n_unique(),
            "symbols_changed": recorded.symbols_changed,
            "sample": shown(numbered),
        }
    )


@stored_asset("universe_members", group=GROUP, code_version="1", deps=[securities])
def universe_members(market: Market) -> dg.MaterializeResult:  # type: ignore[type-arg]
    """Who belonged to each universe, from when to when: half-open intervals, so nobody is counted with hindsight."""
    wanted = wanted_members(market)
    with market.store.exclusive("universe_members"):
        intervals = resolve_members(wanted, warehouse.symbol_intervals(market.store))
        merged = warehouse.record_members(market.store, intervals)
    present = intervals.filter(pl.col("valid_to").is_null())
    by_universe = intervals.group_by("universe").agg(
        intervals=pl.len(), securities=pl.col("security_id").n_unique(), open=pl.col("valid_to").is_null().sum()
    )
    return dg.MaterializeResult(
        metadata={
            **merge_metadata(merged),
            "dagster/row_count": merged.read,
            "dagster/column_lineage": lineage(
                {"security_id": [("securities", "security_id")], "symbol": [("securities", "security_key")]}
            ),
            "members_now": present.height,
            "synthetic": market.source.synthetic,
            "universes": shown(by_universe.sort("universe")),
        }
    )


def bars_asset(months: dg.MonthlyPartitionsDefinition) -> dg.AssetsDefinition:
    """The asset ``bars``, cut into these months."""

    @stored_asset(
        "bars",
        group=GROUP,
        code_version="1",
        kinds={"pandera"},
        partitions_def=months,
        pool="bars",
        deps=[securities],
    )
    def bars(context: dg.AssetExecutionContext, market: Market) -> dg.MaterializeResult:  # type: ignore[type-arg]
        """Daily bars of the months, from the source; what breaks the contract is kept aside, with the reason."""
        span = span_of(context.run.tags, market.settings, market.calendar)
        ingest = _Ingest(market, span, context.run.run_id)
        figures = ingest.run()
        held = warehouse.sessions_held(market.store, span.start, span.end, synthetic=market.source.synthetic)
        monthly_metadata(
            context,
            ingest.merged,
            held,
            {
                "bars": pl.col("bars").sum(),
                "sessions": pl.len(),
                "last_session": pl.col("session").max().cast(pl.String),
            },
        )
        return dg.MaterializeResult(metadata=figures)

    return bars


class _Ingest:
    """One reading of the source: chunk by chunk, each judged and stored in a transaction of its own."""

    def __init__(self, market: Market, span: Span, run_id: str) -> None:
        self.market = market
        self.span = span
        self.run_id = run_id
        self.contract = bar_contract(market.calendar)
        self.symbols = warehouse.symbol_intervals(market.store)
        self.merged = NOTHING
        self.reached = span.start
        self.read = self.rejected = self.rejected_new = 0
        self.reasons: Counter[str] = Counter()
        self.outcomes: dict[str, Outcome] = {}
        self.problems: list[str] = []

    def run(self) -> dict[str, Any]:
        """Read and store the span; returns the figures of the materialization."""
        if not self.span.is_empty:
            for chunk in self.market.source.bars(None, self.span.start, self.span.end):
                self._store(chunk)
        advance("bars", 1, f"through {self.span.end}")
        source = self.market.source
        outcomes = Counter(self.outcomes.values())
        return {
            **merge_metadata(self.merged),
            "rows_read": self.read,
            "rows_rejected": self.rejected,
            "rows_rejected_new": self.rejected_new,
            "rejected_by_reason": {reason: self.reasons[reason] for reason in sorted(self.reasons)},
            "source": label(source),
            "synthetic": source.synthetic,
            "symbols": {str(outcome): outcomes[outcome] for outcome in Outcome},
            "symbols_failed": [
                symbol for symbol, outcome in sorted(self.outcomes.items()) if outcome is Outcome.FAILED
            ],
            "problems": self.problems,
            "range": f"{self.span.start} to {self.span.end}",
            "dagster/column_lineage": lineage({"security_id": [("securities", "security_id")]}),
        }

    def _store(self, chunk: Chunk) -> None:
        verdict = judge(self.contract, resolve_bars(chunk.bars, self.symbols))
        source = label(self.market.source)
        if verdict.rejected.height:
            self.rejected += verdict.rejected.height
            self.rejected_new += warehouse.record_rejected_bars(
                self.market.store, verdict.rejected, source, self.run_id
            )
            self.reasons.update(verdict.by_reason())
        if verdict.good.height:
            self.merged += warehouse.load_bars(self.market.store, verdict.good, source, self.run_id)
            self.reached = max(self.reached, verdict.good.select(pl.col("session").max()).item())
            whole = (self.span.end - self.span.start).days + 1
            advance("bars", ((self.reached - self.span.start).days + 1) / whole, f"through {self.reached}")
        self.read += chunk.bars.height
        self.outcomes.update(chunk.outcomes)
        self.problems.extend(chunk.problems)
