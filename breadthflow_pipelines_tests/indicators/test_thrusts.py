import datetime as dt
import random
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from breadthflow_pipelines.indicators.thrusts import EVENT_SCHEMA, Condition, Thrust, threshold_events
from breadthflow_pipelines_tests.examples import examples
from breadthflow_pipelines_tests.indicators.markets import day

Series = list[float | None]
KEY = ["universe", "segment", "session"]


def above(level: float, column: str = "x") -> tuple[Condition]:
    return (Condition(column, "above", level),)


def below(level: float, column: str = "x") -> tuple[Condition]:
    return (Condition(column, "below", level),)


ZWEIG = Thrust("zweig", fires=above(0.615), arms=below(0.40), deadline=10)
MCCLELLAN = Thrust("mcclellan", fires=above(-70.0), arms=(Condition("x", "at_or_below", -100.0),))


def frame(values: dict[int, float | None], universe: str = "a", segment: str = "ALL", **more: Series) -> pl.DataFrame:
    sessions = [day(i) for i in values]
    return pl.DataFrame(
        {"universe": universe, "segment": segment, "session": sessions, "x": list(values.values()), **more},
        schema_overrides=dict.fromkeys(("x", *more), pl.Float64),
    )


def events(thrust: Thrust, values: Series, *fields: str, **more: Series) -> list[tuple[Any, ...]]:
    """Row of each event, then those fields of it."""
    got = threshold_events(frame(dict(enumerate(values)), **more), [thrust])
    return got.select((pl.col("session") - day(0)).dt.total_days(), *fields).rows()


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([0.39, *[0.5] * 9, 0.62], [(10, 10, 0.39)]),  # ten sessions after the low day are in
        ([0.39, *[0.5] * 10, 0.62], []),  # eleven are out
        ([0.39, *[0.5] * 11, 0.62], []),  # NYSE's miss of July 2013: two sessions late
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
def test_armed_below_and_fired_above_within_ten_sessions(
    values: Series, expected: list[tuple[int, int, float]]
) -> None:
    assert events(ZWEIG, values, "gap", "extreme") == expected


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([-100.0, -70.0, -69.9], [(2, 2, -100.0)]),  # armed at -100, not yet back at -70
        ([-99.9, -50.0], []),  # never oversold
        ([-100.0, -150.0, -101.0, -80.0, -60.0, -40.0], [(4, 2, -150.0)]),  # the low of the whole stay, once
        ([-120.0, *[-80.0] * 50, -60.0], [(51, 51, -120.0)]),  # no deadline was published
        ([-120.0, -60.0, -90.0, -60.0], [(1, 1, -120.0)]),  # not oversold again
        ([-120.0, -60.0, -110.0, None, -60.0], [(1, 1, -120.0), (4, 2, -110.0)]),
    ],
)
def test_armed_on_touch_without_a_deadline(values: Series, expected: list[tuple[int, int, float]]) -> None:
    assert events(MCCLELLAN, values, "gap", "extreme") == expected


@pytest.mark.parametrize(
    ("quiet", "merge", "values", "expected"),
    [
        (1, 0, [1, 3, 3, 1, 3], [1, 4]),  # a stay above is one event, coming back another
        (1, 0, [3, 3, 1, 3], [3]),  # whether the first known session is a crossing, nobody can tell
        (1, 0, [None, 3, 1, 3], [3]),  # nor after a burn-in
        (1, 0, [1, None, 3], [2]),  # a crossing over a session without a value
        (1, 0, [1, 3, None, 3], [1]),  # above, unknown, above: still the same stay
        (1, 0, [1, 2, 3], [2]),  # at the level is not above it
        (3, 0, [1, 1, 3, 1, 1, 3, 1, 1, 1, 3], [9]),  # two sessions below are too few for three
        (3, 0, [1, 1, 1, 3, 1, 1, 3, 1, 1, 1, 3], [3, 10]),  # and a session above starts the count anew
        (3, 0, [1, 1, None, 3], []),  # an unknown session is not known to have been below
        (
            1,
            3,
            [1, 3, 1, 3, 1, 3, 1, 3],
            [1, 5],
        ),  # two and four later: the first is a repeat, counted from what was told
        (1, 4, [1, 3, 1, 3, 1, 3, 1, 3], [1, 7]),  # exactly the window later is still a repeat
        (1, 3, [1, 3, None, 1, 3, 1, 3], [1, 6]),  # sessions without a value count towards it
        (0, 0, [3, 3, 1, 3], [0, 1, 3]),  # without either, each session is an event
        (0, 1, [3, 3, 3, 3], [0, 2]),
    ],
)
def test_what_counts_as_new_and_what_as_a_repeat(quiet: int, merge: int, values: Series, expected: list[int]) -> None:
    thrust = Thrust("t", fires=above(2.0), quiet=quiet, merge=merge)
    nothing = (None, None, None, None)
    fields = ("armed_session", "gap", "extreme", "depth")
    assert events(thrust, values, *fields) == [(row, *nothing) for row in expected]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([-1, -1, 1], [(2, 1)]),
        ([-1, 1, -1, 1], [(3, 1)]),  # one is too few; the day above in between takes none away
        ([-1, -1, -1, 0, 1], [(4, 2)]),  # more is enough
        ([-1, -1, 1, -1, 1], [(2, 1)]),  # counted anew after an event
        ([-1, 0, 0, 0, -1, 1], []),  # four sessions apart, with a deadline of three: the first has lapsed
        ([-1, 0, 0, -1, 1], [(4, 1)]),
        ([-1, -1, 0, 0, 0, 1], []),  # too late
    ],
)
def test_two_arming_sessions(values: Series, expected: list[tuple[int, int]]) -> None:
    thrust = Thrust("t", fires=above(0.5), arms=below(-0.5), arms_times=2, deadline=3)
    assert events(thrust, values, "gap") == expected


