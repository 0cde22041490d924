"""What can be expected of a stored table: an expectation, a suite of them, and how each kind is written.

An expectation is one of Great Expectations' own where there is one, and otherwise a query of warehouse/inspection.py
that finds rows which should not be there. Which ones hold for which table is in the suites; engine.py runs them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from breadthflow_pipelines.model.vocabulary import Severity


@dataclass(frozen=True)
class Expectation:
    """One thing that holds for a table.

    kind: the class in great_expectations.expectations, arguments: its arguments. severity: ``error`` where a failure is
    certainly wrong, ``warn`` where it is only unlike the year before. blocks: whether a failure stops what is built
    from the table; only errors do.
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

    key: the columns that identify a row. whole: judged from its first row on, whatever months a run is about, because
    the table is recomputed from all of history or reaches back further than bars do.
    """

    table: str
    key: tuple[str, ...]
    expectations: tuple[Expectation, ...]
    whole: bool = False


def expectation(name: str, about: str, kind: str, **arguments: Any) -> Expectation:
    """An error that blocks. kind and arguments: as of Expectation."""
    return Expectation(name, about, kind, arguments)


def not_empty(name: str, about: str) -> Expectation:
    """The table has rows. Without this, an empty table would pass every other expectation."""
    return expectation(name, about, "ExpectTableRowCountToBeBetween", min_value=1)


def unique(name: str, about: str, columns: Sequence[str]) -> Expectation:
    """No two rows are equal in these columns."""
    return expectation(name, about, "ExpectCompoundColumnsToBeUnique", column_list=list(columns))


def between(name: str, about: str, column: str, low: float, high: float, *, strict: bool = False) -> Expectation:
    """Every value, unless null, lies from low through high; strict: above low."""
    return expectation(
        name, about, "ExpectColumnValuesToBeBetween", column=column, min_value=low, max_value=high, strict_min=strict
    )


def ordered(name: str, about: str, greater: str, less: str, *, or_equal: bool = False) -> Expectation:
    """In every row that has both values, one column exceeds the other; or_equal: or equals it."""
    return expectation(
        name,
        about,
        "ExpectColumnPairValuesAToBeGreaterThanB",
        column_A=greater,
        column_B=less,
        or_equal=or_equal,
        ignore_row_if="either_value_is_missing",
    )


def one_of(name: str, about: str, column: str, values: Sequence[str]) -> Expectation:
    """Every value, unless null, is one of these."""
    return expectation(name, about, "ExpectColumnValuesToBeInSet", column=column, value_set=list(values))


def no_rows(name: str, about: str, query: str) -> Expectation:
    """The query finds nothing."""
    return expectation(name, about, "UnexpectedRowsExpectation", unexpected_rows_query=query)


def usual(name: str, about: str, query: str) -> Expectation:
    """The query finds nothing unlike the year before. What it finds is worth a look and proves nothing: a warning."""
    return replace(no_rows(name, about, query), severity="warn", blocks=False)


def never_blocking(expected: Expectation) -> Expectation:
    """The same, of a table that nothing else is made of, so that nothing has to wait."""
    return replace(expected, blocks=False)
