"""Restatements are told from corrections by the overlap alone, whatever vendors round to."""

import datetime as dt

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from breadthflow_pipelines.sessions import exchange_calendar
from breadthflow_pipelines.trust.restatements import excessive, restated

DAYS = exchange_calendar("XNYS").between(dt.date(2024, 1, 2), dt.date(2024, 3, 28))[:40]
CLOSES = [50.13, 50.87, 49.94, 51.02, 51.02, 52.6, 48.35, 47.11, 47.9, 49.05]
SCHEMA = {
    "security_id": pl.Int64,
    "session": pl.Date,
    **dict.fromkeys(("open", "high", "low", "close", "close_adjusted"), pl.Float64),
}


def bars(closes: list[float], adjusted: list[float | None] | None = None, security: int = 1) -> pl.DataFrame:
    """Bars around these closes; one without is no bar."""
    factors = adjusted or [None] * len(closes)
    rows = [
        (security, day, round(close * 0.999, 2), round(close * 1.01, 2), round(close * 0.99, 2), close, factor)
        for day, close, factor in zip(DAYS, closes, factors, strict=False)
    ]
    return pl.DataFrame(rows, schema=SCHEMA, orient="row")


def scaled(frame: pl.DataFrame, ratio: float, *, decimals: int = 10, first: int | None = None) -> pl.DataFrame:
    """Prices of the first bars (of all) multiplied, and rounded as a vendor does."""
    among = pl.int_range(pl.len()) < (frame.height if first is None else first)
    return frame.with_columns(
        pl.when(among).then((pl.col(name) * ratio).round(decimals)).otherwise(name).alias(name)
        for name in ("open", "high", "low", "close")
    )


def found(stored: pl.DataFrame, fetched: pl.DataFrame) -> list[tuple[int, float | None, float | None, int]]:
    rows = restated(stored, fetched).rows()
    return [
        (security, price and round(price, 4), adjusted and round(adjusted, 4), n)
        for security, price, adjusted, n in rows
    ]


STORED = bars(CLOSES)


@pytest.mark.parametrize(
    ("ratio", "decimals"),
    [(0.5, 10), (0.5, 2), (1 / 3, 2), (1 / 20, 2), (8.0, 2), (2 / 3, 4), (0.9803, 2), (1.02, 2), (0.001, 4)],
)
def test_one_ratio_over_the_overlap_is_a_restatement(ratio: float, decimals: int) -> None:
    [(security, price, adjusted, compared)] = found(STORED, scaled(STORED, ratio, decimals=decimals))
    assert (security, adjusted, compared) == (1, None, 10)
    assert price == pytest.approx(ratio, rel=2e-3)


def test_the_same_bars_are_none_whatever_else_comes_with_them() -> None:
    assert found(STORED, STORED) == []
    assert found(STORED, bars([*CLOSES, 25.0, 25.5])) == []  # a split that the source took into account the same day
    assert found(STORED.clear(), STORED) == []
    assert found(STORED, STORED.clear()) == []


def test_numbers_of_single_precision_are_the_same_numbers() -> None:
    wobbling = STORED.with_columns(pl.col("open", "high", "low", "close").cast(pl.Float32).cast(pl.Float64))
    assert found(STORED, wobbling) == []
    assert found(wobbling, scaled(STORED, 0.25)) == [(1, 0.25, None, 10)]


@pytest.mark.parametrize("bar", range(10))
@pytest.mark.parametrize("ratio", [0.5, 0.99, 3.0])
def test_a_single_bar_that_differs_is_a_correction(bar: int, ratio: float) -> None:
    only = pl.int_range(pl.len()) == bar
    other = STORED.with_columns(
        pl.when(only).then(pl.col(name) * ratio).otherwise(name).alias(name)
        for name in ("open", "high", "low", "close")
    )
    assert found(STORED, other) == []


def test_bars_that_all_differ_by_ratios_of_their_own_are_corrections() -> None:
    other = bars([close + 0.5 * number for number, close in enumerate(CLOSES, 1)])
    assert found(STORED, other) == []


def test_a_split_that_came_late_left_the_bars_after_it_as_they_were() -> None:
    assert found(STORED, scaled(STORED, 0.5, first=6)) == [(1, 0.5, None, 10)]
    after = pl.concat([STORED.head(4), scaled(STORED, 0.5).tail(6)])
    assert found(STORED, after) == []  # history before it is on the scale that is stored


def test_a_correction_within_a_restatement_does_not_hide_it() -> None:
    other = scaled(STORED, 0.5).with_columns(
        close=pl.when(pl.int_range(pl.len()) == 9).then(pl.col("close") + 0.05).otherwise("close")
    )
    assert found(STORED, other) == [(1, 0.5, None, 10)]


def test_of_an_overlap_of_one_bar_nobody_can_tell_so_history_is_asked_for() -> None:
    assert found(STORED.head(1), scaled(STORED, 0.5)) == [(1, 0.5, None, 1)]
    odd = STORED.head(1).with_columns(close=pl.lit(50.2))  # its prices differ by no one ratio
    assert found(STORED.head(1), odd) == []


