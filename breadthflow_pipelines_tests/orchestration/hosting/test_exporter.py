"""What Prometheus is told of a store: how far it has come, how its runs went, and that a database is down."""

import datetime as dt
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from breadthflow_pipelines.errors import RequestError
from breadthflow_pipelines.observability.metrics import METRICS
from breadthflow_pipelines.orchestration.hosting.exporter import Exporter
from breadthflow_pipelines.settings import Settings, get_settings
from breadthflow_pipelines.warehouse import health_listing
from breadthflow_pipelines.warehouse.database import Database
from breadthflow_pipelines_tests.orchestration.conftest import Store
from breadthflow_pipelines_tests.orchestration.small_market import BROKEN

At = Callable[[str], None]
NOBODY = "postgresql://me@127.0.0.1:1/db"  # nobody listens there
Samples = dict[str, dict[str, float]]


def read(settings: Settings | None = None) -> Samples:
    """By metric, the samples by the values of their labels."""
    figures = Exporter(settings or get_settings()).read()
    return {name: {" ".join(labels): value for labels, value in each.items()} for name, each in figures.samples.items()}


def dagster_execute(store: Store, statement: str) -> None:
    with Database(store.dagster_url, None).connect() as connection, connection.cursor() as cursor:
        cursor.execute(statement)


def add_run(store: Store, name: str, status: str, ended_ago: float | None, seconds: float, months: str = "") -> None:
    """A run of the daily job as Dagster stores it. ended_ago: None while it has not; months: its first and last."""
    end = None if ended_ago is None else time.time() - ended_ago
    start = time.time() - seconds if end is None else end - seconds
    dagster_execute(
        store,
        "INSERT INTO runs (run_id, pipeline_name, status, run_body, start_time, end_time, create_timestamp, "
        f"update_timestamp) VALUES ('{name}', 'bring_up_to_date', '{status}', '', {start}, {end or 'NULL'}, "
        f"to_timestamp({start}) AT TIME ZONE 'UTC', to_timestamp({end or start}) AT TIME ZONE 'UTC')",
    )
    for which, month in zip(("start", "end"), months.split(), strict=False):
        key = f"dagster/asset_partition_range_{which}"
        dagster_execute(store, f"INSERT INTO run_tags (run_id, key, value) VALUES ('{name}', '{key}', '{month}')")


def beat(store: Store, daemon: str, ago: float) -> None:
    """A part of the daemon said so long ago that it lives."""
    dagster_execute(
        store,
        "INSERT INTO daemon_heartbeats (daemon_type, timestamp, body) "
        f"VALUES ('{daemon}', now(), '{{\"timestamp\": {time.time() - ago}}}')",
    )


@pytest.mark.parametrize(
    ("moment", "behind", "overdue"),
    [
        ("2023-12-30T02:00", 0, 0),  # the evening of the last session
        ("2024-01-02T20:59", 0, 0),  # Tuesday after the holiday, a minute before the close
        ("2024-01-02T21:01", 1, 0),  # closed, and nobody expects it yet
        ("2024-01-03T01:29", 1, 0),  # 20:29 in New York: a minute before two hours after the evening's run
        ("2024-01-03T01:31", 1, 1),
        ("2024-01-06T12:00", 4, 4),  # Saturday: the 2nd, 3rd, 4th and 5th are missing
    ],
)
@pytest.mark.usefixtures("filled")
def test_sessions_are_behind_from_the_close_and_overdue_from_the_deadline(
    at: At, moment: str, behind: int, overdue: int
) -> None:
    at(moment)
    found = read()
    assets = {"bars", "breadth_counts", "breadth_indicators", "market_signals", "price_indicators", "symbol_signals"}
    assert found["sessions_behind"] == dict.fromkeys(assets, behind)
    assert found["sessions_overdue"] == dict.fromkeys(assets, overdue)
    close = dt.datetime(2023, 12, 29, 21, tzinfo=dt.UTC).timestamp()  # 16:00 in New York, in winter
    assert found["last_session_timestamp_seconds"]["bars"] == close


def test_an_asset_that_lost_its_last_session_is_behind_alone(filled: Store, at: At) -> None:
    at("2023-12-30T02:00")
    filled.execute("DELETE FROM breadth_indicators WHERE session > '2023-12-27'")
    found = read()["sessions_overdue"]
    assert {asset: number for asset, number in found.items() if number} == {"breadth_indicators": 2}


