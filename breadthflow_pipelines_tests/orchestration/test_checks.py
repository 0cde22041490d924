"""Each check passes on a healthy store, and fails on the damage that it is there for and on no other."""

import datetime as dt
from collections.abc import Callable, Mapping
from typing import Any

import dagster as dg
import polars as pl
import pytest

from breadthflow_pipelines.errors import DatabaseError, RequestError
from breadthflow_pipelines.model.datasets import MONTHLY_ASSETS
from breadthflow_pipelines.settings import get_settings
from breadthflow_pipelines.warehouse import bar_store, breadth_store
from breadthflow_pipelines_tests.orchestration.conftest import Store
from breadthflow_pipelines_tests.orchestration.small_market import FIRST, INDEX, LAST, SESSIONS

DAY = dt.date(2023, 6, 15)
WHOLE = f"segment = 'ALL' AND session = '{DAY}'"
EARLIEST = SESSIONS[0]
EARLY = f"session = '{EARLIEST}'"
ONE_OF_THE_LAST = f"(SELECT min(security_id) FROM symbol_signals WHERE session = '{LAST}')"
DOUBT = """'{"last": "2023-06-14", "close_before": 100, "close": 1, "days": 1, "factor": 0.01}'"""
OF_BARS = {
    "universe_members": {"universe_has_members", "members_have_bars", "memberships_still_given"},
    "bars": {"bars_keep_contract", "bars_complete", "bars_current", "every_symbol_answered", "bars_still_given"},
    "quarantined_bars": {"quarantine_bounded", "session_plausible", "histories_plausible"},
    "breadth_counts": {"counts_keep_contract", "coverage_at_gate", "coverage_steady", "sums_complete"},
    "breadth_indicators": {"indicators_keep_contract"},
    "market_signals": {"signals_keep_contract"},
    "price_indicators": {"members_have_indicators"},
    "symbol_signals": {"members_have_signals"},
    "symbol_calibration": {"calibration_adds_up"},
    "universe_returns": {"returns_keep_contract"},
    "signal_outcomes": {"outcomes_keep_horizon"},
    "signal_accuracy": {"every_rule_listed"},
    "backtests": {"trades_follow_signals"},
}
AS_MADE = {"members_have_bars"}  # warns of the healthy market: nobody has bars of VANISHED
PUBLISHED = {"exchange_breadth": {"published_keep_contract", "published_plausible", "publications_answered"}}


def unconstrained(table: str, name: str) -> str:
    return f"ALTER TABLE {table} DROP CONSTRAINT {table}_{name}"


def published(advances: int, doubts: str = "'{}'") -> str:
    columns = "exchange, session, advances, doubts, issues_usable, run_id"
    values = f"'X', '2023-01-03', {advances}, {doubts}, {doubts} = '{{}}', 'r'"
    return f"INSERT INTO exchange_breadth ({columns}) VALUES ({values})"


def by_status(report: Any) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for check in report.checks:
        found.setdefault(check.status, set()).add(check.name)
    return found


