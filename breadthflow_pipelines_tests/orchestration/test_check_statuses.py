"""What the UI shows of a check is true of its asset, stays on, and says when it was judged."""

import datetime as dt
from collections.abc import Callable
from typing import Any

import dagster as dg
import pytest

from breadthflow_pipelines.model.datasets import DAILY_JOB
from breadthflow_pipelines.model.run_tags import range_tags
from breadthflow_pipelines.orchestration import check_statuses
from breadthflow_pipelines.orchestration.wiring import build
from breadthflow_pipelines.settings import get_settings
from breadthflow_pipelines_tests.orchestration.automation.test_sensors import Sensor
from breadthflow_pipelines_tests.orchestration.conftest import Store
from breadthflow_pipelines_tests.orchestration.small_market import LAST, SESSIONS
from breadthflow_pipelines_tests.orchestration.test_gates import DAY, alone, without

Frozen = Callable[[dt.date], None]
JUNE = (dt.date(2023, 6, 1), dt.date(2023, 6, 30))
MARCH = (dt.date(2023, 3, 1), dt.date(2023, 3, 31))
NEXT_DAY = dt.date(2024, 1, 2)


def keys(store: Store, asset: str | None = None) -> list[dg.AssetCheckKey]:
    assert store.instance
    every = build(get_settings()).resolve_asset_graph().asset_check_keys
    return [key for key in every if asset in (None, key.asset_key.to_user_string())]


def light(store: Store, asset: str, check: str) -> tuple[str, dict[str, Any]]:
    """green, yellow, red or grey, as the UI shows it, and what it says."""
    key = dg.AssetCheckKey(dg.AssetKey(asset), check)
    found = store.instance.event_log_storage.get_latest_asset_check_execution_by_key([key])
    if key not in found or key in check_statuses.not_shown(store.instance, [key]):
        return "grey", {}
    evaluation = found[key].evaluation
    assert evaluation is not None
    bad = "red" if evaluation.severity is dg.AssetCheckSeverity.ERROR else "yellow"
    said = {name: entry.value for name, entry in evaluation.metadata.items()}
    return "green" if evaluation.passed else bad, said


def launched(store: Store, *months: dt.date) -> dg.ExecuteInProcessResult:
    """A run of the daily job as the UI launches it: it names months, and not through when."""
    job = build(get_settings()).resolve_job_def(DAILY_JOB)
    return job.execute_in_process(instance=store.instance, tags=range_tags(*months), raise_on_error=False)


