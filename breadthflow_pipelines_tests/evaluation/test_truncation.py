"""A rule that looks ahead is caught, and one that does not is not."""

import datetime as dt
from dataclasses import replace

import polars as pl
import pytest

from breadthflow_pipelines.indicators.thrusts import Thrust, threshold_events
from breadthflow_pipelines.signals.rules import RULES
from breadthflow_pipelines_tests.evaluation.made import day
from breadthflow_pipelines_tests.evaluation.truncation import looks_ahead
from breadthflow_pipelines_tests.signals import values

RULE, VALUE = "new_high_surge", pl.col("net_new_highs_pct")


@pytest.fixture(scope="module")
def history() -> pl.DataFrame:
    return values.frame(values.values(seed=3, length=1200, universe="NYSE", segment="ALL", step=1))


def thrust() -> Thrust:
    found = RULES[RULE].thrust
    assert found is not None
    return found


def honest(history: pl.DataFrame) -> pl.DataFrame:
    return threshold_events(history, [thrust()])


def with_tomorrow(history: pl.DataFrame) -> pl.DataFrame:
    """A copy of the rule that fires on tomorrow's value."""
    known = history.with_columns(tomorrow=VALUE.shift(-1).over("universe", "segment"))
    fires = tuple(replace(condition, column="tomorrow") for condition in thrust().fires)
    return threshold_events(known, [replace(thrust(), fires=fires)])


def at_the_highest(history: pl.DataFrame) -> pl.DataFrame:
    """A copy that holds its value against the highest of all of history, the future's included."""
    scaled = history.with_columns(net_new_highs_pct=10 * VALUE / VALUE.max())
    return threshold_events(scaled, [thrust()])


def cuts(history: pl.DataFrame) -> list[dt.date]:
    fired = [one for rule in (honest, with_tomorrow, at_the_highest) for one in rule(history)["session"].to_list()]
    assert len(fired) > 20
    return sorted(set(fired))[:40]


def test_the_rule_itself_does_not_look_ahead(history: pl.DataFrame) -> None:
    assert looks_ahead(honest, history, cuts(history)).is_empty()


@pytest.mark.parametrize("rule", [with_tomorrow, at_the_highest])
def test_a_copy_that_looks_ahead_is_caught(rule: object, history: pl.DataFrame) -> None:
    caught = looks_ahead(rule, history, cuts(history))  # type: ignore[arg-type]
    assert caught.height > 0
    assert set(caught["known"]) <= {"then", "now"}
    assert (caught["session"] <= caught["cut"]).all()


def test_what_is_said_otherwise_is_shown_from_both_sides() -> None:
    history = pl.DataFrame({"session": [day(0), day(1), day(2)], "value": [1, 2, 3]})

    def largest(rows: pl.DataFrame) -> pl.DataFrame:
        return rows.select("session", largest=pl.col("value").max())

    got = looks_ahead(largest, history, [day(0), day(2)])
    assert got.rows() == [(day(0), "now", day(0), 3), (day(0), "then", day(0), 1)]
