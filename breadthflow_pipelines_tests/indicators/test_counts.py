import datetime as dt
import math
import statistics
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from breadthflow_pipelines.errors import BreadthFlowError
from breadthflow_pipelines.indicators import price
from breadthflow_pipelines.indicators.counts import (
    added,
    breadth_of,
    breadth_state,
    count_breadth,
    partial_counts,
    without,
)
from breadthflow_pipelines.indicators.price import WARM_UP_BARS
from breadthflow_pipelines.model.counts import COUNT_COLUMNS
from breadthflow_pipelines.model.vocabulary import ALL, AVERAGES, KEY
from breadthflow_pipelines.sessions import exchange_calendar
from breadthflow_pipelines_tests.examples import examples
from breadthflow_pipelines_tests.indicators.markets import (
    Row,
    bars_frame,
    counts_frame,
    day,
    flat_bars,
    markets,
    members_frame,
    sessions,
    twin_counts,
)

MARKET = Path(__file__).resolve().parents[2].parent / "shared" / "market"


def member(security_id: int, start: int = 0, end: int | None = None, sector: str | None = None) -> Row:
    leaves = None if end is None else day(end)
    span = {"valid_from": day(start), "valid_to": leaves}
    return {"universe": "u", "security_id": security_id, "sector": sector} | span


def count(bars: list[Row], members: list[Row], length: int) -> pl.DataFrame:
    return count_breadth(bars_frame(bars), members_frame(members), sessions(length))


def only(counts: pl.DataFrame, ordinal: int, segment: str = "ALL") -> Row:
    return counts.row(by_predicate=(pl.col("session") == day(ordinal)) & (pl.col("segment") == segment), named=True)


@examples(40)
@given(markets())
def test_every_count_equals_its_brute_force_twin(market: tuple[list[Row], list[Row], int]) -> None:
    bars, members, length = market
    got = count(bars, members, length)
    assert got.columns == [*KEY, *COUNT_COLUMNS, "convention"]
    assert got.rows(named=True) == [
        {name: row[name] for name in got.columns} for row in twin_counts(bars, members, length)
    ]


def test_counts_are_signed() -> None:
    counts = count(flat_bars([1.0, 2.0]), [member(1)], 2)
    real = {name for name in COUNT_COLUMNS if counts.schema[name] == pl.Float64}
    assert real == {"coverage", "points_gained", "points_lost", "index_close"}
    assert {counts.schema[name] for name in COUNT_COLUMNS if name not in real} == {pl.Int64}


@pytest.mark.slow
@examples(10)
@given(markets())
def test_history_cut_into_months_gives_the_same_bits(market: tuple[list[Row], list[Row], int]) -> None:
    bars, members, length = bars_frame(market[0]), members_frame(market[1]), market[2]
    months = []
    for start in range(0, length, 21):
        before = bars.filter(pl.col("session") < day(start)).sort("session")
        warm_up = before.group_by("security_id").tail(WARM_UP_BARS).select(bars.columns)
        month = bars.filter(pl.col("session").is_between(day(start), day(start + 20)))
        chunk = count_breadth(pl.concat([warm_up, month]), members, sessions(length, range(start, start + 21)))
        months.append(chunk)
    assert_frame_equal(pl.concat(months).sort(KEY), count_breadth(bars, members, sessions(length)), check_exact=True)


@examples(10)
@given(markets())
def test_parts_of_the_securities_add_up_to_the_same_bits(market: tuple[list[Row], list[Row], int]) -> None:
    bars, members, days = bars_frame(market[0]), members_frame(market[1]), sessions(market[2])
    parts = [
        partial_counts(
            bars.filter(pl.col("security_id") % 2 == rest), members.filter(pl.col("security_id") % 2 == rest), days
        )
        for rest in (0, 1)
    ]
    whole = count_breadth(bars, members, days)
    assert_frame_equal(breadth_of(added(*parts)), whole, check_exact=True)
    assert_frame_equal(breadth_of(added(*reversed(parts))), whole, check_exact=True)


