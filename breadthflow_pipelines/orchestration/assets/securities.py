"""Who is in the market: securities, and the members of universes. Their bars are in bars.py."""

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
from breadthflow_pipelines.errors import NEXT_LINE, RequestError
from breadthflow_pipelines.orchestration.asset_definition import stored_asset
from breadthflow_pipelines.orchestration.beside import refuse_published
from breadthflow_pipelines.orchestration.lasting_members import judge_memberships, lasting
from breadthflow_pipelines.orchestration.resources import Market
from breadthflow_pipelines.orchestration.run_figures import RowCounts
from breadthflow_pipelines.orchestration.ui_metadata import marked, shown
from breadthflow_pipelines.sources.universe_file import (
    INSTRUMENT_SCHEMA,
    instruments_beside,
    read_instruments,
    read_universe,
)
from breadthflow_pipelines.warehouse import security_store
from breadthflow_pipelines.warehouse.universe_listing import synthetic_universes

SAMPLE = 5  # securities


def _members(market: Market) -> pl.DataFrame:
    """Point-in-time members: the universe file's where one is configured, else those that the source brings."""
    file = market.settings.universe_file
    return require(MEMBERS, read_universe(file) if file else market.source.members())


def _refuse_unasked_invention(market: Market) -> None:
    """Refuse to put the invented market beside a real one unless a setting says so.

    It is what a command gets that does not know the deployment's settings.
    """
    asked = "source" in market.settings.model_fields_set
    if market.source.synthetic and not asked and security_store.has_real_bars(market.store):
        raise RequestError(
            "The store has bars of real companies, and BREADTHFLOW_SOURCE is not set, which means the invented demo."
            f"{NEXT_LINE}BREADTHFLOW_SOURCE=... with the other settings of this store, or =demo to add the demo to it"
        )


def _instruments(market: Market) -> pl.DataFrame:
    file = market.settings.universe_file
    beside = instruments_beside(file) if file else None
    return read_instruments(beside) if beside else pl.DataFrame(schema=INSTRUMENT_SCHEMA)


@stored_asset("securities", code_version="1", layer="source", kinds={"pandera"})
def securities(context: dg.AssetExecutionContext, market: Market) -> dg.MaterializeResult:  # type: ignore[type-arg]
    """Every share that the source or a universe speaks of, under a number that outlives its symbols."""
    source = market.source
    _refuse_unasked_invention(market)
    instruments = _instruments(market)
    listing = with_descriptions(require(LISTING, source.securities()), instruments)
    with market.store.exclusive("securities"):
        wanted = with_unlisted(listing, _members(market), instruments)
        numbered = number_securities(wanted, security_store.security_numbers(market.store))
        recorded = security_store.record_securities(market.store, numbered, synthetic=source.synthetic)
    unlisted = numbered["security_id"].n_unique() - listing["source_key"].n_unique()
    about = source.describe().about
    context.log.info("%s: %s securities", about, listing["source_key"].n_unique())
    return dg.MaterializeResult(
        metadata={
            **RowCounts.of(recorded.securities).to_metadata(),
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
def universe_members(context: dg.AssetExecutionContext, market: Market) -> dg.MaterializeResult:  # type: ignore[type-arg]
    """Who belonged to each universe, from when to when: half-open intervals, so no member is counted with hindsight."""
    wanted = _members(market)
    refuse_published(market.store, wanted["universe"].unique().to_list())
    with market.store.exclusive("universe_members"):
        given = resolve_members(wanted, security_store.symbol_intervals(market.store))
        intervals = lasting(market, given)
        merged = security_store.record_members(market.store, intervals)
        judge_memberships(market, given, intervals, context.run.run_id)
    present = intervals.filter(pl.col("valid_to").is_null())
    by_universe = intervals.group_by("universe").agg(
        intervals=pl.len(), securities=pl.col("security_id").n_unique(), open=pl.col("valid_to").is_null().sum()
    )
    return dg.MaterializeResult(
        metadata={
            **RowCounts.of(merged).to_metadata(),
            "dagster/row_count": merged.read,
            "members_now": present.height,
            "synthetic": market.source.synthetic,
            "universes": shown(marked(by_universe.sort("universe"), synthetic_universes(market.store))),
        }
    )
