"""The ``breadthflow`` command itself: its options, its errors, its exit status. Its commands are beside it."""

import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import Annotated

import typer

from breadthflow_pipelines.cli.display import err
from breadthflow_pipelines.errors import BreadthFlowError
from breadthflow_pipelines.setting_words import unknown_told
from breadthflow_pipelines.settings import get_settings, unknown_settings

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Market breadth, from daily bars to signals that can be explained.",
)
database_app = typer.Typer(no_args_is_help=True, help="The database itself.")
app.add_typer(database_app, name="db")

_debugging = {"on": False}


@app.callback()
def breadthflow(
    *, debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False
) -> None:
    """Market breadth, from daily bars to signals that can be explained."""
    from breadthflow_pipelines.observability.logs import configure

    _debugging["on"] = debug
    for name, nearest in unknown_settings().items():
        err.print(unknown_told(name, nearest), style="yellow", markup=False, soft_wrap=True)
    settings = get_settings()
    configure("DEBUG" if debug else settings.log_level or "WARNING", settings.log_format, settings.secrets)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command and end the process: 0 done, 1 failed, 2 wrong request, 3 unreachable."""
    try:
        app(args=arguments, prog_name="breadthflow")
    except BrokenPipeError:  # the reader of our output left
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except Exception as error:
        told = error if isinstance(error, BreadthFlowError) else _explained(error)
        if told is None or _debugging["on"]:
            raise
        with suppress(OSError):  # what it is written to may be what is full
            err.print(f"breadthflow: {told}", style="red", markup=False, soft_wrap=True)
        sys.exit(told.exit_status)


def _explained(error: Exception) -> BreadthFlowError | None:
    """The one line for what any library may raise, ours, Dagster's or SQLAlchemy's: a full disk, a missing right."""
    from breadthflow_pipelines.observability.disk import disk_full, full_disk
    from breadthflow_pipelines.warehouse.database import forbidden
    from breadthflow_pipelines.warehouse.embedded import EmbeddedServer
    from breadthflow_pipelines.warehouse.server_log import ran_out_of_space

    server = EmbeddedServer(get_settings().home)
    full = full_disk(error, server.home) or (disk_full(server.home) if ran_out_of_space(server.data) else None)
    return full or forbidden(error)