@examples(10)
@given(markets())
def test_without_some_members_counts_are_as_if_they_had_never_been(market: tuple[list[Row], list[Row], int]) -> None:
    bars, members, days = bars_frame(market[0]), members_frame(market[1]), sessions(market[2])
    gone = pl.col("security_id") % 2 == 0
    whole = count_breadth(bars, members, days).filter(segment=ALL)
    left = without(whole, partial_counts(bars.filter(gone), members.filter(gone), days))
    assert_frame_equal(left, count_breadth(bars.filter(~gone), members.filter(~gone), days).filter(segment=ALL))


@examples(5)
@given(markets())
def test_no_count_knows_what_comes_later(market: tuple[list[Row], list[Row], int]) -> None:
    bars, members, length = market
    whole = count(bars, members, length)
    for cut in (1, 20, 253, 280):
        known = count([bar for bar in bars if bar["session"] < day(cut)], members, cut)
        assert_frame_equal(known, whole.filter(pl.col("session") < day(cut)), check_exact=True)


def _scaled(factor: float) -> Callable[[list[Row]], list[Row]]:
    def scale(bars: list[Row]) -> list[Row]:
        return [bar | _times(bar, factor) if bar["security_id"] == 1 else bar for bar in bars]

    return scale


def _times(bar: Row, factor: float) -> Row:
    prices = ("high", "low", "close", "close_adjusted")
    return {p: bar[p] * factor for p in prices if bar.get(p) is not None}


IN_PRICE_UNITS = ("up_dollars", "down_dollars", "points_gained", "points_lost")


@pytest.mark.parametrize(
    "change",
    [
        _scaled(0.5),  # a 2:1 split, adjusted backwards; volume stays in shares as traded
        _scaled(1 / 3),  # a currency or a 3:1 split: no longer exact in binary
        _scaled(1000.0),  # quoted in another unit
        lambda bars: bars[::-1],  # the order in which symbols and sessions come
        lambda bars: bars + flat_bars([5.0, 50.0, 1.0] * 100, security_id=99),  # a symbol that never was a member
    ],
)
@examples(5)
@given(market=markets())
def test_what_is_no_move_of_a_member_changes_nothing(
    change: Callable[[list[Row]], list[Row]], market: tuple[list[Row], list[Row], int]
) -> None:
    bars, members, length = market
    changed, plain = count(change(bars), members, length), count(bars, members, length)
    assert_frame_equal(changed.drop(IN_PRICE_UNITS), plain.drop(IN_PRICE_UNITS), check_exact=True)


@examples(5)
@given(markets())
def test_a_split_leaves_the_dollars_that_moved_alone(market: tuple[list[Row], list[Row], int]) -> None:
    bars, members, length = market
    split = [bar | _times(bar, 0.5) | {"volume": bar["volume"] * 2} for bar in bars]
    dollars = ("up_dollars", "down_dollars")
    got, plain = (count(rows, members, length).select(dollars) for rows in (split, bars))
    assert_frame_equal(got, plain, check_exact=True)


def test_points_and_dollars_by_hand() -> None:
    rose, fell = flat_bars([10.0, 10.37]), flat_bars([20.0, 19.5], security_id=2)
    still = flat_bars([5.0, 5.0], security_id=3)
    counts = only(count(rose + fell + still, [member(1), member(2), member(3)], 2), 1)
    expected = {"points_gained": 0.37, "points_lost": 0.5, "up_dollars": 1037, "down_dollars": 1950}
    assert counts | expected | {"unchanged_volume": 100} == counts


EXTREME = [2.0**power for power in (-45, -20, 0, 20, 40, 55, 70)]  # powers of two, which scale without rounding


@st.composite
def extreme_markets(draw: st.DrawFn) -> tuple[list[Row], dict[int, float], list[Row], int]:
    """A market, by what factor each security's prices are to be taken, members, and the number of sessions.

    Volumes are anything up to the contract's bound.
    """
    bars, members, length = draw(markets(count=60))
    factors = {number: draw(st.sampled_from(EXTREME)) for number in range(1, 5)}
    volumes = st.sampled_from([0, 1, 10**6, 10**12, 10**15])
    return [bar | {"volume": draw(volumes)} for bar in bars], factors, members, length


