"""What a page is made of, and what several of its sections ask of it. Fetches nothing."""

import datetime as dt
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import polars as pl

from breadthflow_pipelines.indicators.breadth_catalogue import CATALOGUE
from breadthflow_pipelines.model.vocabulary import SESSION_RULES

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Facts:
    """A universe as a whole, as the store says it.

    breadth: counts and indicators, at least one row, by session. signals: MARKET_SIGNAL and SIGNAL_RECORD, by session;
    evidence is JSON text, and of score and conviction only that of each one's last session is needed. sectors: segment,
    session, pct_above_50. faults: kind, what, rows, first, last. records: of each rule, side and horizon over the whole
    history, as the store names its columns. level: session, level: what the members returned in equal parts, 1 before
    their first return. backtests, years: as the store names their columns. growth: of SHOWN_RULE, session, return,
    wealth, held; both empty where nothing can be held. known_at: since when the store says exactly this. convention:
    the version of the definitions, version: that of the program. due: the last session that had closed when the page
    was made; None: not asked.
    """

    universe: str
    breadth: pl.DataFrame
    signals: pl.DataFrame
    sectors: pl.DataFrame
    faults: pl.DataFrame
    records: pl.DataFrame
    level: pl.DataFrame
    backtests: pl.DataFrame
    years: pl.DataFrame
    growth: pl.DataFrame
    known_at: dt.datetime
    convention: int
    synthetic: bool
    version: str
    due: dt.date | None = None

    @cached_property
    def now(self) -> Row:
        """The last session's row."""
        return self.breadth.row(-1, named=True)

    @cached_property
    def number(self) -> Mapping[dt.date, int]:
        """By session, its number from 0."""
        return {session: i for i, session in enumerate(self.breadth["session"])}

    @cached_property
    def events(self) -> list[Row]:
        """The signals that are events, oldest first, their evidence as objects."""
        return _read(self._signals.filter(~pl.col("rule").is_in(SESSION_RULES)))

    @cached_property
    def measures(self) -> Mapping[str, Row]:
        """By rule, the last score and the last conviction; a rule that never had one is not in it."""
        last = self._signals.filter(pl.col("rule").is_in(SESSION_RULES)).group_by("rule", maintain_order=True).last()
        return {row["rule"]: row for row in _read(last.select(self.signals.columns))}

    def measured(self, rule: str) -> Row | None:
        """The score or the conviction of the last session; None if that has none, whatever came before it."""
        last = self.measures.get(rule)
        return last if last is not None and last["session"] == self.now["session"] else None

    @cached_property
    def _signals(self) -> pl.DataFrame:
        """Those of sessions that have breadth: what was counted again may have lost one, until signals follow."""
        return self.signals.join(self.breadth.select("session"), on="session", how="semi", maintain_order="left")

    def age(self, session: dt.date) -> int:
        """How many sessions ago that was."""
        return len(self.number) - 1 - self.number[session]

    def with_measures(self) -> pl.DataFrame:
        """The breadth with score and conviction beside it, each under its rule's name."""
        wide = self.breadth
        for rule in SESSION_RULES:
            own = self._signals.filter(rule=rule).select("session", pl.col("value").alias(rule))
            wide = wide.join(own, on="session", how="left", maintain_order="left")
        return wide


def completed(breadth: pl.DataFrame) -> pl.DataFrame:
    """Breadth with every indicator of this program: one that the store does not have yet is unknown."""
    return breadth.with_columns(
        pl.lit(None, pl.Float64).alias(name) for name in CATALOGUE if name not in breadth.columns
    )


def _read(signals: pl.DataFrame) -> list[Row]:
    return [{**row, "evidence": json.loads(row["evidence"])} for row in signals.iter_rows(named=True)]
