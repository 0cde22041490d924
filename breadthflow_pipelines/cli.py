"""The ``breadthflow`` command: reads what was asked, calls the rooms that do it, shows the result.

Commands that only read import neither Dagster nor polars; the others import what they need when they are called.
"""

import datetime as dt
import difflib
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, suppress
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from breadthflow_pipelines.errors import NEXT_LINE, BreadthFlowError, RequestError, UnreachableError
from breadthflow_pipelines.places import place
from breadthflow_pipelines.reports import tables
from breadthflow_pipelines.settings import Settings, get_settings
from breadthflow_pipelines.warehouse import standing
from breadthflow_pipelines.warehouse import status as store
from breadthflow_pipelines.warehouse.database import Database, dagster_url, open_database, upgrade

if TYPE_CHECKING:
    import dagster as dg

    from breadthflow_pipelines.calendar_file import Change
    from breadthflow_pipelines.orchestration.resources import Market
    from breadthflow_pipelines.orchestration.runs import CheckOutcome, RunReport

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Market breadth, from daily bars to signals that can be explained.",
)
database_app = typer.Typer(no_args_is_help=True, help="The database itself.")
app.add_typer(database_app, name="db")

PIPED_WIDTH = 200  # columns where stdout is no terminal, so that nothing is cut

out = Console(highlight=False, width=None if sys.stdout.isatty() else PIPED_WIDTH)
err = Console(stderr=True, highlight=False, width=None if sys.stderr.isatty() else PIPED_WIDTH)

EVENTS_SHOWN = 5  # newest events of each universe after a run
ROWS_SHOWN = 200  # in a table; machine formats have all of them
RUNS_SHOWN = 5
PROBLEMS_SHOWN = 5  # of what could not be read, after a run

_SIGNAL_SHORT = (
    "session",
    "universe",
    "segment",
    "rule",
    "action",
    "confidence",
    "value",
    "threshold",
    "state",
    "signal_id",
)
_SIGNAL_COLUMNS = (
    *("signal_id", "universe", "segment", "session", "rule", "action", "confidence", "value", "threshold"),
    *("calibrated", "state", "convention", "evidence", "synthetic"),
)
_BREADTH_KEY = ("universe", "segment", "session", "state")
_BREADTH_SHORT = (
    *_BREADTH_KEY,
    *("members", "priced", "advances", "declines", "unchanged", "new_highs", "new_lows"),
    *("ad_line", "mcclellan_oscillator_ratio", "zweig_ema", "pct_above_50"),
)


_SYMBOL_KEY = ("session", "universe", "symbol", "action", "confidence", "strength", "regime", "gated")
_SYMBOL_SHORT = (
    *("session", "symbol", "action", "confidence", "strength", "regime", "gated"),
    *("rsi_14", "macd_histogram", "pct_from_high_252", "relative_strength", "volume_ratio_20"),
)


_MEMBERS: Sequence[str] = ("universe", "symbol", "name", "sector", "valid_from", "valid_to", "first_bar", "last_bar")
_WITHOUT_BARS: Sequence[str] = ("universe", "symbol", "valid_from", "valid_to", "nearest")
_SCORE_SHORT = ("universe", "session", "state", "rule", "value", "action")
_REJECTED_SHORT = (
    *("session", "symbol", "reason", "status", "open", "high", "low", "close", "volume", "raw", "evidence", "decision"),
)
_REJECTED_COLUMNS = (
    *("session", "symbol", "source", "reason", "status", "open", "high", "low", "close", "volume", "raw", "evidence"),
    *("found_at", "decided_at", "decided_by", "decision", "run_id"),
)


_REJECTED_LINE = ("session", "exchange", "file", "line", "value", "reason", "rejected_at", "run_id")


class Action(StrEnum):
    """What a signal says."""

    BUY = "buy"
    SELL = "sell"
    HOLD = "hold"


class Format(StrEnum):
    """How rows are written to stdout."""

    TABLE = "table"
    CSV = "csv"
    JSON = "json"


class Status(StrEnum):
    """Why a bar is on the list of those that rules speak against."""

    REJECTED = "rejected"
    QUARANTINED = "quarantined"
    PROPOSED = "proposed"
    DOUBTED = "doubted"
    RELEASED = "released"
    CONFIRMED = "confirmed"
    LAPSED = "lapsed"
    GONE = "gone"


Day = Annotated[dt.datetime | None, typer.Option(formats=["%Y-%m-%d"], metavar="YYYY-MM-DD")]
From = Annotated[dt.datetime | None, typer.Option("--from", formats=["%Y-%m-%d"], metavar="YYYY-MM-DD")]
To = Annotated[dt.datetime | None, typer.Option("--to", formats=["%Y-%m-%d"], metavar="YYYY-MM-DD")]
Universe = Annotated[str | None, typer.Option(help="Name of a universe; all of them without it.")]
Segment = Annotated[str | None, typer.Option(help="ALL or a sector; every segment without it.")]
DecidedSymbol = Annotated[str | None, typer.Argument(help="Whose bar, by its symbol on that day.")]
DecidedDate = Annotated[dt.datetime | None, typer.Argument(formats=["%Y-%m-%d"], help="Its session.")]
DecidedReason = Annotated[str, typer.Option("--reason", help="Why; kept with the decision.")]
DecidedRule = Annotated[str | None, typer.Option("--rule", help="With --proposals: only this rule's.")]
DecidedBy = Annotated[str | None, typer.Option("--by", help="Who decides; the user of this computer without it.")]
Proposals = Annotated[bool, typer.Option("--proposals", help="Every proposed bar instead of one.")]
Shape = Annotated[Format, typer.Option("--format", help="How to write the rows.")]


@app.callback()
def breadthflow(
    *, debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False
) -> None:
    """Market breadth, from daily bars to signals that can be explained."""
    from breadthflow_pipelines.observability.logs import configure

    _debug["on"] = debug
    configure("DEBUG" if debug else get_settings().log_level, machine=not sys.stderr.isatty())


_debug = {"on": False}


