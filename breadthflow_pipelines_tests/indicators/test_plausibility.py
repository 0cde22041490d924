"""Bars that cannot be right are found, on the evidence of their own security, and what a market really did is not."""

import datetime as dt
import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from breadthflow_pipelines.contracts.bars import bar_contract
from breadthflow_pipelines.contracts.verdict import judge
from breadthflow_pipelines.indicators.plausibility import (
    DECIMAL_POINT,
    LATER_BARS,
    SPIKE,
    STALE,
    VOLUME_UNIT,
    WARM_UP_BARS,
    implausible,
    silent_sessions,
)
from breadthflow_pipelines.sessions import exchange_calendar

SESSIONS = exchange_calendar("XNYS").between(dt.date(2010, 1, 4), dt.date(2010, 6, 30))
SCHEMA = {"security_id": pl.Int64, "session": pl.Date} | dict.fromkeys(
    ("open", "high", "low", "close", "volume"), pl.Float64
)
DAY = 25  # the bar that a case is about; enough bars stand before it for every rule

Bar = tuple[float, float, float, float, float]


def quiet(length: int = 40, price: float = 50.0, volume: float = 1_234_567) -> list[Bar]:
    """Bars of a security on which little happens, no two of them alike."""
    return [(price, price * 1.01, price * 0.99, price + 0.01 * (i % 3), volume + 37 * i) for i in range(length)]


def frame(*securities: list[Bar]) -> pl.DataFrame:
    """Their bars, one per session."""
    rows = [(n, SESSIONS[i], *bar) for n, bars in enumerate(securities, 1) for i, bar in enumerate(bars)]
    return pl.DataFrame(rows, schema=SCHEMA, orient="row")


def with_bar(bar: Bar, *more: Bar, price: float = 50.0) -> pl.DataFrame:
    """A quiet security with these bars from DAY on."""
    bars = quiet(price=price)
    bars[DAY : DAY + 1 + len(more)] = [bar, *more]
    return frame(bars)


def found(bars: pl.DataFrame) -> list[tuple[int, str]]:
    """Which bar (0: that of DAY), by which rule."""
    return [(SESSIONS.index(row["session"]) - DAY, row["rule"]) for row in implausible(bars).iter_rows(named=True)]


def test_a_quiet_security_is_left_in_peace() -> None:
    assert found(frame(quiet())) == []


@pytest.mark.parametrize(
    ("bar", "after", "rules"),
    [
        ((50, 50, 18, 18, 1e6), 50, [SPIKE]),  # 2.8 times down and back, within a bar that reaches the old price
        ((50, 50, 21, 21, 1e6), 50, []),  # 2.4 times: a crash and its recovery
        ((50, 140, 50, 140, 1e6), 50, [SPIKE]),  # up and back
        ((25, 26, 24.5, 25, 1e6), 50, [SPIKE]),  # half of it, as in another split's scale, and no price in common
        ((25, 49.6, 24.5, 25, 1e6), 50, []),  # the same, from where the market was
        ((37, 38, 36.5, 37, 1e6), 50, []),  # 1.35 times apart: MS in October 2008 came to 1.29
        ((37, 37, 37, 37, 0), 50, [SPIKE]),  # one price and no trade: RRD on 2010-04-26
        ((37, 37, 37, 37, 400), 50, []),  # one price at which somebody traded
        ((37, 37.5, 36.5, 37, 0), 50, []),  # a session's volumes were lost, its prices not
        ((18, 18, 18, 18, 1e6), 30, []),  # it did not come back: the market moved as well, or only
        ((18, 18.2, 17.8, 18, 1e6), 18.1, []),  # it stayed
    ],
)
def test_a_close_that_leaves_and_comes_back_is_a_spike(bar: Bar, after: float, rules: list[str]) -> None:
    back = (after, after * 1.01, after * 0.99, after, 1e6)
    assert [rule for _, rule in found(with_bar(bar, back, price=50.0)) if rule == SPIKE] == rules


