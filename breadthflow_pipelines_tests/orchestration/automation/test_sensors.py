"""Sensors on a real store and Dagster's real storage, at moments that the test chooses."""

import datetime as dt
from collections.abc import Callable, Iterator
from pathlib import Path

import dagster as dg
import psycopg2
import pytest
from dagster._core.definitions.run_status_sensor_definition import RunStatusSensorCursor

from breadthflow_pipelines.errors import SourceError
from breadthflow_pipelines.model.datasets import DAILY_JOB
from breadthflow_pipelines.orchestration.automation.catch_up import WAITS
from breadthflow_pipelines.orchestration.check_statuses import not_shown
from breadthflow_pipelines.orchestration.wiring import build
from breadthflow_pipelines.settings import get_settings
from breadthflow_pipelines.sources import files
from breadthflow_pipelines.warehouse import holds
from breadthflow_pipelines_tests.inbox import Inbox
from breadthflow_pipelines_tests.orchestration.conftest import Store, ended
from breadthflow_pipelines_tests.orchestration.small_market import LAST

At = Callable[[str], None]
ASSETS = ("bars", "breadth_counts", "breadth_indicators", "market_signals", "price_indicators", "symbol_signals")


class Sensor:
    """One sensor as the daemon has it: each tick knows the cursor that the one before left."""

    def __init__(self, store: Store, name: str, cursor: str | None = None) -> None:
        self.store, self.name, self.cursor = store, name, cursor

    def tick(self) -> dg.SensorResult:
        definitions = build(get_settings())
        context = dg.build_sensor_context(
            self.store.instance, self.cursor, repository_def=definitions.get_repository_def()
        )
        answer = definitions.resolve_sensor_def(self.name)(context)
        if isinstance(answer, dg.SkipReason):
            return dg.SensorResult(skip_reason=answer, cursor=self.cursor)
        assert isinstance(answer, dg.SensorResult)
        for event in answer.asset_events:
            self.store.instance.report_runless_asset_event(event)
        self.cursor = answer.cursor or self.cursor
        return answer

    def asked(self) -> dg.RunRequest:
        (request,) = self.tick().run_requests or []
        return request

    def skipped(self) -> str:
        answer = self.tick()
        assert not answer.run_requests
        assert answer.skip_reason is not None
        return str(answer.skip_reason.skip_message)


def months(request: dg.RunRequest) -> tuple[str, str]:
    return (
        request.tags["dagster/asset_partition_range_start"],
        request.tags["dagster/asset_partition_range_end"],
    )


def lights(store: Store) -> dict[str, bool]:
    """By asset, whether the check that the UI shows has passed."""
    keys = [dg.AssetCheckKey(dg.AssetKey(name), "last_session_in") for name in ASSETS]
    found = store.instance.event_log_storage.get_latest_asset_check_execution_by_key(keys)
    return {key.asset_key.to_user_string(): record.status.value == "SUCCEEDED" for key, record in found.items()}


