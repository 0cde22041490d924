"""The processes of one `breadthflow up`, children of children included, found by a mark in their environment.

A process number may be used by another process by now, a parent may be dead and a session left; the environment that a
process was started with stays. No other process is ever ended.
"""

import signal
import time
from collections.abc import Callable, Iterable, Sequence

import psutil

MARK = "BREADTHFLOW_UP"  # the variable that holds the token of the `up` which a process belongs to
POLL_SECONDS = 0.1


def family(token: str) -> list[psutil.Process]:
    """The living processes that were started with that token."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get(MARK) == token:
                found.append(process)
        except (psutil.Error, OSError):  # of another user, or gone
            continue
    return found


def run_workers(processes: Iterable[psutil.Process]) -> list[psutil.Process]:
    """The processes among these that execute a run: the code server starts one for each."""
    found = []
    for process in processes:
        try:
            if is_run_worker(process):
                found.append(process)
        except psutil.Error:
            continue
    return found


def is_run_worker(process: psutil.Process) -> bool:
    """Whether it was started by Python's multiprocessing, as Dagster's code server starts runs.

    Raises:
        psutil.Error: it is gone, or may not be looked at.
    """
    return any("spawn_main" in part for part in process.cmdline())


def end(
    processes: Sequence[psutil.Process], seconds: float, hurried: Callable[[], bool] = lambda: False
) -> list[psutil.Process]:
    """Ask them to stop, wait, and kill those that do not within ``seconds`` or once ``hurried``; returns the killed."""
    for process in processes:
        _signal(process, signal.SIGTERM)
    left = wait(processes, seconds, hurried)
    for process in left:
        _signal(process, signal.SIGKILL)
    psutil.wait_procs(left, timeout=10)
    return left


def wait(
    processes: Sequence[psutil.Process], seconds: float, hurried: Callable[[], bool] = lambda: False
) -> list[psutil.Process]:
    """Wait for their ends for that long; returns those that still live."""
    deadline, left = time.monotonic() + seconds, list(processes)
    while left:
        _, left = psutil.wait_procs(left, timeout=POLL_SECONDS)
        if time.monotonic() > deadline or hurried():
            break
    return left


def _signal(process: psutil.Process, number: int) -> None:
    try:
        process.send_signal(number)  # psutil refuses where the number belongs to another process by now
    except psutil.Error:
        return
