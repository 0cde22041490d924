import math
import random
import statistics
from collections.abc import Callable
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import talib
from hypothesis import example, given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from breadthflow_pipelines.contracts.breadth import price_indicators
from breadthflow_pipelines.contracts.verdict import judge
from breadthflow_pipelines.indicators import technical
from breadthflow_pipelines.indicators.conventions import CONVENTION
from breadthflow_pipelines.indicators.definition import Indicator
from breadthflow_pipelines.indicators.relative import RELATIVE_STRENGTH, median_returns, relative_strength
from breadthflow_pipelines.indicators.technical import (
    TECHNICAL,
    TECHNICAL_COLUMNS,
    indicators_and_states,
    technical_indicators,
)
from breadthflow_pipelines_tests.examples import examples
from breadthflow_pipelines_tests.indicators.markets import Row, bars_frame, day, flat_bars, markets

MARKET = Path(__file__).resolve().parents[2].parent / "shared" / "market"
KEY = ["security_id", "session"]
SAME = 1e-9  # relative
Arrays = dict[str, np.ndarray]
Market = tuple[list[Row], list[Row], int]


def walk(seed: int, length: int = 320, security_id: int = 1) -> list[Row]:
    """Bars of a price that moves every day, up or down by some per cent, with a range and volume on every bar."""
    dice = random.Random(seed)  # noqa: S311
    close, bars = 50.0, []
    for i in range(length):
        before, close = close, close * math.exp(dice.gauss(0.0003, 0.02))
        high, low = max(before, close) * (1 + dice.random() / 50), min(before, close) * (1 - dice.random() / 50)
        row = {"security_id": security_id, "session": day(i), "high": high, "low": low, "close": close}
        bars.append(row | {"volume": dice.randint(1, 10**7)})
    return bars


def indicators(bars: list[Row]) -> pl.DataFrame:
    return technical_indicators(bars_frame(bars))


def last(bars: list[Row]) -> Row:
    return indicators(bars).row(-1, named=True)


@example(1034)  # a mean of prices that were a quintillion times as high lately
@examples(15)
@given(st.integers(0, 10**6))
def test_prices_of_any_size_give_numbers_within_their_bounds(seed: int) -> None:
    """Whatever jumps of scale the contract lets through, no security may stop the others with what is no number."""
    dice, scale, bars = random.Random(seed), 1.0, []  # noqa: S311
    for bar in walk(seed):
        if dice.random() < 0.04:
            scale = 10 ** dice.uniform(-16, 22)
        prices = {name: min(1e24, max(1e-15, bar[name] * scale)) for name in ("high", "low", "close")}
        bars.append(bar | prices | {"volume": dice.choice((0, 1, bar["volume"], 10**15))})
    contract = price_indicators({entry.name: entry.bounds for entry in TECHNICAL})
    rows = indicators(bars).with_columns(universe=pl.lit("u"), convention=pl.lit(CONVENTION, pl.Int32))
    rejected = judge(contract, rows.select(*contract.columns)).rejected
    assert rejected.is_empty(), rejected.row(0, named=True)


def test_after_half_a_year_without_a_bar_every_indicator_begins_anew() -> None:
    old, new = walk(1, 300), walk(2, 80)
    for silence, again in ((183, False), (184, True)):
        moved = [bar | {"session": day(299 + silence + i), "close": bar["close"] / 7} for i, bar in enumerate(new)]
        together = indicators(old + moved).tail(80)
        alone = indicators(moved)
        assert together.equals(alone) == again


