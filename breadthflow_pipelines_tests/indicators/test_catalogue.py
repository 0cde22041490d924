"""The whole catalogue at once: every indicator against its twin, and the properties that all of them share."""

import datetime as dt
import random
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from breadthflow_pipelines.indicators.breadth_catalogue import CATALOGUE, INDICATOR_COLUMNS, breadth_indicators
from breadthflow_pipelines.indicators.conventions import CONVENTION
from breadthflow_pipelines.model.counts import COUNT_COLUMNS, ISSUES, VOLUMES
from breadthflow_pipelines.model.vocabulary import KEY
from breadthflow_pipelines.sessions import exchange_calendar
from breadthflow_pipelines.sources.exchange_breadth import read_published_counts
from breadthflow_pipelines.trust.count_guards import judge_published
from breadthflow_pipelines_tests.examples import examples
from breadthflow_pipelines_tests.indicators.markets import (
    Row,
    counts_frame,
    ragged_counts,
    regime_counts,
    usable_counts,
)
from breadthflow_pipelines_tests.indicators.twins import TWINS, settled

EXCHANGES = Path(__file__).resolve().parents[2].parent / "shared" / "market" / "exchange_breadth"
THREE_YEARS = 1096  # sessions, every day being one here: Coppock's curve begins in the 24th month

# What exchanges do not publish: prices, and what is counted against the own past of each security.
NEED_BARS = {
    *("up_dollar_share", "points_share", "day_90", "day_80", "net_new_highs_total_return"),
    *("net_new_highs_20", "net_new_highs_20_pct", "pct_at_20_high"),
    *("pct_above_20", "pct_above_50", "pct_above_100", "pct_above_150", "pct_above_200"),
}
NEED_AN_INDEX = {"index_trend_50", "coppock"}

seeds = st.integers(0, 10**6)
oddities = st.sampled_from((0.0, 0.02, 0.1, 0.5))


def indicators(rows: list[Row]) -> pl.DataFrame:
    return breadth_indicators(counts_frame(rows))


def twins(rows: list[Row]) -> pl.DataFrame:
    values = {name: TWINS[name](rows) for name in INDICATOR_COLUMNS}
    schema = dict.fromkeys(INDICATOR_COLUMNS, pl.Float64) | {"settled": pl.Boolean, "convention": pl.Int32}
    rest = {"settled": settled(rows), "convention": [CONVENTION] * len(rows)}
    keys = pl.DataFrame([{name: row[name] for name in KEY} for row in rows])
    return pl.concat([keys, pl.DataFrame(values | rest, schema=schema)], how="horizontal")


def without_zeros(length: int) -> list[Row]:
    """A gapless history in which every indicator can be told from the first session on."""
    names = ("new_highs", "new_lows", "points_gained", "points_lost")
    return [row | {name: row[name] or 1 for name in names} for row in regime_counts(1, length)]


def test_every_indicator_has_a_twin() -> None:
    assert list(TWINS) == list(CATALOGUE)


@pytest.mark.parametrize("name", CATALOGUE)
def test_an_entry_tells_all_of_its_indicator(name: str) -> None:
    entry = CATALOGUE[name]
    assert entry.name == name
    assert all((entry.family, entry.formula, entry.units, entry.source, entry.verified, entry.seed))
    low, high = entry.bounds
    assert low is None or high is None or low < high
    # A trend has a seed; what has neither trend nor window begins at once.
    assert ("alpha" in entry.parameters) <= (entry.seed == "first value") <= (entry.burn_in > 0)
    assert entry.burn_in == 0 or entry.parameters


@examples(10)
@given(seeds, oddities)
def test_every_indicator_equals_its_brute_force_twin(seed: int, odd: float) -> None:
    universes = [ragged_counts(seed + i, 400 + i, odd, name) for i, name in enumerate(("a", "b"))]
    mixed = [row for rows in universes for row in rows]
    random.Random(seed).shuffle(mixed)  # noqa: S311
    got, expected = indicators(mixed), pl.concat([twins(rows) for rows in universes])
    assert got.columns == [*KEY, *INDICATOR_COLUMNS, "settled", "convention"]
    assert_frame_equal(got, expected, rel_tol=1e-9, abs_tol=1e-9)