def test_a_spike_is_one_when_the_next_bar_is_there_and_not_before() -> None:
    bars = with_bar((18, 18.2, 17.8, 18, 1e6))
    assert found(bars.filter(pl.col("session") <= SESSIONS[DAY])) == []
    assert found(bars.filter(pl.col("session") <= SESSIONS[DAY + 1])) == [(0, SPIKE)]


def test_the_good_bar_between_two_false_ones_is_not_the_spike() -> None:
    false, good = (0.5, 0.505, 0.495, 0.5, 1e6), (50.0, 50.5, 49.5, 50.0, 1e6)
    assert found(with_bar(false, good, false)) == [(0, SPIKE), (2, SPIKE)]


def test_the_other_end_of_a_halt_is_no_neighbour() -> None:
    bars = with_bar((18, 18.2, 17.8, 18, 1e6))
    halted = bars.filter(~pl.col("session").is_in(SESSIONS[DAY + 1 : DAY + 13]))
    assert found(halted) == []


@pytest.mark.parametrize(
    ("high", "low", "rules"),
    [
        (50.5, 4.98, [DECIMAL_POINT]),  # one place
        (50.5, 0.498, [DECIMAL_POINT]),  # two
        (503.0, 49.5, [DECIMAL_POINT]),  # a high
        (5030.0, 4.98, [DECIMAL_POINT]),  # both: one finding for one bar
        (50.5, 7.35, []),  # log10 0.83 as XL on 2015-08-24, when it really traded there
        (161.0, 49.5, []),  # 3.2 times as LOW on 2009-02-05: false, but nobody can say so from this
        (50.5, 5.72, []),  # 6 % of a place away
    ],
)
def test_a_high_or_low_whole_decimal_places_away_is_found_at_once(high: float, low: float, rules: list[str]) -> None:
    bars = with_bar((50.0, high, low, 50.0, 1e6)).filter(pl.col("session") <= SESSIONS[DAY])
    assert found(bars) == [(0, rule) for rule in rules]


def test_two_false_lows_in_a_row_are_both_found() -> None:
    false = (50.0, 50.5, 4.98, 50.0, 1e6)  # as AT on 2010-08-17 and 18
    assert found(with_bar(false, (*false[:4], 2e6))) == [(0, DECIMAL_POINT), (1, DECIMAL_POINT)]


@pytest.mark.parametrize(
    ("repeated", "times", "expected"),
    [
        ((50.0, 51.0, 49.0, 50.5, 34_861_021), 1, [1]),  # the original stays, as nobody knew on its evening
        ((50.0, 51.0, 49.0, 50.5, 34_861_021), 3, [1, 2, 3]),
        ((50.0, 50.0, 50.0, 50.0, 1_071), 2, []),  # little trade: UST on 2011-02-14
        ((50.0, 50.0, 50.0, 50.0, 0), 2, []),  # none
    ],
)
def test_bars_that_repeat_the_bar_before_are_stale(repeated: Bar, times: int, expected: list[int]) -> None:
    assert found(with_bar(repeated, *[repeated] * times)) == [(bar, STALE) for bar in expected]


def test_equal_prices_with_a_volume_of_their_own_are_honest() -> None:
    assert found(with_bar((50.0, 51.0, 49.0, 50.5, 34_861_021), (50.0, 51.0, 49.0, 50.5, 34_861_022))) == []


@pytest.mark.parametrize(
    ("usual", "volume", "expected"),
    [
        (1_234_567, 123_456_700, True),  # shares taken for lots
        (1_234_567, 1_434_567_000, True),  # for thousands
        (1_234_567, 123_456_789, False),  # a great day: its last digits are its own (ES on 2012-04-09)
        (1_234_567, 61_000_000, False),  # 49 times
        (12_345, 1_234_500, False),  # too thin to tell (UST on 2012-07-02)
        (1_234_567, 12_345, False),  # too small does no harm to the market's volume
    ],
)
def test_a_volume_in_another_unit_is_found_by_its_zeros(usual: float, volume: float, expected: bool) -> None:
    bars = quiet(volume=usual)
    bars[DAY] = (*bars[DAY][:4], volume)
    assert found(frame(bars)) == ([(0, VOLUME_UNIT)] if expected else [])


