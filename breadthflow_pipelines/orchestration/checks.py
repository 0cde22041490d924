"""Asset checks: contracts, completeness, coverage and freshness of what is stored. They run in a run and alone.

Each looks at the sessions that its run is about, or at all of history where the run names none. Those that protect
signals block; the rest are reported, and the command ends with 1 where one of severity ERROR fails.
"""

import datetime as dt
from collections.abc import Mapping
from typing import Any

import dagster as dg
import pandera.polars as pa
import polars as pl

from breadthflow_pipelines.contracts import breadth as contracts
from breadthflow_pipelines.contracts.verdict import ContractError, judge
from breadthflow_pipelines.indicators.counts import OUTAGE_SESSIONS, coverage_lost
from breadthflow_pipelines.indicators.plausibility import silent_sessions
from breadthflow_pipelines.orchestration import totals
from breadthflow_pipelines.orchestration.describe import shown
from breadthflow_pipelines.orchestration.measures import BREADTH_BOUNDS
from breadthflow_pipelines.orchestration.partitions import FORMAT, Span, span_of
from breadthflow_pipelines.orchestration.resources import Market
from breadthflow_pipelines.signals.symbols import RULE_COLUMNS, symbol_signals
from breadthflow_pipelines.sources.protocol import label
from breadthflow_pipelines.warehouse import breadth as breadth_warehouse
from breadthflow_pipelines.warehouse import market as market_warehouse
from breadthflow_pipelines.warehouse import quarantine as quarantine_warehouse
from breadthflow_pipelines.warehouse import symbols as symbols_warehouse

MOST_REJECTED = 0.01  # of the rows; a source of which more is broken is not to be built on
FEW_REJECTED = 5  # so few broken rows say nothing about a source, however small the market


def _span(context: dg.AssetCheckExecutionContext, market: Market) -> Span:
    return span_of(context.run.tags, market.settings, market.calendar)


def _held(market: Market, start: dt.date, end: dt.date) -> pl.DataFrame:
    return market_warehouse.sessions_held(market.store, start, end, synthetic=market.source.synthetic)


def _reach(market: Market) -> tuple[dt.date, dt.date] | None:
    return market_warehouse.reach(market.store, synthetic=market.source.synthetic)


def _result(*, passed: bool, metadata: Mapping[str, Any], warn: bool = False) -> dg.AssetCheckResult:
    severity = dg.AssetCheckSeverity.WARN if warn else dg.AssetCheckSeverity.ERROR
    return dg.AssetCheckResult(passed=passed, severity=severity, metadata=metadata)


def _judged(schema: pa.DataFrameSchema, rows: pl.DataFrame, *, may_be_empty: bool = False) -> dg.AssetCheckResult:
    """An empty table fails where rows are due: a rule that all of no rows keep says nothing.

    So does one that lacks columns, as a derived table does until it is first filled.
    """
    try:
        verdict = judge(schema, rows)
    except ContractError as error:
        return _result(passed=False, metadata={"rows": rows.height, "shape": str(error)})
    metadata = {"rows": rows.height, "broken": verdict.rejected.height, "by_reason": verdict.by_reason()}
    if verdict.rejected.height:
        metadata["first_broken"] = shown(verdict.rejected)
    return _result(passed=verdict.rejected.is_empty() and (rows.height > 0 or may_be_empty), metadata=metadata)


@dg.asset_check(asset="universe_members", blocking=True)
def universe_has_members(market: Market) -> dg.AssetCheckResult:
    """There are members to count; without any, every month would be empty and look done."""
    members = market_warehouse.members(market.store)
    sizes = members.group_by("universe").agg(securities=pl.col("security_id").n_unique()).sort("universe")
    return _result(passed=members.height > 0, metadata={"universes": shown(sizes)})


@dg.asset_check(asset="bars", blocking=True)
def bars_keep_contract(context: dg.AssetCheckExecutionContext, market: Market) -> dg.AssetCheckResult:
    """Of the source's rows, next to all keep the contract. The broken ones were put aside, with the reason."""
    span = _span(context, market)
    held = int(_held(market, span.start, span.end)["bars"].sum())
    rejected = market_warehouse.rejected_bars(market.store, label(market.source), span.start, span.end)
    share = rejected.height / max(1, held + rejected.height)
    return _result(
        passed=share <= MOST_REJECTED or (held > 0 and rejected.height <= FEW_REJECTED),
        metadata={"held": held, "rejected": rejected.height, "share": share, "rows": shown(rejected)},
    )


@dg.asset_check(asset="bars", blocking=True)
def bars_complete(context: dg.AssetCheckExecutionContext, market: Market) -> dg.AssetCheckResult:
    """Every session between the first and the last one held has bars: a hole would turn the day after it into gaps."""
    span = _span(context, market)
    held = _held(market, span.start, span.end)["session"]
    reach = _reach(market)
    missing: list[dt.date] = []
    if reach is not None:
        expected = market.calendar.between(max(span.start, reach[0]), min(span.end, reach[1]))
        missing = sorted(set(expected) - set(held))
    return _result(
        passed=reach is not None and not missing,
        metadata={"sessions_held": held.len(), "missing": [str(day) for day in missing]},
    )


