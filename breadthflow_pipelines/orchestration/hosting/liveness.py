"""Which runs are alive: each is identified by the process that executes it; a run whose process is gone is ended.

A command records its own process. A run that Dagster launches is a child of the code server: the launcher records the
machine, Dagster's own events have the process number; a code server in a container of its own is asked
(code_servers.py). A run that cannot be judged from here, such as a command of another machine, is left alone;
`max_runtime_seconds` of dagster.yaml ends it. Run monitoring asks every 15 seconds, through the launcher; the daemon
asks once before it begins.
"""

import datetime as dt
import json
import os
import signal
import socket
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
import psutil
from dagster._core.launcher import CheckRunHealthResult, DefaultRunLauncher, LaunchRunContext, WorkerStatus
from dagster._core.storage.tags import GRPC_INFO_TAG, MAX_RUNTIME_SECONDS_TAG
from dagster._serdes import ConfigurableClassData

from breadthflow_pipelines.observability.logs import log
from breadthflow_pipelines.orchestration.hosting.code_servers import CodeServers
from breadthflow_pipelines.orchestration.hosting.family import is_run_worker

PROCESS_TAG = "breadthflow/process"
GONE = "The process that made this run is gone: it was killed, or its machine went down."
SLOW_START = dt.timedelta(minutes=1)  # a younger run may not have recorded its process yet
CLOCK_SLACK = 300  # seconds by which two readings of a clock that was set in between may differ
LONGEST_COMMAND = "86400"  # seconds; those of dagster.yaml are for runs that Dagster launches
_OF_THE_MACHINE = f"pid:[{0xEFFFFFFC}]"  # Linux' first name space of process numbers; each container has another
_UNSAID = "-"
_UNFINISHED = [
    *(dg.DagsterRunStatus.NOT_STARTED, dg.DagsterRunStatus.STARTING),
    *(dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING),
]


@dataclass(frozen=True)
class Maker:
    """A process, identified for good: machine, boot, name space of process numbers, number, and when it began.

    A number alone is used again, and times by the clock move when the clock is set. Before a reboot, or in another
    container of this machine, the same number is another process.
    """

    machine: str
    boot: str
    numbers: str
    pid: str = _UNSAID
    born: str = _UNSAID

    @classmethod
    def here(cls) -> "Maker":
        """This machine, without a process."""
        identity = _text("/etc/machine-id")[:12]
        return cls(
            machine=f"{socket.gethostname()}:{identity}",
            boot=_text("/proc/sys/kernel/random/boot_id") or _UNSAID,
            numbers=_link("/proc/self/ns/pid"),
        )

    @classmethod
    def this_process(cls) -> "Maker":
        here = cls.here()
        return cls(here.machine, here.boot, here.numbers, str(os.getpid()), _born(os.getpid()) or _UNSAID)

    @classmethod
    def read(cls, tag: str) -> "Maker | None":
        parts = tag.split(" ")
        return cls(*parts) if len(parts) == len(cls.__dataclass_fields__) else None

    def written(self) -> str:
        return " ".join((self.machine, self.boot, self.numbers, self.pid, self.born))

    @property
    def is_in_a_container(self) -> bool:
        """Whether only processes of one container can see it."""
        return self.numbers not in (_OF_THE_MACHINE, _UNSAID)

    def is_of_this_boot(self) -> bool | None:
        """Whether its process could be seen from here; False: the machine was restarted; None: unknown."""
        here = Maker.here()
        if self.machine != here.machine:
            return None
        if self.boot != here.boot:
            return False
        return True if self.numbers == here.numbers else None

    def lives(self) -> bool | None:
        """Whether the process is alive; None where that cannot be seen from here."""
        seen = self.is_of_this_boot()
        if not seen or not self.pid.isdigit():
            return False if seen is False else None
        try:
            os.kill(int(self.pid), 0)
        except ProcessLookupError:
            return False
        except PermissionError:  # of another user; its start may not be readable either
            pass
        born = _born(int(self.pid))
        return None if born is None else born == self.born


def process_tags() -> dict[str, str]:
    """The tags of a run that this process executes. It may last a day where its process can be seen."""
    maker = Maker.this_process()
    tags = {PROCESS_TAG: maker.written()}
    return tags if maker.is_in_a_container else {**tags, MAX_RUNTIME_SECONDS_TAG: LONGEST_COMMAND}


def lives(instance: dg.DagsterInstance, run: dg.DagsterRun, servers: CodeServers) -> bool | None:
    """Whether a run's process is alive; None where that cannot be known from here, or not yet."""
    if GRPC_INFO_TAG not in run.tags:
        maker = Maker.read(run.tags.get(PROCESS_TAG, ""))
        return maker.lives() if maker else None
    if _on_a_socket(run):
        return _worker_lives(instance, run)
    return servers.run(json.loads(run.tags[GRPC_INFO_TAG]), run)


def end_dead_runs(instance: dg.DagsterInstance, *, nobody_launches: bool = False) -> int:
    """End runs whose process is gone; returns how many.

    nobody_launches: no daemon works, so a run that is starting, and that has recorded nothing yet, never will start.
    """
    ended, servers = 0, CodeServers()
    for record in instance.get_run_records(dg.RunsFilter(statuses=_UNFINISHED)):
        run = record.dagster_run
        begun = run.status in (dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING)
        young = dt.datetime.now(dt.UTC) - record.create_timestamp < SLOW_START and not _says_whose(run)
        living = None if not begun and young and not nobody_launches else lives(instance, run, servers)
        if living is None and nobody_launches and not begun and _launched_here(run):
            living = False
        if living is False:
            _end(instance, run)
            ended += 1
    return ended


