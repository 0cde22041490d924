"""What is expected of the members of a universe: technical indicators and signals."""

from collections.abc import Sequence

from breadthflow_pipelines.model.vocabulary import ACTIONS, MEMBER_KEY
from breadthflow_pipelines.quality.expectations import (
    Suite,
    between,
    never_blocking,
    no_rows,
    not_empty,
    one_of,
    unique,
)
from breadthflow_pipelines.warehouse import inspection
from breadthflow_pipelines.warehouse.formula_columns import FormulaColumn


def price_indicators(formulas: Sequence[FormulaColumn]) -> Suite:
    """The suite of members' indicators; formulas: their columns."""
    return Suite(
        "price_indicators",
        MEMBER_KEY,
        (
            not_empty("member_indicators_exist", "There are indicators of members."),
            unique("member_indicators_unique", "A member has one row of a session.", MEMBER_KEY),
            no_rows(
                "member_indicators_of_bars",
                "Every row is made of a bar that is stored.",
                inspection.MEMBER_INDICATORS_OF_NOTHING,
            ),
            no_rows(
                "member_indicators_within_bounds",
                "Every indicator is finite, and within the bounds that its formula allows, or null.",
                inspection.out_of_bounds("price_indicators", MEMBER_KEY, formulas),
            ),
        ),
    )


def symbol_signals(formulas: Sequence[FormulaColumn]) -> Suite:
    """The suite of members' signals, which nothing is built from; formulas: the columns of votes."""
    return Suite(
        "symbol_signals",
        MEMBER_KEY,
        (
            never_blocking(unique("symbol_signals_unique", "A member has one signal of a session.", MEMBER_KEY)),
            never_blocking(
                no_rows(
                    "symbol_signals_of_indicators",
                    "Every signal is made of indicators that are stored.",
                    inspection.SYMBOL_SIGNALS_OF_NOTHING,
                )
            ),
            never_blocking(one_of("symbol_actions_known", "A signal says buy, sell or hold.", "action", ACTIONS)),
            never_blocking(
                between("symbol_confidence_is_a_share", "Confidence lies between 0 and 1.", "confidence", 0, 1)
            ),
            never_blocking(
                no_rows(
                    "votes_within_bounds",
                    "Every rule votes between -1 and 1, or not at all.",
                    inspection.out_of_bounds("symbol_signals", MEMBER_KEY, formulas),
                )
            ),
        ),
    )
