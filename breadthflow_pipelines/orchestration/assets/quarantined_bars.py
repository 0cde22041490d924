"""Bars that cannot be right: found by rules, left out of everything that is computed from bars. The doubtful are named.

The rules: trust/bar_rules.py. Which findings stay, and which lapse: trust/quarantine.py.
"""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import dagster as dg
import polars as pl

from breadthflow_pipelines.model.gates import CROWDED
from breadthflow_pipelines.model.vocabulary import DECIDED, DOUBTED, LEFT_OUT, PRICES, PROPOSED, QUARANTINED
from breadthflow_pipelines.observability.logs import log
from breadthflow_pipelines.observability.progress import advance
from breadthflow_pipelines.orchestration.assets.monthly import derived_monthly_asset
from breadthflow_pipelines.orchestration.fanout import spread
from breadthflow_pipelines.orchestration.partitions import Days
from breadthflow_pipelines.orchestration.pending_changes import Reach, Scope
from breadthflow_pipelines.orchestration.piecework import Stage
from breadthflow_pipelines.orchestration.resources import Market
from breadthflow_pipelines.orchestration.ui_metadata import shown
from breadthflow_pipelines.trust.bar_rules import (
    DOUBTS,
    LATER_BARS,
    LONG_SILENCE,
    RULES,
    WARM_UP_BARS,
    flagged,
)
from breadthflow_pipelines.trust.quarantine import excessive, settle, turned, undecided
from breadthflow_pipelines.warehouse import quarantine_store, security_store
from breadthflow_pipelines.warehouse.bulk import NOTHING, Merged
from breadthflow_pipelines.warehouse.verdicts import record_gate

NEWEST_SHOWN = 30
BARS_AT_A_TIME = 650_000  # of six columns, some 60 MB; and a month of bars of each security before them
_STATUSES = (QUARANTINED, DOUBTED, PROPOSED, *DECIDED)
_BAR = ("security_id", "session")


def quarantined_bars_asset(months: dg.MonthlyPartitionsDefinition) -> dg.AssetsDefinition:
    """The asset ``quarantined_bars``, cut into these months."""
    return derived_monthly_asset(
        "quarantined_bars",
        months,
        _judge,
        rows=_findings,
        figures={status: (pl.col("status") == status).sum() for status in _STATUSES},
        details=_details,
        code_version="1",
        layer="quality",
        reach=Reach(bars=WARM_UP_BARS),
        made_of={
            "security_id": [("bars", "security_id")],
            "session": [("bars", "session")],
            "evidence": [("bars", name) for name in (*PRICES, "volume")],
        },
        # A rule looks at a month of bars before the one it judges, and at a week of them after it.
        deps=["bars"],
    )


@dataclass(frozen=True)
class _OfDays:
    """What rules find in the bars of some days. Nothing is stored: all findings of a session are judged together."""

    @property
    def stages(self) -> Sequence[Stage]:
        return self._read, self._found

    def _read(self, market: Market, days: Days, _: None) -> pl.DataFrame:
        return quarantine_store.bars_to_judge(market.store, *days, WARM_UP_BARS, LATER_BARS)

    def _found(self, market: Market, days: Days, bars: pl.DataFrame) -> pl.DataFrame:  # noqa: ARG002
        return flagged(bars).filter(pl.col("session").is_between(*days))


def _judge(market: Market, scope: Scope, run_id: str) -> Merged:
    """Bars that keep their contract and cannot be right: left out of all that follows, with rule and evidence."""
    span = scope.left.with_month_before()
    if span.is_empty:
        return NOTHING
    pieces = span.pieces(security_store.listed(market.store, span.calendar_years), BARS_AT_A_TIME)
    by_days = dict(spread(market, "quarantined_bars", _OfDays(), pieces))
    found = pl.concat([by_days[days] for days in pieces])
    stored = quarantine_store.findings(market.store, span.start, span.end)
    fingerprints = quarantine_store.fingerprints(market.store, pl.concat([found.select(_BAR), stored.select(_BAR)]))
    sessions = quarantine_store.session_volumes(market.store, span.start, span.end)
    open_ = undecided(found.join(fingerprints, on=_BAR), stored)
    # Where many symbols fell silent at once, the source has a hole, which is reported elsewhere.
    excess = excessive(open_.filter(pl.col("rule") != LONG_SILENCE), sessions)
    now = dt.datetime.now(dt.UTC)
    settled = settle(found, stored, fingerprints, excess, run_id=run_id, now=now, doubts=DOUBTS)
    _log_lapsed_decisions(stored, settled)
    advance("quarantined bars", 1, f"through {span.end}")
    hold = quarantine_store.settling_proposals(span.start, span.end, run_id, synthetic=market.source.synthetic)
    merged = quarantine_store.record_findings(market.store, settled, turned(stored, settled), hold)
    record_gate(market.store, CROWDED, span.months, run_id=run_id)
    return merged


def _findings(market: Market, scope: Scope) -> pl.DataFrame:
    span = scope.span.with_month_before()
    return quarantine_store.findings(market.store, span.start, span.end)


def _details(market: Market, scope: Scope, findings: pl.DataFrame) -> Mapping[str, Any]:
    span = scope.span.with_month_before()
    left_out, doubted = findings.filter(pl.col("status").is_in(LEFT_OUT)), findings.filter(status=DOUBTED)
    newest = quarantine_store.shown_findings(market.store, span.start, span.end)
    return {
        "by_rule": {rule: left_out.filter(rule=rule).height for rule in RULES},
        "doubted_by_rule": {rule: doubted.filter(rule=rule).height for rule in DOUBTS},
        "newest": shown(newest, most=NEWEST_SHOWN),
    }


def _log_lapsed_decisions(stored: pl.DataFrame, settled: pl.DataFrame) -> None:
    """Name the decisions of people that no longer hold."""
    before = stored.filter(pl.col("status").is_in(DECIDED))
    now = settled.filter(~pl.col("status").is_in(DECIDED)).select(*_BAR, "rule", now="status")
    for row in before.join(now, on=[*_BAR, "rule"]).iter_rows(named=True):
        log.warning(
            "decision_lapsed",
            **{name: str(row[name]) for name in (*_BAR, "rule", "status", "now", "decided_by", "reason")},
            why="the source changed the bar",
        )
