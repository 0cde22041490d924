"""From bars through counts to indicators: what is no move of a member changes nothing, and what does is named here."""

import random
from collections.abc import Callable

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from breadthflow_pipelines.indicators.breadth_catalogue import CATALOGUE, breadth_indicators
from breadthflow_pipelines.indicators.counts import count_breadth
from breadthflow_pipelines_tests.indicators.markets import (
    Row,
    bars_frame,
    day,
    flat_bars,
    members_frame,
    random_bars,
    sessions,
)

LENGTH = 800  # sessions: Coppock's curve begins after 23 months
MEMBERS = 5  # so few that one of them decides whether a day is a 90 % day

# A split doubles the shares that change hands, and with them its member's part of up and down volume; dollars stay.
IN_SHARES = {
    *("up_volume_share", "up_volume_share_of_all", "volume_line", "trin", "trin_open_10", "whaley_udt2", "whaley_udt5"),
    *("mcclellan_volume_oscillator", "mcclellan_volume_summation"),
    *("day_90_volume", "day_80_volume", "day_90", "day_80"),  # the last two have a leg in shares and one in points
}
# Points are price units by definition: Desmond adds dollars gained of one share each, whatever a share costs.
IN_POINTS = {"points_share", "day_90", "day_80"}
# Prices in another unit without another number of shares are other dollars.
IN_DOLLARS = {"up_dollar_share"}


def prices_times(bars: list[Row], factor: float) -> list[Row]:
    names = ("high", "low", "close", "close_adjusted")
    return [
        bar | {name: bar[name] * factor for name in names if bar[name] is not None} if bar["security_id"] == 1 else bar
        for bar in bars
    ]


def split(bars: list[Row]) -> list[Row]:
    doubled = [bar | {"volume": bar["volume"] * 2} if bar["security_id"] == 1 else bar for bar in bars]
    return prices_times(doubled, 0.5)


def shuffled(bars: list[Row]) -> list[Row]:
    return random.Random(3).sample(bars, len(bars))  # noqa: S311


@pytest.mark.parametrize(
    ("change", "changed"),
    [
        (shuffled, set()),  # the order in which symbols and sessions come
        (lambda bars: bars + flat_bars([5.0, 50.0, 1.0] * 260, security_id=99), set()),  # a symbol that was no member
        (split, IN_SHARES | IN_POINTS),  # 2:1, adjusted backwards in price and volume, as vendors do
        (lambda bars: prices_times(bars, 0.5), IN_POINTS | IN_DOLLARS),  # in price alone: shares as they were traded
        (lambda bars: prices_times(bars, 1000.0), IN_POINTS | IN_DOLLARS),  # quoted in another unit
        (lambda bars: prices_times(bars, 1 / 3), IN_POINTS | IN_DOLLARS),  # no longer exact in binary
    ],
)
def test_what_is_no_move_of_a_member_changes_nothing(
    change: Callable[[list[Row]], list[Row]], changed: set[str], market: list[Row], plain: pl.DataFrame
) -> None:
    got = from_bars(change(market))
    assert {name for name in CATALOGUE if not got[name].equals(plain[name], null_equal=True)} == changed
    assert_frame_equal(got.drop(changed), plain.drop(changed), check_exact=True)


def test_names_of_securities_are_only_names(market: list[Row], plain: pl.DataFrame) -> None:
    renamed = [bar | {"security_id": 100 - bar["security_id"]} for bar in market]
    assert_frame_equal(from_bars(renamed, lambda number: 100 - number), plain, check_exact=True)


def test_the_market_leaves_no_indicator_untold(plain: pl.DataFrame) -> None:
    assert {name for name in CATALOGUE if plain[name].null_count() == plain.height} == set()


@pytest.fixture(scope="module")
def market() -> list[Row]:
    """Members with holes and dividends, one of them listed late."""
    dice = random.Random(18)  # noqa: S311
    return [bar for i in range(1, MEMBERS + 1) for bar in random_bars(dice, i, LENGTH, 0.01)]


@pytest.fixture(scope="module")
def plain(market: list[Row]) -> pl.DataFrame:
    return from_bars(market)


def from_bars(bars: list[Row], named: Callable[[int], int] = int) -> pl.DataFrame:
    belongs = {"universe": "u", "sector": None, "valid_from": day(0), "valid_to": None}
    members = members_frame([belongs | {"security_id": named(i)} for i in range(1, MEMBERS + 1)])
    levels = pl.DataFrame({"universe": "u", "session": [day(i) for i in range(LENGTH)]})
    index = levels.with_columns(index_close=1000 + 50 * (pl.int_range(LENGTH) / 40).sin())
    return breadth_indicators(count_breadth(bars_frame(bars), members, sessions(LENGTH), index))
