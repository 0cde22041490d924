"""What a run of an asset reports in its metadata, as typed records. Where the metadata is stored: run_metadata.py.

A field has the name that the UI shows. Every reader goes through these records: metadata that lacks a field is an
error, and never a zero. Tables, charts and texts that only people read are added beside them, and are not read back.
"""

from collections.abc import Iterable
from typing import Any, Self

import dagster as dg
from pydantic import BaseModel, ConfigDict, ValidationError

from breadthflow_pipelines.errors import BreadthFlowError
from breadthflow_pipelines.orchestration.run_metadata import Metadata, latest_metadata, metadata_by_asset
from breadthflow_pipelines.sources.protocol import Outcome, Reading
from breadthflow_pipelines.sources.tree import note_of_others
from breadthflow_pipelines.warehouse.bulk import Merged

BARS, PUBLISHED, OUTCOMES, REPORT = "bars", "exchange_breadth", "signal_outcomes", "market_report"


class Record(BaseModel):
    """Fields of metadata. Other fields beside them are left alone."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    def to_metadata(self) -> dict[str, Any]:
        """The fields under the names that the UI shows."""
        return self.model_dump(mode="json")

    @classmethod
    def from_metadata(cls, metadata: Metadata) -> Self:
        """The record that was written as this metadata.

        Raises:
            BreadthFlowError: a field is missing, or is of another type; the message names it.
        """
        try:
            return cls.model_validate(metadata)
        except ValidationError as error:
            fields = ", ".join(str(wrong["loc"][0]) for wrong in error.errors())
            raise BreadthFlowError(
                f"The metadata of a run cannot be read as {cls.__name__}: {fields} is missing or wrong. "
                "A run of another version wrote it; breadthflow run writes it again."
            ) from None


class RowCounts(Record):
    """Rows that a run read, and what it changed in the table."""

    rows_read: int
    rows_inserted: int
    rows_revised: int
    rows_unchanged: int
    rows_removed: int

    @classmethod
    def of(cls, merged: Merged) -> "RowCounts":
        """The counts of a merge."""
        return RowCounts(
            rows_read=merged.read,
            rows_inserted=merged.inserted,
            rows_revised=merged.updated,
            rows_unchanged=merged.unchanged,
            rows_removed=merged.deleted,
        )

    def row_counts(self) -> dict[str, int]:
        """The counts of rows by name, without the record's other fields."""
        return {name: getattr(self, name) for name in RowCounts.model_fields}


class RowsRead(RowCounts):
    """The same of an asset that reads from outside: rows that broke the contract, and what could not be read."""

    rows_rejected: int
    problems: tuple[str, ...]

    def row_counts(self) -> dict[str, int]:
        return {**super().row_counts(), "rows_rejected": self.rows_rejected}


class PublishedFigures(RowsRead):
    """The same of ``exchange_breadth``. no_longer_given: stored counts that a publication gives no more, in words."""

    no_longer_given: tuple[str, ...]


class OutcomeFigures(RowCounts):
    """The same of ``signal_outcomes``, and how many closed outcomes are others than before: a price below them is."""

    closed_outcomes_revised: int


class NothingRead(Record):
    """No publication was read. publications: why, in the place of the table of those that were read."""

    publications: str
    problems: tuple[str, ...]


class PagesWritten(Record):
    """How many pages a run made, and how many of them said something else before."""

    pages: int
    pages_changed: int


class FileFigures(Record):
    """Where the lines of the source's files went: each is a row, rejected, blank, a header, or continues another."""

    files_read: int
    lines_read: int
    lines_of_rows: int
    lines_rejected: int
    lines_blank: int
    lines_headers: int
    lines_continued: int
    rows_outside: int
    columns_unused: dict[str, int]
    files_not_read: tuple[str, ...]

    @classmethod
    def of(cls, reading: Reading, beside: int = 0) -> "FileFigures":
        """The figures of a reading of files. beside: rows that were only compared, which lie outside as well."""
        account = reading.account
        return FileFigures(
            files_read=reading.files,
            lines_read=account.lines,
            lines_of_rows=account.rows,
            lines_rejected=account.rejected,
            lines_blank=account.blank,
            lines_headers=account.headers,
            lines_continued=account.continued,
            rows_outside=reading.outside + beside,
            columns_unused=dict(reading.columns_unused),
            files_not_read=note_of_others(reading.others, "the directory"),
        )


class BarsFigures(RowsRead):
    """What a run of ``bars`` reports.

    symbols: how many symbols had each outcome. bars_corrected: single bars that the source changed.
    adjusted_closes_unusable: adjusted closes that were not stored, in all, and of the symbols with the most of them.
    securities_restated: securities whose whole history was stored again. range: the days that were asked for.
    calendar_changed: days that became a session, or ceased to be one. files: None of a source that reads no files.
    """

    rows_rejected_new: int
    rejected_by_reason: dict[str, int]
    source: str
    synthetic: bool
    symbols: dict[Outcome, int]
    symbols_failed: tuple[str, ...]
    adjusted_closes_unusable: int
    adjusted_closes_unusable_of: dict[str, int]
    bars_corrected: int
    securities_restated: int
    range: str
    calendar_changed: tuple[str, ...]
    files: FileFigures | None = None

    def to_metadata(self) -> dict[str, Any]:
        of_files = self.files.to_metadata() if self.files else {}
        return {**self.model_dump(mode="json", exclude={"files"}), **of_files}

    @classmethod
    def from_metadata(cls, metadata: Metadata) -> "BarsFigures":
        figures = super().from_metadata(metadata)
        if not FileFigures.model_fields.keys() & metadata.keys():
            return figures
        return figures.model_copy(update={"files": FileFigures.from_metadata(metadata)})


Figures = RowCounts | NothingRead | PagesWritten


def figures_by_asset(events: Iterable[dg.DagsterEvent]) -> dict[str, Figures]:
    """What each asset reports in these events of a run, in the order of the events."""
    return {asset: _figures(asset, metadata) for asset, metadata in metadata_by_asset(events).items()}


def latest_bars(instance: dg.DagsterInstance, month: str | None = None) -> BarsFigures | None:
    """What the last run of ``bars``, or of one of its months, reported; None where there was none."""
    metadata = latest_metadata(instance, BARS, month)
    return None if metadata is None else BarsFigures.from_metadata(metadata)


def latest_published(instance: dg.DagsterInstance) -> PublishedFigures | NothingRead | None:
    """What the last run of ``exchange_breadth`` reported; None where there was none."""
    metadata = latest_metadata(instance, PUBLISHED)
    return None if metadata is None else _published(metadata)


def _figures(asset: str, metadata: Metadata) -> Figures:
    if asset == BARS:
        return BarsFigures.from_metadata(metadata)
    if asset == REPORT:
        return PagesWritten.from_metadata(metadata)
    if asset == OUTCOMES:
        return OutcomeFigures.from_metadata(metadata)
    return _published(metadata) if asset == PUBLISHED else RowCounts.from_metadata(metadata)


def _published(metadata: Metadata) -> PublishedFigures | NothingRead:
    """With rows where a publication was read."""
    if isinstance(metadata.get("publications"), str):
        return NothingRead.from_metadata(metadata)
    return PublishedFigures.from_metadata(metadata)
