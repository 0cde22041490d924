"""Asset checks: contracts, completeness, coverage and freshness of what is stored. They run in a run and alone.

Each judges the months that its run is about, or all of history where the run names none; its result is over all months
that were ever judged (lights.py). Those that protect signals block a run, and hold whoever comes later (gates.py); the
rest are reported, and the command ends with 1 where one of severity ERROR fails.
"""

import datetime as dt
import json
from collections.abc import Mapping, Sequence
from operator import itemgetter
from typing import Any

import dagster as dg
import pandera.polars as pa
import polars as pl

from breadthflow_pipelines.contracts import breadth as contracts
from breadthflow_pipelines.contracts.verdict import REASONS, ContractError, judge
from breadthflow_pipelines.indicators.counts import MOST_DOLLARS, OUTAGE_SESSIONS, coverage_lost
from breadthflow_pipelines.indicators.price import MOST_SUMMED
from breadthflow_pipelines.model.gates import CROWDED, INCOMPLETE, MISSING, THIN, described, listed
from breadthflow_pipelines.model.vocabulary import DOUBTED, PROPOSED
from breadthflow_pipelines.orchestration import gates, ingest_figures, lights
from breadthflow_pipelines.orchestration.catalogue_columns import BREADTH_BOUNDS
from breadthflow_pipelines.orchestration.describe import shown
from breadthflow_pipelines.orchestration.partitions import FORMAT, Span, months_between, span_of
from breadthflow_pipelines.orchestration.resources import Market
from breadthflow_pipelines.reports.tables import text
from breadthflow_pipelines.signals.symbols import RULE_COLUMNS, symbol_signals
from breadthflow_pipelines.trust.bar_rules import LONG_SILENCE, silent_sessions
from breadthflow_pipelines.trust.completeness import rejected_share
from breadthflow_pipelines.warehouse import (
    bar_store,
    breadth_store,
    holds,
    member_listing,
    member_store,
    quarantine_store,
    security_store,
)
from breadthflow_pipelines.warehouse.bulk import execute
from breadthflow_pipelines.warehouse.verdicts import ALL, Fault, record_gate


def _span(context: dg.AssetCheckExecutionContext, market: Market) -> Span:
    return span_of(context.run.tags, market.settings, market.calendar)


def _held(market: Market, start: dt.date, end: dt.date) -> pl.DataFrame:
    return bar_store.sessions_held(market.store, start, end, synthetic=market.source.synthetic)


def _reach(market: Market) -> tuple[dt.date, dt.date] | None:
    return bar_store.reach(market.store, synthetic=market.source.synthetic)


def _gate(
    context: dg.AssetCheckExecutionContext, market: Market, span: Span, well: str, more: Mapping[str, Any] | None = None
) -> dg.AssetCheckResult:
    """What a gate says, whose holds were just settled: what holds is what fails, and what was accepted is named."""
    (key,) = context.selected_asset_check_keys
    accepted = [row for row in holds.accepted(market.store) if row["gate"] == key.name]
    if accepted:
        well += f"; accepted: {described(accepted)}"
        well += ", the session after each counts as gap" if key.name == MISSING else ""
    return lights.known(market, key, span.months, well=well, more=more)


def _whole(
    context: dg.AssetCheckExecutionContext,
    market: Market,
    fault: str | None,
    *,
    well: str,
    failing: int = 1,
    warn: bool = False,
    more: Mapping[str, Any] | None = None,
) -> dg.AssetCheckResult:
    """What is said of a whole table, of which no month is judged apart."""
    faults = {} if fault is None else {ALL: Fault(failing, fault)}
    return lights.result(context, market, faults, well=well, warn=warn, more=more)


def _days(span: Span) -> str:
    return f"from {span.start} through {span.end}"


