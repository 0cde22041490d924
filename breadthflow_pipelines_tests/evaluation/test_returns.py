import datetime as dt
import random
from collections.abc import Iterator
from functools import reduce

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from breadthflow_pipelines.errors import BreadthFlowError
from breadthflow_pipelines.evaluation.returns import (
    LEVEL_SCHEMA,
    added,
    benchmark_levels,
    index_levels,
    levels,
    member_returns,
    partial_returns,
    returns_of,
    risk_free,
    universe_levels,
)
from breadthflow_pipelines.model.vocabulary import MIXED_RETURN, PRICE_RETURN, TOTAL_RETURN
from breadthflow_pipelines_tests.indicators.markets import (
    Row,
    bars_frame,
    day,
    flat_bars,
    markets,
    members_frame,
    sessions,
)

ALWAYS = {"universe": "u", "sector": None, "valid_from": day(-9), "valid_to": None}


def returns(bars: list[Row], members: list[Row], count: int, counted: range | None = None) -> pl.DataFrame:
    opened = bars_frame(bars).with_columns(open=pl.Series([bar.get("open") for bar in bars], dtype=pl.Float64))
    return member_returns(opened, members_frame(members), sessions(count, counted))


def row(frame: pl.DataFrame, ordinal: int, segment: str = "ALL") -> Row:
    return frame.row(by_predicate=(pl.col("session") == day(ordinal)) & (pl.col("segment") == segment), named=True)


def test_the_mean_of_those_who_have_both_closes() -> None:
    bars = flat_bars([10.0, 11.0, 11.0]) + flat_bars([20.0, 18.0, 18.0], 2) + flat_bars([5.0], 3)
    members = [ALWAYS | {"security_id": i} for i in (1, 2, 3, 4)]
    first = row(returns(bars, members, 3), 1)
    assert first["return"] == pytest.approx((0.10 - 0.10) / 2, abs=1e-12)
    counted = {name: first[name] for name in ("members", "contributing", "missing", "first", "gap", "adjusted")}
    # 3 ended after its first bar, 4 never had one: both are members that contribute nothing
    assert counted == {"members": 4, "contributing": 2, "missing": 2, "first": 0, "gap": 0, "adjusted": 0}


def test_from_the_open_to_the_close_it_is_of_the_same_members() -> None:
    opens = [{"open": 8.0}, {"open": 15.0}, {"open": 1.0}]  # the last has no bar before, and does not contribute
    last = (flat_bars([10.0, 12.0])[1:], flat_bars([20.0, 18.0], 2)[1:], flat_bars([5.0], 3, first=1))
    bars = flat_bars([10.0]) + flat_bars([20.0], 2) + [one[0] | more for one, more in zip(last, opens, strict=True)]
    got = row(returns(bars, [ALWAYS | {"security_id": i} for i in (1, 2, 3)], 2), 1)
    assert got["intraday"] == pytest.approx((12 / 8 - 1 + 18 / 15 - 1) / 2, abs=1e-11)
    assert got["return"] == pytest.approx((12 / 10 - 1 + 18 / 20 - 1) / 2, abs=1e-11)


def test_no_row_is_about_the_first_session() -> None:
    got = returns(flat_bars([10.0, 11.0]), [ALWAYS | {"security_id": 1}], 2)
    assert got["session"].to_list() == [day(1)]  # before it nobody could be held from a close we know


@pytest.mark.parametrize(
    ("closes", "absent", "expected"),
    [
        ([10.0, 10.0, 7.0, 7.7], {1}, [-0.3, 0.1]),  # halted for a session: the loss comes with the return
        ([10.0, *[10.0] * 21, 5.0, 5.5], set(range(1, 22)), [None, 0.1]),  # 22 sessions: no base
        ([10.0, *[10.0] * 20, 5.0, 5.5], set(range(1, 21)), [-0.5, 0.1]),  # 21 sessions: just one
    ],
)
def test_the_return_over_a_gap_comes_on_the_session_that_ends_it(
    closes: list[float], absent: set[int], expected: list[float | None]
) -> None:
    bars = [bar for i, bar in enumerate(flat_bars(closes)) if i not in absent]
    got = returns(bars, [ALWAYS | {"security_id": 1}], len(closes))
    assert got["return"].to_list() == pytest.approx(expected, abs=1e-12)
    assert got["session"].to_list() == [day(i) for i in range(1, len(closes)) if i not in absent]