@pytest.mark.parametrize(
    ("seed", "odd"),
    [
        (1, 0.0),  # Coppock's curve and everything else, with nothing unknown but stretches
        (2, 0.02),  # as real data
        (5, 0.1),  # months without a close
    ],
)
def test_three_years_equal_their_twins_and_leave_no_indicator_untold(seed: int, odd: float) -> None:
    rows = ragged_counts(seed, THREE_YEARS, odd)
    got = indicators(rows)
    assert_frame_equal(got, twins(rows), rel_tol=1e-9, abs_tol=1e-9)
    assert {name for name in INDICATOR_COLUMNS if got[name].null_count() == got.height} == set()
    for name in ("day_90", "day_80", "day_90_volume", "day_80_volume"):
        assert set(got[name].drop_nulls()) == {-1.0, 0.0, 1.0}
    for name in ("hindenburg_omen", "index_trend_50"):
        assert set(got[name].drop_nulls()) == {0.0, 1.0}


@examples(10)
@given(seeds, oddities)
def test_every_value_is_finite_and_within_its_bounds(seed: int, odd: float) -> None:
    got = indicators(ragged_counts(seed, THREE_YEARS, odd))
    assert beyond(got) == {}


def beyond(got: pl.DataFrame) -> dict[str, list[float]]:
    """The values of each indicator that are not finite or outside its bounds."""
    found = {}
    for name, entry in CATALOGUE.items():
        low, high = (
            limit if limit is not None else sign * 1e300 for limit, sign in zip(entry.bounds, (-1, 1), strict=True)
        )
        values = got[name].drop_nulls()
        if wrong := values.filter(~(values.is_finite() & values.is_between(low, high))).to_list():
            found[name] = wrong
    return found


@examples(3)
@given(seeds, oddities)
def test_no_indicator_knows_what_comes_later(seed: int, odd: float) -> None:
    rows = ragged_counts(seed, THREE_YEARS, odd)
    whole = indicators(rows)
    for cut in (1, 11, 36, 137, 271, 399, 730, 745, 1000):  # about each burn-in, and at and inside a month's end
        assert_frame_equal(indicators(rows[:cut]), whole.head(cut), check_exact=True)


@examples(3)
@given(seeds, oddities)
def test_order_and_other_universes_change_nothing(seed: int, odd: float) -> None:
    one, other = ragged_counts(seed, 800, odd, "b"), ragged_counts(seed + 1, 300, odd, "a")
    sector = [row | {"segment": "Energy"} for row in ragged_counts(seed + 2, 300, odd, "b")]
    mixed = [*one, *other, *sector]
    random.Random(seed).shuffle(mixed)  # noqa: S311
    own = indicators(mixed).filter(pl.col("universe") == "b", pl.col("segment") == "ALL")
    assert_frame_equal(own, indicators(one), check_exact=True)


def test_unsigned_counts_do_not_wrap_around() -> None:
    counts = counts_frame(ragged_counts(3, THREE_YEARS, 0.02))
    unsigned = counts.with_columns(pl.col(pl.Int64).cast(pl.UInt32))
    assert_frame_equal(breadth_indicators(unsigned), breadth_indicators(counts), check_exact=True)


@pytest.mark.parametrize("name", CATALOGUE)
def test_the_first_value_comes_right_after_the_burn_in(name: str, gapless: pl.DataFrame) -> None:
    known = gapless[name].is_not_null()
    first = known.arg_max()
    if (
        name == "coppock"
    ):  # counts months, not observations: known from the first day of the 24th month after 2020-01-01 on
        assert gapless["session"][first] == dt.date(2021, 12, 1)
    else:
        assert first == CATALOGUE[name].burn_in
    assert known[first:].all()


