"""What single members returned: by hand, and against a loop over a market with holes."""

import numpy as np
import polars as pl
import pytest

from breadthflow_pipelines.errors import BreadthFlowError
from breadthflow_pipelines.evaluation.member_windows import MemberPrices, member_prices
from breadthflow_pipelines_tests.evaluation import made
from breadthflow_pipelines_tests.evaluation.made import day

Closes = dict[int, list[float | None]]


def bars(closes: Closes, adjusted: Closes | None = None) -> pl.DataFrame:
    rows = [
        (security, day(i), close, (adjusted or {}).get(security, [None] * len(own))[i])
        for security, own in closes.items()
        for i, close in enumerate(own)
        if close is not None
    ]
    schema = {"security_id": pl.Int64, "session": pl.Date, "close": pl.Float64, "close_adjusted": pl.Float64}
    return pl.DataFrame(rows, schema=schema, orient="row")


def change(closes: Closes, security: int, horizon: int, number: int = 0, adjusted: Closes | None = None) -> float:
    prices = member_prices(bars(closes, adjusted), made.sessions(20))
    return float(prices.changes(np.array([number]), np.array([security]), horizon)[0])


def test_one_enters_at_the_next_close_and_leaves_at_the_horizon() -> None:
    assert change({1: [1.0, 10.0, 99.0, 11.0], 2: [1.0] * 4}, 1, 2) == pytest.approx(0.1)  # from session 1 to 3


@pytest.mark.parametrize(
    ("adjusted", "expected"),
    [
        ([1.0, 5.0, 5.0], 0.0),  # the price halved, and a dividend made it good
        ([1.0, None, 5.0], -0.5),  # without the entry's, the price alone
        ([1.0, 5.0, None], -0.5),  # without the exit's, too
    ],
)
def test_dividends_count_where_both_bars_have_them(adjusted: list[float | None], expected: float) -> None:
    assert change({1: [1.0, 10.0, 5.0]}, 1, 1, adjusted={1: adjusted}) == pytest.approx(expected)


def test_who_ended_on_the_way_left_at_the_last_close() -> None:
    ended: Closes = {1: [1.0, 10.0, 2.0, None, None], 2: [1.0] * 5}
    assert change(ended, 1, 3) == pytest.approx(-0.8)


@pytest.mark.parametrize(
    ("security", "number", "why"),
    [
        (1, 0, "no bar at the entry: it cannot be bought"),
        (2, 2, "the exit is still to come"),
        (3, 0, "nobody has heard of it"),
        (0, 0, "nor of one with a lower number"),
    ],
)
def test_what_cannot_be_told_is_not_a_number(security: int, number: int, why: str) -> None:
    closes: Closes = {1: [1.0, None, 10.0, 20.0, 30.0], 2: [1.0] * 5}
    assert np.isnan(change(closes, security, 2, number)), why


def test_a_market_with_holes_is_that_of_a_loop() -> None:
    dice = np.random.default_rng(5)
    length, horizon = 40, 5
    closes: Closes = {
        security: [None if dice.random() < 0.2 else float(dice.uniform(5, 50)) for _ in range(length)]
        for security in range(3, 9)
    }
    prices = member_prices(bars(closes), made.sessions(60))
    for security, own in closes.items():
        got = prices.changes(np.arange(length), np.full(length, security), horizon)
        for number in range(length):
            leave = number + 1 + horizon
            if leave >= length or own[number + 1] is None:
                assert np.isnan(got[number])
                continue
            last = next(own[i] for i in range(leave, -1, -1) if own[i] is not None)
            assert got[number] == pytest.approx(last / own[number + 1] - 1)  # type: ignore[operator]


def test_a_table_that_moves_on_says_what_one_of_all_sessions_says() -> None:
    """Securities come and go: 1 ends before the second part, 2 in it, 4 begins in it; of the third are 3 to 5."""
    lives = {1: (0, 18), 2: (0, 30), 3: (0, 60), 4: (25, 41), 5: (44, 60)}
    dice = np.random.default_rng(6)
    closes: Closes = {
        one: [float(dice.uniform(5, 50)) if start <= i < end else None for i in range(60)]
        for one, (start, end) in lives.items()
    }
    sessions, horizon = made.sessions(60), 5

    def part(start: int, end: int) -> MemberPrices:
        within = pl.col("session").is_between(day(start), day(end))
        return member_prices(bars(closes).filter(within), sessions, (start, end))

    whole = member_prices(bars(closes), sessions)
    moving = part(0, 19)
    for first, start, end in ((10, 20, 39), (36, 40, 59)):
        moving = moving.followed_by(part(start, end), first)
        asked = [(number, one) for number in range(first, end - horizon) for one in (*lives, 9)]
        numbers, securities = np.array(asked).T
        got = moving.changes(numbers, securities, horizon)
        np.testing.assert_array_equal(got, whole.changes(numbers, securities, horizon))
        assert np.isfinite(got).sum() > 30
    assert moving.securities.tolist() == [3, 4, 5]


def test_of_a_table_without_a_bar_nothing_can_be_told() -> None:
    empty = member_prices(bars({}), made.sessions(20), (0, 9))
    assert np.isnan(empty.changes(np.array([0, 3]), np.array([1, 2]), 2)).all()


def test_a_bar_on_no_session_is_refused() -> None:
    with pytest.raises(BreadthFlowError, match="1 bars lie on no known session"):
        member_prices(bars({1: [1.0] * 3}), made.sessions(2))
