"""Dagster's records thinned out: what goes, and that nothing of what is known of an asset now goes with it."""

import datetime as dt
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import dagster as dg
import psycopg2
import pytest
from dagster._core.utils import make_new_run_id

from breadthflow_pipelines.errors import RequestError
from breadthflow_pipelines.model.datasets import MARKET_ASSETS, MONTHLY_ASSETS
from breadthflow_pipelines.orchestration.hosting import tidying
from breadthflow_pipelines.orchestration.hosting.tidying import tidy, tidy_after_a_run, tidy_records
from breadthflow_pipelines.orchestration.stored_text import StoredText
from breadthflow_pipelines.reports import tables
from breadthflow_pipelines.settings import CENTURY, get_settings
from breadthflow_pipelines.signals.explanation import explanation
from breadthflow_pipelines.signals.symbol_explanation import symbol_explanation
from breadthflow_pipelines.warehouse import breadth_listing, signal_listing, symbol_listing
from breadthflow_pipelines.warehouse.audit_listing import audited
from breadthflow_pipelines.warehouse.database import Database
from breadthflow_pipelines.warehouse.store_retention import forget_audit
from breadthflow_pipelines_tests.orchestration.conftest import Store, assert_same
from breadthflow_pipelines_tests.orchestration.small_market import LAST

NOTHING = "Old runs thinned out: 0; events deleted: 0; runs deleted: 0; rows deleted: 0."


@pytest.fixture(autouse=True)
def _today(frozen: Callable[[dt.date], None]) -> None:
    frozen(dt.date(2024, 2, 15))


@contextmanager
def records(store: Store) -> Iterator[psycopg2.extensions.cursor]:
    """Dagster's own tables."""
    with Database(store.dagster_url, None).connect() as connection, connection.cursor() as cursor:
        yield cursor


def count(store: Store, condition: str = "true") -> int:
    with records(store) as cursor:
        cursor.execute(f"SELECT count(*) FROM event_logs WHERE {condition}")
        return int(cursor.fetchone()[0])  # type: ignore[index]


def make_older(store: Store, days: int) -> None:
    """As if all that was done so far had been done that many days ago, and nobody had tidied since."""
    with records(store) as cursor:
        cursor.execute("UPDATE runs SET end_time = end_time - %s", (days * 86_400,))
        query = "UPDATE asset_check_executions SET evaluation_event_timestamp = %s - make_interval(days => %s)"
        cursor.execute(query, (dt.datetime.now(dt.UTC).replace(tzinfo=None), days))
    StoredText(store.instance, "tidied").write("{}")


def known(store: Store) -> dict[str, Any]:
    """What Dagster shows of the assets: what is materialized, with what, by which run, and how each check stands."""
    instance = store.instance
    checks = store.instance.event_log_storage.get_asset_check_summary_records(
        [dg.AssetCheckKey(dg.AssetKey(asset), name) for asset, name in store_checks(store)]
    )
    return {
        "partitions": {name: instance.get_materialized_partitions(dg.AssetKey(name)) for name in MONTHLY_ASSETS},
        "figures": {name: store.metadata(name) for name in MARKET_ASSETS},
        "by month": {name: store.metadata(name, "2023-12") for name in MONTHLY_ASSETS},
        "events": {name: instance.get_latest_materialization_event(dg.AssetKey(name)) for name in MARKET_ASSETS},
        "checks": {
            key: record.last_check_execution_record.status if record.last_check_execution_record else None
            for key, record in checks.items()
        },
        "runs": [(run.run_id, run.status, run.tags) for run in instance.get_runs()],
    }


def store_checks(store: Store) -> list[tuple[str, str]]:
    with records(store) as cursor:
        cursor.execute("SELECT DISTINCT asset_key, check_name FROM asset_check_executions")
        return [(dg.AssetKey.from_db_string(asset).to_user_string(), name) for asset, name in cursor.fetchall()]  # type: ignore[union-attr]