@pytest.mark.parametrize(
    ("gap", "expected"),
    [
        (36, [(36, 1)]),  # one session later, 36 days
        (37, []),
    ],
)
def test_a_deadline_in_calendar_days_counts_days_not_sessions(gap: int, expected: list[tuple[int, int]]) -> None:
    pair = Thrust("t", fires=above(0.5), arms=above(0.5), deadline_days=36)
    got = threshold_events(frame({0: 1.0, gap: 1.0}), [pair])
    assert got.select((pl.col("session") - day(0)).dt.total_days(), "gap").rows() == expected


def test_a_session_that_fires_arms_the_next_event() -> None:
    pair = Thrust("t", fires=above(0.5), arms=above(0.5), deadline=5)
    assert events(pair, [1, 0, 2, 3], "gap", "extreme") == [(2, 2, 1.0), (3, 1, 2.0)]


@pytest.mark.parametrize(
    ("trend", "expected"),
    [
        ([1.0], [(0, [])]),
        ([0.0], []),  # known not to hold
        ([None], [(0, ["trend"])]),  # nobody knows, and it says so
    ],
)
def test_a_leg_that_may_be_unknown_is_named(trend: Series, expected: list[tuple[int, list[str]]]) -> None:
    leg = Condition("trend", "at_or_above", 1.0, or_unknown=True)
    assert events(Thrust("t", fires=(*above(0.5), leg)), [1.0], "unknown", trend=trend) == expected
    assert events(Thrust("t", fires=(*above(0.5), Condition("trend", "at_or_above", 1.0))), [1.0], trend=[None]) == []


def test_a_leg_that_is_not_there_is_unknown() -> None:
    leg = Condition("trend", "at_or_above", 1.0, or_unknown=True)
    assert events(Thrust("t", fires=(*above(0.5), leg)), [1.0], "unknown") == [(0, ["trend"])]
    assert events(Thrust("t", fires=above(0.5, "nothing")), [1.0]) == []


def test_the_value_of_an_event_must_be_known() -> None:
    with pytest.raises(ValueError, match="t: the first condition"):
        Thrust("t", fires=(Condition("x", "above", 1.0, or_unknown=True),))


def test_margins_are_distances_beyond_the_level_on_either_side() -> None:
    assert events(Thrust("t", fires=above(2.0)), [3.5], "margin", "threshold") == [(0, 1.5, 2.0)]
    assert events(Thrust("t", fires=below(2.0)), [0.5], "margin", "threshold") == [(0, 1.5, 2.0)]
    fall = Thrust("t", fires=below(2.0), arms=above(5.0))
    assert events(fall, [6.0, 7.5, 1.0], "extreme", "depth", "margin") == [(2, 7.5, 2.5, 1.0)]


def test_events_carry_their_evidence_and_groups_do_not_leak() -> None:
    rows = [
        frame({0: 0.5, 1: 0.35, 2: 0.3}),
        frame({0: 0.62, 1: 0.39, 2: 0.5, 3: 0.64}, "b"),
        frame({0: 0.5, 3: 0.64}, "b", "Energy"),
    ]
    got = threshold_events(pl.concat(rows)[::-1], [ZWEIG])
    assert got.schema == EVENT_SCHEMA
    margin = pytest.approx(0.025)
    depth = pytest.approx(0.01)
    assert got.rows() == [("zweig", "b", "ALL", day(3), 4, day(1), 2, 0.39, depth, margin, 0.64, 0.615, [])]


def test_sessions_without_a_row_of_the_sector_count() -> None:
    whole = frame(dict.fromkeys(range(12), 0.5))
    sector = frame({0: 0.39, 11: 0.64}, segment="Energy")
    assert threshold_events(pl.concat([whole, sector]), [ZWEIG]).is_empty()
    assert threshold_events(sector, [ZWEIG])["gap"].to_list() == [1]


def test_nothing_gives_no_events() -> None:
    assert threshold_events(frame({}), [ZWEIG]).schema == EVENT_SCHEMA
    assert threshold_events(frame({0: 1.0}), []).schema == EVENT_SCHEMA


# The twin: every row of every series one by one, every condition in Python, everything looked up in the past.


