import datetime as dt
import random
from collections.abc import Iterable

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from breadthflow_pipelines.indicators.breadth import INDICATOR_COLUMNS, breadth_indicators
from breadthflow_pipelines.indicators.counts import KEY
from breadthflow_pipelines.indicators.issues import ZWEIG_TREND
from breadthflow_pipelines.indicators.mcclellan import FAST_TREND, SLOW_TREND, mcclellan_oscillator, mcclellan_summation
from breadthflow_pipelines.indicators.series import SETTLED, burn_in, trend, window_mean
from breadthflow_pipelines_tests.indicators.markets import Row, counts_frame, day, gappy_counts, regime_counts


@pytest.mark.parametrize(
    ("net", "fast", "slow", "oscillator", "before", "summation"),
    [
        # What McClellan Financial published for NYSE: net advances, 10 % and 5 % trend, oscillator of the day and of
        # the day before, summation index.
        (1819 - 1307, 300.166, 255.608, 44.558, 34.515, 3155.060),  # 2014-04-17
        (1194 - 1730, 222.654, 163.275, 59.379, 106.870, 2098.337),  # 2019-06-14
        (2329 - 444, 361.300, 117.333, 243.967, 167.702, -22.378),  # 2025-04-24
    ],
)
def test_mcclellan_as_mcclellan_financial_publishes_it(
    net: int, fast: float, slow: float, oscillator: float, before: float, summation: float
) -> None:
    fast_before, slow_before = (fast - 0.10 * net) / 0.90, (slow - 0.05 * net) / 0.95
    # Both trends stand still on a constant; one step from there brings each to its published value of the day before.
    step = 20 * (fast_before - slow_before)
    start = fast_before - 0.10 * step
    got = pl.DataFrame({"net": [start] * 140 + [start + step, float(net)]}).select(
        fast=trend(pl.col("net"), FAST_TREND),
        slow=trend(pl.col("net"), SLOW_TREND),
        oscillator=mcclellan_oscillator(pl.col("net")),
        summation=mcclellan_summation(pl.col("net")),
    )
    last = got.row(-1, named=True)
    assert last["fast"] == pytest.approx(fast, abs=1e-6)
    assert last["slow"] == pytest.approx(slow, abs=1e-6)
    assert last["oscillator"] == pytest.approx(oscillator, abs=0.0015)  # three decimals were published
    assert got["oscillator"][-2] == pytest.approx(before, abs=0.0015)
    assert last["summation"] == pytest.approx(summation, abs=0.01)
    assert last["summation"] - got["summation"][-2] == pytest.approx(last["oscillator"])  # the index sums oscillators


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


def test_values_start_after_their_burn_in() -> None:
    got = breadth_indicators(counts_frame(regime_counts(1, 300)))
    known = {name: got[name].is_not_null().arg_max() for name in INDICATOR_COLUMNS}
    slow = [name for name in INDICATOR_COLUMNS if name.startswith("mcclellan")]
    assert {name: first for name, first in known.items() if first} == {"zweig_ema": 35} | dict.fromkeys(slow, 135)
    assert got["settled"].arg_max() == 270
    assert not got["settled"][:270].any()


def _twin_trend(values: Iterable[float | None], alpha: float, silent: int) -> list[float | None]:
    state, seen, out = None, 0, []
    for value in values:
        if value is not None:
            state = value if state is None else (1 - alpha) * state + alpha * value
            seen += 1
        out.append(state if value is not None and seen > silent else None)
    return out


def _ratio(part: float | None, whole: float | None) -> float | None:
    return None if part is None or not whole else part / whole


def _minus(left: float | None, right: float | None) -> float | None:
    return None if left is None or right is None else left - right


def _combine(
    left: list[float | None], a: float, right: list[float | None], b: float, base: float
) -> list[float | None]:
    pairs = zip(left, right, strict=True)
    return [None if x is None or y is None else base + a * x + b * y for x, y in pairs]


