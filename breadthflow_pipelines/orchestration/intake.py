"""From a source's rows to bars that may be stored: symbols become securities, and the contract judges each row."""

from collections import Counter
from dataclasses import dataclass

import pandera.polars as pa
import polars as pl

from breadthflow_pipelines.contracts.bars import bar_contract, judge_bars, with_usable_adjusted
from breadthflow_pipelines.contracts.identity import resolve_bars
from breadthflow_pipelines.contracts.verdict import Verdict
from breadthflow_pipelines.model.run_tags import FORMAT
from breadthflow_pipelines.orchestration.ingest_report import Given, IngestReport
from breadthflow_pipelines.orchestration.resources import Market
from breadthflow_pipelines.sources.protocol import label
from breadthflow_pipelines.warehouse import rejection_store, security_store


@dataclass(frozen=True)
class Intake:
    """How the rows of one run are judged. symbols: which security a symbol was, and when."""

    market: Market
    run_id: str
    contract: pa.DataFrameSchema
    symbols: pl.DataFrame

    @classmethod
    def of(cls, market: Market, run_id: str) -> "Intake":
        """The intake of a run, with the contract and the symbols as they are now."""
        return cls(market, run_id, bar_contract(market.calendar), security_store.symbol_intervals(market.store))

    @property
    def source(self) -> str:
        """What the store calls the source."""
        return label(self.market.source)

    def sound(self, rows: pl.DataFrame) -> pl.DataFrame:
        """The bars that keep the contract, of rows that are only compared: nothing of them is stored."""
        return with_usable_adjusted(self._verdict(rows).good)

    def judge(self, rows: pl.DataFrame) -> tuple[pl.DataFrame, IngestReport]:
        """The bars that keep the contract, and a report of all rows. The broken rows are stored with their reasons."""
        verdict = self._verdict(rows)
        new, keys = 0, list[str]()
        if verdict.rejected.height:
            new, keys = rejection_store.record_rejected_bars(
                self.market.store, verdict.rejected, self.source, self.run_id
            )
        good = with_usable_adjusted(verdict.good)
        lost = verdict.good.filter(pl.col("close_adjusted").is_not_null() & good["close_adjusted"].is_null())
        return good, IngestReport(
            read=rows.height,
            rejected=verdict.rejected.height,
            rejected_new=new,
            rejected_keys=tuple(keys),
            rejected_by_reason=Counter(verdict.by_reason()),
            read_by_month=_rows_by_month(rows),
            rejected_by_month=_rows_by_month(verdict.rejected),
            given=Given.of(good),
            unusable_adjusted=Counter(lost["symbol"].to_list()),
        )

    def _verdict(self, rows: pl.DataFrame) -> Verdict:
        return judge_bars(self.contract, resolve_bars(rows, self.symbols))


def _rows_by_month(rows: pl.DataFrame) -> Counter[str]:
    """How many rows each month has; a row without a session belongs to none."""
    months = rows["session"].drop_nulls().dt.strftime(FORMAT)
    return Counter(dict(months.value_counts().iter_rows()))