def _says_whose(run: dg.DagsterRun) -> bool:
    """Whether a run has named its process since it was made: a command's, unless it repeats one and has its tags."""
    maker = Maker.read(run.tags.get(PROCESS_TAG, ""))
    return maker is not None and maker.pid.isdigit() and run.parent_run_id is None


class WatchedRunLauncher(DefaultRunLauncher):
    """dagster.yaml's launcher: Dagster's own, with a health check of its runs and of those of commands."""

    def __init__(self, inst_data: ConfigurableClassData | None = None) -> None:
        super().__init__(inst_data)
        self._servers = CodeServers()

    @property
    def supports_check_run_worker_health(self) -> bool:
        return True

    def check_run_worker_health(self, run: dg.DagsterRun) -> CheckRunHealthResult:
        if lives(self._instance, run, self._servers) is False:
            return CheckRunHealthResult(WorkerStatus.FAILED, GONE)
        return CheckRunHealthResult(WorkerStatus.RUNNING)

    def launch_run(self, context: LaunchRunContext) -> None:
        run = context.dagster_run
        tags = {PROCESS_TAG: Maker.here().written()}
        if PROCESS_TAG in run.tags:  # copied from the run of a command that this one repeats
            tags[MAX_RUNTIME_SECONDS_TAG] = str(self._instance.run_monitoring_max_runtime_seconds)
        self._instance.add_run_tags(run.run_id, tags)
        super().launch_run(context)

    def terminate(self, run_id: str) -> bool:
        run = self._instance.get_run_by_id(run_id)
        if run is None or run.is_finished:
            return bool(super().terminate(run_id))  # type: ignore[no-untyped-call]
        if _is_a_living_commands(run):  # which looks for that state, on whichever machine (execution.py)
            self._instance.report_run_canceling(run)
            return True
        worker = _worker(self._instance, run)
        if worker is not None and worker.lives():
            self._instance.report_run_canceling(run)
            os.kill(worker.pid, signal.SIGINT)  # as its code server does, which may have been started again since
            return True
        return bool(super().terminate(run_id))  # type: ignore[no-untyped-call]


@dataclass(frozen=True)
class _Worker:
    """The process of a launched run. said_at: when it recorded its number."""

    pid: int
    said_at: float

    def lives(self) -> bool:
        """Whether that number is still the worker's."""
        try:
            process = psutil.Process(self.pid)
            return process.create_time() <= self.said_at + CLOCK_SLACK and is_run_worker(process)
        except psutil.AccessDenied:  # there is one, of another user
            return True
        except psutil.Error:
            return False


def _worker(instance: dg.DagsterInstance, run: dg.DagsterRun) -> _Worker | None:
    """The process that a run recorded in the events; None where its number means nothing here, or not yet."""
    if not _on_a_socket(run) or not _launched_here(run):
        return None
    for entry in instance.all_logs(run.run_id, of_type=dg.DagsterEventType.ENGINE_EVENT):
        event = entry.dagster_event
        pid = event.engine_event_data.metadata.get("pid") if event and event.event_specific_data else None
        if pid is not None:
            return _Worker(int(str(pid.value)), entry.timestamp)
    return None


def _worker_lives(instance: dg.DagsterInstance, run: dg.DagsterRun) -> bool | None:
    maker = Maker.read(run.tags.get(PROCESS_TAG, ""))
    seen = maker.is_of_this_boot() if maker else None
    if not seen:
        return seen
    worker = _worker(instance, run)
    return None if worker is None else worker.lives()


def _on_a_socket(run: dg.DagsterRun) -> bool:
    """Whether its code server is on this machine, behind a socket, and not in a container of its own."""
    return "socket" in json.loads(run.tags.get(GRPC_INFO_TAG, "{}"))


def _is_a_living_commands(run: dg.DagsterRun) -> bool:
    maker = Maker.read(run.tags.get(PROCESS_TAG, "")) if GRPC_INFO_TAG not in run.tags else None
    return maker is not None and maker.lives() is not False


def _launched_here(run: dg.DagsterRun) -> bool:
    maker = Maker.read(run.tags.get(PROCESS_TAG, ""))
    return maker is not None and maker.is_of_this_boot() is True


def _end(instance: dg.DagsterInstance, run: dg.DagsterRun) -> None:
    if run.status is dg.DagsterRunStatus.CANCELING:
        instance.report_run_canceled(run, GONE)
    else:
        instance.report_run_failed(run, GONE)
    log.warning("dead_run_ended", run_id=run.run_id)


def _born(pid: int) -> str | None:
    """When a process began, whatever the clock is set to; empty if it is dead, None where it cannot be seen."""
    try:
        after_its_name = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return "" if after_its_name[0] in "ZX" else after_its_name[19]  # in ticks since the boot
    except OSError:
        pass
    try:
        process = psutil.Process(pid)
        return "" if process.status() == psutil.STATUS_ZOMBIE else str(process.create_time())
    except psutil.Error:
        return None


def _text(path: str) -> str:
    try:
        return Path(path).read_text().strip()
    except OSError:
        return ""


def _link(path: str) -> str:
    try:
        return str(Path(path).readlink())
    except OSError:
        return _UNSAID
