"""The suites of stored tables: a healthy store keeps them, each damage breaks the expectation that is there for it."""

import datetime as dt
import re
from collections.abc import Callable
from pathlib import Path

import dagster as dg
import pytest

from breadthflow_pipelines.errors import RequestError
from breadthflow_pipelines.model.datasets import CHECKS_JOB, DAILY_JOB, PUBLISHED_JOB
from breadthflow_pipelines.model.run_tags import range_tags
from breadthflow_pipelines.orchestration import runs
from breadthflow_pipelines.orchestration.partitions import span_of
from breadthflow_pipelines.orchestration.run_reports import RunReport
from breadthflow_pipelines.orchestration.suite_checks import SUITE_NAMES, SUITES, days_judged
from breadthflow_pipelines.orchestration.wiring import build
from breadthflow_pipelines.settings import Settings, get_settings
from breadthflow_pipelines_tests.conftest import start_python
from breadthflow_pipelines_tests.orchestration.conftest import Store
from breadthflow_pipelines_tests.orchestration.small_market import LAST

pytestmark = pytest.mark.slow  # the first of them imports Great Expectations


def unconstrained(table: str, *names: str) -> list[str]:
    return [f"ALTER TABLE {table} DROP CONSTRAINT {table}_{name}" for name in names]


def some_bar(session: str) -> str:
    return f"session = '{session}' AND security_id = (SELECT min(security_id) FROM bars WHERE session = '{session}')"


