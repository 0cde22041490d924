"""Runs that the command makes: where they begin, how they end, what their reports say."""

import datetime as dt
from collections.abc import Callable, Iterator

import dagster as dg
import pytest

from breadthflow_pipelines.errors import BreadthFlowError, DatabaseError, RequestError, SourceError
from breadthflow_pipelines.indicators.conventions import CONVENTION
from breadthflow_pipelines.model.datasets import DAILY_JOB, MONTHLY_ASSETS
from breadthflow_pipelines.observability.progress import watched_by
from breadthflow_pipelines.orchestration import planning
from breadthflow_pipelines.orchestration.assets import price_indicators
from breadthflow_pipelines.orchestration.run_reports import CheckOutcome, RunReport
from breadthflow_pipelines.settings import get_settings
from breadthflow_pipelines.sources import file_batches, files
from breadthflow_pipelines_tests.orchestration.conftest import Contents, Store, assert_same
from breadthflow_pipelines_tests.orchestration.small_market import FIRST, LAST, SESSIONS

FAILED = CheckOutcome("bars", "bars_current", "failed")
WARNED = CheckOutcome("bars", "every_symbol_answered", "warned")


@pytest.mark.parametrize(
    ("error", "attempts", "status", "message"),
    [
        # a rerun asks the same
        (RequestError("The file has no column x.\nName it: y=x"), 1, 2, "The file has no column x.\nName it: y=x"),
        # four times, the waits left out
        (SourceError("feed.example: no answer"), 4, 3, "feed.example: no answer"),
        (DatabaseError("The database cannot be reached: gone"), 4, 3, "The database cannot be reached: gone"),
        # a bug is neither
        (KeyError("surprise"), 1, 1, "bars failed: KeyError: 'surprise'"),
    ],
)
def test_failure_is_retried_only_where_that_may_help_and_ends_with_its_own_status(
    error: Exception, attempts: int, status: int, message: str, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[int] = []

    def bars(*_: object) -> Iterator[object]:
        made.append(1)
        raise error

    monkeypatch.setattr(files.Files, "bars", bars)
    monkeypatch.setattr(dg.RetryPolicy, "calculate_delay", lambda self, attempt: 0.01 * attempt)  # noqa: ARG005
    report = store.run()
    assert len(made) == attempts
    assert (report.exit_status, str(report.trouble)) == (status, message)
    assert "breadth_counts" not in report.figures
    assert store.instance.get_runs()[0].status is dg.DagsterRunStatus.FAILURE


@pytest.mark.slow
def test_source_that_answers_again_makes_the_run_succeed(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, made = files.Files.bars, []

    def bars(*arguments: object) -> Iterator[object]:
        made.append(1)
        if len(made) < 3:
            raise SourceError("feed.example: no answer")
        yield from whole(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(files.Files, "bars", bars)
    monkeypatch.setattr(dg.RetryPolicy, "calculate_delay", lambda self, attempt: 0.01 * attempt)  # noqa: ARG005
    report = store.run(dt.date(2023, 12, 1), LAST)
    assert (len(made), report.exit_status, report.trouble) == (3, 0, None)


@pytest.mark.parametrize(
    ("trouble", "checks", "status"),
    [
        (None, (), 0),
        (None, (WARNED,), 0),  # a warning is no failure
        (None, (WARNED, FAILED), 1),
        (BreadthFlowError("a bug"), (), 1),
        (RequestError("wrong"), (FAILED,), 2),  # what ended the run says more than a check
        (SourceError("away"), (), 3),
    ],
)
def test_exit_status_of_a_report(
    trouble: BreadthFlowError | None, checks: tuple[CheckOutcome, ...], status: int
) -> None:
    assert RunReport("id", 1.0, {}, checks, trouble).exit_status == status


def test_rows_changed_are_those_inserted_revised_and_removed() -> None:
    one = {"rows_read": 100, "rows_inserted": 1, "rows_revised": 20, "rows_unchanged": 79, "rows_removed": 300}
    assert RunReport("id", 1.0, {"bars": one, "counts": {"rows_inserted": 4000}}, ()).rows_changed == 4321


def test_report_says_what_was_read_and_how_every_check_went(filled: Store) -> None:
    report = filled.daily(LAST)
    december = sum(1 for rows in filled.small.rows.values() for row in rows if str(row[0]) >= "2023-12")
    assert report.figures["bars"]["rows_read"] == december
    assert {check.asset for check in report.checks} == {
        *("universe_members", "bars", "quarantined_bars", "breadth_counts", "breadth_indicators", "market_signals"),
        *("price_indicators", "symbol_signals", "exchange_breadth"),
        *("universe_returns", "signal_outcomes", "signal_accuracy", "backtests", "symbol_calibration"),
    }
    detail = next(check.detail for check in report.checks if check.name == "bars_current")
    assert detail == "2023-12-29 is in"
    run = filled.instance.get_run_by_id(report.run_id)
    assert run is not None
    assert run.job_name == DAILY_JOB
    assert run.tags["breadthflow/through"] == "2023-12-29"


def test_empty_store_is_filled_from_the_first_month_of_history(store: Store) -> None:
    assert planning.first_day_due(store.instance, store.market, LAST) == FIRST


@pytest.mark.parametrize(
    ("through", "first"),
    [
        ("2023-12-29", "2023-12-26"),  # nothing is missing: three sessions back from the last one held
        ("2023-12-20", "2023-12-15"),  # a session in the past is read again with the three before it
        ("2024-01-03", "2023-12-26"),  # two new sessions, and those whose bars may still change
        ("2024-02-15", "2023-12-26"),  # after an absence: from where it left off, through the months missed
    ],
)
def test_filled_store_is_read_again_from_three_sessions_back(through: str, first: str, filled: Store) -> None:
    due = planning.first_day_due(filled.instance, filled.market, dt.date.fromisoformat(through))
    assert due == dt.date.fromisoformat(first)


@pytest.mark.parametrize("asset", MONTHLY_ASSETS)
def test_months_of_which_one_asset_was_never_run_are_due(asset: str, filled: Store) -> None:
    # As in a store that was filled before there were any indicators of members.
    filled.instance.wipe_assets([dg.AssetKey(asset)])
    assert planning.first_day_due(filled.instance, filled.market, LAST) == FIRST


def test_assets_without_months_are_not_asked_for_any(filled: Store) -> None:
    filled.instance.wipe_assets([dg.AssetKey("breadth_indicators"), dg.AssetKey("market_signals")])
    assert planning.first_day_due(filled.instance, filled.market, LAST) == dt.date(2023, 12, 26)


@pytest.mark.parametrize(
    ("where", "first"),
    [
        ("true", "2022-11-01"),
        ("session >= '2023-06-15'", "2023-06-15"),  # a run that was interrupted had done the months before
        ("segment = 'Energy' AND session = '2023-08-01'", "2023-08-01"),
        ("session >= '2023-12-28'", "2023-12-26"),  # what may still change is due anyway
    ],
)
def test_counts_of_an_older_convention_are_due(where: str, first: str, filled: Store) -> None:
    assert filled.execute(f"UPDATE breadth_counts SET convention = {CONVENTION - 1} WHERE {where}") > 0
    assert str(planning.first_day_due(filled.instance, filled.market, LAST)) == first


def test_counts_before_the_first_month_of_history_are_never_due(filled: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    filled.execute(f"UPDATE breadth_counts SET convention = {CONVENTION - 1} WHERE session < '2023-02-01'")
    monkeypatch.setenv("BREADTHFLOW_START", "2023-02")
    get_settings.cache_clear()
    assert planning.first_day_due(filled.instance, filled.market, LAST) == dt.date(2023, 12, 26)


@pytest.mark.slow
def test_run_makes_everything_of_an_older_convention_anew_once(filled: Store, one_shot: Contents) -> None:
    filled.execute(
        f"UPDATE breadth_counts SET convention = {CONVENTION - 1}, new_highs_20 = NULL, new_lows_20 = NULL",
        f"UPDATE price_indicators SET convention = {CONVENTION - 1}",
        f"UPDATE symbol_signals SET convention = {CONVENTION - 1}, strength = 0",
    )
    report = filled.daily(LAST)
    assert (report.exit_status, report.trouble) == (0, None)
    for asset in ("breadth_counts", "price_indicators", "symbol_signals"):
        assert report.figures[asset]["rows_revised"] == len(one_shot[asset])
    assert_same(filled.contents(), one_shot)
    assert planning.first_day_due(filled.instance, filled.market, LAST) == dt.date(2023, 12, 26)
    assert filled.daily(LAST).rows_changed == 0


@pytest.mark.slow
def test_month_left_out_is_due_before_the_present_one(store: Store) -> None:
    store.run(FIRST, dt.date(2022, 11, 30))
    store.run(dt.date(2023, 12, 1), LAST)
    assert planning.first_day_due(store.instance, store.market, LAST) == dt.date(2022, 12, 1)


@pytest.mark.slow
def test_progress_of_every_stage_rises_to_the_end(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_batches, "CHUNK_ROWS", 400)  # symbol by symbol, one of which was delisted in September
    monkeypatch.setattr(price_indicators, "SHARD_BARS", 900)
    seen: dict[str, list[float]] = {}
    with watched_by(lambda stage, done, _: seen.setdefault(stage, []).append(done)):
        store.run()
    assert sorted(seen) == [
        *("backtests", "bars", "breadth counts", "breadth indicators", "market report", "market signals"),
        *("price indicators", "quarantined bars", "signal accuracy", "signal outcomes", "signal records"),
        *("symbol calibration", "symbol records", "symbol signals", "universe returns"),
    ]
    for stage in seen.values():
        assert stage == sorted(stage)
        assert stage[-1] == 1.0
    assert len(seen["bars"]) > 3
    assert len(seen["breadth counts"]) == len(seen["symbol signals"]) == 2  # two years
    assert len(seen["price indicators"]) > 4  # three securities or so at a time


@pytest.fixture(autouse=True)
def _today(frozen: Callable[[dt.date], None]) -> None:
    frozen(dt.date(2024, 2, 15))
    assert SESSIONS[-1] == LAST