@app.command()
def run(date: Day = None) -> None:
    """Bring the store up to date through a session, then print the latest signals.

    Example: breadthflow run
    """
    with _orchestration() as (instance, market):
        from breadthflow_pipelines.orchestration import partitions, runs
        from breadthflow_pipelines.sources.protocol import label

        closed = market.calendar.last_closed()
        through = _date(date) or closed
        if through > closed:
            raise RequestError(f"{through} has not closed yet; the last closed session is {closed}.")
        partitions.check_within_history(market.settings.start_date, through, market.settings, market.calendar)
        first = runs.first_month_due(instance, market, through)
        about = f"{label(market.source)}, through {through}"
        report = _watched(lambda: runs.run_months(instance, first, through, through), about)
        _show_report(report, synthetic=market.source.synthetic)
        _show_latest(market.store)
    raise typer.Exit(report.exit_status)


@app.command()
def backfill(
    start: Annotated[dt.datetime, typer.Option("--from", formats=["%Y-%m-%d"], metavar="YYYY-MM-DD")],
    end: Annotated[dt.datetime, typer.Option("--to", formats=["%Y-%m-%d"], metavar="YYYY-MM-DD")],
) -> None:
    """Run every month that a range touches, in one run; may be repeated and interrupted.

    Example: breadthflow backfill --from 2020-01-02 --to 2020-12-31
    """
    first, last = start.date(), end.date()
    with _orchestration() as (instance, market):
        from breadthflow_pipelines.orchestration import partitions, runs
        from breadthflow_pipelines.sources.protocol import label

        partitions.check_within_history(first, last, market.settings, market.calendar)
        through = min(last, market.calendar.last_closed())
        about = f"{label(market.source)}, {first} to {through}"
        report = _watched(lambda: runs.run_months(instance, first, through, through), about)
        _show_report(report, synthetic=market.source.synthetic)
    raise typer.Exit(report.exit_status)


@app.command()
def check(
    select: Annotated[
        str | None, typer.Option(metavar="A,B", help="Names of assets or checks; suites means all of theirs.")
    ] = None,
    junit: Annotated[Path | None, typer.Option(help="Also write the results to this JUnit XML file.")] = None,
    docs: Annotated[Path | None, typer.Option(help="Also make pages of what suites find in this directory.")] = None,
    *,
    quick: Annotated[bool, typer.Option("--quick", help="Leave out the suites, which judge whole tables.")] = False,
) -> None:
    """Run asset checks alone; ends with 1 where one of severity error fails.

    Example: breadthflow check --select bars,breadth_counts --junit checks.xml
    """
    if junit is not None and not junit.absolute().parent.is_dir():
        raise RequestError(f"--junit {junit}: there is no directory {junit.absolute().parent}.")
    with _orchestration(source=False) as (instance, market):
        from breadthflow_pipelines.orchestration import runs

        names = [name.strip() for name in (select or "").split(",") if name.strip()]
        place = docs.expanduser().absolute() if docs is not None else None
        report = runs.run_checks(instance, market, names, suites=not quick, docs=place)
    rows = [vars(outcome) for outcome in report.checks]
    out.print(tables.table("", rows, ("status", "asset", "name", "detail")))
    if junit is not None:
        tables.write_junit(rows, report.seconds, junit)
    if place is not None:
        from breadthflow_pipelines.quality.engine import build_docs

        err.print(f"Pages: {build_docs(place)}", soft_wrap=True)
    _show_trouble(report)
    raise typer.Exit(report.exit_status)


@app.command()
def breadth(
    universe: Annotated[str, typer.Option(help="Name of a universe.")],
    start: From = None,
    end: To = None,
    segment: Segment = None,
    columns: Annotated[
        str | None, typer.Option(metavar="A,B", help="Counts and indicators to print; see breadthflow indicators.")
    ] = None,
    as_of: Annotated[
        str | None,
        typer.Option(
            "--as-of", metavar="TIMESTAMP", help="What the store said then, as in 2024-03-01T22:00; UTC without a zone."
        ),
    ] = None,
    shape: Shape = Format.TABLE,
) -> None:
    """Print counts and indicators by session; csv and json carry every column unless some are named.

    Example: breadthflow breadth --universe demo --from 2024-01-02 --columns trin,stix --format csv
    """
    moment = _moment(as_of)
    database = open_database(get_settings())
    standing.check_known(database, universe)
    known = store.breadth_columns(database)
    named = _named(columns, known, "count or indicator", "breadthflow indicators lists them", _indicator_names)
    wanted = [*_BREADTH_KEY, *(name for name in named or known if name not in _BREADTH_KEY)]
    rows = store.breadth(database, universe, *_range(start, end), segment, wanted, moment)
    short = wanted if named else [name for name in _BREADTH_SHORT if name in known]
    then = f", as known at {moment:%Y-%m-%d %H:%M:%S} UTC" if moment else ""
    _write(rows, [*wanted, "synthetic"], short, shape, _titled(f"Breadth of {universe}{then}", [universe], database))
    _say_held(database, universe, "breadth_indicators")


@app.command()
def indicators(
    family: Annotated[str | None, typer.Option(help="Part of a family's name, such as volume.")] = None,
    shape: Shape = Format.TABLE,
) -> None:
    """List every indicator: its formula, units and published source; docs/indicators.md tells more.

    Example: breadthflow indicators --family mcclellan
    """
    from breadthflow_pipelines.indicators.breadth import CATALOGUE
    from breadthflow_pipelines.indicators.relative import RELATIVE_STRENGTH
    from breadthflow_pipelines.indicators.technical import TECHNICAL

    every = [*CATALOGUE.values(), *TECHNICAL, RELATIVE_STRENGTH]
    found = [indicator for indicator in every if family is None or family.lower() in indicator.family.lower()]
    if not found:
        families = ", ".join(dict.fromkeys(indicator.family for indicator in every))
        raise RequestError(f"No family is called {family}; there are: {families}.")
    rows = [
        {
            "name": indicator.name,
            "family": indicator.family,
            "formula": indicator.formula,
            "units": indicator.units,
            "parameters": dict(indicator.parameters),
            "seed": indicator.seed,
            "burn_in": indicator.burn_in,
            "source": indicator.source,
            "verified": indicator.verified,
        }
        for indicator in found
    ]
    _write(rows, list(rows[0]), ("name", "family", "units", "formula"), shape, f"{len(rows)} indicators")