class TestTrueOfTheAsset:
    """A run judges its own months, and the light is about all of them."""

    @pytest.mark.slow
    def test_a_hole_of_an_old_month_stays_red_over_daily_runs_until_it_is_mended(
        self, filled: Store, frozen: Frozen
    ) -> None:
        frozen(LAST)
        without(filled, DAY)
        filled.execute(f"DELETE FROM bars WHERE session = '{DAY}'")
        filled.check("bars")
        plotted = []
        for _ in range(2):
            colour, said = light(filled, "bars", "bars_complete")
            assert colour == "red"
            assert said["what"].startswith(f"no bars on {DAY} (since ")
            assert said["next"].startswith(f"breadthflow backfill --from {DAY} --to {DAY}; ")
            plotted.append([said[name] for name in ("failing", "failing_months", "months_judged")])
            report = filled.daily(LAST)
            assert report.exit_status == 1  # it is held
        assert plotted == [[1, 1, 14]] * 2  # whatever months a run was about
        filled.small.rows = type(filled.small)(filled.small.universe.parent / "again").rows  # it comes
        filled.small.write()
        assert filled.run(*JUNE).exit_status == 0
        colour, said = light(filled, "bars", "bars_complete")
        assert (colour, said["failing"], said["failing_months"]) == ("green", 0, 0)

    @pytest.mark.slow
    def test_an_old_failure_does_not_fail_a_run_about_another_month_and_turns_red_when_it_is_over(
        self, filled: Store
    ) -> None:
        filled.execute(
            "ALTER TABLE breadth_counts DROP CONSTRAINT breadth_counts_every_priced_member_once",
            f"UPDATE breadth_counts SET advances = advances + 1 WHERE segment = 'ALL' AND session = '{DAY}'",
        )
        assert filled.check("counts_keep_contract").exit_status == 1
        report = filled.run(dt.date(2023, 12, 1), LAST)
        assert report.exit_status == 0
        (outcome,) = [check for check in report.checks if check.name == "counts_keep_contract"]
        assert outcome.status == "warned"
        assert f"; but small ALL {DAY}: a priced member is not counted exactly once" in outcome.detail
        assert light(filled, "breadth_counts", "counts_keep_contract")[0] == "red"
        assert filled.run(*JUNE).exit_status == 0
        assert light(filled, "breadth_counts", "counts_keep_contract")[0] == "green"

    @pytest.mark.slow
    def test_a_warning_of_an_old_month_stays_yellow(self, filled: Store) -> None:
        filled.execute(f"UPDATE bars SET volume = 0 WHERE session = '{DAY}'")
        filled.check("session_plausible")
        filled.run(dt.date(2023, 12, 1), LAST)
        colour, said = light(filled, "quarantined_bars", "session_plausible")
        assert colour == "yellow"
        assert f"bars of {DAY} have no volume" in said["what"]

    @pytest.mark.slow
    def test_a_suite_judged_for_one_month_keeps_what_it_knows_of_others(self, filled: Store, frozen: Frozen) -> None:
        frozen(LAST)
        filled.execute(f"DELETE FROM bars WHERE session = '{DAY}'")
        filled.check("sessions_have_bars", suites=True)
        assert light(filled, "bars", "sessions_have_bars")[0] == "red"
        _judge(filled, "sessions_have_bars", MARCH)
        colour, said = light(filled, "bars", "sessions_have_bars")
        assert (colour, said["failing"], said["failing_months"]) == ("yellow", 1, 1)  # of the run that judged March
        assert check_statuses.outdated_statuses(
            filled.instance, filled.market, keys(filled, "bars")
        )  # and red after it
        filled.run(*JUNE)
        _judge(filled, "sessions_have_bars", JUNE)
        assert light(filled, "bars", "sessions_have_bars")[0] == "green"

    @pytest.mark.slow
    def test_a_suite_that_cannot_tell_which_months_fail_is_red_until_all_are_judged_again(
        self, filled: Store, frozen: Frozen
    ) -> None:
        frozen(LAST)
        filled.execute(
            "ALTER TABLE bars DROP CONSTRAINT bars_low_positive",
            f"UPDATE bars SET low = -low WHERE session = '{DAY}'",
        )
        filled.check("bar_lows_positive", suites=True)
        filled.execute(f"UPDATE bars SET low = -low WHERE session = '{DAY}'")
        _judge(filled, "bar_lows_positive", JUNE)
        assert light(filled, "bars", "bar_lows_positive")[0] == "yellow"
        filled.check("bar_lows_positive", suites=True)
        assert light(filled, "bars", "bar_lows_positive")[0] == "green"


class TestCurrent:
    """Whether the last session is in is asked of a run's own end, and of the asset's newest month."""

    @pytest.mark.slow
    def test_a_run_about_last_march_is_not_late(self, filled: Store, frozen: Frozen) -> None:
        frozen(NEXT_DAY)  # which nobody has bars of
        ran = launched(filled, *MARCH)
        said = {evaluation.check_name: evaluation for evaluation in ran.get_asset_check_evaluations()}
        assert ran.success
        assert said["bars_current"].passed
        assert filled.run(*MARCH).exit_status == 0

    @pytest.mark.slow
    def test_a_run_that_includes_the_present_month_is_judged_by_the_last_closed_session(
        self, filled: Store, frozen: Frozen
    ) -> None:
        frozen(NEXT_DAY)
        ran = launched(filled, dt.date(2023, 12, 1), NEXT_DAY)
        (said,) = [each for each in ran.get_asset_check_evaluations() if each.check_name == "bars_current"]
        assert not said.passed
        assert said.metadata["what"].value == f"no bars on {NEXT_DAY}; the last one held is {LAST}" + _since(filled)

    @pytest.mark.slow
    def test_the_light_stays_red_over_a_run_about_last_march_which_does_not_fail(
        self, filled: Store, frozen: Frozen
    ) -> None:
        frozen(NEXT_DAY)
        assert filled.daily(NEXT_DAY).exit_status == 1
        assert light(filled, "bars", "bars_current")[0] == "red"
        report = filled.run(*MARCH)
        assert report.exit_status == 0
        assert light(filled, "bars", "bars_current")[0] == "red"