def _contract(schema: pa.DataFrameSchema, rows: pl.DataFrame) -> tuple[pl.DataFrame, str | None]:
    """The rows that break a contract, and why none can be judged, as of a derived table before it is first filled."""
    try:
        return judge(schema, rows).rejected, None
    except ContractError as error:
        return rows.clear(), str(error)


def _broken(row: Mapping[str, Any]) -> str:
    """A row that breaks a contract, in a few words."""
    names = [str(row[name]) for name in ("exchange", "universe", "segment", "rule") if name in row]
    return f"{' '.join(names)} {row['session']}: {'; '.join(row[REASONS])}"


def _judged_whole(
    context: dg.AssetCheckExecutionContext,
    market: Market,
    schema: pa.DataFrameSchema,
    rows: pl.DataFrame,
    *,
    may_be_empty: bool = False,
) -> dg.AssetCheckResult:
    """An empty table fails where rows are due: a rule that all of no rows keep says nothing."""
    broken, shape = _contract(schema, rows)
    more = {"rows": rows.height, "first_broken": shown(broken)}
    fault = shape
    if broken.height:
        fault = (
            f"{broken.height:,} of {rows.height:,} rows break the contract, first {_broken(broken.row(0, named=True))}"
        )
    elif rows.is_empty() and not may_be_empty:
        fault = fault or "there are no rows"
    well = f"{rows.height:,} rows keep the contract"
    return _whole(context, market, fault, well=well, failing=max(1, broken.height), more=more)


@dg.asset_check(asset="universe_members", blocking=True)
def universe_has_members(context: dg.AssetCheckExecutionContext, market: Market) -> dg.AssetCheckResult:
    """There are members to count; without any, every month would be empty and look done."""
    members = security_store.members(market.store)
    sizes = members.group_by("universe").agg(securities=pl.col("security_id").n_unique()).sort("universe")
    fault = None if members.height else "no universe has a member"
    well = "; ".join(f"{universe}: {securities:,} securities" for universe, securities in sizes.iter_rows())
    return _whole(context, market, fault, well=well, more={"universes": shown(sizes)})


# In a run it waits for the run's own bars.
@dg.asset_check(asset="universe_members", additional_deps=["bars"])
def members_have_bars(context: dg.AssetCheckExecutionContext, market: Market) -> dg.AssetCheckResult:
    """Every member has a bar at some time. One without any lowers coverage, and may only be spelled in another way."""
    missing = member_listing.members_without_bars(market.store)
    said = [
        f"{len(rows):,} {'member' if len(rows) == 1 else 'members'} of {universe} "
        f"{'has' if len(rows) == 1 else 'have'} no bar: {listed([_lookalike(row) for row in rows])}; all of them: "
        f"breadthflow members --universe {universe} --without-bars"
        for universe, rows in _by_universe(missing).items()
    ]
    return _whole(
        context,
        market,
        ". ".join(said) or None,
        well="every member has a bar",
        failing=max(1, len(missing)),
        warn=True,
        more={"symbols": sorted({row["symbol"] for row in missing})},
    )


def _by_universe(rows: Sequence[Mapping[str, Any]]) -> dict[str, list[Mapping[str, Any]]]:
    """The first membership of each member, by universe."""
    found: dict[str, dict[str, Mapping[str, Any]]] = {}
    for row in rows:
        found.setdefault(row["universe"], {}).setdefault(row["symbol"], row)
    return {universe: list(members.values()) for universe, members in found.items()}


def _lookalike(row: Mapping[str, Any]) -> str:
    return f"{row['symbol']} (nearest with bars: {' or '.join(row['nearest'])})" if row["nearest"] else row["symbol"]


@dg.asset_check(asset="bars", blocking=True)
def bars_keep_contract(context: dg.AssetCheckExecutionContext, market: Market) -> dg.AssetCheckResult:
    """Of each month's rows, next to all keep the contract. The broken ones were put aside, with the reason."""
    span = _span(context, market)
    held, rejected = _held(market, span.start, span.end), gates.rejected_rows(market, span)
    gates.judge_rejected(market, span, held, rejected, context.run.run_id)
    well = rejected_share(rejected.height, int(held["bars"].sum()))
    return _gate(context, market, span, well, {"rows": shown(rejected)})


