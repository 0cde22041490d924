"""Breadth indicators by hand, where one row or one trap says most. All of them at once: test_catalogue.py."""

import datetime as dt
import random

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from breadthflow_pipelines.indicators.breadth_catalogue import breadth_indicators
from breadthflow_pipelines.indicators.issues import ZWEIG_TREND
from breadthflow_pipelines.indicators.mcclellan import FAST_TREND, SLOW_TREND
from breadthflow_pipelines.indicators.series import SETTLED, burn_in, window_mean
from breadthflow_pipelines_tests.indicators.markets import Row, counts_frame, regime_counts


@pytest.mark.parametrize(
    ("alpha", "seed_weight", "observations"),
    [
        (ZWEIG_TREND, 1e-3, 35),
        (FAST_TREND, 1e-3, 66),
        (SLOW_TREND, 1e-3, 135),
        (ZWEIG_TREND, 1e-6, 69),
        (FAST_TREND, 1e-6, 132),
        (SLOW_TREND, SETTLED, 270),
    ],
)
def test_burn_in_lasts_until_the_seed_has_faded(alpha: float, seed_weight: float, observations: int) -> None:
    assert burn_in(alpha, seed_weight) == observations
    assert (1 - alpha) ** observations <= seed_weight < (1 - alpha) ** (observations - 1)


@pytest.mark.parametrize(
    "odd",
    [
        {"advances": 0, "declines": 0},  # nothing moved: a ratio of nothing
        {"advances": None, "declines": None},  # nobody could tell
    ],
)
def test_a_session_that_says_nothing_leaves_the_ratio_recursions_alone(odd: Row) -> None:
    rows = regime_counts(3, 250)
    rows[200] |= odd
    got, without = breadth_indicators(counts_frame(rows)), breadth_indicators(counts_frame(rows[:200] + rows[201:]))
    columns = ["rana", "mcclellan_oscillator_ratio", "mcclellan_summation_ratio", "zweig_ema"]
    assert got.select(columns).row(200) == (None,) * 4
    assert_frame_equal(got.select(columns)[201:], without.select(columns)[200:], check_exact=True)
    assert got["zweig_ema"][249] is not None


@pytest.mark.parametrize("empty", ["advances", "declines", "up_volume", "down_volume"])
def test_trin_is_null_rather_than_zero_or_infinite(empty: str) -> None:
    assert breadth_indicators(counts_frame([regime_counts(1, 1)[0] | {empty: 0}]))["trin"].item() is None


def test_by_hand() -> None:
    row: Row = {"universe": "X", "segment": "ALL", "session": dt.date(2024, 1, 2), "advances": 300, "declines": 100}
    row |= {"up_volume": 600, "down_volume": 400, "above_50": 0, "able_50": 40, "above_200": None, "able_200": 0}
    got = breadth_indicators(counts_frame([row | {"new_highs": 3, "new_lows": 10}])).row(0, named=True)
    expected = {"net_advances": 200, "ad_line": 200, "rana": 500, "trin": 2.0, "up_volume_share": 0.6}
    expected |= {"pct_above_50": 0.0, "pct_above_200": None, "pct_above_20": None, "net_new_highs": -7}
    assert got | expected == got


def test_a_mean_of_percentages_stays_within_them() -> None:
    # A running sum leaves -2.8e-15 or 100.00000000000001 behind when what it was rounded with has left the window.
    dice = random.Random(1)  # noqa: S311
    for full in (0, 100):
        for _ in range(20):
            values = pl.Series([dice.random() * 100 for _ in range(30)] + [float(full)] * 40)
            assert set(values.to_frame("x").select(window_mean(pl.col("x"), 10))["x"][-31:]) == {float(full)}


@pytest.mark.parametrize(
    ("up", "down", "side"),
    [
        (0.99, 0.11, 1.0),  # 90 % to the cent; 0.99 / (0.99 + 0.11) is 0.8999999999999999
        (0.11, 0.99, -1.0),  # the same on the way down
        (0.98, 0.12, 0.0),  # a cent less is not
    ],
)
def test_nine_points_of_ten_are_ninety_per_cent(up: float, down: float, side: float) -> None:
    volume = {"up_volume": 99, "down_volume": 11} if up > down else {"up_volume": 11, "down_volume": 99}
    row = regime_counts(1, 1)[0] | volume | {"points_gained": up, "points_lost": down}
    assert breadth_indicators(counts_frame([row]))["day_90"].item() == side


def test_an_index_that_comes_back_to_its_close_of_fifty_sessions_ago_does_not_rise() -> None:
    dice = random.Random(2)  # noqa: S311
    closes = [round(dice.uniform(900, 1100), 2) for _ in range(50)] * 3  # a mean of the same fifty closes, for ever
    rows = [row | {"index_close": close} for row, close in zip(regime_counts(1, 150), closes, strict=True)]
    assert breadth_indicators(counts_frame(rows))["index_trend_50"].to_list() == [None] * 50 + [0.0] * 100


def test_a_level_of_zero_is_no_level_of_an_index() -> None:
    rows = regime_counts(1, 900)
    closes = [1000.0 + i for i in range(900)]
    without = [row | {"index_close": None if i in (40, 500) else closes[i]} for i, row in enumerate(rows)]
    zeros = [row | {"index_close": 0.0 if i in (40, 500) else closes[i]} for i, row in enumerate(rows)]
    got, expected = (breadth_indicators(counts_frame(some)) for some in (zeros, without))
    assert_frame_equal(got, expected, check_exact=True)
    assert got["coppock"].drop_nulls().is_finite().all()
