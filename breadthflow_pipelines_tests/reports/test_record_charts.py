"""Pictures of records: never a rate without its base rate and interval, and none of what cannot be judged."""

import subprocess
import sys
from typing import Any
from urllib.parse import unquote

import polars as pl

from breadthflow_pipelines.reports import svg
from breadthflow_pipelines.reports.record_charts import record_charts


def record(rule: str, horizon: int, lift_low: float | None, verdict: str = "not distinguishable") -> dict[str, Any]:
    return {
        "rule": rule,
        "action": "buy",
        "horizon": horizon,
        "events": 16,
        "hit_rate": 0.75,
        "base_rate": 0.6,
        "lift_low": lift_low,
        "lift_high": 0.2,
        "verdict": verdict,
    }


def test_every_horizon_has_a_picture_with_its_rules() -> None:
    rows = [record("b", 63, -0.1), record("a", 63, 0.1, "survives"), record("a", 5, -0.1), record("c", 5, None)]
    pictures = [unquote(part) for part in record_charts("u", pl.DataFrame(rows)).split("\n\n")]
    assert len(pictures) == 2
    assert "u: right after 5 sessions" in pictures[0]
    assert pictures[1].index("a, buy") < pictures[1].index("b, buy")
    assert "75% of 16, base 60%" in pictures[1]
    assert "c, buy" not in pictures[0]  # it cannot be judged
    assert svg.UP in pictures[1]
    assert svg.UP not in pictures[0]


def test_where_nothing_can_be_judged_there_is_no_picture() -> None:
    assert record_charts("u", pl.DataFrame([record("a", 5, None)], schema_overrides={"lift_low": pl.Float64})) == ""


def test_words_of_records_wait_for_no_frames() -> None:
    """Commands print them."""
    asked = "import sys, breadthflow_pipelines.reports.records; sys.exit('polars' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", asked], check=False).returncode == 0
