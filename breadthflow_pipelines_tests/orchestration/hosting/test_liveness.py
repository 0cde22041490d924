"""Which runs are ended because their process is gone, and above all which are not."""

import datetime as dt
import json
import multiprocessing
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from multiprocessing.context import SpawnContext

import dagster as dg
import psutil
import pytest
from dagster._core.events import EngineEventData
from dagster._core.launcher import WorkerStatus
from dagster._core.storage.tags import GRPC_INFO_TAG

from breadthflow_pipelines.model.datasets import DAILY_JOB
from breadthflow_pipelines.orchestration.hosting import code_servers, liveness
from breadthflow_pipelines.orchestration.hosting.code_servers import CodeServers
from breadthflow_pipelines.orchestration.hosting.liveness import PROCESS_TAG, Maker, WatchedRunLauncher
from breadthflow_pipelines.orchestration.wiring import build
from breadthflow_pipelines.settings import get_settings
from breadthflow_pipelines_tests.conftest import free_port, wait_until
from breadthflow_pipelines_tests.orchestration.conftest import Store

SPAWN: SpawnContext = multiprocessing.get_context("spawn")
STARTED, STARTING, CANCELING = (
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.CANCELING,
)
NOT_STARTED = dg.DagsterRunStatus.NOT_STARTED
FAILURE, CANCELED = dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED
ON_A_SOCKET = {GRPC_INFO_TAG: json.dumps({"host": "localhost", "socket": "/nowhere/code-server.sock"})}
HERE = Maker.here()


@pytest.fixture
def living() -> Iterator[Maker]:
    """A process of this machine that lives, as a command writes itself down."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        yield maker(process.pid)
        process.kill()


@pytest.fixture
def worker() -> Iterator[int]:
    """The number of a process that Python's multiprocessing spawned, as the code server does for each run."""
    process = SPAWN.Process(target=time.sleep, args=(600,))
    process.start()
    assert process.pid is not None
    yield process.pid
    process.kill()
    process.join()


def maker(pid: int) -> Maker:
    born = liveness._born(pid)
    assert born
    return replace(HERE, pid=str(pid), born=born)


def gone() -> Maker:
    with subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE) as process:
        return maker(process.pid)  # gone when the block has ended


def made(
    store: Store,
    status: dg.DagsterRunStatus,
    process: Maker | None = None,
    *,
    launched: bool = False,
    said: int | None = None,
    repeats: str | None = None,
) -> str:
    """A run in the records. launched: by Dagster, behind a socket. said: the process number that it recorded.

    repeats: the run that it repeats.
    """
    job = build(get_settings()).resolve_job_def(DAILY_JOB)
    tags = {PROCESS_TAG: process.written()} if process else {}
    run = store.instance.create_run_for_job(
        job,
        status=status,
        tags={**tags, **(ON_A_SOCKET if launched else {})},
        parent_run_id=repeats,
        root_run_id=repeats,
    )
    if said is not None:
        store.instance.report_engine_event("Started process for run", run, EngineEventData.in_process(said))
    return run.run_id


def status(store: Store, run_id: str) -> dg.DagsterRunStatus:
    run = store.instance.get_run_by_id(run_id)
    assert run is not None
    return run.status


@pytest.mark.slow
def test_runs_of_commands_that_are_gone_are_ended_and_no_others(store: Store, living: Maker) -> None:
    kept = {
        "alive": made(store, STARTED, living),
        "of another machine": made(store, STARTED, replace(living, machine="elsewhere:1")),
        # the same machine by name, and numbers that mean other processes: a container beside this one
        "of another container": made(store, STARTED, replace(gone(), numbers="pid:[1]")),
        "of an earlier version": None,
        "of nobody": made(store, STARTED),
    }
    earlier = store.instance.create_run_for_job(
        build(get_settings()).resolve_job_def(DAILY_JOB), status=STARTED, tags={PROCESS_TAG: "host 12 34.5"}
    )
    kept["of an earlier version"] = earlier.run_id
    ended = {
        "killed": made(store, STARTED, gone()),
        "whose number is somebody else's": made(store, STARTED, replace(living, born=f"{living.born}0")),
        "before the power cut": made(store, STARTED, replace(living, boot="another")),
    }
    assert liveness.end_dead_runs(store.instance) == 3
    assert {name: status(store, str(run)) for name, run in kept.items()} == dict.fromkeys(kept, STARTED)
    assert {name: status(store, run) for name, run in ended.items()} == dict.fromkeys(ended, FAILURE)
    psutil.Process(int(living.pid)).kill()  # a zombie until its parent asks for it
    assert liveness.end_dead_runs(store.instance) == 1


