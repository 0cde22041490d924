import math

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from breadthflow_pipelines.indicators.breadth_catalogue import breadth_indicators
from breadthflow_pipelines.indicators.score import COMPONENTS, breadth_score
from breadthflow_pipelines.model.vocabulary import KEY
from breadthflow_pipelines_tests.examples import examples
from breadthflow_pipelines_tests.indicators.markets import Row, counts_frame, day, gappy_counts, regime_counts

_FIRST = regime_counts(1, 1)[0]


def score(rows: list[Row]) -> pl.DataFrame:
    counts = counts_frame(rows)
    return breadth_score(counts, breadth_indicators(counts))


def test_weights_sum_to_one() -> None:
    assert sum(part.weight for part in COMPONENTS.values()) == pytest.approx(1)


def _twin_z(values: list[float | None]) -> list[float | None]:
    past: list[float] = []
    out: list[float | None] = []
    for value in values:
        window = past[-252:]
        if value is None or len(window) < 126 or max(window) == min(window):
            out.append(None)
        else:
            mean = math.fsum(window) / len(window)
            deviation = math.sqrt(math.fsum((v - mean) ** 2 for v in window) / (len(window) - 1))
            z = (value - mean) / deviation
            out.append(max(-3.0, min(3.0, z)))
        if value is not None:
            past.append(value)
    return out


@examples(5)
@given(st.integers(0, 10**6), st.sampled_from((0.0, 0.1)))
def test_score_equals_its_brute_force_twin(seed: int, unknown: float) -> None:
    got = score(gappy_counts(seed, 620, 0.02, unknown))
    z = {name: _twin_z(got[name].to_list()) for name in COMPONENTS}
    for name, expected in z.items():
        assert got[f"{name}_z"].to_list() == [None if e is None else pytest.approx(e, abs=1e-7) for e in expected]
    for i, (value, weight) in enumerate(got.select("score", "weight").iter_rows()):
        there = {name: part.weight for name, part in COMPONENTS.items() if z[name][i] is not None}
        assert weight == pytest.approx(sum(there.values()))
        if weight < 0.5 - 1e-9:
            assert value is None
        else:
            mean = sum(w * z[name][i] for name, w in there.items()) / sum(there.values())
            assert value == pytest.approx(50 + 50 * mean / 3, abs=1e-6)
            assert 0 <= value <= 100


@examples(5)
@given(st.integers(0, 10**6))
def test_no_score_knows_what_comes_later(seed: int) -> None:
    rows = gappy_counts(seed, 500, 0.02, 0.02)
    whole = score(rows)
    for cut in (100, 262, 430, 499):
        assert_frame_equal(score(rows[:cut]), whole.head(cut), check_exact=True)


@pytest.mark.parametrize(
    ("stronger", "name"),
    [
        ({"advances": 480, "declines": 10}, "advance_share"),
        ({"advances": 480, "declines": 10}, "momentum"),
        ({"above_50": 500}, "above_50"),
        ({"above_200": 500}, "above_200"),
        ({"new_highs": 300, "new_lows": 0}, "net_new_highs_share"),
        ({"up_volume": 10**9}, "up_volume_trend"),
    ],
)
def test_stronger_breadth_never_scores_lower(stronger: Row, name: str) -> None:
    rows = regime_counts(5, 500)
    before, after = score(rows).row(-1, named=True), score([*rows[:-1], rows[-1] | stronger]).row(-1, named=True)
    assert after[f"{name}_z"] > before[f"{name}_z"]
    assert after["score"] > before["score"]


def test_a_past_that_stood_still_gives_no_score() -> None:
    got = score([_FIRST | {"session": day(i)} for i in range(400)])
    assert got["score"].null_count() == 400
    assert got["weight"].to_list() == [0.0] * 400


def test_half_the_weight_is_enough_and_less_is_not() -> None:
    keep = ("advances", "declines", "up_volume", "down_volume")  # 0.20 + 0.20 + 0.10
    rows = [{name: row[name] for name in (*KEY, *keep)} for row in regime_counts(7, 500)]
    assert score(rows)["weight"][-1] == 0.5
    assert score(rows)["score"][-1] is not None
    without_volume = [row | {"up_volume": None, "down_volume": None} for row in rows]
    assert score(without_volume)["weight"][-1] == 0.4
    assert score(without_volume)["score"][-1] is None


def test_published_new_highs_are_held_against_the_issues_counted() -> None:
    rows = [row | {"able_252": None} for row in regime_counts(7, 2)]
    rows[1] |= {"advances": 60, "declines": 30, "unchanged": 10, "new_highs": 7, "new_lows": 2}
    assert score(rows)["net_new_highs_share"][-1] == pytest.approx(0.05)
