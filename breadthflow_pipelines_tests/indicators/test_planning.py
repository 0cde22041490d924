"""What a planning number promises happens: the formula itself, one session on, is at the level."""

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from breadthflow_pipelines.indicators.issues import zweig_ema
from breadthflow_pipelines.indicators.mcclellan import mcclellan_oscillator, mcclellan_summation_neutral
from breadthflow_pipelines.indicators.planning import mcclellan_ratio_needs, zweig_needs

ISSUES = 1_000_000  # so many that any share of them is a whole number of advances
histories = st.integers(0, 2**31).map(
    lambda seed: pl.Series([((seed + i * 7919) % 601 + 200) / 1000 for i in range(200)])
)


def test_zweig_by_hand() -> None:
    # 0.5 * 9/11 = 0.409; 0.615 - 0.409 = 0.20591 = 2/11 of 1.1325: no session has more than all.
    assert zweig_needs(0.5, 0.615) == pytest.approx(1.1325)
    assert zweig_needs(0.6, 0.615) == pytest.approx(0.6825)


@given(histories, st.floats(0.3, 0.7))
def test_zweig_s_average_reaches_the_level(past: pl.Series, level: float) -> None:
    def average(history: pl.Series) -> float:
        frame = pl.DataFrame({"a": history * ISSUES, "d": (1 - history) * ISSUES})
        return float(frame.select(zweig_ema(pl.col("a"), pl.col("d")))["a"][-1])

    needed = zweig_needs(average(past), level)
    assert average(pl.concat([past, pl.Series([needed])])) == pytest.approx(level)


@given(histories, st.sampled_from((-100.0, -70.0, 0.0)))
def test_mcclellan_s_ratio_reaches_the_level(past: pl.Series, level: float) -> None:
    def both(history: pl.Series) -> tuple[float, float]:
        rana = pl.DataFrame({"rana": 1000 * (2 * history - 1)})
        net = pl.col("rana")
        row = rana.select(o=mcclellan_oscillator(net), s=mcclellan_summation_neutral(net)).row(-1)
        return float(row[0]), float(row[1])

    needed = mcclellan_ratio_needs(*both(past), level)
    assert both(pl.concat([past, pl.Series([needed])]))[0] == pytest.approx(level, abs=1e-6)
