"""Commands that only read the store: breadth, signals, members, status. Why a signal fired: explaining.py.

They import neither Dagster nor pandas when they run, and polars only where they need rules or indicators.
"""

import datetime as dt
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from breadthflow_pipelines.cli.app import app
from breadthflow_pipelines.cli.display import (
    ROWS_SHOWN,
    err,
    marked,
    most_rows,
    out,
    print_filled,
    say_held,
    titled,
    write_rows,
)
from breadthflow_pipelines.cli.options import (
    Action,
    AsOf,
    Format,
    From,
    Segment,
    Shape,
    To,
    Universe,
    as_known_at,
    day_of,
    day_range,
    moment_of,
    names_in,
)
from breadthflow_pipelines.cli.store import current_settings, existing_store
from breadthflow_pipelines.errors import RequestError
from breadthflow_pipelines.model.gates import GATES, described, whom
from breadthflow_pipelines.model.vocabulary import FINAL, KEY, MARKET_SIGNAL, PROVISIONAL, SIGNAL_RECORD
from breadthflow_pipelines.reports import tables
from breadthflow_pipelines.reports.records import record_line
from breadthflow_pipelines.signals.asked import check_rule
from breadthflow_pipelines.warehouse import (
    breadth_listing,
    holds,
    member_listing,
    overview,
    signal_listing,
    standing,
    symbol_listing,
    verdicts,
)
from breadthflow_pipelines.warehouse.database import Database, dagster_url
from breadthflow_pipelines.warehouse.privacy import sees_names

if TYPE_CHECKING:
    from breadthflow_pipelines.calendar_file import Change
    from breadthflow_pipelines.settings import Settings

RUNS_SHOWN = 5
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
    "record",
    "signal_id",
)
_SIGNAL_COLUMNS = (*MARKET_SIGNAL, "synthetic", *SIGNAL_RECORD)
_BREADTH_KEY = (*KEY, "state")
_BREADTH_SHORT = (
    *_BREADTH_KEY,
    "members",
    "priced",
    "advances",
    "declines",
    "unchanged",
    "new_highs",
    "new_lows",
    "ad_line",
    "mcclellan_oscillator_ratio",
    "zweig_ema",
    "pct_above_50",
)
_SYMBOL_KEY = ("session", "universe", "symbol", "action", "confidence", "strength", "regime", "gated")
_SYMBOL_SHORT = (
    "session",
    "symbol",
    "action",
    "confidence",
    "strength",
    "regime",
    "gated",
    "rsi_14",
    "pct_from_high_252",
    "relative_strength",
    "volume_ratio_20",
    "record",
    "signal_id",
)
_MEMBERS: Sequence[str] = ("universe", "symbol", "name", "sector", "valid_from", "valid_to", "first_bar", "last_bar")
_WITHOUT_BARS: Sequence[str] = ("universe", "symbol", "valid_from", "valid_to", "nearest")
_SCORE_SHORT = ("universe", "session", "state", "rule", "value", "action")


@app.command()
def breadth(
    universe: Annotated[str, typer.Option(help="Name of a universe.")],
    start: From = None,
    end: To = None,
    segment: Segment = None,
    columns: Annotated[
        str | None,
        typer.Option(
            metavar="A,B", help="Counts and indicators to print, as priced,advances,trin; see breadthflow indicators."
        ),
    ] = None,
    as_of: AsOf = None,
    shape: Shape = Format.TABLE,
) -> None:
    """Print counts and indicators by session; csv and json carry every column unless some are named.

    Example: breadthflow breadth --universe demo --from 2024-01-02 --columns trin,stix --format csv
    """
    moment = moment_of(as_of)
    database = existing_store()
    standing.check_universe(database, universe)
    known = breadth_listing.breadth_columns(database)
    named = names_in(columns, known, "count or indicator", "breadthflow indicators lists them", _indicator_names)
    wanted = [*_BREADTH_KEY, *(name for name in named or known if name not in _BREADTH_KEY)]
    days = day_range(start, end)
    rows = breadth_listing.breadth(database, universe, *days, segment, wanted, moment, most_rows(shape))
    short = wanted if named else [name for name in _BREADTH_SHORT if name in known]
    title = f"Breadth of {universe}{as_known_at(moment)}"
    write_rows(rows, [*wanted, "synthetic"], short, shape, titled(title, [universe], database))
    say_held(database, universe, "breadth_indicators")


def _indicator_names() -> set[str]:
    from breadthflow_pipelines.indicators.breadth_catalogue import CATALOGUE

    return set(CATALOGUE)


