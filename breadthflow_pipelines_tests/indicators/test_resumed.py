"""Indicators that go on from a state: to the last bit those of the whole history."""

import datetime as dt
import random

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from breadthflow_pipelines.indicators.technical import (
    RECURSIONS,
    STATE_COLUMNS,
    TECHNICAL,
    WINDOW,
    formulas,
    indicators_and_states,
    technical_indicators,
)
from breadthflow_pipelines_tests.examples import examples
from breadthflow_pipelines_tests.indicators.markets import Row, bars_frame, day
from breadthflow_pipelines_tests.indicators.test_technical import walk

BARS = 900


def troubled(seed: int, security_id: int = 1) -> list[Row]:
    """A history with halts, one of them long enough to start it over, stretches without movement, jumps of scale."""
    dice, late, scale, still = random.Random(seed), 0, 1.0, 0  # noqa: S311
    bars: list[Row] = []
    for i, bar in enumerate(walk(seed, BARS, security_id)):
        if dice.random() < 0.01:
            late += dice.choice((1, 7, 200))
        if dice.random() < 0.005:
            scale = 10 ** dice.uniform(-6, 9)
        if dice.random() < 0.01:
            still = 30
        still -= 1
        prices = {name: bar[name] * scale for name in ("high", "low", "close")}
        if still > 0 and bars:
            prices = dict.fromkeys(prices, bars[-1]["close"])
        bars.append(bar | prices | {"session": day(i + late)})
    return bars


def states_at(bars: pl.DataFrame, session: dt.date) -> pl.DataFrame:
    """The states on the last bar of each security through a day."""
    last = bars.filter(pl.col("session") <= session).group_by("security_id").agg(pl.col("session").max())
    return indicators_and_states(bars, None, last)[1]


def cut(bars: pl.DataFrame, states: pl.DataFrame, start: dt.date) -> pl.DataFrame:
    """The bars that must be read to compute from ``start`` on."""
    before = bars.filter(pl.col("session") < start)
    window = before.sort("session").group_by("security_id").agg(pl.col("session").tail(WINDOW), rows=pl.len())
    firsts = window.join(states.select("security_id", state="session"), on="security_id", how="left").select(
        "security_id",
        first=pl.when(pl.col("rows") >= WINDOW, pl.col("state").is_not_null()).then(
            pl.min_horizontal(pl.col("session").list.min(), "state")
        ),
    )
    whole = pl.lit(dt.date.min)
    return bars.join(firsts, on="security_id", how="left").filter(pl.col("session") >= pl.col("first").fill_null(whole))


@examples(25)
@given(st.integers(0, 10**6))
def test_a_cut_history_that_goes_on_gives_the_same_bits(seed: int) -> None:
    dice = random.Random(seed)  # noqa: S311
    bars = pl.concat([bars_frame(troubled(seed + n, n)) for n in (1, 2)]).sort("session")
    days = bars["session"].unique().sort()
    at = dice.randrange(210, len(days) - 60)
    start = days[dice.randrange(at + 1, len(days) - 30)]
    states = states_at(bars, days[at])
    whole = technical_indicators(bars).filter(pl.col("session") >= start)
    assert_frame_equal(
        technical_indicators(cut(bars, states, start), states).filter(pl.col("session") >= start),
        whole,
        check_exact=True,
    )


def test_a_much_longer_history_need_not_be_read() -> None:
    bars = bars_frame(walk(7, 3000))
    states = states_at(bars, day(2500))
    read = cut(bars, states, day(2900))
    assert (states.height, read.height) == (1, 500)
    now, whole = technical_indicators(read, states), technical_indicators(bars)
    assert_frame_equal(now.tail(100), whole.tail(100), check_exact=True)
    # Without the state it would not do: the comparison can fail.
    assert not technical_indicators(read).tail(100).equals(whole.tail(100))


def test_the_next_state_is_the_same_too() -> None:
    bars = bars_frame(walk(3, 1000))
    sessions = pl.DataFrame({"security_id": [1], "session": [day(900)]})
    first = states_at(bars, day(600))
    _, later = indicators_and_states(cut(bars, first, day(700)), first, sessions)
    assert_frame_equal(later, indicators_and_states(bars, None, sessions)[1], check_exact=True)
    assert later.height == 1


@pytest.mark.parametrize(("bars", "states"), [(199, 0), (200, 1)])
def test_a_history_has_no_state_before_every_recursion_has_begun(bars: int, states: int) -> None:
    frame = bars_frame(walk(5, bars))
    assert states_at(frame, day(bars)).height == states  # the last to begin is the average of 200


def test_every_recursion_has_a_state_and_none_is_longer_than_the_window() -> None:
    assert [name.removesuffix("_state") for name in STATE_COLUMNS] == list(RECURSIONS)
    assert max(entry.burn_in for entry in TECHNICAL) < WINDOW
    remembered = {name for entry in TECHNICAL for name in entry.expression.meta.root_names() if name in RECURSIONS}
    assert remembered  # an indicator that remembers does so through a recursion


def test_formulas_are_known_by_one_hash() -> None:
    assert formulas() == formulas()
    assert len(formulas()) == 32