class TestCatchUp:
    """What should be in and is not is asked for."""

    def test_three_weeks_off_are_asked_for_at_once_from_where_the_store_left_off(self, filled: Store, at: At) -> None:
        ended(filled, "2023-12-29T23:35")
        at("2024-01-19T15:00")  # a Friday morning in New York
        request = Sensor(filled, "catch_up").asked()
        assert months(request) == ("2023-12", "2024-01")
        assert request.tags["session"] == "2024-01-18"
        assert request.run_key == "2024-01-18 try 1"

    def test_the_evening_s_run_has_its_time_before_anybody_else_asks(self, filled: Store, at: At) -> None:
        ended(filled, "2023-12-29T23:35")
        catch_up = Sensor(filled, "catch_up")
        at("2024-01-02T23:44")  # 18:44 in New York: after_the_close was at 18:30
        assert catch_up.skipped() == "2023-12-29: everything is in."
        assert catch_up.skipped() == "Nothing more to ask for of 2023-12-29: everything is in."
        at("2024-01-02T23:45")
        assert months(catch_up.asked()) == ("2023-12", "2024-01")

    def test_a_run_that_waits_or_works_is_waited_for(self, filled: Store, at: At) -> None:
        ended(filled, "2023-12-29T23:35")
        at("2024-01-03T15:00")
        job = build(get_settings()).resolve_job_def(DAILY_JOB)
        run = filled.instance.create_run_for_job(job, status=dg.DagsterRunStatus.STARTED)
        catch_up = Sensor(filled, "catch_up")
        assert catch_up.skipped() == f"Run {run.run_id[:8]} is not over yet."
        filled.instance.report_run_failed(run)
        ended(filled, "2023-12-29T23:35")
        assert catch_up.asked()

    @pytest.mark.slow
    def test_distances_grow_and_after_five_tries_nobody_asks_and_somebody_is_told(
        self, filled: Store, at: At, alerted: Inbox
    ) -> None:
        catch_up = Sensor(filled, "catch_up")
        moment = dt.datetime(2024, 1, 3, 15, tzinfo=dt.UTC)
        ended(filled, "2023-12-29T23:35")
        for number, wait in enumerate(WAITS, 1):
            if number > 1:
                at((moment + wait - dt.timedelta(seconds=1)).isoformat())
                assert "2024-01-02 is not in bars, breadth_counts" in catch_up.skipped()
            at((moment + wait).isoformat())
            assert catch_up.asked().run_key == f"2024-01-02 try {number}"
            moment += wait + dt.timedelta(minutes=5)  # that long the run took, and brought nothing
            ended(filled, moment.replace(tzinfo=None).isoformat())
        assert "it was asked for 5 times" in catch_up.skipped()
        (told,) = alerted.texts
        assert told.startswith("BreadthFlow: session 2024-01-02 is incomplete\n")
        assert "then: breadthflow run" in told
        at("2024-01-04T15:00")  # another session, other tries
        assert catch_up.asked().run_key == "2024-01-03 try 1"

    @pytest.mark.slow
    def test_a_symbol_whose_file_broke_is_read_again_after_a_quarter_of_an_hour(self, filled: Store, at: At) -> None:
        (filled.small.bars / "ddd.csv").write_text("this,is,no\nbar,file,at all\n")
        at("2023-12-29T23:35")
        assert filled.daily(LAST).trouble is None
        ended(filled, "2023-12-29T23:36")
        at("2023-12-29T23:50")
        catch_up = Sensor(filled, "catch_up")
        assert catch_up.skipped() == "1 symbol could not be read; asks again at 2023-12-29 23:51 UTC."
        at("2023-12-29T23:51")
        assert months(catch_up.asked()) == ("2023-12", "2023-12")

    @pytest.mark.slow
    def test_a_symbol_that_is_not_there_yet_is_waited_for_and_a_delisted_one_is_not(
        self, filled: Store, at: At
    ) -> None:
        at("2023-12-30T15:00")
        assert filled.metadata("bars")["symbols"]["not_yet"] == 0  # one run over all: no month to be behind in
        assert filled.daily(LAST).trouble is None
        assert filled.metadata("bars")["symbols"]["not_yet"] == 1  # JJJ ended in September
        ended(filled, "2023-12-29T23:36")
        assert Sensor(filled, "catch_up").skipped() == "2023-12-29: everything is in."

        filled.small.rows["DDD"] = [row for row in filled.small.rows["DDD"] if str(row[0]) < "2023-12"]
        filled.small.write()
        filled.execute(
            "DELETE FROM bars WHERE security_id = (SELECT security_id FROM security_symbols "
            "WHERE symbol = 'DDD') AND session = '2023-12-29'"
        )
        assert filled.daily(LAST).trouble is None
        ended(filled, "2023-12-29T23:36")
        assert (
            Sensor(filled, "catch_up").asked().tags["breadthflow/reason"] == "1 symbols have no bar of 2023-12-29 yet"
        )

    def test_what_an_older_session_holds_is_not_asked_for_until_it_is_lifted(
        self, filled: Store, at: At, frozen: Callable[[dt.date], None]
    ) -> None:
        frozen(LAST)
        filled.execute("DELETE FROM bars WHERE session = '2023-06-15'")
        filled.check("bars_complete")
        for table in ASSETS[1:]:
            filled.execute(f"DELETE FROM {table} WHERE session = '{LAST}'")
        ended(filled, "2023-12-29T23:35")
        at("2023-12-30T15:00")
        catch_up = Sensor(filled, "catch_up")
        assert catch_up.skipped().startswith("symbol_signals is held from 2023-06-15 on: no bars on 2023-06-15 ")
        holds.accept(filled.database, dt.date(2023, 6, 15), dt.date(2023, 6, 15), None, "ann", "none to be had")
        assert catch_up.asked().run_key == "2023-12-29 try 1"

    def test_an_empty_store_is_left_to_people(self, store: Store, at: At) -> None:
        at("2023-12-30T15:00")
        assert "breadthflow run fills it" in Sensor(store, "catch_up").skipped()

    def test_a_store_whose_run_was_never_dagster_s_is_asked_for(self, filled: Store, at: At) -> None:
        with psycopg2.connect(filled.dagster_url) as connection, connection.cursor() as cursor:
            cursor.execute("DELETE FROM runs")
        connection.close()
        at("2024-01-03T15:00")
        assert Sensor(filled, "catch_up").asked().tags["session"] == "2024-01-02"