def holds(condition: Condition, row: dict[str, Any]) -> bool | None:
    value, level = row[condition.column], condition.level
    if value is None:
        return True if condition.or_unknown else None
    answers = {
        "above": value > level,
        "below": value < level,
        "at_or_above": value >= level,
        "at_or_below": value <= level,
    }
    return answers[condition.relation]


def together(conditions: tuple[Condition, ...], row: dict[str, Any]) -> bool | None:
    answers = [holds(condition, row) for condition in conditions]
    return False if False in answers else None if None in answers else True


def twin(thrust: Thrust, rows: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    universes = {r["universe"] for r in rows}
    calendar = {u: sorted({r["session"] for r in rows if r["universe"] == u}) for u in universes}
    found = []
    for key in sorted({(r["universe"], r["segment"]) for r in rows}):
        own = sorted((r for r in rows if (r["universe"], r["segment"]) == key), key=lambda r: r["session"])
        armed: list[tuple[int, dt.date, float]] = []  # every arming session that still counts
        answers: list[bool] = []  # what was known of the firing conditions
        told = None
        for row in own:
            number = calendar[key[0]].index(row["session"])
            if armed and thrust.deadline is not None and number - armed[-1][0] > thrust.deadline:
                armed = []
            if armed and thrust.deadline_days is not None:
                armed = armed if (row["session"] - armed[-1][1]).days <= thrust.deadline_days else []
            met = together(thrust.fires, row)
            calm = len(answers) >= thrust.quiet and not any(answers[len(answers) - thrust.quiet :])
            if met and calm and (not thrust.arms or len(armed) >= thrust.arms_times):
                if told is None or number - told > thrust.merge:
                    worst = (max if thrust.arms[0].upward else min)(a[2] for a in armed) if thrust.arms else None
                    last = armed[-1] if thrust.arms else None
                    gap = (last[1], number - last[0], worst) if last else (None, None, None)
                    found.append((*key, row["session"], *gap, row["x"]))
                    told = number
                armed = []
            if met is not None:
                answers.append(met)
            if thrust.arms and together(thrust.arms, row):
                armed.append((number, row["session"], row[thrust.arms[0].column]))
    return found


levels = st.integers(-2, 2).map(float)
relations = st.sampled_from(["above", "below", "at_or_above", "at_or_below"])
limits = st.none() | st.integers(0, 9)
leg = st.builds(Condition, st.just("y"), relations, levels, st.booleans())


@st.composite
def thrusts(draw: st.DrawFn) -> Thrust:
    head = st.builds(Condition, st.just("x"), relations, levels)
    legs = st.lists(leg, max_size=1).map(tuple)
    arms = (draw(head), *draw(legs)) if draw(st.booleans()) else ()
    return Thrust(
        "t",
        fires=(draw(head), *draw(legs)),
        arms=arms,
        arms_times=draw(st.integers(1, 3)),
        deadline=draw(limits),
        deadline_days=draw(limits),
        quiet=draw(st.integers(0, 3)),
        merge=draw(st.integers(0, 4)),
    )


def random_rows(seed: int, length: int) -> list[dict[str, Any]]:
    """Values that often tie with levels, with holes, in two universes and two segments of one."""
    dice = random.Random(seed)  # noqa: S311
    values = (None, -2.0, -1.0, 0.0, 1.0, 2.0)
    return [
        {
            "universe": universe,
            "segment": segment,
            "session": day(i),
            "x": dice.choice(values),
            "y": dice.choice(values),
        }
        for universe, segment in (("a", "ALL"), ("a", "Energy"), ("b", "ALL"))
        for i in range(length)
        if dice.random() < 0.8
    ]


SCHEMA = {"universe": pl.String, "segment": pl.String, "session": pl.Date, "x": pl.Float64, "y": pl.Float64}


@examples(200)
@given(thrusts(), st.integers(0, 2**32), st.integers(0, 60))
def test_machine_is_the_row_by_row_twin(thrust: Thrust, seed: int, length: int) -> None:
    rows = random_rows(seed, length)
    got = threshold_events(pl.DataFrame(rows, schema=SCHEMA), [thrust])
    assert got.select(*KEY, "armed_session", "gap", "extreme", "value").rows() == twin(thrust, rows)


@examples(100)
@given(thrusts(), st.integers(0, 2**32), st.integers(0, 40))
def test_order_other_universes_and_the_future_change_nothing(thrust: Thrust, seed: int, cut: int) -> None:
    rows = random_rows(seed, 40)
    whole = threshold_events(pl.DataFrame(rows, schema=SCHEMA), [thrust])
    shuffled = random.Random(seed).sample(rows, len(rows))  # noqa: S311
    assert_frame_equal(threshold_events(pl.DataFrame(shuffled, schema=SCHEMA), [thrust]), whole)
    known = [row for row in rows if row["session"] < day(cut) and row["universe"] == "a"]
    expected = whole.filter(pl.col("session") < day(cut), universe="a")
    assert_frame_equal(threshold_events(pl.DataFrame(known, schema=SCHEMA), [thrust]), expected)
