"""Outcomes and records in the store: of the right sessions, recomputed where a price changes, complete, and checked."""

import datetime as dt
from math import prod
from pathlib import Path

import pytest

from breadthflow_pipelines.cli.display import show_report
from breadthflow_pipelines.evaluation.family import FAMILY
from breadthflow_pipelines.evaluation.outcomes import OUTCOME_COLUMNS
from breadthflow_pipelines.model.vocabulary import HORIZONS, SIGNAL_RECORD
from breadthflow_pipelines.settings import get_settings
from breadthflow_pipelines.warehouse import evaluation_store
from breadthflow_pipelines.warehouse.bulk import fetch
from breadthflow_pipelines.warehouse.evaluation_store import HALVES
from breadthflow_pipelines_tests.orchestration.conftest import Contents, Prepare, Store, assert_same
from breadthflow_pipelines_tests.orchestration.small_market import (
    HOLE,
    INDEX,
    LAST,
    MEMBERS,
    SESSIONS,
    SmallMarket,
)

DAY = dt.date(2023, 8, 16)  # a score that is final


def closes(store: Store, day: dt.date) -> dict[str, float]:
    query = "SELECT symbol, close FROM bars JOIN security_symbols USING (security_id) WHERE session = %s"
    return dict(store.rows(query, day))


def test_a_return_is_the_mean_of_those_who_were_members_the_day_before(filled: Store) -> None:
    day = HOLE[1]
    before = SESSIONS[SESSIONS.index(day) - 1]
    old, new = closes(filled, before), closes(filled, day)
    held = [symbol for symbol, start, end in MEMBERS if start <= str(before) and (not end or end > str(before))]
    own = [new[symbol] / old[symbol] - 1 for symbol in held if symbol in old and symbol in new]
    [(got, members, contributing, missing)] = filled.rows(
        'SELECT "return", members, contributing, missing FROM universe_returns WHERE segment = %s AND session = %s',
        *("ALL", day),
    )
    assert got == pytest.approx(sum(own) / len(own), abs=1e-11)
    assert HOLE[0] in held
    assert INDEX not in held
    assert (members, contributing, missing) == (len(held), len(own), len(held) - len(own))


def test_an_outcome_enters_on_the_next_session_and_leaves_at_its_horizon(filled: Store) -> None:
    at = SESSIONS.index(DAY)
    found = filled.rows(
        'SELECT horizon, state, entry_session, exit_session, "return" FROM signal_outcomes '
        "WHERE rule = 'breadth_score' AND segment = 'ALL' AND session = %s ORDER BY horizon",
        DAY,
    )
    assert [row[0] for row in found] == list(HORIZONS)
    for horizon, state, entry, exit_, got in found:
        assert entry == SESSIONS[at + 1]
        if at + 1 + horizon >= len(SESSIONS):
            assert (state, exit_, got) == ("open", None, None)
            continue
        assert (state, exit_) == ("closed", SESSIONS[at + 1 + horizon])
        steps = filled.rows(
            'SELECT 1 + "return" FROM universe_returns WHERE segment = %s AND session > %s AND session <= %s',
            *("ALL", entry, exit_),
        )
        assert len(steps) == horizon
        assert got == pytest.approx(prod(step for (step,) in steps) - 1)


def test_an_entry_at_the_open_has_what_members_did_from_it_to_the_close(filled: Store) -> None:
    entry = SESSIONS[SESSIONS.index(DAY) + 1]
    bars = filled.rows(
        "SELECT symbol, open, close FROM bars JOIN security_symbols USING (security_id) WHERE session = %s", entry
    )
    held = [symbol for symbol, start, end in MEMBERS if start <= str(DAY) and (not end or end > str(DAY))]
    own = [close / open_ - 1 for symbol, open_, close in bars if symbol in held and symbol in closes(filled, DAY)]
    [(intraday, contributing)] = filled.rows(
        "SELECT intraday, contributing FROM universe_returns WHERE segment = 'ALL' AND session = %s", entry
    )
    assert contributing == len(own)
    assert intraday == pytest.approx(sum(own) / len(own), abs=1e-11)
    found = filled.rows(
        'SELECT "return", return_from_open FROM signal_outcomes '
        "WHERE rule = 'breadth_score' AND segment = 'ALL' AND session = %s ORDER BY horizon",
        DAY,
    )
    assert found[0][0] is not None
    for told, from_open in found:
        expected = None if told is None else (1 + told) * (1 + sum(own) / len(own)) - 1
        assert from_open == (None if expected is None else pytest.approx(expected))


