"""One reading of the source: chunks are judged and stored, and histories that came on another scale are fetched again.

What a restatement is, is said in trust/restatements.py; why it is done this way in docs/decisions/restatements.md.
"""

import datetime as dt
from collections import Counter
from dataclasses import replace
from typing import Any

import polars as pl

from breadthflow_pipelines.contracts.bars import bar_contract, judge_bars, with_usable_adjusted
from breadthflow_pipelines.contracts.identity import resolve_bars
from breadthflow_pipelines.errors import RequestError, SourceError
from breadthflow_pipelines.observability.progress import advance
from breadthflow_pipelines.orchestration.gates import to_ask_for_again
from breadthflow_pipelines.orchestration.partitions import FORMAT, Span
from breadthflow_pipelines.orchestration.resources import Market
from breadthflow_pipelines.sources.protocol import Chunk, Outcome, Reading, Resumable, label
from breadthflow_pipelines.trust.restatements import excessive, restated
from breadthflow_pipelines.warehouse import bar_store, rejection_store, restatements, security_store
from breadthflow_pipelines.warehouse.bulk import NOTHING, Merged

RESTATED = {
    "symbol": pl.String,
    "price_ratio": pl.Float64,
    "adjusted_ratio": pl.Float64,
    "bars": pl.Int64,
    "first": pl.Date,
    "last": pl.Date,
}
AT_A_TIME = 50  # securities whose histories are fetched and held at once: some 150 MB for fifty years of each
# Stored bars that a history given anew may lack, of each security: they go to the rejected ones. More is no history.
FEW_LACKING = 3
MOST_LACKING = 0.01


