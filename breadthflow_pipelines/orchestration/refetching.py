"""Histories that the source restated: their bars wait until the whole history is fetched again, in the same run.

What a restatement is: trust/restatements.py. Why it is handled in this way: docs/decisions/restatements.md.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import polars as pl

from breadthflow_pipelines.errors import RequestError, SourceError
from breadthflow_pipelines.observability.progress import advance
from breadthflow_pipelines.orchestration.ingest_report import IngestReport, Restated
from breadthflow_pipelines.orchestration.intake import Intake
from breadthflow_pipelines.orchestration.partitions import Span
from breadthflow_pipelines.sources.protocol import Outcome
from breadthflow_pipelines.trust.restatements import excessive, restated
from breadthflow_pipelines.warehouse import bar_store, restatements, security_store

AT_A_TIME = 50  # securities whose histories are fetched and held at once: some 150 MB for fifty years of each
# How many stored bars of a security a new history may lack; they move to the rejected ones. More, and it is not whole.
FEW_LACKING = 3
MOST_LACKING = 0.01


@dataclass
class Compared:
    """Securities whose bars were held against the stored ones, and those of them whose prices are on another scale."""

    securities: set[int] = field(default_factory=set)
    rescaled: set[int] = field(default_factory=set)


class RestatedHistories:
    """The securities whose bars came on another scale than the stored ones, in this run or in one before it."""

    def __init__(self, intake: Intake) -> None:
        self._intake = intake
        self._store = intake.market.store
        self._withheld = set(restatements.pending(self._store)["security_id"])
        self.compared = Compared()

    def on_the_stored_scale(self, bars: pl.DataFrame, beside: pl.DataFrame) -> pl.DataFrame:
        """The bars of securities whose history is on their scale; the others are noted, and wait for ``fetch_again``.

        beside: bars of the sessions next to these, which are only compared. If the others were stored at once, a run
        that breaks off would leave a history on two scales.
        """
        given = pl.concat([bars, beside])
        if given.is_empty():
            return bars
        first, last = given.select(first=pl.col("session").min(), last=pl.col("session").max()).row(0)
        stored = bar_store.stored_bars(self._store, given["security_id"].unique(), first, last)
        noticed = restated(stored, given)
        restatements.note(self._store, noticed, self._intake.run_id)
        self.compared.securities.update(stored["security_id"].unique())
        self.compared.rescaled.update(noticed.filter(pl.col("price_ratio").is_not_null())["security_id"])
        self._withheld.update(noticed["security_id"])
        return bars.filter(~pl.col("security_id").is_in(self._withheld))

    def learn(self, other: Compared) -> None:
        """Count what another process compared as well; what it noted is in the store."""
        self.compared.securities |= other.securities
        self.compared.rescaled |= other.rescaled
        self._withheld.update(restatements.pending(self._store)["security_id"])

    def fetch_again(self, span: Span) -> IngestReport:
        """Replace these histories by what the source gives of them now.

        Raises:
            RequestError: so many securities came on another scale that the source must have changed what it gives.
        """
        report = IngestReport()
        pending = restatements.pending(self._store)
        if pending.is_empty():
            return report
        self._refuse_too_many(pending)
        for start in range(0, pending.height, AT_A_TIME):
            report += self._fetch(pending.slice(start, AT_A_TIME), span)
            advance("restated histories", min(1.0, (start + AT_A_TIME) / pending.height), f"of {pending.height}")
        return report

    def _refuse_too_many(self, pending: pl.DataFrame) -> None:
        # Those of an earlier run count as well, unless they came on their old scale now.
        on_their_old_scale = self.compared.securities - self.compared.rescaled
        rescaled = set(pending.drop_nulls("price_ratio")["security_id"]) - on_their_old_scale
        held = security_store.securities_held(self._store, synthetic=self._intake.market.source.synthetic)
        if excessive(len(rescaled), held):
            raise RequestError(
                f"The prices of {len(rescaled)} of {held} securities came on another scale at once: "
                f"{self._intake.source} means something else by them now, and none of them was stored. Set the source "
                "as it was, or give the new one a store of its own, by BREADTHFLOW_HOME or BREADTHFLOW_DATABASE_URL."
            )

    def _fetch(self, pending: pl.DataFrame, span: Span) -> IngestReport:
        """Replace the histories of these securities where the source gives them whole; the others stay as they are."""
        first, last = min([span.start, *pending["first"]]), max([span.end, *pending["last"]])
        symbols = sorted({symbol for row in pending["symbols"] for symbol in row.splitlines()})
        report, failure = IngestReport(), "the source did not give it"
        frames = [pl.DataFrame()]
        try:
            for chunk in self._intake.market.source.bars(symbols, first, last):
                good, judged = self._intake.judge(chunk.bars)
                frames.append(good)
                report += replace(judged, problems=chunk.problems)
        except SourceError as error:
            failure = str(error)
        histories = pl.concat(frames, how="diagonal")
        stored = bar_store.stored_bars(self._store, pending["security_id"], first, last)
        whole = []
        for row in pending.iter_rows(named=True):
            bars = histories.filter(security_id=row["security_id"]) if histories.width else histories
            lacking = _lacking(bars, stored.filter(security_id=row["security_id"]))
            if lacking is None:
                whole.append(bars)
            report += _outcome(row, bars, None if lacking is None else lacking or failure)
        if whole:
            merged = restatements.record_restated(
                self._store, pl.concat(whole), self._intake.source, self._intake.run_id
            )
            report += IngestReport(merged=merged)
        return report


def _outcome(row: Mapping[str, Any], bars: pl.DataFrame, failure: str | None) -> IngestReport:
    """What is reported of one history. row: of the pending ones. failure: why it could not be replaced, if so."""
    symbol = row["symbols"].splitlines()[-1]
    if failure is not None:
        problem = f"{symbol} was restated ({_ratios(row)}) and stays as it was: {failure}"
        return IngestReport(outcomes={symbol: Outcome.FAILED}, problems=(problem,))
    reach = bars.select(pl.len(), first=pl.col("session").min(), last=pl.col("session").max()).row(0)
    again = Restated(symbol, row["price_ratio"], row["adjusted_ratio"], *reach)
    return IngestReport(outcomes={symbol: Outcome.FETCHED}, restated=(again,))


def _lacking(bars: pl.DataFrame, stored: pl.DataFrame) -> str | None:
    """Why the bars that came are not a whole history, empty where there are none; None where they are one."""
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


def _ratios(row: Mapping[str, Any]) -> str:
    kinds = {"prices": row["price_ratio"], "adjusted closes": row["adjusted_ratio"]}
    return ", ".join(f"{kind} x {ratio:.6g}" for kind, ratio in kinds.items() if ratio is not None)