class TestOn:
    """Dagster puts a light out when its asset is made; it is lit again, with the time at which it was judged."""

    @pytest.mark.slow
    def test_after_a_daily_run_every_light_that_ever_was_on_is_on(
        self, filled: Store, at: Callable[[str], None]
    ) -> None:
        at("2023-12-29T23:35")
        filled.check("bars_unique", "counts_add_up", suites=True)  # at night
        judged = light(filled, "bars", "bars_unique")[1]
        assert "judged" not in judged  # just now
        assert filled.daily(LAST).exit_status == 0
        shown = filled.instance.event_log_storage.get_latest_asset_check_execution_by_key(keys(filled))
        assert check_statuses.not_shown(filled.instance, keys(filled)) == []
        assert {"bars_unique", "counts_add_up", "bars_complete", "last_session_in"} <= {key.name for key in shown}
        said = light(filled, "bars", "bars_unique")[1]
        moment = filled.rows("SELECT max(judged_at) FROM verdicts WHERE check_name = 'bars_unique'")[0][0]
        assert dt.datetime.fromtimestamp(said["judged"], dt.UTC) == moment

    def test_the_sensor_lights_what_a_run_of_the_daemon_put_out(self, filled: Store, at: Callable[[str], None]) -> None:
        at("2023-12-29T23:35")
        sensor = Sensor(filled, "check_lights")
        sensor.tick()
        assert alone(filled, "bars", months=(dt.date(2023, 12, 1), LAST)) is None  # as the UI makes it, without checks
        out = {key.name for key in check_statuses.not_shown(filled.instance, keys(filled, "bars"))}
        assert out == {
            "bars_complete",
            "bars_keep_contract",
            "bars_current",
            "every_symbol_answered",
            "bars_still_given",
            "last_session_in",
        }
        sensor.tick()
        assert check_statuses.not_shown(filled.instance, keys(filled)) == []
        assert light(filled, "bars", "last_session_in")[0] == "green"
        sensor.tick()  # it looks once more, because it wrote itself
        assert sensor.skipped() == "Nothing was made or judged since."

    def test_lights_that_a_held_run_never_came_to_show_their_last_word(self, filled: Store, frozen: Frozen) -> None:
        frozen(LAST)
        days = [day for day in SESSIONS if (day.year, day.month) == (2023, 12)]
        without(filled, days[5])
        filled.execute(f"DELETE FROM bars WHERE session = '{days[5]}'")
        report = filled.daily(LAST)
        assert report.exit_status == 1
        assert light(filled, "breadth_counts", "counts_keep_contract")[0] == "green"
        assert light(filled, "bars", "bars_complete")[0] == "red"

    @pytest.mark.slow
    def test_a_hole_that_is_accepted_turns_green_without_a_run(self, store: Store) -> None:
        from breadthflow_pipelines.warehouse import holds, verdicts

        without(store, DAY)
        assert store.run().exit_status == 1
        assert light(store, "bars", "bars_complete")[0] == "red"
        sensor = Sensor(store, "check_lights")
        for _ in range(3):
            sensor.tick()
        holds.accept(store.database, DAY, DAY, None, "ann", "none")
        verdicts.record_gate(store.database, "bars_complete", {"2023-06"}, run_id=None)
        sensor.tick()
        assert light(store, "bars", "bars_complete")[0] == "green"

    def test_checks_that_were_never_judged_are_asked_for_once(self, filled: Store) -> None:
        sensor = Sensor(filled, "check_lights")
        request = sensor.asked()
        assert request.asset_check_keys is not None
        names = {key.name for key in request.asset_check_keys}
        assert {"bars_unique", "counts_add_up"} <= names
        assert not {"bars_complete", "last_session_in", "published_counts_exist"} & names  # judged, by the clock, empty
        again = Sensor(filled, "check_lights").asked()
        assert again.run_key == request.run_key  # Dagster makes one run of it

    def test_a_store_without_anything_has_no_light_and_asks_for_none(self, store: Store) -> None:
        assert "All checks are shown" in Sensor(store, "check_lights").skipped()


def _judge(store: Store, check: str, months: tuple[dt.date, dt.date]) -> None:
    """Run one check about some months, as a run of these months from the UI has it."""
    job = build(get_settings()).resolve_job_def("run_checks")
    key = next(key for key in job.asset_layer.asset_graph.asset_check_keys if key.name == check)
    judged = job.get_subset(asset_selection=set(), asset_check_selection={key})
    judged.execute_in_process(instance=store.instance, tags=range_tags(*months), raise_on_error=False)


def _since(store: Store) -> str:
    since = store.rows("SELECT since FROM verdicts WHERE check_name = 'bars_current' AND failing > 0")[0][0]
    return f" (since {since:%Y-%m-%d})"