@dg.asset_check(asset="bars")
def bars_current(context: dg.AssetCheckExecutionContext, market: Market) -> dg.AssetCheckResult:
    """The last closed session, or the one that the run goes through, has bars. History behind it stays usable."""
    through = market.calendar.back(_span(context, market).through, 0)
    reach = _reach(market)
    held = _held(market, through, through)
    last = str(reach[1]) if reach else "none"
    return _result(passed=held.height == 1, metadata={"expected": str(through), "last_held": last})


@dg.asset_check(asset="bars")
def every_symbol_answered(context: dg.AssetCheckExecutionContext) -> dg.AssetCheckResult:
    """The source could be read for every symbol it lists; the others are named, and are read again by the next run."""
    said = totals.latest(context.instance, "bars")
    failed, problems = list(said.get("symbols_failed", ())), list(said.get("problems", ()))
    return _result(passed=not failed and not problems, warn=True, metadata={"failed": failed, "problems": problems})


@dg.asset_check(asset="quarantined_bars", blocking=True)
def quarantine_bounded(context: dg.AssetCheckExecutionContext, market: Market) -> dg.AssetCheckResult:
    """No rule found more bars than it may leave out. One that did leaves out none of them until people have looked."""
    span = _span(context, market).with_month_before()
    findings = quarantine_warehouse.shown_findings(market.store, span.start, span.end)
    proposed = findings.filter(pl.col("status") == "proposed")
    by_rule = proposed.group_by("rule", month=pl.col("session").dt.strftime(FORMAT)).agg(bars=pl.len())
    metadata: dict[str, Any] = {"proposed": proposed.height, "by_rule": shown(by_rule.sort("rule", "month"), most=50)}
    if proposed.height:
        first, last = proposed["session"].min(), proposed["session"].max()
        metadata["rules"] = sorted(set(proposed["rule"]))
        metadata["what_to_do"] = (
            f"look with breadthflow rejected --status proposed --from {first!s} --to {last!s}; then mend the "
            "source, or say breadthflow confirm --proposals or breadthflow release --proposals, with --reason; "
            "then run again"
        )
        metadata["bars"] = shown(proposed, most=50)
    return _result(passed=proposed.is_empty(), metadata=metadata)


@dg.asset_check(asset="quarantined_bars")
def session_plausible(context: dg.AssetCheckExecutionContext, market: Market) -> dg.AssetCheckResult:
    """No session's volumes were lost as a whole. Where they were, closes are counted, and volumes are those of few."""
    span = _span(context, market)
    silent = silent_sessions(quarantine_warehouse.session_volumes(market.store, span.start, span.end))
    days = [str(day) for day in silent["session"]]
    return _result(passed=silent.is_empty(), warn=True, metadata={"without_volume": days, "sessions": shown(silent)})


@dg.asset_check(asset="breadth_counts", blocking=True)
def counts_keep_contract(context: dg.AssetCheckExecutionContext, market: Market) -> dg.AssetCheckResult:
    """Every count is sound: no member counted twice, none above a mean that cannot be told, coverage as stated."""
    span = _span(context, market)
    rows = breadth_warehouse.counts(market.store, span.start, span.end)
    return _judged(contracts.COUNTS, rows, may_be_empty=span.is_empty)


@dg.asset_check(asset="breadth_counts", blocking=True)
def coverage_at_gate(context: dg.AssetCheckExecutionContext, market: Market) -> dg.AssetCheckResult:
    """Of every universe, at least BREADTHFLOW_COVERAGE_GATE of the members are priced on every session."""
    span = _span(context, market)
    coverage = breadth_warehouse.coverage(market.store, span.start, span.end)
    thin = coverage.filter(pl.col("coverage") < market.settings.coverage_gate)
    least = coverage["coverage"].min() if coverage.height else None
    return _result(
        passed=thin.is_empty() and (coverage.height > 0 or span.is_empty),
        metadata={"gate": market.settings.coverage_gate, "least": least, "below": shown(thin)},
    )


@dg.asset_check(asset="breadth_counts")
def coverage_steady(context: dg.AssetCheckExecutionContext, market: Market) -> dg.AssetCheckResult:
    """No session lost a tenth of its usual coverage. One that did is provisional: some of its bars have not come in."""
    span = _span(context, market)
    before = market.calendar.back(span.start, OUTAGE_SESSIONS + 1)
    coverage = breadth_warehouse.coverage(market.store, before, span.end)
    lost = coverage.filter(coverage_lost().over("universe", order_by="session") & (pl.col("session") >= span.start))
    return _result(
        passed=lost.is_empty(),
        warn=True,
        metadata={"sessions": [str(day) for day in lost["session"]], "lost": shown(lost)},
    )


