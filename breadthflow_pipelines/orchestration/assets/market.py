"""Securities, universe members and bars: from the source into the store. Breadth made from them is in breadth.py."""

from collections import Counter
from typing import Any

import dagster as dg
import polars as pl

from breadthflow_pipelines.contracts.identity import (
    LISTING,
    MEMBERS,
    number_securities,
    resolve_members,
    with_descriptions,
    with_unlisted,
)
from breadthflow_pipelines.contracts.verdict import require
from breadthflow_pipelines.orchestration.describe import (
    SHOWN_ROWS,
    marked,
    merge_metadata,
    monthly_metadata,
    shown,
    stored_asset,
)
from breadthflow_pipelines.orchestration.gates import judge_read
from breadthflow_pipelines.orchestration.ingest import RESTATED, Ingest
from breadthflow_pipelines.orchestration.partitions import span_of
from breadthflow_pipelines.orchestration.pending_changes import settle_calendar
from breadthflow_pipelines.orchestration.resources import Market
from breadthflow_pipelines.sources.protocol import Outcome, Reading, label
from breadthflow_pipelines.sources.tree import note_of_others
from breadthflow_pipelines.sources.universe_file import (
    INSTRUMENT_SCHEMA,
    instruments_beside,
    read_instruments,
    read_universe,
)
from breadthflow_pipelines.warehouse import bar_store, recomputations, security_store
from breadthflow_pipelines.warehouse.universe_listing import synthetic_universes

SAMPLE = 5  # securities


def wanted_members(market: Market) -> pl.DataFrame:
    """Point-in-time members: the universe file's where one is configured, else those that the source brings."""
    file = market.settings.universe_file
    return require(MEMBERS, read_universe(file) if file else market.source.members())


def _instruments(market: Market) -> pl.DataFrame:
    file = market.settings.universe_file
    beside = instruments_beside(file) if file else None
    return read_instruments(beside) if beside else pl.DataFrame(schema=INSTRUMENT_SCHEMA)


@stored_asset("securities", code_version="1", layer="source", kinds={"pandera"})
def securities(context: dg.AssetExecutionContext, market: Market) -> dg.MaterializeResult:  # type: ignore[type-arg]
    """Every share that the source or a universe speaks of, under a number that outlives its symbols."""
    source = market.source
    instruments = _instruments(market)
    listing = with_descriptions(require(LISTING, source.securities()), instruments)
    with market.store.exclusive("securities"):
        wanted = with_unlisted(listing, wanted_members(market), instruments)
        numbered = number_securities(wanted, security_store.security_numbers(market.store))
        recorded = security_store.record_securities(market.store, numbered, synthetic=source.synthetic)
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
            "sample": shown(numbered.with_columns(synthetic=source.synthetic), most=SAMPLE),
        }
    )


@stored_asset(
    "universe_members",
    code_version="1",
    layer="source",
    kinds={"pandera"},
    made_of={"security_id": [("securities", "security_id")], "symbol": [("securities", "security_key")]},
    deps=[securities],
)
def universe_members(market: Market) -> dg.MaterializeResult:  # type: ignore[type-arg]
    """Who belonged to each universe, from when to when: half-open intervals, so nobody is counted with hindsight."""
    wanted = wanted_members(market)
    with market.store.exclusive("universe_members"):
        intervals = resolve_members(wanted, security_store.symbol_intervals(market.store))
        merged = security_store.record_members(market.store, intervals)
    present = intervals.filter(pl.col("valid_to").is_null())
    by_universe = intervals.group_by("universe").agg(
        intervals=pl.len(), securities=pl.col("security_id").n_unique(), open=pl.col("valid_to").is_null().sum()
    )
    return dg.MaterializeResult(
        metadata={
            **merge_metadata(merged),
            "dagster/row_count": merged.read,
            "members_now": present.height,
            "synthetic": market.source.synthetic,
            "universes": shown(marked(by_universe.sort("universe"), synthetic_universes(market.store))),
        }
    )


def bars_asset(months: dg.MonthlyPartitionsDefinition) -> dg.AssetsDefinition:
    """The asset ``bars``, cut into these months."""

    @stored_asset(
        "bars",
        code_version="1",
        layer="source",
        made_of={"security_id": [("securities", "security_id")]},
        kinds={"pandera"},
        partitions_def=months,
        pool="bars",
        deps=[securities],
    )
    def bars(context: dg.AssetExecutionContext, market: Market) -> dg.MaterializeResult:  # type: ignore[type-arg]
        """Daily bars of the months, from the source; what breaks the contract is kept aside, with the reason."""
        span = span_of(context.run.tags, market.settings, market.calendar)
        before = bar_store.reach(market.store, synthetic=market.source.synthetic)
        ingest = Ingest(market, span, context.run.run_id)
        ingest.run()
        changed = settle_calendar(market)
        recomputations.done_within(market.store, "bars", span.start, span.end)
        judge_read(market, span, context.run.run_id, before, ingest.asked_again)
        held = bar_store.sessions_held(market.store, span.start, span.end, synthetic=market.source.synthetic)
        monthly_metadata(
            context,
            ingest.merged,
            held,
            {
                "bars": pl.col("bars").sum(),
                "sessions": pl.len(),
                "last_session": pl.col("session").max().cast(pl.String),
            },
            counted={"rows_read": ingest.read_by_month, "rows_rejected": ingest.rejected_by_month},
            always={"source": label(market.source), "synthetic": market.source.synthetic},
        )
        figures = {**merge_metadata(ingest.merged), **_told(ingest), "calendar_changed": [str(day) for day in changed]}
        return dg.MaterializeResult(metadata=figures)

    return bars


def _told(ingest: Ingest) -> dict[str, Any]:
    """What a reading of the source came to."""
    source = ingest.market.source
    outcomes = Counter(ingest.outcomes.values())
    failed = sorted(symbol for symbol, outcome in ingest.outcomes.items() if outcome is Outcome.FAILED)
    return {
        "rows_read": ingest.read,
        "rows_rejected": ingest.rejected,
        "rows_rejected_new": ingest.rejected_new,
        "rejected_by_reason": {reason: ingest.reasons[reason] for reason in sorted(ingest.reasons)},
        "source": label(source),
        "synthetic": source.synthetic,
        "symbols": {str(outcome): outcomes[outcome] for outcome in Outcome},
        "symbols_failed": failed,
        "problems": ingest.problems,
        "adjusted_closes_unusable": ingest.unusable_adjusted.total(),
        "adjusted_closes_unusable_of": dict(ingest.unusable_adjusted.most_common(SHOWN_ROWS)),
        "bars_corrected": ingest.corrected,
        "restated": shown(pl.DataFrame(ingest.restated, schema=RESTATED, orient="row"), most=50),
        "securities_restated": len(ingest.restated),
        "range": f"{ingest.span.start} to {ingest.span.end}",
        **(_lines(ingest.reading) if ingest.reading else {}),
    }


def _lines(reading: Reading) -> dict[str, Any]:
    """Where the lines of the source's files went: all of them together are rows, or blank, or headers, or continued."""
    account = reading.account
    return {
        "files_read": reading.files,
        "lines_read": account.lines,
        "lines_of_rows": account.rows,
        "lines_rejected": account.rejected,
        "lines_blank": account.blank,
        "lines_headers": account.headers,
        "lines_continued": account.continued,
        "rows_outside": reading.outside,
        "columns_unused": dict(reading.columns_unused),
        "files_not_read": list(note_of_others(reading.others, "the directory")),
    }