def test_runs_that_dagster_launched_are_known_by_the_number_they_wrote_down(
    store: Store, worker: int, living: Maker
) -> None:
    kept = {
        "alive": made(store, STARTED, HERE, launched=True, said=worker),
        "of another machine": made(store, STARTED, replace(HERE, machine="elsewhere:1"), launched=True, said=worker),
        "of which nothing was heard": made(store, STARTED, HERE, launched=True),
    }
    ended = {
        "killed": made(store, STARTED, HERE, launched=True, said=int(gone().pid)),
        "whose number is no run's": made(store, STARTED, HERE, launched=True, said=int(living.pid)),
        "before the power cut": made(store, STARTED, replace(HERE, boot="another"), launched=True, said=worker),
    }
    assert liveness.end_dead_runs(store.instance) == 3
    assert {name: status(store, run) for name, run in kept.items()} == dict.fromkeys(kept, STARTED)
    assert {name: status(store, run) for name, run in ended.items()} == dict.fromkeys(ended, FAILURE)


def test_dead_run_that_was_to_be_canceled_is_canceled_and_a_living_one_left(
    store: Store, worker: int, living: Maker
) -> None:
    dead = made(store, CANCELING, gone())
    kept = [made(store, CANCELING, living), made(store, CANCELING, HERE, launched=True, said=worker)]
    assert liveness.end_dead_runs(store.instance) == 1
    assert status(store, dead) is CANCELED
    assert {status(store, run) for run in kept} == {CANCELING}


