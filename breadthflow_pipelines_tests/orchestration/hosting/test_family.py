"""The processes of one `up` are found wherever they are, and no others."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack

import psutil
import pytest

from breadthflow_pipelines.orchestration.hosting.family import MARK, end, family, run_workers
from breadthflow_pipelines_tests.conftest import start_python, wait_until

SLEEPS = "import time; time.sleep(600)"
# Its own session, an orphan within a moment, as a run worker is whose code server was killed.
ORPHANS = "import subprocess, sys; subprocess.Popen([sys.executable, '-c', sys.argv[1]], start_new_session=True)"
DEAF = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(600)"
WORKS = (
    "import multiprocessing, time; spawn = multiprocessing.get_context('spawn'); "
    "p = spawn.Process(target=time.sleep, args=(600,)); p.start(); print(p.pid, flush=True); p.join()"
)


@pytest.fixture
def token() -> Iterator[str]:
    name = f"test-{os.getpid()}"
    yield name
    for process in family(name):
        process.kill()


def marked(token: str) -> dict[str, str]:
    return {**os.environ, MARK: token}


def test_children_and_orphans_are_found_and_others_are_not(token: str) -> None:
    with ExitStack() as stack:
        child = stack.enter_context(start_python(SLEEPS, env=marked(token)))
        stranger = stack.enter_context(start_python(SLEEPS, env=marked(f"{token}-other")))
        subprocess.run([sys.executable, "-c", ORPHANS, SLEEPS], env=marked(token), check=True)
        wait_until(lambda: len(family(token)) == 2)
        found = {process.pid for process in family(token)}
        assert child.pid in found
        assert stranger.pid not in found
        assert os.getpid() not in found
        (orphan,) = found - {child.pid}
        assert psutil.Process(orphan).ppid() != os.getpid()
        assert end(family(token), 20) == []
        assert family(token) == []
        assert stranger.poll() is None
        stranger.kill()


def test_workers_of_runs_are_told_from_what_else_there_is(token: str) -> None:
    with start_python(WORKS, env=marked(token)) as server:
        assert server.stdout is not None
        worker = int(server.stdout.readline())
        wait_until(lambda: run_workers(family(token)))  # it has a number before it has its own command line
        assert [process.pid for process in run_workers(family(token))] == [worker]
        os.kill(worker, signal.SIGKILL)
        server.communicate(timeout=20)


@pytest.mark.parametrize(
    ("seconds", "hurried"),
    [
        (0.2, False),  # the limit is over
        (600, True),  # a second request to stop
    ],
)
def test_what_does_not_listen_is_killed_and_said_to_have_been(token: str, seconds: float, hurried: bool) -> None:
    with start_python(DEAF, env=marked(token)) as deaf:
        assert deaf.stdout is not None
        deaf.stdout.readline()
        assert [process.pid for process in end(family(token), seconds, lambda: hurried)] == [deaf.pid]
        assert family(token) == []
