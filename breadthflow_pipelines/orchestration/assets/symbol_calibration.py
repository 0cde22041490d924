"""What followed symbol signals, as sums by month, the rates and verdicts that come of them, and their records.

The mathematics is in evaluation/.
"""

import datetime as dt
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import groupby
from typing import NamedTuple

import dagster as dg
import polars as pl

from breadthflow_pipelines.contracts import calibration as contracts
from breadthflow_pipelines.contracts.verdict import require
from breadthflow_pipelines.evaluation.calibration import (
    PARTS_SCHEMA,
    added_up,
    calibration,
    calibration_parts,
    sessions_closing,
)
from breadthflow_pipelines.evaluation.family import SYMBOL_FAMILY
from breadthflow_pipelines.evaluation.member_windows import MemberPrices, member_prices
from breadthflow_pipelines.evaluation.symbol_record import judged
from breadthflow_pipelines.evaluation.symbol_record import symbol_records as records_of_symbols
from breadthflow_pipelines.model.vocabulary import HORIZONS, RECORD_HORIZON, VERDICTS
from breadthflow_pipelines.observability.memory import give_back
from breadthflow_pipelines.observability.progress import advance
from breadthflow_pipelines.orchestration.asset_definition import stored_asset
from breadthflow_pipelines.orchestration.holds import refuse_held
from breadthflow_pipelines.orchestration.overlap import overlapped
from breadthflow_pipelines.orchestration.partitions import Days, Span, span_of
from breadthflow_pipelines.orchestration.pending_changes import Reach, Scope, with_pending_changes
from breadthflow_pipelines.orchestration.resources import Market
from breadthflow_pipelines.orchestration.run_figures import RowCounts
from breadthflow_pipelines.orchestration.ui_metadata import marked, of_market, shown
from breadthflow_pipelines.reports.calibration import calibration_charts
from breadthflow_pipelines.signals.symbols import SYMBOL_RULES, VOTE_COLUMNS
from breadthflow_pipelines.warehouse import calibration_store, security_store
from breadthflow_pipelines.warehouse.bulk import NOTHING, Merged
from breadthflow_pipelines.warehouse.universe_listing import synthetic_universes

PIECE_SIGNALS = 150_000  # at a time, of months that stay whole: some 75 MB, and a year of closes
_REACH = Reach(sessions=max(HORIZONS) + 1)  # a signal is followed from the session after it
_SHOWN = ("universe", "rule", "action", "signals", "hit_rate", "base_rate", "lift", "relative", "p", "verdict")


@stored_asset(
    "symbol_calibration",
    code_version="1",
    layer="evaluation",
    kinds={"pandera"},
    made_of={
        "relative": [("bars", "close"), ("bars", "close_adjusted")],
        "confidence": [("symbol_signals", "confidence")],
        "hits": [("symbol_signals", "action"), *(("symbol_signals", vote) for vote in VOTE_COLUMNS)],
        "bin": [("symbol_signals", "confidence"), ("symbol_signals", "strength")],
    },
    deps=[dg.AssetDep(name, partition_mapping=dg.AllPartitionMapping()) for name in ("bars", "symbol_signals")],
)
def symbol_calibration(context: dg.AssetExecutionContext, market: Market) -> dg.MaterializeResult:  # type: ignore[type-arg]
    """Hits, returns beside the universe and confidence of symbol signals, summed by month; only months due are read.

    And in symbol_accuracy the rates and verdicts of all months together.
    """
    own = span_of(context.run.tags, market.settings, market.calendar)
    with (
        market.store.exclusive("symbol_calibration"),
        with_pending_changes(market, "symbol_calibration", own, reach=_REACH) as scope,
    ):
        merged = NOTHING if scope.is_unchanged else _add_up(market, scope)
        accuracy = require(contracts.ACCURACY, judged(calibration(calibration_store.sums(market.store))))
        calibration_store.record_accuracy(market.store, accuracy)
    refuse_held(context, market, scope.holds)
    synthetic = synthetic_universes(market.store)
    found = of_market(accuracy, market, synthetic)
    claims = found.drop_nulls("verdict")
    verdicts = claims.group_by("universe").agg(**{word: (pl.col("verdict") == word).sum() for word in VERDICTS})
    return dg.MaterializeResult(
        metadata={
            **{name: dg.MetadataValue.md(text) for name, text in calibration_charts(found, synthetic).items()},
            f"records_{RECORD_HORIZON}_sessions": shown(
                marked(claims.filter(horizon=RECORD_HORIZON).select(_SHOWN), synthetic), most=2 * len(SYMBOL_RULES) + 2
            ),
            "verdicts": shown(marked(verdicts.sort("universe"), synthetic)),
            "family": SYMBOL_FAMILY.name,
            **scope.metadata(merged),
            **RowCounts.of(merged).to_metadata(),
            "dagster/row_count": merged.read,
        }
    )


class _Piece(NamedTuple):
    """Signals of some whole months, those that are followed; and closes from the first entry to the last exit."""

    signals: pl.DataFrame
    prices: MemberPrices