ONE_SIGNAL = "signal_id = (SELECT min(signal_id) FROM market_signals WHERE rule = 'breadth_score')"
# Each with the one expectation that it breaks. The days differ, so that all can be done to one store.
TEN = {
    "bar of a security that does not exist": (
        [
            "ALTER TABLE bars DISABLE TRIGGER known_securities_insert",
            "INSERT INTO bars (security_id, session, open, high, low, close, volume, source, run_id) "
            "VALUES (999999, '2023-02-15', 10, 11, 9, 10, 30000, 'files', 'r')",
        ],
        "bars_of_known_securities",
    ),
    "session in the middle without bars": (["DELETE FROM bars WHERE session = '2023-03-15'"], "sessions_have_bars"),
    "bar stored twice": (
        [
            *unconstrained("bars", "pkey"),
            f"INSERT INTO bars SELECT * FROM bars WHERE {some_bar('2023-04-12')}",
        ],
        "bars_unique",
    ),
    "price below zero": (
        [*unconstrained("bars", "low_positive"), f"UPDATE bars SET low = -1 WHERE {some_bar('2023-05-10')}"],
        "bar_lows_positive",
    ),
    "member twice at a time": (
        [
            *unconstrained("universe_members", "no_overlap"),
            "INSERT INTO universe_members (universe, security_id, valid_from, valid_to, symbol) "
            "SELECT universe, security_id, '2023-06-01', valid_to, symbol FROM universe_members WHERE symbol = 'AAA'",
        ],
        "memberships_do_not_overlap",
    ),
    "counts that do not add up": (
        [
            *unconstrained("breadth_counts", "every_priced_member_once"),
            "UPDATE breadth_counts SET gap = gap + 1 WHERE segment = 'ALL' AND session = '2023-07-12'",
        ],
        "counts_add_up",
    ),
    "more members priced than there are": (
        [
            *unconstrained("breadth_counts", "priced_members", "coverage_as_stated"),
            "UPDATE breadth_counts SET members = priced - 1 WHERE segment = 'Energy' AND session = '2023-08-16'",
        ],
        "priced_within_members",
    ),
    "indicator out of its bounds": (
        [
            *unconstrained("breadth_indicators", "pct_above_50_range"),
            "UPDATE breadth_indicators SET pct_above_50 = 100.1 WHERE segment = 'ALL' AND session = '2023-09-13'",
        ],
        "indicators_within_bounds",
    ),
    "signal of a day that has no breadth": (
        [f"UPDATE market_signals SET session = '2023-07-01' WHERE {ONE_SIGNAL}"],  # a Saturday
        "signals_of_known_breadth",
    ),
    "volume of another unit": (
        ["UPDATE bars SET volume = volume * 1000 WHERE session = '2023-11-15'"],
        "volume_steady",
    ),
}
NEW_BAR = (
    "INSERT INTO bars (security_id, session, open, high, low, close, volume, source, run_id) "
    "SELECT min(security_id), '{}', 10, 11, 9, 10, 30000, 'files', 'r' FROM bars"
)
MORE = {
    "bar of a Saturday": ([NEW_BAR.format("2023-07-01")], {"bars_of_sessions"}),
    "bar of a day to come": (
        [
            "CREATE TABLE bars_2024 PARTITION OF bars FOR VALUES FROM ('2024-01-01') TO ('2025-01-01')",
            NEW_BAR.format("2024-01-02"),
        ],
        {"bars_of_sessions"},
    ),
    "price that is no number": (
        [*unconstrained("bars", "high_positive"), f"UPDATE bars SET high = 'NaN' WHERE {some_bar('2023-05-10')}"],
        {"bar_highs_positive"},
    ),
    "two fifths of a session without volume": (
        [
            "UPDATE bars SET volume = 0 WHERE session = '2023-10-11' AND security_id IN "
            "(SELECT security_id FROM bars WHERE session = '2023-10-11' ORDER BY security_id LIMIT 6)"  # of 14
        ],
        {"zero_volume_steady"},
    ),
    "half a session lost": (  # what was made of the lost bars is told as well
        [
            "DELETE FROM bars WHERE session = '2023-10-11' AND security_id IN "
            "(SELECT security_id FROM bars WHERE session = '2023-10-11' ORDER BY security_id LIMIT 7)"
        ],
        {"bars_per_session_steady", "counts_match_bars", "moves_match_bars", "member_indicators_of_bars"},
    ),
    "session copied from the one before": (
        [
            "UPDATE bars b SET open = p.open, high = p.high, low = p.low, close = p.close FROM bars p "
            "WHERE p.security_id = b.security_id AND p.session = '2023-10-10' AND b.session = '2023-10-11'"
        ],
        {"moves_match_bars"},
    ),
    "counts of a copied session": (
        [
            "UPDATE breadth_counts SET unchanged = advances + declines + unchanged, advances = 0, declines = 0 "
            "WHERE segment = 'ALL' AND session = '2023-10-11'"
        ],
        {"unchanged_steady", "moves_match_bars"},
    ),
    "session not counted": (
        ["DELETE FROM breadth_counts WHERE session = '2023-10-11'"],
        {"sessions_are_counted", "indicators_of_known_counts"},
    ),
    "confidence above one": (
        [
            *unconstrained("market_signals", "confidence_range"),
            f"UPDATE market_signals SET confidence = 1.5 WHERE {ONE_SIGNAL}",
        ],
        {"signal_confidence_is_a_share"},
    ),
    "published count below zero": (
        [
            *unconstrained("exchange_breadth", "advances_not_negative"),
            "UPDATE exchange_breadth SET advances = -advances WHERE session = '2023-10-11'",
        ],
        {"published_counts_not_negative"},
    ),
    "publication without counts": (
        ["INSERT INTO publications (exchange, place) VALUES ('NYSE', '/data/nyse')"],
        {"publications_have_counts"},
    ),
    "session not published": (
        [
            "DELETE FROM exchange_breadth WHERE session = '2023-10-11'",
            "DELETE FROM breadth_indicators WHERE universe = 'X' AND session = '2023-10-11'",
        ],
        {"sessions_are_published"},
    ),
    "half of the issues published": (
        ["UPDATE exchange_breadth SET advances = advances / 2, declines = declines / 2 WHERE session = '2023-10-11'"],
        {"published_issues_steady"},
    ),
    "half of a universe gone": (
        [
            "UPDATE universe_members SET valid_to = '2023-10-11' WHERE valid_to IS NULL AND security_id IN "
            "(SELECT security_id FROM universe_members WHERE valid_to IS NULL ORDER BY security_id LIMIT 6)"
        ],
        {"universe_size_steady", "counts_match_bars", "moves_match_bars"},
    ),
}


@pytest.fixture
def healthy(filled: Store, frozen: Callable[[dt.date], None]) -> Store:
    """The small market, and an exchange whose counts were published over a year, on the evening of its last session."""
    frozen(LAST)
    filled.execute(
        "INSERT INTO exchange_breadth (exchange, session, advances, declines, unchanged, run_id) "
        "SELECT 'X', session, 1000 + n, 900 - n, 100, 'r' FROM "
        "(SELECT session, row_number() OVER (ORDER BY session) AS n FROM (SELECT DISTINCT session FROM bars) d) s",
        "INSERT INTO breadth_indicators (universe, segment, session, state, settled, convention) "
        "SELECT exchange, 'ALL', session, 'final', true, 2 FROM exchange_breadth",
    )
    return filled


