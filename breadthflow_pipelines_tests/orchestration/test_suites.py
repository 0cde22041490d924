"""The suites of stored tables: a healthy store passes all of them, and each damage fails the one that is there for it."""

import datetime as dt
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from breadthflow_pipelines.errors import RequestError
from breadthflow_pipelines.orchestration.runs import RunReport
from breadthflow_pipelines.orchestration.schedules import CHECKS_JOB
from breadthflow_pipelines.orchestration.suites import SUITE_NAMES, SUITES
from breadthflow_pipelines.orchestration.wiring import build
from breadthflow_pipelines.settings import Settings
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
            *unconstrained("bars", "security_id_fkey"),
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
MORE = {
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
    """Suites' expectations that failed, whatever their severity; all of them were judged."""
    assert report.trouble is None
    assert {check.name for check in report.checks} == SUITE_NAMES
    return {check.name for check in report.checks if check.status != "passed"}


def test_healthy_store_keeps_every_expectation(healthy: Store) -> None:
    report = healthy.check(*SUITE_NAMES, suites=True)
    assert failing(report) == set()
    assert report.exit_status == 0


@pytest.mark.parametrize("damage", TEN)
def test_damage_breaks_the_expectation_that_is_there_for_it_and_no_other(damage: str, healthy: Store) -> None:
    statements, broken = TEN[damage]
    assert healthy.execute(*statements) > 0
    report = healthy.check(*SUITE_NAMES, suites=True)
    assert failing(report) == {broken}
    severity = next(one.severity for suite in SUITES for one in suite.expectations if one.name == broken)
    assert report.exit_status == (1 if severity == "error" else 0)


def test_ten_kinds_of_damage_break_ten_expectations(healthy: Store) -> None:
    for statements, _ in TEN.values():
        assert healthy.execute(*statements) > 0
    report = healthy.check(*SUITE_NAMES, suites=True)
    assert failing(report) == {broken for _, broken in TEN.values()}
    assert len(failing(report)) == 10


@pytest.mark.parametrize("damage", MORE)
def test_more_damage_breaks_what_it_touches(damage: str, healthy: Store) -> None:
    statements, broken = MORE[damage]
    assert healthy.execute(*statements) > 0
    assert failing(healthy.check(*SUITE_NAMES, suites=True)) == broken
