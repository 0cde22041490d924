"""Commands that say how good rules have been: accuracy, held against chance, and what following them was worth."""

import datetime as dt
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from breadthflow_pipelines.cli.app import app
from breadthflow_pipelines.cli.display import err, out, print_filled, titled, with_reason, write_rows
from breadthflow_pipelines.cli.options import Format, From, Shape, To, check_finite, day_range
from breadthflow_pipelines.cli.store import current_settings, existing_store
from breadthflow_pipelines.errors import RequestError
from breadthflow_pipelines.model.vocabulary import ALL, BUY_AND_HOLD, SESSION_RULES, WHOLE
from breadthflow_pipelines.reports import tables
from breadthflow_pipelines.signals.asked import check_horizon, check_rule
from breadthflow_pipelines.warehouse import accuracy_listing, standing
from breadthflow_pipelines.warehouse.database import Database
from breadthflow_pipelines.warehouse.universe_listing import marked

if TYPE_CHECKING:
    import polars as pl

    from breadthflow_pipelines.evaluation.backtest import Backtest
    from breadthflow_pipelines.settings import Settings

_ACCURACY_SHORT = (
    *("rule", "action", "horizon", "era", "events", "episodes", "hit_rate", "base_rate", "lift"),
    *("p_rotation", "p_family", "kept_dropout", "verdict"),
)


@app.command()
def accuracy(
    universe: Annotated[str, typer.Option(help="Name of a universe.")],
    rule: Annotated[str | None, typer.Option(help="Name of a rule; all of them without it.")] = None,
    horizon: Annotated[int | None, typer.Option(help="Sessions from the entry: 5, 21, 63, 126 or 252.")] = None,
    *,
    on_benchmark: Annotated[
        bool, typer.Option("--on-benchmark", help="By the return of the index that settings name for the universe.")
    ] = False,
    shape: Shape = Format.TABLE,
) -> None:
    """Print how often each rule was right, beside how often any session would have been, and the verdict.

    A table shows all of history, or every era of one rule; csv and json have everything. kept_dropout: the share of its
    events that stay where 5 % of the members are missing; empty before breadthflow stability, which the daemon runs on
    Sundays, and of scores, which have no list of events. --on-benchmark is not what was registered as a test, so its
    verdicts are never more than suggestive.

    Example: breadthflow accuracy --universe demo --horizon 63
    """
    check_rule(rule)
    check_horizon(horizon)
    database = existing_store()
    if on_benchmark:
        held, rows = _on_benchmark(database, universe, rule, horizon)
        title = f"Records of {universe} by {held}"
    else:
        title, rows = f"Records of {universe}", accuracy_listing.accuracy(database, universe, rule, horizon)
    if shape is Format.TABLE:
        rows = [with_reason(row) for row in rows if rule is not None or row["era"] == WHOLE]
    columns = [*accuracy_listing.ACCURACY, "synthetic"]
    write_rows(rows, columns, _ACCURACY_SHORT, shape, titled(title, [universe], database))


def _on_benchmark(
    database: Database, universe: str, rule: str | None, horizon: int | None
) -> tuple[str, list[dict[str, Any]]]:
    """What the benchmark is, and the records by it, in the order of the listing of those that are kept."""
    import polars as pl

    from breadthflow_pipelines.orchestration.on_benchmark import accuracy_on_benchmark, benchmark_of

    settings = current_settings()
    standing.check_universe(database, universe)
    levels = benchmark_of(settings, database, universe)
    asked = {name: value for name, value in (("rule", rule), ("horizon", horizon)) if value is not None}
    records = accuracy_on_benchmark(settings, database, universe, levels).filter(**asked)
    ordered = records.sort("rule", "action", "horizon", pl.col("era") != WHOLE, "first_session", "era", nulls_last=True)
    return f"{levels['held'][0]} ({levels['basis'][0]})", marked(database, ordered.to_dicts())