class TestLateSessions:
    """The lights beside the assets follow the exchange's calendar."""

    @pytest.mark.slow
    def test_lights_turn_red_two_hours_after_the_evening_s_run_and_green_when_the_session_is_in(
        self, filled: Store, at: At, alerted: Inbox
    ) -> None:
        late = Sensor(filled, "late_sessions")
        at("2023-12-30T01:29")  # 20:29 in New York on the 29th: the 28th is what is due, and it is in
        assert late.skipped() == "2023-12-28 is in. Checks were reported."
        assert lights(filled) == dict.fromkeys(ASSETS, True)
        for table in ASSETS:
            filled.execute(f"DELETE FROM {table} WHERE session = '{LAST}'")
        at("2023-12-30T01:30")
        assert late.skipped().startswith("2023-12-29 is late in bars, breadth_counts")
        assert lights(filled) == dict.fromkeys(ASSETS, False)
        (told,) = alerted.texts
        assert told.startswith("BreadthFlow: session 2023-12-29 is late\n")
        assert "bars through 2023-12-28" in told
        assert told.endswith("Next   breadthflow run")
        assert "Checks were reported" not in late.skipped()  # once is enough
        assert len(alerted.texts) == 1

        assert filled.run(dt.date(2023, 3, 1), dt.date(2023, 3, 31)).exit_status == 0  # a run about another month
        late.tick()
        assert lights(filled) == dict.fromkeys(ASSETS, False)

        assert filled.daily(LAST).exit_status == 0
        assert lights(filled) == dict.fromkeys(ASSETS, True)  # the command tells them itself
        assert late.skipped() == "2023-12-29 is in."

    @pytest.mark.slow
    def test_a_run_of_the_daemon_puts_them_out_and_the_sensor_lights_them_though_nothing_is_late(
        self, filled: Store, at: At
    ) -> None:
        at("2023-12-30T15:00")
        late = Sensor(filled, "late_sessions")
        late.tick()
        assert late.skipped() == "2023-12-29 is in."
        job = build(get_settings()).resolve_job_def(DAILY_JOB)
        tags = {"dagster/asset_partition_range_start": "2023-12", "dagster/asset_partition_range_end": "2023-12"}
        assert job.execute_in_process(instance=filled.instance, tags=tags).success
        keys = [dg.AssetCheckKey(dg.AssetKey(name), "last_session_in") for name in ASSETS]
        assert len(not_shown(filled.instance, keys)) == len(ASSETS)
        assert late.skipped() == "2023-12-29 is in. Checks were reported."
        assert not_shown(filled.instance, keys) == []

    def test_only_what_lacks_the_session_is_red(self, filled: Store, at: At) -> None:
        filled.execute(f"DELETE FROM breadth_indicators WHERE session = '{LAST}'")
        at("2023-12-31T15:00")  # a Sunday
        Sensor(filled, "late_sessions").tick()
        assert [name for name, green in lights(filled).items() if not green] == ["breadth_indicators"]

    def test_published_counts_say_nothing_of_bars(self, filled: Store, at: At) -> None:
        filled.execute(
            f"DELETE FROM breadth_indicators WHERE session = '{LAST}' AND segment <> 'ALL'",
            f"UPDATE breadth_indicators SET universe = 'NYSE' WHERE session = '{LAST}'",
        )
        at("2023-12-31T15:00")
        Sensor(filled, "late_sessions").tick()
        assert not lights(filled)["breadth_indicators"]

    def test_signals_that_a_short_history_cannot_have_are_not_late(self, filled: Store, at: At) -> None:
        filled.execute("DELETE FROM market_signals")
        at("2023-12-31T15:00")
        Sensor(filled, "late_sessions").tick()
        assert all(lights(filled).values())

    def test_a_store_that_is_months_behind_is_late_and_an_empty_one_is_not(self, filled: Store, at: At) -> None:
        at("2025-06-02T15:00")
        assert Sensor(filled, "late_sessions").skipped().startswith("2025-05-30 is late in bars, breadth_counts")

    def test_an_empty_store_is_not_late(self, store: Store, at: At) -> None:
        at("2023-12-31T15:00")
        assert Sensor(store, "late_sessions").skipped() == "The store is empty, so nothing is late."

    def test_the_check_can_be_run_by_hand_and_says_the_same(self, filled: Store, at: At) -> None:
        at("2024-01-03T15:00")
        keys = [dg.AssetCheckKey(dg.AssetKey(name), "last_session_in") for name in ASSETS]
        by_hand = dg.define_asset_job("by_hand", dg.AssetSelection.checks(*keys), executor_def=dg.in_process_executor)
        definitions = dg.Definitions.merge(build(get_settings()), dg.Definitions(jobs=[by_hand]))
        ran = definitions.resolve_job_def("by_hand").execute_in_process(instance=filled.instance)
        assert {each.asset_key.to_user_string(): each.passed for each in ran.get_asset_check_evaluations()} == (
            dict.fromkeys(ASSETS, False)
        )
        assert lights(filled) == dict.fromkeys(ASSETS, False)