@app.command()
def symbols(
    universe: Annotated[str, typer.Option(help="Name of a universe.")],
    start: From = None,
    end: To = None,
    symbol: Annotated[str | None, typer.Option(help="One member; all of them without it.")] = None,
    action: Annotated[Action | None, typer.Option(help="Only these signals.")] = None,
    shape: Shape = Format.TABLE,
) -> None:
    """Print what the technical rules say of each member, strongest first; of the last session unless days are named.

    Example: breadthflow symbols --universe demo --action buy
    """
    database = open_database(get_settings())
    rows = store.symbols(database, universe, *_range(start, end), symbol, action)
    if not rows:
        err.print("No signal matches.")
    columns = [*_SYMBOL_KEY, *(name for name in (rows[0] if rows else {}) if name not in _SYMBOL_KEY)]
    _write(rows, columns, _SYMBOL_SHORT, shape, _titled(f"Members of {universe}", [universe], database))
    _say_held(database, universe, "symbol_signals")


@app.command()
def members(
    universe: Annotated[
        str | None, typer.Option(help="Name of a universe; with --without-bars all without it.")
    ] = None,
    date: Annotated[
        dt.datetime | None, typer.Option(formats=["%Y-%m-%d"], metavar="YYYY-MM-DD", help="Of that day, not of today.")
    ] = None,
    *,
    without_bars: Annotated[
        bool, typer.Option("--without-bars", help="Those of any day of which the store has no bar at all.")
    ] = False,
    shape: Shape = Format.TABLE,
) -> None:
    """Print the members of a universe, since when they belong to it, and from when to when there are bars of them.

    Example: breadthflow members --universe sp500 --without-bars
    """
    database = open_database(get_settings())
    if without_bars and date is not None:
        raise RequestError("--without-bars looks at all days; leave --date out.")
    if universe is None and not without_bars:
        raise RequestError(
            "Name a universe, as in breadthflow members --universe sp500; breadthflow status lists them."
        )
    whom = universe or "all universes"
    if without_bars:
        found = store.members_without_bars(database, universe)
        rows = [row | {"nearest": " or ".join(row["nearest"]) or None} for row in found]
        title, columns = f"Members of {whom} without a bar", _WITHOUT_BARS
        if not rows:
            err.print(f"Every member of {whom} has bars.")
    else:
        assert universe is not None  # noqa: S101 - checked above
        day = _date(date) or dt.datetime.now(dt.UTC).date()
        rows = store.members(database, universe, day)
        title, columns = f"Members of {universe} on {day}", _MEMBERS
        if not rows:
            err.print(f"{universe} has no members on {day}.")
    _write(rows, columns, columns, shape, _titled(title, {row["universe"] for row in rows}, database))


@app.command()
def signals(
    start: From = None,
    end: To = None,
    universe: Universe = None,
    segment: Segment = None,
    rule: Annotated[str | None, typer.Option(help="Name of a rule, such as zweig_breadth_thrust.")] = None,
    shape: Shape = Format.TABLE,
) -> None:
    """Print signals, oldest first.

    Example: breadthflow signals --universe demo --rule zweig_breadth_thrust
    """
    database = open_database(get_settings())
    if rule is not None:
        _known_rule(rule)
    rows = store.signals(database, *_range(start, end), universe, segment, rule)
    if not rows and "market_signals" in store.empty_tables(database):
        raise RequestError(standing.why_nothing(database, universe, "market_signals"))
    if not rows:
        err.print("No signal matches.")
    _write(rows, _SIGNAL_COLUMNS, _SIGNAL_SHORT, shape, _titled("Signals", {row["universe"] for row in rows}, database))
    _say_held(database, universe, "market_signals")


@app.command()
def score(
    date: Annotated[dt.datetime, typer.Option(formats=["%Y-%m-%d"], metavar="YYYY-MM-DD")], universe: Universe = None
) -> None:
    """Print the breadth score (0 to 100) and the conviction (0 to 4) of a session, by universe and segment.

    Example: breadthflow score --date 2024-01-31 --universe demo
    """
    database = open_database(get_settings())
    rows = store.scores(database, date.date(), universe)
    shown = ("universe", "segment", "rule", "value", "action", "confidence", "state", "signal_id")
    out.print(
        tables.table(
            _titled(f"Breadth score and conviction of {date.date()}", {r["universe"] for r in rows}, database),
            _marked(rows),
            shown,
        )
    )
    if any(row["state"] == "provisional" for row in rows):
        final = [r for r in store.last_scores(database, universe, date.date()) if r["state"] == "final"]
        _print_filled("The last final ones", final, _SCORE_SHORT)
    _say_held(database, universe, "market_signals")


@app.command()
def rejected(
    source: Annotated[str | None, typer.Option(help="Name of a source; all of them without it.")] = None,
    reason: Annotated[str | None, typer.Option(help="Part of a reason or a rule, such as decimal.")] = None,
    symbol: Annotated[str | None, typer.Option(help="One symbol, as the source writes it.")] = None,
    exchange: Annotated[
        str | None, typer.Option(help="Lines of the counts that this exchange published, instead of bars.")
    ] = None,
    start: From = None,
    end: To = None,
    status: Annotated[
        Status | None, typer.Option(help="Only these; all but the lapsed and the gone without it.")
    ] = None,
    shape: Shape = Format.TABLE,
) -> None:
    """Print the bars that are left out: those that broke the contract, and those that rules speak against.

    Example: breadthflow rejected --reason decimal --from 2010-01-01
    """
    if exchange is not None and (source or symbol or status):
        raise RequestError("--exchange lists lines of published counts; --source, --symbol and --status are of bars.")
    database = open_database(get_settings())
    if exchange is not None:
        lines = store.rejected_counts(database, exchange, *_range(start, end), reason)
        if not lines:
            err.print("No line matches.")
        short = _REJECTED_LINE[:-2]
        _write(lines, _REJECTED_LINE, short, shape, f"Lines of {exchange} that broke the contract of published counts")
        return
    rows = store.rejected(
        database, *_range(start, end), source=source, symbol=symbol, reason=reason, status=status and status.value
    )
    if not rows and not store.any_bars(database):
        raise RequestError(standing.why_nothing(database))
    if not rows:
        err.print("No bar matches.")
    _write(rows, _REJECTED_COLUMNS, _REJECTED_SHORT, shape, "Rejected, quarantined and doubted bars")


