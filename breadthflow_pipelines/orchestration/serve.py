"""The UI and the daemon as two child processes: started together, watched, stopped together."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

from breadthflow_pipelines.errors import RequestError
from breadthflow_pipelines.orchestration.instance import WORKSPACE, configuration_file, prepare_dagster_home
from breadthflow_pipelines.settings import Settings

HOST = "127.0.0.1"
START_SECONDS = 120
STOP_SECONDS = 20
POLL_SECONDS = 0.5


def serve(settings: Settings, port: int, say: Callable[[str], None]) -> int:
    """Keep the UI and the daemon running until Ctrl-C, SIGTERM or the end of one of them; returns the exit status.

    Raises:
        RequestError: the port is taken.
    """
    _refuse_taken(port)
    home = prepare_dagster_home(settings)
    programs = Path(sys.executable).parent
    workspace = ["-w", str(configuration_file(WORKSPACE))]
    commands = {
        "webserver": [programs / "dagster-webserver", "-h", HOST, "-p", str(port), *workspace],
        "daemon": [programs / "dagster-daemon", "run", *workspace],
    }
    stopped = {"by": 0}
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda received, _: stopped.update(by=received))
    children: dict[str, subprocess.Popen[bytes]] = {}
    try:
        for name, command in commands.items():
            with (home / f"{name}.log").open("ab") as log:
                # A session of its own: Ctrl-C in the terminal reaches us alone, and we end the children in order.
                children[name] = subprocess.Popen(  # noqa: S603 - our own programs, no shell
                    [str(part) for part in command], stdout=log, stderr=log, cwd=home, start_new_session=True
                )
        say(f"Starting the Dagster UI and the daemon; their logs are in {home}.")
        return _watch(children, port, stopped, say, home)
    finally:
        for name, child in reversed(children.items()):
            _stop(child)
            say(f"The {name} stopped.")


def _watch(
    children: dict[str, "subprocess.Popen[bytes]"],
    port: int,
    stopped: dict[str, int],
    say: Callable[[str], None],
    home: Path,
) -> int:
    began, announced = time.monotonic(), False
    while not stopped["by"]:
        for name, child in children.items():
            if child.poll() is not None:
                say(f"The {name} ended by itself (status {child.returncode}); the reason is in {home / f'{name}.log'}.")
                return 1
        if not announced and _answers(port):
            say(f"Dagster UI: http://{HOST}:{port}  (Ctrl-C stops everything)")
            announced = True
        if not announced and time.monotonic() - began > START_SECONDS:
            say(f"The UI does not answer after {START_SECONDS} s; the reason is in {home / 'webserver.log'}.")
            return 1
        time.sleep(POLL_SECONDS)
    return 0


def _answers(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://{HOST}:{port}/server_info", timeout=2) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def _refuse_taken(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            raise RequestError(f"Port {port} is taken; choose another: breadthflow up --port {port + 1}") from None


def _stop(child: "subprocess.Popen[bytes]") -> None:
    if child.poll() is None:
        child.terminate()
    try:
        child.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()
    # Dagster's processes start code servers of their own; whatever is left of the session goes too.
    try:
        os.killpg(child.pid, signal.SIGTERM)
    except ProcessLookupError:
        return
