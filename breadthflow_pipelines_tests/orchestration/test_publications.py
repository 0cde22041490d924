"""Published counts are configured once for all runs; a publication that is away stops no other."""

import base64
import datetime as dt
import http.server
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg
import pytest

from breadthflow_pipelines.model.datasets import DATASETS
from breadthflow_pipelines.orchestration import runs
from breadthflow_pipelines.orchestration.execution import execute
from breadthflow_pipelines.orchestration.run_reports import RunReport, report_of
from breadthflow_pipelines.orchestration.wiring import build
from breadthflow_pipelines.settings import get_settings
from breadthflow_pipelines.warehouse import publications
from breadthflow_pipelines_tests.orchestration.conftest import Store
from breadthflow_pipelines_tests.orchestration.small_market import LAST, SESSIONS

PASSWORD = "hunter2"  # noqa: S105 - of a server in this process


@pytest.fixture(autouse=True)
def _today(frozen: Callable[[dt.date], None]) -> None:
    frozen(LAST)


@pytest.fixture
def configured(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Sets BREADTHFLOW_EXCHANGE_BREADTH."""

    def configure(text: str) -> None:
        monkeypatch.setenv("BREADTHFLOW_EXCHANGE_BREADTH", text)
        get_settings.cache_clear()

    return configure


def published(directory: Path, exchange: str, days: list[dt.date]) -> Path:
    directory.mkdir(exist_ok=True)
    for series, base in (("advn", 1500), ("decln", 1200), ("unchn", 100)):
        lines = [f"{day:%Y%m%d}, {base + i % 7}\n" for i, day in enumerate(days)]
        (directory / f"{exchange}_{series}.csv").write_text("".join(lines))
    return directory


def held(store: Store) -> dict[str, int]:
    return dict(store.rows("SELECT exchange, count(*)::int FROM exchange_breadth GROUP BY exchange"))


def materialize_all(store: Store, month: str) -> RunReport:
    """What "Materialize all" in the UI runs: every asset and every check of a month, without any configuration."""
    job = build(get_settings()).resolve_implicit_global_asset_job_def()
    quiet = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
    executed = execute(store.instance, job, tags={"dagster/partition": month}, run_config=quiet)
    return report_of(executed, 0)


@pytest.mark.slow
def test_every_asset_is_materialized_without_configuration(filled: Store) -> None:
    report = materialize_all(filled, "2023-12")
    assert report.trouble is None
    run = filled.instance.get_records_for_run(report.run_id, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION)
    made = [record.event_log_entry.dagster_event for record in run.records]
    names = [event.asset_key.to_user_string() for event in made if event and event.asset_key]
    assert sorted(names) == sorted(DATASETS)
    said = filled.metadata("exchange_breadth")
    assert said["publications"].startswith("none configured: set BREADTHFLOW_EXCHANGE_BREADTH")
    # The clock has moved on since 2023, and that is the only thing amiss.
    assert {check.name for check in report.checks if check.status == "failed"} <= {"last_session_in"}
    assert report.figures["bars"]["rows_unchanged"] == report.figures["bars"]["rows_read"] > 0


@pytest.mark.slow
def test_what_is_configured_is_read_by_every_run_and_what_is_away_costs_itself(
    filled: Store, tmp_path: Path, configured: Callable[[str], None]
) -> None:
    one, other = (published(tmp_path / name, name, SESSIONS[-40:-1]) for name in ("ONE", "OTHER"))
    configured(f"ONE={one},OTHER={other}")
    assert filled.daily(LAST).exit_status == 0
    assert held(filled) == {"ONE": 39, "OTHER": 39}
    assert [row.data["exchange"] for row in filled.metadata("exchange_breadth")["publications"].records] == [
        "ONE",
        "OTHER",
    ]
    published(one, "ONE", SESSIONS[-40:])
    (other / "OTHER_advn.csv").unlink()
    report = filled.daily(LAST)
    assert (report.exit_status, report.trouble) == (0, None)
    assert held(filled) == {"ONE": 40, "OTHER": 39}
    assert [problem.partition(":")[0] for problem in report.problems] == ["OTHER"]
    (warned,) = [check for check in report.checks if check.name == "publications_answered"]
    assert (warned.status, "OTHER_advn.csv" in warned.detail) == ("warned", True)
    assert filled.rows("SELECT max(session) FROM market_signals WHERE universe = 'small'") == [(LAST,)]


@pytest.mark.slow
def test_what_was_imported_is_remembered_until_it_is_forgotten_and_the_settings_come_first(
    filled: Store, tmp_path: Path, configured: Callable[[str], None]
) -> None:
    one = published(tmp_path / "ONE", "ONE", SESSIONS[-40:])
    publications.remember(filled.database, "ONE", tmp_path / "gone")
    publications.remember(filled.database, "ONE", one)
    publications.remember(filled.database, "TWO", "https://host/TWO_")
    assert publications.remembered(filled.database) == {"ONE": one, "TWO": "https://host/TWO_"}
    publications.forget(filled.database, "TWO")
    assert filled.daily(LAST).problems == ()
    assert held(filled) == {"ONE": 40}
    configured(f"ONE={tmp_path / 'elsewhere'}")
    assert "elsewhere" in filled.daily(LAST).problems[0]


@pytest.mark.slow
def test_a_run_of_one_import_reads_that_one_and_ends_where_it_cannot(filled: Store, tmp_path: Path) -> None:
    one = published(tmp_path / "ONE", "ONE", SESSIONS[-40:])
    publications.remember(filled.database, "TWO", tmp_path / "gone")
    assert runs.run_import(filled.instance, str(one), "ONE").exit_status == 0
    assert runs.run_import(filled.instance, str(tmp_path / "nowhere"), "ONE").exit_status == 2
    assert held(filled) == {"ONE": 40}


@pytest.mark.slow
def test_the_account_of_an_address_is_used_and_written_nowhere(
    filled: Store, tmp_path: Path, configured: Callable[[str], None]
) -> None:
    with guarded(published(tmp_path / "ONE", "ONE", SESSIONS[-40:])) as host:
        configured(f"ONE=http://me:{PASSWORD}@{host}/ONE_,TWO=http://me:{PASSWORD}@{host}/TWO_")
        report = filled.daily(LAST)
    assert held(filled) == {"ONE": 40}
    assert len(report.problems) == 1
    assert PASSWORD not in str(report)
    everything = [
        *filled.instance.get_run_by_id(report.run_id).__repr__(),  # type: ignore[union-attr]
        *(entry.to_json() for entry in filled.instance.all_logs(report.run_id)),
        *map(str, filled.rows("SELECT * FROM publications")),
        *map(str, filled.rows("SELECT * FROM exchange_breadth LIMIT 3")),
    ]
    assert not [text for text in everything if PASSWORD in text]
    kept = [path for path in tmp_path.rglob("*") if path.is_file() and "storage" not in path.parts]
    assert not [path for path in kept if PASSWORD.encode() in path.read_bytes()]


@pytest.mark.slow
def test_a_series_that_is_gone_for_an_evening_takes_nothing_with_it(
    filled: Store, tmp_path: Path, configured: Callable[[str], None]
) -> None:
    file, away = published(tmp_path / "ONE", "ONE", SESSIONS[-40:]) / "ONE_unchn.csv", tmp_path / "away"
    with guarded(file.parent) as host:
        configured(f"ONE=http://me:{PASSWORD}@{host}/ONE_")
        assert filled.daily(LAST).problems == ()
        stored = filled.rows("SELECT * FROM exchange_breadth ORDER BY session")
        assert {row[0] for row in filled.rows("SELECT unchanged > 0 FROM exchange_breadth")} == {True}
        file.rename(away)  # 404
        report = filled.daily(LAST)
        assert filled.rows("SELECT * FROM exchange_breadth ORDER BY session") == stored
        assert report.exit_status == 0
        [problem] = report.problems
        assert problem.startswith("ONE: ONE_unchn.csv is not there any more")
        assert problem.endswith("breadthflow import-breadth DIRECTORY --exchange ONE --replace")
        away.rename(file)
        assert filled.daily(LAST).problems == ()


def lines(days: list[dt.date], value: float) -> str:
    return "".join(f"{day:%Y%m%d}, {value}\n" for day in days)


def test_a_publication_that_turns_to_its_newest_part_takes_nothing_back(store: Store, tmp_path: Path) -> None:
    days = SESSIONS[:60]
    files = published(tmp_path / "ONE", "ONE", days)
    (files / "ONE_index.csv").write_text(lines(days, 100))
    assert runs.run_import(store.instance, str(files), "ONE").exit_status == 0
    told = "SELECT session, advances, unchanged, index_close FROM exchange_breadth ORDER BY session"
    before = store.rows(told)

    # The last twenty sessions, of which one is corrected and one is taken back; of one series the last ten.
    published(files, "ONE", [*days[-20:-5], *days[-4:]])
    (files / "ONE_advn.csv").write_text(lines([day for day in days[-20:] if day != days[-5]], 1777))
    (files / "ONE_index.csv").write_text(lines(days[-10:], 100))
    report = runs.run_import(store.instance, str(files), "ONE")
    after = store.rows(told)
    assert after[:40] == before[:40]
    assert [row[0] for row in after[40:]] == [day for day in days[40:] if day != days[-5]]
    assert {row[1] for row in after[40:]} == {1777}
    assert {row[3] for row in after} == {100}
    assert store.rows("SELECT count(*) FROM breadth_indicators WHERE universe = 'ONE'") == [(59,)]

    (warned,) = [check for check in report.checks if check.name == "publications_answered"]
    said = f"ONE gives 50 stored sessions no longer, {days[0]} to {days[49]}, of advn, decln, unchn, index: they stay"
    assert (report.exit_status, warned.status, said in warned.detail) == (0, "warned", True)
    kept = {row.data["series"]: row.data["sessions"] for row in store.metadata("exchange_breadth")["kept"].records}
    assert kept == {"advn": "40", "decln": "40", "unchn": "40", "index": "50"}

    report = runs.run_import(store.instance, str(files), "ONE", replace=True)
    assert [row[0] for row in store.rows(told)] == [day for day in days[40:] if day != days[-5]]
    assert [check.status for check in report.checks if check.name == "publications_answered"] == ["passed"]


def test_a_kept_session_that_is_none_any_more_goes(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    days = SESSIONS[:30]
    files = published(tmp_path / "ONE", "ONE", days)
    assert runs.run_import(store.instance, str(files), "ONE").exit_status == 0
    closed = tmp_path / "closed.csv"
    closed.write_text(f"date,change,reason\n{days[0]},closed,a flood\n")
    monkeypatch.setenv("BREADTHFLOW_CALENDAR_CHANGES", str(closed))
    get_settings.cache_clear()
    published(files, "ONE", days[10:])
    assert runs.run_import(store.instance, str(files), "ONE").exit_status == 0
    assert store.rows("SELECT min(session), count(*)::int FROM exchange_breadth") == [(days[1], 29)]


@contextmanager
def guarded(directory: Path) -> Iterator[str]:
    """A server of these files that asks for an account."""
    expected = "Basic " + base64.b64encode(f"me:{PASSWORD}".encode()).decode()

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args: object) -> None:
            super().__init__(*args, directory=str(directory))  # type: ignore[arg-type]

        def do_GET(self) -> None:
            if self.headers.get("Authorization") == expected:
                super().do_GET()
            else:
                self.send_error(401)

        def log_message(self, *args: object) -> None:
            """Print nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()


def test_the_launchpad_asks_for_nothing() -> None:
    job = build(get_settings()).resolve_implicit_global_asset_job_def()
    assert dg.validate_run_config(job, {}) is not None