def test_slow_start_is_given_its_time(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    # What repeats the run of a dead command carries that command's tag until it is launched.
    dead = gone()
    repeated = made(store, FAILURE, dead)
    young = [made(store, state, dead, repeats=repeated) for state in (NOT_STARTED, STARTING)]
    assert liveness.end_dead_runs(store.instance) == 0
    silent = made(store, STARTING, HERE, launched=True)
    monkeypatch.setattr(liveness, "SLOW_START", -dt.timedelta(hours=1))  # all runs are older than any start takes
    assert liveness.end_dead_runs(store.instance) == 2
    assert {status(store, run) for run in young} == {FAILURE}
    assert status(store, silent) is STARTING  # the code server may be busy with it; Dagster's own limit ends it


def test_command_that_died_before_its_run_started_is_known_to_be_gone_at_once(store: Store, living: Maker) -> None:
    over = [made(store, state, gone()) for state in (NOT_STARTED, STARTING)]
    kept = [made(store, state, living) for state in (NOT_STARTED, STARTING)]
    assert liveness.end_dead_runs(store.instance) == 2
    assert {status(store, run) for run in over} == {FAILURE}
    assert [status(store, run) for run in kept] == [NOT_STARTED, STARTING]


def test_where_nobody_launches_what_was_to_start_is_over(store: Store, worker: int) -> None:
    over = [made(store, STARTING, HERE, launched=True), made(store, NOT_STARTED, gone())]
    kept = {
        "alive": made(store, STARTING, HERE, launched=True, said=worker),
        "of another machine": made(store, STARTING, replace(HERE, machine="elsewhere:1"), launched=True),
    }
    assert liveness.end_dead_runs(store.instance, nobody_launches=True) == 2
    assert {status(store, run) for run in over} == {FAILURE}
    assert [status(store, run) for run in kept.values()] == [STARTING, STARTING]


def test_next_command_ends_dead_runs(filled: Store, frozen: Callable[[dt.date], None]) -> None:
    frozen(dt.date(2024, 2, 15))
    dead = made(filled, STARTED, gone())
    filled.check("universe_has_members")
    assert status(filled, dead) is FAILURE


def test_monitoring_asks_the_launcher_of_dagster_yaml(store: Store, living: Maker) -> None:
    launcher = store.instance.run_launcher
    assert isinstance(launcher, WatchedRunLauncher)
    assert launcher.supports_check_run_worker_health
    healths = []
    for process in (living, gone(), replace(living, machine="elsewhere:1")):
        run = store.instance.get_run_by_id(made(store, STARTED, process))
        assert run is not None
        healths.append(launcher.check_run_worker_health(run).status)
    assert healths == [WorkerStatus.RUNNING, WorkerStatus.FAILED, WorkerStatus.RUNNING]


def at_port(store: Store, port: int, status: dg.DagsterRunStatus = STARTED) -> dg.DagsterRun:
    """A run of a code server in a container of its own."""
    tags = {GRPC_INFO_TAG: json.dumps({"host": "127.0.0.1", "port": port}), PROCESS_TAG: gone().written()}
    return store.instance.create_run_for_job(build(get_settings()).resolve_job_def(DAILY_JOB), status=status, tags=tags)


def test_runs_of_a_code_server_are_over_when_nothing_listens_there_for_longer_than_a_restart_takes(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = free_port()
    started, canceling = at_port(store, port), at_port(store, port, CANCELING)
    servers = CodeServers()
    clock = [100.0]
    monkeypatch.setattr(code_servers.time, "monotonic", lambda: clock[0])
    assert liveness.lives(store.instance, started, servers) is None  # it may be starting again
    clock[0] += 39
    assert liveness.lives(store.instance, started, servers) is None
    clock[0] += 2
    assert liveness.lives(store.instance, canceling, servers) is None
    assert liveness.lives(store.instance, started, servers) is False
    assert liveness.lives(store.instance, started, CodeServers()) is None  # another process begins to wait


def test_a_code_server_that_hangs_proves_nothing_and_its_silence_is_not_absence(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(code_servers, "ASK_SECONDS", 1)
    monkeypatch.setattr(code_servers, "GONE_AFTER", 0.0)
    with socket.create_server(("127.0.0.1", 0)) as hanging:  # it accepts connections and never says a word
        run = at_port(store, hanging.getsockname()[1])
        assert liveness.lives(store.instance, run, CodeServers()) is None
    assert liveness.lives(store.instance, run, CodeServers()) is False


def test_a_launched_run_is_terminated_though_its_code_server_is_gone(store: Store, worker: int) -> None:
    run = made(store, STARTED, HERE, launched=True, said=worker)
    assert store.instance.run_launcher.terminate(run)
    assert status(store, run) is CANCELING
    wait_until(lambda: psutil.Process(worker).status() == psutil.STATUS_ZOMBIE)  # it took the interrupt


def test_terminating_the_run_of_a_command_asks_that_command_to_stop(store: Store) -> None:
    run = made(store, STARTED, Maker.this_process())
    assert store.instance.run_launcher.terminate(run)
    assert status(store, run) is CANCELING
    assert not store.instance.run_launcher.terminate(made(store, STARTED, gone()))  # there is nobody to ask


@pytest.mark.parametrize(
    ("numbers", "longest"),
    [
        ("pid:[4026531836]", "86400"),  # the machine's own: its processes are seen by who looks for dead runs
        ("pid:[4026532999]", None),  # a container's
        ("-", "86400"),  # a system without name spaces
    ],
)
def test_command_may_last_longer_where_it_can_be_seen_to_live(
    numbers: str, longest: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(liveness, "_link", lambda _: numbers)
    tags = liveness.process_tags()
    assert tags.get("dagster/max_runtime") == longest
    assert Maker.read(tags[PROCESS_TAG]) == Maker.this_process()


def test_a_process_is_known_by_more_than_its_number() -> None:
    this = Maker.this_process()
    assert Maker.read(this.written()) == this
    assert this.pid == str(os.getpid())
    assert this.lives() is True
    process = SPAWN.Process(target=time.sleep, args=(600,))
    process.start()
    assert process.pid is not None
    other = maker(process.pid)
    assert other.lives() is True
    os.kill(process.pid, signal.SIGKILL)
    wait_until(lambda: psutil.Process(int(other.pid)).status() == psutil.STATUS_ZOMBIE)
    assert other.lives() is False
    process.join()
    assert other.lives() is False