class TestNewFiles:
    """Files that arrive in the folder of the files source."""

    @pytest.fixture(autouse=True)
    def _evening(self, at: At) -> None:
        self.at = at
        self.moment = dt.datetime(2024, 1, 5, 23, tzinfo=dt.UTC)
        at(self.moment.isoformat())

    def later(self, seconds: float = 31) -> None:
        self.moment += dt.timedelta(seconds=seconds)
        self.at(self.moment.isoformat())

    def known(self, store: Store) -> Sensor:
        """The sensor after it has seen what is there."""
        ended(store, "2099-01-01T00:00")  # the last run read all of it
        new_files = Sensor(store, "new_files")
        known = len(list(store.small.bars.iterdir()))
        assert new_files.skipped().endswith(f"{known} files are known, 0 are coming in.")
        self.later()
        return new_files

    def test_a_vendor_s_daily_file_runs_its_month_once_also_after_a_restart(self, filled: Store) -> None:
        new_files = self.known(filled)
        (filled.small.bars / "2024-01-05.csv").write_text(
            "symbol,session,open,high,low,close,volume\nAAA,2024-01-05,50,51,49,50,1000\n"
        )
        assert new_files.skipped().endswith("1 are coming in.")
        self.later()
        request = new_files.asked()
        assert months(request) == ("2024-01", "2024-01")
        assert request.tags["breadthflow/files"] == "2024-01-05.csv"
        assert "breadthflow/through" not in request.tags
        self.later()
        restarted = Sensor(filled, "new_files", new_files.cursor)
        assert restarted.skipped().startswith("Nothing new in")
        assert len(str(new_files.cursor)) < 100  # it is stored again with every tick

    def test_a_tick_whose_runs_were_never_made_asks_for_the_same_again(self, filled: Store) -> None:
        new_files = self.known(filled)
        before = new_files.cursor
        (filled.small.bars / "day.csv").write_text(
            "symbol,session,open,high,low,close,volume\nAAA,2023-12-29,50,51,49,50,1000\n"
        )
        new_files.skipped()
        seen = new_files.cursor
        self.later()
        lost = new_files.asked()
        assert before != seen != new_files.cursor
        new_files.cursor = seen  # the daemon was killed before it had made the run
        assert new_files.asked().run_key == lost.run_key

    def test_files_of_a_folder_that_was_never_run_are_all_run(self, store: Store) -> None:
        new_files = Sensor(store, "new_files")
        new_files.skipped()
        self.later()
        assert months(new_files.asked()) == ("2022-11", "2023-12")

    def test_a_file_that_cannot_be_read_is_told_once(self, filled: Store, alerted: Inbox) -> None:
        new_files = self.known(filled)
        (filled.small.bars / "day.csv").write_text("<html>Please log in</html>\n")
        for _ in range(4):
            new_files.skipped()
            self.later()
        (told,) = alerted.texts
        assert "day.csv: " in told
        assert "no column for" in told

    def test_a_folder_that_is_missing_is_looked_for_again(self, filled: Store, tmp_path: Path) -> None:
        new_files = self.known(filled)
        filled.small.bars.rename(tmp_path / "away")
        assert new_files.skipped() == f"{filled.small.bars} does not exist; it is looked for again."
        (tmp_path / "away").rename(filled.small.bars)
        assert new_files.skipped().startswith("Nothing new in")

    @pytest.mark.parametrize(
        ("settings", "reason", "status"),
        [
            ({}, None, dg.DefaultSensorStatus.RUNNING),
            ({"DROP_FOLDER": "{bars}/incoming"}, "incoming does not exist", dg.DefaultSensorStatus.RUNNING),
            ({"DROP_FOLDER": "/elsewhere"}, "does not lie in BREADTHFLOW_SOURCE_PATH", dg.DefaultSensorStatus.STOPPED),
            ({"SOURCE": "demo"}, "BREADTHFLOW_SOURCE=demo reads no folder", dg.DefaultSensorStatus.STOPPED),
            ({"SOURCE_PATH": ""}, "BREADTHFLOW_SOURCE_PATH is not set", dg.DefaultSensorStatus.STOPPED),
        ],
    )
    def test_it_runs_where_there_is_a_folder_and_says_why_it_does_not_elsewhere(
        self,
        store: Store,
        monkeypatch: pytest.MonkeyPatch,
        settings: dict[str, str],
        reason: str | None,
        status: dg.DefaultSensorStatus,
    ) -> None:
        for name, value in settings.items():
            monkeypatch.setenv(f"BREADTHFLOW_{name}", value.format(bars=store.small.bars))
        get_settings.cache_clear()
        assert build(get_settings()).resolve_sensor_def("new_files").default_status is status
        assert (reason or "Nothing new in") in Sensor(store, "new_files").skipped()


