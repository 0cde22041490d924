"""The suites of all stored tables, in the order in which the tables are built."""

from collections.abc import Sequence

from breadthflow_pipelines.quality.breadth_suites import breadth_counts, breadth_indicators, market_signals
from breadthflow_pipelines.quality.expectations import Suite
from breadthflow_pipelines.quality.market_suites import bars, exchange_breadth, universe_members
from breadthflow_pipelines.quality.member_suites import price_indicators, symbol_signals
from breadthflow_pipelines.warehouse.formula_columns import FormulaColumn


def suites(
    breadth: Sequence[FormulaColumn] = (), members: Sequence[FormulaColumn] = (), votes: Sequence[FormulaColumn] = ()
) -> list[Suite]:
    """The suite of every stored table.

    breadth, members, votes: the columns of formulas in breadth_indicators, price_indicators and symbol_signals.
    """
    return [
        universe_members(),
        bars(),
        exchange_breadth(),
        breadth_counts(),
        breadth_indicators(breadth),
        market_signals(),
        price_indicators(members),
        symbol_signals(votes),
    ]
