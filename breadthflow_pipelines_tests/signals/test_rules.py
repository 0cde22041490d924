import datetime as dt
from typing import Any

import exchange_calendars
import polars as pl
import pytest

from breadthflow_pipelines.indicators.breadth_catalogue import CATALOGUE
from breadthflow_pipelines.indicators.thrusts import threshold_events
from breadthflow_pipelines.signals.rules import CALIBRATED, DIMENSIONS, EVENTS, RULES, Rule
from breadthflow_pipelines_tests.signals.values import COLUMNS, frame

Series = list[float | None]
EVENT_RULES = [rule for rule in RULES.values() if rule.thrust]


def test_every_rule_says_what_it_is_and_where_it_comes_from() -> None:
    # These three names are in stores and in links: they stay.
    assert {"zweig_breadth_thrust", "mcclellan_oversold_recovery", "breadth_score"} <= set(RULES)
    for name, rule in RULES.items():
        assert rule.name == name
        assert rule.about
        assert rule.source
        assert rule.parameters
        assert rule.thresholds
        assert rule.action in {"buy", "sell", "hold"}


def test_levels_are_the_published_ones() -> None:
    zweig, mcclellan = RULES["zweig_breadth_thrust"], RULES["mcclellan_oversold_recovery"]
    assert zweig.thresholds == {"armed_below": 0.40, "fires_above": 0.615}
    assert zweig.parameters == {"alpha": 2 / 11, "sessions": 10}
    assert mcclellan.thresholds == {"armed_at_or_below": -100, "fires_above": -70}
    assert mcclellan.parameters == {"alpha_fast": 0.1, "alpha_slow": 0.05}
    assert RULES["breadth_score"].published_for == ()


@pytest.mark.parametrize("rule", EVENT_RULES, ids=lambda rule: rule.name)
def test_a_rule_without_a_publication_is_calibrated_for_nothing(rule: Rule) -> None:
    assert rule.name.endswith("_calibrated") or (rule.published is None) == (rule.published_for == ())
    if rule.published_rate is not None:
        assert rule.published is not None


@pytest.mark.parametrize("rule", EVENT_RULES, ids=lambda rule: rule.name)
def test_every_buy_belongs_to_one_dimension_and_nothing_else_does(rule: Rule) -> None:
    assert (rule.dimension in DIMENSIONS) == (rule.action == "buy")


def test_no_event_goes_without_a_rule() -> None:
    assert [thrust.name for thrust in EVENTS] == [
        rule.name for rule in EVENT_RULES if not rule.name.endswith("_calibrated")
    ]
    assert [RULES[rule.name] for rule in CALIBRATED.values()] == list(CALIBRATED.values())


@pytest.mark.parametrize("rule", EVENT_RULES, ids=lambda rule: rule.name)
def test_columns_are_indicators(rule: Rule) -> None:
    assert rule.thrust is not None
    assert rule.thrust.columns <= set(CATALOGUE)
    assert rule.thrust.columns <= set(COLUMNS)  # those that the tests here give values to


def told(rule: str, sessions: list[dt.date] | None = None, **columns: Series) -> list[int]:
    """Rows on which the rule fires for NYSE, alone among all rules' thrusts."""
    length = len(next(iter(columns.values())))
    dates = sessions or [dt.date(2024, 1, 1) + dt.timedelta(days=i) for i in range(length)]
    rows: list[dict[str, Any]] = [
        {"universe": "NYSE", "segment": "ALL", "session": dates[i], **{name: s[i] for name, s in columns.items()}}
        for i in range(length)
    ]
    events = threshold_events(frame(rows), EVENTS).filter(rule=rule)
    return [dates.index(session) for session in events["session"]]


