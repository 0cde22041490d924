"""What followed symbol signals, as sums by month, the rates and verdicts that come of them, and their records.

The mathematics is in evaluation/.
"""

import datetime as dt
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import dagster as dg
import polars as pl

from breadthflow_pipelines.contracts import calibration as contracts
from breadthflow_pipelines.contracts.verdict import require
from breadthflow_pipelines.evaluation.calibration import calibration, calibration_sums, sessions_closing
from breadthflow_pipelines.evaluation.family import SYMBOL_FAMILY
from breadthflow_pipelines.evaluation.symbol_record import judged
from breadthflow_pipelines.evaluation.symbol_record import symbol_records as records_of_symbols
from breadthflow_pipelines.model.vocabulary import HORIZONS, RECORD_HORIZON, VERDICTS
from breadthflow_pipelines.observability.progress import advance
from breadthflow_pipelines.orchestration.asset_definition import stored_asset
from breadthflow_pipelines.orchestration.holds import refuse_held
from breadthflow_pipelines.orchestration.overlap import overlapped
from breadthflow_pipelines.orchestration.partitions import SESSIONS_OF_A_MONTH, Span, span_of
from breadthflow_pipelines.orchestration.pending_changes import Reach, Scope, with_pending_changes
from breadthflow_pipelines.orchestration.resources import Market
from breadthflow_pipelines.orchestration.run_figures import RowCounts
from breadthflow_pipelines.orchestration.ui_metadata import marked, of_market, shown
from breadthflow_pipelines.reports.calibration import calibration_charts
from breadthflow_pipelines.signals.symbols import SYMBOL_RULES, VOTE_COLUMNS
from breadthflow_pipelines.warehouse import calibration_store, security_store
from breadthflow_pipelines.warehouse.bulk import NOTHING, Merged
from breadthflow_pipelines.warehouse.universe_listing import synthetic_universes

PIECE_BARS = 400_000  # of all securities at a time: some 300 MB; of a month at a time it takes four times as long
_LOOK_BACK = max(HORIZONS) // SESSIONS_OF_A_MONTH + 1  # months before the exits that a piece needs, too
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
    """First and last day of some whole months, and what the sums of windows that close in them are made of."""

    first: dt.date
    last: dt.date
    signals: pl.DataFrame
    bars: pl.DataFrame


def _add_up(market: Market, scope: Scope) -> Merged:
    """The sums of all months that the scope touches; months are made whole, for their sums are."""
    merged, calendar = NOTHING, market.calendar.frame()
    held = {universe: session.replace(day=1) for universe, session in scope.holds.first_sessions.items()}
    held_from = pl.col("universe").replace_strict(held, default=dt.date.max, return_dtype=pl.Date)

    def summed(piece: _Piece) -> tuple[dt.date, Merged]:
        months = (piece.first, piece.last)
        sums = require(contracts.SUMS, calibration_sums(piece.signals, piece.bars, calendar, months))
        if held:
            sums = sums.filter(pl.col("month") < held_from)
        return piece.last, calibration_store.record_sums(market.store, sums, *months, held)

    for last, stored in overlapped(_read(market, scope.left, calendar), summed):
        merged += stored
        advance("symbol calibration", _share(scope.left, last), f"through {min(last, scope.left.end)}")
    return merged


def _read(market: Market, span: Span, calendar: pl.DataFrame) -> Iterator[_Piece]:
    """Piece by piece. Each row is read once, though it may enter the sums of a year of months."""
    pieces = list(_pieces(span.of_whole_months(), security_store.how_many(market.store)))
    closes = _Moving(lambda start, end: calibration_store.closes(market.store, start, end))
    signals = _Moving(lambda start, end: calibration_store.signals(market.store, VOTE_COLUMNS, [(start, end)]))
    for first, last in pieces:
        stretches = sessions_closing(calendar, (first, last))
        if not stretches:
            continue
        if len(pieces) == 1:  # no other piece needs what lies between the stretches
            with ThreadPoolExecutor() as beside:
                priced = beside.submit(closes.between, stretches[0][0], last)
                spoken = calibration_store.signals(market.store, VOTE_COLUMNS, stretches)
            yield _Piece(first, last, spoken, priced.result())
            continue
        within = pl.any_horizontal(pl.col("session").is_between(*stretch) for stretch in stretches)
        spoken = signals.between(stretches[0][0], stretches[-1][1]).filter(within)
        yield _Piece(first, last, spoken, closes.between(stretches[0][0], last))


class _Moving:
    """The rows of a stretch of days that moves on: what it still covers is kept, and only the rest is read."""

    def __init__(self, read: Callable[[dt.date, dt.date], pl.DataFrame]) -> None:
        self._read = read
        self._rows: pl.DataFrame | None = None
        self._through = dt.date.min

    def between(self, start: dt.date, end: dt.date) -> pl.DataFrame:
        """The rows from start through end; neither lies before that of the call before."""
        rest = self._read(max(start, self._through + dt.timedelta(days=1)), end)
        if self._rows is not None:
            rest = pl.concat([self._rows.filter(pl.col("session") >= start), rest])
        self._rows, self._through = rest, end
        return rest


def _pieces(span: Span, securities: int) -> Iterator[tuple[dt.date, dt.date]]:
    """First and last day of as many whole months at a time as fit into PIECE_BARS, with what lies before them."""
    if span.is_empty:
        return
    size = max(1, PIECE_BARS // (max(1, securities) * SESSIONS_OF_A_MONTH) - _LOOK_BACK)
    months = [dt.date.fromisoformat(f"{month}-01") for month in span.months]
    for i in range(0, len(months), size):
        part = months[i : i + size]
        yield part[0], Span(part[0], part[-1], span.through).of_whole_months().end


def _share(span: Span, day: dt.date) -> float:
    return min(1.0, ((day - span.start).days + 1) / ((span.end - span.start).days + 1))


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