def failing(report: RunReport) -> set[str]:
    """Expectations of suites that failed in a run, whatever their severity; all of them were judged."""
    assert report.trouble is None
    assert {check.name for check in report.checks} == SUITE_NAMES
    return {check.name for check in report.checks if check.status != "passed"}


def broken(store: Store) -> set[str]:
    """The same without a run, whose records take longer than the suites."""
    from breadthflow_pipelines.quality.engine import judge  # here, as it takes seconds

    market = store.market
    span = span_of({}, market.settings, market.calendar)
    return {
        finding.expectation.name
        for suite in SUITES
        for finding in judge(market.store, suite, days_judged(market.calendar, suite, span), SUITE_NAMES)
        if not finding.passed
    }


def test_healthy_store_keeps_every_expectation(healthy: Store) -> None:
    report = healthy.check("suites", suites=True)
    assert failing(report) == set()
    assert report.exit_status == 0


@pytest.mark.parametrize("damage", TEN)
def test_damage_breaks_the_expectation_that_is_there_for_it_and_no_other(damage: str, healthy: Store) -> None:
    statements, expectation = TEN[damage]
    assert healthy.execute(*statements) > 0
    assert broken(healthy) == {expectation}


def test_ten_kinds_of_damage_break_ten_expectations(healthy: Store) -> None:
    for statements, _ in TEN.values():
        assert healthy.execute(*statements) > 0
    report = healthy.check("suites", suites=True)
    assert failing(report) == {expectation for _, expectation in TEN.values()}
    assert len(failing(report)) == 10
    assert report.exit_status == 1


def test_unusual_session_is_shown_and_fails_nothing(healthy: Store) -> None:
    healthy.execute(*TEN["volume of another unit"][0])
    report = healthy.check("bars", suites=True)
    (warning,) = [check for check in report.checks if check.status == "warned"]
    assert warning.name == "volume_steady"
    assert warning.detail.startswith("1 row, first: session 2023-11-15, value ")
    assert warning.detail.endswith("Next: breadthflow backfill --from 2023-11-15 --to 2023-11-15")
    assert report.exit_status == 0


@pytest.mark.parametrize("damage", MORE)
def test_more_damage_breaks_what_it_touches(damage: str, healthy: Store) -> None:
    statements, expectations = MORE[damage]
    assert healthy.execute(*statements) > 0
    assert broken(healthy) == expectations


def test_run_about_a_month_judges_that_month_and_tables_made_whole(healthy: Store) -> None:
    healthy.execute(*TEN["price below zero"][0], *TEN["indicator out of its bounds"][0])  # of May, of September
    job = build(get_settings()).resolve_job_def(CHECKS_JOB)
    chosen = {key for key in job.asset_layer.asset_graph.asset_check_keys if key.name in SUITE_NAMES}
    judged = job.get_subset(asset_selection=set(), asset_check_selection=chosen)
    tags = range_tags(dt.date(2023, 6, 1), dt.date(2023, 6, 30))
    result = judged.execute_in_process(instance=healthy.instance, tags=tags, raise_on_error=False)
    failed = {evaluation.check_name for evaluation in result.get_asset_check_evaluations() if not evaluation.passed}
    assert failed == {"indicators_within_bounds"}


def test_result_shows_the_first_rows_that_break_it_and_how_many_there_are(healthy: Store) -> None:
    healthy.execute(*unconstrained("bars", "low_positive"), "UPDATE bars SET low = -1 WHERE session = '2023-05-10'")
    healthy.execute("DELETE FROM bars WHERE session BETWEEN '2023-03-15' AND '2023-03-16'")
    healthy.check("bar_lows_positive", "sessions_have_bars", suites=True)
    found = {}
    for name in ("bar_lows_positive", "sessions_have_bars"):
        key = dg.AssetCheckKey(dg.AssetKey("bars"), name)
        event = healthy.instance.event_log_storage.get_asset_check_execution_history(key, limit=1)[0].event
        assert event is not None
        found[name] = event.dagster_event.asset_check_evaluation_data.metadata  # type: ignore[union-attr]
    assert [record.data["session"] for record in found["sessions_have_bars"]["rows"].records] == [
        "2023-03-15",
        "2023-03-16",
    ]
    lows = found["bar_lows_positive"]
    ((bars,),) = healthy.rows("SELECT count(*) FROM bars WHERE session = '2023-05-10'")
    assert bars > 10
    assert lows["observed"].value.startswith(f"{bars} of ")
    assert lows["failing_rows"].value == bars  # a number, which the UI plots
    assert len(lows["rows"].records) == 10
    assert lows["rows"].records[0].data.keys() == {"security_id", "session", "low"}


