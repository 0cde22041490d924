"""Runs on a real cluster: a scheduler and workers as processes on loopback, and what becomes of a run when one dies."""

import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import psycopg2
import pytest
import yaml

from breadthflow_pipelines.errors import UnreachableError
from breadthflow_pipelines.orchestration import cluster, retries
from breadthflow_pipelines.orchestration.assets import price_indicators
from breadthflow_pipelines.orchestration.fanout import spread
from breadthflow_pipelines.settings import get_settings
from breadthflow_pipelines.sources import file_batches
from breadthflow_pipelines.warehouse.database import Database
from breadthflow_pipelines_tests.conftest import free_port, wait_until
from breadthflow_pipelines_tests.orchestration.conftest import Contents, Store, assert_same
from breadthflow_pipelines_tests.orchestration.small_market import FIRST, LAST
from breadthflow_pipelines_tests.orchestration.test_fanout import Noted
from breadthflow_pipelines_tests.orchestration.test_restatements import closes, scale

pytestmark = pytest.mark.slow

COMPOSE = yaml.safe_load((Path(__file__).resolve().parents[2] / "docker" / "compose.yaml").read_text())
LIMITS: dict[str, str] = {
    name: value for name, value in COMPOSE["services"]["scheduler"]["environment"].items() if "DASK" in name
}
SILENCE = {"DASK_DISTRIBUTED__SCHEDULER__WORKER_TTL": "15s"}  # shorter than in compose.yaml: somebody waits for it
PRELOADED = COMPOSE["services"]["scheduler"]["command"][-2:]
PATIENCE = 300  # seconds: each worker imports for some, and more on a busy machine
PROGRAMS = Path(sys.executable).parent
BACKFILL = [PROGRAMS / "breadthflow", "backfill", "--from", str(FIRST), "--to", str(LAST)]


class Cluster:
    """A scheduler on a port of its own, and workers, in the environment of the process that starts it.

    tls: all of it speaks TLS with the authority's certificate, and one certificate with its key for everybody.
    """

    def __init__(self, logs: Path, tls: tuple[Path, Path, Path] | None = None) -> None:
        self._logs = logs
        self._tls = (
            []
            if tls is None
            else [f"--tls-{name}={path}" for name, path in zip(("ca-file", "cert", "key"), tls, strict=True)]
        )
        self._environment = {**os.environ, "DASK_TEMPORARY_DIRECTORY": str(logs)}
        self._port = free_port()
        self._processes: list[subprocess.Popen[bytes]] = []
        self.address = f"{'tls' if tls else 'tcp'}://127.0.0.1:{self._port}"
        self.scheduler = self.start_scheduler()

    def start_scheduler(self) -> "subprocess.Popen[bytes]":
        own = ("--port", str(self._port), "--dashboard-address", "127.0.0.1:0", *PRELOADED)
        scheduler = self._start("scheduler", *own, **{**LIMITS, **SILENCE})
        wait_until(self._answers, PATIENCE)
        return scheduler

    def start_workers(self, number: int, **environment: str) -> list["subprocess.Popen[bytes]"]:
        """Start so many; returns when the scheduler knows them."""
        known = self.log().count("Registered to")
        workers = [self._start_worker(**environment) for _ in range(number)]
        wait_until(lambda: self.log().count("Registered to") == known + number, PATIENCE)
        return workers

    def _start_worker(self, **environment: str) -> "subprocess.Popen[bytes]":
        other = {"127.0.0.1:8787": "127.0.0.1:0", "/tmp": str(self._logs)}  # noqa: S108 - the container's
        own = [other.get(argument, argument) for argument in COMPOSE["services"]["worker"]["command"][3:]]
        return self._start("worker", self.address, *own, **environment)

    def _answers(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self._port)) == 0

    def log(self) -> str:
        return "".join(path.read_text() for path in sorted(self._logs.glob("*.log")))

    def stop(self) -> None:
        for process in self._processes:
            process.kill()
            process.wait()

    def _start(self, kind: str, *arguments: str, **environment: str) -> "subprocess.Popen[bytes]":
        host = self.address.rpartition(":")[0] if kind == "scheduler" else "127.0.0.1"
        command = [PROGRAMS / "dask", kind, *arguments, "--host", host, *self._tls]
        with (self._logs / f"{len(self._processes)}-{kind}.log").open("w") as log:
            process = subprocess.Popen(command, env={**self._environment, **environment}, stdout=log, stderr=log)
        self._processes.append(process)
        return process


