import polars as pl
import pytest

from breadthflow_pipelines.indicators.thrusts import (
    EVENT_SCHEMA,
    MCCLELLAN_OVERSOLD_RECOVERY,
    ZWEIG_BREADTH_THRUST,
    run,
    threshold_events,
)
from breadthflow_pipelines_tests.indicators.markets import day

Series = list[float | None]


def zweig(values: Series) -> list[tuple[int, int, float]]:
    """Row of the event, gap and low of each thrust, by row number."""
    series = ((day(i), i, value) for i, value in enumerate(values))
    return [((event.session - day(0)).days, event.gap, event.low) for event in run(ZWEIG_BREADTH_THRUST, series)]


@pytest.mark.parametrize(
    ("values", "events"),
    [
        ([0.39, *[0.5] * 9, 0.62], [(10, 10, 0.39)]),  # ten sessions after the low day are in
        ([0.39, *[0.5] * 10, 0.62], []),  # eleven are out: NYSE's miss of July 2013 was of that kind
        ([0.39, 0.30, 0.35, *[0.5] * 9, 0.62], [(12, 10, 0.30)]),  # counted from the last low, not from the lowest
        ([0.39, 0.62, 0.70, 0.62], [(1, 1, 0.39)]),  # fires once
        ([0.39, 0.62, 0.5, 0.62], [(1, 1, 0.39)]),  # a dip that stays above 0.40 does not arm it again
        ([0.39, 0.62, 0.38, 0.63], [(1, 1, 0.39), (3, 1, 0.38)]),  # armed again below 0.40
        ([0.39, None, None, 0.62], [(3, 3, 0.39)]),  # nulls are passed over, their sessions count
        ([0.39, *[None] * 10, 0.62], []),  # also towards the deadline
        ([0.39, None, 0.62, None], [(2, 2, 0.39)]),
        ([0.40, 0.62], []),  # at 0.40 is not below it
        ([0.39, 0.615], []),  # at 0.615 is not above it
        ([0.39, 0.615, 0.6151], [(2, 2, 0.39)]),  # it is only the first session above that counts
        ([0.2, *[0.5] * 15, 0.39, 0.62], [(17, 1, 0.39)]),  # the low of an arming that lapsed is forgotten
        ([0.62, 0.5, 0.62], []),  # never armed
        ([], []),
    ],
)
def test_zweig_breadth_thrust(values: Series, events: list[tuple[int, int, float]]) -> None:
    assert zweig(values) == events


@pytest.mark.parametrize(
    ("values", "events"),
    [
        ([-100.0, -70.0, -69.9], [(2, 2, -100.0)]),  # armed at -100, not yet back at -70
        ([-99.9, -50.0], []),  # never oversold
        ([-100.0, -150.0, -101.0, -80.0, -60.0, -40.0], [(4, 2, -150.0)]),  # the low of the whole stay, once
        ([-120.0, *[-80.0] * 50, -60.0], [(51, 51, -120.0)]),  # no deadline was published
        ([-120.0, -60.0, -90.0, -60.0], [(1, 1, -120.0)]),  # not oversold again
        ([-120.0, -60.0, -110.0, None, -60.0], [(1, 1, -120.0), (4, 2, -110.0)]),
    ],
)
def test_mcclellan_oversold_recovery(values: Series, events: list[tuple[int, int, float]]) -> None:
    series = ((day(i), i, value) for i, value in enumerate(values))
    got = run(MCCLELLAN_OVERSOLD_RECOVERY, series)
    assert [((event.session - day(0)).days, event.gap, event.low) for event in got] == events


def frame(universe: str, segment: str, values: dict[int, float | None]) -> pl.DataFrame:
    sessions = [day(i) for i in values]
    return pl.DataFrame(
        {"universe": universe, "segment": segment, "session": sessions, "zweig_ema": list(values.values())},
        schema_overrides={"zweig_ema": pl.Float64},
    )


def test_events_carry_their_evidence_and_groups_do_not_leak() -> None:
    rows = [frame("a", "ALL", {0: 0.5, 1: 0.35, 2: 0.3}), frame("b", "ALL", {0: 0.62, 1: 0.39, 2: 0.5, 3: 0.64})]
    got = threshold_events(pl.concat(rows)[::-1], ZWEIG_BREADTH_THRUST)
    assert got.schema == EVENT_SCHEMA
    assert got.rows() == [("b", "ALL", day(3), day(1), 2, 0.39, pytest.approx(0.025), 0.64)]


def test_sessions_without_a_row_of_the_sector_count() -> None:
    whole = frame("a", "ALL", dict.fromkeys(range(12), 0.5))
    sector = frame("a", "Energy", {0: 0.39, 11: 0.64})
    assert threshold_events(pl.concat([whole, sector]), ZWEIG_BREADTH_THRUST).is_empty()
    assert threshold_events(sector, ZWEIG_BREADTH_THRUST)["gap"].to_list() == [1]


def test_nothing_gives_no_events() -> None:
    assert threshold_events(frame("a", "ALL", {}), ZWEIG_BREADTH_THRUST).schema == EVENT_SCHEMA
