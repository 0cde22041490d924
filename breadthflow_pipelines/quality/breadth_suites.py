"""What is expected of the breadth of markets: counts, indicators and signals."""

from collections.abc import Sequence

from breadthflow_pipelines.model.vocabulary import ACTIONS, KEY, STATES
from breadthflow_pipelines.quality.expectations import (
    Suite,
    between,
    expectation,
    never_blocking,
    no_rows,
    not_empty,
    one_of,
    ordered,
    unique,
    usual,
)
from breadthflow_pipelines.warehouse import inspection
from breadthflow_pipelines.warehouse.formula_columns import FormulaColumn

LARGEST = 1.7e308  # beyond every figure of a signal


def breadth_counts() -> Suite:
    """The suite of counts."""
    columns = "universe, segment, session, members, priced"
    return Suite(
        "breadth_counts",
        KEY,
        (
            not_empty("counts_exist", "There are counts."),
            unique("counts_unique", "A segment of a universe has one row of a session.", KEY),
            no_rows(
                "counts_of_sessions",
                "Every row is of a closed session of the exchange.",
                inspection.off_calendar("breadth_counts", columns),
            ),
            ordered(
                "priced_within_members",
                "No more members are priced than there are.",
                "members",
                "priced",
                or_equal=True,
            ),
            between("coverage_is_a_share", "Coverage is a share of the members.", "coverage", 0, 1),
            no_rows(
                "counts_add_up",
                "Advances, declines, unchanged, no_prior and gap are the priced members, each once.",
                inspection.COUNTS_NOT_ADDING_UP,
            ),
            no_rows(
                "sectors_within_whole",
                "The sectors of a universe together have no more members than all of it.",
                inspection.SECTORS_ABOVE_WHOLE,
            ),
            no_rows(
                "counts_match_bars",
                "Members and priced members are those of the memberships and the bars, counted again.",
                inspection.COUNTS_UNLIKE_BARS,
            ),
            no_rows(
                "moves_match_bars",
                "Advances, declines and unchanged are those of the bars, counted again.",
                inspection.MOVES_UNLIKE_BARS,
            ),
            no_rows(
                "sessions_are_counted",
                "Every session with bars of members, between the first and the last counted, is counted.",
                inspection.SESSIONS_NOT_COUNTED,
            ),
            usual(
                "unchanged_steady",
                "The share of unchanged members is not 30 points above the year's usual share.",
                inspection.UNCHANGED_UNLIKE,
            ),
        ),
    )


def breadth_indicators(formulas: Sequence[FormulaColumn]) -> Suite:
    """The suite of indicators; formulas: their columns."""
    return Suite(
        "breadth_indicators",
        KEY,
        (
            not_empty("indicators_exist", "There are indicators."),
            unique("indicators_unique", "A segment of a universe has one row of a session.", KEY),
            no_rows(
                "indicators_of_known_counts",
                "Every row is made of counts that are stored.",
                inspection.INDICATORS_OF_NOTHING,
            ),
            no_rows("counts_have_indicators", "Every row of counts has a row.", inspection.COUNTS_WITHOUT_INDICATORS),
            one_of("indicator_states_known", "A session is provisional or final.", "state", STATES),
            no_rows(
                "indicators_within_bounds",
                "Every indicator is finite, and within the bounds that its formula allows, or null.",
                inspection.out_of_bounds("breadth_indicators", KEY, formulas),
            ),
        ),
        whole=True,
    )


def market_signals() -> Suite:
    """The suite of signals on markets; nothing is built from their ids, actions, states and confidence."""
    return Suite(
        "market_signals",
        ("signal_id",),
        (
            never_blocking(
                expectation(
                    "signal_ids_unique", "A signal has its own id.", "ExpectColumnValuesToBeUnique", column="signal_id"
                )
            ),
            unique(
                "signals_unique",
                "A rule says one thing of a segment and session.",
                (*KEY, "rule"),
            ),
            no_rows(
                "signals_of_known_breadth",
                "Every signal is of a session whose breadth is stored.",
                inspection.SIGNALS_OF_NOTHING,
            ),
            never_blocking(one_of("signal_actions_known", "A signal says buy, sell or hold.", "action", ACTIONS)),
            never_blocking(one_of("signal_states_known", "A signal is provisional or final.", "state", STATES)),
            never_blocking(
                between("signal_confidence_is_a_share", "Confidence lies between 0 and 1.", "confidence", 0, 1)
            ),
            between("signal_values_finite", "What a rule looked at is a finite number.", "value", -LARGEST, LARGEST),
        ),
        whole=True,
    )