def test_figures_are_those_of_the_store_and_of_its_last_run(filled: Store, at: At) -> None:
    at("2023-12-30T02:00")
    found = read()
    assert found["database_up"] == {"market": 1, "dagster": 1}
    members, priced = filled.rows(
        "SELECT members, priced FROM breadth_counts WHERE universe = 'small' AND segment = 'ALL' "
        "ORDER BY session DESC LIMIT 1"
    )[0]
    assert found["members"] == {"small false": members}
    assert found["coverage_ratio"]["small false"] == pytest.approx(priced / members)
    assert found["rows"]["bars rejected"] == len(BROKEN)
    assert found["rows"]["bars inserted"] == filled.rows("SELECT count(*) FROM bars")[0][0]
    assert found["runs_ended_last_day"]["bring_up_to_date SUCCESS"] >= 1
    assert found["runs_queued"][""] == found["runs_in_progress"][""] == 0
    assert found["table_size_bytes"]["bars"] > 100_000  # its partitions: the table itself has none
    (rule, horizon, hit_rate, base_rate), *_ = filled.rows(
        "SELECT rule, horizon, hit_rate, base_rate FROM signal_accuracy "
        "WHERE era = 'all' AND action = 'buy' AND events > 0 ORDER BY rule, horizon"
    )
    of = f"small false {rule} buy {horizon}"
    assert (found["signal_hit_rate"][of], found["signal_base_rate"][of]) == (hit_rate, base_rate)
    assert found["scrape_seconds"][""] < 5  # on a machine that others use too


@pytest.mark.usefixtures("store")
def test_an_empty_store_is_up_and_nothing_of_it_is_late() -> None:
    found = read()
    assert found["database_up"] == {"market": 1, "dagster": 1}
    assert "sessions_overdue" not in found
    assert found["checks_failing"] == {"error": 0, "warn": 0}


@pytest.mark.usefixtures("filled")
def test_a_database_that_is_down_is_said_to_be_and_the_rest_stands() -> None:
    nowhere = "postgresql://me:a-password@127.0.0.1:1/db"
    found = read(get_settings().model_copy(update={"dagster_database_url": _secret(nowhere)}))
    assert found["database_up"] == {"market": 1, "dagster": 0}
    assert found["members"]
    assert "runs_queued" not in found
    found = read(get_settings().model_copy(update={"database_url": _secret(nowhere)}))
    assert found["database_up"] == {"market": 0, "dagster": 1}
    assert found["runs_queued"] == {"": 0}
    assert found["memory_size_bytes"][""] > found["memory_available_bytes"][""] > 0