def test_a_lasting_new_unit_is_doubted_until_it_is_the_usual_one() -> None:
    bars = quiet(60)
    bars[DAY:] = [(*bar[:4], bar[4] * 1_000) for bar in bars[DAY:]]
    assert found(frame(bars)) == [(i, VOLUME_UNIT) for i in range(10)]


def test_evidence_names_what_was_seen() -> None:
    told = implausible(with_bar((50.0, 50.5, 4.98, 50.0, 1e6)))
    assert json.loads(told["evidence"].item()) == {
        "field": "low",
        "low": 4.98,
        "close_before": 50.0,
        "close": 50.0,
        "places": 1.0017,
    }


def noisy() -> pl.DataFrame:
    """Three securities with every kind of fault, the first and the last session among them."""
    securities = [quiet(70, price) for price in (50.0, 3.0, 700.0)]
    for shift, bars in enumerate(securities):
        for place in (0, 21 + shift, 40 + shift, 69):
            bars[place] = (*(figure / 10 for figure in bars[place][:4]), bars[place][4])  # type: ignore[assignment]
        bars[30 + shift] = (*bars[30 + shift][:4], 100 * bars[30 + shift][4])
        bars[50] = bars[49]
        bars[60] = (bars[60][0], bars[60][1], bars[60][2] / 100, *bars[60][3:])
    return frame(*securities)


def test_order_of_rows_and_other_securities_change_nothing() -> None:
    bars = noisy()
    whole = implausible(bars)
    assert set(whole["rule"]) == {SPIKE, DECIMAL_POINT, STALE, VOLUME_UNIT}
    assert implausible(bars.sample(fraction=1, shuffle=True, seed=4)).equals(whole)
    alone = pl.concat([implausible(bars.filter(security_id=n)) for n in (1, 2, 3)])
    assert alone.equals(whole)


def test_a_rule_knows_one_later_bar_and_no_more() -> None:
    bars = noisy()
    whole = implausible(bars)
    for last in range(1, 70):
        known = implausible(bars.filter(pl.col("session") <= SESSIONS[last]))
        settled = pl.col("session") < SESSIONS[last]
        assert known.filter(settled).equals(whole.filter(settled))
        # What is said of the last bar itself may not be taken back either.
        assert known.join(whole, on=["security_id", "session", "rule"], how="anti").is_empty()


def test_verdicts_do_not_depend_on_where_the_history_was_cut() -> None:
    bars = noisy()
    whole = implausible(bars)
    for first in range(WARM_UP_BARS, 69):
        part = bars.filter(pl.col("session").is_between(SESSIONS[first - WARM_UP_BARS], SESSIONS[first + LATER_BARS]))
        of_day = pl.col("session") == SESSIONS[first]
        assert implausible(part).filter(of_day).equals(whole.filter(of_day))


def test_no_bars_are_no_findings() -> None:
    assert implausible(frame()).is_empty()


@pytest.mark.parametrize(
    ("bars", "without", "silent"),
    [
        (540, 308, True),  # 2010-04-26
        (540, 2, False),  # as on other days
        (15, 4, False),  # few say nothing
        (15, 5, True),
    ],
)
def test_a_session_without_volumes_is_named_as_a_whole(bars: int, without: int, silent: bool) -> None:
    sessions = pl.DataFrame({"session": [SESSIONS[0]], "bars": [bars], "without_volume": [without]})
    assert silent_sessions(sessions).height == silent


# What real markets did and what a real vendor did. Each name was looked up by hand.