def _add_up(market: Market, scope: Scope) -> Merged:
    """The sums of all months that the scope touches; months are made whole, for their sums are."""
    if scope.left.is_empty:
        return NOTHING
    span, calendar = scope.left.of_whole_months(), market.calendar.frame()
    followed = sessions_closing(calendar, span.days)
    last = calibration_store.last_close(market.store, followed[0][0], span.end) if followed else None
    parts = [PARTS_SCHEMA.to_frame()]
    if last is not None:
        exits = (span.start, last)
        pieces = _pieces(market, [Days(*stretch) for stretch in followed if stretch[0] <= last])

        def summed(piece: _Piece) -> pl.DataFrame:
            return calibration_parts(piece.signals, piece.prices, calendar, exits)

        for stretches, part in zip(pieces, overlapped(_read(market, pieces, last), summed), strict=True):
            advance("symbol calibration", len(parts) / len(pieces), f"signals through {stretches[-1].end}")
            parts.append(part)
            give_back()
    sums = require(contracts.SUMS, added_up(pl.concat(parts)))
    held = {universe: session.replace(day=1) for universe, session in scope.holds.first_sessions.items()}
    if held:
        held_from = pl.col("universe").replace_strict(held, default=dt.date.max, return_dtype=pl.Date)
        sums = sums.filter(pl.col("month") < held_from)
    return calibration_store.record_sums(market.store, sums, *span.days, held)


def _read(market: Market, pieces: Sequence[Sequence[Days]], last: dt.date) -> Iterator[_Piece]:
    """Piece by piece. last: the last session with a bar of anybody."""
    closes = _Closes(market, last)
    with ThreadPoolExecutor(max_workers=1) as beside:
        for stretches in pieces:
            prices = beside.submit(closes.of, stretches[0].start, stretches[-1].end)
            yield _Piece(calibration_store.signals(market.store, VOTE_COLUMNS, stretches), prices.result())


class _Closes:
    """The closes that windows need, as one moves on: each is read once, in stretches that end with a quarter.

    The store has bars by year, not by session: for each stretch it looks through the bars of its year.
    """

    def __init__(self, market: Market, last: dt.date) -> None:
        self._market, self._last = market, last
        self._calendar = market.calendar.frame()
        self._prices: MemberPrices | None = None
        self._through: dt.date | None = None

    def of(self, first: dt.date, last: dt.date) -> MemberPrices:
        """From a session through the last exit of another one; neither lies before that of the call before."""
        ahead = self._market.calendar.between(last, self._last)[: max(HORIZONS) + 2]
        through = ahead[-1] if ahead else self._last
        if self._prices is None or self._through is None:
            self._prices, self._through = self._stretch(first)
        while self._through < through:
            later, self._through = self._stretch(self._through + dt.timedelta(days=1))
            self._prices = self._prices.followed_by(later, self._ordinal(first))
        return self._prices

    def _stretch(self, start: dt.date) -> tuple[MemberPrices, dt.date]:
        """The closes from a day through the end of its quarter, and what day that is."""
        months = 3 * ((start.month + 2) // 3)  # of the year that are over at the end of the quarter
        following = dt.date(start.year + months // 12, months % 12 + 1, 1)
        end = min(following - dt.timedelta(days=1), self._last)
        rows = (self._ordinal(start), self._ordinal(end + dt.timedelta(days=1)) - 1)
        closes = calibration_store.closes(self._market.store, start, end)
        return member_prices(closes, self._calendar, rows), end

    def _ordinal(self, day: dt.date) -> int:
        """Of the first session from a day on."""
        return int(self._calendar["session"].search_sorted(day))


def _pieces(market: Market, followed: Sequence[Days]) -> list[list[Days]]:
    """These stretches of days cut by whole months, at least one, and as many of them as have PIECE_SIGNALS."""
    parts = [part for stretch in followed for part in Span(*stretch, stretch.end).by_month]
    listed = security_store.listed(market.store, {part.start.year for part in parts})
    pieces: list[list[Days]] = []
    size = 0
    for _, same_month in groupby(parts, lambda part: part.start.replace(day=1)):
        of_month = list(same_month)
        sessions = sum(len(market.calendar.between(*part)) for part in of_month)
        signals = sessions * listed[of_month[0].start.year]
        if not pieces or size + signals > PIECE_SIGNALS:
            pieces.append([])
            size = 0
        pieces[-1] += of_month
        size += signals
    return pieces


@stored_asset(
    "symbol_records",
    code_version="1",
    layer="evaluation",
    kinds={"pandera"},
    made_of={"verdict": [("symbol_calibration", "hits"), ("symbol_calibration", "expected")]},
    deps=["symbol_calibration"],
)
def symbol_records(market: Market) -> dg.MaterializeResult:  # type: ignore[type-arg]
    """What the record of symbol signals was before each month, by rule and action: only what had closed enters it."""
    with market.store.exclusive("symbol_records"):
        table = require(contracts.RECORDS, records_of_symbols(calibration_store.sums(market.store)))
        merged = calibration_store.record_records(market.store, table)
    advance("symbol records", 1, f"{table.height} records")
    newest = table.filter(pl.col("month") == pl.col("month").max().over("universe"))
    return dg.MaterializeResult(
        metadata={
            "newest": shown(marked(newest, synthetic_universes(market.store)), most=30),
            **RowCounts.of(merged).to_metadata(),
            "dagster/row_count": merged.read,
        }
    )