def ta_lib(own: pl.DataFrame) -> Arrays:
    """What TA-Lib says of one security, NaN where it says nothing."""
    high, low, close, volume = (own[name].cast(pl.Float64).to_numpy() for name in ("high", "low", "close", "volume"))
    macd, signal, histogram = talib.MACD(close, 12, 26, 9)
    upper, _, lower = talib.BBANDS(close, 20, 2, 2, 0)
    slow_k, slow_d = talib.STOCH(high, low, close, 14, 3, 0, 3, 0)
    return {
        **{f"sma_{n}": talib.SMA(close, n) for n in (20, 50, 200)},
        **{f"ema_{n}": talib.EMA(close, n) for n in (20, 50, 200)},
        "rsi_14": talib.RSI(close, 14),
        "macd": macd,
        "macd_signal": signal,
        "macd_histogram": histogram,
        "bollinger_upper": upper,
        "bollinger_lower": lower,
        "atr_14": talib.ATR(high, low, close, 14),
        "obv": talib.OBV(close, volume),
        "roc_10": talib.ROC(close, 10),
        "roc_63": talib.ROC(close, 63),
        "stochastic_k": slow_k,
        "stochastic_d": slow_d,
        "adx_14": talib.ADX(high, low, close, 14),
        "plus_di_14": talib.PLUS_DI(high, low, close, 14),
        "minus_di_14": talib.MINUS_DI(high, low, close, 14),
    }


def assert_same(own: pl.DataFrame, ours: pl.DataFrame, theirs: Arrays) -> None:
    """Equal to SAME, and told on the same bars.

    Where a difference comes out as nought, what is left is the last bits of what was subtracted, on either side: of
    prices for the MACD and the lower band, of a running sum of places from 0 to 100 for a close at the very bottom of
    its range.
    """
    prices = ("macd", "macd_signal", "macd_histogram", "bollinger_lower")
    last_bits = dict.fromkeys(prices, 1e-14 * own["close"].to_numpy())
    last_bits |= dict.fromkeys(("stochastic_k", "stochastic_d"), np.full(own.height, 1e-12))
    for name, values in theirs.items():
        mine = ours[name].to_numpy()
        same = np.isclose(mine, values, rtol=SAME, atol=last_bits.get(name, 0), equal_nan=True)
        assert same.all(), (name, own.row(same.argmin()), mine[~same][0], values[~same][0])


@pytest.mark.market_data
@pytest.mark.slow
@pytest.mark.skipif(not MARKET.is_dir(), reason="../shared/market is missing")
def test_every_symbol_of_the_real_market_equals_ta_lib() -> None:
    raw = pl.read_parquet(MARKET / "sp500_bars.parquet")
    bars = raw.with_columns(security_id=pl.col("symbol").rank("dense").cast(pl.Int64))
    got = technical_indicators(bars)
    ordered = bars.sort(KEY).partition_by("security_id")
    assert len(ordered) == 604
    for own, ours in zip(ordered, got.partition_by("security_id"), strict=True):
        assert_same(own, ours, ta_lib(own))


@examples(15)
@given(markets())
def test_random_markets_equal_ta_lib(market: Market) -> None:
    """Prices that tie, stand still and pause."""
    assert_equals_ta_lib(market[0])


@pytest.mark.parametrize("still", [10, 20, 45])  # bars: before any seed, inside that of ADX, beyond all short ones
def test_a_price_that_starts_to_move_late_equals_ta_lib(still: int) -> None:
    moving = [bar | {"session": day(still + i)} for i, bar in enumerate(walk(11, 150))]
    assert_equals_ta_lib(flat_bars([50.0] * still) + moving)


def assert_equals_ta_lib(rows: list[Row]) -> None:
    """The same but where we say nothing and TA-Lib says 0."""
    bars = bars_frame(rows).sort(KEY)
    securities = (frame.partition_by("security_id") for frame in (bars, technical_indicators(bars)))
    for own, ours in zip(*securities, strict=True):
        untold = _untold(own)
        theirs = {name: np.where(untold.get(name, False), np.nan, values) for name, values in ta_lib(own).items()}
        assert_same(own, ours, theirs)