@dg.asset_check(asset="bars", blocking=True)
def bars_complete(context: dg.AssetCheckExecutionContext, market: Market) -> dg.AssetCheckResult:
    """Every session between the first and the last one held has bars: a hole would turn the day after it into gaps."""
    span = _span(context, market)
    gates.judge_missing(market, span, _held(market, span.start, span.end), context.run.run_id)
    return _gate(context, market, span, f"every session {_days(span)} that is due has bars")


@dg.asset_check(asset="bars")
def bars_current(context: dg.AssetCheckExecutionContext, market: Market) -> dg.AssetCheckResult:
    """The last session of the run's months, or the last closed one, has bars. History behind it stays usable.

    Of the asset it says so of the newest month that was run: a run about March is no worse because today is late.
    """
    span = _span(context, market)
    expected = market.calendar.on_or_before(span.end)
    held = _held(market, expected, expected)
    month = expected.strftime(FORMAT)
    if held.height:
        return lights.result(context, market, {}, [month], well=f"{expected} is in")
    reach = _reach(market)
    last = f"the last one held is {reach[1]}" if reach else "there are none at all"
    fault = Fault(1, f"no bars on {expected}; {last}", expected, expected)
    return lights.result(context, market, {month: fault}, [month], well="")


@dg.asset_check(asset="bars")
def every_symbol_answered(context: dg.AssetCheckExecutionContext, market: Market) -> dg.AssetCheckResult:
    """The source could be read for every symbol it lists; the others are named, and are read again by the next run."""
    event = context.instance.get_latest_materialization_event(dg.AssetKey("bars"))
    read = ingest_figures.latest(context.instance, "bars")
    failed, problems = list(read.get("symbols_failed", ())), list(read.get("problems", ()))
    unread = [f"{len(failed):,} symbols could not be read: {listed(failed)}"] if failed else []
    said = "; ".join(unread or ([listed(problems)] if problems else []))  # breadthflow problems has every reason
    run = context.instance.get_run_by_id(event.run_id) if event else None
    span = span_of((run or context.run).tags, market.settings, market.calendar)  # what the source said is about those
    fault = Fault(max(1, len(failed)), said, span.start, span.end)
    faults = dict.fromkeys(span.months, fault) if said else {}
    more = {"failed": failed, "problems": problems}
    return lights.result(context, market, faults, span.months, well="every symbol was read", warn=True, more=more)


@dg.asset_check(asset="quarantined_bars", blocking=True)
def quarantine_bounded(context: dg.AssetCheckExecutionContext, market: Market) -> dg.AssetCheckResult:
    """No rule found more bars than it may leave out. One that did leaves out none of them until people have looked."""
    span = _span(context, market).with_month_before()
    hold = quarantine_store.settling_proposals(
        span.start, span.end, context.run.run_id, synthetic=market.source.synthetic
    )
    execute(market.store, [hold])
    record_gate(market.store, CROWDED, span.months, run_id=context.run.run_id)
    findings = quarantine_store.shown_findings(market.store, span.start, span.end)
    proposed = findings.filter(pl.col("status") == PROPOSED)
    by_rule = proposed.group_by("rule", month=pl.col("session").dt.strftime(FORMAT)).agg(bars=pl.len())
    more = {"by_rule": shown(by_rule.sort("rule", "month"), most=50), "bars": shown(proposed, most=50)}
    return _gate(context, market, span, "no rule found more than it may leave out", more)