@examples(30)
@given(extreme_markets())
def test_prices_and_volumes_of_any_size_cost_their_own_sums_and_nothing_else(
    market: tuple[list[Row], dict[int, float], list[Row], int],
) -> None:
    bars, factors, members, length = market
    huge = [bar | _times(bar, factors[bar["security_id"]]) for bar in bars]
    got = count(huge, members, length)
    in_sums = (*MOVED, "up_volume", "down_volume", "unchanged_volume")
    plain = [{name: row[name] for name in got.columns} for row in twin_counts(bars, members, length)]
    assert got.drop(in_sums).rows(named=True) == [
        {name: value for name, value in row.items() if name not in in_sums} for row in plain
    ]
    for row in got.rows(named=True):
        for name, value in _sums(huge, members, row).items():
            assert row[name] == value, (name, row["session"])


MOVED = ("up_dollars", "down_dollars", "points_gained", "points_lost")


def _sums(bars: list[Row], members: list[Row], row: Row) -> Row:
    """Volumes, dollars and points of a row of counts, added up in whole numbers of any size."""
    today, before = row["session"], row["session"] - dt.timedelta(days=1)
    held = {(bar["security_id"], bar["session"]): bar for bar in bars}
    total = dict.fromkeys(("up", "down", "unchanged"), 0)
    dollars, points, told = dict(total), dict(total), 0
    for one in members:
        inside = one["valid_from"] <= today and (one["valid_to"] is None or today < one["valid_to"])
        wanted = one["universe"] == row["universe"] and row["segment"] in ("ALL", one["sector"])
        bar, prior = held.get((one["security_id"], today)), held.get((one["security_id"], before))
        if not (inside and wanted and bar and prior):
            continue
        told += 1
        move = bar["close"] - prior["close"]
        way = "up" if move > 0 else "down" if move < 0 else "unchanged"
        total[way] += bar["volume"]
        paid = bar["close"] * bar["volume"]
        if bar["close"] <= 1e12 and paid <= 1e17:
            dollars[way] += round(paid)
        if max(bar["close"], prior["close"]) <= 1e12:
            points[way] += round(abs(move) * 10**6)
    whole = {f"{way}_volume": value for way, value in total.items()}
    whole |= {f"{way}_dollars": dollars[way] for way in ("up", "down")}
    fitting = {name: value if value < 2**63 else None for name, value in whole.items()}
    fitting |= {"points_gained": points["up"] / 10**6, "points_lost": points["down"] / 10**6}
    return fitting if told else dict.fromkeys(fitting)


def test_a_sum_that_no_count_can_hold_is_unknown_and_the_others_stand() -> None:
    many = range(1, 9_301)  # so many bars of 1e15 shares are more than 2 ** 63
    bars = [bar | {"volume": 10**15} for i in many for bar in flat_bars([1e-6, 2e-6], security_id=i)]
    counts = only(count(bars, [member(i) for i in many], 2), 1)
    assert (counts["advances"], counts["up_volume"], counts["down_volume"]) == (9_300, None, 0)
    assert counts["up_dollars"] == 9_300 * 2 * 10**9


def test_a_close_beyond_every_market_is_counted_and_adds_neither_points_nor_dollars() -> None:
    bars = flat_bars([5.1e15, 4.9e15]) + flat_bars([10.0, 9.5], security_id=2) + flat_bars([1e12, 9e11], security_id=3)
    counts = only(count(bars, [member(1), member(2), member(3)], 2), 1)
    assert (counts["declines"], counts["points_lost"]) == (3, 0.5 + 1e11)
    assert counts["down_dollars"] == 950 + 9 * 10**13


