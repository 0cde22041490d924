"""What is shown of symbol signals: the base rate beside the rate, small pictures, synthetic markets named as such."""

import polars as pl
import pytest

from breadthflow_pipelines.evaluation.calibration import calibration
from breadthflow_pipelines.evaluation.symbol_record import judged
from breadthflow_pipelines.reports.calibration import calibration_charts, calibration_sentence
from breadthflow_pipelines_tests.evaluation.test_symbol_record import sums_of
from breadthflow_pipelines_tests.reports.test_charts import FOLDED_FROM, pictures, titles


@pytest.fixture(scope="module")
def found() -> pl.DataFrame:
    return judged(calibration(sums_of(1, 600, 0.9, horizons=(63,)).with_columns(universe=pl.lit("demo"))))


def test_a_sentence_has_the_base_rate_beside_the_rate_and_the_verdict(found: pl.DataFrame) -> None:
    row = found.filter(rule="combined", action="buy", grouped_by="all").row(0, named=True)
    told = row | {"signals": 12_345, "hit_rate": 0.512, "base_rate": 0.498, "skill": -0.1, "verdict": "suggestive"}
    assert calibration_sentence("demo", told) == (
        "**demo**: of 12,345 buys, 51.2% beat the mean of their universe over the next 63 sessions; of all members, "
        "49.8% did: suggestive. Read as a probability, their confidence is a worse forecast than that rate."
    )
    assert "trailed" in calibration_sentence("demo", told | {"action": "sell"})
    assert "judged (1 of the 5)" in calibration_sentence(
        "demo", told | {"verdict": "cannot be judged", "reason": "1 of the 5"}
    )
    assert calibration_sentence("demo", told | {"action": "hold"}) == ""


def test_charts_are_named_small_and_say_where_they_are_synthetic(found: pl.DataFrame) -> None:
    shown = calibration_charts(found, {"demo"})
    assert shown["now"].count("demo (SYNTHETIC, not real prices)") == 2
    assert len(shown["now"]) < FOLDED_FROM
    assert len(pictures(shown["charts"])) == 2
    assert all("SYNTHETIC" in title for title in titles(shown["charts"]))
    assert len(shown["charts"]) < 12_000
    assert "SYNTHETIC" not in calibration_charts(found, set())["now"]


def test_before_a_window_has_closed_there_is_nothing(found: pl.DataFrame) -> None:
    assert calibration_charts(found.filter(horizon=5), set()) == {}