@pytest.mark.parametrize(
    ("rule", "column", "values", "expected"),
    [
        ("zweig_breadth_thrust", "zweig_ema", [0.399, *[0.5] * 9, 0.616], [10]),  # ten sessions after the low day
        ("zweig_breadth_thrust", "zweig_ema", [0.399, *[0.5] * 11, 0.620], []),  # NYSE, 2013-07-11: two days late
        ("zweig_breadth_thrust_sma", "zweig_sma", [0.399, *[0.5] * 9, 0.616], [10]),
        ("zweig_breadth_thrust_sma", "zweig_sma", [0.40, 0.616], []),  # never below 0.40
        (
            "appel_time_trend",
            "zweig_ema",
            [0.5, 0.616, 0.5, *[0.616] * 2],
            [1],
        ),  # from anywhere; back at once: a repeat
        ("appel_time_trend", "zweig_ema", [0.5, 0.616, *[0.5] * 20, 0.616], [1, 22]),  # 21 sessions later: new
        ("appel_time_trend", "zweig_ema", [0.5, 0.615], []),
        ("deemer_breakaway_momentum", "ad_ratio_10", [*[1.0] * 21, 1.98, 1.0, 1.98], [21]),  # 21 below before it
        ("deemer_breakaway_momentum", "ad_ratio_10", [*[1.0] * 20, 1.98], []),  # 20 are not more than 20
        ("deemer_breakaway_momentum", "ad_ratio_10", [*[1.0] * 21, 1.97], []),
        ("deemer_breakaway_momentum", "ad_ratio_10", [*[1.0] * 21, 1.98, *[1.0] * 21, 1.98], [21, 43]),
        ("two_to_one_thrust", "ad_ratio_10", [1.9, 2.01, 1.9, 2.01], [1]),
        ("two_to_one_thrust", "ad_ratio_10", [1.9, 2.0], []),
        ("whaley_adt5", "whaley_adt5", [50, 73.67, *[50] * 9, 73.67], [1]),  # ten sessions later: a repeat
        ("whaley_adt5", "whaley_adt5", [50, 73.67, *[50] * 10, 73.67], [1, 12]),
        ("whaley_adt5", "whaley_adt5", [50, 73.66], []),
        ("whaley_adt20", "whaley_adt20", [50, 62.1, *[50] * 19, 62.1], [1]),  # twenty sessions later: a repeat
        ("whaley_adt20", "whaley_adt20", [50, 62.1, *[50] * 20, 62.1], [1, 22]),
        ("whaley_adt20", "whaley_adt20", [50, 62.0], []),
        ("whaley_udt5", "whaley_udt5", [50, 77.89, 50, 77.89], [1]),
        ("whaley_udt5", "whaley_udt5", [50, 77.88], []),
        ("whaley_udt2", "whaley_udt2", [61.46, 95.92], [1]),  # the S&P's last two of 2013-01-02, as published
        ("whaley_udt2", "whaley_udt2", [50, 89.2], []),
        ("surge_above_50", "pct_above_50", [24.9, *[50] * 14, 75.1], [15]),
        ("surge_above_50", "pct_above_50", [24.9, *[50] * 15, 75.1], []),  # sixteen sessions
        ("surge_above_50", "pct_above_50", [25, 75.1], []),
        ("new_high_surge", "net_new_highs_pct", [-0.1, *[2] * 9, 4.1], [10]),
        ("new_high_surge", "net_new_highs_pct", [-0.1, *[2] * 10, 4.1], []),  # eleven sessions
        ("new_high_surge", "net_new_highs_pct", [0, 4.1], []),  # as many highs as lows are not fewer
        ("record_high_surge", "record_high_pct", [9.9, *[30] * 9, 50.1], [10]),
        ("record_high_surge", "record_high_pct", [9.9, 50], []),
        ("twenty_day_high_thrust", "pct_at_20_high", [54.9, 55], [1]),  # at the level is enough
        ("twenty_day_high_thrust", "pct_at_20_high", [50, 54.9], []),  # S&P 500, 2025-01-22: 50 % were not enough
        ("ninety_percent_reversal", "day_90", [-1, 0, -1, 0, 1], [4]),
        ("ninety_percent_reversal", "day_90", [-1, 0, 1], []),  # one down day
        ("ninety_percent_reversal", "day_90", [-1, *[0] * 29, -1, 1], [31]),  # thirty sessions apart
        ("ninety_percent_reversal", "day_90", [-1, *[0] * 30, -1, 1], []),  # of another decline
        ("ninety_percent_reversal_volume", "day_90_volume", [-1, -1, 1], [2]),
        ("hindenburg_omen", "hindenburg_omen", [1, 1, *[0] * 28, 1, 1], [0, 31]),  # ignored for thirty sessions
        ("hindenburg_omen", "hindenburg_omen", [None, 0], []),
        ("hindenburg_omen_28", "hindenburg_omen_28", [0, 1], [1]),
        ("hindenburg_omen_confirmed", "hindenburg_omen", [1, 1, 1], [1]),  # the next session already confirms
        ("hindenburg_omen_confirmed", "hindenburg_omen", [1, *[0] * 35, 1], [36]),  # 36 days later
        ("hindenburg_omen_confirmed", "hindenburg_omen", [1, *[0] * 36, 1], []),
        ("whaley_adt5_capitulation", "whaley_adt5", [50, 19.04, 50, 19.04], [1]),
        ("whaley_adt5_capitulation", "whaley_adt5", [50, 19.05], []),
        ("whaley_udt5_capitulation", "whaley_udt5", [50, 16.40], [1]),
        ("whaley_udt5_capitulation", "whaley_udt5", [50, 16.41], []),
        ("mcclellan_oversold_recovery", "mcclellan_oscillator_ratio", [-100, *[-80] * 50, -69.9], [51]),
        ("mcclellan_oversold_recovery", "mcclellan_oscillator_ratio", [-99.9, -69.9], []),
    ],
)
def test_a_rule_fires_and_narrowly_does_not(rule: str, column: str, values: Series, expected: list[int]) -> None:
    assert told(rule, **{column: values}) == expected


