"""Commands about where data comes from: sources, published counts, universe files."""

from pathlib import Path
from typing import Annotated, Any

import typer

from breadthflow_pipelines.cli.app import app
from breadthflow_pipelines.cli.display import err, out, show_latest, show_report
from breadthflow_pipelines.cli.options import From, day_of, location_of
from breadthflow_pipelines.cli.runs import check_named_files, orchestration, watched
from breadthflow_pipelines.cli.store import current_settings
from breadthflow_pipelines.errors import BreadthFlowError, RequestError, UnreachableError
from breadthflow_pipelines.reports import tables
from breadthflow_pipelines.warehouse.database import Database


@app.command()
def sources() -> None:
    """Print what can be read, and whether it answers. Asks vendors once at most, and only those that are set up."""
    from breadthflow_pipelines.sessions import exchange_calendar
    from breadthflow_pipelines.sources.registry import configured_source, source_names

    settings = current_settings()
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
    replace: Annotated[bool, typer.Option("--replace", help="Drop what is stored and not in these files.")] = False,
) -> None:
    """Read the advances, declines, volumes, highs and lows that an exchange published, now and by every run.

    Stored sessions before the first of a file, and after its last, stay. A stored series that has no file is refused.

    Example: breadthflow import-breadth exchange_breadth --exchange NYSE
    """
    from breadthflow_pipelines.sessions import exchange_calendar
    from breadthflow_pipelines.sources.exchange_breadth import INDEX, SERIES, read_published_counts, unread_files
    from breadthflow_pipelines.sources.registry import published_directory
    from breadthflow_pipelines.trust.kept_counts import refuse_unlike
    from breadthflow_pipelines.warehouse.breadth_store import published_of

    settings = current_settings()
    check_named_files(settings)
    where = location_of("DIRECTORY", directory)
    # For an address, the run reads the copy: the address may hold a password, which no run's configuration may have.
    source = published_directory(settings, where, exchange)
    calendar = exchange_calendar(settings.calendar, settings.calendar_changes)
    given = read_published_counts(source, exchange, calendar).counts  # refuse before a run is made
    with orchestration(source=False) as (instance, market):
        from breadthflow_pipelines.orchestration import runs
        from breadthflow_pipelines.orchestration.beside import refuse_counted

        refuse_counted(market.store, exchange)
        if not replace:
            refuse_unlike(given, published_of(market.store, exchange), exchange)
        about = f"published counts of {exchange}"
        report = watched(lambda: runs.run_import(instance, str(source), exchange, replace=replace), about)
        show_report(report, synthetic=False)
        if unread := unread_files(source, exchange):
            err.print(
                f"Not read: {', '.join(unread)}. Series are {', '.join((*SERIES, INDEX))}, as in {exchange}_advv.csv.",
                markup=False,
                soft_wrap=True,
            )
        turned_away = report.figures.get("exchange_breadth", {}).get("rows_rejected", 0)
        if turned_away:
            what = "line was" if turned_away == 1 else "lines were"
            err.print(f"{turned_away} {what} turned away; breadthflow rejected --exchange {exchange} lists them.")
        _remember_publication(market.store, exchange, None if once else where)
        show_latest(market.store, exchange)
    raise typer.Exit(report.exit_status)


def _remember_publication(database: Database, exchange: str, where: Path | str | None) -> None:
    """Have every run read an exchange's counts from this location, or none; report it."""
    from breadthflow_pipelines.locations import shown
    from breadthflow_pipelines.warehouse import publications

    named = current_settings().publications.get(exchange)
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
    name: Annotated[str, typer.Argument(help="sp500, the only one; its changes are on Wikipedia.")],
    file: Annotated[Path, typer.Argument(help="The universe file to write; rows of other universes in it stay.")],
    start: From = None,
    page: Annotated[str | None, typer.Option(help="Another address, or a saved copy of the page.")] = None,
) -> None:
    """Write a universe file of the S&P 500's members, with the days on which they came and went.

    Example: breadthflow fetch-universe sp500 universes/sp500.csv --from 2010-01-01
    """
    from breadthflow_pipelines.sources import wikipedia
    from breadthflow_pipelines.sources.registry import throttle
    from breadthflow_pipelines.sources.web import Web

    if name != wikipedia.UNIVERSE:
        raise RequestError(f"There is no universe {name} to fetch; there is: {wikipedia.UNIVERSE}.")
    where = location_of("--page", page or wikipedia.PAGE)
    found = wikipedia.sp500(Web(throttle(current_settings())), where, day_of(start))
    target = file.expanduser().absolute()
    came, went = wikipedia.write(found, target)
    for note in found.notes:
        err.print(f"doubtful: {note}", style="yellow", markup=False)
    today = found.members["valid_to"].null_count()
    out.print(f"{target}: {name} from {found.since} on, {today} members today; {came} rows came, {went} went.")
    err.print(f"Look at it, then: export BREADTHFLOW_UNIVERSE_FILE={target}")
