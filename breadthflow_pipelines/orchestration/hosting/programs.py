"""Dagster's programs as `breadthflow up` starts them: `python -m breadthflow_pipelines.orchestration.hosting.programs`.

Each is Dagster's own, with something done first: everything is imported in one go, the webserver waits for the code
server only after that, so that the two come up side by side, and refuses what pages of other sites ask for, and the
daemon ends dead runs before it launches any.
"""

from __future__ import annotations

import gc
import importlib
import sys
import time
from collections.abc import Callable, Sequence
from functools import wraps
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from breadthflow_pipelines.orchestration.hosting.own_pages import App

MODULE = __name__ if __name__ != "__main__" else "breadthflow_pipelines.orchestration.hosting.programs"
CODE_SERVER, WEBSERVER, DAEMON = "code-server", "webserver", "daemon"
DEFINITIONS = "breadthflow_pipelines.definitions"
WAIT_SECONDS = 120  # for the code server; after that the UI starts without it, and says why there is no code


def code_server_serves(socket: str, seconds: float = 5) -> bool:
    """Whether the code server behind that socket takes requests; a hung one does not answer in time."""
    import grpc
    from grpc_health.v1 import health_pb2, health_pb2_grpc

    with grpc.insecure_channel(f"unix:{socket}") as channel:
        try:
            request = health_pb2.HealthCheckRequest(service="DagsterApi")
            answer = health_pb2_grpc.HealthStub(channel).Check(request, timeout=seconds)
        except grpc.RpcError:
            return False
    return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)


def main(arguments: Sequence[str]) -> None:
    """Be one of the programs. arguments: which, the code server's socket, what Dagster's program is given."""
    which, socket, *given = arguments
    if which == CODE_SERVER:
        run = _loaded("dagster", DEFINITIONS, "dagster._grpc.server")
    elif which == WEBSERVER:
        run = _loaded("dagster-webserver")
        _guard_the_webserver()
        _wait_for(socket)
    else:
        run = _loaded("dagster-daemon")
        _end_dead_runs()
    sys.argv = [which, *given]
    run()


def _loaded(program: str, *modules: str) -> Callable[[], None]:
    """Dagster's program, with all that it needs in memory.

    None of it is garbage: looking for some would take a sixth of the time, now and in every later collection.
    """
    gc.disable()
    (script,) = entry_points(group="console_scripts", name=program)
    run: Callable[[], None] = script.load()
    for module in modules:
        importlib.import_module(module)
    gc.freeze()
    gc.enable()
    return run


def _guard_the_webserver() -> None:
    """Let the webserver refuse what pages of other sites ask for."""
    import dagster_webserver.cli

    from breadthflow_pipelines.orchestration.hosting.own_pages import own_pages_only
    from breadthflow_pipelines.settings import get_settings

    cli: Any = dagster_webserver.cli  # where its program looks for it
    theirs, proxied = cli.create_app_from_workspace_process_context, get_settings().user_header is not None

    @wraps(theirs)
    def create(*given: Any, **named: Any) -> App:
        return own_pages_only(theirs(*given, **named), proxied=proxied)

    cli.create_app_from_workspace_process_context = create


def _wait_for(socket: str) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while not code_server_serves(socket) and time.monotonic() < deadline:
        time.sleep(0.1)


def _end_dead_runs() -> None:
    from breadthflow_pipelines.orchestration.hosting.instance import dagster_instance
    from breadthflow_pipelines.orchestration.hosting.liveness import end_dead_runs
    from breadthflow_pipelines.settings import get_settings

    with dagster_instance(get_settings()) as instance:
        end_dead_runs(instance, nobody_launches=True)


if __name__ == "__main__":
    main(sys.argv[1:])