class Ingest:
    """One reading of the source over a span. Its public attributes say what came of it.

    corrected counts single bars that the source changed; unusable_adjusted, by symbol, adjusted closes that no bar was
    stored with; restated has a row, as RESTATED has it, for each security whose history was stored again; reading is
    what a source that reads files says of them. asked_again: other days, from and through, that were read as well.
    """

    def __init__(self, market: Market, span: Span, run_id: str) -> None:
        self.market = market
        self.span = span
        self.merged: Merged = NOTHING
        self.read = self.rejected = self.rejected_new = self.corrected = 0
        self.unusable_adjusted: Counter[str] = Counter()
        self.reasons: Counter[str] = Counter()
        self.outcomes: dict[str, Outcome] = {}
        self.read_by_month: Counter[str] = Counter()
        self.rejected_by_month: Counter[str] = Counter()
        self.problems: list[str] = []
        self.restated: list[tuple[object, ...]] = []
        self.reading: Reading | None = None
        self.asked_again: list[tuple[dt.date, dt.date]] = []
        self._run_id = run_id
        self._source = label(market.source)
        self._contract = bar_contract(market.calendar)
        self._symbols = security_store.symbol_intervals(market.store)
        self._withheld = set(restatements.pending(market.store)["security_id"])
        self._compared: set[int] = set()
        self._rescaled: set[int] = set()
        self._rejected_seen: list[str] = []
        self._reached = span.start

    def run(self) -> None:
        """Read and store the span, each chunk in a transaction of its own, then the histories that were restated.

        Raises:
            RequestError: so many securities came on another scale that the source must have changed what it gives.
        """
        if not self.span.is_empty:
            for chunk in self.market.source.bars(None, self.span.start, self.span.end):
                self._store(chunk)
            self._settle_rejected()
            self._ask_again()
            self._fetch_restated()
        advance("bars", 1, f"through {self.span.end}")

    def _settle_rejected(self) -> None:
        """Broken rows that the source has no more hold nothing any more: a file that was mended, or taken away."""
        answered = {symbol for symbol, outcome in self.outcomes.items() if outcome is not Outcome.FAILED}
        whole = len(answered) == len(self.outcomes) and not self.problems and not self._is_unfinished()
        days = (self.span.start, self.span.end)
        rejection_store.settle_rejected_bars(
            self.market.store, self._source, days, self._rejected_seen, answered, whole=whole
        )

    def _is_unfinished(self) -> bool:
        source = self.market.source
        return isinstance(source, Resumable) and source.unfinished_since() is not None

    def _ask_again(self) -> None:
        """Read the sessions before the span of which nobody has bars; a source that fails today is left alone."""
        if Outcome.FAILED in self.outcomes.values():
            return
        for first, last in to_ask_for_again(self.market, self.span):
            for chunk in self.market.source.bars(None, first, last):
                self._store(replace(chunk, outcomes={}))  # those of the span say whether it is whole
            self.asked_again.append((first, last))

    def _store(self, chunk: Chunk) -> None:
        good = self._scaled_as_stored(self._judge(chunk))
        if good.height:
            merged = bar_store.load_bars(self.market.store, good, self._source, self._run_id)
            self.merged += merged
            self.corrected += merged.updated
            self._reached = max(self._reached, good.select(pl.col("session").max()).item())
            whole = (self.span.end - self.span.start).days + 1
            advance("bars", ((self._reached - self.span.start).days + 1) / whole, f"through {self._reached}")
        self.read += chunk.bars.height
        self.outcomes.update(chunk.outcomes)
        self.problems.extend(chunk.problems)
        self.reading = chunk.reading or self.reading

    def _judge(self, chunk: Chunk) -> pl.DataFrame:
        """The good rows; the broken ones are kept aside."""
        verdict = judge_bars(self._contract, resolve_bars(chunk.bars, self._symbols))
        self.read_by_month += _months(chunk.bars)
        self.rejected_by_month += _months(verdict.rejected)
        if verdict.rejected.height:
            self.rejected += verdict.rejected.height
            new, seen = rejection_store.record_rejected_bars(
                self.market.store, verdict.rejected, self._source, self._run_id
            )
            self.rejected_new += new
            self._rejected_seen += seen
            self.reasons.update(verdict.by_reason())
        good = with_usable_adjusted(verdict.good)
        lost = verdict.good.filter(pl.col("close_adjusted").is_not_null() & good["close_adjusted"].is_null())
        self.unusable_adjusted.update(lost["symbol"].to_list())
        return good

    def _scaled_as_stored(self, good: pl.DataFrame) -> pl.DataFrame:
        """The bars of securities whose history is on their scale; the others wait until it is fetched again.

        Were they stored at once, a run that breaks off would leave a history on two scales.
        """
        if good.is_empty():
            return good
        first, last = good.select(first=pl.col("session").min(), last=pl.col("session").max()).row(0)
        stored = bar_store.stored_bars(self.market.store, good["security_id"].unique(), first, last)
        noticed = restated(stored, good)
        restatements.note(self.market.store, noticed, self._run_id)
        self._compared.update(stored["security_id"].unique())
        self._rescaled.update(noticed.filter(pl.col("price_ratio").is_not_null())["security_id"])
        self._withheld.update(noticed["security_id"])
        return good.filter(~pl.col("security_id").is_in(self._withheld))

    def _fetch_restated(self) -> None:
        pending = restatements.pending(self.market.store)
        if pending.is_empty():
            return
        # Those of an earlier run count as well, unless they came on their old scale now.
        rescaled = set(pending.drop_nulls("price_ratio")["security_id"]) - (self._compared - self._rescaled)
        held = security_store.securities_held(self.market.store, synthetic=self.market.source.synthetic)
        if excessive(len(rescaled), held):
            raise RequestError(
                f"The prices of {len(rescaled)} of {held} securities came on another scale at once: {self._source} "
                "means something else by them now, and none of them was stored. Set the source as it was, or give the "
                "new one a store of its own, by BREADTHFLOW_HOME or BREADTHFLOW_DATABASE_URL."
            )
        for start in range(0, pending.height, AT_A_TIME):
            self._fetch_anew(pending.slice(start, AT_A_TIME))
            advance("restated histories", min(1.0, (start + AT_A_TIME) / pending.height), f"of {pending.height}")

    def _fetch_anew(self, pending: pl.DataFrame) -> None:
        """Replace the histories of these securities by what the source gives of them now, where it gives them whole."""
        first = min([self.span.start, *pending["first"]])
        last = max([self.span.end, *pending["last"]])
        symbols = sorted({symbol for row in pending["symbols"] for symbol in row.splitlines()})
        why = "the source did not give it"
        frames = [pl.DataFrame()]
        try:
            for chunk in self.market.source.bars(symbols, first, last):
                frames.append(self._judge(chunk))
                self.read += chunk.bars.height
                self.problems.extend(chunk.problems)
        except SourceError as error:
            why = str(error)
        histories = pl.concat(frames, how="diagonal")
        stored = bar_store.stored_bars(self.market.store, pending["security_id"], first, last)
        whole = []
        for row in pending.iter_rows(named=True):
            bars = histories.filter(security_id=row["security_id"]) if histories.width else histories
            lacking = _lacking(bars, stored.filter(security_id=row["security_id"]))
            name = row["symbols"].splitlines()[-1]
            if lacking is None:
                whole.append(bars)
                self.outcomes[name] = Outcome.FETCHED
                reach = bars.select(pl.len(), first=pl.col("session").min(), last=pl.col("session").max()).row(0)
                self.restated.append((name, row["price_ratio"], row["adjusted_ratio"], *reach))
            else:
                self.outcomes[name] = Outcome.FAILED
                self.problems.append(f"{name} was restated ({_ratios(row)}) and stays as it was: {lacking or why}")
        if whole:
            bars = pl.concat(whole)
            self.merged += restatements.record_restated(self.market.store, bars, self._source, self._run_id)


def _months(rows: pl.DataFrame) -> Counter[str]:
    """How many rows each month has; a row without a session belongs to none."""
    months = rows["session"].drop_nulls().dt.strftime(FORMAT)
    return Counter(dict(months.value_counts().iter_rows()))


def _lacking(bars: pl.DataFrame, stored: pl.DataFrame) -> str | None:
    """Why the bars that came are no whole history, empty where there are none; None where they are one."""
    if bars.is_empty():
        return ""
    lacking = stored.join(bars, on="session", how="anti")["session"]
    if lacking.len() <= max(FEW_LACKING, MOST_LACKING * stored.height):
        return None
    missing = [str(day) for day in lacking.sort()]
    return (
        f"of its {stored.height} stored bars the source gives {stored.height - lacking.len()} on the new scale, "
        f"but none of {missing[0]}; give it the whole history and run again"
    )


def _ratios(row: dict[str, Any]) -> str:
    kinds = {"prices": row["price_ratio"], "adjusted closes": row["adjusted_ratio"]}
    return ", ".join(f"{kind} x {ratio:.6g}" for kind, ratio in kinds.items() if ratio is not None)