class TestAlerts:
    """What broke is alerted once, with where and what to run next, and without secrets."""

    def failed(self, store: Store, run_id: str) -> dg.RunFailureSensorContext:
        run = store.instance.get_run_by_id(run_id)
        assert run is not None
        event = next(
            entry.dagster_event
            for entry in store.instance.all_logs(run_id, of_type=dg.DagsterEventType.RUN_FAILURE)
            if entry.dagster_event
        )
        return dg.build_run_status_sensor_context("alert_failed_runs", event, store.instance, run).for_run_failure()

    def test_a_run_that_failed_is_told_with_cause_place_and_command_and_without_secrets(
        self, store: Store, alerted: Inbox, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("VENDOR_API_KEY", "planted-key")

        def bars(*_: object) -> Iterator[object]:
            try:
                raise OSError("https://feed.example/bars?crumb=planted refused postgresql://u:planted@h/d: planted-key")
            except OSError as error:
                raise SourceError(f"feed.example is away: {error}") from error
            yield

        monkeypatch.setattr(files.Files, "bars", bars)
        monkeypatch.setattr(dg.RetryPolicy, "calculate_delay", lambda self, attempt: 0.01 * attempt)  # noqa: ARG005
        report = store.run(dt.date(2023, 12, 1), LAST)
        sensor = build(get_settings()).resolve_sensor_def("alert_failed_runs")
        sensor(self.failed(store, report.run_id))
        sensor(self.failed(store, report.run_id))  # the daemon died before it noted that this run was done
        (told,) = alerted.texts
        assert told.splitlines() == [
            "BreadthFlow: bars failed",
            "What   bars: feed.example is away: https://feed.example/bars?*** refused postgresql://***@h/d: ***",
            f"Where  bars, run {report.run_id[:8]} of bring_up_to_date, month 2023-12, session 2023-12-29",
            "Next   breadthflow sources (does it answer?), then: "
            "breadthflow backfill --from 2023-12-01 --to 2023-12-31",
        ]

    @pytest.mark.slow
    def test_a_blocking_check_names_itself_and_the_command_that_shows_it(self, filled: Store, alerted: Inbox) -> None:
        filled.execute("DELETE FROM bars WHERE session = '2023-12-13'")
        for symbol, rows in filled.small.rows.items():
            filled.small.rows[symbol] = [row for row in rows if row[0] != "2023-12-13"]
        filled.small.write()
        report = filled.daily(LAST)
        build(get_settings()).resolve_sensor_def("alert_failed_runs")(self.failed(filled, report.run_id))
        (told,) = alerted.texts
        assert told.startswith("BreadthFlow: bars.bars_complete failed\nWhat   bars.bars_complete: ")
        assert "no bars on 2023-12-13 (since " in told
        assert "Next   breadthflow backfill --from 2023-12-13 --to 2023-12-13; if the source has no more: " in told
        assert "breadthflow accept-hole 2023-12-13 --reason" in told

    @pytest.mark.slow
    def test_a_run_that_is_held_names_what_holds_it_and_what_lifts_it(
        self, filled: Store, alerted: Inbox, frozen: Callable[[dt.date], None]
    ) -> None:
        frozen(LAST)
        filled.execute("DELETE FROM bars WHERE session = '2023-06-15'")
        for symbol, rows in filled.small.rows.items():
            filled.small.rows[symbol] = [row for row in rows if row[0] != "2023-06-15"]
        filled.small.write()
        filled.check("bars_complete")
        report = filled.daily(LAST)
        build(get_settings()).resolve_sensor_def("alert_failed_runs")(self.failed(filled, report.run_id))
        (told,) = alerted.texts
        assert "is held from 2023-06-15 on: no bars on 2023-06-15 (bars_complete)." in told
        assert "Next   breadthflow backfill --from 2023-06-15 --to 2023-06-15; if the source has no more: " in told

    @pytest.mark.parametrize(
        ("tags", "messages"),
        [
            ({"dagster/retry_number": "1"}, 1),  # Dagster tries again by itself
            ({}, 2),  # a person does, an hour later
        ],
    )
    def test_a_retry_by_dagster_does_not_alert_twice(
        self, store: Store, alerted: Inbox, tags: dict[str, str], messages: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        job = build(get_settings()).resolve_job_def(DAILY_JOB)
        first = store.instance.create_run_for_job(job, status=dg.DagsterRunStatus.STARTED)
        again = store.instance.create_run_for_job(
            job,
            status=dg.DagsterRunStatus.STARTED,
            tags={"dagster/root_run_id": first.run_id, "dagster/parent_run_id": first.run_id, **tags},
        )
        sensor = build(get_settings()).resolve_sensor_def("alert_failed_runs")
        for run in (first, again):
            store.instance.report_run_failed(run, "The process that made this run is gone.")
            sensor(self.failed(store, run.run_id))
            monkeypatch.setattr("breadthflow_pipelines.observability.alerts.QUIET", dt.timedelta(0))
        assert len(alerted.texts) == messages
        assert "The process that made this run is gone." in alerted.texts[0]

    @pytest.mark.slow
    def test_a_check_that_failed_in_a_run_that_went_through_is_told_and_a_warning_is_not(
        self, store: Store, alerted: Inbox, frozen: Callable[[dt.date], None]
    ) -> None:
        late = dt.date(2024, 1, 2)
        frozen(late)
        (store.small.bars / "ddd.csv").write_text("this,is,no\nbar,file,at all\n")  # every_symbol_answered warns
        report = store.run(dt.date(2023, 12, 1), late)
        assert {check.name for check in report.checks if check.status in ("failed", "warned")} == {
            "bars_current",
            "every_symbol_answered",
            "members_have_bars",  # of this market one never has any
        }
        definitions = build(get_settings())
        sensor = definitions.resolve_sensor_def("alert_failed_checks")
        # As the daemon evaluates it, from before the run on.
        context = dg.build_sensor_context(
            store.instance,
            RunStatusSensorCursor(record_id=0, update_timestamp="1970-01-01T00:00:00+00:00").to_json(),
            repository_def=definitions.get_repository_def(),
        )
        sensor.evaluate_tick(context)
        (told,) = alerted.texts
        assert told.startswith("BreadthFlow: check bars.bars_current failed\n")
        assert "no bars on 2024-01-02; the last one held is 2023-12-29" in told
        assert "Next   breadthflow run" in told
        sensor.evaluate_tick(context)
        assert len(alerted.texts) == 1

    def test_alerts_that_nobody_takes_do_not_fail_the_sensor(self, store: Store, alerted: Inbox) -> None:
        alerted.status = 500
        job = build(get_settings()).resolve_job_def(DAILY_JOB)
        run = store.instance.create_run_for_job(job, status=dg.DagsterRunStatus.STARTED)
        store.instance.report_run_failed(run, "gone")
        build(get_settings()).resolve_sensor_def("alert_failed_runs")(self.failed(store, run.run_id))
        alerted.status = 200
        Sensor(store, "late_sessions").tick()  # it takes along what was not sent
        assert "not taken then" in alerted.texts[0]

    def test_they_run_only_where_an_address_is_set(self, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
        names = ("alert_failed_runs", "alert_failed_checks")
        before = build(get_settings())
        monkeypatch.setenv("BREADTHFLOW_ALERT_URLS", "json://127.0.0.1:1/x")
        get_settings.cache_clear()
        after = build(get_settings())
        assert store.instance
        assert {before.resolve_sensor_def(name).default_status for name in names} == {dg.DefaultSensorStatus.STOPPED}
        assert {after.resolve_sensor_def(name).default_status for name in names} == {dg.DefaultSensorStatus.RUNNING}
