"""The contracts of sums and records of symbol signals refuse what could not be."""

import datetime as dt

import polars as pl
import pytest

from breadthflow_pipelines.contracts.calibration import ACCURACY, RECORDS, SUMS
from breadthflow_pipelines.contracts.verdict import REASONS, judge
from breadthflow_pipelines.evaluation.calibration import SUMS_SCHEMA, calibration
from breadthflow_pipelines.evaluation.symbol_record import RECORDS_SCHEMA, judged

GOOD_SUMS = {
    **dict.fromkeys(SUMS_SCHEMA.names(), 0.5),
    "universe": "u",
    "month": dt.date(2024, 1, 1),
    "horizon": 5,
    "rule": "combined",
    "action": "buy",
    "grouped_by": "all",
    "bin": 0,
    "sessions": 2,
    "signals": 3.0,
    "hits": 1.0,
}
GOOD_RECORD = {
    "universe": "u",
    "month": dt.date(2024, 1, 1),
    "rule": "combined",
    "action": "sell",
    "record_hit_rate": 0.4,
    "record_base_rate": 0.5,
    "record_n": 100,
    "verdict": "suggestive",
}


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({}, None),
        ({"horizon": 6}, "horizon, action or grouping unknown"),
        ({"action": "all"}, None),  # tenths of strength
        ({"month": dt.date(2024, 1, 2)}, "not the first day of a month"),
        ({"signals": 1.0}, "no signals, or fewer than sessions"),
        ({"hits": 4.0}, "more hits than signals"),
        ({"relative": float("nan")}, "a sum not finite"),
    ],
)
def test_sums(change: dict[str, object], fault: str | None) -> None:
    verdict = judge(SUMS, pl.DataFrame([GOOD_SUMS | change], schema=SUMS_SCHEMA))
    assert verdict.rejected[REASONS].to_list() == ([] if fault is None else [[fault]])


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({}, None),
        ({"hit_rate": 1.01}, "a rate outside 0 to 1"),
        ({"skill": float("-inf")}, "a figure not finite"),
        ({"signals": 1}, "no signals, or fewer than sessions"),
        ({"verdict": "good"}, "a verdict unknown"),
        ({"verdict": None}, "a verdict of what was not judged"),
        ({"verdict": None, "p": None, "p_family": None, "windows": None}, None),  # tenths of confidence
    ],
)
def test_rates(change: dict[str, object], fault: str | None) -> None:
    told = judged(calibration(pl.DataFrame([GOOD_SUMS], schema=SUMS_SCHEMA)))
    rated = {name: 0.5 for name, kind in told.schema.items() if kind == pl.Float64}
    row = told.row(0, named=True) | rated | {"windows": 30, "verdict": "suggestive", "reason": None}
    verdict = judge(ACCURACY, pl.DataFrame([row | change], schema=told.schema))
    assert verdict.rejected[REASONS].to_list() == ([] if fault is None else [[fault]])


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({}, None),
        ({"action": "hold"}, "action or verdict unknown"),
        ({"verdict": "good"}, "action or verdict unknown"),
        ({"record_base_rate": 1.5}, "a rate outside 0 to 1"),
        ({"record_n": 0}, "no earlier signal"),
    ],
)
def test_records(change: dict[str, object], fault: str | None) -> None:
    verdict = judge(RECORDS, pl.DataFrame([GOOD_RECORD | change], schema=RECORDS_SCHEMA))
    assert verdict.rejected[REASONS].to_list() == ([] if fault is None else [[fault]])