@app.command()
def backtest(
    rule: Annotated[str, typer.Option(help="Name of a rule, or of a score: breadth_score, conviction.")],
    universe: Annotated[str, typer.Option(help="Name of a universe.")],
    costs: Annotated[float, typer.Option(min=0, max=1_000, help="Basis points of what changes hands.")] = 10.0,
    start: From = None,
    end: To = None,
    threshold: Annotated[float | None, typer.Option(help="Of a score: in the market from this value on.")] = None,
    leave: Annotated[float | None, typer.Option(help="With --threshold: out below this value.")] = None,
    risk_free: Annotated[
        Path | None,
        typer.Option(
            help="What cash earns: a CSV file of session,rate in per cent a year; BREADTHFLOW_RISK_FREE without."
        ),
    ] = None,
    *,
    walk_forward: Annotated[
        bool, typer.Option("--walk-forward", help="Of a score: choose its threshold each year by the years before.")
    ] = False,
    overlay: Annotated[
        bool, typer.Option("--overlay", help="Tilt a holding of 60 % by 20 points instead of going in and out.")
    ] = False,
    on_benchmark: Annotated[
        bool, typer.Option("--on-benchmark", help="Trade the index that settings name for the universe.")
    ] = False,
    shape: Shape = Format.TABLE,
) -> None:
    """Print what following a rule was worth, beside holding the market; csv and json have the trades.

    A signal is traded at the close of the next session.

    Example: breadthflow backtest --rule zweig_breadth_thrust --universe demo --costs 5
    """
    check_rule(rule)
    check_finite({"--costs": costs, "--threshold": threshold, "--leave": leave})
    levelled = threshold is not None or walk_forward
    if levelled and rule not in SESSION_RULES:
        raise RequestError(f"{rule} has no value for each session; thresholds are for {' and '.join(SESSION_RULES)}.")
    if walk_forward and (threshold is not None or overlay or start or end):
        raise RequestError("--walk-forward chooses threshold and years itself; name no others.")
    if leave is not None and (threshold is None or leave > threshold):
        raise RequestError("--leave goes with a --threshold that is at least as high.")
    from breadthflow_pipelines.evaluation.backtest import earned_on_cash
    from breadthflow_pipelines.orchestration.holdings import interest

    settings = current_settings()
    rates = interest(settings, risk_free)
    database = existing_store()
    standing.check_universe(database, universe)
    held = _held(settings, database, rule, universe, on_benchmark=on_benchmark)
    choices, tested = _tested(
        rule,
        held,
        cost=costs,
        days=day_range(start, end),
        limits=(threshold, leave),
        rates=rates,
        walk_forward=walk_forward,
        overlay=overlay,
    )
    title = titled(f"{rule} in {universe}", [universe], database)
    if shape is not Format.TABLE:
        write_rows(tested.trades.to_dicts(), tested.trades.columns, (), shape, title)
        return
    earns = earned_on_cash(tested.daily, rates)
    earns += "" if rates is not None else ": no --risk-free file was given"
    first, last = tested.daily["session"][0], tested.daily["session"][-1]
    traded = f"{held.levels['held'][0]} ({held.levels['basis'][0]}), after costs"
    out.print(f"{title}, {first} to {last}. Traded: {traded}. Cash earns {earns}.", markup=False)
    if held.benchmark is not None:
        beside = held.benchmark
        said = (
            f"Benchmark: {beside['held'][0]} ({beside['basis'][0]})." if beside.height else "Benchmark: no close of it."
        )
        out.print(said, markup=False)
    out.print("")
    _show(tested, choices)


class _Held(NamedTuple):
    """The signals of a rule in a universe as a whole, what is traded, and the benchmark that settings name, if any."""

    signals: "pl.DataFrame"
    levels: "pl.DataFrame"
    benchmark: "pl.DataFrame | None"