def test_after_half_a_year_without_a_bar_a_history_begins_anew() -> None:
    old, new = [100.0 + i % 3 for i in range(300)], [10.0 + i / 100 for i in range(30)]
    for silence, again in ((183, False), (184, True)):
        start = 299 + silence
        bars = flat_bars(old) + flat_bars(new, first=start)
        counts = count(bars, [member(1)], start + 30)
        first = only(counts, start)
        assert (first["no_prior"], first["gap"]) == ((1, 0) if again else (0, 1))
        assert (first["able_20"], first["able_252"]) == ((0, 0) if again else (1, 1))
        assert first["new_lows"] == (None if again else 1)
        if again:  # what follows is as if nobody had ever been called so before
            alone = count(flat_bars(new, first=start), [member(1)], start + 30)
            later = counts.filter(pl.col("session") >= day(start))
            assert_frame_equal(later, alone.filter(pl.col("session") >= day(start)), check_exact=True)


def test_twenty_session_extremes_are_strict_and_wait_for_twenty_prior_bars() -> None:
    counts = count(flat_bars([10.0] * 20 + [10.0, 11.0, 11.0, 9.0]), [member(1)], 24)
    seen = counts.select("able_extremes_20", "new_highs_20", "new_lows_20").rows()[-5:]
    assert seen == [(0, None, None), (1, 0, 0), (1, 1, 0), (1, 0, 0), (1, 0, 1)]


def test_a_dividend_makes_a_new_high_of_total_return_alone() -> None:
    # The price stands still; a dividend of a tenth before the last session scales all earlier ones down.
    bars = [bar | {"close_adjusted": 10.0 if i == 253 else 9.0} for i, bar in enumerate(flat_bars([10.0] * 254))]
    last = only(count(bars, [member(1)], 254), 253)
    assert (last["new_highs"], last["new_highs_total_return"], last["new_lows_total_return"]) == (0, 1, 0)
    assert last["able_252_total_return"] == 1
    without = only(count(flat_bars([10.0] * 254), [member(1)], 254), 253)
    assert (without["new_highs_total_return"], without["able_252_total_return"]) == (None, 0)


def test_the_index_stands_with_the_whole_universe_alone() -> None:
    index = pl.DataFrame({"universe": ["u", "v"], "session": [day(1), day(0)], "index_close": [1234.5, 9.0]})
    bars, members = bars_frame(flat_bars([1.0, 2.0])), members_frame([member(1, sector="A")])
    counts = count_breadth(bars, members, sessions(2), index)
    levels = {(row["segment"], row["session"]): row["index_close"] for row in counts.rows(named=True)}
    assert levels == {("ALL", day(0)): None, ("ALL", day(1)): 1234.5, ("A", day(0)): None, ("A", day(1)): None}


@examples(5)
@given(markets())
def test_security_ids_are_only_names(market: tuple[list[Row], list[Row], int]) -> None:
    bars, members, length = market
    renamed = [[row | {"security_id": 1000 - row["security_id"]} for row in rows] for rows in (bars, members)]
    assert_frame_equal(count(renamed[0], renamed[1], length), count(bars, members, length), check_exact=True)


@pytest.mark.parametrize(
    "closes",
    [
        [0.1] * 260,  # fifty times a tenth is not five tenths ten times over
        [1e9] + [0.1] * 259,  # what has left the window leaves no rounding behind
        [0.3, 0.1] * 20 + [0.7] * 220,  # a level that was reached from below
    ],
)
def test_a_price_that_stands_still_is_never_above_its_average(closes: list[float]) -> None:
    last = only(count(flat_bars(closes), [member(1)], 260), 259)
    assert [last[f"able_{n}"] for n in AVERAGES] == [1] * 5
    assert [last[f"above_{n}"] for n in AVERAGES] == [0] * 5


@pytest.mark.parametrize("factor", [1.0, 1 / 3])  # prices in cents, and prices that no decimal writes down
def test_a_close_at_its_average_is_not_above_it_by_rounding(factor: float) -> None:
    # 1.02 and 1.16 average to the close of 1.09; in floats their mean falls a bit short, for one in ten such ties.
    cents = {i: [i, i + 14] * 9 + [i + 7, i + 7] for i in range(100, 200)}
    bars = [bar for i, prices in cents.items() for bar in flat_bars([c / 100 * factor for c in prices], security_id=i)]
    last = only(count(bars, [member(i) for i in cents], 20), 19)
    assert (last["able_20"], last["above_20"]) == (100, 0)


