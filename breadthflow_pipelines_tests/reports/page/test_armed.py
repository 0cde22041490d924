"""A thrust is armed from a low to its event or its deadline, and as long as its rule says."""

from dataclasses import replace

import polars as pl

from breadthflow_pipelines.reports.page.armed import armed_sessions, is_armed
from breadthflow_pipelines.signals.rules import RULES
from breadthflow_pipelines_tests.reports.page.invented import facts

ZWEIG, RECOVERY = (RULES[name].thrust for name in ("zweig_breadth_thrust", "mcclellan_oversold_recovery"))
assert ZWEIG is not None
assert RECOVERY is not None


def test_a_thrust_s_window_is_open_from_the_low_to_the_thrust_or_the_deadline() -> None:
    of = facts(sessions=40)
    averages = [0.5, 0.39, 0.45, *[0.5] * 14, 0.38, 0.5, 0.62, 0.63] + [None] * 19  # by hand: lows at 1 and 17
    session = of.breadth["session"][19]
    thrust = {"rule": "zweig_breadth_thrust", "session": session, "evidence": "{}"}
    signals = of.signals.clear()
    fired = replace(
        of,
        breadth=of.breadth.with_columns(zweig_ema=pl.Series(averages, dtype=pl.Float64)),
        signals=pl.concat([signals, pl.DataFrame([thrust])], how="diagonal_relaxed"),
    )
    assert [i for i, is_open in enumerate(armed_sessions(fired, ZWEIG)) if is_open] == [*range(1, 12), 17, 18, 19]
    never = replace(fired, signals=signals)
    assert [i for i, is_open in enumerate(armed_sessions(never, ZWEIG)) if is_open] == [*range(1, 12), *range(17, 28)]
    assert not is_armed(never, ZWEIG)


def test_what_has_no_deadline_stays_armed_and_is_no_longer_on_the_day_after_its_event() -> None:
    of = facts(sessions=40)
    values = pl.Series([0.0, -100.0, *[-80.0] * 37, -60.0])
    armed = replace(of, breadth=of.breadth.with_columns(mcclellan_oscillator_ratio=values), signals=of.signals.clear())
    assert armed_sessions(armed, RECOVERY) == [False, *[True] * 39]
    assert is_armed(armed, RECOVERY)
    event = {"rule": RECOVERY.name, "session": of.breadth["session"][-1], "evidence": "{}"}
    fired = replace(armed, signals=pl.concat([armed.signals, pl.DataFrame([event])], how="diagonal_relaxed"))
    assert armed_sessions(fired, RECOVERY)[-1]
    assert not is_armed(fired, RECOVERY)


def test_on_the_day_of_its_deadline_it_may_still_have_fired_and_cannot_any_more() -> None:
    of = facts(sessions=40)
    for silent, left in ((9, True), (10, False)):  # after the low; the deadline is ten sessions
        averages = pl.Series([0.5] * (39 - silent) + [0.39] + [0.5] * silent)
        low = replace(of, breadth=of.breadth.with_columns(zweig_ema=averages), signals=of.signals.clear())
        assert armed_sessions(low, ZWEIG)[-1]
        assert is_armed(low, ZWEIG) is left