@app.command()
def release(
    symbol: DecidedSymbol = None,
    date: DecidedDate = None,
    *,
    reason: DecidedReason,
    proposals: Proposals = False,
    rule: DecidedRule = None,
    by: DecidedBy = None,
) -> None:
    """Let a bar out of quarantine: it is right. Holds until the source changes the bar.

    Example: breadthflow release GNW 2008-09-29 --reason "first day after the rescue failed"
    """
    _decide("released", symbol, date, reason, by, proposals=proposals, rule=rule)


@app.command()
def confirm(
    symbol: DecidedSymbol = None,
    date: DecidedDate = None,
    *,
    reason: DecidedReason,
    proposals: Proposals = False,
    rule: DecidedRule = None,
    by: DecidedBy = None,
) -> None:
    """Leave a bar out for good, found by a rule or not: it is wrong. Holds until the source changes the bar.

    Example: breadthflow confirm LOW 2009-02-05 --reason "no trade at 53.58 in the exchange's own record"
    """
    _decide("confirmed", symbol, date, reason, by, proposals=proposals, rule=rule)


def _decide(
    status: str,
    symbol: str | None,
    date: dt.datetime | None,
    reason: str,
    by: str | None,
    *,
    proposals: bool,
    rule: str | None,
) -> None:
    from breadthflow_pipelines.observability.logs import logger
    from breadthflow_pipelines.warehouse import decisions

    if not reason.strip():
        raise RequestError("--reason is empty: say why, for whoever reads it in a year.")
    if proposals == (symbol is not None) or (symbol is None) != (date is None) or (rule is not None and not proposals):
        raise RequestError("Name a bar, as in GNW 2008-09-29, or say --proposals, with --rule for those of one rule.")
    database = open_database(get_settings())
    if not store.any_bars(database):
        raise RequestError(standing.why_nothing(database))
    who = by or _user()
    with database.exclusive("quarantined_bars"):
        if symbol is not None and date is not None:
            rows = decisions.decide_bar(database, symbol, date.date(), status, who, reason)
        else:
            rows = decisions.decide_proposals(database, rule, status, who, reason)
    log = logger(__name__)
    for row in rows:
        log.info("bar_decided", **{name: str(value) for name, value in row.items()}, by=who, reason=reason)
    bars = {(row["security_id"], row["session"]) for row in rows}
    out.print(f"{len(bars)} bar{'s' if len(bars) > 1 else ''} {status}, by {who}: {reason}", markup=False)
    due = [row["session"] for row in rows if row["due"]]
    if due:
        out.print(f"Everything from {min(due)} on is computed again by the next run:  breadthflow run")


@app.command("accept-hole")
def accept_hole(
    session: Annotated[dt.datetime, typer.Argument(formats=["%Y-%m-%d"], help="A session that holds what follows it.")],
    end: To = None,
    universe: Annotated[str | None, typer.Option(help="Only this universe's holes; all without it.")] = None,
    *,
    reason: Annotated[str, typer.Option("--reason", help="Why; kept with the decision.")],
    by: DecidedBy = None,
    undo: Annotated[bool, typer.Option("--undo", help="Take an acceptance back: the hole holds again.")] = False,
) -> None:
    """Build on although bars are missing: a session, or every hole through --to. Lapses when they come.

    Example: breadthflow accept-hole 1970-11-16 --reason "the vendor has no bar of that day"
    """
    from breadthflow_pipelines.gates import told
    from breadthflow_pipelines.observability.logs import logger
    from breadthflow_pipelines.warehouse import holds, verdicts

    if not reason.strip():
        raise RequestError("--reason is empty: say why, for whoever reads it in a year.")
    first, last = _range(session, end or session)
    assert first is not None  # noqa: S101 - the argument is required
    assert last is not None  # noqa: S101 - it is the same where none is given
    database = open_database(get_settings())
    who = by or _user()
    decide = holds.withdraw if undo else holds.accept
    rows = decide(database, first, last, universe, who, reason)
    log = logger(__name__)
    for gate in sorted({row["gate"] for row in rows}):
        mine = [row for row in rows if row["gate"] == gate]
        months = {f"{row['session']:%Y-%m}" for row in mine}
        verdicts.record_gate(database, gate, months, run_id=None)
        log.info("hole_decided", gate=gate, sessions=len(mine), undo=undo, by=who, reason=reason)
        what = "holds again" if undo else "accepted"
        out.print(f"{told(mine)} ({gate}): {what}, by {who}: {reason}", markup=False)
    if undo:
        out.print(f"Nothing is built from {rows[0]['session']} on until it is accepted or mended.")
    elif message := standing.held_of(database, universe, "symbol_signals"):
        out.print(f"Something else still holds: {message}", markup=False, soft_wrap=True)
    else:
        out.print(f"Everything from {rows[0]['session']} on is made by the next run:  breadthflow run")


@app.command()
def holes(
    gate: Annotated[str | None, typer.Option(help="Only what this check holds, such as bars_complete.")] = None,
    shape: Shape = Format.TABLE,
) -> None:
    """Print every session that must not be built on, with the reason, and who accepted it where somebody did.

    Example: breadthflow holes --gate bars_complete --format csv
    """
    from breadthflow_pipelines.gates import GATES, remedy
    from breadthflow_pipelines.warehouse import holds

    if gate is not None and gate not in GATES:
        raise RequestError(f"{gate} holds nothing; there are: {', '.join(GATES)}.")
    database = open_database(get_settings())
    rows = [*holds.holding(database, GATES), *holds.accepted(database)]
    rows = [
        {**row, "universe": "all" if row["universe"] == "*" else row["universe"]}
        for row in sorted(rows, key=lambda row: (row["session"], row["gate"], row["universe"]))
        if gate in (None, row["gate"])
    ]
    if not rows:
        err.print("Nothing is held.")
    columns = ("session", "gate", "universe", "said", "since", "decided_by", "decided_at", "reason")
    _write(rows, columns, columns, shape, "Sessions that must not be built on, and those that somebody accepted")
    open_ = [row for row in rows if row.get("decided_by") is None]
    for name in sorted({row["gate"] for row in open_}):
        days = [row["session"] for row in open_ if row["gate"] == name]
        err.print(f"{name}:  {remedy(GATES[name], name, days[0], days[-1])}", markup=False, soft_wrap=True)


