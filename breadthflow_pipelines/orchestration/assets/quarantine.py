"""Bars that cannot be right are left out before anything is made of bars, and doubtful ones are told of.

The rules: trust/bar_rules.py.
"""

import datetime as dt

import dagster as dg
import polars as pl

from breadthflow_pipelines.model.gates import CROWDED
from breadthflow_pipelines.model.vocabulary import DECIDED, DOUBTED, LEFT_OUT, PRICES, PROPOSED, QUARANTINED
from breadthflow_pipelines.observability.logs import logger
from breadthflow_pipelines.observability.progress import advance
from breadthflow_pipelines.orchestration.describe import (
    merge_metadata,
    monthly_metadata,
    shown,
    stored_asset,
)
from breadthflow_pipelines.orchestration.partitions import Span, span_of
from breadthflow_pipelines.orchestration.pending_changes import catching_up
from breadthflow_pipelines.orchestration.resources import Market
from breadthflow_pipelines.trust.bar_rules import (
    DOUBTS,
    LATER_BARS,
    LONG_SILENCE,
    RULES,
    WARM_UP_BARS,
    doubtful,
    implausible,
)
from breadthflow_pipelines.trust.quarantine import excessive, first_changed, settle, undecided
from breadthflow_pipelines.warehouse import quarantine_store
from breadthflow_pipelines.warehouse.bulk import NOTHING, Merged
from breadthflow_pipelines.warehouse.verdicts import record_gate

log = logger(__name__)

NEWEST_SHOWN = 30


def quarantined_bars_asset(months: dg.MonthlyPartitionsDefinition, bars: dg.AssetsDefinition) -> dg.AssetsDefinition:
    """The asset ``quarantined_bars``, cut into these months."""

    @stored_asset(
        "quarantined_bars",
        code_version="1",
        layer="quality",
        made_of={
            "security_id": [("bars", "security_id")],
            "session": [("bars", "session")],
            "evidence": [("bars", name) for name in (*PRICES, "volume")],
        },
        partitions_def=months,
        pool="quarantined_bars",
        # A rule looks at a month of bars before the one it judges, and at a week of them after it.
        deps=[bars],
    )
    def quarantined_bars(context: dg.AssetExecutionContext, market: Market) -> dg.MaterializeResult:  # type: ignore[type-arg]
        """Bars that keep their contract and cannot be right: left out of all that follows, with rule and evidence."""
        own = span_of(context.run.tags, market.settings, market.calendar)
        with market.store.exclusive("quarantined_bars"), catching_up(market, "quarantined_bars", own) as work:
            span = work.span.with_month_before()
            merged = NOTHING if span.is_empty else _judge(market, span, context.run.run_id)
        held = quarantine_store.findings(market.store, span.start, span.end)
        statuses = {status: (pl.col("status") == status).sum() for status in (QUARANTINED, DOUBTED, PROPOSED, *DECIDED)}
        monthly_metadata(context, merged, held, statuses, always={"synthetic": market.source.synthetic})
        left_out, doubted = held.filter(pl.col("status").is_in(LEFT_OUT)), held.filter(status=DOUBTED)
        newest = quarantine_store.shown_findings(market.store, span.start, span.end)
        return dg.MaterializeResult(
            metadata={
                "by_rule": {rule: left_out.filter(rule=rule).height for rule in RULES},
                "doubted_by_rule": {rule: doubted.filter(rule=rule).height for rule in DOUBTS},
                "newest": shown(newest, most=NEWEST_SHOWN),
                **work.told(merged),
                **merge_metadata(merged),
                "synthetic": market.source.synthetic,
            }
        )

    return quarantined_bars


def _judge(market: Market, span: Span, run_id: str) -> Merged:
    found = pl.concat([_found(market, start, end) for start, end in span.years])
    stored = quarantine_store.findings(market.store, span.start, span.end)
    fingerprints = quarantine_store.fingerprints(market.store, pl.concat([found.select(_BAR), stored.select(_BAR)]))
    sessions = quarantine_store.session_volumes(market.store, span.start, span.end)
    open_ = undecided(found.join(fingerprints, on=_BAR), stored)
    # Where many symbols fell silent at once, the source has a hole, which is told of elsewhere.
    excess = excessive(open_.filter(pl.col("rule") != LONG_SILENCE), sessions)
    now = dt.datetime.now(dt.UTC)
    settled = settle(found, stored, fingerprints, excess, run_id=run_id, now=now, doubts=DOUBTS)
    _tell(stored, settled)
    advance("quarantined bars", 1, f"through {span.end}")
    hold = quarantine_store.settling_proposals(span.start, span.end, run_id, synthetic=market.source.synthetic)
    merged = quarantine_store.record_findings(market.store, settled, first_changed(stored, settled), hold)
    record_gate(market.store, CROWDED, span.months, run_id=run_id)
    return merged


_BAR = ("security_id", "session")


def _found(market: Market, start: dt.date, end: dt.date) -> pl.DataFrame:
    bars = quarantine_store.bars_to_judge(market.store, start, end, WARM_UP_BARS, LATER_BARS)
    found = pl.concat([implausible(bars), doubtful(bars)])
    return found.filter(pl.col("session").is_between(start, end))


def _tell(stored: pl.DataFrame, settled: pl.DataFrame) -> None:
    """Name the decisions that no longer hold: somebody signed them."""
    before = stored.filter(pl.col("status").is_in(DECIDED))
    now = settled.filter(~pl.col("status").is_in(DECIDED)).select(*_BAR, "rule", now="status")
    for row in before.join(now, on=[*_BAR, "rule"]).iter_rows(named=True):
        log.warning(
            "decision_lapsed",
            **{name: str(row[name]) for name in (*_BAR, "rule", "status", "now", "decided_by", "reason")},
            why="the source changed the bar",
        )
