import datetime as dt
from typing import Any

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from breadthflow_pipelines.indicators.thrusts import threshold_events
from breadthflow_pipelines.signals.calibration import STRETCHES, calibrated_events, stretched
from breadthflow_pipelines.signals.rules import EVENTS, RULES
from breadthflow_pipelines_tests.signals.values import Row, frame, values

FIRST = dt.date(2000, 1, 3)
YEAR = 260  # weekdays
NEW_2008 = 2086  # weekdays from 2000-01-03 on before 2008-01-01
NEW_2009 = 2348


def weekday(row: int) -> dt.date:
    weeks, days = divmod(row, 5)
    return FIRST + dt.timedelta(days=7 * weeks + days)


def thrusts_of(peaks: dict[int, float], length: int, universe: str = "wide", segment: str = "ALL") -> pl.DataFrame:
    """Two-day up-volume shares of 50 % with these peaks."""
    rows: list[Row] = [
        {"universe": universe, "segment": segment, "session": weekday(i), "whaley_udt2": peaks.get(i, 50.0)}
        for i in range(length)
    ]
    return frame(rows)


def test_weekdays_are_counted_right() -> None:
    assert [weekday(row) for row in (NEW_2008, NEW_2009)] == [dt.date(2008, 1, 1), dt.date(2009, 1, 1)]


@pytest.mark.parametrize(
    ("stretch", "arms", "fires"),
    [
        (1.0, 0.40, 0.615),  # as published
        (2.0, 0.30, 0.730),  # twice as far from 0.5 on either side
        (0.5, 0.45, 0.5575),
    ],
)
def test_levels_are_stretched_from_the_neutral_value(stretch: float, arms: float, fires: float) -> None:
    thrust = stretched(RULES["zweig_breadth_thrust"], stretch)
    assert thrust.arms[0].level == pytest.approx(arms)
    assert thrust.fires[0].level == pytest.approx(fires)
    assert thrust.deadline == 10
    assert stretched(RULES["deemer_breakaway_momentum"], 2.0).fires[0].level == pytest.approx(2.94)  # from 1
    assert stretched(RULES["whaley_adt20"], 0.5).fires[0].level == pytest.approx(56.0)  # from 50


def test_a_rule_without_a_neutral_value_cannot_be_stretched() -> None:
    with pytest.raises(ValueError, match="surge_above_50 has no levels to stretch"):
        stretched(RULES["surge_above_50"], 2.0)


def test_a_year_takes_the_least_stretch_that_its_sample_allows() -> None:
    # By hand: until 252 sessions before 2008 there are 1,834 with a value, so at 6.5 a decade 6.5 * 1834 / 2520 = 4.73
    # events are allowed. Of ten peaks, six reach 88 % (above 87.24, the level at 0.95) and four 91 % (above 89.2, the
    # published one), so 0.95 has ten, too many, and 1.0 has four. In 2008, 89 % is below that and 90 % above.
    peaks = {100 + 150 * i: 91.0 if i % 5 < 2 else 88.0 for i in range(10)} | {NEW_2008 + 50: 89.0, NEW_2008 + 90: 90.0}
    got = calibrated_events(thrusts_of(peaks, NEW_2008 + 200)).row(0, named=True)
    assert (got["rule"], got["session"], got["value"]) == ("whaley_udt2_calibrated", weekday(NEW_2008 + 90), 90.0)
    assert (got["year"], got["stretch"], got["threshold"]) == (2008, 1.0, pytest.approx(89.2))
    assert (got["sample_from"], got["sample_to"]) == (FIRST, weekday(NEW_2008 - 253))
    assert (got["sample_sessions"], got["sample_events"]) == (1834, 4)
    assert got["sample_allowed"] == pytest.approx(4.7306, abs=1e-4)


@pytest.mark.parametrize(
    ("peaks", "stretch"),
    [
        ({}, 0.5),  # a market without thrusts needs the least
        ({200 * i: 91.0 for i in range(1, 5)}, 0.5),  # four are allowed, also at the lowest level
        ({200 * i: 91.0 for i in range(1, 6)}, 1.05),  # five are not
        ({200 * i: 91.0 for i in range(1, 9)}, 1.05),  # eight in the sample are too many at 1.0, and 91.16 has none
        ({200 * i: 99.9 for i in range(1, 9)}, 1.3),  # 99.9 is below 100.96
        ({NEW_2008 - 250 + 30 * i: 91.0 for i in range(8)}, 0.5),  # in the embargo: they choose nothing
    ],
)
def test_events_of_the_sample_choose_and_no_others(peaks: dict[int, float], stretch: float) -> None:
    got = calibrated_events(thrusts_of(peaks | {NEW_2008 + 90: 150.0}, NEW_2008 + 100))
    assert got.filter(year=2008)["stretch"].to_list() == [stretch]