@pytest.mark.parametrize("window", AVERAGES)
def test_an_average_is_made_of_its_window_alone(window: int) -> None:
    closes = pl.Series([1e25, *(30 + math.sin(i) + i / 1000 for i in range(600))])
    whole = price.moving_average(closes, window)
    assert whole[-1] == pytest.approx(statistics.fmean(closes[-window:]), rel=1e-12)
    for start in (1, 13, 250):  # the same bits wherever the frame begins; a running sum would differ
        assert whole[-150:].equals(price.moving_average(closes[start:], window)[-150:])


def test_one_tick_over_a_flat_average_is_above_it() -> None:
    last = only(count(flat_bars([3000.0] * 259 + [3000.01]), [member(1)], 260), 259)
    assert [last[f"above_{n}"] for n in AVERAGES] == [1] * 5


def test_new_extremes_are_strict_and_wait_for_252_prior_bars() -> None:
    counts = count(flat_bars([10.0] * 252 + [10.0, 11.0, 11.0, 9.0]), [member(1)], 256)
    seen = counts.select("able_252", "new_highs", "new_lows").rows()[-5:]
    assert seen == [(0, None, None), (1, 0, 0), (1, 1, 0), (1, 0, 0), (1, 0, 1)]  # by hand; a tie is no extreme


def test_a_first_bar_and_a_bar_after_a_hole_are_no_direction() -> None:
    held = flat_bars([5.0, 6.0]) + flat_bars([7.0], first=3) + flat_bars([7.0], first=4)
    counts = count(held, [member(1)], 5)
    told = counts.select("advances", "declines", "unchanged", "no_prior", "gap", "up_volume", "down_volume").rows()
    assert told == [
        (None, None, None, 1, 0, None, None),  # the first bar
        (1, 0, 0, 0, 0, 100, 0),
        (None, None, None, 0, 1, None, None),  # higher than two sessions ago, which is no advance
        (0, 0, 1, 0, 0, 0, 0),
    ]


def test_a_joining_member_brings_its_history() -> None:
    counts = count(flat_bars([10.0] * 299 + [11.0]), [member(1, start=299)], 300)
    assert counts.height == 1
    assert only(counts, 299)["new_highs"] == only(counts, 299)["above_200"] == only(counts, 299)["advances"] == 1


def test_membership_is_half_open_and_can_return() -> None:
    bars = flat_bars([1.0] * 6) + flat_bars([1.0] * 6, security_id=2)
    counts = count(bars, [member(1), member(2, 1, 3), member(2, 5)], 6)
    assert counts["members"].to_list() == [1, 2, 2, 1, 1, 2]


def test_a_sector_without_bars_has_a_row_and_a_universe_without_bars_has_none() -> None:
    bars = flat_bars([1.0, 2.0]) + flat_bars([1.0], security_id=2)
    counts = count(bars, [member(1, sector="A"), member(2, sector="B")], 3)
    assert counts.filter(pl.col("session") == day(2)).is_empty()
    lone = only(counts, 1, "B")
    assert (lone["members"], lone["priced"], lone["coverage"], lone["advances"]) == (1, 0, 0.0, None)
    assert (lone["no_prior"], lone["gap"], lone["able_20"], lone["above_20"]) == (0, 0, 0, None)


def test_no_bars_give_no_rows_but_all_columns() -> None:
    assert count([], [member(1)], 3).schema == count(flat_bars([1.0]), [member(1)], 3).schema
    assert count([], [member(1)], 3).is_empty()


def test_a_bar_outside_the_calendar_is_refused() -> None:
    with pytest.raises(BreadthFlowError, match=r"1 bars lie on no known session, the first on 2020-01-03"):
        count(flat_bars([1.0, 1.0, 1.0]), [member(1)], 2)


