"""Each check passes on a healthy store, and fails on the damage that it is there for and on no other."""

import datetime as dt
from collections.abc import Callable
from typing import Any

import dagster as dg
import pytest

from breadthflow_pipelines.errors import RequestError
from breadthflow_pipelines.settings import get_settings
from breadthflow_pipelines_tests.orchestration.conftest import Store
from breadthflow_pipelines_tests.orchestration.small_market import FIRST, LAST, SESSIONS

DAY = dt.date(2023, 6, 15)
WHOLE = f"segment = 'ALL' AND session = '{DAY}'"
OF_BARS = {
    "universe_members": {"universe_has_members"},
    "bars": {"bars_keep_contract", "bars_complete", "bars_current", "every_symbol_answered"},
    "quarantined_bars": {"quarantine_bounded", "session_plausible"},
    "breadth_counts": {"counts_keep_contract", "coverage_at_gate", "coverage_steady"},
    "breadth_indicators": {"indicators_keep_contract"},
    "market_signals": {"signals_keep_contract"},
}
PUBLISHED = {"exchange_breadth": {"published_keep_contract"}}


def unconstrained(table: str, name: str) -> str:
    return f"ALTER TABLE {table} DROP CONSTRAINT {table}_{name}"


def published(advances: int) -> str:
    columns = "exchange, session, advances, run_id"
    return f"INSERT INTO exchange_breadth ({columns}) VALUES ('X', '2023-01-03', {advances}, 'r')"


def by_status(report: Any) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for check in report.checks:
        found.setdefault(check.status, set()).add(check.name)
    return found


def test_healthy_store_passes_every_check(filled: Store, frozen: Callable[[dt.date], None]) -> None:
    frozen(LAST)
    filled.execute(published(advances=1))
    report = filled.check()
    assert by_status(report) == {"passed": set().union(*OF_BARS.values(), *PUBLISHED.values())}
    assert report.exit_status == 0


