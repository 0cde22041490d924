"""Why a signal says what it says: the evidence stored with it, and its explanation in words.

The JSON of evidence is written by ``encoded`` and ``encoded_scores``, and read by ``evidence_of``; nowhere else.
What is put into it is decided in market.py and conviction.py.
"""

import datetime as dt
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple, Protocol

import polars as pl

from breadthflow_pipelines.model.vocabulary import ARMED_SESSION, BREADTH_SCORE, CONVICTION, HELD_BACK, LEVELS
from breadthflow_pipelines.signals.rules import RULES, Rule

Row = Mapping[str, object]


class Text(Protocol):
    """How one value is written for people. name: what it is called, for some numbers are names."""

    def __call__(self, value: object, name: str = "", /) -> str: ...


class Armed(NamedTuple):
    """The last session on which an event was armed, the sessions since, and the value furthest beyond the level."""

    session: dt.date
    gap: int
    extreme: float


class Calibration(NamedTuple):
    """How the levels of a calibrated rule were chosen for a year; the fields are those of ``calibration.CHOSEN``."""

    year: int
    stretch: float
    sample_from: dt.date
    sample_to: dt.date
    sample_sessions: int
    sample_events: int
    sample_allowed: float


@dataclass(frozen=True, slots=True)
class EventEvidence:
    """What made a rule fire.

    margin: how far the value went beyond the level. levels: by name, those of the rule; of a calibrated rule, those of
    the year. unknown: columns that were null and passed. held_back: the rule's action, where an outage made it a hold.
    """

    margin: float
    levels: Mapping[str, float]
    armed: Armed | None = None
    unknown: Sequence[str] = ()
    calibration: Calibration | None = None
    held_back: str | None = None

    def facts(self) -> dict[str, object]:
        """What is stored, beside ``held_back``."""
        facts: dict[str, object] = {LEVELS: _in_order(self.levels), "margin": self.margin}
        if self.armed:
            facts |= {ARMED_SESSION: self.armed.session, "extreme": self.armed.extreme, "gap": self.armed.gap}
        if self.calibration:
            facts["calibration"] = _in_order(self.calibration._asdict())
        if self.unknown:
            facts["unknown"] = self.unknown
        return facts


class ScorePart(NamedTuple):
    """One component of a breadth score; value and z are null where they are not known."""

    value: float | None
    weight: float
    z: float | None


@dataclass(frozen=True, slots=True)
class ScoreEvidence:
    """The components of a breadth score by name, and the share of the weights that had a z. held_back: as of events."""

    components: Mapping[str, ScorePart]
    weight: float
    held_back: str | None = None


class LastThrust(NamedTuple):
    """The session on which a dimension last had a thrust, and the rules that fired then."""

    fired: dt.date
    rules: Sequence[str]


@dataclass(frozen=True, slots=True)
class ConvictionEvidence:
    """The dimensions that can be computed, and of those that are on the last thrust. held_back: as of events."""

    computable: Sequence[str]
    on: Mapping[str, LastThrust]
    held_back: str | None = None

    def facts(self) -> dict[str, object]:
        """What is stored, beside ``held_back``."""
        return {
            "computable": self.computable,
            "on": _in_order({name: last._asdict() for name, last in self.on.items()}),
        }


Evidence = EventEvidence | ScoreEvidence | ConvictionEvidence

_json = json.JSONEncoder(default=str).encode


def encoded(evidence: EventEvidence | ConvictionEvidence) -> str:
    """The JSON text that is stored, letter by letter as PostgreSQL gives it back, so that texts can be compared.

    Save tiny numbers, which are 4e-05 here and 0.00004 there; the database compares those.
    """
    facts = evidence.facts()
    if evidence.held_back is not None:
        facts[HELD_BACK] = evidence.held_back
    return _json(_in_order(facts))


def encoded_scores(rows: pl.DataFrame, weights: Mapping[str, float]) -> pl.Series:
    """The ScoreEvidence of each row as ``encoded`` would write it; by columns, for a score has a row for every session.

    rows: ``weight``, ``held_back``, and for each component ``NAME`` and ``NAME_z``. weights: of the components.
    """
    parts = {
        name: pl.struct(**_in_order({"value": pl.col(name), "weight": pl.lit(own), "z": pl.col(f"{name}_z")}))
        for name, own in weights.items()
    }
    facts = {"components": pl.struct(**_in_order(parts)), "weight": pl.col("weight")}
    whole, withheld = (
        pl.struct(**_in_order(some)).struct.json_encode() for some in (facts, {**facts, HELD_BACK: pl.col(HELD_BACK)})
    )
    compact = pl.when(pl.col(HELD_BACK).is_null()).then(whole).otherwise(withheld)
    spaced = compact.str.replace_all('":', '": ', literal=True).str.replace_all(',"', ', "', literal=True)
    return rows.select(spaced.alias("evidence")).to_series()


def _in_order(facts: Mapping[str, Any]) -> dict[str, Any]:
    """The facts in the order of PostgreSQL's JSONB: shorter names first, those of a length by alphabet."""
    return {name: facts[name] for name in _ordered(tuple(facts))}


