"""A session counts for a rule where the rule could have spoken."""

import polars as pl
import pytest

from breadthflow_pipelines.evaluation.eligibility import ELIGIBLE_SCHEMA, eligible_sessions
from breadthflow_pipelines.indicators.thrusts import threshold_events
from breadthflow_pipelines.signals.calibration import EMBARGO, MIN_SAMPLE, calibrated_events
from breadthflow_pipelines.signals.rules import EVENTS, RULES
from breadthflow_pipelines_tests.evaluation import made
from breadthflow_pipelines_tests.evaluation.made import day
from breadthflow_pipelines_tests.signals import values

NOTHING_SAID = made.signals([])


def indicators(count: int, universe: str = "NASDAQ", **columns: list[float | None]) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "universe": universe,
            "segment": "ALL",
            "session": [day(i) for i in range(count)],
            "state": "final",
            "settled": True,
            **columns,
        },
        schema_overrides=dict.fromkeys(columns, pl.Float64),
    )


def days(got: pl.DataFrame, rule: str, universe: str = "NASDAQ") -> list[int]:
    of = got.filter(rule=rule, universe=universe)["session"]
    return [(session - made.FIRST).days for session in of]


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("state", "provisional"),  # below the gate, or a part of the market lost, or still to be revised
        ("settled", False),  # the burn-in
        ("zweig_ema", None),  # nobody could tell
    ],
)
def test_a_session_of_which_too_little_is_known_does_not_count(column: str, value: object) -> None:
    told = indicators(5, zweig_ema=[0.5] * 5)
    third = pl.col("session") == day(2)
    told = told.with_columns(pl.when(third).then(pl.lit(value)).otherwise(column).alias(column))
    assert days(eligible_sessions(told, NOTHING_SAID), "zweig_breadth_thrust") == [0, 1, 3, 4]


def test_what_may_pass_unknown_need_not_be_known() -> None:
    told = indicators(3, hindenburg_omen=[0.0, None, 0.0], index_trend_50=[None, 1.0, 1.0])
    assert days(eligible_sessions(told, NOTHING_SAID), "hindenburg_omen") == [0, 2]


def test_a_rule_whose_column_is_not_there_could_never_speak() -> None:
    got = eligible_sessions(indicators(3, zweig_ema=[0.5] * 3), NOTHING_SAID)
    assert set(got["rule"]) == {"zweig_breadth_thrust", "appel_time_trend"}
    assert got.schema == ELIGIBLE_SCHEMA


def test_a_measure_could_speak_where_it_did() -> None:
    said = pl.concat(
        [
            made.signals([1, 2], "breadth_score", "hold"),  # what it says does not matter
            made.signals([3], "breadth_score", "sell"),
            made.signals([4], "breadth_score", "buy").with_columns(state=pl.lit("provisional")),
            made.signals([5], "breadth_score", "buy").with_columns(segment=pl.lit("Energy")),
        ]
    )
    assert days(eligible_sessions(indicators(9), said), "breadth_score") == [1, 2, 3]


def test_every_event_of_every_rule_lies_on_a_session_that_counts() -> None:
    rows = values.values(2, 2600, "wide") + values.values(3, 2600, "NYSE")
    told = values.frame(rows).with_columns(state=pl.lit("final"), settled=pl.lit(value=True))
    got = eligible_sessions(told, NOTHING_SAID)
    fired = pl.concat([threshold_events(told, EVENTS), calibrated_events(told)], how="diagonal")
    fired = fired.select("universe", "rule", "session")
    assert fired["rule"].n_unique() > 20
    missing = fired.join(got, on=["universe", "rule", "session"], how="anti")
    # a value may be known on the session and an arming column of another leg not: the rule could not be told then
    assert missing.is_empty()
    assert set(got["rule"]) == {name for name, rule in RULES.items() if rule.thrust}


def test_a_calibrated_rule_counts_from_the_year_that_has_a_sample() -> None:
    known = MIN_SAMPLE + EMBARGO  # every day is a session: so many lie before 2004-02-20
    count = 2300
    told = indicators(count, zweig_ema=[0.5] * count)
    got = days(eligible_sessions(told, NOTHING_SAID), "zweig_breadth_thrust_calibrated")
    first_of_2005 = (day(0).replace(year=2005, month=1, day=1) - day(0)).days
    assert day(known).year == 2004
    assert (got[0], got[-1], len(got)) == (first_of_2005, count - 1, count - first_of_2005)


def test_the_sample_is_long_enough_exactly_where_the_rule_takes_it() -> None:
    """One known value fewer before the embargo, and the first year is a year later."""
    start = (day(0).replace(year=2005, month=1, day=1) - day(0)).days
    needed = start - EMBARGO - MIN_SAMPLE  # so many may be unknown before the year 2005
    for unknown, expected in ((needed, 2005), (needed + 1, 2006)):
        told = indicators(2600, zweig_ema=[None] * unknown + [0.5] * (2600 - unknown))
        got = days(eligible_sessions(told, NOTHING_SAID), "zweig_breadth_thrust_calibrated")
        assert day(got[0]).year == expected


def test_a_rule_is_not_calibrated_where_it_was_published() -> None:
    told = indicators(2300, universe="NYSE", zweig_ema=[0.5] * 2300)
    got = eligible_sessions(told, NOTHING_SAID)
    assert days(got, "zweig_breadth_thrust", "NYSE") == list(range(2300))
    assert days(got, "zweig_breadth_thrust_calibrated", "NYSE") == []
