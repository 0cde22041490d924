"""What a field of an answer is: its type, what it says, its unit, an example, whether it can be null.

Descriptions come from the declarations that everything else follows: the store's columns, the counts, the catalogues of
indicators. Which fields an answer has is in shapes.py.
"""

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import pyarrow as pa
from pydantic import Field as PydanticField

from breadthflow_pipelines.indicators.definition import Indicator
from breadthflow_pipelines.model.counts import COUNTS
from breadthflow_pipelines.warehouse.described import described

_FRACTION, _RATIO, _PRICE = "fraction", "ratio", "price as the source gives it"
# By name, the unit of numbers whose names do not tell.
_UNITS: Mapping[str, str] = {
    **dict.fromkeys(("coverage", "record_hit_rate", "record_base_rate", "hit_rate", "base_rate", "lift"), _FRACTION),
    **dict.fromkeys(
        ("return", "base_return", "excess", "drawdown", "return_from_open", "mean", "base_mean"), _FRACTION
    ),
    **dict.fromkeys(("median", "base_median", "p10", "p90", "base_drawdown", "mean_from_open", "exposure"), _FRACTION),
    **dict.fromkeys(("hit_rate_from_open", "base_rate_from_open", "detectable", "base_matched"), _FRACTION),
    **dict.fromkeys(("lift_low", "lift_high", "max_drawdown"), _FRACTION),
    **dict.fromkeys(("p_rotation", "p_mean", "p_matched", "p_family", "p_holm"), "probability"),
    **dict.fromkeys(("sharpe", "sortino", "calmar", "profit_factor", "issue_scale"), _RATIO),
    **dict.fromkeys(("cagr", "volatility"), "fraction a year"),
    **dict.fromkeys(("open", "high", "low", "close"), _PRICE),
    **dict.fromkeys(("horizon", "eligible", "effective_n"), "sessions"),
    "turnover": "portfolios a year",
    "cost": "basis points",
    "volume": "shares",
    "confidence": "0 to 1",
    "strength": "-1 to 1",
    "regime": "points, 0 to 100",
    "value": "that of the rule's indicator",
    "threshold": "that of the rule's indicator",
    "convention": "version",
    "line": "number of a line, from 1",
}
_BY_PREFIX = (("kept_", _FRACTION), ("cagr_", "fraction a year"), ("sharpe_", _RATIO), ("max_drawdown_", _FRACTION))
_OF_KINDS: Mapping[type, str] = {
    str: "text",
    bool: "true or false",
    int: "number of them",
    dt.date: "day of the exchange, YYYY-MM-DD",
    dt.datetime: "moment with its zone, RFC 3339",
    list: "list of texts",
    dict: "object",
}
_EXAMPLES: Mapping[str, Any] = {
    "universe": "sp500",
    "segment": "ALL",
    "symbol": "AAPL",
    "rule": "zweig_breadth_thrust",
    "signal_id": "0123456789abcdef",
    "source": "files",
    "reason": "high below low",
    "run_id": "6f1c1a54-3c0e-4a53-9d0a-2f7c1f8f2a11",
    "horizon": 63,
    "members": 503,
    "priced": 501,
    "coverage": 0.996,
    "convention": 4,
    "era": "all",
    "evidence": {"levels": {"fires_above": 0.615}, "margin": 0.012},
    "doubts": ["issues_doubled"],
    "exchange": "NYSE",
    "file": "NYSE_advn.csv",
    "basis": "total return",
    "thresholds": "fixed",
    "portfolio": "rule",
    "held": "members in equal parts",
    "cash": "nothing",
    "family": "market rules",
    "raw": "2024-03-01,AAPL,179.55,x",
}
_EXAMPLES_OF_KINDS: Mapping[type, Any] = {
    str: "text",
    bool: True,
    int: 12,
    float: 0.25,
    dt.date: "2024-03-01",
    dt.datetime: "2024-03-01T22:15:00Z",
    list: ["text"],
    dict: {},
}
_ARROW: Mapping[type, pa.DataType] = {
    str: pa.string(),
    bool: pa.bool_(),
    int: pa.int64(),
    float: pa.float64(),
    dt.date: pa.date32(),
    dt.datetime: pa.timestamp("us", tz="UTC"),
    list: pa.list_(pa.string()),
    dict: pa.string(),  # as JSON
}


@dataclass(frozen=True)
class Field:
    """One field. kind: its Python type. choices: of a text, all that it can be, where that is a short list."""

    name: str
    kind: type
    about: str
    unit: str
    example: Any
    nullable: bool = False
    choices: tuple[str, ...] = ()

    @property
    def arrow(self) -> pa.Field:
        """The column of an Arrow table."""
        return pa.field(self.name, _ARROW[self.kind], nullable=True)

    def declared(self, *, required: bool = False) -> tuple[Any, Any]:
        """Its type and its description, for a model of pydantic. required: whether every answer has it."""
        kind: Any = Literal[self.choices] if self.choices else list[str] if self.kind is list else self.kind
        if self.kind is dict:
            kind = dict[str, Any]
        about = f"{self.about[:1].upper()}{self.about[1:]}."
        described_as = PydanticField(
            default=... if required else None,
            description=f"{about} Unit: {self.unit}.",
            examples=[self.example],
            json_schema_extra={"x-unit": self.unit},
        )
        return kind | None if self.nullable else kind, described_as


def field(
    name: str, kind: type, about: str, *, unit: str | None = None, example: Any = None, nullable: bool = False
) -> Field:
    """A field, with the unit and the example that its name or its type has."""
    found = unit
    if found is None and kind in (int, float):
        found = _UNITS.get(name) or next((of for prefix, of in _BY_PREFIX if name.startswith(prefix)), None)
    shown = example if example is not None else _EXAMPLES.get(name, _EXAMPLES_OF_KINDS[kind])
    return Field(name, kind, about, found or _OF_KINDS[kind], shown, nullable)


def of_table(table: str, names: Iterable[str] | None = None, *, without: Sequence[str] = ()) -> list[Field]:
    """Fields that are columns of a table of the store: those named, or all but some."""
    columns = described(table)
    chosen = names if names is not None else (name for name in columns if name not in {*without, "computed_at"})
    return [field(name, columns[name].kind, columns[name].about, nullable=columns[name].nullable) for name in chosen]


def of_counts() -> list[Field]:
    """The counts of breadth; what an exchange does not publish is null."""
    return [
        field(count.name, int if count.whole else float, count.about, unit=count.unit.value, nullable=True)
        for count in COUNTS
    ]


def of_indicators(catalogue: Iterable[Indicator]) -> list[Field]:
    """The indicators of a catalogue; each is null where it is not known."""
    return [
        field(each.name, float, each.formula, unit=each.units, example=_within(*each.bounds), nullable=True)
        for each in catalogue
    ]


def _within(low: float | None, high: float | None) -> float:
    """A number within bounds."""
    if low is None or high is None:
        return 1.25 if low is None or low < 1.25 else low + 1
    return low + 0.6 * (high - low)


def nullable(fields: Iterable[Field]) -> list[Field]:
    """The same fields where any of them can be null."""
    return [replace(each, nullable=True) for each in fields]


def among(fields: Iterable[Field], **choices: tuple[str, ...]) -> list[Field]:
    """The same fields, some of which can only be one of these texts."""
    return [
        replace(each, choices=choices[each.name], example=choices[each.name][0]) if each.name in choices else each
        for each in fields
    ]