@pytest.fixture
def on_cluster(filled: Store, cluster_of_store: Cluster) -> Cluster:
    """A filled store whose settings name a scheduler; members have no indicators and no signals."""
    filled.execute("DELETE FROM price_indicators", "DELETE FROM symbol_signals")
    return cluster_of_store


@pytest.fixture
def cluster_of_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    """A scheduler that the settings name, in the environment of the store, which is asked for first; small pieces."""
    monkeypatch.setattr(price_indicators, "SHARD_BARS", 300)  # a security or two
    monkeypatch.setattr(file_batches, "CHUNK_FILES", 3)  # of sixteen
    logs = tmp_path / "cluster"
    logs.mkdir()
    started = Cluster(logs)
    monkeypatch.setenv("BREADTHFLOW_CLUSTER", started.address)
    get_settings.cache_clear()
    yield started
    started.stop()


class Blocker:
    """Keeps everybody from writing indicators of members, until it is released."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._connection = psycopg2.connect(store.database.url)
        self._connection.cursor().execute("LOCK TABLE price_indicators IN SHARE MODE")

    def waiting(self, event: str = "relation") -> int:
        """How many wait for this lock, or, with ``advisory``, for each other."""
        query = (
            "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND wait_event = %s "
            "AND datname = current_database()"
        )
        return int(self._store.rows(query, event)[0][0])

    def release(self) -> None:
        self._connection.close()


@contextmanager
def meanwhile(store: Store, writers: int, work: Callable[[Blocker], None]) -> Iterator[None]:
    """Run the block, and when so many pieces are about to write, ``work``; they write when that is done."""
    blocker = Blocker(store)

    def interfere() -> None:
        try:
            wait_until(lambda: blocker.waiting() == writers, PATIENCE)
            work(blocker)
        finally:
            blocker.release()

    with ThreadPoolExecutor(max_workers=1) as threads:
        interfering: Future[None] = threads.submit(interfere)
        yield
        interfering.result()


def retried(store: Store) -> list[str]:
    """The steps of the last run that were tried again."""
    run = store.instance.get_runs(limit=1)[0]
    return [
        str(log.dagster_event.step_key)
        for log in store.instance.all_logs(run.run_id)
        if log.dagster_event and log.dagster_event.event_type_value == "STEP_UP_FOR_RETRY"
    ]


def test_two_workers_write_side_by_side_what_one_process_writes(
    on_cluster: Cluster, filled: Store, one_shot: Contents
) -> None:
    on_cluster.start_workers(2)
    # Two are at the same lock of the table at the same time: neither waits for the other's merge.
    with meanwhile(filled, 2, lambda _: None):
        report = filled.run()
    assert report.exit_status == 0, f"{report.trouble}\n{on_cluster.log()}"
    assert_same(filled.contents(), one_shot)
    assert retried(filled) == []


def test_two_workers_read_the_files_and_fill_an_empty_store_as_one_process_does(
    store: Store, cluster_of_store: Cluster, one_shot: Contents
) -> None:
    cluster_of_store.start_workers(2)
    report = store.run()
    assert report.exit_status == 0, f"{report.trouble}\n{cluster_of_store.log()}"
    assert_same(store.contents(), one_shot)
    assert store.metadata("bars")["rows_read"] == sum(map(len, store.small.rows.values()))
    assert len(report.problems) == 0
    assert store.run().rows_changed == 0


def test_a_history_that_a_worker_finds_on_another_scale_is_fetched_again_by_the_run(
    filled: Store, cluster_of_store: Cluster
) -> None:
    cluster_of_store.start_workers(2)
    before = closes(filled, "AAA")
    scale(filled.small, "AAA", 2.0)
    report = filled.run()
    assert (report.exit_status, report.restated, report.problems) == (0, 1, ()), cluster_of_store.log()
    assert closes(filled, "AAA") == {day: close * 2 for day, close in before.items()}
    assert filled.rows("SELECT count(*) FROM restatements WHERE applied_at IS NULL") == [(0,)]


def test_a_worker_that_reaches_other_files_refuses_and_writes_nothing(
    store: Store, cluster_of_store: Cluster, tmp_path: Path
) -> None:
    elsewhere = tmp_path / "elsewhere"
    shutil.copytree(store.small.bars, elsewhere)
    for file in elsewhere.iterdir():  # of one that is the same, the worker may read what the run would
        file.touch()
    cluster_of_store.start_workers(1, BREADTHFLOW_SOURCE_PATH=str(elsewhere))
    report = store.run()
    assert report.exit_status == 2
    assert "is not the file that the run reads" in str(report.trouble)
    assert store.rows("SELECT count(*) FROM bars") == [(0,)]


def test_a_worker_that_is_killed_costs_the_run_nothing_but_time(
    on_cluster: Cluster, filled: Store, one_shot: Contents
) -> None:
    dying, _ = on_cluster.start_workers(2)
    with meanwhile(filled, 2, lambda _: dying.kill()):
        report = filled.run()
    assert report.exit_status == 0, f"{report.trouble}\n{on_cluster.log()}"
    assert dying.wait() == -signal.SIGKILL
    assert_same(filled.contents(), one_shot)
    assert retried(filled) == []


def test_a_worker_that_freezes_and_thaws_leaves_the_same_tables(
    on_cluster: Cluster, filled: Store, one_shot: Contents
) -> None:
    frozen, _ = on_cluster.start_workers(2)

    def freeze(blocker: Blocker) -> None:
        frozen.send_signal(signal.SIGSTOP)
        blocker.release()
        # The other worker is given its piece, and waits for the transaction that is frozen with it.
        wait_until(lambda: blocker.waiting("advisory") == 1, PATIENCE)
        frozen.send_signal(signal.SIGCONT)

    with meanwhile(filled, 2, freeze):
        report = filled.run()
    assert report.exit_status == 0, f"{report.trouble}\n{on_cluster.log()}"
    assert_same(filled.contents(), one_shot)


def test_a_scheduler_that_is_killed_and_comes_back_costs_a_retry(
    on_cluster: Cluster, filled: Store, one_shot: Contents
) -> None:
    on_cluster.start_workers(1)

    def kill(_: Blocker) -> None:
        on_cluster.scheduler.kill()
        on_cluster.scheduler.wait()
        on_cluster.start_scheduler()
        on_cluster.start_workers(1)

    with meanwhile(filled, 1, kill):
        report = filled.run()
    assert report.exit_status == 0, f"{report.trouble}\n{on_cluster.log()}"
    assert retried(filled) == ["price_indicators"]
    assert_same(filled.contents(), one_shot)


def test_the_run_after_one_that_was_killed_waits_for_its_pieces(
    on_cluster: Cluster, filled: Store, one_shot: Contents, monkeypatch: pytest.MonkeyPatch
) -> None:
    on_cluster.start_workers(1)
    blocker = Blocker(filled)
    killed = subprocess.Popen(BACKFILL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_until(lambda: blocker.waiting() == 1, PATIENCE)
    killed.kill()
    killed.wait()

    def release(_: Blocker) -> None:
        wait_until(lambda: blocker.waiting("advisory") == 1, PATIENCE)
        assert blocker.waiting() == 1
        blocker.release()

    monkeypatch.delenv("BREADTHFLOW_CLUSTER")  # a run in one process waits for them as well
    get_settings.cache_clear()
    with ThreadPoolExecutor(max_workers=1) as threads:
        releasing = threads.submit(release, blocker)
        report = filled.run()
        releasing.result()
    assert report.exit_status == 0, f"{report.trouble}\n{on_cluster.log()}"
    assert_same(filled.contents(), one_shot)


def test_a_worker_of_another_store_refuses_and_writes_nothing(
    on_cluster: Cluster, filled: Store, database: Database
) -> None:
    on_cluster.start_workers(1, BREADTHFLOW_DATABASE_URL=database.url)
    report = filled.run()
    assert report.exit_status == 2
    assert "another environment than this run and wrote nothing: its store is database" in str(report.trouble)
    with database.connect() as connection, connection.cursor() as cursor:
        cursor.execute("SELECT (SELECT count(*) FROM price_indicators) + (SELECT count(*) FROM symbol_signals)")
        assert cursor.fetchone() == (0,)
    assert filled.rows("SELECT count(*) FROM price_indicators") == [(0,)]


def test_a_cluster_without_workers_ends_the_run_within_its_limit(
    on_cluster: Cluster, filled: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "NO_WORKER_SECONDS", 2.0)
    monkeypatch.setattr(retries, "RETRY", retries.RETRY._replace(max_retries=0))
    report = filled.run()
    assert report.exit_status == 3
    assert f"The cluster at {on_cluster.address} has had no workers for 2 seconds" in str(report.trouble)
    assert report.seconds < 60


def test_workers_that_are_all_lost_end_the_run_within_the_limit(
    on_cluster: Cluster, filled: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "NO_WORKER_SECONDS", 2.0)
    monkeypatch.setattr(retries, "RETRY", retries.RETRY._replace(max_retries=0))
    workers = on_cluster.start_workers(2)
    with meanwhile(filled, 2, lambda _: [worker.kill() for worker in workers] and None):
        report = filled.run()
    assert report.exit_status == 3
    assert "has had no workers for 2 seconds" in str(report.trouble)


def test_a_piece_that_ends_every_worker_is_named_and_given_up(
    on_cluster: Cluster, filled: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def kill(blocker: Blocker) -> None:
        # What a dead worker's server process waits for, it goes on waiting for: each worker adds one.
        for number in range(3):
            wait_until(lambda waiters=number + 1: blocker.waiting() + blocker.waiting("advisory") == waiters, PATIENCE)
            workers[number].kill()
            if number < 2:
                workers.extend(on_cluster.start_workers(1))

    monkeypatch.setattr(cluster, "NO_WORKER_SECONDS", PATIENCE)  # the next one takes its time
    workers = on_cluster.start_workers(1)
    with meanwhile(filled, 1, kill):
        report = filled.run()
    assert report.exit_status == 1
    assert "A piece (price_indicators, securities " in str(report.trouble)
    assert "ended 3 workers, so it is not tried again" in str(report.trouble)
    assert retried(filled) == []


def signed(directory: Path, authority: str) -> tuple[Path, Path, Path]:
    """The certificate of a new authority, and one that it signed, with its key."""
    ca, ca_key, cert, key = (directory / f"{authority}-{name}" for name in ("ca.pem", "ca.key", "cert.pem", "cert.key"))
    new = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
    for arguments in (
        [*new, "-subj", f"/CN={authority}", "-keyout", ca_key, "-out", ca],
        [*new, "-subj", "/CN=breadthflow", "-keyout", key, "-out", cert, "-CA", ca, "-CAkey", ca_key],
    ):
        subprocess.run(arguments, check=True, capture_output=True)
    return ca, cert, key


def test_with_certificates_of_another_authority_nobody_is_let_in(
    filled: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("openssl is missing, which makes the certificates")
    ours, others = signed(tmp_path, "ours"), signed(tmp_path, "others")
    started = Cluster(tmp_path, ours)

    def use(files: tuple[Path, Path, Path]) -> list[tuple[int, int]]:
        for name, path in zip(("CA", "CERT", "KEY"), files, strict=True):
            monkeypatch.setenv(f"BREADTHFLOW_CLUSTER_{name}", str(path))
        monkeypatch.setenv("BREADTHFLOW_CLUSTER", started.address)
        get_settings.cache_clear()
        return list(spread(filled.market, "price_indicators", Noted(), [1]))

    try:
        started.start_workers(1)
        assert use(ours) == [(1, 22)]
        monkeypatch.setattr(cluster, "CONNECT_SECONDS", 2.0)
        with pytest.raises(UnreachableError, match="BREADTHFLOW_CLUSTER and its certificates are right"):
            use((ours[0], *others[1:]))
    finally:
        started.stop()