@app.command()
def problems() -> None:
    """Print what the last runs could not read, and why, one line for each; nothing where all could be read.

    Example: breadthflow problems
    """
    with _orchestration(source=False) as (instance, _):
        from breadthflow_pipelines.orchestration import runs

        rows = runs.last_problems(instance)
    if rows is None:
        raise RequestError(f"No run has read anything yet.{NEXT_LINE}breadthflow run")
    if not rows:
        err.print("The last runs could read everything.")
    for row in rows:
        out.print(row, markup=False, soft_wrap=True)


def _user() -> str:
    import getpass

    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name
        return str(os.getuid())


@app.command()
def explain(signal_id: str) -> None:
    """Print why a signal fired: its rule, published source, and the sessions and counts behind it.

    Example: breadthflow explain 0123456789abcdef
    """
    from breadthflow_pipelines.signals.rules import RULES

    database = open_database(get_settings())
    row, sessions = store.signal(database, signal_id)
    rule = RULES[row["rule"]]
    title = (
        f"{row['action'].upper()} {row['universe']} {row['segment']} at the close of {row['session']} ({row['state']})"
    )
    out.print(_titled(title, [row["universe"]], database), style="bold")
    out.print(f"Rule         {rule.name}: {rule.about}")
    out.print(f"Source       {rule.source}")
    levels = row["evidence"].get("levels", rule.thresholds)  # of a calibrated rule, those of the year
    out.print(f"Parameters   {_pairs({**rule.parameters, **levels})}")
    out.print(f"Value        {tables.text(row['value'])} against {tables.text(row['threshold'])}")
    out.print(f"Confidence   {tables.text(row['confidence'])}: strength of the evidence, not a probability")
    if not row["calibrated"]:
        out.print(f"Calibration  none: the thresholds were not published for {row['universe']} {row['segment']}")
    _show_evidence(row["evidence"])
    looked_at = sorted(rule.thrust.columns) if rule.thrust else ("zweig_ema", "mcclellan_oscillator_ratio")
    columns = ("session", "members", "priced", "advances", "declines", *looked_at)
    out.print(tables.table("Sessions", sessions, columns))


@app.command()
def status() -> None:
    """Print what the store holds: last sessions, coverage, rejected rows, last runs."""
    settings = get_settings()
    database = open_database(settings)
    found = store.overview(database)
    if not found["universes"]:
        out.print(standing.why_nothing(database), markup=False, soft_wrap=True)
    shown = ("universe", "first", "last", "state", "members", "priced", "coverage", "signals")
    _print_filled("Universes", found["universes"], shown)
    _print_checks(database)
    _print_filled("Last scores, and the last final ones", store.last_scores(database), _SCORE_SHORT)
    _print_filled("Bars", found["bars"], ("source", "first", "last", "bars", "securities"))
    _print_filled("Rejected rows", found["rejected"], ("source", "reason", "rows", "first", "last"))
    implausible = ("rule", "status", "synthetic", "bars", "first", "last")
    _print_filled("Bars that rules speak against", found["quarantined"], implausible)
    _print_filled("Doubted counts, left out", found["doubted"], ("exchange", "reason", "rows", "first", "last"))
    _print_filled("Volume units", found["units"], ("exchange", "volume_unit", "first", "last", "sessions"))
    lists = ("exchange", "first", "last", "sessions", "issues", "usual")
    _print_filled("Counts of another list of issues", found["other_lists"], lists)
    _print_filled(
        "Calendar changes", _calendar_rows(found["calendar"], settings), ("session", "change", "reason", "applied")
    )
    _print_filled("Revised bars", found["revised"], ("kind", "synthetic", "rows", "first", "last", "changed"))
    restated = ("symbol", "synthetic", "price_ratio", "adjusted_ratio", "noticed", "stored_anew")
    _print_filled("Restated histories; those not stored anew yet come first", found["restated"], restated)
    _print_filled("To be made anew by the next run", found["due"], ("asset", "first", "changed"))
    runs = store.last_runs(dagster_url(settings), RUNS_SHOWN)
    _print_filled("Last runs", runs, ("run_id", "job", "status", "started", "seconds"))


def _calendar_rows(applied: Sequence[dict[str, Any]], settings: Settings) -> list[dict[str, Any]]:
    """The changes of the calendar that what is stored knows, and those that the file says and the next run makes."""
    known = {(row["session"], row["change"]): {**row, "applied": row["applied_at"]} for row in applied}
    changes: Sequence[Change] = ()
    if settings.calendar_changes:
        from breadthflow_pipelines.sessions import exchange_calendar

        changes = exchange_calendar(settings.calendar, settings.calendar_changes).changes  # refuses what a run refuses
    said = {(change.date, change.change): change.reason for change in changes if change.date >= settings.start_date}
    to_come = [
        {"session": session, "change": change, "reason": reason, "applied": "by the next run"}
        for (session, change), reason in said.items()
        if (session, change) not in known
    ]
    for key in known.keys() - said.keys():
        known[key]["applied"] = "taken back by the next run"
    return sorted([*known.values(), *to_come], key=lambda row: row["session"])


