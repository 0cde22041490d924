"""The contracts of outcomes and records refuse what could not be."""

import datetime as dt

import polars as pl
import pytest

from breadthflow_pipelines.contracts.evaluation import ACCURACY, OUTCOMES, RECORDS, RETURNS, STABILITY
from breadthflow_pipelines.contracts.verdict import REASONS, judge
from breadthflow_pipelines.evaluation.significance import ACCURACY_SCHEMA
from breadthflow_pipelines.model.vocabulary import VARIATIONS

DAY = dt.date(2024, 1, 2)
KEY = {"universe": "u", "segment": "ALL", "session": DAY}
GOOD = {
    "returns": {
        **KEY,
        "return": 0.01,
        "intraday": 0.002,
        "members": 3,
        "contributing": 2,
        "missing": 1,
        "first": 0,
        "gap": 0,
        "adjusted": 0,
    },
    "outcomes": {
        "signal_id": "a",
        **KEY,
        "rule": "r",
        "action": "buy",
        "horizon": 5,
        "state": "closed",
        "entry_session": dt.date(2024, 1, 3),
        "exit_session": dt.date(2024, 1, 10),
        "return": 0.1,
        "base_return": 0.02,
        "excess": 0.08,
        "drawdown": -0.01,
        "hit": True,
        "basis": "price",
        "return_from_open": 0.12,
    },
    "records": {
        "signal_id": "a",
        "universe": "u",
        "session": DAY,
        "record_hit_rate": 0.7,
        "record_base_rate": 0.6,
        "record_n": 9,
        "verdict": "suggestive",
    },
    "stability": {
        "universe": "u",
        "rule": "r",
        "variation": "dropout",
        "reruns": 100,
        "events": 9,
        "kept": 0.9,
        "kept_least": 0.5,
        "jaccard": 0.8,
    },
    "accuracy": {
        **dict.fromkeys((*ACCURACY_SCHEMA.names(), *(f"kept_{variation}" for variation in VARIATIONS))),
        "universe": "u",
        "rule": "r",
        "action": "buy",
        "horizon": 5,
        "era": "all",
        "verdict": "cannot be judged",
        "reason": "no event",
        "eligible": 9,
        "events": 0,
        "open": 0,
        "left_out": 0,
        "episodes": 0,
        "effective_n": 0,
    },
}
CONTRACTS = {
    "returns": RETURNS,
    "outcomes": OUTCOMES,
    "records": RECORDS,
    "stability": STABILITY,
    "accuracy": ACCURACY,
}


def frame(name: str, **changed: object) -> pl.DataFrame:
    types = {column: kind.dtype.type for column, kind in CONTRACTS[name].columns.items()}
    row = {**GOOD[name], **changed}
    return pl.DataFrame([{column: row[column] for column in types}], schema=types)


@pytest.mark.parametrize("name", CONTRACTS)
def test_a_row_as_it_should_be_keeps_the_contract(name: str) -> None:
    assert judge(CONTRACTS[name], frame(name)).rejected.is_empty()


@pytest.mark.parametrize(
    ("name", "changed", "reason"),
    [
        ("returns", {"missing": 2}, "counted exactly once"),
        ("returns", {"return": None}, "members without one"),
        ("outcomes", {"state": "open"}, "not closed and told"),
        ("outcomes", {"entry_session": DAY}, "not after"),  # the signal's own close
        ("outcomes", {"action": "hold"}, "a hold that hits"),
        ("outcomes", {"horizon": 6}, "horizon"),
        ("outcomes", {"return_from_open": -1.1}, "return from the open out of bounds"),
        ("outcomes", {"state": "open", "return": None}, "told from the open"),
        ("returns", {"intraday": float("nan")}, "intraday not finite"),
        ("returns", {"contributing": 0, "missing": 3, "return": None}, "intraday of nobody"),
        ("records", {"record_hit_rate": 1.2}, "outside 0 to 1"),
        ("stability", {"variation": "weather"}, "variation unknown"),
        ("stability", {"events": 0}, "nothing to keep"),
        ("stability", {"kept_least": -0.1}, "outside 0 to 1"),
        ("accuracy", {"kept_closes": 1.2}, "outside 0 to 1"),
        ("accuracy", {"reason": None}, "without a reason"),
        ("accuracy", {"events": 10}, "more events than sessions"),
        ("accuracy", {"era": "since_decimals", "p_family": 0.5}, "a part of history"),
    ],
)
def test_a_row_that_cannot_be_is_refused(name: str, changed: dict[str, object], reason: str) -> None:
    rejected = judge(CONTRACTS[name], frame(name, **changed)).rejected
    assert any(reason in one for one in rejected[REASONS][0])