@app.command()
def indicators(
    family: Annotated[str | None, typer.Option(help="Part of a family's name, such as volume.")] = None,
    shape: Shape = Format.TABLE,
) -> None:
    """List every indicator: its formula, units and published source; docs/indicators.md tells more.

    Example: breadthflow indicators --family mcclellan
    """
    from breadthflow_pipelines.indicators.breadth_catalogue import CATALOGUE
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
    write_rows(rows, list(rows[0]), ("name", "family", "units", "formula"), shape, f"{len(rows)} indicators")


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

    record: of all such signals of the universe before the month: how many beat (sells: trailed) its mean over 63
    sessions, and how many of any members of the same sessions did.

    Example: breadthflow symbols --universe demo --action buy
    """
    database = existing_store()
    rows = symbol_listing.symbol_signals(database, universe, *day_range(start, end), symbol, action, most_rows(shape))
    if not rows:
        err.print("No signal matches.")
    columns = [*_SYMBOL_KEY, *(name for name in (rows[0] if rows else {}) if name not in _SYMBOL_KEY)]
    rows = [{**row, "record": record_line(row)} for row in rows]
    title = titled(f"Members of {universe}", [universe], database)
    write_rows(rows, columns, _SYMBOL_SHORT, shape, title, last="newest and strongest")
    if rows and shape is Format.TABLE:
        strongest = next(row for row in rows[-ROWS_SHOWN:] if row["session"] == rows[-1]["session"])
        err.print(f"Why:   breadthflow explain '{strongest['signal_id']}'", markup=False, soft_wrap=True)
    say_held(database, universe, "symbol_signals")


@app.command()
def members(
    universe: Annotated[
        str | None, typer.Option(help="Name of a universe; with --without-bars all without it.")
    ] = None,
    date: Annotated[
        dt.datetime | None, typer.Option(formats=["%Y-%m-%d"], metavar="YYYY-MM-DD", help="The day; by default today.")
    ] = None,
    *,
    without_bars: Annotated[
        bool, typer.Option("--without-bars", help="Members of any day that have no bar in the store.")
    ] = False,
    shape: Shape = Format.TABLE,
) -> None:
    """Print the members of a universe, since when they belong to it, and from when to when there are bars of them.

    Example: breadthflow members --universe sp500 --without-bars
    """
    database = existing_store()
    if without_bars and date is not None:
        raise RequestError("--without-bars looks at all days; leave --date out.")
    if universe is None and not without_bars:
        raise RequestError(
            "Name a universe, as in breadthflow members --universe sp500; breadthflow status lists them."
        )
    of = universe or "all universes"
    if without_bars:
        found = member_listing.members_without_bars(database, universe)
        rows = [row | {"nearest": " or ".join(row["nearest"]) or None} for row in found]
        title, columns = f"Members of {of} without a bar", _WITHOUT_BARS
        if not rows:
            err.print(f"Every member of {of} has bars.")
    else:
        assert universe is not None  # noqa: S101 - checked above
        day = day_of(date) or dt.datetime.now(dt.UTC).date()
        rows = member_listing.members(database, universe, day)
        title, columns = f"Members of {universe} on {day}", _MEMBERS
        if not rows:
            err.print(f"{universe} has no members on {day}.")
    write_rows(rows, columns, columns, shape, titled(title, {row["universe"] for row in rows}, database))


@app.command()
def signals(
    start: From = None,
    end: To = None,
    universe: Universe = None,
    segment: Segment = None,
    rule: Annotated[str | None, typer.Option(help="Name of a rule, such as zweig_breadth_thrust.")] = None,
    as_of: AsOf = None,
    shape: Shape = Format.TABLE,
) -> None:
    """Print signals, oldest first.

    Example: breadthflow signals --universe demo --rule zweig_breadth_thrust
    """
    moment = moment_of(as_of)
    database = existing_store()
    check_rule(rule)
    rows = signal_listing.signals(database, *day_range(start, end), universe, segment, rule, moment, most_rows(shape))
    if not rows and "market_signals" in overview.empty_tables(database):
        raise RequestError(standing.why_nothing(database, universe, "market_signals"))
    if not rows:
        err.print("No signal matches.")
    rows = [{**row, "record": record_line(row)} for row in rows]
    title = titled(f"Signals{as_known_at(moment)}", {row["universe"] for row in rows}, database)
    write_rows(rows, _SIGNAL_COLUMNS, _SIGNAL_SHORT, shape, title)
    say_held(database, universe, "market_signals")


@app.command()
def score(
    date: Annotated[dt.datetime, typer.Option(formats=["%Y-%m-%d"], metavar="YYYY-MM-DD")], universe: Universe = None
) -> None:
    """Print the breadth score (0 to 100) and the conviction (0 to 4) of a session, by universe and segment.

    Example: breadthflow score --date 2024-01-31 --universe demo
    """
    database = existing_store()
    rows = signal_listing.scores(database, date.date(), universe)
    shown = ("universe", "segment", "rule", "value", "action", "confidence", "state", "signal_id")
    out.print(
        tables.table(
            titled(f"Breadth score and conviction of {date.date()}", {r["universe"] for r in rows}, database),
            marked(rows),
            shown,
        )
    )
    if any(row["state"] == PROVISIONAL for row in rows):
        final = [r for r in signal_listing.last_scores(database, universe, date.date()) if r["state"] == FINAL]
        print_filled("The last final ones", final, _SCORE_SHORT)
    say_held(database, universe, "market_signals")


@app.command()
def status() -> None:
    """Print what the store holds: last sessions, coverage, rejected rows, last runs."""
    settings = current_settings()
    database = existing_store()
    found = overview.overview(database)
    if not found["universes"]:
        out.print(standing.why_nothing(database), markup=False, soft_wrap=True)
    shown = ("universe", "first", "last", "state", "members", "priced", "coverage", "signals")
    print_filled("Universes", found["universes"], shown)
    _print_checks(database)
    print_filled("Last scores, and the last final ones", signal_listing.last_scores(database), _SCORE_SHORT)
    print_filled("Bars", found["bars"], ("source", "first", "last", "bars", "securities"))
    print_filled("Rejected rows", found["rejected"], ("source", "reason", "rows", "first", "last"))
    implausible = ("rule", "status", "synthetic", "bars", "first", "last")
    print_filled("Bars that rules flag", found["quarantined"], implausible)
    print_filled("Doubted counts, left out", found["doubted"], ("exchange", "reason", "rows", "first", "last"))
    print_filled("Volume units", found["units"], ("exchange", "volume_unit", "first", "last", "sessions"))
    lists = ("exchange", "first", "last", "sessions", "issues", "usual")
    print_filled("Counts of another list of issues", found["other_lists"], lists)
    print_filled(
        "Calendar changes", _calendar_rows(found["calendar"], settings), ("session", "change", "reason", "applied")
    )
    print_filled("Revised bars", found["revised"], ("kind", "synthetic", "rows", "first", "last", "changed"))
    restated = ("symbol", "synthetic", "price_ratio", "adjusted_ratio", "noticed", "stored_anew")
    print_filled("Restated histories; those not stored again yet come first", found["restated"], restated)
    print_filled("To be computed by the next run", found["due"], ("asset", "first", "changed"))
    runs = overview.last_runs(Database(dagster_url(settings), None), RUNS_SHOWN)
    print_filled("Last runs", runs, ("run_id", "job", "status", "started", "seconds"))


def _print_checks(database: Database) -> None:
    """What fails, what holds what, and which holes are accepted, each with what helps."""
    failing = verdicts.failing(database)
    print_filled("Checks that fail now", failing, ("check", "severity", "since", "months", "failing", "said"))
    print_filled("Held: nothing is built from there on", _held_by_gate(holds.holding(database, GATES)), _HELD)
    for row in failing:
        out.print(f"{row['check']}:  {row['next']}", markup=False)
    if failing:
        out.print("")
    accepted = [{**row, "what": row["said"]} for row in holds.accepted(database, with_names=sees_names(database))]
    print_filled("Accepted holes; the session after a missing one counts as gap", accepted, _ACCEPTED)


_HELD = ("gate", "universe", "from", "sessions", "since", "what")
_ACCEPTED = ("session", "universe", "gate", "what", "decided_by", "decided_at", "reason")


def _held_by_gate(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The holds of each gate and universe in one row."""
    grouped: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for row in rows:
        grouped.setdefault((row["gate"], row["universe"]), []).append(row)
    return [
        {
            "gate": gate,
            "universe": whom(universe),
            "from": same[0]["session"],
            "sessions": len(same),
            "since": min(row["since"] for row in same),
            "what": described(same),
        }
        for (gate, universe), same in grouped.items()
    ]


def _calendar_rows(applied: Sequence[dict[str, Any]], settings: "Settings") -> list[dict[str, Any]]:
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
