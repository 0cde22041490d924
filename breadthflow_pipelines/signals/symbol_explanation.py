"""Why a member's signal says what it says: the votes, what they look at, and how breadth and unknown votes count.

A member's signal follows from its own row, so nothing but the row is stored. How it is made is in symbols.py.
"""

from collections.abc import Mapping
from typing import Any

from breadthflow_pipelines.model.vocabulary import BUY, SELL
from breadthflow_pipelines.signals.explanation import Explanation, Row, Text, pairs
from breadthflow_pipelines.signals.rules import BUY_AT, SELL_AT
from breadthflow_pipelines.signals.symbols import ACT_AT, SYMBOL_RULES, UNKNOWN_REGIME, SymbolRule


def symbol_explanation(signal: Mapping[str, Any], text: Text) -> Explanation:
    """Explain a stored signal of a member: what the rules say together, breadth, each vote, and what is unknown.

    signal: a row of symbol_signals with the symbol, the state of its session and RULE_COLUMNS, null where unknown.
    """
    votes = {rule.name: signal.get(f"vote_{rule.name}") for rule in SYMBOL_RULES}
    weight = sum(rule.weight for rule in SYMBOL_RULES if votes[rule.name] is not None)
    strength = signal["strength"]
    adds = {rule.name: _times(votes[rule.name], rule.weight / weight) for rule in SYMBOL_RULES}
    table: list[Row] = [
        {
            "rule": rule.name,
            "vote": votes[rule.name],
            "weight": rule.weight,
            "adds": adds[rule.name],
            "looked_at": pairs(_inputs(rule, signal), text),
            "levels": pairs(rule.levels, text),
        }
        for rule in SYMBOL_RULES
    ]
    sources: list[Row] = [{"rule": rule.name, "says": rule.about, "source": rule.source} for rule in SYMBOL_RULES]
    return Explanation(
        f"{signal['action'].upper()} {signal['universe']} {signal['symbol']} at the close of {signal['session']} "
        f"({signal['state'] or 'its breadth is not stored'})",
        [
            f"Strength     {text(strength)}: buy from {text(ACT_AT)} on, sell from {text(-ACT_AT)} down",
            f"Breadth      {_breadth(signal, text)}",
            f"Confidence   {_confidence(signal, weight, text)}: strength of the evidence, not a probability",
            *_unknown(votes, signal),
            table,
            sources,
        ],
        (),
    )


def _times(vote: float | None, factor: float) -> float | None:
    return None if vote is None else vote * factor


def _inputs(rule: SymbolRule, signal: Mapping[str, Any]) -> dict[str, Any]:
    return {name: signal.get(name) for name in rule.columns}


def _breadth(signal: Mapping[str, Any], text: Text) -> str:
    """What the universe's score did to the action."""
    if signal["regime"] is None:
        return "score unknown: it holds nothing back"
    held = f" held back the {BUY if signal['strength'] > 0 else SELL}" if signal["gated"] else ""
    gates = f"no buy at {text(SELL_AT)} and below, no sell at {text(BUY_AT)} and above"
    return f"score {text(signal['regime'])}{held}: {gates}"


def _confidence(signal: Mapping[str, Any], weight: float, text: Text) -> str:
    halved = f" x {text(UNKNOWN_REGIME)} (the score is unknown)" if signal["regime"] is None else ""
    size = abs(signal["strength"])
    return f"{text(signal['confidence'])} = {text(size)} x {text(weight)} (the weights that voted){halved}"


def _unknown(votes: Mapping[str, float | None], signal: Mapping[str, Any]) -> list[str]:
    """A line for each vote that is missing, and one where what the votes looked at is."""
    silent = [
        f"Unknown      {rule.name} has no vote{_without(rule, signal)}"
        for rule in SYMBOL_RULES
        if votes[rule.name] is None
    ]
    lacking = sorted(
        {
            name
            for rule in SYMBOL_RULES
            if votes[rule.name] is not None
            for name, value in _inputs(rule, signal).items()
            if value is None
        }
    )
    lost = [f"Unknown      no longer stored beside the votes: {', '.join(lacking)}"] if lacking else []
    return silent + lost


def _without(rule: SymbolRule, signal: Mapping[str, Any]) -> str:
    lacking = [name for name, value in _inputs(rule, signal).items() if value is None]
    return f": {' and '.join(lacking)} {'is' if len(lacking) == 1 else 'are'} unknown" if lacking else ""
