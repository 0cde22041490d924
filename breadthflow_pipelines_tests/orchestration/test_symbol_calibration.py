"""Sums of symbol signals in the store: against a loop, kept up with what changes, and made of months that are due."""

import datetime as dt
from collections import defaultdict
from statistics import mean

import pytest

from breadthflow_pipelines.orchestration.assets import symbol_calibration
from breadthflow_pipelines_tests.orchestration.conftest import Prepare, Store, assert_same
from breadthflow_pipelines_tests.orchestration.small_market import LAST, SESSIONS

Sums = dict[tuple[dt.date, str], tuple[float, float, float, float]]
HORIZON = 5


def by_hand(store: Store) -> Sums:
    """signals, hits, expected and relative of what the rules say together, by month of the exit and action."""
    closes: dict[int, dict[dt.date, float]] = defaultdict(dict)
    for security, session, close in store.rows("SELECT security_id, session, close FROM bars"):
        closes[security][session] = close
    said: dict[dt.date, list[tuple[str, float]]] = defaultdict(list)
    for session, security, action in store.rows("SELECT session, security_id, action FROM symbol_signals"):
        at = SESSIONS.index(session) + 1
        if at + HORIZON < len(SESSIONS) and SESSIONS[at] in closes[security]:
            held = [day for day in SESSIONS[at : at + HORIZON + 1] if day in closes[security]]
            said[session].append((action, closes[security][held[-1]] / closes[security][SESSIONS[at]] - 1))
    sums: dict[tuple[dt.date, str], list[float]] = defaultdict(lambda: [0.0] * 4)
    for session, told in said.items():
        month = SESSIONS[SESSIONS.index(session) + 1 + HORIZON].replace(day=1)
        usual = mean(change for _, change in told)
        below = [change < usual for _, change in told]
        above = [change > usual for _, change in told]
        for action, change in told:
            right, base = (change < usual, mean(below)) if action == "sell" else (change > usual, mean(above))
            own = sums[month, action]
            for i, value in enumerate((1.0, float(right), base, change - usual)):
                own[i] += value
    return {key: (n, hits, expected, relative) for key, (n, hits, expected, relative) in sums.items()}


def stored(store: Store) -> Sums:
    query = (
        "SELECT month, action, signals, hits, expected, relative FROM symbol_calibration "
        "WHERE horizon = %s AND rule = 'combined' AND grouped_by = 'all'"
    )
    return {(month, action): sums for month, action, *sums in store.rows(query, HORIZON)}  # type: ignore[misc]


def test_sums_are_those_of_a_loop_over_bars_and_signals(filled: Store) -> None:
    expected = by_hand(filled)
    got = stored(filled)
    assert got.keys() == expected.keys()
    assert {action for _, action in got} == {"buy", "sell", "hold"}
    for key, sums in got.items():
        assert tuple(sums) == pytest.approx(expected[key], abs=1e-9), key


def test_rates_are_the_sums_of_all_months_divided(filled: Store) -> None:
    rated = filled.rows(
        "SELECT action, signals, hit_rate, base_rate, relative FROM symbol_accuracy "
        "WHERE horizon = %s AND rule = 'combined' AND grouped_by = 'all'",
        HORIZON,
    )
    totals: dict[str, list[float]] = defaultdict(lambda: [0.0] * 4)
    for (_, action), sums in by_hand(filled).items():
        totals[action] = [one + more for one, more in zip(totals[action], sums, strict=True)]
    assert {action for action, *_ in rated} == totals.keys() == {"buy", "sell", "hold"}
    for action, signals, *rates in rated:
        n, hits, expected, relative = totals[action]
        assert signals == n
        assert rates[2] == pytest.approx(relative / n)
        assert rates[:2] == ([None, None] if action == "hold" else pytest.approx([hits / n, expected / n]))


@pytest.mark.slow
def test_a_corrected_price_is_followed_into_every_month_that_it_touches(filled: Store) -> None:
    before = stored(filled)
    day = dt.date(2023, 11, 20)
    [(close,)] = filled.rows(
        "SELECT close FROM bars JOIN security_symbols USING (security_id) WHERE symbol = 'AAA' AND session = %s", day
    )
    filled.small.restate("AAA", day, close * 1.04)
    assert filled.run(dt.date(2023, 11, 1), LAST).trouble is None
    after = stored(filled)
    assert {month for month, _ in after if after[month, _] != before.get((month, _))} <= {
        dt.date(2023, 11, 1),
        dt.date(2023, 12, 1),
    }
    assert after != before
    for key, sums in by_hand(filled).items():
        assert tuple(after[key]) == pytest.approx(sums, abs=1e-9)


@pytest.mark.slow
def test_a_daily_run_reads_its_own_months_and_writes_nothing_where_nothing_changed(filled: Store) -> None:
    report = filled.run(dt.date(2023, 12, 1), LAST)
    own = filled.rows("SELECT count(*) FROM symbol_calibration WHERE month = '2023-12-01'")[0][0]
    figures = report.figures["symbol_calibration"]
    assert figures["rows_read"] == own
    assert report.rows_changed == 0
    assert filled.rows("SELECT count(*) FROM recomputations") == [(0,)]
    assert filled.metadata("symbol_calibration")["computed"] == "2023-12-01 to 2023-12-29, its own months"


def changed_signal(store: Store) -> None:
    store.execute(
        "UPDATE symbol_signals SET action = 'hold', gated = true WHERE action = 'buy' AND session < '2023-12-01'"
    )


@pytest.mark.slow
def test_signals_that_a_run_of_their_month_changes_are_followed_a_year_on(prepared: Prepare) -> None:
    store = prepared("calibration changed signals", changed_signal, filled=True)
    wrong = by_hand(store)
    assert store.run(dt.date(2023, 10, 1), dt.date(2023, 10, 31)).trouble is None  # October alone is mended
    assert by_hand(store) != wrong
    for key, sums in stored(store).items():
        if key[0] >= dt.date(2023, 10, 1):
            assert tuple(sums) == pytest.approx(by_hand(store)[key], abs=1e-9), key


@pytest.mark.slow
def test_pieces_of_any_size_give_the_same_rows(filled: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    before = filled.contents()
    filled.execute("DELETE FROM symbol_calibration")
    monkeypatch.setattr(symbol_calibration, "PIECE_SIGNALS", 1)  # a month at a time
    assert filled.run().trouble is None
    assert_same(filled.contents(), before)


def broken(store: Store) -> None:
    store.execute("UPDATE symbol_calibration SET signals = signals + 1 WHERE grouped_by = 'strength' AND bin = 1")


def test_a_check_finds_sums_that_do_not_add_up(prepared: Prepare) -> None:
    store = prepared("calibration broken", broken, filled=True)
    [outcome] = [one for one in store.check("symbol_calibration").checks if one.name == "calibration_adds_up"]
    assert outcome.status == "failed"
    assert "do not add up, first small 2023-" in outcome.detail