@dg.asset_check(asset="quarantined_bars")
def session_plausible(context: dg.AssetCheckExecutionContext, market: Market) -> dg.AssetCheckResult:
    """No session's volumes were lost as a whole. Where they were, closes are counted, and volumes are those of few."""
    span = _span(context, market)
    silent = silent_sessions(quarantine_store.session_volumes(market.store, span.start, span.end))
    return lights.result(
        context,
        market,
        lights.by_month(silent.to_dicts(), "{without_volume} of {bars} bars of {session} have no volume".format_map),
        span.months,
        well=f"no session {_days(span)} lost its volumes",
        warn=True,
        more={"sessions": shown(silent)},
    )


@dg.asset_check(asset="quarantined_bars")
def histories_plausible(context: dg.AssetCheckExecutionContext, market: Market) -> dg.AssetCheckResult:
    """No history changes its scale from one close to the next, and none goes on after half a year of nothing.

    Such bars stay, as nobody can tell which side of them is right.
    """
    span = _span(context, market).with_month_before()
    findings = quarantine_store.shown_findings(market.store, span.start, span.end)
    doubted = findings.filter(pl.col("status") == DOUBTED)
    return lights.result(
        context,
        market,
        lights.by_month(doubted.sort("session").to_dicts(), _doubt),
        span.months,
        well=f"no history {_days(span)} is doubted",
        warn=True,
        more={"bars": shown(doubted, most=50)},
    )


@dg.asset_check(asset="breadth_counts", blocking=True)
def counts_keep_contract(context: dg.AssetCheckExecutionContext, market: Market) -> dg.AssetCheckResult:
    """Every count is sound: no member counted twice, none above a mean that cannot be told, coverage as stated."""
    span = _span(context, market)
    rows = breadth_store.counts(market.store, span.start, span.end)
    broken, shape = _contract(contracts.COUNTS, rows)
    fault = shape or ("there are no counts" if rows.is_empty() else None)
    faults = dict.fromkeys(span.months, Fault(1, fault)) if fault else lights.by_month(broken.to_dicts(), _broken)
    well = f"{rows.height:,} counts keep the contract, {_days(span)}"
    return lights.result(context, market, faults, span.months, well=well, more={"first_broken": shown(broken)})


@dg.asset_check(asset="breadth_counts", blocking=True)
def coverage_at_gate(context: dg.AssetCheckExecutionContext, market: Market) -> dg.AssetCheckResult:
    """Of every universe, at least BREADTHFLOW_COVERAGE_GATE of the members are priced on every session."""
    span = _span(context, market)
    gates.judge_coverage(market, context.run.run_id, span)
    every = breadth_store.coverage(market.store, dt.date.min, dt.date.max)
    coverage = every.filter(pl.col("session").is_between(span.start, span.end))
    missing = coverage.is_empty() and not span.is_empty
    none = dict.fromkeys(span.months, Fault(1, "there are no counts")) if missing else None
    record_gate(market.store, THIN, span.months, run_id=context.run.run_id, besides=none)
    gate = market.settings.coverage_gate
    least = {"least_of_all": every["coverage"].min()} if every.height else {}
    well = f"on every session {_days(span)} at least {100 * gate:g} % of the members are priced"
    below = coverage.filter(pl.col("coverage") < gate)
    return _gate(context, market, span, well, {**least, "below": shown(below)})


@dg.asset_check(asset="breadth_counts")
def coverage_steady(context: dg.AssetCheckExecutionContext, market: Market) -> dg.AssetCheckResult:
    """No session lost a tenth of its usual coverage. One that did is provisional: some of its bars have not come in."""
    span = _span(context, market)
    before = market.calendar.back(span.start, OUTAGE_SESSIONS + 1)
    coverage = breadth_store.coverage(market.store, before, span.end)
    lost = coverage.filter(coverage_lost().over("universe", order_by="session") & (pl.col("session") >= span.start))
    return lights.result(
        context,
        market,
        lights.by_month(lost.to_dicts(), _fallen),
        span.months,
        well=f"no session {_days(span)} lost a tenth of its usual coverage",
        warn=True,
        more={"lost": shown(lost)},
    )


