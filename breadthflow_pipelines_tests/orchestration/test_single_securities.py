"""A change of one security's bars computes that security, and of the others what it moved; a whole backfill agrees."""

import datetime as dt
from typing import Any

import polars as pl
import pytest

from breadthflow_pipelines.orchestration.assets import price_indicators
from breadthflow_pipelines.warehouse import bar_store
from breadthflow_pipelines_tests.orchestration.conftest import Store
from breadthflow_pipelines_tests.orchestration.small_market import LAST, SESSIONS

DAY = dt.date(2023, 6, 14)
JUNE = (dt.date(2023, 6, 1), dt.date(2023, 6, 30))
LATER = SESSIONS[SESSIONS.index(DAY) + 63]  # when the gain of 63 bars begins at that day's close
# Of each row of a member its key and what may move, without when it was written.
_INDICATORS = "SELECT universe, session, security_id, relative_strength, sma_20, obv FROM price_indicators"
_SIGNALS = "SELECT universe, session, security_id, vote_relative_strength, regime, action, gated FROM symbol_signals"


def corrected(store: Store) -> int:
    """Correct the close of the member in the middle, whose gain is the median or beside it; whose it was."""
    ranked = store.rows(
        "SELECT security_id, symbol FROM price_indicators JOIN security_symbols USING (security_id) "
        "WHERE session = %s ORDER BY roc_63",
        DAY,
    )
    security, symbol = ranked[len(ranked) // 2]
    close = next(float(row[4]) for row in store.small.rows[symbol] if row[0] == str(DAY))
    store.small.restate(symbol, DAY, round(close * 1.03, 2))
    return int(security)


def of_others(rows: list[tuple[Any, ...]], security: int) -> set[tuple[Any, ...]]:
    return {row for row in rows if row[2] != security}


@pytest.mark.slow
def test_a_corrected_bar_computes_its_security_and_moves_others_only_where_their_median_or_breadth_moved(
    filled: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    indicators, signals, counts = (
        filled.rows(_INDICATORS),
        filled.rows(_SIGNALS),
        filled.rows("SELECT session, advances, declines FROM breadth_counts WHERE segment = 'ALL' ORDER BY session"),
    )
    read, bars_from = list[tuple[set[int], dt.date]](), bar_store.bars_from

    def noted(database: Any, wanted: pl.DataFrame, through: dt.date) -> pl.DataFrame:
        read.append((set(wanted["security_id"]), through))
        return bars_from(database, wanted, through)

    monkeypatch.setattr(bar_store, "bars_from", noted)
    security = corrected(filled)
    report = filled.run(*JUNE)
    assert (report.trouble, filled.metadata("bars")["bars_corrected"]) == (None, 1)

    # Beyond June only the security's own history was read.
    assert {frozenset(whose) for whose, through in read if through > JUNE[1]} == {frozenset({security})}
    moved = of_others(filled.rows(_INDICATORS), security) - of_others(indicators, security)
    held_anew = {row[1] for row in moved}
    assert DAY in held_anew <= {DAY, LATER}
    now = filled.rows(_SIGNALS)
    sessions = {row[1] for row in of_others(now, security) - of_others(signals, security)}
    assert held_anew <= sessions
    assert sessions - held_anew  # of another regime
    assert (
        filled.rows("SELECT session, advances, declines FROM breadth_counts WHERE segment = 'ALL' ORDER BY session")
        != counts
    )

    # Nothing is left to do, and a backfill that computes every member finds each row as it is.
    assert filled.rows("SELECT count(*) FROM recomputations") == [(0,)]
    monkeypatch.undo()
    assert filled.run().rows_changed == 0
    assert filled.metadata("price_indicators")["months_unchanged"] == 0


@pytest.mark.slow
def test_a_run_that_dies_before_others_are_held_against_the_new_median_leaves_that_to_the_next_one(
    filled: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    corrected(filled)
    with monkeypatch.context() as patch:
        patch.setattr(price_indicators, "_held_against", _dying)
        assert str(filled.run(*JUNE).trouble) == "price_indicators failed: KeyError: 'surprise'"
    assert filled.run(LAST.replace(day=1), LAST).exit_status == 0
    assert filled.rows("SELECT count(*) FROM recomputations") == [(0,)]
    assert filled.run().rows_changed == 0


@pytest.mark.slow
def test_where_medians_moved_on_many_sessions_everybody_is_computed(
    filled: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(price_indicators, "MANY_MOVED", 1)
    corrected(filled)
    assert filled.run(*JUNE).exit_status == 0
    assert filled.run().rows_changed == 0


@pytest.mark.slow
def test_a_corrected_bar_is_followed_as_far_as_windows_reach_and_no_further(filled: Store) -> None:
    early = 2  # of a member that trades on every session
    close = next(float(row[4]) for row in filled.small.rows["DDD"] if row[0] == str(SESSIONS[early]))
    filled.small.restate("DDD", SESSIONS[early], round(close * 1.03, 2))
    november = (SESSIONS[0].replace(day=1), SESSIONS[0].replace(day=30))
    assert filled.run(*november).exit_status == 0

    # Highs and lows of 252 bars; a usual volume of 20; the next bar's return.
    computed = {
        asset: str(filled.metadata(asset)["computed"]).split(",")[0]
        for asset in ("breadth_counts", "quarantined_bars", "universe_returns", "symbol_calibration")
    }
    assert computed == {
        "breadth_counts": f"{november[0]} to {SESSIONS[early + 252]}",
        "quarantined_bars": f"{november[0]} to {SESSIONS[early + 20]}",
        "universe_returns": f"{november[0]} to {november[1]}",
        "symbol_calibration": f"{november[0]} to {LAST}",  # signals of two hundred bars later changed, and are followed
    }
    assert filled.rows("SELECT count(*) FROM recomputations") == [(0,)]
    assert filled.run().rows_changed == 0


def _dying(*_: Any) -> Any:
    raise KeyError("surprise")