def _held(settings: "Settings", database: Database, rule: str, universe: str, *, on_benchmark: bool) -> _Held:
    from breadthflow_pipelines.orchestration.holdings import benchmarks, traded
    from breadthflow_pipelines.orchestration.on_benchmark import benchmark_of
    from breadthflow_pipelines.warehouse.evaluation_store import market_signals

    found = traded(database).filter(universe=universe)
    if found.is_empty():
        raise RequestError(
            f"{universe} cannot be judged: no index, and no returns of members. Put {universe}_index.csv beside its "
            "published counts, then run breadthflow run."
        )
    signals = market_signals(database, ALL).filter(universe=universe, rule=rule).sort("session")
    if signals.is_empty():
        raise RequestError(f"{rule} has given no signal in {universe}: there is nothing to follow.")
    if on_benchmark:
        benchmark = benchmark_of(settings, database, universe)
        # Where it has closes of other days, nobody could have given a signal on those.
        return _Held(signals, benchmark.join(found.select("session"), on="session", how="semi"), None)
    beside = universe in settings.index_symbols
    return _Held(signals, found, benchmarks(settings, database).filter(universe=universe) if beside else None)


def _tested(
    rule: str,
    held: _Held,
    *,
    cost: float,
    days: tuple[dt.date | None, dt.date | None],
    limits: tuple[float | None, float | None],
    rates: "pl.DataFrame | None",
    walk_forward: bool,
    overlay: bool,
) -> "tuple[Sequence[dict[str, Any]], Backtest]":
    """The thresholds that were chosen, if any, and the backtest."""

    from breadthflow_pipelines.evaluation import walk_forward as forward
    from breadthflow_pipelines.evaluation.backtest import backtest, by_threshold, plan_of

    plan = plan_of(rule, overlay=overlay)
    threshold, leave = limits
    signals, levels, benchmark = held
    beside = None if benchmark is None or benchmark.is_empty() else benchmark
    if walk_forward:
        choices, tested = forward.walk_forward(
            signals, levels, forward.THRESHOLDS[rule], cost=cost, rates=rates, benchmark=beside
        )
        if tested is None:
            raise RequestError(f"{rule} has fewer than five years of values to choose a first threshold by.")
        return choices.to_dicts(), tested
    followed = signals if threshold is None else by_threshold(signals, threshold, leave)
    days_asked = {"start": days[0], "end": days[1]}
    return (), backtest(followed, levels, plan, cost=cost, rates=rates, benchmark=beside, **days_asked)


def _show(tested: "Backtest", choices: Sequence[dict[str, Any]]) -> None:
    import polars as pl

    figures = tested.figures.to_dicts()
    risk = ("cagr", "volatility", "sharpe", "sortino", "calmar", "max_drawdown")
    shown = ("portfolio", "cost", "exposure", "turnover", *risk, "hit_rate", "profit_factor")
    out.print(tables.table("Figures of a year; cost in basis points of turnover", figures, shown))
    own = next(row["cost"] for row in figures if row["portfolio"] == BUY_AND_HOLD)  # the cost that was asked for
    told = (
        "hit_rate: of the sessions that earned something else than cash, those that earned more, at the cost of the "
        f"row; breadthflow accuracy counts events. Random times, months and trades: at a cost of {own:g}.\n"
    )
    out.print(told, markup=False, soft_wrap=True)
    falls = ("portfolio", "cost", "max_drawdown", "peak_session", "trough_session", "recovered_session")
    print_filled("Deepest falls", figures, falls)
    chance = ("figure", "rule", "p05", "median", "p95", "share_as_good")
    print_filled("Beside 1,000 runs at random times", tested.chance.to_dicts(), chance)
    chosen = ("year", "threshold", "sample_from", "sample_to", "out_of_sample")
    print_filled("Thresholds, chosen by the sample, and the Sharpe ratio of the year itself", choices, chosen)
    months = tested.monthly.with_columns(pl.col("month").cast(pl.String).str.zfill(2)).pivot(
        "month", index="year", values="return", sort_columns=True
    )
    print_filled("Returns by month", months.to_dicts(), months.columns)
    trades = ("entry_session", "exit_session", "sessions", "weight", "market", "return", "signals", "signal_id")
    write_rows(tested.trades.to_dicts(), trades, trades, Format.TABLE, f"{tested.trades.height} trades")
    if tested.trades.height:
        err.print("Why:   breadthflow explain SIGNAL_ID")