@dg.asset_check(asset="breadth_counts")
def sums_complete(context: dg.AssetCheckExecutionContext, market: Market) -> dg.AssetCheckResult:
    """Points and dollars of every member are added up. Of one that is worth more than a market, they are left out."""
    span = _span(context, market)
    left = bar_store.too_large(market.store, span.start, span.end, MOST_SUMMED, MOST_DOLLARS)
    each_month = [
        {**row, "session": max(row["first"], dt.date.fromisoformat(f"{month}-01"))}
        for row in left.to_dicts()
        for month in months_between(row["first"], row["last"])
    ]
    return lights.result(
        context,
        market,
        lights.by_month(each_month, _too_large),
        span.months,
        well=f"points and dollars of every member are added up, {_days(span)}",
        warn=True,
        more={"left_out": shown(left, most=50)},
    )


@dg.asset_check(asset="exchange_breadth", blocking=True)
def published_keep_contract(context: dg.AssetCheckExecutionContext, market: Market) -> dg.AssetCheckResult:
    """Published counts are whole numbers, one row per exchange and session."""
    rows = breadth_store.published(market.store)
    return _judged_whole(context, market, contracts.PUBLISHED, rows, may_be_empty=True)


@dg.asset_check(asset="exchange_breadth")
def publications_answered(context: dg.AssetCheckExecutionContext, market: Market) -> dg.AssetCheckResult:
    """Every place that published counts are read from could be read; where one could not, what is stored stays."""
    problems = list(ingest_figures.latest(context.instance, "exchange_breadth").get("problems", ()))
    fault = listed(problems) if problems else None
    return _whole(context, market, fault, well="every place was read", failing=len(problems), warn=True)


@dg.asset_check(asset="exchange_breadth")
def published_plausible(context: dg.AssetCheckExecutionContext, market: Market) -> dg.AssetCheckResult:
    """No row of published counts is doubted by the guards. Those that are do not enter indicators, and are kept."""
    published = breadth_store.published(market.store)
    doubted = published.filter(pl.col("doubts").list.len() > 0)
    by_rule = (
        doubted.explode("doubts")
        .group_by("exchange", rule="doubts")
        .agg(rows=pl.len(), first=pl.col("session").min(), last=pl.col("session").max())
        .sort("exchange", "rule")
    )
    rules = [f"{row['exchange']} {row['rule']} {row['rows']}" for row in by_rule.iter_rows(named=True)]
    fault = f"{doubted.height:,} of {published.height:,} rows doubted: {listed(rules)}" if rules else None
    rows = doubted.select("exchange", "session", "doubts", "advances", "declines", "unchanged")
    more = {"by_rule": shown(by_rule, most=30), "rows": shown(rows, most=50)}
    return _whole(context, market, fault, well="no row is doubted", failing=doubted.height, warn=True, more=more)


@dg.asset_check(asset="breadth_indicators", blocking=True)
def indicators_keep_contract(context: dg.AssetCheckExecutionContext, market: Market) -> dg.AssetCheckResult:
    """Every indicator is finite or null, and within the bounds that its formula allows."""
    rows = breadth_store.indicators(market.store)
    return _judged_whole(context, market, contracts.indicators(BREADTH_BOUNDS), rows)


# In a run it waits for the run's own counts, which are made at the same time and may come late.
@dg.asset_check(asset="price_indicators", blocking=True, additional_deps=["breadth_counts"])
def members_have_indicators(context: dg.AssetCheckExecutionContext, market: Market) -> dg.AssetCheckResult:
    """Every priced member has its technical indicators on every session that was counted, and nobody else has any."""
    span = _span(context, market)
    gates.judge_members(market, span, context.run.run_id)
    rows = member_store.member_totals(market.store, span.start, span.end)
    none = dict.fromkeys(span.months, Fault(1, "nobody is counted and nobody has any")) if rows.is_empty() else None
    record_gate(market.store, INCOMPLETE, span.months, run_id=context.run.run_id, besides=none)
    differing = rows.filter(pl.col("indicators") != pl.col("priced"))
    well = f"every priced member has indicators, {_days(span)}"
    return _gate(context, market, span, well, {"differing": shown(differing)})


