"""Commands about what runs by itself and where it is stored: the UI and the daemon, alerts, the database."""

from pathlib import Path
from typing import Annotated

import typer

from breadthflow_pipelines.cli.app import app, database_app
from breadthflow_pipelines.cli.display import err, out, say
from breadthflow_pipelines.cli.store import current_settings, existing_store
from breadthflow_pipelines.errors import RequestError
from breadthflow_pipelines.reports import tables
from breadthflow_pipelines.warehouse.database import dagster_url, existing_database, upgrade

METRICS_PORT = 9464
API_PORT = 8000
LOOPBACK = "127.0.0.1"


@app.command()
def up(
    port: Annotated[int, typer.Option(min=1, max=65535)] = 3000,
    metrics_port: Annotated[
        int | None, typer.Option(min=1, max=65535, help="Also serve figures to Prometheus, at this port.")
    ] = None,
    api_port: Annotated[int, typer.Option(min=0, max=65535, help="Of the API and its page; 0 serves none.")] = API_PORT,
    *,
    without_tokens: Annotated[
        bool, typer.Option("--open", help="Let the API ask for no token; whoever is on this machine may do everything.")
    ] = False,
) -> None:
    """Start Postgres, the Dagster UI, the daemon and the API here; Ctrl-C stops all of it."""
    from breadthflow_pipelines.observability.alerts import check_addresses
    from breadthflow_pipelines.orchestration.hosting.serve import serve
    from breadthflow_pipelines.orchestration.hosting.services import ApiAt

    settings = current_settings()
    check_addresses(settings.alert_targets)
    api_at = ApiAt(api_port, without_tokens) if api_port else None
    raise typer.Exit(serve(settings, port, say, metrics_port, api_at))


@app.command()
def metrics(
    port: Annotated[int, typer.Option(min=1, max=65535)] = METRICS_PORT,
    host: Annotated[str, typer.Option(help="Where to listen. There is no log-in: not wider than needed.")] = LOOPBACK,
    disk: Annotated[list[Path] | None, typer.Option(help="Also watch the disk that holds this path.")] = None,
) -> None:
    """Serve figures about the store, the runs and this machine to Prometheus, until Ctrl-C.

    Example: breadthflow metrics --port 9464
    """
    from breadthflow_pipelines.orchestration.hosting.exporter import serve

    serve(current_settings(), host, port, disk or [], say)


@app.command("alert-test")
def alert_test() -> None:
    """Send a test message to every address of BREADTHFLOW_ALERT_URLS; ends with 3 where one did not take it.

    Example: breadthflow alert-test
    """
    from breadthflow_pipelines.observability.alerts import Alert, deliver

    urls = current_settings().alert_targets
    if not urls:
        raise RequestError("BREADTHFLOW_ALERT_URLS is not set, so no alert can be sent; docs/operations.md.")
    test = Alert("BreadthFlow: test", "Nothing broke: this is what an alert looks like.", "nowhere", "nothing")
    deliveries = deliver(urls, test.title, test.body)
    out.print(tables.table("Alerts", [vars(delivery) for delivery in deliveries], ("target", "taken", "reason")))
    if not all(delivery.taken for delivery in deliveries):
        raise typer.Exit(3)


@app.command()
def digest() -> None:
    """Print the daily digest as it would be sent now; sends nothing.

    Example: breadthflow digest
    """
    from breadthflow_pipelines.orchestration.automation.digest import as_text
    from breadthflow_pipelines.orchestration.hosting.instance import dagster_instance
    from breadthflow_pipelines.orchestration.resources import Market

    existing_database(settings := current_settings())
    with dagster_instance(settings) as instance:
        out.print(as_text(instance, Market()), markup=False, soft_wrap=True)


@app.command()
def review() -> None:
    """Print the monthly review as it would be sent now: how old packages are, how the lists of members are kept.

    Sends nothing, and asks no network.

    Example: breadthflow review
    """
    from breadthflow_pipelines.orchestration.automation.review import as_text
    from breadthflow_pipelines.orchestration.resources import Market

    existing_store()
    out.print(as_text(Market()), markup=False, soft_wrap=True)


@database_app.command("upgrade")
def database_upgrade() -> None:
    """Bring the tables of both databases to this program's version, and grant the roles what they need."""
    from breadthflow_pipelines.orchestration.catalogue_columns import fit_stored_columns
    from breadthflow_pipelines.orchestration.hosting.storage import open_to_roles
    from breadthflow_pipelines.warehouse.database import HEAD, ensure_database, locate, revision
    from breadthflow_pipelines.warehouse.roles import creating

    settings = current_settings()
    database = locate(settings)
    ensure_database(database.url)
    before = revision(database)
    missing = upgrade(database, reader_sees_bars=settings.reader_sees_bars, audit_days=settings.keep_audit_days)
    fit_stored_columns(database)
    open_to_roles(dagster_url(settings))
    out.print(
        f"The database is at version {HEAD}" + (", as it was." if before == HEAD else f" (was {before or 'empty'}).")
    )
    if missing:
        err.print(
            f"This login may not make the roles {' and '.join(missing)}; only the owner can use the database until an "
            f"administrator runs\n  {creating(missing)}\nand breadthflow db upgrade is run again.",
            markup=False,
            soft_wrap=True,
        )


@database_app.command("url")
def database_address() -> None:
    """Print the embedded database's address, for psql and notebooks; starts it where it does not run."""
    settings = current_settings()
    if settings.database_url is not None:
        raise RequestError("BREADTHFLOW_DATABASE_URL is set and may hold a password, so it is not printed.")
    typer.echo(existing_store().url)