@pytest.mark.slow
def test_steps_of_old_runs_go_and_nothing_that_is_known_of_an_asset(filled: Store) -> None:
    assert filled.daily(LAST).exit_status == 0
    before, events = known(filled), count(filled)
    assert tidy(filled.instance).startswith("Today it was done")  # by the run itself
    make_older(filled, 10)
    assert tidy(filled.instance) == NOTHING
    make_older(filled, 5)
    assert tidy(filled.instance).startswith("Old runs thinned out: 2;")
    assert known(filled) == before
    assert count(filled) < events / 2
    assert count(filled, "dagster_event_type IN ('STEP_OUTPUT', 'STEP_START') OR dagster_event_type IS NULL") == 0
    assert count(filled, "dagster_event_type = 'PIPELINE_SUCCESS'") == 2
    assert filled.daily(LAST).exit_status == 0  # and it goes on


@pytest.mark.slow
def test_what_a_later_run_said_anew_goes_after_half_a_year(filled: Store) -> None:
    assert filled.daily(LAST).exit_status == 0
    materializations = "dagster_event_type = 'ASSET_MATERIALIZATION'"
    assert count(filled, materializations) > len(MARKET_ASSETS)
    before = known(filled)
    newest = filled.instance.get_runs(limit=1)[0].run_id
    make_older(filled, 181)
    tidy(filled.instance)
    assert known(filled) == before
    with records(filled) as cursor:
        cursor.execute(
            f"SELECT count(*) FROM event_logs WHERE {materializations} GROUP BY asset_key, partition "
            "HAVING count(*) > 1"
        )
        assert cursor.fetchall() == []
        cursor.execute("SELECT asset_key, check_name FROM asset_check_executions GROUP BY 1, 2 HAVING count(*) > 1")
        assert cursor.fetchall() == []
        cursor.execute(
            "SELECT asset_key, run_id FROM event_logs WHERE dagster_event_type = 'ASSET_OBSERVATION' EXCEPT "
            f"SELECT asset_key, run_id FROM event_logs WHERE {materializations}"
        )
        assert cursor.fetchall() == []
        cursor.execute("SELECT count(*) FROM asset_event_tags WHERE event_id NOT IN (SELECT id FROM event_logs)")
        assert cursor.fetchone() == (0,)
    assert count(filled, f"{materializations} AND run_id = '{newest}'") > 0
    assert count(filled, f"{materializations} AND run_id <> '{newest}'") > 0  # of months that were run once


def test_run_that_failed_keeps_why_and_what_it_was_to_make(filled: Store) -> None:
    run = filled.instance.get_runs()[0]
    with records(filled) as cursor:
        cursor.execute("UPDATE runs SET status = 'FAILURE' WHERE run_id = %s", (run.run_id,))
        cursor.execute(
            "UPDATE event_logs SET dagster_event_type = 'STEP_FAILURE' WHERE dagster_event_type = 'STEP_SUCCESS'"
        )
    planned = count(filled, "dagster_event_type = 'ASSET_MATERIALIZATION_PLANNED'")
    failures = count(filled, "dagster_event_type = 'STEP_FAILURE'")
    assert planned > 0
    make_older(filled, 15)
    tidy(filled.instance)
    assert count(filled, "dagster_event_type = 'ASSET_MATERIALIZATION_PLANNED'") == planned
    assert count(filled, "dagster_event_type = 'STEP_FAILURE'") == failures


@pytest.mark.slow
def test_run_that_has_not_ended_and_all_after_it_wait(filled: Store) -> None:
    assert filled.daily(LAST).exit_status == 0
    make_older(filled, 30)
    first = filled.instance.get_runs()[-1]
    with records(filled) as cursor:
        cursor.execute("UPDATE runs SET status = 'STARTED', end_time = NULL WHERE run_id = %s", (first.run_id,))
    events = count(filled)
    assert tidy(filled.instance) == NOTHING
    assert count(filled) == events


