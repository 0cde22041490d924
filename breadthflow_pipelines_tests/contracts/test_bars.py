"""The contract of daily bars, rule by rule, and on eleven years of real bars."""

import datetime as dt
from collections import Counter
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow.parquet as pq
import pytest

from breadthflow_pipelines.contracts.bars import bar_contract, judge_bars, with_usable_adjusted
from breadthflow_pipelines.contracts.verdict import judge
from breadthflow_pipelines.model.vocabulary import LEAST_PRICE, MOST_ADJUSTED, MOST_PRICE, MOST_VOLUME, PRICES
from breadthflow_pipelines.quality import market_suites
from breadthflow_pipelines.sessions import ExchangeCalendar, exchange_calendar
from breadthflow_pipelines.sources.protocol import BAR_SCHEMA

NAN, INFINITE = float("nan"), float("inf")
GOOD = {
    "symbol": "A",
    "session": dt.date(2024, 1, 2),
    "open": 10.0,
    "high": 12.0,
    "low": 9.0,
    "close": 11.0,
    "volume": 100.0,
    "close_adjusted": 5.0,
    "security_id": 1,
}
SCHEMA = pl.Schema({**BAR_SCHEMA, "security_id": pl.Int64()})


@pytest.fixture(scope="module")
def calendar() -> ExchangeCalendar:
    return exchange_calendar("XNYS")


def bars(*changes: dict[str, object]) -> pl.DataFrame:
    return pl.DataFrame([GOOD | change for change in changes], schema=SCHEMA)


def reasons(calendar: ExchangeCalendar, *changes: dict[str, object]) -> list[list[str]]:
    return judge(bar_contract(calendar), bars(*changes)).rejected["reasons"].to_list()


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"close": 12.001},  # 0.008% above the high: vendors round each price by itself
        {"open": 8.9992},
        {"open": 9.0, "high": 9.0, "low": 9.0, "close": 9.0},  # one price all day
        {"volume": 0.0},  # nobody traded
        {"volume": 0.5},  # a vendor's fraction after a split
        {"close_adjusted": None},  # a source without dividends
        {"session": dt.date(2024, 11, 29)},  # a half day
        dict.fromkeys(PRICES, 1e-4),  # penny stocks and split-adjusted beginnings
        dict.fromkeys(PRICES, 1e-10),  # coins
        dict.fromkeys(PRICES, 5e15),  # the past of a share after eight reverse splits
        {"volume": 1e15},
    ],
)
def test_bars_as_real_sources_give_them_are_kept(calendar: ExchangeCalendar, change: dict[str, object]) -> None:
    assert reasons(calendar, change) == []


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"open": None}, "price missing or not finite"),
        ({"close": NAN}, "price missing or not finite"),
        ({"high": INFINITE}, "price missing or not finite"),
        ({"low": 0.0}, "price not positive"),
        ({"low": -1.0}, "price not positive"),
        ({"open": 9.5, "high": 9.0, "low": 10.0, "close": 9.5}, "high below low"),  # nothing can lie inside that
        ({"open": 8.998}, "open outside the bar"),  # 0.02% below the low
        ({"open": 12.002}, "open outside the bar"),
        ({"close": 8.998}, "close outside the bar"),
        ({"close": 12.002}, "close outside the bar"),
        ({"volume": None}, "volume missing or not finite"),
        ({"volume": NAN}, "volume missing or not finite"),
        ({"volume": INFINITE}, "volume missing or not finite"),
        ({"volume": -1.0}, "volume negative"),
        (dict.fromkeys(PRICES, 9e-16), "price beyond any market"),
        ({"high": 1.1e24}, "price beyond any market"),  # on its way to a number that cannot be squared
        ({"high": 1e300}, "price beyond any market"),
        ({"volume": 1.1e15}, "volume beyond any market"),
        ({"session": None}, "session missing"),
        ({"session": dt.date(2024, 1, 1)}, "no closed session of XNYS"),  # a holiday
        ({"session": dt.date(2024, 1, 6)}, "no closed session of XNYS"),  # a Saturday
        ({"session": dt.date(2012, 10, 29)}, "no closed session of XNYS"),  # a hurricane
        ({"session": dt.date(2099, 1, 2)}, "no closed session of XNYS"),  # the vendor's clock is wrong
        ({"security_id": None}, "symbol belongs to no security"),
    ],
)
def test_each_fault_is_found_and_called_by_its_own_name_only(
    calendar: ExchangeCalendar, change: dict[str, object], reason: str
) -> None:
    assert reasons(calendar, {"symbol": "GOOD", "security_id": 2}, change) == [[reason]]


