"""The ``breadthflow`` command itself: its options, its errors, its exit status. Its commands are beside it."""

import os
import sys
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Annotated, Any, TypeVar

import typer
from typer.core import TyperCommand

from breadthflow_pipelines.cli.display import err
from breadthflow_pipelines.cli.store import current_settings
from breadthflow_pipelines.errors import BreadthFlowError, RequestError

_PRINTING = {"rich.console", "click.utils", "typer.rich_utils", "breadthflow_pipelines.cli.display"}
_Function = TypeVar("_Function", bound=Callable[..., Any])


class Command(TyperCommand):
    """A command that reads settings when it runs, and refuses empty options, as of a variable that is not set."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """As click does; an empty option would be taken for none, or for a name that nothing has.

        Raises:
            RequestError: an option is empty; says what it takes.
        """
        left = super().parse_args(ctx, args)
        for option in self.params:
            value = ctx.params.get(option.name)
            empty = option.param_type_name == "option" and isinstance(value, str) and not value.strip()
            source = ctx.get_parameter_source(option.name)
            # Why a reason is needed, whoever asks for one says.
            if empty and option.name != "reason" and source is not None and source.name == "COMMANDLINE":
                leave = "" if option.required else "leave it out, or "
                takes = str(getattr(option, "help", None) or "").rstrip(".")
                raise RequestError(
                    f"{option.opts[-1]} is empty: {leave}give it a value{f' ({takes})' if takes else ''}."
                )
        return left

    def invoke(self, ctx: Any) -> Any:
        """As click does, which --help does not come to: it needs no settings, and answers where they are wrong."""
        _set_up()
        return super().invoke(ctx)


class Application(typer.Typer):
    """Commands, each a Command."""

    def command(self, name: str | None = None, **options: Any) -> Callable[[_Function], _Function]:
        """As Typer's."""
        return super().command(name, **{"cls": Command, **options})


app = Application(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Market breadth, from daily bars to signals that can be explained.",
)
database_app = Application(no_args_is_help=True, help="The database itself.")
app.add_typer(database_app, name="db")

_debugging = {"on": False}


@app.callback()
def breadthflow(
    *, debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False
) -> None:
    """Market breadth, from daily bars to signals that can be explained."""
    _debugging["on"] = debug


def _set_up() -> None:
    """Name settings that nobody knows, and begin to log as those say that are known."""
    from breadthflow_pipelines.observability.logs import configure
    from breadthflow_pipelines.setting_words import unknown_told
    from breadthflow_pipelines.settings import unknown_settings

    for name, nearest in unknown_settings().items():
        err.print(unknown_told(name, nearest), style="yellow", markup=False, soft_wrap=True)
    settings = current_settings()
    configure("DEBUG" if _debugging["on"] else settings.log_level or "WARNING", settings.log_format, settings.secrets)


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


def _was_output(error: OSError) -> bool:
    """Whether what could not be written was printed."""
    modules = {frame.f_globals["__name__"] for frame, _ in traceback.walk_tb(error.__traceback__)}
    return error.filename is None and not modules.isdisjoint(_PRINTING)


def _explained(error: Exception) -> BreadthFlowError | None:
    """The one line for what any library may raise, ours, Dagster's or SQLAlchemy's: a full disk, a missing right."""
    from breadthflow_pipelines.observability.disk import FULL, disk_full, full_disk
    from breadthflow_pipelines.warehouse.embedded import EmbeddedServer
    from breadthflow_pipelines.warehouse.failures import forbidden
    from breadthflow_pipelines.warehouse.server_log import ran_out_of_space

    if isinstance(error, OSError) and error.errno in FULL and _was_output(error):
        return disk_full("what the output is written to")
    server = EmbeddedServer(current_settings().home)
    full = full_disk(error, server.home) or (disk_full(server.home) if ran_out_of_space(server.data) else None)
    return full or forbidden(error)