FALSE = {
    (SPIKE, "RRD"): ["2010-04-26"],
    (DECIMAL_POINT, "ARE"): ["2010-03-17", "2010-08-16", "2010-11-24"],
    (DECIMAL_POINT, "AT"): ["2010-08-17", "2010-08-18"],
    (DECIMAL_POINT, "BXP"): ["2007-01-17", "2007-03-19"],
    (DECIMAL_POINT, "HST"): ["2010-01-27"],
    (DECIMAL_POINT, "PCG"): ["2012-10-08"],
    (DECIMAL_POINT, "PXD"): ["2006-12-21"],
    (DECIMAL_POINT, "TMO"): ["2015-07-22"],
    (STALE, "DD"): [
        *("2017-10-12", "2017-10-13", "2017-10-25", "2017-10-26", "2017-10-27", "2017-10-31"),
        *("2017-11-01", "2017-11-02", "2017-11-03", "2017-11-07", "2017-11-08", "2017-11-09"),
    ],
}
HONEST = [  # moves that revert, falls of a moment, volumes of a hundred days
    *(("GNW", "2008-09-29"), ("GGP", "2008-11-17"), ("PLD", "2008-11-12"), ("PLD", "2008-11-13")),
    *(("PLD", "2008-11-20"), ("SSP", "2009-08-10"), ("DYN", "2012-03-16"), ("BAC", "2009-01-20")),
    *(("AIG", "2008-09-15"), ("AIG", "2009-07-09"), ("STT", "2008-09-29"), ("BK", "2008-09-29")),
    *(("CTL", "2010-05-06"), ("HCA", "2015-08-24"), ("XL", "2015-08-24"), ("ES", "2012-04-09")),
    *(("UST", "2012-07-02"), ("UST", "2011-02-14"), ("AT", "2017-02-14"), ("MS", "2008-10-14")),
]
HONEST_DAYS = pl.col("session").dt.strftime("%Y-%m").is_in(["2008-09", "2008-10", "2008-11", "2009-03"]) | (
    pl.col("session").is_in([dt.date(2010, 5, 6), dt.date(2015, 8, 24)])
)


@pytest.fixture(scope="module")
def real(market: Path) -> pl.DataFrame:
    """Real bars that keep their contract: symbol, and what rules read."""
    from breadthflow_pipelines.sources.protocol import BAR_SCHEMA

    bars = pl.read_parquet(market / "sp500_bars.parquet").cast({"volume": pl.Float64})
    numbers = bars.select(pl.col("symbol").unique().sort()).with_columns(
        security_id=pl.int_range(1, pl.len() + 1, dtype=pl.Int64)
    )
    rows = bars.join(numbers, on="symbol").with_columns(close_adjusted=pl.lit(None, pl.Float64))
    return judge(bar_contract(exchange_calendar("XNYS")), rows.select(*BAR_SCHEMA, "security_id")).good


@pytest.mark.market_data
@pytest.mark.slow
def test_real_bars_that_are_found_are_exactly_those_that_are_false(real: pl.DataFrame) -> None:
    told = implausible(real).join(real.select("security_id", "session", "symbol"), on=["security_id", "session"])
    by_symbol: dict[Any, list[str]] = {}
    for row in told.sort("rule", "symbol", "session").iter_rows(named=True):
        by_symbol.setdefault((row["rule"], row["symbol"]), []).append(str(row["session"]))
    assert by_symbol == FALSE
    held = {(symbol, str(session)) for symbol, session in real.select("symbol", "session").rows()}
    assert {*HONEST} <= held  # they are there to be found, and are not
    assert not {*HONEST} & {(symbol, day) for (_, symbol), days in FALSE.items() for day in days}
    assert told.filter(HONEST_DAYS).is_empty()


@pytest.mark.market_data
@pytest.mark.slow
def test_the_one_real_session_whose_volumes_were_lost_is_named(real: pl.DataFrame) -> None:
    sessions = real.group_by("session").agg(bars=pl.len(), without_volume=(pl.col("volume") == 0).sum())
    assert silent_sessions(sessions)["session"].to_list() == [dt.date(2010, 4, 26)]