def _untold(own: pl.DataFrame) -> Arrays:
    """The bars on which there is nothing to divide by."""
    rows = own.rows(named=True)
    closes = [row["close"] for row in rows]
    moved = [any(a != b for a, b in pairwise(closes[: i + 1])) for i in range(len(rows))]
    reached = [max(a["high"], b["close"]) > min(a["low"], b["close"]) for a, b in zip(rows[1:], rows, strict=False)]
    ranged = [any(reached[:i]) for i in range(len(rows))]
    flat = [_is_flat(rows[max(0, i - 13) : i + 1]) for i in range(len(rows))]
    return {
        "rsi_14": ~np.array(moved),
        "plus_di_14": ~np.array(ranged),
        "minus_di_14": ~np.array(ranged),
        "stochastic_k": np.array([any(flat[max(0, i - 2) : i + 1]) for i in range(len(rows))]),
        "stochastic_d": np.array([any(flat[max(0, i - 4) : i + 1]) for i in range(len(rows))]),
    }


def _is_flat(rows: list[Row]) -> bool:
    return max(row["high"] for row in rows) == min(row["low"] for row in rows)


@pytest.mark.parametrize(
    "closes",
    [
        [0.1] * 40,  # not exact in binary
        [30.1 + 0.37 * math.sin(i) for i in range(30)] + [333.3] * 20,  # came from elsewhere, then stood still
        [1e6, 7.0] + [0.3, 0.1] * 15,  # a wild price has just left the window
        [1e6] + [3.1 + 1e-4 * (i % 3) for i in range(40)],  # moves of a hundredth of a cent
    ],
)
def test_bands_equal_exact_fractions_where_a_running_sum_of_squares_cancels(closes: list[float]) -> None:
    window = [Fraction(close) for close in closes[-20:]]
    mean = sum(window) / 20
    deviation = math.sqrt(sum((close - mean) ** 2 for close in window) / 20)
    got = last(flat_bars(closes))
    upper, lower = got["bollinger_upper"], got["bollinger_lower"]
    assert (upper, lower) == pytest.approx((float(mean) + 2 * deviation, float(mean) - 2 * deviation), rel=SAME)
    assert upper - lower == pytest.approx(4 * deviation, rel=SAME, abs=1e-12)


@examples(8)
@given(markets())
def test_what_ta_lib_lacks_equals_its_brute_force_twin(market: Market) -> None:
    bars = market[0]
    got = {(row["security_id"], row["session"]): row for row in indicators(bars).rows(named=True)}
    assert len(got) == len(bars)
    for security_id in {bar["security_id"] for bar in bars}:
        own = sorted((bar for bar in bars if bar["security_id"] == security_id), key=lambda bar: bar["session"])
        for i, bar in enumerate(own):
            row = got[security_id, bar["session"]]
            for name, value in _twin(own[: i + 1]).items():
                assert row[name] == (None if value is None else pytest.approx(value, rel=SAME, abs=1e-12)), name


def _twin(own: list[Row]) -> dict[str, float | None]:
    """The last bar's, from its security's history through that bar."""
    twin: dict[str, float | None] = dict.fromkeys(
        ("pct_from_high_252", "pct_from_low_252", "volume_ratio_20", "realised_volatility_20")
    )
    bar = own[-1]
    twin["dollar_volume"] = bar["close"] * bar["volume"]
    if len(own) >= 252:
        twin["pct_from_high_252"] = 100 * (bar["close"] / max(past["high"] for past in own[-252:]) - 1)
        twin["pct_from_low_252"] = 100 * (bar["close"] / min(past["low"] for past in own[-252:]) - 1)
    if len(own) > 20:
        traded = sum(past["volume"] for past in own[-21:-1])
        twin["volume_ratio_20"] = 20 * bar["volume"] / traded if traded else None
        closes = [past["close"] for past in own[-21:]]
        returns = [math.log(b / a) for a, b in pairwise(closes)]
        twin["realised_volatility_20"] = 100 * math.sqrt(252) * statistics.stdev(returns)
    return twin