def _twin_row(row: Row) -> Row:
    advances, declines, up, down = (row[name] for name in ("advances", "declines", "up_volume", "down_volume"))
    moved = None if advances is None or declines is None else advances + declines
    net = _minus(advances, declines)
    volume = None if up is None or down is None else up + down
    trin = advances / declines / (up / down) if all((advances, declines, up, down)) else None
    places = {f"pct_above_{n}": _ratio(row[f"above_{n}"], row[f"able_{n}"]) for n in (20, 50, 200)}
    return {
        "net_advances": net,
        "rana": None if not moved else 1000 * net / moved,
        "share": _ratio(advances, moved),
        "trin": trin,
        "up_volume_share": _ratio(up, volume),
        **{name: None if place is None else 100 * place for name, place in places.items()},
        "net_new_highs": _minus(row["new_highs"], row["new_lows"]),
    }


def _twin(rows: list[Row]) -> pl.DataFrame:
    """All indicators of one universe, row by row in plain Python."""
    plain = [_twin_row(row) for row in rows]
    columns = {name: [row[name] for row in plain] for name in plain[0]}
    for kind, net, base in (("", "net_advances", 1000.0), ("_ratio", "rana", 0.0)):
        fast, slow = _twin_trend(columns[net], 0.10, 66), _twin_trend(columns[net], 0.05, 135)
        columns[f"mcclellan_oscillator{kind}"] = _combine(fast, 1, slow, -1, 0)
        columns[f"mcclellan_summation{kind}"] = _combine(slow, 19, fast, -9, base)
    columns["zweig_ema"] = _twin_trend(columns["share"], 2 / 11, 35)
    line, seen, columns["ad_line"], columns["settled"] = 0, 0, [], []
    for net, ratio in zip(columns["net_advances"], columns["rana"], strict=True):
        line, seen = line + (net or 0), seen + (ratio is not None)
        columns["ad_line"].append(None if net is None else line)
        columns["settled"].append(seen > 270)
    schema = dict.fromkeys(INDICATOR_COLUMNS, pl.Float64) | {"settled": pl.Boolean}
    keys = pl.DataFrame([{name: row[name] for name in KEY} for row in rows])
    return pl.concat([keys, pl.DataFrame({name: columns[name] for name in schema}, schema=schema)], how="horizontal")


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from((0.0, 0.05, 0.5)), st.sampled_from((0.0, 0.05, 0.9)))
def test_every_indicator_equals_its_brute_force_twin(seed: int, nothing: float, unknown: float) -> None:
    universes = [gappy_counts(seed + i, 320 + i, nothing, unknown, name) for i, name in enumerate(("a", "b"))]
    mixed = [row for rows in universes for row in rows]
    random.Random(seed).shuffle(mixed)  # noqa: S311
    got = breadth_indicators(counts_frame(mixed))
    assert got.columns == [*KEY, *INDICATOR_COLUMNS, "settled", "convention"]
    assert_frame_equal(
        got.drop("convention"), pl.concat([_twin(rows) for rows in universes]), rel_tol=1e-9, abs_tol=1e-9
    )


@settings(max_examples=5, deadline=None)
@given(st.integers(0, 10**6))
def test_no_indicator_knows_what_comes_later(seed: int) -> None:
    rows = gappy_counts(seed, 300, 0.05, 0.05)
    whole = breadth_indicators(counts_frame(rows))
    for cut in (1, 36, 137, 271, 299):
        assert_frame_equal(breadth_indicators(counts_frame(rows[:cut])), whole.head(cut), check_exact=True)


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


def test_unsigned_counts_do_not_wrap_around() -> None:
    rows = counts_frame([regime_counts(1, 1)[0] | {"advances": 300, "declines": 310}])
    unsigned = rows.with_columns(pl.col("advances", "declines").cast(pl.UInt32))
    assert breadth_indicators(unsigned)["net_advances"].item() == -10 != 2**32 - 10


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


def test_published_counts_have_what_they_need() -> None:
    some = ("universe", "segment", "session", "advances", "declines", "up_volume", "down_volume")
    rows = [{name: row[name] for name in some} for row in regime_counts(2, 150, "NYSE")]
    last = breadth_indicators(counts_frame(rows)).row(-1, named=True)
    assert last["session"] == day(149)
    missing = {"pct_above_20", "pct_above_50", "pct_above_200", "net_new_highs"}
    assert {name for name in INDICATOR_COLUMNS if last[name] is None} == missing


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