def test_a_session_has_a_row_where_a_member_of_the_universe_has_a_bar() -> None:
    bars = flat_bars([10.0, 11.0], first=2) + flat_bars([5.0] * 7, 2)
    listed = [ALWAYS | {"security_id": 1, "sector": "a"}, ALWAYS | {"security_id": 3, "sector": "b"}]
    got = returns(bars, [*listed, ALWAYS | {"security_id": 2, "universe": "other"}], 9)
    rows = {name: of["session"].to_list() for (name,), of in got.filter(segment="ALL").group_by("universe")}
    assert rows == {"u": [day(2), day(3)], "other": [day(i) for i in range(1, 7)]}  # none before, none after
    assert row(got, 3, "b")["missing"] == 1  # a sector of one that nobody delivered, beside one that came


def test_a_delisted_member_leaves_at_its_last_close_and_is_counted() -> None:
    bars = flat_bars([10.0, 11.0, 12.1]) + flat_bars([10.0, 5.0], 2)
    got = returns(bars, [ALWAYS | {"security_id": i} for i in (1, 2)], 3)
    assert got["return"].to_list() == pytest.approx([(0.1 - 0.5) / 2, 0.1], abs=1e-12)
    assert got["missing"].to_list() == [0, 1]


def test_who_was_a_member_the_session_before_counts() -> None:
    bars = flat_bars([10.0, 11.0, 12.1, 13.31]) + flat_bars([10.0, 20.0, 40.0, 80.0], 2)
    joins = {"security_id": 2, "valid_from": day(1), "valid_to": day(2)}  # a member on session 1 alone
    got = returns(bars, [ALWAYS | {"security_id": 1}, ALWAYS | joins], 4)
    # held from the close of session 1, so its return is that of session 2
    assert got["return"].to_list() == pytest.approx([0.1, (0.1 + 1.0) / 2, 0.1], abs=1e-12)


@pytest.mark.parametrize(
    ("adjusted", "expected", "basis"),
    [
        ([5.0, 5.0], 0.0, TOTAL_RETURN),  # ex-dividend: the price fell by it and the holder lost nothing
        ([5.0, None], -0.5, PRICE_RETURN),  # one bar without: the price alone
        ([None, None], -0.5, PRICE_RETURN),
    ],
)
def test_total_return_where_the_source_has_it(adjusted: list[float | None], expected: float, basis: str) -> None:
    bars = [bar | {"close_adjusted": a} for bar, a in zip(flat_bars([10.0, 5.0]), adjusted, strict=True)]
    got = returns(bars, [ALWAYS | {"security_id": 1}], 2)
    assert got["return"].item() == pytest.approx(expected, abs=1e-12)
    assert universe_levels(got)["basis"].item() == basis


def test_a_level_says_when_only_some_of_it_is_total_return() -> None:
    bars = [bar | {"close_adjusted": 1.0} for bar in flat_bars([10.0, 5.0])] + flat_bars([10.0, 11.0], 2)
    got = universe_levels(returns(bars, [ALWAYS | {"security_id": i} for i in (1, 2)], 2))
    assert got["basis"].item() == MIXED_RETURN