@pytest.mark.parametrize(
    ("damage", "failed", "warned"),
    [
        pytest.param(["DELETE FROM universe_members"], {"universe_has_members"}, set(), id="nobody belongs"),
        pytest.param([f"DELETE FROM bars WHERE session = '{DAY}'"], {"bars_complete"}, set(), id="session is lost"),
        pytest.param(
            [f"DELETE FROM bars WHERE session = '{LAST}'"], {"bars_current"}, set(), id="last session is late"
        ),
        pytest.param(
            ["DELETE FROM bars"],
            {"bars_complete", "bars_current", "bars_keep_contract"},  # of all rows, only the broken ones are left
            set(),
            id="all bars are lost",
        ),
        pytest.param(
            [
                "INSERT INTO rejected_bars (fingerprint, source, symbol, session, reasons, run_id) "
                "SELECT n, 'files', 'GONE', '2023-06-15', ARRAY['high below low'], 'r' FROM generate_series(1, 50) n"
            ],
            {"bars_keep_contract"},  # 53 of some 4,000 rows
            set(),
            id="one row in a hundred is broken",
        ),
        pytest.param(
            [f"UPDATE breadth_counts SET members = 3 * members, coverage = coverage / 3 WHERE {WHOLE}"],
            {"coverage_at_gate"},
            {"coverage_steady"},
            id="most bars of a session never came",
        ),
        pytest.param(
            [f"UPDATE breadth_counts SET members = 2 * priced, coverage = 0.5 WHERE {WHOLE}"],
            set(),
            {"coverage_steady"},
            id="some bars of a session never came",
        ),
        pytest.param(
            [
                unconstrained("breadth_counts", "every_priced_member_once"),
                f"UPDATE breadth_counts SET advances = advances + 1 WHERE {WHOLE}",
            ],
            {"counts_keep_contract"},
            set(),
            id="member is counted twice",
        ),
        pytest.param(
            [
                unconstrained("breadth_counts", "coverage_as_stated"),
                f"UPDATE breadth_counts SET coverage = coverage * 0.99 WHERE {WHOLE}",
            ],
            {"counts_keep_contract"},
            set(),
            id="coverage is not what it says",
        ),
        pytest.param(
            ["DELETE FROM breadth_counts"],
            {"counts_keep_contract", "coverage_at_gate"},
            set(),
            id="counts are lost: rules that all of no rows keep say nothing",
        ),
        pytest.param(
            [
                unconstrained("breadth_indicators", "ad_line_finite"),
                f"UPDATE breadth_indicators SET ad_line = 'NaN' WHERE {WHOLE}",
            ],
            {"indicators_keep_contract"},
            set(),
            id="indicator is NaN",
        ),
        pytest.param(
            [
                unconstrained("breadth_indicators", "pct_above_50_range"),
                f"UPDATE breadth_indicators SET pct_above_50 = 100.1 WHERE {WHOLE}",
            ],
            {"indicators_keep_contract"},
            set(),
            id="indicator is out of its bounds",
        ),
        pytest.param(["DELETE FROM breadth_indicators"], {"indicators_keep_contract"}, set(), id="indicators are lost"),
        pytest.param(
            [
                unconstrained("market_signals", "confidence_range"),
                "UPDATE market_signals SET confidence = 1.5 WHERE ctid = (SELECT ctid FROM market_signals LIMIT 1)",
            ],
            {"signals_keep_contract"},
            set(),
            id="confidence is above 1",
        ),
        pytest.param(
            [
                unconstrained("exchange_breadth", "advances_not_negative"),
                published(advances=-1),
            ],
            {"published_keep_contract"},
            set(),
            id="published count is negative",
        ),
    ],
)
def test_damage_fails_the_checks_that_are_there_for_it_and_no_other(
    damage: list[str], failed: set[str], warned: set[str], filled: Store, frozen: Callable[[dt.date], None]
) -> None:
    frozen(LAST)
    assert filled.execute(*damage) > 0
    report = filled.check()
    found = by_status(report)
    assert (found.get("failed", set()), found.get("warned", set())) == (failed, warned)
    assert report.exit_status == (1 if failed else 0)
    assert report.trouble is None


def test_damage_outside_the_months_of_a_run_does_not_fail_it(filled: Store) -> None:
    filled.execute(f"DELETE FROM bars WHERE session = '{DAY}'")
    assert filled.daily(LAST).exit_status == 0


