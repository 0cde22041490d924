"""Commands that run the pipeline or its checks, and what the last runs could not read."""

import datetime as dt
import gc
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from breadthflow_pipelines.cli.app import app
from breadthflow_pipelines.cli.display import (
    err,
    out,
    print_filled,
    show_latest,
    show_report,
    show_trouble,
    show_unchanged,
)
from breadthflow_pipelines.cli.options import Day, day_of
from breadthflow_pipelines.cli.store import current_settings, existing_store
from breadthflow_pipelines.errors import NEXT_LINE, RequestError
from breadthflow_pipelines.model.vocabulary import AS_PUBLISHED
from breadthflow_pipelines.reports import tables
from breadthflow_pipelines.warehouse import readings
from breadthflow_pipelines.warehouse.database import Database, dagster_url, existing_database, open_database
from breadthflow_pipelines.warehouse.problems import last_problems, rejected_now

if TYPE_CHECKING:
    import dagster as dg

    from breadthflow_pipelines.orchestration.resources import Market
    from breadthflow_pipelines.orchestration.run_reports import RunReport
    from breadthflow_pipelines.settings import Settings


@app.command()
def run(
    date: Day = None,
    *,
    again: Annotated[bool, typer.Option("--again", help="Read and compute also where nothing changed.")] = False,
) -> None:
    """Bring the store up to date through a session, then print the latest signals.

    Where source, settings and program are as the last run found them, that is said, and nothing is run.

    Example: breadthflow run
    """
    from breadthflow_pipelines.orchestration.inputs import inputs_of
    from breadthflow_pipelines.sessions import check_within_history, exchange_calendar
    from breadthflow_pipelines.sources.protocol import label
    from breadthflow_pipelines.sources.registry import configured_source

    settings = current_settings()
    check_named_files(settings)
    store = open_database(settings)
    calendar = exchange_calendar(settings.calendar, settings.calendar_changes)
    closed = calendar.last_closed()
    through = day_of(date) or closed
    if through > closed:
        known = bool(calendar.between(through, dt.date.max))  # the calendar ends in a year
        what = (
            f"is no session of {calendar.name}" if known and not calendar.is_session(through) else "has not closed yet"
        )
        raise RequestError(f"{through} {what}; the last closed session is {closed}.")
    source = configured_source(settings, calendar)
    inputs = inputs_of(settings, source, store, through)
    about = f"{label(source)}, through {through}"
    if inputs is not None and not again and (last := readings.made_from(store, label(source), inputs)):
        show_unchanged(about, last, synthetic=source.synthetic)
        show_latest(store)
        return
    with orchestration() as (instance, market):
        from breadthflow_pipelines.orchestration import planning, runs

        check_within_history(min(settings.start_date, through), through, settings.start_date, calendar)
        first = planning.first_day_due(instance, market, through)
        report = watched(lambda: runs.run_months(instance, first, through, through, all_due=through == closed), about)
        if inputs is not None and report.exit_status == 0 and not report.problems:
            readings.end(store, label(source), report.run_id, inputs)
        show_report(report, synthetic=source.synthetic)
        show_latest(store)
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
    check_named_files(current_settings())
    with orchestration() as (instance, market):
        from breadthflow_pipelines.orchestration import runs
        from breadthflow_pipelines.sessions import check_within_history
        from breadthflow_pipelines.sources.protocol import label

        check_within_history(first, last, market.settings.start_date, market.calendar)
        through = min(last, market.calendar.last_closed())
        about = f"{label(market.source)}, {first} to {through}"
        report = watched(lambda: runs.run_months(instance, first, through, through), about)
        show_report(report, synthetic=market.source.synthetic)
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
    with orchestration(source=False, opened=existing_database) as (instance, market):
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
    show_trouble(report)
    raise typer.Exit(report.exit_status)


@app.command()
def stability() -> None:
    """Find every rule's events again: without 5 % of the members, with other conventions, as published. Takes minutes.

    The daemon does so every Sunday. breadthflow accuracy shows how many events of each rule stay. Published counts are
    compared where BREADTHFLOW_PUBLISHED_BESIDE names them.

    Example: breadthflow stability
    """
    with orchestration(source=False, opened=existing_database) as (instance, market):
        from breadthflow_pipelines.orchestration import runs
        from breadthflow_pipelines.orchestration.beside import published_beside
        from breadthflow_pipelines.warehouse import accuracy_listing, standing
        from breadthflow_pipelines.warehouse.overview import empty_tables

        if "breadth_indicators" in empty_tables(market.store):
            raise RequestError(standing.why_nothing(market.store))
        report = watched(lambda: runs.run_stability(instance), "events found again")
        show_trouble(report)
        beside = published_beside(market.settings, market.store)
        rows = accuracy_listing.stability(market.store)
    shown = ("universe", "variation", "rules", "events", "kept", "least")
    print_filled("Events that stay; least: of one rule", rows, shown)
    told = {row["universe"] for row in rows if row["variation"] == AS_PUBLISHED}
    silent = [
        f"kept_published of {universe} is unknown: it has no event on a session on which {exchange} could have had one."
        for universe, exchange in beside.pairs.items()
        if universe not in told
    ]
    for reason in (*beside.missing, *silent):
        err.print(reason, markup=False, soft_wrap=True)
    raise typer.Exit(report.exit_status)


@app.command()
def problems() -> None:
    """Print what the last runs could not read, and why, one line for each; nothing where all could be read.

    Rows that were read and broke the contract are counted; breadthflow rejected lists them.

    Example: breadthflow problems
    """
    settings = current_settings()
    database = existing_store()
    rows = last_problems(dagster_url(settings))
    if rows is None:
        raise RequestError(f"No run has read anything yet.{NEXT_LINE}breadthflow run")
    if not rows:
        err.print("The last runs could read every file and every symbol.")
    for row in rows:
        out.print(row, markup=False, soft_wrap=True)
    if rejected := rejected_now(database):
        what = "row is" if rejected == 1 else "rows are"
        err.print(f"{rejected:,} {what} rejected: breadthflow rejected shows which, and why.")


def check_named_files(settings: "Settings") -> None:
    """Refuse files that settings name and that a run would refuse when it has begun, or minutes later."""
    if settings.risk_free is not None or settings.index_files or settings.universe_file is not None:
        from breadthflow_pipelines.orchestration.holdings import check_files

        check_files(settings)


@contextmanager
def orchestration(
    *, source: bool = True, opened: Callable[["Settings"], Database] = open_database
) -> Iterator[tuple["dg.DagsterInstance", "Market"]]:
    """Dagster's instance and the market: settings are checked and the database is reached before a run is made.

    source: whether the source has to answer as well. opened: open_database, or existing_database for whoever reads.
    """
    # What a run makes stays, for the most part: looking for garbage after every 700 objects takes a twentieth of it.
    gc.set_threshold(100_000)
    settings = current_settings()
    opened(settings)
    from breadthflow_pipelines.orchestration.hosting.instance import WithoutStorageErrors, dagster_instance
    from breadthflow_pipelines.orchestration.resources import Market

    market = Market()
    if source:
        market.source.describe()
    with redirect_stderr(WithoutStorageErrors(sys.stderr)), dagster_instance(settings) as instance:
        yield instance, market


def watched(work: "Callable[[], RunReport]", about: str) -> "RunReport":
    """Make a run while stderr shows how far each stage is."""
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