def test_every_signal_has_its_outcomes_and_every_rule_its_records(filled: Store) -> None:
    [(signals,)] = filled.rows("SELECT count(*) FROM market_signals")
    [(outcomes,)] = filled.rows("SELECT count(*) FROM signal_outcomes")
    assert outcomes == signals * len(HORIZONS)
    halves = [filled.rows(f"SELECT signal_id FROM signal_outcomes WHERE {half}") for half in HALVES]
    assert all(halves)
    assert sum(map(len, halves)) == outcomes
    listed = filled.rows("SELECT DISTINCT rule, action FROM signal_accuracy WHERE universe = 'small'")
    assert {(claim.rule, claim.side) for claim in FAMILY.claims} <= set(listed)
    # Fourteen months are too short for a verdict on anything, and no signal had a record to stand on.
    assert filled.rows("SELECT DISTINCT verdict FROM signal_accuracy") == [("cannot be judged",)]
    assert filled.rows("SELECT count(*) FROM signal_records") == [(0,)]
    latest = filled.metadata("signal_records")["latest"].records
    assert latest[0].data["session"] == str(LAST)
    assert {record.data[name] for record in latest for name in SIGNAL_RECORD} == {""}


def test_a_corrected_price_revises_what_was_closed_and_the_run_says_how_many(
    filled: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    query = "SELECT signal_id, horizon, \"return\" FROM signal_outcomes WHERE state = 'closed'"
    before = {row[:2]: row[2] for row in filled.rows(query)}
    filled.small.restate("AAA", dt.date(2023, 12, 5), closes(filled, dt.date(2023, 12, 5))["AAA"] * 1.01)
    report = filled.run(dt.date(2023, 12, 1), LAST)
    assert report.trouble is None
    after = {row[:2]: row[2] for row in filled.rows(query)}
    said = filled.metadata("signal_outcomes")["closed_outcomes_revised"]
    changed = {key for key, value in before.items() if key in after and after[key] != value}
    assert changed
    assert said >= len(changed)  # the mean of the windows before, and so the excess, moves with others' prices too
    capsys.readouterr()
    show_report(report, synthetic=False)
    assert f"{said} closed outcomes are others than before, because prices below changed" in capsys.readouterr().err


def test_a_half_of_the_outcomes_is_written_without_the_other(filled: Store) -> None:
    query = "SELECT signal_id, horizon, xmin::text FROM signal_outcomes WHERE {} ORDER BY signal_id, horizon"
    this, other = (filled.rows(query.format(half)) for half in HALVES)
    columns = ", ".join(OUTCOME_COLUMNS)
    found = fetch(filled.database, f"SELECT {columns} FROM signal_outcomes WHERE {HALVES[0]} ORDER BY 1, horizon")
    merged = evaluation_store.record_outcomes(filled.database, found[1:], HALVES[0])
    assert (merged.read, merged.deleted, merged.unchanged) == (len(this) - 1, 1, len(this) - 1)
    assert filled.rows(query.format(HALVES[0])) == this[1:]
    assert filled.rows(query.format(HALVES[1])) == other


def test_every_rule_has_a_backtest_or_a_reason_and_every_trade_its_signal(filled: Store) -> None:
    listed = filled.rows("SELECT DISTINCT rule FROM backtests WHERE universe = 'small' AND thresholds = 'fixed'")
    assert {rule for (rule,) in listed} == {claim.rule for claim in FAMILY.claims}
    why = dict(filled.rows("SELECT rule, reason FROM backtests WHERE reason IS NOT NULL AND thresholds = 'fixed'"))
    assert set(why.values()) == {"no signal"}
    assert not filled.rows("SELECT FROM market_signals WHERE rule = ANY(%s) AND segment = 'ALL'", list(why))
    fourteen_months = filled.rows("SELECT reason FROM backtests WHERE thresholds = 'walk forward'")
    assert set(fourteen_months) == {("fewer than five years to choose from",)}
    trades = filled.rows(
        "SELECT s.rule = t.rule, s.action, s.session, t.entry_session FROM backtest_trades t "
        "JOIN market_signals s USING (signal_id) WHERE t.rule = 'breadth_score'"
    )
    assert trades
    for same, action, said, entry in trades:
        assert (same, action, entry) == (True, "buy", SESSIONS[SESSIONS.index(said) + 1])


def test_holding_in_a_backtest_is_the_return_of_the_members(filled: Store) -> None:
    steps = filled.rows(
        'SELECT session, 1 + "return" FROM universe_returns WHERE segment = %s AND "return" IS NOT NULL '
        "ORDER BY session",
        "ALL",
    )[1:]
    own = filled.rows(
        "SELECT first_session, last_session, cagr, held, cash, basis FROM backtests "
        "WHERE rule = 'breadth_score' AND portfolio = 'buy and hold' AND thresholds = 'fixed'"
    )
    [(first, last, cagr, held, cash, basis)] = own
    assert (first, last) == (steps[0][0], steps[-1][0])
    bought = prod(step for _, step in steps) * (1 - 0.001 / steps[0][1])  # 10 basis points, off the first return
    assert cagr == pytest.approx(bought ** (252 / len(steps)) - 1)
    assert (held, cash, basis) == ("members in equal parts", "nothing", "price")


def test_the_index_that_settings_name_is_held_beside(filled: Store) -> None:
    [(held, basis, cagr, first, last)] = filled.rows(
        "SELECT held, basis, cagr, first_session, last_session FROM backtests "
        "WHERE rule = 'breadth_score' AND portfolio = 'benchmark' AND thresholds = 'fixed'"
    )
    closes_of = dict(
        filled.rows(
            "SELECT session, close FROM bars JOIN security_symbols USING (security_id) WHERE symbol = %s ORDER BY 1",
            INDEX,
        )
    )
    days = [day for day in closes_of if day <= last]
    start = days[days.index(first) - 1]
    bought = closes_of[last] / closes_of[start] * (1 - 0.001 / (closes_of[first] / closes_of[start]))
    sessions = len(days) - days.index(first)
    assert (held, basis) == (INDEX, "price")
    assert cagr == pytest.approx(bought ** (252 / sessions) - 1)


@pytest.mark.slow
def test_an_index_and_interest_may_come_from_files(
    filled: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    level = [(day, 100 + i) for i, day in enumerate(SESSIONS)]
    (tmp_path / "ndx.csv").write_text("date,close\n" + "".join(f"{day},{close}\n" for day, close in level))
    (tmp_path / "rates.csv").write_text("session,rate\n2022-01-03,4.0\n")
    monkeypatch.setenv("BREADTHFLOW_INDEX_SYMBOLS", f"small={tmp_path / 'ndx.csv'}")
    monkeypatch.setenv("BREADTHFLOW_RISK_FREE", str(tmp_path / "rates.csv"))
    get_settings.cache_clear()
    assert filled.run(dt.date(2023, 12, 1), LAST).trouble is None
    told = (
        "SELECT DISTINCT held, cash FROM backtests WHERE rule = 'breadth_score' AND portfolio = %s AND reason IS NULL"
    )
    assert filled.rows(told, "benchmark") == [("ndx.csv", "the risk-free rate")]
    counted = "SELECT index_close FROM breadth_counts WHERE universe = 'small' AND segment = 'ALL' AND session = %s"
    assert filled.rows(counted, LAST) == [(level[-1][1],)]  # the omen's trend leg follows the same index


def write_index(path: Path, levels: dict[dt.date, float]) -> None:
    path.write_text("date,close\n" + "".join(f"{day},{close}\n" for day, close in levels.items()))


def counted_levels(store: Store) -> dict[dt.date, float]:
    """The index beside the counts, where there is one; sectors have none."""
    found = store.rows("SELECT segment, session, index_close FROM breadth_counts WHERE index_close IS NOT NULL")
    assert {segment for segment, *_ in found} <= {"ALL"}
    return {session: level for _, session, level in found}


@pytest.mark.slow
def test_another_index_is_that_of_all_of_history_after_one_run(
    filled: Store, prepared: Prepare, small: SmallMarket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # It begins later than history, lacks a session, and its levels are no whole numbers.
    levels = {day: 100 + i / 7 for i, day in enumerate(SESSIONS) if i >= 40 and i != 150}
    write_index(tmp_path / "ndx.csv", levels)
    setting = "BREADTHFLOW_INDEX_SYMBOLS", f"small={tmp_path / 'ndx.csv'}"
    monkeypatch.setenv(*setting)
    get_settings.cache_clear()
    assert filled.daily(LAST).exit_status == 0
    assert counted_levels(filled) == levels
    switched = filled.contents()

    other = small.environment() | dict([setting])
    monkeypatch.setattr(small, "environment", lambda: other)
    fresh: list[Contents] = []

    def backfill(store: Store) -> None:
        assert store.run().exit_status == 0
        fresh.append(store.contents())

    prepared("another index from the beginning", backfill)
    assert_same(switched, *fresh)


@pytest.mark.slow
def test_an_index_on_another_scale_corrected_or_gone_is_so_in_all_of_history(
    filled: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, levels = tmp_path / "ndx.csv", {day: 100.0 + i for i, day in enumerate(SESSIONS)}
    write_index(file, levels)
    monkeypatch.setenv("BREADTHFLOW_INDEX_SYMBOLS", f"small={file}")
    get_settings.cache_clear()
    assert filled.daily(LAST).exit_status == 0

    halved = {day: level / 2 for day, level in levels.items()}  # a split of two for one, by the vendor
    write_index(file, halved)
    assert filled.daily(LAST).figures["breadth_counts"]["rows_revised"] == len(SESSIONS)
    assert counted_levels(filled) == halved

    write_index(file, halved | {SESSIONS[60]: 1.0})
    assert filled.daily(LAST).figures["breadth_counts"]["rows_revised"] == 1
    assert counted_levels(filled) == halved | {SESSIONS[60]: 1.0}
    assert filled.daily(LAST).figures["breadth_counts"]["rows_revised"] == 0

    monkeypatch.setenv("BREADTHFLOW_INDEX_SYMBOLS", "")
    get_settings.cache_clear()
    assert filled.daily(LAST).exit_status == 0
    assert counted_levels(filled) == {}
    assert filled.rows("SELECT count(index_trend_50), count(coppock) FROM breadth_indicators") == [(0, 0)]


def broken(store: Store) -> None:
    store.execute(
        "UPDATE signal_outcomes SET exit_session = exit_session + 30 WHERE horizon = 5 AND session = '2023-08-16'",
        "DELETE FROM signal_accuracy WHERE rule = 'conviction' AND horizon = 63",
        "UPDATE backtest_trades SET signal_id = 'gone' WHERE rule = 'breadth_score'",
    )


@pytest.mark.parametrize(
    ("check", "said"),
    [
        ("outcomes_keep_horizon", "look past their horizon"),
        ("every_rule_listed", "conviction"),
        ("trades_follow_signals", "have no signal before them"),
    ],
)
def test_a_check_finds_what_was_changed_behind_the_pipeline_s_back(prepared: Prepare, check: str, said: str) -> None:
    store = prepared("outcomes broken", broken, filled=True)
    outcomes = {one.name: one for one in store.check("signal_outcomes", "signal_accuracy", "backtests").checks}
    assert outcomes[check].status == "failed"
    assert said in outcomes[check].detail


@pytest.mark.slow
def test_nothing_is_written_where_nothing_changed(filled: Store) -> None:
    report = filled.run(dt.date(2023, 12, 1), LAST)
    for asset in ("universe_returns", "signal_outcomes", "signal_accuracy", "signal_records", "backtests"):
        figures = report.figures[asset]
        assert [figures.get(name, 0) for name in ("rows_inserted", "rows_revised", "rows_removed")] == [0, 0, 0]
