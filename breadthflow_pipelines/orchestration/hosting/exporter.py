"""`breadthflow metrics`: answers Prometheus with figures that are read at that moment. Changes and starts nothing.

What the figures are called is in observability/metrics.py. Knows nothing of Dagster but its database, so that it is
small, and answers while Dagster does not.
"""

import datetime as dt
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import psutil
from prometheus_client import CollectorRegistry, ProcessCollector, start_http_server
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from breadthflow_pipelines.errors import BreadthFlowError, RequestError
from breadthflow_pipelines.locations import shown
from breadthflow_pipelines.model.datasets import (
    CHECKS_JOB,
    DAILY_JOB,
    DATASETS,
    PUBLISHED_JOB,
    STORED,
    WATCHED,
    WEEKLY_JOB,
)
from breadthflow_pipelines.model.vocabulary import SEVERITIES
from breadthflow_pipelines.observability.logs import log
from breadthflow_pipelines.observability.metrics import Figures
from breadthflow_pipelines.sessions import ExchangeCalendar, due_session, exchange_calendar
from breadthflow_pipelines.settings import Settings
from breadthflow_pipelines.warehouse import health_listing, overview, run_listing, server_listing, verdicts
from breadthflow_pipelines.warehouse.database import addresses
from breadthflow_pipelines.warehouse.watching import Watched, watched

JOBS = (DAILY_JOB, PUBLISHED_JOB, CHECKS_JOB, WEEKLY_JOB)
LOOKED_BACK = dt.timedelta(days=400)  # for an asset's last session; what lies further back is not looked for
SIGNALS = ("market_signals", "symbol_signals")  # of a short history there are none


class Exporter(Collector):
    """All figures, read when they are asked for; two who ask at once take turns. disks: paths on disks to watch.

    Raises:
        RequestError: there is no such path, or an address of a database is none.
    """

    def __init__(self, settings: Settings, disks: Sequence[Path] = ()) -> None:
        for path in disks:
            _check_disk(path)
        self._settings, self._disks = settings, _Disks((settings.home, *disks))
        self._calendar = exchange_calendar(settings.calendar, settings.calendar_changes)
        self._turn = threading.Lock()
        addresses(settings)  # what cannot be an address is refused at the start

    def collect(self) -> Iterator[Metric]:
        with self._turn:
            yield from self.read().families()

    def read(self) -> Figures:
        """Everything that can be read now; a database that fails is said to be down, and the rest stands."""
        began, figures = time.monotonic(), Figures()
        self._disks.read(figures)
        _memory(figures)
        closed = self._calendar.last_closed()
        figures.add("last_closed_session_timestamp_seconds", _closed_at(self._calendar, closed))
        market, dagster = addresses(self._settings)  # asked each time: a server may come back elsewhere
        _read(figures, "market", market, self._market)
        _read(figures, "dagster", dagster, _dagster)
        figures.add("scrape_seconds", time.monotonic() - began)
        return figures

    def _market(self, store: Watched, figures: Figures) -> None:
        _server(store, figures)
        self._freshness(store, figures)
        for row in health_listing.coverage(store):
            of = {"universe": row["universe"], "synthetic": row["synthetic"]}
            figures.add("members", row["members"], **of)
            figures.add("priced_members", row["priced"], **of)
            figures.add("coverage_ratio", row["coverage"], **of)
        figures.add_each("holds", health_listing.holds(store), "sessions")
        failing = [row["severity"] for row in verdicts.failing(store)]
        for severity in SEVERITIES:
            figures.add("checks_failing", failing.count(severity), severity=severity)
        records = health_listing.records(store)
        for name in ("hit_rate", "base_rate", "lift", "lift_low", "lift_high", "events"):
            figures.add_each(f"signal_{name}", records, name)
        recent = health_listing.recent_records(store, self._calendar.last_closed())
        figures.add_each("signal_recent_hit_rate", recent, "hit_rate")
        figures.add_each("signal_recent_windows", recent, "windows")

    def _freshness(self, store: Watched, figures: Figures) -> None:
        """Of real companies where the store has any, else of invented ones. Of an empty store nothing is late."""
        closed = self._calendar.last_closed()
        due = due_session(self._calendar, dt.timedelta(hours=self._settings.late_after_hours))
        for synthetic in (False, True):
            held = overview.last_sessions(store, WATCHED, closed - LOOKED_BACK, closed, synthetic=synthetic)
            if held["bars"] is not None:
                break
        else:
            return
        for asset, last in held.items():
            if last is None and asset in SIGNALS:
                continue
            after = (last or self._settings.start_date) + dt.timedelta(days=last is not None)
            figures.add("sessions_behind", len(self._calendar.between(after, closed)), asset=asset)
            figures.add("sessions_overdue", len(self._calendar.between(after, due)), asset=asset)
            if last is not None:
                figures.add("last_session_timestamp_seconds", _closed_at(self._calendar, last), asset=asset)


