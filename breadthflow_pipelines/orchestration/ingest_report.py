"""What came of reading the source, built up by adding: each chunk has a report, and their sum is that of the run.

What is stored of it in Dagster's metadata, and read again later, is BarsFigures (run_figures.py).
"""

import datetime as dt
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import polars as pl

from breadthflow_pipelines.orchestration.partitions import Days, Span
from breadthflow_pipelines.orchestration.run_figures import BarsFigures, FileFigures, RowCounts
from breadthflow_pipelines.sources.protocol import Outcome, Reading, Source, label
from breadthflow_pipelines.warehouse.bulk import NOTHING, Merged

MOST_SYMBOLS = 10  # of those with unusable adjusted closes, the most affected ones


class Restated(NamedTuple):
    """A security whose whole history was stored again. The ratios: new by old, None where nothing moved."""

    symbol: str
    price_ratio: float | None
    adjusted_ratio: float | None
    bars: int
    first: dt.date
    last: dt.date


RESTATED_SCHEMA = {
    "symbol": pl.String,
    "price_ratio": pl.Float64,
    "adjusted_ratio": pl.Float64,
    "bars": pl.Int64,
    "first": pl.Date,
    "last": pl.Date,
}


@dataclass(frozen=True)
class Given:
    """How many bars were given of each session, and of each security."""

    by_session: Counter[dt.date] = field(default_factory=Counter)
    by_security: Counter[int] = field(default_factory=Counter)

    @classmethod
    def of(cls, bars: pl.DataFrame) -> "Given":
        """The counts of bars with their security_id."""
        sessions, securities = (bars[key].value_counts().iter_rows() for key in ("session", "security_id"))
        return cls(Counter(dict(sessions)), Counter(dict(securities)))

    def __add__(self, later: "Given") -> "Given":
        return Given(self.by_session + later.by_session, self.by_security + later.by_security)


@dataclass(frozen=True)
class IngestReport:
    """What came of a part of a reading.

    beside: rows next to the run's days, only compared. merged: what changed in ``bars``. corrected: single bars that
    the source changed. rejected_new: broken rows that were not stored before. rejected_keys: the keys of all broken
    rows that came. given: the bars of the span that keep the contract. unusable_adjusted: by symbol, adjusted closes
    that no bar was stored with. outcomes: by symbol, the last one. asked_again: days besides the run's own that were
    read as well. last_session: the last session that was stored.
    """

    read: int = 0
    beside: int = 0
    rejected: int = 0
    rejected_new: int = 0
    corrected: int = 0
    merged: Merged = NOTHING
    read_by_month: Counter[str] = field(default_factory=Counter)
    rejected_by_month: Counter[str] = field(default_factory=Counter)
    rejected_by_reason: Counter[str] = field(default_factory=Counter)
    rejected_keys: tuple[str, ...] = ()
    given: Given = field(default_factory=Given)
    unusable_adjusted: Counter[str] = field(default_factory=Counter)
    outcomes: Mapping[str, Outcome] = field(default_factory=dict)
    problems: tuple[str, ...] = ()
    restated: tuple[Restated, ...] = ()
    asked_again: tuple[Days, ...] = ()
    reading: Reading | None = None
    last_session: dt.date | None = None

    def __add__(self, later: "IngestReport") -> "IngestReport":
        """Both together; of two outcomes of a symbol, and of two readings, the later one counts."""
        sessions = [session for session in (self.last_session, later.last_session) if session is not None]
        return IngestReport(
            read=self.read + later.read,
            beside=self.beside + later.beside,
            rejected=self.rejected + later.rejected,
            rejected_new=self.rejected_new + later.rejected_new,
            corrected=self.corrected + later.corrected,
            merged=self.merged + later.merged,
            read_by_month=self.read_by_month + later.read_by_month,
            rejected_by_month=self.rejected_by_month + later.rejected_by_month,
            rejected_by_reason=self.rejected_by_reason + later.rejected_by_reason,
            rejected_keys=self.rejected_keys + later.rejected_keys,
            given=self.given + later.given,
            unusable_adjusted=self.unusable_adjusted + later.unusable_adjusted,
            outcomes={**self.outcomes, **later.outcomes},
            problems=self.problems + later.problems,
            restated=self.restated + later.restated,
            asked_again=self.asked_again + later.asked_again,
            reading=later.reading or self.reading,
            last_session=max(sessions, default=None),
        )

    @property
    def failed(self) -> list[str]:
        """The symbols that the source broke on."""
        return sorted(symbol for symbol, outcome in self.outcomes.items() if outcome is Outcome.FAILED)

    @property
    def whole(self) -> bool:
        """Whether nothing of the source could not be read."""
        return not self.failed and not self.problems

    def restated_table(self) -> pl.DataFrame:
        """A row for each security whose history was stored again, as RESTATED_SCHEMA has it."""
        return pl.DataFrame(self.restated, schema=RESTATED_SCHEMA, orient="row")

    def figures(self, source: Source, span: Span, calendar_changed: Sequence[dt.date]) -> BarsFigures:
        """The record that the run of the asset stores."""
        outcomes = Counter(self.outcomes.values())
        counts = RowCounts.of(self.merged).row_counts()
        return BarsFigures(
            **{**counts, "rows_read": self.read},
            rows_rejected=self.rejected,
            rows_rejected_new=self.rejected_new,
            rejected_by_reason=dict(sorted(self.rejected_by_reason.items())),
            source=label(source),
            synthetic=source.synthetic,
            symbols={outcome: outcomes[outcome] for outcome in Outcome},
            symbols_failed=tuple(self.failed),
            problems=self.problems,
            adjusted_closes_unusable=self.unusable_adjusted.total(),
            adjusted_closes_unusable_of=dict(self.unusable_adjusted.most_common(MOST_SYMBOLS)),
            bars_corrected=self.corrected,
            securities_restated=len(self.restated),
            range=f"{span.start} to {span.end}",
            calendar_changed=tuple(str(day) for day in calendar_changed),
            files=FileFigures.of(self.reading, self.beside) if self.reading else None,
        )