def test_a_dividend_moves_adjusted_closes_alone() -> None:
    stored = bars(CLOSES, [close * 0.97 for close in CLOSES])
    paid = bars(CLOSES, [close * 0.97 * 0.9951 for close in CLOSES])
    assert found(stored, paid) == [(1, None, 0.9951, 10)]
    small = bars(CLOSES, [close * 0.97 * 0.9995 for close in CLOSES])
    assert found(stored, small) == [(1, None, 0.9995, 10)]


def many(adjusted: np.ndarray) -> pl.DataFrame:
    """Bars with these adjusted closes, one security a row; their prices are alike."""
    securities, sessions = adjusted.shape
    return pl.DataFrame(
        {
            "security_id": np.repeat(np.arange(securities), sessions),
            "session": DAYS[:sessions] * securities,
            **dict.fromkeys(("open", "high", "low", "close"), 4.0),
            "close_adjusted": adjusted.ravel(),
        },
        schema=SCHEMA,
    )


def cents(values: np.ndarray) -> np.ndarray:
    return np.round(values, 2)


@pytest.mark.parametrize("factor", [0.994, 0.995, 0.996, 0.997, 1.003])
def test_a_small_dividend_of_cheap_shares_is_seen_through_cents(factor: float) -> None:
    closes = np.random.default_rng(4).uniform(3.8, 4.2, (500, 15))  # each moves by one cent or two
    rows = restated(many(cents(closes)), many(cents(closes * factor)))
    assert (rows.height, rows["price_ratio"].null_count()) == (500, 500)
    assert rows["adjusted_ratio"].to_list() == pytest.approx([factor] * 500, abs=2e-3)


@pytest.mark.parametrize("price", [0.3, 4.0, 30.0, 99.0])
def test_rounding_noise_of_vendors_is_no_dividend(price: float) -> None:
    chance = np.random.default_rng(5)
    shape = (4_000, 15)
    closes = chance.uniform(0.9, 1.1, shape) * price
    stored = many(cents(closes))
    noise = chance.uniform(-0.01, 0.01, shape)  # a cent either way, new each time
    assert restated(stored, many(cents(closes + noise))).is_empty()
    assert restated(stored, many(cents(stored["close_adjusted"].to_numpy().reshape(shape) + noise))).is_empty()
    factors = 1 + chance.uniform(-1e-4, 1e-4, (4_000, 1))  # of a security, which its vendor rounds otherwise now
    assert restated(stored, many(cents(closes * factors))).is_empty()


def test_few_bars_that_moved_a_cent_one_way_may_have_done_so_by_chance() -> None:
    closes = np.full((1, 15), 4.0)
    for moved, found in ((9, []), (10, [3.99 / 4])):
        other = closes - 0.01 * (np.arange(15) < moved)  # the first of them, and none after
        assert restated(many(closes), many(cents(other)))["adjusted_ratio"].to_list() == pytest.approx(found)
    turned = closes - 0.02 * (np.arange(15) > 0) + 0.01  # the first moved the other way
    assert restated(many(closes), many(cents(turned))).is_empty()


def test_a_split_moves_adjusted_closes_too_and_a_first_adjusted_close_is_none() -> None:
    stored = bars(CLOSES, [close * 0.97 for close in CLOSES])
    split = scaled(stored, 0.5).with_columns(close_adjusted=pl.col("close_adjusted") * 0.5)
    assert found(stored, split) == [(1, 0.5, 0.5, 10)]
    assert found(STORED, stored) == []


def test_securities_are_told_apart() -> None:
    two = pl.concat([STORED, bars(CLOSES, security=2)])
    split = pl.concat([STORED, scaled(bars(CLOSES, security=2), 4.0)])
    assert found(two, split) == [(2, 4.0, None, 10)]


@given(
    closes=st.lists(st.floats(1, 900).map(lambda price: round(price, 2)), min_size=3, max_size=40),
    ratio=st.sampled_from([1 / 30, 1 / 8, 1 / 4, 1 / 3, 1 / 2, 2 / 3, 1.1, 2.0, 5.0, 10.0]),
)
def test_any_split_of_any_prices_is_seen_and_its_ratio_is_right_up_to_rounding(
    closes: list[float], ratio: float
) -> None:
    stored = bars(closes)
    rows = found(stored, scaled(stored, ratio, decimals=4))
    if rows:
        assert rows[0][1] == pytest.approx(ratio, rel=1e-2)
    else:  # nothing of it moved by more than cents can tell
        assert max(abs(close * ratio - close) for close in closes) < 0.05


def test_more_splits_at_once_than_there_ever_were_are_none() -> None:
    assert [excessive(n, 20) for n in (0, 5, 6)] == [False, False, True]
    assert [excessive(n, 500) for n in (25, 26)] == [False, True]