@dg.asset_check(asset="exchange_breadth", blocking=True)
def published_keep_contract(market: Market) -> dg.AssetCheckResult:
    """Published counts are whole numbers, one row per exchange and session."""
    return _judged(contracts.PUBLISHED, breadth_warehouse.published(market.store), may_be_empty=True)


@dg.asset_check(asset="exchange_breadth")
def publications_answered(context: dg.AssetCheckExecutionContext) -> dg.AssetCheckResult:
    """Every place that published counts are read from could be read; where one could not, what is stored stays."""
    problems = list(totals.latest(context.instance, "exchange_breadth").get("problems", ()))
    return _result(passed=not problems, warn=True, metadata={"problems": problems})


@dg.asset_check(asset="exchange_breadth")
def published_plausible(market: Market) -> dg.AssetCheckResult:
    """No row of published counts is doubted by the guards. Those that are do not enter indicators, and are kept."""
    doubted = breadth_warehouse.published(market.store).filter(pl.col("doubts").list.len() > 0)
    by_rule = (
        doubted.explode("doubts")
        .group_by("exchange", rule="doubts")
        .agg(rows=pl.len(), first=pl.col("session").min(), last=pl.col("session").max())
    )
    return _result(
        passed=doubted.is_empty(),
        warn=True,
        metadata={
            "doubted": doubted.height,
            "by_rule": shown(by_rule.sort("exchange", "rule"), most=30),
            "rows": shown(
                doubted.select("exchange", "session", "doubts", "advances", "declines", "unchanged"), most=50
            ),
        },
    )


@dg.asset_check(asset="breadth_indicators", blocking=True)
def indicators_keep_contract(market: Market) -> dg.AssetCheckResult:
    """Every indicator is finite or null, and within the bounds that its formula allows."""
    return _judged(contracts.indicators(BREADTH_BOUNDS), breadth_warehouse.indicators(market.store))


# In a run it waits for the run's own counts, which are made at the same time and may come late.
@dg.asset_check(asset="price_indicators", blocking=True, additional_deps=["breadth_counts"])
def members_have_indicators(context: dg.AssetCheckExecutionContext, market: Market) -> dg.AssetCheckResult:
    """Every priced member has its technical indicators on every session that was counted, and nobody else has any."""
    span = _span(context, market)
    told = symbols_warehouse.members_told(market.store, span.start, span.end)
    differing = told.filter(pl.col("indicators") != pl.col("priced"))
    return _result(
        passed=differing.is_empty() and (told.height > 0 or span.is_empty),
        metadata={"sessions": told.height, "differing": shown(differing)},
    )


@dg.asset_check(asset="symbol_signals")
def members_have_signals(context: dg.AssetCheckExecutionContext, market: Market) -> dg.AssetCheckResult:
    """Signals are those of members with indicators, do not cease, and of the last session are as many as are due."""
    span = _span(context, market)
    told = symbols_warehouse.members_told(market.store, span.start, span.end)
    surplus = told.filter(pl.col("signals") > pl.col("indicators"))
    silent = told.filter((pl.col("signals") == 0) & (pl.col("signals").cum_sum().over("universe") > 0))
    short = _short_of_signals(market, told)
    return _result(
        passed=surplus.is_empty() and silent.is_empty() and short.is_empty(),
        metadata={
            "sessions": told.height,
            "more_than_members": shown(surplus),
            "none_at_all": shown(silent),
            "fewer_than_due": shown(short),
        },
    )


def _short_of_signals(market: Market, told: pl.DataFrame) -> pl.DataFrame:
    """Of the last session with indicators, the universes that lack signals which these give."""
    last = told.filter(pl.col("indicators") > 0).filter(pl.col("session") == pl.col("session").max())
    if last.is_empty():
        return last
    day = last["session"][0]
    members = symbols_warehouse.members_with_indicators(market.store, RULE_COLUMNS, day, day)
    due = symbol_signals(members, symbols_warehouse.regimes(market.store, day, day))
    return last.join(due.group_by("universe").agg(due=pl.len()), on="universe").filter(
        pl.col("signals") < pl.col("due")
    )


@dg.asset_check(asset="market_signals")
def signals_keep_contract(market: Market) -> dg.AssetCheckResult:
    """Every signal has an action, a confidence from 0 to 1, finite figures and evidence, once per rule and session."""
    return _judged(contracts.SIGNALS, breadth_warehouse.all_signals(market.store), may_be_empty=True)


CHECKS = [
    universe_has_members,
    bars_keep_contract,
    bars_complete,
    bars_current,
    every_symbol_answered,
    quarantine_bounded,
    session_plausible,
    counts_keep_contract,
    coverage_at_gate,
    coverage_steady,
    published_keep_contract,
    published_plausible,
    publications_answered,
    indicators_keep_contract,
    signals_keep_contract,
    members_have_indicators,
    members_have_signals,
]
