"""Outcomes and records in the store: of the right sessions, recomputed where a price changes, complete, and checked."""

import datetime as dt
from math import prod

import pytest

from breadthflow_pipelines.evaluation.family import FAMILY
from breadthflow_pipelines.model.vocabulary import HORIZONS
from breadthflow_pipelines_tests.orchestration.conftest import Prepare, Store
from breadthflow_pipelines_tests.orchestration.small_market import HOLE, INDEX, LAST, MEMBERS, SESSIONS

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
    listed = filled.rows("SELECT DISTINCT rule, action FROM signal_accuracy WHERE universe = 'small'")
    assert {(claim.rule, claim.side) for claim in FAMILY.claims} <= set(listed)
    # Fourteen months are too short for a verdict on anything, and no signal had a record to stand on.
    assert filled.rows("SELECT DISTINCT verdict FROM signal_accuracy") == [("cannot be judged",)]
    assert filled.rows("SELECT count(*) FROM signal_records") == [(0,)]


def test_a_corrected_price_revises_what_was_closed_and_the_run_says_how_many(filled: Store) -> None:
    query = "SELECT signal_id, horizon, \"return\" FROM signal_outcomes WHERE state = 'closed'"
    before = {row[:2]: row[2] for row in filled.rows(query)}
    filled.small.restate("AAA", dt.date(2023, 12, 5), closes(filled, dt.date(2023, 12, 5))["AAA"] * 1.01)
    assert filled.run(dt.date(2023, 12, 1), LAST).trouble is None
    after = {row[:2]: row[2] for row in filled.rows(query)}
    said = filled.metadata("signal_outcomes")["closed_outcomes_revised"]
    changed = {key for key, value in before.items() if key in after and after[key] != value}
    assert changed
    assert said >= len(changed)  # the mean of the windows before, and so the excess, moves with others' prices too


def broken(store: Store) -> None:
    store.execute(
        "UPDATE signal_outcomes SET exit_session = exit_session + 30 WHERE horizon = 5 AND session = '2023-08-16'",
        "DELETE FROM signal_accuracy WHERE rule = 'conviction' AND horizon = 63",
    )


@pytest.mark.parametrize(
    ("check", "said"),
    [
        ("outcomes_keep_horizon", "look past their horizon"),
        ("every_rule_listed", "conviction"),
    ],
)
def test_a_check_finds_what_was_changed_behind_the_pipeline_s_back(prepared: Prepare, check: str, said: str) -> None:
    store = prepared("outcomes broken", broken, filled=True)
    outcomes = {one.name: one for one in store.check("signal_outcomes", "signal_accuracy").checks}
    assert outcomes[check].status == "failed"
    assert said in outcomes[check].detail


def test_nothing_is_written_where_nothing_changed(filled: Store) -> None:
    report = filled.run(dt.date(2023, 12, 1), LAST)
    for asset in ("universe_returns", "signal_outcomes", "signal_accuracy", "signal_records"):
        figures = report.figures[asset]
        assert [figures.get(name, 0) for name in ("rows_inserted", "rows_revised", "rows_removed")] == [0, 0, 0]