@pytest.mark.parametrize("below", ["nowhere", "file/nowhere"])  # a path that is missing; one that there cannot be
def test_a_disk_that_could_never_be_read_is_refused_at_the_start(tmp_path: Path, below: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(RequestError, match=rf"^--disk {tmp_path / below} cannot be watched: \w.* Name a") as refusal:
        Exporter(get_settings(), [tmp_path, tmp_path / below])
    assert refusal.value.exit_status == 2


def test_a_disk_that_vanishes_is_logged_once_each_time(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The alert on full disks has no figure to look at any more, so the log has to say why."""
    watched = tmp_path / "volume"
    watched.mkdir()
    exporter = Exporter(Settings(database_url=NOBODY), [watched])

    def watch() -> tuple[bool, int]:
        """Whether it has a figure, and how often the log says anew that it has none."""
        has = (str(watched),) in exporter.read().samples["disk_free_bytes"]
        lines = [line for line in capsys.readouterr().err.splitlines() if str(watched) in line]
        assert all("disk_not_read" in line for line in lines)
        return has, len(lines)

    assert watch() == (True, 0)
    watched.rmdir()
    assert [watch(), watch()] == [(False, 1), (False, 0)]
    watched.mkdir()
    assert watch() == (True, 0)
    watched.rmdir()
    assert watch() == (False, 1)


def test_a_database_without_the_tables_is_down(filled: Store) -> None:
    filled.execute("ALTER TABLE breadth_counts RENAME TO another")
    assert read()["database_up"] == {"market": 0, "dagster": 1}


def test_how_long_runs_take_is_told_from_runs_like_every_day_s(store: Store) -> None:
    for number, seconds in enumerate([60, 70, 80, 90]):
        add_run(store, f"run-{number}", "SUCCESS", 9_000 - number * 100, seconds, "2023-11 2023-12")
    assert "usual_run_duration_seconds" not in read()  # four are too few
    add_run(store, "years", "SUCCESS", 5_000, 4_000, "2003-01 2023-12")
    add_run(store, "broken", "FAILURE", 4_000, 1)
    add_run(store, "last", "SUCCESS", 3_000, 200, "2023-12 2023-12")
    add_run(store, "long-ago", "FAILURE", 90_000, 1)
    add_run(store, "under-way", "STARTED", None, 300)
    add_run(store, "years-under-way", "STARTED", None, 9_000, "2003-01 2023-12")
    add_run(store, "waiting", "QUEUED", None, 0)
    found = read()
    assert found["last_run_duration_seconds"]["bring_up_to_date"] == pytest.approx(200)
    assert found["usual_run_duration_seconds"]["bring_up_to_date"] == pytest.approx(80)  # of 60, 70, 80, 90, 200
    assert found["runs_ended_last_day"] == {"bring_up_to_date FAILURE": 1, "bring_up_to_date SUCCESS": 6}
    assert found["run_age_seconds"]["bring_up_to_date"] == pytest.approx(300, abs=60)
    assert (found["runs_queued"][""], found["runs_in_progress"][""]) == (1, 2)
    assert found["last_run_end_timestamp_seconds"]["bring_up_to_date FAILURE"] == pytest.approx(
        time.time() - 4_000, abs=60
    )


def test_each_part_of_the_daemon_has_its_silence(store: Store) -> None:
    assert "daemon_heartbeat_age_seconds" not in read()  # it never ran
    beat(store, "SENSOR", 10)
    beat(store, "SCHEDULER", 900)
    found = read()["daemon_heartbeat_age_seconds"]
    assert found["SENSOR"] == pytest.approx(10, abs=60)
    assert found["SCHEDULER"] == pytest.approx(900, abs=60)


def test_a_rule_s_last_year_is_told_beside_its_interval(filled: Store) -> None:
    filled.execute("UPDATE signal_accuracy SET lift_low = -0.1, lift_high = 0.1 WHERE rule = 'breadth_score'")
    found = health_listing.recent_records(filled.database, dt.date(2023, 12, 29))
    assert {row["horizon"] for row in found} == {5, 21}  # of longer windows a year has too few
    for row in found:
        hits = filled.rows(
            "SELECT hit FROM signal_outcomes WHERE rule = 'breadth_score' AND segment = 'ALL' AND universe = 'small' "
            "AND action = %s AND horizon = %s AND state = 'closed' AND hit IS NOT NULL "
            "AND exit_session > '2022-12-29'",
            row["action"],
            row["horizon"],
        )
        assert row["hit_rate"] == pytest.approx(sum(hit for (hit,) in hits) / len(hits))
        assert 0 < row["windows"] <= min(len(hits), 253 / row["horizon"] + 3)


def test_every_metric_that_is_declared_is_read_somewhere(filled: Store, at: At) -> None:
    at("2023-12-30T02:00")
    filled.execute("UPDATE signal_accuracy SET lift_low = -0.1, lift_high = 0.1 WHERE rule = 'breadth_score'")
    filled.execute(
        "INSERT INTO holds (gate, universe, synthetic, session, missing, said, run_id) "
        "VALUES ('bars_complete', '*', false, '2023-05-05', 1, 'no bars', 'a-run')"
    )
    beat(filled, "SENSOR", 1)
    for number in range(5):
        add_run(filled, f"run-{number}", "SUCCESS", 100, 10)
    add_run(filled, "under-way", "STARTED", None, 300)
    extension = {"statement_mean_seconds", "statement_calls"}  # the tests' server lacks it
    archive = {"archive_failing"}  # it has none; test_point_in_time.py reads it of one that has
    assert set(METRICS) - set(read()) - extension - archive == set()


def _secret(url: str) -> object:
    return Settings(database_url=url).database_url  # type: ignore[arg-type]