@pytest.mark.parametrize(
    ("adjusted", "kept"),
    [
        (5.0, True),
        (None, False),  # the source has none
        (0.0, False),
        (-0.749, False),  # special dividends were more than the price
        (NAN, False),
        (INFINITE, False),
        (-INFINITE, False),
        (1.7e308, False),
        (11.0 * 1.01e6, False),  # more than a million times the close of 11
        (11.0 * 0.99e6, True),  # a close as traded before reverse splits
        (11.0 / 1.01e6, False),
        (11.0 / 0.99e6, True),  # a century of dividends and of splits that the plain close does not know
        (5e-324, False),
    ],
)
def test_an_adjusted_close_that_nobody_can_use_is_null_and_the_bar_is_kept(
    calendar: ExchangeCalendar, adjusted: float | None, kept: bool
) -> None:
    verdict = judge(bar_contract(calendar), bars({"close_adjusted": adjusted}))
    assert verdict.rejected.is_empty()
    usable = with_usable_adjusted(verdict.good)
    assert usable["close_adjusted"].to_list() == [adjusted if kept else None]
    assert usable.drop("close_adjusted").rows() == bars({}).drop("close_adjusted").rows()


def test_suites_hold_stored_bars_to_no_narrower_bounds_than_the_contract() -> None:
    assert (market_suites.MOST_PRICE, market_suites.MOST_VOLUME) == (MOST_PRICE, MOST_VOLUME)
    assert market_suites.MOST_ADJUSTED_CLOSE >= MOST_PRICE * MOST_ADJUSTED
    # What is made of the bounds is still a number: a return, its square, a square of prices.
    assert (100 * MOST_PRICE / LEAST_PRICE) ** 2 < 1e308
    assert MOST_PRICE * MOST_VOLUME < 1e308


def test_a_session_that_has_not_closed_yet_is_refused(calendar: ExchangeCalendar) -> None:
    """Vendors give tomorrow's row, or today's before its close."""
    following = calendar.between(calendar.last_closed() + dt.timedelta(days=1), dt.date(2200, 1, 1))[0]
    found = reasons(calendar, {"session": calendar.last_closed()}, {"session": following})
    assert found == [["no closed session of XNYS"]]


@pytest.mark.parametrize(
    "day",
    ["1985-09-27", "2007-01-02", "2012-10-29", "2012-10-30", "2025-01-09", "2024-03-29", "2024-12-25", "2024-06-15"],
)
def test_a_row_of_a_day_on_which_new_york_stayed_closed_is_refused(calendar: ExchangeCalendar, day: str) -> None:
    closed = dt.date.fromisoformat(day)
    around = [{"session": calendar.on_or_before(closed)}, {"session": calendar.back(closed, -1)}]
    assert reasons(calendar, around[0], {"session": closed}, around[1]) == [["no closed session of XNYS"]]


def test_a_row_with_several_faults_names_them_all(calendar: ExchangeCalendar) -> None:
    assert reasons(calendar, {"low": -1.0, "volume": -1.0, "security_id": None}) == [
        ["price not positive", "volume negative", "symbol belongs to no security"]
    ]


def test_of_equal_rows_the_first_is_kept(calendar: ExchangeCalendar) -> None:
    verdict = judge(bar_contract(calendar), bars({}, {}, {"symbol": "B", "security_id": 2}, {}))
    assert verdict.good["symbol"].to_list() == ["A", "B"]
    assert verdict.rejected["reasons"].to_list() == [["repeated row"]] * 2