@pytest.mark.parametrize("entry", TECHNICAL, ids=lambda entry: entry.name)
def test_the_first_value_comes_after_the_burn_in_and_none_is_missing_from_then_on(entry: Indicator) -> None:
    values = indicators(walk(1)).get_column(entry.name)
    assert values.is_null().to_list() == [True] * entry.burn_in + [False] * (320 - entry.burn_in)


def test_columns_are_those_of_the_catalogue() -> None:
    got = indicators(walk(1, 30))
    assert got.columns == [*KEY, *TECHNICAL_COLUMNS]
    assert set(got.schema.values()) == {pl.Int64, pl.Date, pl.Float64}
    assert len(set(TECHNICAL_COLUMNS)) == len(TECHNICAL)
    assert all(entry.formula and entry.units and entry.source and entry.verified for entry in TECHNICAL)


@examples(8)
@given(markets())
def test_no_indicator_knows_what_comes_later(market: Market) -> None:
    bars = market[0]
    whole = indicators(bars)
    for cut in (1, 15, 34, 120, 260, 299):
        known = indicators([bar for bar in bars if bar["session"] < day(cut)])
        assert_frame_equal(known, whole.filter(pl.col("session") < day(cut)), check_exact=True)


@examples(8)
@given(markets())
def test_values_stay_in_the_bounds_of_the_catalogue_and_are_never_nan(market: Market) -> None:
    got = indicators(market[0] + [bar | {"security_id": 9} for bar in walk(2)])
    for entry in TECHNICAL:
        values = got.get_column(entry.name).drop_nulls()
        assert values.is_finite().all(), entry.name
        least, most = entry.bounds
        assert least is None or (values >= least).all(), entry.name
        assert most is None or (values <= most).all(), entry.name


@pytest.mark.parametrize(
    ("step", "expected"),
    [
        (0.13, {"rsi_14": 100.0, "adx_14": 100.0, "minus_di_14": 0.0}),  # nothing but gains
        (-0.13, {"rsi_14": 0.0, "adx_14": 100.0, "plus_di_14": 0.0}),  # nothing but losses
    ],
)
def test_a_price_that_only_rises_or_falls_reaches_the_bounds_and_not_beyond(
    step: float, expected: dict[str, float]
) -> None:
    got = last(flat_bars([90 + step * i + math.sin(i) / 20 for i in range(300)]))
    assert {name: got[name] for name in expected} == expected


@pytest.mark.parametrize(
    "change",
    [
        lambda bars: bars[::-1],  # the order of rows
        lambda bars: random.Random(5).sample(bars, len(bars)),  # noqa: S311  # symbols and sessions mixed
        lambda bars: bars + walk(9, security_id=99),  # another security, behind
        lambda bars: walk(9, security_id=-99) + bars,  # another security, before
    ],
)
@examples(4)
@given(market=markets())
def test_order_and_other_securities_change_nothing(change: Callable[[list[Row]], list[Row]], market: Market) -> None:
    got = indicators(change(market[0])).filter(pl.col("security_id").abs() < 99)
    assert_frame_equal(got, indicators(market[0]), check_exact=True)