def test_asset_checks_say_their_severity_and_block_only_where_it_is_error() -> None:
    graph = build(Settings()).resolve_asset_graph()
    for suite in SUITES:
        for expectation in suite.expectations:
            spec = graph.get_check_spec(dg.AssetCheckKey(dg.AssetKey(suite.table), expectation.name))
            assert spec.blocking == expectation.blocks
            assert spec.metadata["severity"] == expectation.severity
            assert not (expectation.blocks and expectation.severity == "warn")
    assert len(SUITE_NAMES) == sum(len(suite.expectations) for suite in SUITES)  # no name is used twice


def test_suites_belong_to_the_checks_and_to_no_job_that_brings_the_store_up_to_date() -> None:
    definitions = build(Settings())
    of = {
        name: {key.name for key in definitions.resolve_job_def(name).asset_layer.asset_graph.asset_check_keys}
        for name in (DAILY_JOB, PUBLISHED_JOB, CHECKS_JOB)
    }
    assert of[DAILY_JOB] & SUITE_NAMES == of[PUBLISHED_JOB] & SUITE_NAMES == set()
    assert of[CHECKS_JOB] >= SUITE_NAMES
    assert "bars_complete" in of[DAILY_JOB]
    nightly = definitions.resolve_schedule_def("nightly_checks")
    assert (nightly.job_name, nightly.cron_schedule) == (CHECKS_JOB, "30 3 * * *")


def test_great_expectations_is_imported_by_suites_and_by_nothing_else(healthy: Store) -> None:
    code = """
import sys
from breadthflow_pipelines import cli, definitions
before = "great_expectations" in sys.modules
try:
    cli.main(["check", *sys.argv[1:]])
except SystemExit as end:
    print(end.code, before, "great_expectations" in sys.modules)
"""
    answers = []
    for arguments in (["--quick"], ["--select", "bars_complete,bars_current"], ["--select", "bars_unique"]):
        answer, errors = start_python(code, *arguments).communicate()
        answers.append(answer.splitlines()[-1] if answer else errors)
    assert healthy.rows("SELECT count(*) > 0 FROM bars") == [(True,)]
    assert [answer.split()[1:] for answer in answers] == [["False", "False"], ["False", "False"], ["False", "True"]]


def test_suites_need_no_source(healthy: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BREADTHFLOW_SOURCE_PATH", "/nowhere")
    get_settings.cache_clear()
    report = healthy.check("suites", suites=True)
    assert failing(report) == set()


def test_pages_are_made_on_request_and_hold_no_password(
    healthy: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    from breadthflow_pipelines.quality.engine import build_docs  # here, as it takes seconds

    secret = "correct-horse-battery"  # noqa: S105 - of a server that asks for none
    url = healthy.database.url.replace("postgres@", f"postgres:{secret}@")
    monkeypatch.setenv("BREADTHFLOW_DATABASE_URL", url)
    get_settings.cache_clear()
    healthy.execute(*TEN["price below zero"][0])
    chosen = ("universe_members", "bars_unique", "bar_lows_positive")
    report = runs.run_checks(healthy.instance, healthy.market, chosen, docs=tmp_path / "pages")
    assert {check.name for check in report.checks if check.status == "failed"} == {"bar_lows_positive"}
    page = build_docs(tmp_path / "pages")
    written = [file.read_text(errors="ignore") for file in (tmp_path / "pages").rglob("*") if file.is_file()]
    assert "universe_members" in page.read_text()
    assert any("Every low is a finite price above zero" in text for text in written)
    events = [str(record) for record in healthy.instance.all_logs(report.run_id)]
    assert any(str(page) in event for event in events)
    assert not [text for text in (*written, *events, *capfd.readouterr()) if secret in text]


def test_pages_of_checks_that_make_none_are_refused(healthy: Store, tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="--docs makes pages of what suites find"):
        runs.run_checks(healthy.instance, healthy.market, ["bars_complete"], docs=tmp_path)


def test_page_lists_every_expectation_with_its_severity() -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "quality.md").read_text()
    rows = re.findall(r"^\| `(\w+)` \| (error|warn) \| (yes|no) \| .+ \|$", page, re.MULTILINE)
    assert rows == [
        (one.name, one.severity, "yes" if one.blocks else "no") for suite in SUITES for one in suite.expectations
    ]