@dg.asset_check(asset="symbol_signals")
def members_have_signals(context: dg.AssetCheckExecutionContext, market: Market) -> dg.AssetCheckResult:
    """Signals are those of members with indicators, do not cease, and of the last session are as many as are due."""
    span = _span(context, market)
    members = member_store.member_totals(market.store, span.start, span.end)
    surplus = members.filter(pl.col("signals") > pl.col("indicators"))
    silent = members.filter((pl.col("signals") == 0) & (pl.col("signals").cum_sum().over("universe") > 0))
    short = _short_of_signals(market, members)
    bad = [
        {"session": row["session"], "said": words.format_map(row)}
        for rows, words in (
            (surplus, "{universe} {session}: {signals} signals of {indicators} members"),
            (silent, "{universe} {session}: no signal at all"),
            (short, "{universe} {session}: {signals} signals where {due} are due"),
        )
        for row in rows.to_dicts()
    ]
    return lights.result(
        context,
        market,
        lights.by_month(bad, itemgetter("said")),
        span.months,
        well=f"members have the signals that are due, {_days(span)}",
        more={
            "more_than_members": shown(surplus),
            "none_at_all": shown(silent),
            "fewer_than_due": shown(short),
        },
    )


def _short_of_signals(market: Market, members: pl.DataFrame) -> pl.DataFrame:
    """Of the last session with indicators, the universes that lack signals which these give."""
    last = members.filter(pl.col("indicators") > 0).filter(pl.col("session") == pl.col("session").max())
    if last.is_empty():
        return last
    day = last["session"][0]
    able = member_store.members_with_indicators(market.store, RULE_COLUMNS, day, day)
    due = symbol_signals(able, member_store.regimes(market.store, day, day))
    return last.join(due.group_by("universe").agg(due=pl.len()), on="universe").filter(
        pl.col("signals") < pl.col("due")
    )


@dg.asset_check(asset="market_signals")
def signals_keep_contract(context: dg.AssetCheckExecutionContext, market: Market) -> dg.AssetCheckResult:
    """Every signal has an action, a confidence from 0 to 1, finite figures and evidence, once per rule and session."""
    rows = breadth_store.all_signals(market.store)
    return _judged_whole(context, market, contracts.SIGNALS, rows, may_be_empty=True)


def _doubt(row: Mapping[str, Any]) -> str:
    """What a finding of trust/bar_rules.py that only doubts a bar says, in words."""
    seen = json.loads(row["evidence"])
    before, close = (text(seen[name]) for name in ("close_before", "close"))
    if row["rule"] == LONG_SILENCE:
        gap = f"{row['symbol']} has no bar for {seen['days']} days, from {seen['last']} ({before}) to "
        return f"{gap}{row['session']} ({close}), and may be another company"
    factor = text(max(seen["factor"], 1 / seen["factor"]))
    return (
        f"{row['symbol']} goes from {before} on {seen['last']} to {close} on {row['session']}, by a factor of {factor}"
    )


def _too_large(row: Mapping[str, Any]) -> str:
    days = f"{row['sessions']:,} sessions, {row['first']} to {row['last']}"
    return f"{row['symbol']} is too large for sums of points and dollars ({days}, up to {text(row['close'])})"


def _fallen(row: Mapping[str, Any]) -> str:
    return f"{row['universe']}: coverage fell to {100 * row['coverage']:.1f} % on {row['session']}"


CHECKS = [found for found in globals().values() if isinstance(found, dg.AssetChecksDefinition)]
