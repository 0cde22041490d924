"""Pieces of SQL that several modules of this room write. Whole queries stand with what they ask for.

A driver that binds no lists is given them as text, numbers and days with a space between them (``spaced``).
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from breadthflow_pipelines.model.vocabulary import PRICES

if TYPE_CHECKING:
    import sqlalchemy as sa


def quoted(values: Iterable[str]) -> str:
    """Words of ours as a list of literals; never for what people type."""
    return ", ".join(f"'{value}'" for value in values)


def spaced(values: Iterable[object]) -> str:
    """The parameter for array() and any_of(): values that have no space in them."""
    return " ".join(map(str, values))


def array(mark: str, kind: str) -> str:
    """The values that are bound to ``mark`` as spaced() text. kind: their type."""
    return f"string_to_array({mark}, ' ')::{kind}[]"


def any_of(column: str, mark: str, kind: str) -> str:
    """A condition: the column is one of the values that are bound to ``mark`` as spaced() text. kind: their type."""
    return f"{column} = ANY({array(mark, kind)})"


def by_name(query: str, values: Sequence[object]) -> tuple[str, dict[str, object] | None]:
    """A query with ``$1``, ``$2``, ..., which ADBC takes, as psycopg2 takes it, and its values."""
    if not values:
        return query, None  # psycopg2 leaves it as it is
    marks = re.sub(r"\$(\d+)", r"%(\1)s", query.replace("%", "%%"))
    return marks, {str(place): value for place, value in enumerate(values, 1)}


def written_out(query: str, values: Sequence[object]) -> str | None:
    """A query with ``$1``, ``$2``, ... and its values in it; None where one of them is no number, day, or list of such.

    Other text is for a driver to bind.
    """
    if not values:
        return query  # as by_name() leaves it: a mark may be part of its text
    literals = [_literal(value) for value in values]
    if None in literals:
        return None
    return re.sub(r"\$(\d+)", lambda mark: str(literals[int(mark[1]) - 1]), query)


def _literal(value: object) -> str | None:
    match value:
        case bool() | int():
            return f"({value})"
        case dt.date() if not isinstance(value, dt.datetime):
            return f"'{value.isoformat()}'::date"
        case str() if _OF_NUMBERS_AND_DAYS.fullmatch(value):
            return f"'{value}'::text"
        case _:
            return None


_OF_NUMBERS_AND_DAYS = re.compile(r"[0-9 -]*")  # as spaced() gives them


def columns_of(table: sa.Table, *without: str) -> str:
    """The columns of a table as this version knows them: an upgrade that goes on beside it may have added some."""
    return ", ".join(column.name for column in table.columns if column.name not in without)


def conditions(
    equal: Mapping[str, str | int | None], first: dt.date | None, last: dt.date | None
) -> tuple[str, list[str | int | dt.date]]:
    """What rows are asked for, with psycopg2's marks and their values; None stands for any.

    equal: by column, its value. first, last: the ends of the sessions, both included.
    """
    asked: list[tuple[str, str | int | dt.date | None]] = [(f"{column} = %s", value) for column, value in equal.items()]
    asked += [("session >= %s", first), ("session <= %s", last)]
    given = [(text, value) for text, value in asked if value is not None]
    return " AND ".join(text for text, _ in given) or "true", [value for _, value in given]


def backwards(order: str) -> str:
    """The same order from its end."""
    terms = (term.strip() for term in order.split(","))
    return ", ".join(term.removesuffix(" DESC") if term.endswith(" DESC") else f"{term} DESC" for term in terms)


def valid_on(interval: str, day: str) -> str:
    """A condition on a symbol or a membership, under that alias: it is valid on the day."""
    return f"daterange({interval}.valid_from, {interval}.valid_to) @> {day}"


def bar_fingerprint(prefix: str = "") -> str:
    """What names a bar's values. close_adjusted is not among them: it changes with every dividend, no rule reads it."""
    return f"md5(concat_ws(' ', {', '.join(prefix + name for name in (*PRICES, 'volume'))}))"


def own_bars(securities: str) -> str:
    """A subquery that stands after LATERAL: first and last, the ends of the bars of the alias's security.

    By security, because its first and last bar are the ends of the table's index.
    """
    return (
        "(SELECT min(session) AS first, max(session) AS last FROM bars "
        f"WHERE bars.security_id = {securities}.security_id)"
    )


def has_bars(securities: str) -> str:
    """A condition: the alias's security has a bar."""
    return f"EXISTS (SELECT FROM bars WHERE bars.security_id = {securities}.security_id)"