def test_parts_of_the_securities_add_up_to_the_whole_in_any_order() -> None:
    """Four parts, one of them of somebody without a bar; sectors, a member of two universes, and one that is not in."""
    dice = random.Random(5)  # noqa: S311 - which bars, nothing secret
    bars = [
        bar
        for security in range(1, 7)
        for bar in flat_bars([dice.uniform(5, 50) for _ in range(12)], security)
        if dice.random() > 0.1
    ]
    opened = bars_frame(bars).with_columns(open=pl.col("close") * 1.01)
    listed = [ALWAYS | {"security_id": i, "sector": dice.choice([None, "a", "b"])} for i in (1, 2, 3, 4, 5, 7)]
    listed += [{"universe": "v", "sector": "a", "security_id": 2, "valid_from": day(3), "valid_to": day(8)}]
    members = members_frame(listed)

    def part(*ids: int) -> pl.DataFrame:
        of = pl.col("security_id").is_in(ids)
        return partial_returns(opened.filter(of), members.filter(of), sessions(12))

    whole = member_returns(opened, members, sessions(12))
    assert set(whole["universe"]) == {"u", "v"}
    parts = [part(1, 2), part(3, 6), part(4, 5), part(7)]
    for _ in range(3):
        dice.shuffle(parts)
        assert_frame_equal(returns_of(reduce(added, parts)), whole, check_exact=True)


def test_a_bar_off_the_calendar_is_refused() -> None:
    with pytest.raises(BreadthFlowError, match=r"1 bars lie on no known session, the first on 2020-01-03"):
        returns(flat_bars([1.0, 1.0, 1.0]), [ALWAYS | {"security_id": 1}], 2)


def twin(bars: list[Row], members: list[Row], count: int) -> Iterator[Row]:
    """Session by session and member by member."""
    closes = {(bar["security_id"], bar["session"]): bar for bar in bars}
    for number in range(1, count):
        before, session = day(number - 1), day(number)
        inside = [m for m in members if m["valid_from"] <= before and (m["valid_to"] is None or before < m["valid_to"])]
        for universe in {m["universe"] for m in inside if (m["security_id"], session) in closes}:
            of = [m for m in inside if m["universe"] == universe]
            for segment in {"ALL"} | {m["sector"] for m in of} - {None}:
                ids = [m["security_id"] for m in of if segment in ("ALL", m["sector"])]
                told: Row = {"universe": universe, "segment": segment, "session": session, "members": len(ids)}
                told |= dict.fromkeys(("contributing", "missing", "first", "gap", "adjusted"), 0)
                changes = []
                for security in ids:
                    bar = closes.get((security, session))
                    past = [b for (i, d), b in closes.items() if i == security and d < session]
                    last = max(past, key=lambda b: b["session"], default=None)
                    if bar is None:
                        told["missing"] += 1
                    elif last is None:
                        told["first"] += 1
                    elif (session - last["session"]).days > 21:
                        told["gap"] += 1
                    else:
                        told["contributing"] += 1
                        both = bar["close_adjusted"] is not None and last["close_adjusted"] is not None
                        told["adjusted"] += both
                        name = "close_adjusted" if both else "close"
                        changes.append(bar[name] / last[name] - 1)
                yield told | {"return": sum(changes) / len(changes) if changes else None}


@settings(max_examples=15, deadline=None)
@given(markets(70))
def test_every_return_is_the_twins(market: tuple[list[Row], list[Row], int]) -> None:
    bars, members, count = market
    got = returns(bars, members, count)
    assert got["intraday"].null_count() == got.height  # nobody knows an open here
    told = got.drop("intraday")
    expected = pl.DataFrame(list(twin(bars, members, count)), schema=told.schema).sort("universe", "segment", "session")
    assert_frame_equal(told, expected.select(told.columns), abs_tol=1e-11)


@settings(max_examples=10, deadline=None)
@given(markets(60), st.randoms(use_true_random=False))
def test_the_order_of_bars_and_the_cut_of_history_change_nothing(
    market: tuple[list[Row], list[Row], int], dice: random.Random
) -> None:
    bars, members, count = market
    whole = returns(bars, members, count)
    assert_frame_equal(returns(dice.sample(bars, len(bars)), members, count), whole, check_exact=True)
    later = whole.filter(pl.col("session") >= day(30))
    assert_frame_equal(returns(bars, members, count, range(30, count)), later, check_exact=True)


