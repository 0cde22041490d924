"""Columns that follow a catalogue: their names, bounds and origins, for the store, its contracts and the UI.

A new entry in a catalogue of indicators/ or signals/ gives its table a column by itself; the formulas are there.
"""

from collections.abc import Mapping

from breadthflow_pipelines.indicators.breadth_catalogue import CATALOGUE
from breadthflow_pipelines.indicators.definition import Indicator
from breadthflow_pipelines.indicators.relative import RELATIVE_STRENGTH
from breadthflow_pipelines.indicators.technical import TECHNICAL, bar_columns
from breadthflow_pipelines.signals.symbols import SYMBOL_RULES, VOTE_COLUMNS
from breadthflow_pipelines.warehouse import formula_columns, member_store, tables
from breadthflow_pipelines.warehouse.database import Database
from breadthflow_pipelines.warehouse.formula_columns import FormulaColumn

Bounds = dict[str, tuple[float | None, float | None]]


def columns(catalogue: Mapping[str, Indicator]) -> list[FormulaColumn]:
    """The columns of a catalogue's table, as the store declares them."""
    return [
        FormulaColumn(name, f"{indicator.formula}; {indicator.units}", *indicator.bounds)
        for name, indicator in catalogue.items()
    ]


def bounds(catalogue: Mapping[str, Indicator]) -> Bounds:
    """The least and the greatest value that each column of a catalogue can have."""
    return {name: indicator.bounds for name, indicator in catalogue.items()}


def origins(catalogue: Mapping[str, Indicator], asset: str) -> dict[str, list[tuple[str, str]]]:
    """Which columns of an asset each column of a catalogue is computed from, as its formula says."""
    return {
        name: [(asset, column) for column in sorted(bar_columns(indicator.expression)) if column != "session"]
        for name, indicator in catalogue.items()
    }


BREADTH_COLUMNS = columns(CATALOGUE)
BREADTH_BOUNDS = bounds(CATALOGUE)
PRICE_INDICATORS = {indicator.name: indicator for indicator in (*TECHNICAL, RELATIVE_STRENGTH)}
PRICE_COLUMNS = columns(PRICE_INDICATORS)
PRICE_BOUNDS = bounds(PRICE_INDICATORS)
SIGNAL_COLUMNS = [FormulaColumn(vote, rule.about, -1, 1) for vote, rule in zip(VOTE_COLUMNS, SYMBOL_RULES, strict=True)]
SIGNAL_BOUNDS = {column.name: (column.low, column.high) for column in SIGNAL_COLUMNS}


def fit_stored_columns(store: Database) -> None:
    """Give the stored tables the columns of these catalogues, as ``breadthflow db upgrade`` does for its owner."""
    formula_columns.fit(store, tables.breadth_indicators, BREADTH_COLUMNS)  # every run fills all of its rows
    member_store.fit_members(store, PRICE_COLUMNS, SIGNAL_COLUMNS)