@pytest.mark.parametrize(
    ("trend", "expected"),
    [
        ([1.0, 1.0], [1]),
        ([None, None], [1]),  # no index is known: passed, and named in the event
        ([1.0, 0.0], []),  # the index falls on the second
        ([0.0, 1.0], []),  # the first was no omen
    ],
)
def test_both_omens_of_a_pair_need_a_rising_index_where_one_is_known(trend: Series, expected: list[int]) -> None:
    assert told("hindenburg_omen_confirmed", hindenburg_omen=[1.0, 1.0], index_trend_50=trend) == expected


def test_two_day_volume_thrusts_are_as_far_apart_as_on_the_published_list() -> None:
    # Whaley, 2013-01-02, drops repeats within a month and lists these: the nearest two are 21 sessions apart.
    listed = {
        dt.date(2009, 3, 18): 92.94,
        dt.date(2009, 8, 21): 91.56,
        dt.date(2010, 7, 8): 89.38,
        dt.date(2010, 9, 2): 95.30,
        dt.date(2010, 12, 2): 91.70,
        dt.date(2011, 8, 29): 94.48,
        dt.date(2011, 10, 5): 90.96,
        dt.date(2011, 11, 3): 90.22,
        dt.date(2012, 7, 27): 90.16,
    }
    calendar = exchange_calendars.get_calendar("XNYS", start="2009-01-02", end="2012-12-31")
    sessions = [session.date() for session in calendar.sessions]
    rows = told("whaley_udt2", sessions, whaley_udt2=[listed.get(session, 50.0) for session in sessions])
    assert [sessions[row] for row in rows] == list(listed)


def test_rules_read_one_frame_without_getting_into_each_others_way() -> None:
    rows: list[dict[str, Any]] = [
        {"universe": "NYSE", "segment": "ALL", "session": dt.date(2024, 1, 1 + i), "zweig_ema": value}
        for i, value in enumerate((0.3, 0.5, 0.7))
    ]
    events = threshold_events(frame(rows), EVENTS)
    assert events.select("rule", "gap").rows() == [("zweig_breadth_thrust", 2), ("appel_time_trend", None)]
    assert set(events["session"]) == {dt.date(2024, 1, 3)}
    assert events.filter(pl.col("threshold") != 0.615).is_empty()
