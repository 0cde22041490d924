"""Commands about the API and the page: serving them, and the tokens that let people and programs in."""

import datetime as dt
from typing import Annotated

import typer

from breadthflow_pipelines.cli.app import Application, app
from breadthflow_pipelines.cli.display import err, say, write_rows
from breadthflow_pipelines.cli.options import Format, Shape, day_of
from breadthflow_pipelines.cli.service import API_PORT, LOOPBACK
from breadthflow_pipelines.cli.store import current_settings, existing_store
from breadthflow_pipelines.errors import RequestError, printable
from breadthflow_pipelines.model.vocabulary import Role
from breadthflow_pipelines.warehouse.database import open_database

LONGEST_NAME = 100

token_app = Application(no_args_is_help=True, help="Tokens that let people and programs use the API.")
app.add_typer(token_app, name="token")


@app.command()
def serve(
    port: Annotated[int, typer.Option(min=1, max=65535)] = API_PORT,
    host: Annotated[str, typer.Option(help="Where to listen; wider than this machine only behind TLS.")] = LOOPBACK,
    *,
    without_tokens: Annotated[
        bool, typer.Option("--open", help="Ask for no token; whoever is on this machine may do everything.")
    ] = False,
) -> None:
    """Serve the API and the page, until Ctrl-C.

    Example: breadthflow serve --port 8000
    """
    if without_tokens and host != LOOPBACK:
        raise RequestError(f"--open is only for this machine: leave out --host {host}, or --open.")
    from breadthflow_pipelines.api.server import run

    run(current_settings(), host, port, say, without_tokens=without_tokens)


@token_app.command("create")
def token_create(
    name: Annotated[str, typer.Argument(help="Whose it is: a person or a program; the audit names it.")],
    role: Annotated[Role, typer.Option(help="viewer reads; operator also starts and ends runs.")] = Role.VIEWER,
    expires: Annotated[
        dt.datetime | None, typer.Option(formats=["%Y-%m-%d"], metavar="YYYY-MM-DD", help="Its last day, in UTC.")
    ] = None,
) -> None:
    """Make a token and print it. It is shown this once and stored nowhere.

    Example: breadthflow token create alice --role operator --expires 2027-12-31
    """
    from breadthflow_pipelines.api.tokens import create
    from breadthflow_pipelines.warehouse.audit_store import present_user

    if not name.strip() or name != printable(name) or len(name) > LONGEST_NAME:
        raise RequestError(f"The name has to have 1 to {LONGEST_NAME} characters that can be printed.")
    last = day_of(expires)
    if last is not None and last < dt.datetime.now(dt.UTC).date():
        raise RequestError(f"--expires {last} lies in the past.")
    end = None if last is None else dt.datetime.combine(last + dt.timedelta(days=1), dt.time(), dt.UTC)
    token = create(open_database(current_settings()), name.strip(), role, end, present_user())
    typer.echo(token)
    until = "It does not expire." if last is None else f"It is valid through {last}."
    err.print(f"A token for {name.strip()}, {role.value}. {until} It is not shown again.", markup=False, soft_wrap=True)


@token_app.command("list")
def token_list(shape: Shape = Format.TABLE) -> None:
    """List every token that was made: whose, what it allows, whether it is valid, when it was last used.

    Example: breadthflow token list
    """
    from breadthflow_pipelines.warehouse.token_store import SHOWN, tokens

    rows = tokens(existing_store())
    if not rows:
        err.print("There is no token; breadthflow token create NAME makes one.")
    write_rows(rows, SHOWN, SHOWN[:8], shape, "Tokens")


@token_app.command("revoke")
def token_revoke(token_id: Annotated[str, typer.Argument(help="As breadthflow token list shows it.")]) -> None:
    """Have a token refused from now on.

    Example: breadthflow token revoke 0123456789ab
    """
    from breadthflow_pipelines.warehouse.audit_store import present_user
    from breadthflow_pipelines.warehouse.token_store import revoke

    revoke(existing_store(), token_id, present_user())
    err.print(f"Token {token_id} is refused from now on.", markup=False)