@pytest.fixture(scope="module")
def gapless() -> pl.DataFrame:
    got = indicators(without_zeros(THREE_YEARS))
    # The omen fails before its oscillator is known, as soon as one leg does; its burn-in is that of the full omen.
    omens = {"new_highs": 40, "new_lows": 40}
    full = indicators([row | omens for row in without_zeros(THREE_YEARS)])
    return got.with_columns(full["hindenburg_omen"], full["hindenburg_omen_28"])


def test_a_row_is_settled_after_270_observations() -> None:
    got = indicators(without_zeros(300))
    assert got["settled"].arg_max() == 270
    assert not got["settled"][:270].any()


@examples(5)
@given(seeds, st.sampled_from((0.0, 0.02)), st.lists(st.integers(0, 899), min_size=1, max_size=40, unique=True))
def test_a_session_that_nobody_knows_is_as_if_it_had_not_been(seed: int, odd: float, unknown: list[int]) -> None:
    rows = ragged_counts(seed, 900, odd)
    for i in unknown:
        rows[i] |= dict.fromkeys(COUNT_COLUMNS)
    got = indicators(rows).with_row_index("row")
    silent, rest = got.filter(pl.col("row").is_in(unknown)), got.filter(~pl.col("row").is_in(unknown))
    assert silent.select(INDICATOR_COLUMNS).null_count().row(0) == (len(unknown),) * len(INDICATOR_COLUMNS)
    without = indicators([row for i, row in enumerate(rows) if i not in unknown])
    assert_frame_equal(rest.drop("row"), without, check_exact=True)  # running sums go on from where they were


def test_published_counts_give_exactly_what_they_can() -> None:
    some = (*KEY, *ISSUES, *VOLUMES)
    rows = [{name: row[name] for name in some} for row in without_zeros(THREE_YEARS)]
    got = indicators(rows)
    assert {name for name in INDICATOR_COLUMNS if got[name][-1] is None} == NEED_BARS | NEED_AN_INDEX
    for name in NEED_BARS | NEED_AN_INDEX:
        assert got[name].null_count() == got.height


@pytest.fixture(scope="module")
def nasdaq() -> pl.DataFrame:
    if not EXCHANGES.is_dir():
        pytest.skip("../shared/market is missing")
    published = read_published_counts(EXCHANGES, "NASDAQ", exchange_calendar("XNYS")).counts
    usable = usable_counts(judge_published(published.with_columns(exchange=pl.lit("NASDAQ"))))
    unknown = [pl.lit(None, pl.Int64).alias(name) for name in COUNT_COLUMNS if name not in usable.columns]
    return usable.rename({"exchange": "universe"}).with_columns(*unknown, segment=pl.lit("ALL")).sort("session")


@pytest.mark.market_data
def test_nasdaq_gives_every_indicator_that_published_counts_can(nasdaq: pl.DataFrame) -> None:
    got = breadth_indicators(nasdaq)
    assert got.height > 9500
    assert beyond(got) == {}
    for name, entry in CATALOGUE.items():
        if name in NEED_BARS | NEED_AN_INDEX:
            assert got[name].null_count() == got.height, name
            continue
        # New highs and lows came into the files decades after the issues; all that an indicator needs must be there.
        needs = [root for root in entry.expression.meta.root_names() if root in (*ISSUES, *VOLUMES)]
        start = nasdaq.select(pl.all_horizontal(pl.col(set(needs)).is_not_null()).arg_max()).item()
        values = got[name][start + entry.burn_in :]
        assert values.count() > 0.9 * len(values) > 1000, name


@pytest.mark.market_data
@pytest.mark.slow
def test_nasdaq_equals_its_twins(nasdaq: pl.DataFrame) -> None:
    rows = nasdaq.select(*KEY, *COUNT_COLUMNS).to_dicts()
    assert_frame_equal(breadth_indicators(nasdaq), twins(rows), rel_tol=1e-9, abs_tol=1e-6)
