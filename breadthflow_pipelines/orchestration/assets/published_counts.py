"""Counts that exchanges publish: read, judged by guards, stored. Counts of our own bars are in breadth_counts.py."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
import polars as pl
from pydantic import Field

from breadthflow_pipelines.contracts import breadth as contracts
from breadthflow_pipelines.contracts.verdict import ContractError, require
from breadthflow_pipelines.errors import RequestError, SourceError
from breadthflow_pipelines.model.gates import listed
from breadthflow_pipelines.observability.progress import advance
from breadthflow_pipelines.orchestration.asset_definition import stored_asset
from breadthflow_pipelines.orchestration.beside import refuse_counted
from breadthflow_pipelines.orchestration.resources import Market
from breadthflow_pipelines.orchestration.run_figures import NothingRead, PublishedFigures, RowCounts
from breadthflow_pipelines.orchestration.ui_metadata import shown
from breadthflow_pipelines.reports.bulletin import number
from breadthflow_pipelines.sources.exchange_breadth import read_published_counts
from breadthflow_pipelines.sources.registry import published_directory
from breadthflow_pipelines.trust.count_guards import judge_published, scope_stretches, unit_stretches
from breadthflow_pipelines.trust.kept_counts import SERIES, kept_by_series, kept_counts, refuse_unlike, with_kept
from breadthflow_pipelines.warehouse import breadth_store, publications, rejection_store
from breadthflow_pipelines.warehouse.bulk import NOTHING, Merged

PUBLISHED_SHOWN = ("advances", "declines", "unchanged", "up_volume", "down_volume")


class PublishedCounts(dg.Config):
    """One publication to read instead of those that are configured; both, or neither."""

    exchange: str = Field(default="", description="whose counts; a universe of that name")
    directory: str = Field(default="", description="holds its files X_advn.csv, X_decln.csv, ...")
    replace: bool = Field(default=False, description="whether stored counts that these files do not give go")


@stored_asset("exchange_breadth", code_version="1", layer="source", kinds={"csv"})
def exchange_breadth(
    context: dg.AssetExecutionContext, config: PublishedCounts, market: Market
) -> dg.MaterializeResult:  # type: ignore[type-arg]
    """Advances, declines, volumes, highs and lows as exchanges published them; each a universe of its exchange's name.

    Read from where BREADTHFLOW_EXCHANGE_BREADTH and `breadthflow import-breadth` say; where neither does, from nowhere.
    """
    if config.exchange or config.directory:
        directory, run_id = Path(config.directory), context.run.run_id
        return _result([_publish(market, config.exchange, directory, run_id, replace=config.replace)], [])
    read, problems = [], []
    for exchange, where in _publications(market).items():
        try:
            directory = published_directory(market.settings, where, exchange)
            read.append(_publish(market, exchange, directory, context.run.run_id))
        except (RequestError, SourceError, ContractError) as error:
            problems.append(f"{exchange}: {error}")  # only this one fails; what is stored of it stays
    return _result(read, problems)


def _publications(market: Market) -> dict[str, Path | str]:
    """By exchange, where every run reads its counts: what was imported, and before that what the settings name."""
    return {**publications.remembered(market.store), **market.settings.publications}


@dataclass(frozen=True)
class _Publication:
    """A publication that was read.

    merged: what changed in the store. counts: all that is stored of it now. kept: what of it was stored before and is
    not given now. rejected: the lines that were turned away.
    """

    exchange: str
    merged: Merged
    counts: pl.DataFrame
    kept: pl.DataFrame
    rejected: pl.DataFrame


def _publish(market: Market, exchange: str, directory: Path, run_id: str, *, replace: bool = False) -> _Publication:
    """Read, judge and store a publication. replace: whether nothing stays that it does not give."""
    refuse_counted(market.store, exchange)
    published = read_published_counts(directory, exchange, market.calendar)
    given = published.counts
    with market.store.exclusive("exchange_breadth"):
        stored = breadth_store.published_of(market.store, exchange)
        if replace:
            stored = stored.clear()
        refuse_unlike(given, stored, exchange)
        # A day that the calendar has closed since is no session, wherever it lies.
        kept = kept_counts(given, stored.join(market.calendar.frame(), on="session", how="semi"))
        # Rows are judged by those before them, so what was kept is judged with the rest.
        judged = judge_published(with_kept(given, kept).with_columns(exchange=pl.lit(exchange)))
        counts = require(contracts.PUBLISHED, judged)
        merged = breadth_store.record_published(market.store, counts, exchange, run_id)
    rejection_store.record_rejected_counts(market.store, published.rejected, exchange, run_id)
    advance("published counts", 1, f"{counts.height} sessions")
    rejected = published.rejected.select(pl.lit(exchange).alias("exchange"), pl.all())
    return _Publication(exchange, merged, counts, kept, rejected)


def _kept_of(one: _Publication) -> pl.DataFrame:
    return kept_by_series(one.kept).select(pl.lit(one.exchange).alias("exchange"), pl.all())


def _no_longer_given(exchange: str, kept: pl.DataFrame) -> str:
    """What was kept of a publication, in words."""
    series = listed(kept_by_series(kept)["series"].to_list(), len(SERIES))
    first, last = kept.select(first=pl.col("session").min(), last=pl.col("session").max()).row(0)
    what = number(kept.height, "stored session")
    return f"{exchange} gives {what} no longer, {first} to {last}, of {series}: they stay"


def _result(read: Sequence[_Publication], problems: list[str]) -> dg.MaterializeResult:  # type: ignore[type-arg]
    if not read:
        configure = "none configured: set BREADTHFLOW_EXCHANGE_BREADTH, or run breadthflow import-breadth"
        nothing = "none could be read" if problems else configure
        return dg.MaterializeResult(metadata=NothingRead(publications=nothing, problems=tuple(problems)).to_metadata())
    merged = sum((one.merged for one in read), NOTHING)
    counts = pl.concat(one.counts for one in read)
    reach = counts.group_by("exchange", maintain_order=True).agg(
        sessions=pl.len(), first=pl.col("session").min(), last=pl.col("session").max()
    )
    doubted = counts.filter(pl.col("doubts").list.len() > 0)
    rejected = pl.concat(one.rejected for one in read)
    kept = [one for one in read if one.kept.height]
    figures = PublishedFigures(
        **RowCounts.of(merged).row_counts(),
        rows_rejected=rejected.height,
        problems=tuple(problems),
        no_longer_given=tuple(_no_longer_given(one.exchange, one.kept) for one in kept),
    )
    return dg.MaterializeResult(
        metadata={
            "publications": shown(reach),
            **figures.to_metadata(),
            "kept": shown(pl.concat(_kept_of(one) for one in kept) if kept else pl.DataFrame(), most=30),
            "dagster/row_count": merged.read,
            "rejected": shown(rejected),
            "rows_doubted": doubted.height,
            "doubted": shown(doubted.select("exchange", "session", "doubts", *PUBLISHED_SHOWN), most=50),
            "volume_units": shown(unit_stretches(counts)),
            "rows_of_another_list": counts["usual_issues"].count(),
            "other_lists": shown(scope_stretches(counts), most=50),
        }
    )
