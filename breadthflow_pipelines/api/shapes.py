"""The rows that the API gives: which fields each kind has, and its model in the OpenAPI document."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pyarrow as pa
from pydantic import BaseModel, ConfigDict, create_model
from pydantic import Field as PydanticField

from breadthflow_pipelines.api.fields import Field, among, field, nullable, of_counts, of_indicators, of_table
from breadthflow_pipelines.indicators.breadth_catalogue import CATALOGUE
from breadthflow_pipelines.indicators.relative import RELATIVE_STRENGTH
from breadthflow_pipelines.indicators.technical import TECHNICAL
from breadthflow_pipelines.model.vocabulary import (
    ACTIONS,
    KEY,
    MARKET_SIGNAL,
    PORTFOLIOS,
    PRICES,
    SIGNAL_RECORD,
    STATES,
    STATUSES,
    THRESHOLD_KINDS,
    VERDICTS,
    WINDOW_STATES,
)
from breadthflow_pipelines.signals.symbols import SYMBOL_RULES, VOTE_COLUMNS


@dataclass(frozen=True)
class Shape:
    """One kind of row. key: the fields that are there whichever are asked for.

    catalogued: those that a store may lack, because no run has computed them there yet.
    """

    name: str
    about: str
    key: tuple[str, ...]
    fields: Sequence[Field]
    catalogued: frozenset[str] = frozenset()

    @property
    def names(self) -> list[str]:
        """The names of its fields, in order."""
        return [each.name for each in self.fields]

    @cached_property
    def row(self) -> type[BaseModel]:
        """The model of a row."""
        declared: dict[str, Any] = {each.name: each.declared(required=each.name in self.key) for each in self.fields}
        config = ConfigDict(json_schema_extra=_without_defaults, protected_namespaces=())
        made: type[BaseModel] = create_model(self.name, __config__=config, __doc__=self.about, **declared)
        return made

    @cached_property
    def page(self) -> type[BaseModel]:
        """The model of a page of rows."""
        made: type[BaseModel] = create_model(
            f"{self.name}Page",
            __doc__=f"A page of rows. {self.about}",
            rows=(list[self.row], PydanticField(description="The rows, in the order of their key.")),  # type: ignore[name-defined]
            next=(
                str | None,
                PydanticField(
                    description="What to send as cursor to get the next page; null: this is the last one.",
                    examples=["WyI5ZjQyIiwic3A1MDAiXQ"],
                ),
            ),
        )
        return made

    def arrow(self, names: Sequence[str]) -> pa.Schema:
        """The columns of an Arrow table of these fields."""
        by_name = {each.name: each for each in self.fields}
        return pa.schema([by_name[name].arrow for name in names])


def _without_defaults(schema: dict[str, Any]) -> None:
    """A field that may be left out has no default; and its name says more than a title made of it."""
    for each in schema.get("properties", {}).values():
        each.pop("default", None)
        each.pop("title", None)


_SYNTHETIC = field("synthetic", bool, "whether the companies of the universe are invented", example=False)
_RECORD = among(nullable(of_table("signal_records", SIGNAL_RECORD)), verdict=VERDICTS)
_PRICE_INDICATORS = (*TECHNICAL, RELATIVE_STRENGTH)

SESSION = Shape(
    "Session",
    "A session of a universe as a whole: how much of it is there.",
    ("universe", "session"),
    [
        *among(of_table("breadth_indicators", ("universe", "session", "state")), state=STATES),
        *(each for each in of_counts() if each.name in ("members", "priced", "coverage")),
        _SYNTHETIC,
    ],
)
BREADTH = Shape(
    "Breadth",
    "Counts and indicators of a universe, or of one of its sectors, on a session.",
    KEY,
    [
        *among(of_table("breadth_indicators", (*KEY, "state")), state=STATES),
        *of_counts(),
        field(
            "doubts", list, "rules that published counts of the session fail; null: counted from bars", nullable=True
        ),
        field("issue_scale", float, "factor for published counts of another list of issues", nullable=True),
        *of_indicators(CATALOGUE.values()),
        _SYNTHETIC,
    ],
    catalogued=frozenset(CATALOGUE),
)
SIGNAL = Shape(
    "Signal",
    "A signal of a universe, or of one of its sectors, with what the record of its rule was when it was given.",
    ("signal_id", *KEY),
    [*among(of_table("market_signals", MARKET_SIGNAL), action=ACTIONS, state=STATES), *_RECORD, _SYNTHETIC],
)
SYMBOL = Shape(
    "SymbolSignal",
    "What the technical rules say of a member on a session, with its indicators, and the record of such signals.",
    ("signal_id", "universe", "session", "symbol"),
    [
        field("signal_id", str, "universe:symbol:session, by which it is explained", example="sp500:AAPL:2024-03-01"),
        *of_table("symbol_signals", ("universe", "session")),
        *of_table("security_symbols", ("symbol",)),
        *among(
            of_table("symbol_signals", ("action", "confidence", "strength", "regime", "gated", "convention")),
            action=ACTIONS,
        ),
        *(
            field(vote, float, rule.about.rstrip("."), unit="-1 (sell) to 1 (buy)", nullable=True)
            for vote, rule in zip(VOTE_COLUMNS, SYMBOL_RULES, strict=True)
        ),
        *of_indicators(_PRICE_INDICATORS),
        *_RECORD,
        _SYNTHETIC,
    ],
    catalogued=frozenset({*VOTE_COLUMNS, *(each.name for each in _PRICE_INDICATORS)}),
)
OUTCOME = Shape(
    "Outcome",
    "What followed a signal at one horizon, from the close of the session after it.",
    ("signal_id", "universe", "horizon"),
    [*among(of_table("signal_outcomes"), action=ACTIONS, state=WINDOW_STATES), _SYNTHETIC],
)
ACCURACY = Shape(
    "Accuracy",
    "The record of a rule held against chance, at one horizon, in one era.",
    ("universe", "rule", "action", "horizon", "era"),
    [*among(of_table("signal_accuracy"), action=ACTIONS, verdict=VERDICTS), _SYNTHETIC],
)
BACKTEST = Shape(
    "Backtest",
    "What following a rule was worth after costs, or what is held beside it; or why there is no backtest.",
    ("universe", "rule", "thresholds", "portfolio", "cost"),
    [*among(of_table("backtests"), thresholds=THRESHOLD_KINDS, portfolio=PORTFOLIOS), _SYNTHETIC],
)
REJECTED = Shape(
    "Rejected",
    "A row that broke the contract of bars, or a bar that a rule flags.",
    ("rejected_id",),
    among(
        [
            field("rejected_id", str, "names the row", example="100231:2024-03-01:spike"),
            *nullable(of_table("rejected_bars", ("session", "symbol", "source"))),
            field("reason", str, "the rules that it breaks, or the rule that flags it"),
            field("status", str, "what became of it; null: with as_of, where that is not kept", nullable=True),
            *nullable(of_table("rejected_bars", (*PRICES, "volume", "raw"))),
            field("evidence", dict, "what the rule saw", nullable=True),
            field("found_at", dt.datetime, "when it was found"),
            field("run_id", str, "the run that found it; null: a person decided on it since", nullable=True),
        ],
        status=("rejected", "gone", *STATUSES),
    ),
)
REJECTED_COUNT = Shape(
    "RejectedCount",
    "A line of published counts that broke its contract.",
    ("rejected_id",),
    [
        field("rejected_id", str, "names the line", example="5d41402abc4b2a76b9719d911017c592"),
        *of_table("rejected_counts", ("exchange",)),
        field("file", str, "which file"),
        *of_table("rejected_counts", ("line", "session", "value", "reason", "rejected_at", "run_id")),
    ],
)