@app.command()
def sources() -> None:
    """Print what can be read, and whether it answers. Asks vendors once at most, and only those that are set up."""
    from breadthflow_pipelines.sessions import exchange_calendar
    from breadthflow_pipelines.sources.registry import configured_source, source_names

    settings = get_settings()
    calendar = exchange_calendar(settings.calendar, settings.calendar_changes)
    rows: list[dict[str, Any]] = []
    for name in source_names():
        row = {"source": name, "configured": name == settings.source}
        try:
            found = configured_source(settings.model_copy(update={"source": name}), calendar).describe()
            row |= {"answers": True, "symbols": found.symbols, "first": found.first_session, "last": found.last_session}
            rows.append({**row, "about": "\n  ".join((found.about, *found.notes))})
        except BreadthFlowError as error:
            rows.append({**row, "answers": False, "about": str(error), "exit_status": error.exit_status})
        except Exception as error:  # noqa: BLE001 - a source of somebody else's must not hide the others
            about = f"{type(error).__name__}: {error}"
            rows.append({**row, "answers": False, "about": about, "exit_status": UnreachableError.exit_status})
    for row in rows:
        out.print(tables.table("", [row], ("source", "configured", "answers", "symbols", "first", "last")))
        out.print(f"  {row['about']}\n", markup=False)
    out.print("Universes: breadthflow fetch-universe. Counts that an exchange publishes: breadthflow import-breadth.")
    raise typer.Exit(next(row.get("exit_status", 0) for row in rows if row["configured"]))


@app.command("import-breadth")
def import_breadth(
    directory: Annotated[str, typer.Argument(help="Holds X_advn.csv, X_decln.csv, ... of X; or https://host/X_")],
    exchange: Annotated[str, typer.Option(help="Which exchange's files; becomes a universe of that name.")],
    *,
    once: Annotated[bool, typer.Option("--once", help="Read them now, and not again by every run.")] = False,
) -> None:
    """Read the advances, declines, volumes, highs and lows that an exchange published, now and by every run.

    Example: breadthflow import-breadth exchange_breadth --exchange NYSE
    """
    from breadthflow_pipelines.sessions import exchange_calendar
    from breadthflow_pipelines.sources.exchange_breadth import read_published_counts
    from breadthflow_pipelines.sources.registry import published_directory

    settings = get_settings()
    where = _place("DIRECTORY", directory)
    # Of an address the run reads the copy: it may hold a password, which must not stand in the run's configuration.
    source = published_directory(settings, where, exchange)
    calendar = exchange_calendar(settings.calendar, settings.calendar_changes)
    read_published_counts(source, exchange, calendar)  # refuse before a run is made
    with _orchestration(source=False) as (instance, market):
        from breadthflow_pipelines.orchestration import runs

        report = _watched(lambda: runs.run_import(instance, str(source), exchange), f"published counts of {exchange}")
        _show_report(report, synthetic=False)
        turned_away = report.figures.get("exchange_breadth", {}).get("rows_rejected", 0)
        if turned_away:
            what = "line was" if turned_away == 1 else "lines were"
            err.print(f"{turned_away} {what} turned away; breadthflow rejected --exchange {exchange} lists them.")
        _remember_publication(market.store, exchange, None if once else where)
        _show_latest(market.store, exchange)
    raise typer.Exit(report.exit_status)


def _remember_publication(database: Database, exchange: str, where: Path | str | None) -> None:
    """Have every run read an exchange's counts from there, or from nowhere; say so."""
    from breadthflow_pipelines.places import shown
    from breadthflow_pipelines.warehouse import publications

    named = get_settings().publications.get(exchange)
    if named is not None:
        err.print(f"Runs read {exchange} from {shown(named)}, which BREADTHFLOW_EXCHANGE_BREADTH names.", markup=False)
    elif where is None:
        publications.forget(database, exchange)
    elif shown(where) == str(where):
        publications.remember(database, exchange, where)
        err.print(f"Every run reads {exchange} from there again; with --once none does.", markup=False)
    else:
        err.print(
            "The address holds an account or a query, so it is not kept; to have every run read it, set "
            f"BREADTHFLOW_EXCHANGE_BREADTH={exchange}=<the address>",
            markup=False,
            soft_wrap=True,
        )


@app.command("fetch-universe")
def fetch_universe(
    name: Annotated[str, typer.Argument(help="sp500, the one that Wikipedia keeps the changes of.")],
    file: Annotated[Path, typer.Argument(help="The universe file to write; rows of other universes in it stay.")],
    start: From = None,
    page: Annotated[str | None, typer.Option(help="Another address, or a saved copy of the page.")] = None,
) -> None:
    """Write a universe file of the S&P 500's members, with the days on which they came and went.

    Example: breadthflow fetch-universe sp500 universes/sp500.csv --from 2010-01-01
    """
    from breadthflow_pipelines.sources import wikipedia
    from breadthflow_pipelines.sources.registry import manners
    from breadthflow_pipelines.sources.web import Web

    if name != wikipedia.UNIVERSE:
        raise RequestError(f"There is no universe {name} to fetch; there is: {wikipedia.UNIVERSE}.")
    where = _place("--page", page or wikipedia.PAGE)
    found = wikipedia.sp500(Web(manners(get_settings())), where, _date(start))
    target = file.expanduser().absolute()
    came, went = wikipedia.write(found, target)
    for note in found.notes:
        err.print(f"doubtful: {note}", style="yellow", markup=False)
    today = found.members["valid_to"].null_count()
    out.print(f"{target}: {name} from {found.since} on, {today} members today; {came} rows came, {went} went.")
    err.print(f"Look at it, then: export BREADTHFLOW_UNIVERSE_FILE={target}")


@app.command()
def up(port: Annotated[int, typer.Option(min=1, max=65535)] = 3000) -> None:
    """Start Postgres, the Dagster UI and the daemon here; Ctrl-C stops all of it."""
    from breadthflow_pipelines.orchestration.hosting.serve import serve

    raise typer.Exit(serve(get_settings(), port, lambda line: err.print(line, markup=False, soft_wrap=True)))