def test_levels_chain_returns_and_pass_over_what_nobody_knows() -> None:
    keys = {"universe": "u", "segment": "ALL", "contributing": 1, "adjusted": 1, "intraday": 0.5}
    rows = [keys | {"session": day(i), "return": change} for i, change in enumerate([0.1, None, -0.5])]
    got = universe_levels(pl.DataFrame(rows))
    assert got.schema == LEVEL_SCHEMA
    assert got.select("session", "level").rows() == [(day(0), pytest.approx(1.1)), (day(2), pytest.approx(0.55))]


def closes(values: list[float], universe: str = "u") -> pl.DataFrame:
    days = [day(i) for i in range(len(values))]
    return pl.DataFrame({"universe": [universe] * len(values), "session": days, "close": values})


def test_an_index_is_its_closes_and_zero_is_no_level() -> None:
    got = index_levels(closes([10.0, 0.0, 11.0]))
    assert got.schema == LEVEL_SCHEMA
    assert got.select("session", "level", "segment", "basis").rows() == [
        (day(0), 10.0, "ALL", PRICE_RETURN),
        (day(2), 11.0, "ALL", PRICE_RETURN),
    ]


def test_members_are_a_universe_s_yardstick_and_an_index_where_there_are_none() -> None:
    held = pl.DataFrame(
        {
            "universe": ["both"],
            "segment": ["ALL"],
            "session": [day(1)],
            "return": [0.25],
            "intraday": [0.1],
            "contributing": [2],
            "adjusted": [0],
        }
    )
    got = levels(held, pl.concat([closes([10.0, 11.0], "both"), closes([5.0], "published")]))
    assert got.select("universe", "session", "level").rows() == [("both", day(1), 1.25), ("published", day(0), 5.0)]


@pytest.mark.parametrize(
    ("adjusted", "expected", "basis"),
    [
        ([None, None, None], [1.0, 1.1, 0.55], PRICE_RETURN),
        ([5.0, 5.6, 3.0], [1.0, 1.12, 0.6], TOTAL_RETURN),
        ([None, 5.0, 2.6], [1.0, 1.1, 1.1 * 0.52], MIXED_RETURN),  # from the first two adjusted closes on
    ],
)
def test_a_benchmark_is_held_with_dividends_where_its_closes_have_them(
    adjusted: list[float | None], expected: list[float], basis: str
) -> None:
    days = [day(0), day(1), day(4)]  # a day without a close is none
    closes = pl.DataFrame(
        {"universe": "u", "session": days, "close": [10.0, 11.0, 5.5], "close_adjusted": adjusted},
        schema_overrides={"close_adjusted": pl.Float64},
    )
    got = benchmark_levels(closes.sample(fraction=1, shuffle=True, seed=1))
    assert got.schema == LEVEL_SCHEMA
    assert got["session"].to_list() == days
    assert got["level"].to_list() == pytest.approx(expected)
    assert set(got["basis"]) == {basis}


def test_cash_earns_the_rate_known_the_day_before() -> None:
    rates = pl.DataFrame({"session": [day(1), day(3)], "rate": [5.0, 2.0]})
    got = risk_free(pl.Series([day(i) for i in range(5)]), rates)
    assert got["known"].to_list() == [False, False, True, True, True]
    yearly = [(1 + rate) ** 252 - 1 for rate in got["rate"]]
    assert yearly == pytest.approx([0, 0, 0.05, 0.05, 0.02], abs=1e-12)


def test_without_rates_cash_earns_nothing_and_that_is_said() -> None:
    got = risk_free(pl.Series([dt.date(2024, 1, 2)]))
    assert got.rows() == [(dt.date(2024, 1, 2), 0.0, False)]