def test_a_year_is_frozen_and_the_next_one_chooses_again() -> None:
    # Eight peaks of 91 % from March 2007 on: in the embargo of 2008, in the sample of 2009.
    peaks = {NEW_2008 - 200 + 22 * i: 91.0 for i in range(8)} | {NEW_2008 + 90: 92.0, NEW_2009 + 90: 99.0}
    got = calibrated_events(thrusts_of(peaks, NEW_2009 + 100))
    assert got.filter(pl.col("year") > 2007).select("year", "stretch").rows() == [(2008, 0.5), (2009, 1.05)]


@pytest.mark.parametrize(
    ("sessions", "expected"),
    [
        (1260 + 252, 1),  # five years and the embargo before the event's year
        (1260 + 251, 0),
    ],
)
def test_five_years_are_needed_before_the_embargo(sessions: int, expected: int) -> None:
    year = NEW_2008 - sessions  # the history begins so many sessions before 2008
    whole = thrusts_of({NEW_2008 + 5: 99.0}, NEW_2008 + 10)[year:]
    assert calibrated_events(whole).height == expected


def test_sessions_without_a_value_are_no_sample() -> None:
    whole = thrusts_of({NEW_2008 + 5: 99.0}, NEW_2008 + 10)
    known = pl.when(pl.int_range(pl.len()) % 2 == 0).then("whaley_udt2")  # 917 of the sample's 1,834
    assert calibrated_events(whole).height == 1
    thinned = whole.with_columns(pl.coalesce(known, pl.when(pl.col("whaley_udt2") > 50).then("whaley_udt2")))
    assert calibrated_events(thinned).height == 0


@pytest.mark.parametrize(
    ("universe", "segment", "expected"),
    [
        ("wide", "ALL", 1),
        ("NYSE", "ALL", 1),  # the rule was published for the S&P 500's volume, so NYSE needs levels of its own
        ("sp500", "ALL", 0),  # has its published ones
        ("wide", "Energy", 0),  # a sector
    ],
)
def test_who_gets_levels_of_its_own(universe: str, segment: str, expected: int) -> None:
    whole = thrusts_of({NEW_2008 + 5: 99.0}, NEW_2008 + 10, universe, segment)
    assert calibrated_events(whole).height == expected


@pytest.fixture(scope="module")
def wild() -> list[Row]:
    return values(3, 3300, "wide") + values(4, 3300, "sp500") + values(5, 3300, "sp500", "Energy")


@pytest.mark.slow
def test_history_cut_anywhere_gives_the_same_events(wild: list[Row]) -> None:
    whole = calibrated_events(frame(wild))
    assert set(whole["rule"]) == {f"{name}_calibrated" for name in RULES if f"{name}_calibrated" in RULES}
    years: list[Any] = [dt.date(year, *edge) for year in (2025, 2027, 2028) for edge in ((1, 1), (12, 31))]
    for cut in (*years, *whole["session"].to_list()[::5]):
        known = [row for row in wild if row["session"] <= cut]
        assert_frame_equal(calibrated_events(frame(known)), whole.filter(pl.col("session") <= cut), check_exact=True)


def test_other_universes_and_sectors_change_nothing(wild: list[Row]) -> None:
    alone = calibrated_events(frame([row for row in wild if row["universe"] == "wide"][::-1]))
    assert_frame_equal(alone, calibrated_events(frame(wild)).filter(universe="wide"), check_exact=True)


def test_at_the_published_levels_events_are_the_published_rules_own(wild: list[Row]) -> None:
    whole = frame(wild)
    published = threshold_events(whole, EVENTS).select("rule", "universe", "segment", "session").rows()
    same = calibrated_events(whole).filter(stretch=1.0).select("rule", "universe", "segment", "session").rows()
    assert all((rule.removesuffix("_calibrated"), *key) in published for rule, *key in same)
    assert 1.0 in STRETCHES


def test_nothing_gives_nothing() -> None:
    assert calibrated_events(frame([])).is_empty()