@app.command("alert-test")
def alert_test() -> None:
    """Send a test message to every address of BREADTHFLOW_ALERT_URLS; ends with 3 where one did not take it.

    Example: breadthflow alert-test
    """
    from breadthflow_pipelines.observability.alerts import Alert, deliver

    urls = get_settings().alert_targets
    if not urls:
        raise RequestError("BREADTHFLOW_ALERT_URLS is not set, so nobody is told of what breaks; docs/operations.md.")
    test = Alert("BreadthFlow: test", "Nothing broke: this is what an alert looks like.", "nowhere", "nothing")
    deliveries = deliver(urls, test.title, test.body)
    out.print(tables.table("Alerts", [vars(delivery) for delivery in deliveries], ("target", "taken", "reason")))
    if not all(delivery.taken for delivery in deliveries):
        raise typer.Exit(3)


@database_app.command("upgrade")
def database_upgrade() -> None:
    """Bring the database's tables to this program's version."""
    from breadthflow_pipelines.warehouse.database import HEAD, ensure_database, locate, revision

    settings = get_settings()
    database = locate(settings)
    ensure_database(database.url)
    before = revision(database)
    upgrade(database)
    dagster_url(settings)
    out.print(
        f"The database is at version {HEAD}" + (", as it was." if before == HEAD else f" (was {before or 'empty'}).")
    )


@database_app.command("url")
def database_address() -> None:
    """Print the embedded database's address, for psql and notebooks; starts it where it does not run."""
    settings = get_settings()
    if settings.database_url is not None:
        raise RequestError("BREADTHFLOW_DATABASE_URL is set and may hold a password, so it is not printed.")
    typer.echo(open_database(settings).url)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command and end the process: 0 done, 1 failed, 2 wrong request, 3 unreachable."""
    try:
        app(args=arguments, prog_name="breadthflow")
    except BrokenPipeError:  # the reader of our output left
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except Exception as error:
        told = error if isinstance(error, BreadthFlowError) else _full_disk(error)
        if told is None or _debug["on"]:
            raise
        with suppress(OSError):  # what it is written to may be what is full
            err.print(f"breadthflow: {told}", style="red", markup=False, soft_wrap=True)
        sys.exit(told.exit_status)


def _full_disk(error: Exception) -> BreadthFlowError | None:
    """The one line for an error that any library may raise when a disk is full: ours, Dagster's, SQLAlchemy's."""
    from breadthflow_pipelines.observability.disk import disk_full, full_disk
    from breadthflow_pipelines.warehouse.embedded import EmbeddedServer, ran_out_of_space

    server = EmbeddedServer(get_settings().home)
    return full_disk(error, server.home) or (disk_full(server.home) if ran_out_of_space(server.data) else None)


@contextmanager
def _orchestration(*, source: bool = True) -> Iterator[tuple["dg.DagsterInstance", "Market"]]:
    """Dagster's instance and the market, ready: settings are judged and the database reached before a run is made.

    source: whether the source has to answer as well.
    """
    settings = get_settings()
    open_database(settings)
    from breadthflow_pipelines.orchestration.instance import WithoutCries, dagster_instance
    from breadthflow_pipelines.orchestration.resources import Market

    market = Market()
    if source:
        market.source.describe()
    with redirect_stderr(WithoutCries(sys.stderr)), dagster_instance(settings) as instance:
        yield instance, market


def _watched(work: "Callable[[], RunReport]", about: str) -> "RunReport":
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    from breadthflow_pipelines.observability.progress import watched_by

    err.print(f"BreadthFlow: {about}")
    columns = (
        TextColumn("{task.description:<20}"),
        BarColumn(),
        TextColumn("{task.fields[note]:<20}"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=err) as progress:
        bars: dict[str, Any] = {}

        def advance(stage: str, done: float, note: str) -> None:
            if stage not in bars:
                bars[stage] = progress.add_task(stage, total=1.0, note="")
            progress.update(bars[stage], completed=done, note=note)

        with watched_by(advance):
            return work()


def _show_report(report: "RunReport", *, synthetic: bool) -> None:
    rows = [
        {"asset": asset, **{name.removeprefix("rows_"): count for name, count in figures.items()}}
        for asset, figures in report.figures.items()
    ]
    columns = ("asset", "read", "inserted", "revised", "unchanged", "removed", "rejected")
    err.print(tables.table("Rows", rows, columns))
    if report.restated:
        what = "history was" if report.restated == 1 else "histories were"
        err.print(f"{report.restated} {what} restated by the source and stored anew; breadthflow status names them.")
    for problem in report.problems[:PROBLEMS_SHOWN]:
        err.print(f"could not read: {problem}", style="yellow", markup=False, soft_wrap=True)
    if len(report.problems) > PROBLEMS_SHOWN:
        more = len(report.problems) - PROBLEMS_SHOWN
        err.print(f"could not read: {more:,} more; all of them: breadthflow problems", style="yellow", markup=False)
    for outcome in report.checks:
        if outcome.status in ("failed", "warned"):
            _show_check(outcome)
    _show_trouble(report)
    if report.trouble is None and "market_signals" not in report.figures:
        err.print("Signals stay as they were: a check that protects them failed; do first what it says after Next.")
    if report.trouble is None:
        changed = f"{report.rows_changed:,} rows changed" if report.rows_changed else "nothing changed"
        label = " The market is synthetic: its prices are invented." if synthetic else ""
        err.print(f"Run {report.run_id[:8]} took {report.seconds:.1f} s; {changed}.{label}")


def _show_check(outcome: "CheckOutcome") -> None:
    style = "red" if outcome.status == "failed" else "yellow"
    line = f"check {outcome.asset}.{outcome.name} {outcome.status}: {outcome.detail}"
    err.print(line, style=style, markup=False, soft_wrap=True)  # a command in it can be copied


def _show_trouble(report: "RunReport") -> None:
    if report.trouble is not None:
        err.print(f"breadthflow: {report.trouble}", style="red", markup=False, soft_wrap=True)


def _show_latest(database: Database, universe: str | None = None) -> None:
    rows = store.latest_signals(database, EVENTS_SHOWN, universe)
    synthetic = store.synthetic_universes(database)
    for name in sorted({row["universe"] for row in rows}):
        title = f"Latest signals of {name}" + (" (synthetic)" if name in synthetic else "")
        shown = ("session", "rule", "action", "confidence", "value", "state", "signal_id")
        out.print(tables.table(title, [row for row in rows if row["universe"] == name], shown))
    if rows:
        err.print(f"Why:   breadthflow explain {rows[-1]['signal_id']}\nMore:  breadthflow status   UI: breadthflow up")


def _show_evidence(evidence: dict[str, Any]) -> None:
    for name, value in evidence.items():
        if isinstance(value, dict) and value and all(isinstance(part, dict) for part in value.values()):
            rows = [{name: part, **facts} for part, facts in value.items()]
            out.print(tables.table("", rows, list(rows[0])))
        elif name != "levels":  # they stand with the parameters
            out.print(f"{name:<12} {_pairs(value) if isinstance(value, dict) else tables.text(value)}")


def _write(
    rows: Sequence[dict[str, Any]], columns: Sequence[str], short: Sequence[str], shape: Format, title: str
) -> None:
    if shape is Format.CSV:
        tables.write_csv(rows, columns, sys.stdout)
    elif shape is Format.JSON:
        tables.write_json(rows, columns, sys.stdout)
    elif rows:
        out.print(tables.table(title, _marked(rows[-ROWS_SHOWN:]), short))
        if len(rows) > ROWS_SHOWN:
            err.print(f"The last {ROWS_SHOWN} of {len(rows):,} rows; --format csv has all of them.")


def _marked(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows as a table shows them: an invented universe is called one in each."""
    return [
        {**row, "universe": f"{row['universe']} (synthetic)"} if row.get("synthetic") and "universe" in row else row
        for row in rows
    ]


