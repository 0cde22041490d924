"""How commands show what they found: tables, machine formats, reports of runs. Decides nothing."""

import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Console

from breadthflow_pipelines.cli.options import Format
from breadthflow_pipelines.cli.store import current_settings
from breadthflow_pipelines.publishing.places import page_path
from breadthflow_pipelines.reports import tables
from breadthflow_pipelines.reports.records import record_line
from breadthflow_pipelines.warehouse import signal_listing, standing, universe_listing
from breadthflow_pipelines.warehouse.database import Database, Row

if TYPE_CHECKING:
    from breadthflow_pipelines.orchestration.run_reports import CheckOutcome, RunReport

PIPED_WIDTH = 200  # columns where stdout is not a terminal, so that nothing is cut
# Without emoji: sp500:A:2024-03-01 is an id, and :A: no picture.
out = Console(highlight=False, emoji=False, width=None if sys.stdout.isatty() else PIPED_WIDTH)
err = Console(stderr=True, highlight=False, emoji=False, width=None if sys.stderr.isatty() else PIPED_WIDTH)
EVENTS_SHOWN = 5  # newest events of each universe after a run
ROWS_SHOWN = 100  # in a table; machine formats have all of them
INVENTED = " The market is synthetic: its prices are invented."
PROBLEMS_SHOWN = 5  # of what could not be read, after a run


def say(line: str) -> None:
    """Write a line to stderr as it is, however long: what a server does, for whoever started it."""
    err.print(line, markup=False, soft_wrap=True)


def most_rows(shape: Format) -> int | None:
    """How many of the last rows write_rows() needs: one more than a table shows, to know of the others."""
    return ROWS_SHOWN + 1 if shape is Format.TABLE else None


def write_rows(
    rows: Sequence[dict[str, Any]],
    columns: Sequence[str],
    short: Sequence[str],
    shape: Format,
    title: str,
    *,
    last: str = "last",
) -> None:
    """Write rows to stdout: these columns as CSV or JSON, the short list of them as a table.

    last: what the last of too many rows are, which are those that the table shows.
    """
    if shape is Format.CSV:
        tables.write_csv(rows, columns, sys.stdout)
    elif shape is Format.JSON:
        tables.write_json(rows, columns, sys.stdout)
    elif rows:
        out.print(tables.table(title, marked(rows[-ROWS_SHOWN:]), short))
        if len(rows) > ROWS_SHOWN:
            err.print(f"These are the {last} {ROWS_SHOWN} rows; --format csv has all of them.")


def marked(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows as a table shows them: an invented universe is called one in each."""
    return [
        {**row, "universe": f"{row['universe']} (synthetic)"} if row.get("synthetic") and "universe" in row else row
        for row in rows
    ]


def titled(title: str, universes: Iterable[str], database: Database) -> str:
    """The title, with those of its universes that are invented."""
    invented = universe_listing.synthetic_universes(database) & set(universes)
    return f"{title} (synthetic: {', '.join(sorted(invented))})" if invented else title


def with_reason(row: dict[str, Any]) -> dict[str, Any]:
    """A row with a verdict, and why it could not be judged said in the same cell."""
    return {**row, "verdict": f"{row['verdict']}: {row['reason']}" if row["reason"] else row["verdict"]}


def print_filled(title: str, rows: Sequence[dict[str, Any]], columns: Sequence[str]) -> None:
    """Print a table, unless it is empty."""
    if rows:
        out.print(tables.table(title, marked(rows), columns), "")


def say_held(database: Database, universe: str | None, asset: str) -> None:
    """Say where what was printed ends early, or is of an earlier run, because something holds it."""
    if message := standing.why_held(database, universe, asset):
        err.print(message, style="yellow", markup=False, soft_wrap=True)


def show_report(report: "RunReport", *, synthetic: bool) -> None:
    """Say on stderr what a run did: its rows, what it could not read, checks that failed, what ended it."""
    rows = [
        {"asset": asset, **{name.removeprefix("rows_"): count for name, count in figures.items()}}
        for asset, figures in report.figures.items()
    ]
    columns = ("asset", "read", "inserted", "revised", "unchanged", "removed", "rejected")
    err.print(tables.table("Rows", rows, columns))
    if report.restated:
        what = "history was" if report.restated == 1 else "histories were"
        err.print(f"{report.restated} {what} restated by the source and stored again; breadthflow status names them.")
    if report.outcomes_revised:
        what = "outcome is another" if report.outcomes_revised == 1 else "outcomes are others"
        err.print(
            f"{report.outcomes_revised:,} closed {what} than before, because prices below changed; the UI lists them "
            "under signal_outcomes.",
            soft_wrap=True,
        )
    for problem in report.problems[:PROBLEMS_SHOWN]:
        err.print(f"could not read: {problem}", style="yellow", markup=False, soft_wrap=True)
    if len(report.problems) > PROBLEMS_SHOWN:
        more = len(report.problems) - PROBLEMS_SHOWN
        err.print(f"could not read: {more:,} more; all of them: breadthflow problems", style="yellow", markup=False)
    for outcome in report.checks:
        if outcome.status in ("failed", "warned"):
            _show_check(outcome)
    show_trouble(report)
    if report.trouble is None and "market_signals" not in report.figures:
        err.print("Signals stay as they were: a check that protects them failed; do first what it says after Next.")
    if report.trouble is None:
        changed = f"{report.rows_changed:,} rows changed" if report.rows_changed else "nothing changed"
        label = INVENTED if synthetic else ""
        err.print(f"Run {report.run_id[:8]} took {report.seconds:.1f} s; {changed}.{label}")


def show_unchanged(about: str, last: Row, *, synthetic: bool) -> None:
    """Say on stderr that there is nothing to run. last: the run that made the store from the same inputs."""
    since = f"run {last['run_id'][:8]} of {last['ended_at']:%Y-%m-%d %H:%M %Z}"
    err.print(f"BreadthFlow: {about}\nNothing to run: nothing changed since {since}.{INVENTED if synthetic else ''}")
    err.print("To run all the same: breadthflow run --again")


def _show_check(outcome: "CheckOutcome") -> None:
    style = "red" if outcome.status == "failed" else "yellow"
    line = f"check {outcome.asset}.{outcome.name} {outcome.status}: {outcome.detail}"
    err.print(line, style=style, markup=False, soft_wrap=True)  # a command in it can be copied


def show_trouble(report: "RunReport") -> None:
    """Say what ended a run, if anything did."""
    if report.trouble is not None:
        err.print(f"breadthflow: {report.trouble}", style="red", markup=False, soft_wrap=True)


def show_latest(database: Database, universe: str | None = None) -> None:
    """Print the newest signals of each universe, or of one, and where their pages are."""
    rows = signal_listing.latest_signals(database, EVENTS_SHOWN, universe)
    synthetic = universe_listing.synthetic_universes(database)
    names = sorted({row["universe"] for row in rows})
    for name in names:
        title = f"Latest signals of {name}" + (" (synthetic)" if name in synthetic else "")
        shown = ("session", "rule", "action", "confidence", "value", "state", "record", "signal_id")
        mine = [{**row, "record": record_line(row)} for row in rows if row["universe"] == name]
        out.print(tables.table(title, mine, shown))
    if rows:
        err.print(f"Why:   breadthflow explain {rows[-1]['signal_id']}\nMore:  breadthflow status   UI: breadthflow up")
    for page in (page_path(current_settings().home, name) for name in names):
        if page.is_file():
            err.print(f"Page:  {page}", markup=False, soft_wrap=True)
