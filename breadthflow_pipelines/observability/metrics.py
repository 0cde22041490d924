"""Which figures Prometheus is given, by what name and with which labels. Where they come from: orchestration/hosting.

Every figure is a gauge that is read when Prometheus asks: nothing is counted in this process, so nothing is lost with
it. A figure that is not known has no sample; it is never zero for that.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from prometheus_client.core import GaugeMetricFamily

PREFIX = "breadthflow_"
_JOB = ("dagster_job",)  # "job" is a label of Prometheus itself
_RULE = ("universe", "synthetic", "rule", "action", "horizon")


@dataclass(frozen=True)
class Metric:
    """One figure. about: what it says, with its unit; labels: what tells its samples apart."""

    name: str
    about: str
    labels: tuple[str, ...] = ()


METRICS: Mapping[str, Metric] = {
    metric.name: metric
    for metric in (
        # The databases, and what is asked of them here.
        Metric("database_up", "Whether all figures of this database could be read, 1 or 0", ("database",)),
        Metric("database_answer_seconds", "Time to connect and to get a first answer", ("database",)),
        Metric("database_size_bytes", "Size on the disk of the server", ("database",)),
        Metric("table_size_bytes", "Size of a table with its indexes and partitions", ("table",)),
        Metric("database_connections", "Clients of the server", ("state",)),
        Metric("database_connections_limit", "Clients that the server takes at most"),
        Metric("longest_statement_seconds", "How long the oldest statement under way has been running"),
        Metric("archive_failing", "Whether the last attempt to archive PostgreSQL's log failed, 1 or 0"),
        Metric("statement_mean_seconds", "Mean time of the slowest statements of pg_stat_statements", ("statement",)),
        Metric("statement_calls", "How often these statements were run", ("statement",)),
        # Freshness.
        Metric("last_closed_session_timestamp_seconds", "When the exchange's last session closed"),
        Metric("last_session_timestamp_seconds", "When the last session that an asset holds closed", ("asset",)),
        Metric("sessions_behind", "Closed sessions that an asset does not hold yet", ("asset",)),
        Metric("sessions_overdue", "Of them, those that should be held by now", ("asset",)),
        # What is stored.
        Metric("members", "Members of a universe on its last counted session", ("universe", "synthetic")),
        Metric("priced_members", "Of them, those with a bar", ("universe", "synthetic")),
        Metric("coverage_ratio", "Priced members / members", ("universe", "synthetic")),
        Metric("holds", "Sessions that a gate holds and nobody accepted", ("gate",)),
        Metric("checks_failing", "Checks that fail now", ("severity",)),
        # Runs, from Dagster's database.
        Metric("rows", "Rows of an asset's last run: read, inserted, revised, ..., rejected", ("asset", "outcome")),
        Metric("runs_ended_last_day", "Runs that ended within the last 24 hours", (*_JOB, "status")),
        Metric("last_run_end_timestamp_seconds", "When the last run of a job ended", (*_JOB, "status")),
        Metric("last_run_duration_seconds", "Duration of a job's last successful run of up to two months", _JOB),
        Metric("usual_run_duration_seconds", "Median duration of such runs; from five of them on", _JOB),
        Metric("runs_queued", "Runs that wait"),
        Metric("queue_age_seconds", "How long the oldest of them has been waiting; 0: none waits"),
        Metric("runs_in_progress", "Runs under way"),
        Metric("run_age_seconds", "How long the oldest run of up to two months of a job has been under way", _JOB),
        Metric("daemon_heartbeat_age_seconds", "Time since a part of Dagster's daemon said that it lives", ("daemon",)),
        # Records of rules, in all of history and lately.
        Metric("signal_hit_rate", "Share of a rule's events of which the claim came true", _RULE),
        Metric("signal_base_rate", "The same of all eligible sessions", _RULE),
        Metric("signal_lift", "Hit rate less base rate", _RULE),
        Metric("signal_lift_low", "Lower end of the lift's 95 % interval", _RULE),
        Metric("signal_lift_high", "Upper end of the lift's 95 % interval", _RULE),
        Metric("signal_events", "Events of a rule whose window has closed", _RULE),
        Metric("signal_recent_hit_rate", "Hit rate of the windows that closed within the last year", _RULE),
        Metric("signal_recent_windows", "Of them, as many as do not overlap", _RULE),
        # The machine.
        Metric("disk_size_bytes", "Size of the disk that holds a path", ("path",)),
        Metric("disk_free_bytes", "Space on it that is free for us", ("path",)),
        Metric("memory_size_bytes", "Memory of the machine"),
        Metric("memory_available_bytes", "Memory that is free, or can be freed at once"),
        # This program.
        Metric("scrape_seconds", "Time that reading all figures took"),
    )
}


@dataclass
class Figures:
    """What was read, in the order in which it was."""

    samples: dict[str, dict[tuple[str, ...], float]] = field(default_factory=dict)

    def add(self, name: str, value: float | None, **labels: object) -> None:
        """Add a sample; None is not known, and left out.

        Raises:
            KeyError: the metric is not declared, or lacks one of these labels.
        """
        metric = METRICS[name]
        if value is None:
            return
        if set(labels) != set(metric.labels):
            raise KeyError(f"{name} has the labels {metric.labels}, not {tuple(labels)}")
        self.samples.setdefault(name, {})[tuple(_text(labels[label]) for label in metric.labels)] = float(value)

    def add_each(self, name: str, rows: Iterable[Mapping[str, object]], value: str) -> None:
        """Add a sample for each row. value: the column that holds it; labels are the columns of their names."""
        for row in rows:
            self.add(name, row[value], **{label: row[label] for label in METRICS[name].labels})  # type: ignore[arg-type]

    def families(self) -> Iterator[GaugeMetricFamily]:
        """The same as Prometheus' library writes it; metrics without samples are left out."""
        for name, samples in self.samples.items():
            metric = METRICS[name]
            family = GaugeMetricFamily(PREFIX + name, metric.about, labels=metric.labels)
            for labels, value in samples.items():
                family.add_metric(labels, value)
            yield family


def _text(label: object) -> str:
    return str(label).lower() if isinstance(label, bool) else str(label)
