"""The command that serves the API and the page."""

from typing import Annotated

import typer

from breadthflow_pipelines.cli.app import app
from breadthflow_pipelines.cli.display import err
from breadthflow_pipelines.errors import RequestError
from breadthflow_pipelines.settings import get_settings

API_PORT = 8000
LOOPBACK = "127.0.0.1"


@app.command()
def serve(
    port: Annotated[int, typer.Option(min=1, max=65535)] = API_PORT,
    host: Annotated[str, typer.Option(help="Where to listen; wider than this machine only behind TLS.")] = LOOPBACK,
    *,
    without_tokens: Annotated[
        bool, typer.Option("--open", help="Ask for no token; only where nobody else reaches this machine's ports.")
    ] = False,
) -> None:
    """Serve the API and the page, until Ctrl-C.

    Example: breadthflow serve --port 8000
    """
    if without_tokens and host not in (LOOPBACK, "localhost", "::1"):
        raise RequestError(f"--open is only for this machine: leave --host {host} out, or --open.")
    from breadthflow_pipelines.api.server import run

    run(get_settings(), host, port, _say, without_tokens=without_tokens)


def _say(line: str) -> None:
    err.print(line, markup=False, soft_wrap=True)