@pytest.mark.slow
def test_each_run_is_looked_at_once_and_a_long_history_is_thinned_out_over_days(
    filled: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert filled.daily(LAST).exit_status == 0
    monkeypatch.setattr(tidying, "MOST_RUNS", 1)
    make_older(filled, 15)
    told = []
    for _ in range(3):
        told.append(tidy(filled.instance).split(";")[0])
        kept = StoredText(filled.instance, "tidied")
        kept.write((kept.read() or "").replace('"day"', '"yesterday"'))
    assert told == ["Old runs thinned out: 1", "Old runs thinned out: 1", "Old runs thinned out: 0"]


def test_sensor_says_what_it_did(filled: Store) -> None:
    make_older(filled, 15)
    context = dg.build_sensor_context(instance=filled.instance)
    answer = tidy_records()(context)
    assert isinstance(answer, dg.SkipReason)
    assert str(answer.skip_message).startswith("Old runs thinned out: 1;")


def test_what_an_old_run_printed_goes_with_its_steps(filled: Store) -> None:
    run = filled.instance.get_runs()[0]
    manager = filled.instance.compute_log_manager
    with manager.open_log_stream([run.run_id, "compute_logs", "step"], dg_io()) as stream:
        assert stream is not None
        stream.write("printed")
    make_older(filled, 15)
    tidy(filled.instance)
    assert not manager.get_log_data([run.run_id, "compute_logs", "step"]).stderr


def dg_io() -> Any:
    from dagster._core.storage.compute_log_manager import ComputeIOType

    return ComputeIOType.STDERR


@pytest.fixture
def let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets everything go as soon as settings allow it."""
    for what, days in (("AUDIT", 90), ("REVISIONS", 30), ("REJECTED", 30), ("RUNS", 30), ("RESULTS", 14), ("STEPS", 1)):
        monkeypatch.setenv(f"BREADTHFLOW_KEEP_{what}_DAYS", str(days))


COPIED = ("open", "high", "low", "close", "volume", "source")
OLD = (  # replaced 31 days ago, gone 31 days ago, done 91 days ago
    "INSERT INTO breadth_revisions SELECT 'breadth_counts', universe, segment, session, now() - '60 days'::interval, "
    "now() - '31 days'::interval, to_jsonb(c) FROM breadth_counts c LIMIT 7",
    "INSERT INTO signal_revisions SELECT 'market_signals', signal_id, universe, session, now() - '60 days'::interval, "
    "now() - '31 days'::interval, to_jsonb(s) FROM market_signals s LIMIT 3",
    "INSERT INTO bar_revisions (security_id, session, revised_at, run_id, old_run_id, old_ingested_at, "
    f"{', '.join(f'old_{name}, new_{name}' for name in COPIED)}) SELECT security_id, session, "
    f"now() - '31 days'::interval, 'r', 'r', now(), {', '.join(f'{name}, {name}' for name in COPIED)} "
    "FROM bars LIMIT 5",
    "INSERT INTO rejected_bars (fingerprint, source, symbol, reasons, run_id, gone_at) VALUES "
    "('1', 's', 'GONE', '{broken}', 'r', now() - '31 days'::interval), ('2', 's', 'HERE', '{broken}', 'r', NULL)",
    "INSERT INTO audit (who, action, what, via, host, done_at) VALUES "
    "('alice', 'launched', 'x', 'ui', 'h', now() - '91 days'::interval)",
)


def explained(store: Store) -> list[str]:
    """What ``breadthflow explain`` says of signals of all of history, and of a member's."""
    ids = [row[0] for row in store.rows("SELECT signal_id FROM market_signals ORDER BY session, rule, segment")]
    found = [signal_listing.signal(store.database, signal_id) for signal_id in ids[:: len(ids) // 30]]
    told = [f"{explanation(row, tables.text)} {row} {sessions}" for row, sessions in found]
    address = symbol_listing.address_of(f"small:AAA:{LAST}")
    member = symbol_listing.symbol_signal(store.database, address)
    return [*told, f"{symbol_explanation(member, tables.text)} {member}"]


@pytest.mark.usefixtures("let_go")
def test_what_settings_let_go_goes_and_every_signal_is_explained_as_before(filled: Store) -> None:
    before, contents = explained(filled), filled.contents()
    assert len(before) > 10
    done = filled.rows("SELECT count(*) FROM audit")[0][0]
    filled.execute(*OLD)
    get_settings.cache_clear()
    make_older(filled, 200)
    assert tidy(filled.instance).endswith("; rows deleted: 17.")  # 7, 3 and 5 replaced, 1 gone, 1 done
    assert explained(filled) == before
    assert filled.rows("DELETE FROM rejected_bars WHERE run_id = 'r' RETURNING symbol") == [("HERE",)]
    assert_same(filled.contents(), contents)
    assert filled.rows("SELECT who FROM audit WHERE who = 'alice'") == []
    assert len(audited(filled.database, None, None, None)) == done + 1
    assert audited(filled.database, None, None, "forgotten")[0]["what"] == "1 rows older than 90 days"
    moment = dt.datetime.now(dt.UTC) - dt.timedelta(days=40)
    with pytest.raises(RequestError, match=r"^What was known before 20\S+ \S+ UTC was dropped"):
        breadth_listing.breadth(filled.database, "small", None, None, None, ["session"], moment)
    with pytest.raises(RequestError, match=r"^What was known before 20\S+ \S+ UTC was dropped"):
        signal_listing.signals(filled.database, None, None, "small", None, None, moment)


def test_without_settings_the_store_loses_nothing(filled: Store) -> None:
    filled.execute(*OLD)
    make_older(filled, 2000)
    assert tidy(filled.instance).endswith("; runs deleted: 0; rows deleted: 0.")


@pytest.mark.usefixtures("let_go")
def test_a_run_goes_once_nothing_of_it_is_current(filled: Store) -> None:
    before = known(filled)
    failed = dg.DagsterRun(job_name="run_checks", run_id=make_new_run_id(), status=dg.DagsterRunStatus.FAILURE)
    filled.instance.add_run(failed)
    with records(filled) as cursor:
        cursor.execute("UPDATE runs SET end_time = extract(epoch FROM now()) WHERE end_time IS NULL")
    get_settings.cache_clear()
    make_older(filled, 29)
    assert "; runs deleted: 0;" in tidy(filled.instance)
    make_older(filled, 2)
    assert "; runs deleted: 1;" in tidy(filled.instance)
    assert known(filled) == before  # the run that made what is current is there, as old as the other


@pytest.mark.usefixtures("let_go")
def test_a_century_is_kept_where_a_setting_says_so(filled: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    for what in ("AUDIT", "REVISIONS", "REJECTED", "RUNS", "RESULTS", "STEPS", "EVENTS"):
        monkeypatch.setenv(f"BREADTHFLOW_KEEP_{what}_DAYS", str(CENTURY))
    filled.execute(*OLD)
    get_settings.cache_clear()
    make_older(filled, 2000)
    assert tidy(filled.instance) == NOTHING


def test_a_run_that_is_done_does_not_fail_because_records_cannot_be_tidied(
    filled: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    """Neither with a line of ours nor with whatever Dagster or a library raises: here, what was noted is no JSON."""
    StoredText(filled.instance, "tidied").write("no JSON")
    with pytest.raises(ValueError, match="Expecting value"):  # where nothing else is under way, it is told
        tidy(filled.instance)
    tidy_after_a_run(filled.instance)
    assert "not_tidied" in capsys.readouterr().err


@pytest.mark.parametrize("days", [89, 0, -1])
def test_a_pipeline_cannot_drop_what_was_done_lately(filled: Store, days: int) -> None:
    with pytest.raises(psycopg2.errors.InvalidParameterValue, match="90 days at least"):
        forget_audit(filled.database, days)