@pytest.mark.parametrize(
    "other",
    [
        {"close": 10.5},
        {"volume": 101.0},
        {"close_adjusted": None},  # nobody can tell which is right
    ],
)
def test_of_rows_that_differ_none_is_kept(calendar: ExchangeCalendar, other: dict[str, object]) -> None:
    verdict = judge(bar_contract(calendar), bars({}, other, {}, {"session": dt.date(2024, 1, 3)}))
    assert verdict.good["session"].to_list() == [dt.date(2024, 1, 3)]
    assert verdict.rejected["reasons"].to_list() == [["another row of the session differs"]] * 3


def test_rows_without_a_session_are_not_taken_for_repeats_of_each_other(calendar: ExchangeCalendar) -> None:
    assert reasons(calendar, {"session": None}, {"session": None, "close": 10.5}) == [["session missing"]] * 2


def test_a_row_that_could_not_be_read_is_rejected_for_that_and_takes_no_other_with_it(
    calendar: ExchangeCalendar,
) -> None:
    unread = {"fault": "volume cannot be read", "raw": "volume=2.07M"}
    rows = [
        GOOD,
        GOOD | {"volume": None} | unread,  # the good row of that session stays: nobody knows whether this one differs
        GOOD
        | {"symbol": "B", "security_id": None, "session": None, "close": -1.0}
        | unread,  # its one reason says enough
        GOOD | {"symbol": "C", "security_id": 3, "open": None, "raw": "open=n/a"},  # an empty cell by another name
        GOOD | {"symbol": "D", "security_id": 4, "close_adjusted": None} | unread,
    ]
    verdict = judge_bars(
        bar_contract(calendar), pl.DataFrame(rows, schema=SCHEMA | {"fault": pl.String, "raw": pl.String})
    )
    assert verdict.good.select("symbol").rows() == [("A",)]
    assert verdict.good.columns == SCHEMA.names()
    assert sorted(verdict.rejected.select("symbol", "reasons", "raw").rows()) == [
        ("A", ["volume cannot be read"], "volume=2.07M"),
        ("B", ["volume cannot be read"], "volume=2.07M"),
        ("C", ["price missing or not finite"], "open=n/a"),
        ("D", ["volume cannot be read"], "volume=2.07M"),
    ]
    assert verdict.by_reason() == {"volume cannot be read": 3, "price missing or not finite": 1}


def test_a_source_need_not_say_what_it_could_not_read(calendar: ExchangeCalendar) -> None:
    verdict = judge_bars(bar_contract(calendar), bars({}, {"symbol": "B", "security_id": 2, "low": -1.0}))
    assert verdict.good["symbol"].to_list() == ["A"]
    assert verdict.rejected.select("symbol", "raw").rows() == [("B", None)]


@pytest.mark.slow
@pytest.mark.market_data
def test_thirty_five_of_the_real_bars_break_the_price_rules(calendar: ExchangeCalendar, market: Path) -> None:
    """The rules are worked out here with NumPy, row by row from the file."""
    table = pq.read_table(market / "sp500_bars.parquet")
    opened, high, low, close = (table[price].to_numpy() for price in ("open", "high", "low", "close"))
    positive = np.minimum.reduce([opened, high, low, close]) > 0
    upside_down = high < low
    outside = {
        name: ~upside_down & ((price < low * 0.9999) | (price > high * 1.0001))
        for name, price in (("open", opened), ("close", close))
    }
    expected = Counter(
        {
            "price not positive": int((~positive).sum()),
            "high below low": int(upside_down.sum()),
            "open outside the bar": int(outside["open"].sum()),
            "close outside the bar": int(outside["close"].sum()),
        }
    )
    broken = ~positive | upside_down | outside["open"] | outside["close"]

    frame = pl.DataFrame(table).with_columns(
        pl.col("volume").cast(pl.Float64),
        close_adjusted=pl.lit(None, pl.Float64),
        security_id=pl.col("symbol").rank("dense").cast(pl.Int64),
    )
    verdict = judge(bar_contract(calendar), frame.select(*SCHEMA))
    assert verdict.rejected.height == broken.sum() == 35
    assert verdict.by_reason() == {name: number for name, number in expected.items() if number}
    rows = set(verdict.rejected.select("symbol", "session").iter_rows())
    assert rows == set(frame.filter(pl.Series(broken)).select("symbol", "session").iter_rows())
    assert verdict.good.height == frame.height - 35
