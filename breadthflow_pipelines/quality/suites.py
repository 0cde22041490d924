"""What is expected of each stored table: names, severities, and what blocks. How it is judged: engine.py.

An expectation is one of Great Expectations' own where there is one, and otherwise a query of warehouse/inspection.py
that finds rows which should not be there. Severity ``error`` is for what is certainly wrong; what is only unlike the
year before is ``warn`` and never blocks. An error blocks where what is built next would be wrong.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from breadthflow_pipelines.model.vocabulary import (
    ACTIONS,
    KEY,
    MEMBER_KEY,
    MOST_ADJUSTED,
    MOST_PRICE,
    MOST_VOLUME,
    STATES,
    Severity,
)
from breadthflow_pipelines.warehouse import inspection
from breadthflow_pipelines.warehouse.formula_columns import FormulaColumn

MOST_ADJUSTED_CLOSE = MOST_PRICE * MOST_ADJUSTED  # NaN and infinity lie outside
LARGEST = 1.7e308  # beyond every figure of a signal


@dataclass(frozen=True)
class Expectation:
    """One thing that holds for a table.

    kind: the class in great_expectations.expectations; arguments: what it is given.
    blocks: whether what is made of the table waits when this fails; only errors do.
    """

    name: str
    about: str
    kind: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    severity: Severity = "error"
    blocks: bool = True

    @property
    def query(self) -> str | None:
        """The SQL that finds the rows which should not be there, where that is how it is judged."""
        query: str | None = self.arguments.get("unexpected_rows_query")
        return query


@dataclass(frozen=True)
class Suite:
    """All that is expected of one table.

    key: the columns that name its rows. whole: judged from its first row on, whatever months a run is about, as it is
    recomputed from all of history or reaches back further than bars do.
    """

    table: str
    key: tuple[str, ...]
    expectations: tuple[Expectation, ...]
    whole: bool = False


def suites(
    breadth: Sequence[FormulaColumn] = (), members: Sequence[FormulaColumn] = (), votes: Sequence[FormulaColumn] = ()
) -> list[Suite]:
    """The suite of every stored table.

    breadth, members, votes: the columns of formulas in breadth_indicators, price_indicators and symbol_signals.
    """
    return [
        _universe_members(),
        _bars(),
        _exchange_breadth(),
        _breadth_counts(),
        _breadth_indicators(breadth),
        _market_signals(),
        _price_indicators(members),
        _symbol_signals(votes),
    ]


def _universe_members() -> Suite:
    key = ("universe", "security_id", "valid_from")
    return Suite(
        "universe_members",
        key,
        (
            _filled("memberships_exist", "There are members to count."),
            _once("memberships_unique", "Nobody joins a universe twice on one day.", key),
            _none("memberships_of_known_securities", "Every member is a security.", inspection.MEMBERS_UNKNOWN),
            _ordered("memberships_end_after_they_begin", "A membership lasts a day or more.", "valid_to", "valid_from"),
            _none(
                "memberships_do_not_overlap",
                "Nobody belongs to a universe twice at a time.",
                inspection.MEMBERS_OVERLAPPING,
            ),
            _unusual(
                "universe_size_steady",
                "From one session to the next a universe does not gain or lose a quarter of its members.",
                inspection.UNIVERSES_RESIZED,
            ),
        ),
    )


def _bars() -> Suite:
    key = ("security_id", "session")
    columns = "security_id, session, close, volume, source"
    return Suite(
        "bars",
        key,
        (
            _filled("bars_exist", "There are bars."),
            _once("bars_unique", "A security has one bar of a session.", key),
            _none("bars_of_known_securities", "Every bar is of a security that exists.", inspection.BARS_UNKNOWN),
            _none(
                "bars_of_sessions",
                "Every bar is of a closed session of the exchange.",
                inspection.off_calendar("bars", columns),
            ),
            _within("bar_lows_positive", "Every low is a finite price above zero.", "low", 0, MOST_PRICE, strict=True),
            _within(
                "bar_highs_positive", "Every high is a finite price above zero.", "high", 0, MOST_PRICE, strict=True
            ),
            _ordered("bar_highs_not_below_lows", "No high is below its low.", "high", "low", or_equal=True),
            _none(
                "bar_opens_and_closes_inside",
                "Open and close lie between low and high, to 0.01 %.",
                inspection.BARS_OUTSIDE,
            ),
            _within("bar_volumes_not_negative", "Every volume is one that can be.", "volume", 0, MOST_VOLUME),
            _within(
                "adjusted_closes_positive",
                "An adjusted close, where there is one, is a finite price above zero.",
                "close_adjusted",
                0,
                MOST_ADJUSTED_CLOSE,
                strict=True,
            ),
            _none(
                "sessions_have_bars",
                "Every session between the first and the last has bars.",
                inspection.SESSIONS_WITHOUT_BARS,
            ),
            _unusual(
                "bars_per_session_steady",
                "No session has less than three quarters of the year's usual number of bars.",
                inspection.BARS_FEW,
            ),
            _unusual(
                "zero_volume_steady",
                "The share of bars without volume is not 20 points above the year's usual share.",
                inspection.BARS_WITHOUT_VOLUME,
            ),
            _unusual(
                "volume_steady",
                "The median volume of a session is within ten times the year's, and not below a tenth of it.",
                inspection.VOLUME_OF_ANOTHER_UNIT,
            ),
        ),
    )


def _exchange_breadth() -> Suite:
    key = ("exchange", "session")
    return Suite(
        "exchange_breadth",
        key,
        (
            _none(
                "publications_have_counts",
                "Of every exchange that runs read, there are published counts.",
                inspection.PUBLICATIONS_WITHOUT_COUNTS,
            ),
            _once("published_counts_unique", "An exchange has one row of a session.", key),
            _none(
                "published_counts_of_sessions",
                "Every row is of a session of the exchange.",
                inspection.off_calendar("exchange_breadth", "exchange, session, advances, declines"),
            ),
            _none(
                "published_counts_not_negative",
                "No published count or volume is negative.",
                inspection.PUBLISHED_NEGATIVE,
            ),
            _within(
                "published_index_positive",
                "The index, where there is one, is a finite level above zero.",
                "index_close",
                0,
                MOST_PRICE,
                strict=True,
            ),
            _unusual(
                "sessions_are_published",
                "Every session between an exchange's first and last has a row.",
                inspection.SESSIONS_NOT_PUBLISHED,
            ),
            _unusual(
                "published_issues_steady",
                "The number of issues, where not doubted, is within 1.5 times the year's.",
                inspection.ISSUES_UNLIKE,
            ),
        ),
        whole=True,
    )


def _breadth_counts() -> Suite:
    columns = "universe, segment, session, members, priced"
    return Suite(
        "breadth_counts",
        KEY,
        (
            _filled("counts_exist", "There are counts."),
            _once("counts_unique", "A segment of a universe has one row of a session.", KEY),
            _none(
                "counts_of_sessions",
                "Every row is of a closed session of the exchange.",
                inspection.off_calendar("breadth_counts", columns),
            ),
            _ordered(
                "priced_within_members",
                "No more members are priced than there are.",
                "members",
                "priced",
                or_equal=True,
            ),
            _within("coverage_is_a_share", "Coverage is a share of the members.", "coverage", 0, 1),
            _none(
                "counts_add_up",
                "Advances, declines, unchanged, no_prior and gap are the priced members, each once.",
                inspection.COUNTS_NOT_ADDING_UP,
            ),
            _none(
                "sectors_within_whole",
                "The sectors of a universe together have no more members than all of it.",
                inspection.SECTORS_ABOVE_WHOLE,
            ),
            _none(
                "counts_match_bars",
                "Members and priced members are those of the memberships and the bars, counted again.",
                inspection.COUNTS_UNLIKE_BARS,
            ),
            _none(
                "moves_match_bars",
                "Advances, declines and unchanged are those of the bars, counted again.",
                inspection.MOVES_UNLIKE_BARS,
            ),
            _none(
                "sessions_are_counted",
                "Every session with bars of members, between the first and the last counted, is counted.",
                inspection.SESSIONS_NOT_COUNTED,
            ),
            _unusual(
                "unchanged_steady",
                "The share of unchanged members is not 30 points above the year's usual share.",
                inspection.UNCHANGED_UNLIKE,
            ),
        ),
    )


def _breadth_indicators(formulas: Sequence[FormulaColumn]) -> Suite:
    return Suite(
        "breadth_indicators",
        KEY,
        (
            _filled("indicators_exist", "There are indicators."),
            _once("indicators_unique", "A segment of a universe has one row of a session.", KEY),
            _none(
                "indicators_of_known_counts",
                "Every row is made of counts that are stored.",
                inspection.INDICATORS_OF_NOTHING,
            ),
            _none("counts_have_indicators", "Every row of counts has a row.", inspection.COUNTS_WITHOUT_INDICATORS),
            _among("indicator_states_known", "A session is provisional or final.", "state", STATES),
            _none(
                "indicators_within_bounds",
                "Every indicator is finite, and within the bounds that its formula allows, or null.",
                inspection.out_of_bounds("breadth_indicators", KEY, formulas),
            ),
        ),
        whole=True,
    )


def _market_signals() -> Suite:
    return Suite(
        "market_signals",
        ("signal_id",),
        (
            _last(
                _own(
                    "signal_ids_unique", "A signal has its own id.", "ExpectColumnValuesToBeUnique", column="signal_id"
                )
            ),
            _once(
                "signals_unique",
                "A rule says one thing of a segment and session.",
                (*KEY, "rule"),
            ),
            _none(
                "signals_of_known_breadth",
                "Every signal is of a session whose breadth is stored.",
                inspection.SIGNALS_OF_NOTHING,
            ),
            _last(_among("signal_actions_known", "A signal says buy, sell or hold.", "action", ACTIONS)),
            _last(_among("signal_states_known", "A signal is provisional or final.", "state", STATES)),
            _last(_within("signal_confidence_is_a_share", "Confidence lies between 0 and 1.", "confidence", 0, 1)),
            _within("signal_values_finite", "What a rule looked at is a finite number.", "value", -LARGEST, LARGEST),
        ),
        whole=True,
    )


def _price_indicators(formulas: Sequence[FormulaColumn]) -> Suite:
    return Suite(
        "price_indicators",
        MEMBER_KEY,
        (
            _filled("member_indicators_exist", "There are indicators of members."),
            _once("member_indicators_unique", "A member has one row of a session.", MEMBER_KEY),
            _none(
                "member_indicators_of_bars",
                "Every row is made of a bar that is stored.",
                inspection.MEMBER_INDICATORS_OF_NOTHING,
            ),
            _none(
                "member_indicators_within_bounds",
                "Every indicator is finite, and within the bounds that its formula allows, or null.",
                inspection.out_of_bounds("price_indicators", MEMBER_KEY, formulas),
            ),
        ),
    )


def _symbol_signals(formulas: Sequence[FormulaColumn]) -> Suite:
    return Suite(
        "symbol_signals",
        MEMBER_KEY,
        (
            _last(_once("symbol_signals_unique", "A member has one signal of a session.", MEMBER_KEY)),
            _last(
                _none(
                    "symbol_signals_of_indicators",
                    "Every signal is made of indicators that are stored.",
                    inspection.SYMBOL_SIGNALS_OF_NOTHING,
                )
            ),
            _last(_among("symbol_actions_known", "A signal says buy, sell or hold.", "action", ACTIONS)),
            _last(_within("symbol_confidence_is_a_share", "Confidence lies between 0 and 1.", "confidence", 0, 1)),
            _last(
                _none(
                    "votes_within_bounds",
                    "Every rule votes between -1 and 1, or not at all.",
                    inspection.out_of_bounds("symbol_signals", MEMBER_KEY, formulas),
                )
            ),
        ),
    )


def _own(name: str, about: str, kind: str, **arguments: Any) -> Expectation:
    return Expectation(name, about, kind, arguments)


def _filled(name: str, about: str) -> Expectation:
    """A table without rows fails: what all of no rows keep says nothing."""
    return _own(name, about, "ExpectTableRowCountToBeBetween", min_value=1)


def _once(name: str, about: str, columns: Sequence[str]) -> Expectation:
    return _own(name, about, "ExpectCompoundColumnsToBeUnique", column_list=list(columns))


def _within(name: str, about: str, column: str, low: float, high: float, *, strict: bool = False) -> Expectation:
    return _own(
        name,
        about,
        "ExpectColumnValuesToBeBetween",
        column=column,
        min_value=low,
        max_value=high,
        strict_min=strict,
    )


def _ordered(name: str, about: str, greater: str, less: str, *, or_equal: bool = False) -> Expectation:
    return _own(
        name,
        about,
        "ExpectColumnPairValuesAToBeGreaterThanB",
        column_A=greater,
        column_B=less,
        or_equal=or_equal,
        ignore_row_if="either_value_is_missing",
    )


def _among(name: str, about: str, column: str, values: Sequence[str]) -> Expectation:
    return _own(name, about, "ExpectColumnValuesToBeInSet", column=column, value_set=list(values))


def _none(name: str, about: str, query: str) -> Expectation:
    return _own(name, about, "UnexpectedRowsExpectation", unexpected_rows_query=query)


def _last(expectation: Expectation) -> Expectation:
    """Of what nothing else is made: there is nothing that could wait."""
    return replace(expectation, blocks=False)


def _unusual(name: str, about: str, query: str) -> Expectation:
    """What is unlike the year before: worth a look, and no proof of anything."""
    arguments = {"unexpected_rows_query": query}
    return Expectation(name, about, "UnexpectedRowsExpectation", arguments, severity="warn", blocks=False)
