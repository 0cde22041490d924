"""Commands that write what the store says into files for others: the page of a universe, and exports of it."""

from pathlib import Path
from typing import Annotated

import typer

from breadthflow_pipelines.cli.app import app
from breadthflow_pipelines.cli.display import err, out, say_held
from breadthflow_pipelines.cli.options import location_of
from breadthflow_pipelines.cli.store import current_settings, existing_store
from breadthflow_pipelines.errors import RequestError
from breadthflow_pipelines.publishing.places import page_path
from breadthflow_pipelines.reports import tables
from breadthflow_pipelines.warehouse import standing

OneUniverse = Annotated[str, typer.Option(help="Name of a universe.")]


@app.command()
def report(
    universe: OneUniverse,
    to: Annotated[
        Path | None, typer.Option("--to", metavar="FILE", help="Where to write it; in the store's home without it.")
    ] = None,
    *,
    open_it: Annotated[bool, typer.Option("--open", help="Also open it in the browser of this computer.")] = False,
) -> None:
    """Write the page of a universe: one HTML file with its state, charts and evidence. It needs no network.

    Example: breadthflow report --universe demo --open
    """
    from breadthflow_pipelines.orchestration.holdings import interest
    from breadthflow_pipelines.publishing.pages import write_page
    from breadthflow_pipelines.sessions import exchange_calendar

    settings = current_settings()
    rates = interest(settings)
    database = existing_store()
    standing.check_universe(database, universe)  # before a file is named after it
    path = page_path(settings.home, universe) if to is None else _path("--to", to)
    if path.is_dir():
        raise RequestError(f"--to {path} is a directory; name a file in it, as in {path / 'report.html'}.")
    due = exchange_calendar(settings.calendar, settings.calendar_changes).last_closed()
    made = write_page(database, universe, path, due, rates)
    err.print(made.said, markup=False, soft_wrap=True)
    out.print(str(made.path), markup=False, soft_wrap=True)
    say_held(database, universe, "market_signals")
    if open_it:
        import webbrowser

        if not webbrowser.open(made.path.as_uri()):
            err.print("No browser could be started here; open the file by hand.", style="yellow")


@app.command()
def export(
    universe: OneUniverse,
    to: Annotated[Path, typer.Option("--to", metavar="DIR", help="A directory that is new, or empty.")],
    *,
    sectors: Annotated[
        bool, typer.Option("--sectors", help="Also breadth, signals and outcomes of every sector: many times as much.")
    ] = False,
) -> None:
    """Write breadth, signals, outcomes, records and backtests of a universe as CSV, Parquet and JSON, with a manifest.

    Example: breadthflow export --universe demo --to exports/2026-03-31
    """
    from breadthflow_pipelines.publishing import exports

    place = _path("--to", to)
    manifest = exports.export(existing_store(), universe, place, sectors=sectors)
    rows = [{"file": name, **facts} for name, facts in manifest["files"].items()]
    invented = " (synthetic)" if manifest["synthetic"] else ""
    title = f"{universe}{invented} through {manifest['as_of']}, as known at {manifest['known_at']}"
    err.print(tables.table(title, rows, ("file", "rows", "columns", "bytes")))
    if left := len(manifest["segments_left_out"]):
        err.print(f"Left out: {left} sector{'s' if left > 1 else ''}; --sectors writes them, too.")
    out.print(str(place), markup=False, soft_wrap=True)


def _path(option: str, path: Path) -> Path:
    where = location_of(option, str(path))
    if isinstance(where, str):
        raise RequestError(f"{option} {where} is an address; name a path.")
    return where
