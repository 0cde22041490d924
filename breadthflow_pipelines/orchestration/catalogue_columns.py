"""What the catalogues say of their columns, for the store and for the UI. The formulas are in indicators/."""

from collections.abc import Mapping

from breadthflow_pipelines.indicators.breadth_catalogue import CATALOGUE
from breadthflow_pipelines.indicators.definition import Indicator
from breadthflow_pipelines.indicators.relative import RELATIVE_STRENGTH
from breadthflow_pipelines.indicators.technical import TECHNICAL
from breadthflow_pipelines.signals.symbols import SYMBOL_RULES, VOTE_COLUMNS
from breadthflow_pipelines.warehouse.formula_columns import FormulaColumn

Bounds = dict[str, tuple[float | None, float | None]]


def measures(catalogue: Mapping[str, Indicator]) -> list[FormulaColumn]:
    """The columns of a catalogue, as the store declares them."""
    return [
        FormulaColumn(name, f"{indicator.formula}; {indicator.units}", *indicator.bounds)
        for name, indicator in catalogue.items()
    ]


def bounds(catalogue: Mapping[str, Indicator]) -> Bounds:
    """What each column of a catalogue cannot leave."""
    return {name: indicator.bounds for name, indicator in catalogue.items()}


def origins(catalogue: Mapping[str, Indicator], asset: str) -> dict[str, list[tuple[str, str]]]:
    """Which columns of an asset each column of a catalogue is computed from, as its formula says."""
    return {
        name: [(asset, column) for column in sorted(set(indicator.expression.meta.root_names())) if column != "session"]
        for name, indicator in catalogue.items()
    }


BREADTH = measures(CATALOGUE)
BREADTH_BOUNDS = bounds(CATALOGUE)
PER_SYMBOL = {indicator.name: indicator for indicator in (*TECHNICAL, RELATIVE_STRENGTH)}
SYMBOL = measures(PER_SYMBOL)
SYMBOL_BOUNDS = bounds(PER_SYMBOL)
VOTES = [FormulaColumn(vote, rule.about, -1, 1) for vote, rule in zip(VOTE_COLUMNS, SYMBOL_RULES, strict=True)]
VOTE_BOUNDS = {vote.name: (vote.low, vote.high) for vote in VOTES}
