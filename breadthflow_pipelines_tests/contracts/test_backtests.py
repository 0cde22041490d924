"""The contracts of backtests refuse what could not be."""

import datetime as dt
from typing import Any

import polars as pl
import pytest

from breadthflow_pipelines.contracts.backtests import FIGURES, TRADES, YEARS
from breadthflow_pipelines.contracts.verdict import REASONS, judge
from breadthflow_pipelines.evaluation.backtests import FIGURES_SCHEMA, TRADES_SCHEMA, YEARS_SCHEMA

DAY = dt.date(2024, 1, 2)
KEY = {"universe": "u", "rule": "r", "thresholds": "fixed"}
OF = {
    "figures": (
        FIGURES,
        FIGURES_SCHEMA,
        {**KEY, "portfolio": "rule", "cost": 10.0, "cagr": 0.1, "max_drawdown": -0.2, "hit_rate": 0.5},
    ),
    "trades": (
        TRADES,
        TRADES_SCHEMA,
        {
            **KEY,
            "entry_session": DAY,
            "sessions": 3,
            "weight": 1.0,
            "market": 0.1,
            "return": 0.1,
            "signal_id": "a",
            "signals": 1,
        },
    ),
    "years": (
        YEARS,
        YEARS_SCHEMA,
        {
            "universe": "u",
            "rule": "r",
            "year": 2025,
            "threshold": 60.0,
            "sample_from": dt.date(2019, 1, 2),
            "sample_to": DAY,
            "in_sample": 1.0,
            "out_of_sample": None,
        },
    ),
}


@pytest.mark.parametrize(
    ("what", "changed", "fault"),
    [
        ("figures", {}, None),
        ("figures", {"cagr": None, "reason": "no signal"}, None),
        ("figures", {"cagr": None}, "no figures without a reason, or figures with one"),
        ("figures", {"reason": "no signal"}, "no figures without a reason, or figures with one"),
        ("figures", {"sharpe": float("inf")}, "a figure not finite"),
        ("figures", {"cagr_as_good": 1.1}, "a share outside 0 to 1"),
        ("figures", {"max_drawdown": 0.1}, "a fall outside -1 to 0"),
        ("figures", {"portfolio": "mine"}, "thresholds, portfolio, basis or cash unknown"),
        ("trades", {}, None),
        ("trades", {"signal_id": None}, "no signal"),
        ("trades", {"exit_session": DAY}, "left before it was entered"),
        ("trades", {"return": float("nan")}, "a figure not finite"),
        ("years", {}, None),
        ("years", {"sample_to": dt.date(2025, 1, 2)}, "chosen by its own year, or later"),  # it would know itself
    ],
)
def test_what_could_not_be_is_refused(what: str, changed: dict[str, Any], fault: str | None) -> None:
    schema, columns, row = OF[what]
    verdict = judge(schema, pl.DataFrame([{**dict.fromkeys(columns.names()), **row, **changed}], schema=columns))
    assert [reasons for (reasons,) in verdict.rejected.select(REASONS).iter_rows()] == ([[fault]] if fault else [])