def test_gate_above_the_coverage_keeps_indicators_and_signals_from_being_made(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BREADTHFLOW_COVERAGE_GATE", "0.95")
    get_settings.cache_clear()
    report = store.run()
    assert by_status(report)["failed"] == {"coverage_at_gate"}
    assert (report.exit_status, report.trouble) == (1, None)
    assert report.figures.keys() == {"securities", "universe_members", "bars", "breadth_counts"}
    assert store.rows("SELECT count(*) FROM breadth_indicators") == [(0,)]
    assert store.instance.get_runs()[0].status is dg.DagsterRunStatus.FAILURE


@pytest.mark.parametrize("case", ["a hole", "broken rows"])
def test_bars_that_are_not_to_be_built_on_are_not_counted(case: str, store: Store) -> None:
    for symbol, rows in store.small.rows.items():
        if case == "a hole":
            store.small.rows[symbol] = [row for row in rows if row[0] != str(DAY)]
        elif symbol == "AAA":
            store.small.rows[symbol] = [(*row[:5], -1) if "2023-06" < str(row[0]) < "2023-10" else row for row in rows]
    store.small.write()
    report = store.run()
    assert by_status(report)["failed"] == {"bars_complete" if case == "a hole" else "bars_keep_contract"}
    assert (report.exit_status, report.trouble) == (1, None)
    assert "breadth_counts" not in report.figures
    assert "market_signals" not in report.figures


def test_month_whose_source_was_corrected_is_counted(store: Store) -> None:
    # The rows that were broken stay in rejected_bars for ever; they say nothing against the bars that replaced them.
    december = str(SESSIONS[-20])[:7]
    good = store.small.rows["AAA"]
    store.small.rows["AAA"] = [(*row[:5], -1) if str(row[0])[:7] == december else row for row in good]
    store.small.write()
    assert by_status(store.run(SESSIONS[-20], LAST))["failed"] == {"bars_keep_contract"}
    store.small.rows["AAA"] = good
    store.small.write()
    report = store.run(SESSIONS[-20], LAST)
    assert report.figures["bars"]["rows_rejected"] == 0
    assert by_status(report).get("failed") is None


def test_rows_without_a_date_do_not_count_against_other_months(filled: Store) -> None:
    filled.execute(
        "INSERT INTO rejected_bars (fingerprint, source, symbol, reasons, run_id) "
        "SELECT n, 'files', 'AAA', ARRAY['session missing'], 'r' FROM generate_series(1, 5) n"
    )
    assert by_status(filled.check("bars_keep_contract")) == {"passed": {"bars_keep_contract"}}
    report = filled.run(dt.date(2023, 3, 1), dt.date(2023, 3, 31))
    assert by_status(report).get("failed") is None


def test_late_session_is_reported_and_keeps_nothing_from_being_made(
    store: Store, frozen: Callable[[dt.date], None]
) -> None:
    late = dt.date(2024, 1, 2)
    frozen(late)
    report = store.run(FIRST, late)
    assert by_status(report)["failed"] == {"bars_current"}
    assert report.exit_status == 1
    assert report.figures["market_signals"]["rows_inserted"] > 0
    assert store.instance.get_runs()[0].status is dg.DagsterRunStatus.SUCCESS


def test_lost_tenth_of_a_session_is_a_warning(filled: Store) -> None:
    for symbol in ("AAA", "CCC", "DDD", "EEE"):
        store_rows = filled.small.rows[symbol]
        filled.small.rows[symbol] = [row for row in store_rows if row[0] != str(LAST)]
    filled.small.write()
    filled.execute(f"DELETE FROM bars WHERE session = '{LAST}'")
    report = filled.daily(LAST)
    assert by_status(report)["warned"] == {"coverage_steady"}
    assert report.exit_status == 0
    assert filled.rows(f"SELECT state FROM breadth_indicators WHERE segment = 'ALL' AND session = '{LAST}'") == [
        ("provisional",)
    ]


@pytest.mark.parametrize(
    ("select", "names"),
    [
        (["bars"], OF_BARS["bars"]),  # an asset's
        (["coverage_at_gate"], {"coverage_at_gate"}),  # one by its own name
        (["market_signals", "bars_current"], {"signals_keep_contract", "bars_current"}),  # both at once
    ],
)
def test_checks_are_selected_by_asset_and_by_name(
    select: list[str], names: set[str], filled: Store, frozen: Callable[[dt.date], None]
) -> None:
    frozen(LAST)
    assert by_status(filled.check(*select)) == {"passed": names}


def test_unknown_name_is_refused_with_the_names_there_are(filled: Store) -> None:
    with pytest.raises(RequestError, match=r"barz is neither .* bars, bars_complete, .*universe_members"):
        filled.check("barz")


def test_empty_store_has_nothing_to_check(store: Store) -> None:
    with pytest.raises(RequestError, match="run breadthflow run first"):
        store.check()


def test_published_counts_alone_are_checked_alone(store: Store) -> None:
    store.execute(published(advances=1))
    found = by_status(store.check())
    made_of_bars = OF_BARS["universe_members"] | OF_BARS["bars"] | OF_BARS["breadth_counts"]
    assert found["skipped"] == made_of_bars
    assert found["passed"] == {"published_keep_contract", "signals_keep_contract"}  # a short history has no signals
    assert found["failed"] == {"indicators_keep_contract"}  # they were never computed