@pytest.mark.parametrize(
    ("coverage", "session", "state"),
    [
        (0.95, 21, "final"),  # as usual
        (0.86, 21, "final"),  # a little less: 0.9 of the usual 0.95 is 0.855
        (0.85, 21, "provisional"),  # an outage, far above the gate
        (None, 21, "final"),  # published counts say nothing of coverage
        (0.95, 22, "provisional"),  # its bars may still change
        (0.70, 20, "final"),  # only twenty prior rows: what is usual is not known yet
        (0.49, 20, "provisional"),  # below the gate at any time
    ],
)
def test_state_of_a_row(coverage: float | None, session: int, state: str) -> None:
    usual = [{"universe": "u", "segment": "ALL", "session": day(i), "coverage": 0.95} for i in range(session)]
    row = {"universe": "u", "segment": "ALL", "session": day(session), "coverage": coverage}
    other = [r | {"universe": "a", "coverage": 0.1} for r in usual]
    judged = breadth_state(counts_frame([row, *usual, *other]), gate=0.5, revisable_from=day(22))
    assert judged.filter(pl.col("session") == day(session), pl.col("universe") == "u")["state"].to_list() == [state]


def test_published_counts_are_final() -> None:
    rows = [{"universe": "X", "segment": "ALL", "session": day(i), "advances": 5} for i in range(30)]
    assert set(breadth_state(counts_frame(rows), 0.5, day(99))["state"]) == {"final"}


@pytest.mark.market_data
@pytest.mark.slow
@pytest.mark.skipif(not MARKET.is_dir(), reason="../shared/market is missing")
def test_counts_of_the_real_market() -> None:
    bars, members = _real_market()
    days = exchange_calendar("XNYS").frame().with_columns(counted=pl.col("session") >= dt.date(2006, 1, 3))
    counts = count_breadth(bars, members, days)
    whole = counts.filter((pl.col("universe") == "sp500") & (pl.col("segment") == "ALL"))
    low = whole.row(by_predicate=pl.col("session") == dt.date(2015, 8, 24), named=True)
    last = whole.row(by_predicate=pl.col("session") == dt.date(2017, 11, 10), named=True)
    expected_low = {"members": 500, "priced": 457, "advances": 2, "declines": 455, "new_lows": 160, "able_252": 453}
    assert low | expected_low == low
    expected_last = {"members": 506, "priced": 497, "advances": 225, "declines": 270, "unchanged": 2}
    expected_last |= {"up_volume": 1037179496, "above_50": 314, "new_highs": 19}
    assert last | expected_last == last
    # Sectors are parts of the whole; members without a known sector are in the whole alone.
    sectors = counts.filter(pl.col("segment") != "ALL").group_by("session").agg(pl.col("advances").sum())
    both = whole.join(sectors, on="session", suffix="_sectors").drop_nulls("advances")
    assert (both["advances_sectors"] <= both["advances"]).all()


def _real_market() -> tuple[pl.DataFrame, pl.DataFrame]:
    raw = pl.read_parquet(MARKET / "sp500_bars.parquet")
    low, high = pl.col("low") * (1 - 1e-4), pl.col("high") * (1 + 1e-4)
    prices = pl.col("open", "high", "low", "close")
    sound = raw.filter(
        pl.all_horizontal(prices.is_finite() & (prices > 0)),
        pl.col("high") >= pl.col("low"),
        pl.all_horizontal(pl.col("open", "close").is_between(low, high)),
        pl.col("volume") >= 0,
    )
    assert raw.height - sound.height == 35
    listed = pl.read_csv(MARKET / "sp500_membership.csv", try_parse_dates=True)
    symbols = pl.concat([sound["symbol"], listed["symbol"]]).unique().sort()
    ids = pl.DataFrame({"symbol": symbols, "security_id": pl.int_range(len(symbols), eager=True)})
    sectors = pl.read_csv(MARKET / "instruments.csv").select("symbol", "sector")
    members = listed.join(ids, on="symbol").join(sectors, on="symbol", how="left")
    nobody_gives_it = pl.lit(None, pl.Float64).alias("close_adjusted")
    return sound.join(ids, on="symbol").with_columns(nobody_gives_it), members