@pytest.mark.parametrize("rows", [1, 100, 320, 321, 900])  # below, at and beyond the bars of one security
def test_parts_of_any_size_give_the_same(rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    histories = [walk(seed, length=length, security_id=seed) for seed, length in enumerate([320, 40, 320, 300, 7])]
    bars = bars_frame([bar for history in histories for bar in history])
    at = bars.filter(pl.col("session") == day(280)).select(KEY)
    whole, states = indicators_and_states(bars, None, at)
    monkeypatch.setattr(technical, "PART_BARS", rows)
    again, same_states = indicators_and_states(bars, None, at)
    assert_frame_equal(again, whole, check_exact=True)
    assert_frame_equal(same_states, states, check_exact=True)
    assert states.height == 3
    going_on = technical_indicators(bars.filter(pl.col("session") >= day(20)), states)
    new = pl.col("session") > day(280)
    assert_frame_equal(going_on.filter(new), whole.filter(new), check_exact=True)


def test_security_ids_are_only_names() -> None:
    bars = walk(3, security_id=1) + walk(4, security_id=2)
    renamed = indicators([bar | {"security_id": 10 - bar["security_id"]} for bar in bars])
    again = renamed.with_columns(security_id=10 - pl.col("security_id")).sort(KEY)
    assert_frame_equal(again, indicators(bars), check_exact=True)


@pytest.mark.parametrize(
    ("shares", "exact"),
    [
        (2, True),  # 2:1 split, adjusted backwards: half the price, twice the volume before it
        (1024, True),  # a penny stock: still exact in binary
        (3, False),  # 3:1 split: thirds are not exact, the last bits may differ
    ],
)
def test_a_split_rescales_prices_and_volume_and_changes_no_ratio(shares: int, exact: bool) -> None:
    bars, prices = walk(6), ("high", "low", "close")
    split = [bar | {p: bar[p] / shares for p in prices} | {"volume": bar["volume"] * shares} for bar in bars]
    scale = {"price": 1 / shares, "shares": shares, "per cent": 1, "times": 1, "price * shares": 1}
    expected = indicators(bars).with_columns(pl.col(entry.name) * scale[entry.units] for entry in TECHNICAL)
    assert_frame_equal(indicators(split), expected, check_exact=exact, rel_tol=1e-9, abs_tol=1e-11)


def test_a_price_that_stands_still_has_no_strength_and_no_place() -> None:
    got = last(flat_bars([0.1] * 300))  # by hand; 0.1 is not exact in binary
    price = ("sma_20", "sma_50", "sma_200", "ema_20", "ema_50", "ema_200", "bollinger_upper", "bollinger_lower")
    nothing = ("macd", "macd_signal", "macd_histogram", "atr_14", "roc_10", "roc_63", "adx_14")
    nothing += ("pct_from_high_252", "pct_from_low_252", "realised_volatility_20")
    untold = ("rsi_14", "stochastic_k", "stochastic_d", "plus_di_14", "minus_di_14")
    rest = {"obv": 100.0, "volume_ratio_20": 1.0, "dollar_volume": 10.0}
    expected = dict.fromkeys(price, 0.1) | dict.fromkeys(nothing, 0.0) | dict.fromkeys(untold) | rest
    assert set(expected) == set(TECHNICAL_COLUMNS)
    for name, value in expected.items():
        assert got[name] == (None if value is None else pytest.approx(value, rel=1e-12, abs=1e-14)), name


def test_a_price_that_comes_to_a_stop_keeps_what_its_past_says() -> None:
    # Wilder's averages fade at the same rate, so their ratio stays: the stop says nothing of gains against losses.
    bars = walk(7, 100)
    still = flat_bars([bars[-1]["close"]] * 60, first=100)
    before, after = last(bars), last(bars + still)
    assert after["rsi_14"] == pytest.approx(before["rsi_14"], rel=SAME)
    assert after["stochastic_k"] is None


def test_fewer_bars_than_any_window_tell_only_of_themselves() -> None:
    bars = walk(8, 9)
    row = last(bars)
    told = {name for name in TECHNICAL_COLUMNS if row[name] is not None}
    assert told == {"obv", "dollar_volume"}
    assert last(bars[:1])["obv"] == bars[0]["volume"]  # by hand: it starts with the first bar's volume


def test_volume_after_none_at_all_has_no_ratio_and_none_after_some_is_zero() -> None:
    bars = walk(10, 80)
    quiet = [bar | {"volume": 0} if 30 <= i < 55 else bar for i, bar in enumerate(bars)]
    got = indicators(quiet)
    ratio = got["volume_ratio_20"].to_list()
    assert ratio[30:50] == [0.0] * 20  # nothing traded, though before there was
    assert ratio[50:56] == [None] * 6  # twenty bars without any: nothing to compare with, even on the bar that trades
    assert ratio[56] == pytest.approx(20 * bars[56]["volume"] / bars[55]["volume"])
    assert set(got["obv"][30:55]) == {got["obv"][29]}


def test_no_bars_give_no_rows_but_all_columns() -> None:
    assert indicators([]).schema == indicators(walk(1, 30)).schema
    assert indicators([]).is_empty()


def universe_rows(returns: dict[str, list[list[float | None]]]) -> pl.DataFrame:
    """Members' roc_63: for each universe, one list for each member, one value for each session."""
    rows = [
        {"universe": universe, "security_id": i, "session": day(k), "roc_63": value}
        for universe, members in returns.items()
        for i, values in enumerate(members)
        for k, value in enumerate(values)
    ]
    schema = {"universe": pl.String, "security_id": pl.Int64, "session": pl.Date, "roc_63": pl.Float64}
    return pl.DataFrame(rows, schema=schema)


def stood(members: pl.DataFrame) -> pl.DataFrame:
    return relative_strength(members, median_returns(members)).sort("universe", "security_id", "session")


@pytest.mark.parametrize(
    ("returns", "expected"),
    [
        ([20.0, 0.0, -40.0], [20.0, 0.0, -40.0]),  # the median member stood still: what each did by itself
        ([50.0, 20.0, -10.0], [25.0, 0.0, -25.0]),  # 150 / 120 and 90 / 120
        ([50.0, None, 10.0, -10.0, None], [36.363636363636, None, 0.0, -18.181818181818, None]),  # nobody can tell
        ([30.0, 10.0], [8.333333333333, -8.333333333333]),  # two: halfway between, 130 / 120 and 110 / 120
        ([9999.0, 10.0, 10.0], [9080.909090909090, 0.0, 0.0]),  # one wild member leaves the others where they are
        ([7.0], [0.0]),  # nobody else
        ([None, None], [None, None]),  # nobody at all
        ([-100.0, -100.0], [None, None]),  # all of them worthless: nothing to divide by
    ],
)
def test_relative_strength_by_hand(returns: list[float | None], expected: list[float | None]) -> None:
    got = stood(universe_rows({"u": [[value] for value in returns]}))
    assert got.columns == ["universe", "security_id", "session", "roc_63", RELATIVE_STRENGTH.name]
    for mine, value in zip(got["relative_strength"], expected, strict=True):
        assert mine == (None if value is None else pytest.approx(value, rel=1e-9, abs=1e-12))


def test_relative_strength_equals_its_twin_in_each_universe_and_however_the_frame_is_cut() -> None:
    dice = random.Random(3)  # noqa: S311
    draw = [[None if dice.random() < 0.1 else dice.gauss(2, 20) for _ in range(30)] for _ in range(40)]
    rows = universe_rows({"wide": draw, "narrow": draw[:7]})
    whole = stood(rows)
    for row in whole.rows(named=True):
        members = draw if row["universe"] == "wide" else draw[:7]
        k = (row["session"] - day(0)).days
        own = members[row["security_id"]][k]
        median = statistics.median(values[k] for values in members if values[k] is not None)
        expected = None if own is None else pytest.approx(100 * ((100 + own) / (100 + median) - 1), rel=SAME, abs=1e-11)
        assert row["relative_strength"] == expected
    shuffled = rows.sample(fraction=1, shuffle=True, seed=1)
    assert_frame_equal(stood(shuffled), whole, check_exact=True)
    known = stood(rows.filter(pl.col("session") < day(11)))
    assert_frame_equal(known, whole.filter(pl.col("session") < day(11)), check_exact=True)
    one = (pl.col("session") == day(20)) & (pl.col("universe") == "wide")  # one median for all rows, as in a daily run
    assert_frame_equal(stood(rows.filter(one)), whole.filter(one), check_exact=True)