def _titled(title: str, universes: Any, database: Database) -> str:
    invented = store.synthetic_universes(database) & set(universes)
    return f"{title} (synthetic: {', '.join(sorted(invented))})" if invented else title


def _print_checks(database: Database) -> None:
    """What fails, what holds what, and which holes are accepted, each with what helps."""
    from breadthflow_pipelines.gates import GATES, told
    from breadthflow_pipelines.warehouse import holds, verdicts

    failing = verdicts.failing(database)
    _print_filled("Checks that fail now", failing, ("check", "severity", "since", "months", "failing", "said"))
    _print_filled("Held: nothing is built from there on", _held_by_gate(holds.holding(database, GATES), told), _HELD)
    for row in failing:
        out.print(f"{row['check']}:  {row['next']}", markup=False)
    if failing:
        out.print("")
    accepted = [{**row, "what": row["said"]} for row in holds.accepted(database)]
    _print_filled("Accepted holes; the session after a missing one counts as gap", accepted, _ACCEPTED)


_HELD = ("gate", "universe", "from", "sessions", "since", "what")
_ACCEPTED = ("session", "universe", "gate", "what", "decided_by", "decided_at", "reason")


def _held_by_gate(rows: Sequence[dict[str, Any]], told: Callable[[Any], str]) -> list[dict[str, Any]]:
    """The holds of each gate and universe in one row."""
    grouped: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for row in rows:
        grouped.setdefault((row["gate"], row["universe"]), []).append(row)
    return [
        {
            "gate": gate,
            "universe": "all" if universe == "*" else universe,
            "from": same[0]["session"],
            "sessions": len(same),
            "since": min(row["since"] for row in same),
            "what": told(same),
        }
        for (gate, universe), same in grouped.items()
    ]


def _print_filled(title: str, rows: Sequence[dict[str, Any]], columns: Sequence[str]) -> None:
    if rows:
        out.print(tables.table(title, _marked(rows), columns), "")


def _say_held(database: Database, universe: str | None, asset: str) -> None:
    """Say where what was printed ends before its time, or is of an earlier run, because something holds it."""
    if message := standing.held_of(database, universe, asset):
        err.print(message, style="yellow", markup=False, soft_wrap=True)


def _indicator_names() -> set[str]:
    from breadthflow_pipelines.indicators.breadth import CATALOGUE

    return set(CATALOGUE)


def _named(
    text: str | None, known: Sequence[str], what: str, help_: str, to_come: Callable[[], set[str]] = set
) -> list[str]:
    """The names in a list like A,B; none where it is not given. to_come: names that a run makes known."""
    names = [name.strip() for name in (text or "").split(",") if name.strip()]
    for name in names:
        if name not in known and name in to_come():
            raise RequestError(f"{name} is not computed in this store yet.{NEXT_LINE}breadthflow run")
        if name not in known:
            near = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
            hint = f" Did you mean {', '.join(near)}?" if near else ""
            raise RequestError(f"{name} is no {what}; {help_}.{hint}")
    return list(dict.fromkeys(names))


def _moment(text: str | None) -> dt.datetime | None:
    if text is None:
        return None
    try:
        moment = dt.datetime.fromisoformat(text)
    except ValueError:
        raise RequestError(
            f"--as-of {text} is no moment; write it as 2024-03-01T22:00 or 2024-03-01T22:00-05:00."
        ) from None
    moment = moment.replace(tzinfo=dt.UTC) if moment.tzinfo is None else moment.astimezone(dt.UTC)
    if moment > dt.datetime.now(dt.UTC):
        raise RequestError(f"--as-of {moment:%Y-%m-%d %H:%M} UTC lies in the future.")
    return moment


def _known_rule(rule: str) -> None:
    from breadthflow_pipelines.signals.rules import RULES

    if rule not in RULES:
        raise RequestError(f"Rule {rule} is unknown; there are: {', '.join(RULES)}.")


def _range(start: dt.datetime | None, end: dt.datetime | None) -> tuple[dt.date | None, dt.date | None]:
    first, last = _date(start), _date(end)
    if first is not None and last is not None and last < first:
        raise RequestError(f"The range ends on {last}, before it begins on {first}.")
    return first, last


def _place(option: str, text: str) -> Path | str:
    try:
        return place(text)
    except ValueError as error:
        raise RequestError(f"{option} cannot be used: {error}.") from None


def _date(moment: dt.datetime | None) -> dt.date | None:
    return moment.date() if moment is not None else None


def _pairs(values: Any) -> str:
    return ", ".join(f"{name} {tables.text(value)}" for name, value in values.items())
