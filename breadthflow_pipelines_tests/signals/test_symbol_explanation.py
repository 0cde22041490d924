"""A member's signal in words: its votes add up to its strength, and what is unknown is said."""

import datetime as dt
from typing import Any

import pytest

from breadthflow_pipelines.reports.tables import text
from breadthflow_pipelines.signals.symbol_explanation import symbol_explanation
from breadthflow_pipelines_tests.signals.test_symbols import BLIND, STILL, full, signal


def stored(changes: dict[str, Any], score: float | None = 50.0) -> dict[str, Any]:
    """A signal as the listing gives it: as it is made of these indicators, with them and its name."""
    named = {"universe": "u", "symbol": "ABC", "session": dt.date(2024, 3, 1), "state": "final"}
    return {**STILL, **changes, **signal(changes, score), **named}


def lines(row: dict[str, Any]) -> list[str]:
    return [part for part in symbol_explanation(row, text).parts if isinstance(part, str)]


def test_each_vote_stands_with_what_it_looked_at_and_adds_up_to_the_strength() -> None:
    row = stored(full(("trend", "relative_strength")))  # by hand: 0.25 + 0.20 of the weights, all of which voted
    explained = symbol_explanation(row, text)
    assert explained.title == "BUY u ABC at the close of 2024-03-01 (final)"
    assert lines(row) == [
        "Strength     0.450: buy from 0.350 on, sell from -0.350 down",
        "Breadth      score 50.00: no buy at 40.00 and below, no sell at 60.00 and above",
        "Confidence   0.450 = 0.450 x 1.00 (the weights that voted): strength of the evidence, not a probability",
    ]
    votes, sources = (part for part in explained.parts if not isinstance(part, str))
    by_rule = {row["rule"]: row for row in votes}
    assert by_rule["trend"] == {
        "rule": "trend",
        "vote": 1.0,
        "weight": 0.25,
        "adds": pytest.approx(0.25),
        "looked_at": "close 130.00, sma_200 100.00, sma_50 120.00",
        "levels": "close_full_at 0.200, sma_50_full_at 0.150",
    }
    assert by_rule["rsi"]["levels"] == "buy_below 30.00, sell_above 70.00, full_beyond 10.00"
    assert sum(row["adds"] for row in votes) == pytest.approx(row["strength"])
    assert {row["rule"] for row in sources} == set(by_rule)
    assert explained.columns == ()


def test_a_vote_that_is_missing_is_named_with_what_was_unknown() -> None:
    row = stored({**full(("relative_strength", "momentum")), **BLIND["trend"]})
    assert lines(row)[2:] == [
        # by hand: (0.20 + 0.15) / 0.75, times the weights that voted
        "Confidence   0.350 = 0.467 x 0.750 (the weights that voted): strength of the evidence, not a probability",
        "Unknown      trend has no vote: sma_200 is unknown",
    ]
    [votes, _] = [part for part in symbol_explanation(row, text).parts if not isinstance(part, str)]
    assert [vote["adds"] for vote in votes if vote["rule"] == "trend"] == [None]
    never_moved = stored({"atr_14": 0.0})
    assert lines(never_moved)[-1] == "Unknown      momentum has no vote"


def test_breadth_that_held_an_action_back_or_is_unknown_is_said() -> None:
    strong = full(("trend", "relative_strength"))
    held = symbol_explanation(stored(strong, score=38.0), text)
    assert held.title.startswith("HOLD")
    assert (
        "Breadth      score 38.00 held back the buy: no buy at 40.00 and below, no sell at 60.00 and above"
        in held.parts
    )
    told = lines(stored(strong, score=None))
    assert told[1:3] == [
        "Breadth      score unknown: it holds nothing back",
        "Confidence   0.225 = 0.450 x 1.00 (the weights that voted) x 0.500 (the score is unknown): "
        "strength of the evidence, not a probability",
    ]


def test_indicators_that_are_gone_are_said_to_be() -> None:
    row = stored(full(("trend",)))
    row |= {"rsi_14": None, "close": None, "state": None}
    assert lines(row)[-1] == "Unknown      no longer stored beside the votes: close, rsi_14"
    assert symbol_explanation(row, text).title.endswith("(its breadth is not stored)")