def test_healthy_store_passes_every_check(filled: Store, frozen: Callable[[dt.date], None]) -> None:
    frozen(LAST)
    filled.execute(published(advances=1))
    report = filled.check()
    every = set().union(*OF_BARS.values(), *PUBLISHED.values())
    assert by_status(report) == {"passed": every - AS_MADE, "warned": AS_MADE}
    assert report.exit_status == 0
    told = next(check.detail for check in report.checks if check.name == "members_have_bars")
    assert told.startswith(  # as the market was made
        "1 member of small has no bar: VANISHED; all of them: breadthflow members --universe small --without-bars"
    )


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
            [f"UPDATE bars SET volume = volume * 10 ^ 12 WHERE session = '{DAY}' AND security_id < 9"],
            set(),
            {"sums_complete"},
            id="somebody is worth more than a market",
        ),
        pytest.param(
            [
                "INSERT INTO quarantined_bars (security_id, session, rule, evidence, fingerprint, status) "
                f"SELECT security_id, session, 'scale', {DOUBT}, 'f', 'doubted' FROM bars "
                f"WHERE session = '{DAY}' LIMIT 1"
            ],
            set(),
            {"histories_plausible"},
            id="a history is on two scales",
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
            marks=pytest.mark.slow,
        ),
        pytest.param(
            ["DELETE FROM breadth_counts"],
            {"counts_keep_contract", "coverage_at_gate"},
            set(),
            id="counts are lost: rules that all of no rows keep say nothing",
        ),
        pytest.param(
            [
                unconstrained("breadth_indicators", "ad_line_range"),
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
            marks=pytest.mark.slow,
        ),
        pytest.param(
            ["DELETE FROM breadth_indicators"],
            {"indicators_keep_contract"},
            set(),
            id="indicators are lost",
            marks=pytest.mark.slow,
        ),
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
        pytest.param(
            [published(advances=1, doubts="ARRAY['total issues far from their level']")],
            set(),
            {"published_plausible"},
            id="published count is doubted",
        ),
        pytest.param(
            [f"DELETE FROM price_indicators WHERE session = '{DAY}'"],
            {"members_have_indicators", "members_have_signals"},  # signals of nobody knows what
            set(),
            id="indicators of a session are lost",
        ),
        pytest.param(
            [f"DELETE FROM price_indicators WHERE {EARLY} AND security_id = (SELECT max(security_id) FROM bars)"],
            {"members_have_indicators"},
            set(),
            id="one member's indicators are lost, of a session that is too early for signals",
        ),
        pytest.param(
            [
                "INSERT INTO price_indicators (universe, session, security_id, convention) "
                f"SELECT 'small', '{EARLIEST}', security_id, 2 FROM security_symbols WHERE symbol = '{INDEX}'"
            ],
            {"members_have_indicators"},
            set(),
            id="somebody who is not a member has indicators",
            marks=pytest.mark.slow,
        ),
        pytest.param(
            [
                "INSERT INTO price_indicators (universe, session, security_id, convention) "
                f"SELECT 'gone', '{EARLIEST}', security_id, 2 FROM security_symbols WHERE symbol = '{INDEX}'"
            ],
            {"members_have_indicators"},
            set(),
            id="universe that is not counted has indicators",
            marks=pytest.mark.slow,
        ),
        pytest.param(
            [f"DELETE FROM breadth_counts WHERE session = '{DAY}'"],
            {"members_have_indicators"},
            set(),
            id="counts of a session are lost",
            marks=pytest.mark.slow,
        ),
        pytest.param(
            ["DELETE FROM price_indicators", "DELETE FROM symbol_signals"],
            {"members_have_indicators"},
            set(),
            id="all of the members' indicators and signals are lost",
            marks=pytest.mark.slow,
        ),
        pytest.param(
            [f"DELETE FROM symbol_signals WHERE session = '{DAY}'"],
            {"members_have_signals"},
            set(),
            id="signals of a session are lost",
        ),
        pytest.param(
            ["DELETE FROM symbol_signals"],
            {"members_have_signals"},
            set(),
            id="all signals are lost",
            marks=pytest.mark.slow,
        ),
        pytest.param(
            [f"DELETE FROM symbol_signals WHERE session = '{LAST}' AND security_id = {ONE_OF_THE_LAST}"],
            {"members_have_signals"},
            set(),
            id="one member's signal of the last session is lost",
            marks=pytest.mark.slow,
        ),
        pytest.param(
            [
                "INSERT INTO symbol_signals (universe, session, security_id, action, confidence, strength, gated, "
                f"convention) SELECT 'small', '{DAY}', security_id, 'hold', 0, 0, false, 2 FROM securities "
                f"WHERE security_id NOT IN (SELECT security_id FROM symbol_signals WHERE session = '{DAY}')"
            ],
            {"members_have_signals"},
            set(),
            id="those who are no members have signals",
            marks=pytest.mark.slow,
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
    assert (found.get("failed", set()), found.get("warned", set()) - AS_MADE) == (failed, warned)
    assert report.exit_status == (1 if failed else 0)
    assert report.trouble is None


def test_checks_of_members_say_which_sessions_differ(filled: Store, frozen: Callable[[dt.date], None]) -> None:
    frozen(LAST)
    priced = filled.rows(f"SELECT priced FROM breadth_counts WHERE {WHOLE}")[0][0]
    signals = filled.rows(f"SELECT count(*) FROM symbol_signals WHERE session = '{LAST}'")[0][0]
    filled.execute(
        f"DELETE FROM price_indicators WHERE session = '{DAY}' AND security_id = "
        f"(SELECT min(security_id) FROM price_indicators WHERE session = '{DAY}')",
        f"DELETE FROM symbol_signals WHERE session = '{LAST}'",
    )
    filled.check("price_indicators", "symbol_signals")

    differing = said(filled, "price_indicators", "members_have_indicators")["differing"].value.records
    assert [record.data["session"] for record in differing] == [str(DAY)]
    assert differing[0].data | {"priced": str(priced), "indicators": str(priced - 1)} == differing[0].data

    silent = said(filled, "symbol_signals", "members_have_signals")["none_at_all"].value.records
    assert [(record.data["session"], record.data["signals"]) for record in silent] == [(str(LAST), "0")]
    short = said(filled, "symbol_signals", "members_have_signals")["fewer_than_due"].value.records
    assert [(record.data["session"], record.data["due"]) for record in short] == [(str(LAST), str(signals))]


@pytest.mark.slow
def test_members_without_indicators_keep_signals_from_being_made(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = bar_store.bars_from
    monkeypatch.setattr(bar_store, "bars_from", lambda *arguments: whole(*arguments).filter(pl.col("security_id") > 3))
    report = store.run()
    assert by_status(report)["failed"] == {"members_have_indicators"}
    assert (report.exit_status, report.trouble) == (1, None)
    assert {"price_indicators", "market_signals"} <= report.figures.keys()
    assert "symbol_signals" not in report.figures
    assert store.rows("SELECT count(*) FROM symbol_signals") == [(0,)]


@pytest.mark.slow
def test_members_are_held_against_the_counts_of_the_same_run(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    # While the counts wait for their next attempt, indicators are computed. Their check has to wait, too.
    whole, made = breadth_store.record_counts, []

    def record_counts(*arguments: Any) -> Any:
        made.append(1)
        if len(made) == 1:
            raise DatabaseError("The database cannot be reached: gone")
        return whole(*arguments)

    monkeypatch.setattr(breadth_store, "record_counts", record_counts)
    monkeypatch.setattr(dg.RetryPolicy, "calculate_delay", lambda self, attempt: 0.01 * attempt)  # noqa: ARG005
    report = store.run()
    assert len(made) == 3  # once in vain, then each year
    assert (report.exit_status, report.trouble, by_status(report).get("failed")) == (0, None, None)
    assert report.figures["symbol_signals"]["rows_inserted"] > 0


def test_check_that_compares_with_broken_counts_is_skipped_with_the_reason(
    filled: Store, frozen: Callable[[dt.date], None]
) -> None:
    frozen(LAST)
    filled.execute("DELETE FROM breadth_counts")
    skipped = [
        check for check in filled.check("breadth_counts", "price_indicators").checks if check.status == "skipped"
    ]
    assert [(check.name, check.detail) for check in skipped] == [
        ("members_have_indicators", "a check of what it compares with failed")
    ]


@pytest.mark.slow
def test_damage_outside_the_months_of_a_run_does_not_fail_it(filled: Store) -> None:
    filled.execute(f"DELETE FROM bars WHERE session = '{DAY}'")
    assert filled.daily(LAST).exit_status == 0


@pytest.mark.slow
def test_gate_above_the_coverage_keeps_indicators_and_signals_from_being_made(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BREADTHFLOW_COVERAGE_GATE", "0.95")
    get_settings.cache_clear()
    report = store.run()
    assert by_status(report)["failed"] == {"coverage_at_gate"}
    assert (report.exit_status, report.trouble) == (1, None)
    # Returns, and a member's own indicators, are of those that are there; its signal rests on the regime as well.
    counted = {"breadth_counts", "price_indicators", "universe_returns"}
    assert report.figures.keys() == {"securities", "universe_members", "bars", "quarantined_bars", *counted}
    assert store.rows("SELECT count(*) FROM breadth_indicators") == [(0,)]
    assert store.rows("SELECT count(*) FROM symbol_signals") == [(0,)]
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
    assert report.figures.keys() == {"securities", "universe_members", "bars"}


@pytest.mark.slow
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


@pytest.mark.slow
def test_rows_without_a_date_do_not_count_against_other_months(filled: Store) -> None:
    filled.execute(
        "INSERT INTO rejected_bars (fingerprint, source, symbol, reasons, run_id) "
        "SELECT n, 'files', 'AAA', ARRAY['session missing'], 'r' FROM generate_series(1, 5) n"
    )
    assert by_status(filled.check("bars_keep_contract")) == {"passed": {"bars_keep_contract"}}
    report = filled.run(dt.date(2023, 3, 1), dt.date(2023, 3, 31))
    assert by_status(report).get("failed") is None


@pytest.mark.slow
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


@pytest.mark.slow
def test_lost_tenth_of_a_session_is_a_warning(filled: Store) -> None:
    for symbol in ("AAA", "CCC", "DDD", "EEE"):
        store_rows = filled.small.rows[symbol]
        filled.small.rows[symbol] = [row for row in store_rows if row[0] != str(LAST)]
    filled.small.write()
    filled.execute(f"DELETE FROM bars WHERE session = '{LAST}'")
    report = filled.daily(LAST)
    assert by_status(report)["warned"] == {"coverage_steady"} | AS_MADE
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
    with pytest.raises(RequestError, match=r"nothing to check. The store is empty\.\nNext: breadthflow run$"):
        store.check()


def test_published_counts_alone_are_checked_alone(store: Store) -> None:
    store.execute(published(advances=1))
    found = by_status(store.check())
    made_of_bars = set().union(
        *(OF_BARS[asset] for asset in ("universe_members", "symbol_calibration", *MONTHLY_ASSETS))
    )
    assert found["skipped"] == made_of_bars
    # A short history has no signals.
    judged = set().union(*(OF_BARS[asset] for asset in ("signal_outcomes", "signal_accuracy", "backtests")))
    of_signals = {"signals_keep_contract", *judged}
    assert found["passed"] == {*PUBLISHED["exchange_breadth"], *of_signals}
    assert found["failed"] == {"indicators_keep_contract"}  # they were never computed


def said(store: Store, asset: str, check: str) -> Mapping[str, Any]:
    """What the newest evaluation of a check says."""
    key = dg.AssetCheckKey(dg.AssetKey(asset), check)
    record = store.instance.event_log_storage.get_latest_asset_check_execution_by_key([key])[key]
    assert record.event is not None
    evaluation = record.event.dagster_event.event_specific_data  # type: ignore[union-attr]
    return evaluation.metadata  # type: ignore[union-attr, no-any-return]