@lru_cache(maxsize=1024)  # the names are the same for every session
def _ordered(names: tuple[str, ...]) -> list[str]:
    return sorted(names, key=lambda name: (len(name), name))


def evidence_of(rule: str, stored: Mapping[str, Any]) -> Evidence:
    """The evidence of a rule's signal out of its stored JSON object.

    Raises:
        KeyError: it is not evidence of that rule.
    """
    held_back = stored.get(HELD_BACK)
    if rule == BREADTH_SCORE:
        parts = {name: ScorePart(**part) for name, part in stored["components"].items()}
        return ScoreEvidence(parts, stored["weight"], held_back)
    if rule == CONVICTION:
        on = {name: LastThrust(_date(last["fired"]), last["rules"]) for name, last in stored["on"].items()}
        return ConvictionEvidence(stored["computable"], on, held_back)
    return EventEvidence(
        margin=stored["margin"],
        levels=stored[LEVELS],
        armed=Armed(_date(stored[ARMED_SESSION]), stored["gap"], stored["extreme"])
        if ARMED_SESSION in stored
        else None,
        unknown=stored.get("unknown", ()),
        calibration=_calibration(stored["calibration"]) if "calibration" in stored else None,
        held_back=held_back,
    )


def _calibration(stored: Mapping[str, Any]) -> Calibration:
    days = {name: _date(stored[name]) for name in ("sample_from", "sample_to")}
    return Calibration(**{**stored, **days})


def _date(text: str) -> dt.date:
    return dt.date.fromisoformat(text)


class Explanation(NamedTuple):
    """A signal explained.

    title: action, market and session. parts: lines of text and tables, in the order in which they are read; a table is
    its rows, which have the same columns. columns: what to show of the sessions behind the signal; nothing of a signal
    that rests on its own session alone.
    """

    title: str
    parts: list[str | list[Row]]
    columns: tuple[str, ...]


def explanation(signal: Mapping[str, Any], text: Text) -> Explanation:
    """Explain a stored signal: its rule, published source, levels, and evidence.

    signal: a row of market_signals, its evidence as an object.
    """
    rule = RULES[signal["rule"]]
    evidence = evidence_of(rule.name, signal["evidence"])
    levels = evidence.levels if isinstance(evidence, EventEvidence) else rule.thresholds
    market = f"{signal['universe']} {signal['segment']}"
    parts: list[str | list[Row]] = [
        f"Rule         {rule.name}: {rule.about}",
        f"Source       {rule.source}",
        f"Parameters   {pairs({**rule.parameters, **levels}, text)}",
        f"Value        {text(signal['value'])} against {text(signal['threshold'])}",
        f"Confidence   {text(signal['confidence'])}: strength of the evidence, not a probability",
    ]
    if not signal["calibrated"]:
        parts.append(f"Calibration  none: the thresholds were not published for {market}")
    parts += _explained(evidence, text)
    title = f"{signal['action'].upper()} {market} at the close of {signal['session']} ({signal['state']})"
    return Explanation(title, parts, ("session", "members", "priced", "advances", "declines", *_looked_at(rule)))


def pairs(values: Mapping[str, object], text: Text) -> str:
    """Names and values in one line."""
    return ", ".join(f"{name} {text(value, name)}" for name, value in values.items())


def _looked_at(rule: Rule) -> Sequence[str]:
    return sorted(rule.thrust.columns) if rule.thrust else ("zweig_ema", "mcclellan_oscillator_ratio")


def _explained(evidence: Evidence, text: Text) -> list[str | list[Row]]:
    """Each fact as a line ``name value`` or, where it is one of several things, as a table. Levels are parameters."""

    def line(name: str, said: str) -> str:
        return f"{name:<12} {said}"

    held_back = [] if evidence.held_back is None else [line(HELD_BACK, evidence.held_back)]
    if isinstance(evidence, ScoreEvidence):
        rows: list[Row] = [
            {"components": name, "z": part.z, "value": part.value, "weight": part.weight}
            for name, part in evidence.components.items()
        ]
        return [line("weight", text(evidence.weight)), *held_back, rows]
    if isinstance(evidence, ConvictionEvidence):
        on: list[Row] = [{"on": name, **last._asdict()} for name, last in evidence.on.items()]
        return [on or line("on", ""), *held_back, line("computable", text(evidence.computable))]
    armed, calibration = evidence.armed, evidence.calibration
    parts = [line("gap", text(armed.gap))] if armed else []
    parts.append(line("margin", text(evidence.margin)))
    if armed:
        parts.append(line("extreme", text(armed.extreme)))
    if evidence.unknown:
        parts.append(line("unknown", text(evidence.unknown)))
    parts += held_back
    if calibration:
        shown = ("year", "stretch", "sample_to", "sample_from", "sample_events", "sample_allowed", "sample_sessions")
        parts.append(line("calibration", pairs({name: getattr(calibration, name) for name in shown}, text)))
    if armed:
        parts.append(line(ARMED_SESSION, text(armed.session)))
    return list(parts)