def serve(settings: Settings, host: str, port: int, disks: Sequence[Path], ready: Callable[[str], None]) -> None:
    """Answer at http://host:port/metrics until Ctrl-C or SIGTERM.

    Raises:
        RequestError: the port is taken, the host is none of this machine, or there is no such path.
    """
    registry = CollectorRegistry()
    registry.register(Exporter(settings, disks))
    ProcessCollector(registry=registry)
    try:
        server, thread = start_http_server(port, host, registry)
    except (OSError, OverflowError) as error:
        raise RequestError(f"Metrics cannot be served at {host}, port {port}: {error}.") from None
    ready(f"Metrics: http://{host}:{port}/metrics")
    over = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: over.set())
    over.wait()
    server.shutdown()
    thread.join()


def _read(figures: Figures, name: str, url: str, read: Callable[[Watched, Figures], None]) -> None:
    """The figures of one database, or that it is down."""
    try:
        with watched(url) as database:
            figures.add("database_answer_seconds", database.answer_seconds, database=name)
            figures.add("database_size_bytes", server_listing.size(database), database=name)
            read(database, figures)
    except BreadthFlowError as error:
        log.warning("figures_not_read", database=name, reason=str(error))
        figures.add("database_up", 0, database=name)
    else:
        figures.add("database_up", 1, database=name)


def _server(store: Watched, figures: Figures) -> None:
    sizes = (row for row in server_listing.table_sizes(store) if row["table"] in STORED)
    figures.add_each("table_size_bytes", sizes, "bytes")
    figures.add_each("database_connections", server_listing.connections(store), "clients")
    figures.add("database_connections_limit", server_listing.connections_limit(store))
    figures.add("longest_statement_seconds", server_listing.longest_statement(store))
    figures.add("archive_failing", server_listing.archive_fails(store))
    slowest = server_listing.slowest_statements(store)
    figures.add_each("statement_mean_seconds", slowest, "seconds")
    figures.add_each("statement_calls", slowest, "calls")


def _dagster(database: Watched, figures: Figures) -> None:
    figures.add_each("runs_ended_last_day", run_listing.ended_last_day(database), "runs")
    figures.add_each("last_run_end_timestamp_seconds", run_listing.last_ends(database, JOBS), "ended")
    durations = run_listing.durations(database, JOBS)
    figures.add_each("last_run_duration_seconds", durations, "last")
    figures.add_each("usual_run_duration_seconds", durations, "usual")
    queue, working = run_listing.queue(database), run_listing.in_progress(database)
    figures.add("runs_queued", queue["runs"])
    figures.add("queue_age_seconds", queue["seconds"])
    figures.add("runs_in_progress", sum(row["runs"] for row in working))
    figures.add_each("run_age_seconds", working, "seconds")
    figures.add_each("daemon_heartbeat_age_seconds", run_listing.heartbeats(database), "seconds")
    assets = {name: dataset.monthly for name, dataset in DATASETS.items()}
    for asset, reported in run_listing.last_figures(database, assets).items():
        for name, rows in reported.items():
            if name.startswith("rows_"):
                figures.add("rows", rows, asset=asset, outcome=name.removeprefix("rows_"))


class _Disks:
    """The disks that hold these paths. One that cannot be read is logged once, until it can be read again."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self._paths, self._told = paths, set[Path]()

    def read(self, figures: Figures) -> None:
        """Add how large each is, and how much of it is free."""
        for path in self._paths:
            try:
                disk = psutil.disk_usage(str(path))
            except OSError as error:
                if path not in self._told:
                    log.warning("disk_not_read", path=str(path), reason=error.strerror)
                    self._told.add(path)
                continue
            self._told.discard(path)
            figures.add("disk_size_bytes", disk.used + disk.free, path=path)  # without what is kept for root
            figures.add("disk_free_bytes", disk.free, path=path)


def _check_disk(path: Path) -> None:
    """Refuse a path to watch of which there would never be a figure."""
    try:
        psutil.disk_usage(str(path))
    except OSError as error:
        raise RequestError(
            f"--disk {shown(path)} cannot be watched: {error.strerror}. Name a path that is on that disk."
        ) from None


def _memory(figures: Figures) -> None:
    memory = psutil.virtual_memory()
    figures.add("memory_size_bytes", memory.total)
    figures.add("memory_available_bytes", memory.available)


def _closed_at(calendar: ExchangeCalendar, session: dt.date) -> float:
    """When it closed; of a day that is no session any more, the session before."""
    return calendar.close_of(calendar.on_or_before(session)).timestamp()
