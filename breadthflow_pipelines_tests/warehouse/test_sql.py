"""Pieces of SQL: what they say, and that a server takes them."""

import datetime as dt

import pytest

from breadthflow_pipelines.warehouse.bulk import fetch
from breadthflow_pipelines.warehouse.database import Database
from breadthflow_pipelines.warehouse.sql import any_of, by_name, conditions, quoted, spaced, valid_on, written_out

D1, D2 = dt.date(2024, 1, 2), dt.date(2024, 1, 3)


@pytest.mark.parametrize(
    ("equal", "first", "last", "expected"),
    [
        ({"universe": None}, None, None, ("true", [])),  # nothing asked for is everything
        ({"universe": "u", "segment": None}, None, D2, ("universe = %s AND session <= %s", ["u", D2])),
        ({"rule": "r"}, D1, D1, ("rule = %s AND session >= %s AND session <= %s", ["r", D1, D1])),  # in this order
    ],
)
def test_conditions_are_of_what_is_asked_for(
    equal: dict[str, str | None], first: dt.date | None, last: dt.date | None, expected: tuple[str, list[object]]
) -> None:
    assert conditions(equal, first, last) == expected


def test_one_spelling_of_a_query_serves_both_drivers(database: Database) -> None:
    query = "SELECT $2 || '%' || $1 || '%s' || $10 AS said, $11::date AS day, 7 % 4 AS rest"
    values = ["a'b", "50%(1)s", *"345678", 9, "$1", D1]
    with database.connect() as connection, connection.cursor() as cursor:
        cursor.execute(*by_name(query, values))
        assert cursor.fetchall() == [("50%(1)s%a'b%s$1", D1, 3)]
        cursor.execute(*by_name("SELECT 7 % 4, '$1 %s'", ()))
        assert cursor.fetchall() == [(3, "$1 %s")]


@pytest.mark.parametrize(
    ("query", "values", "expected"),
    [
        ("SELECT 7 - $1 AS found", [-5], 12),  # two minuses would begin a comment
        ("SELECT $1 + 1 AS found", [2**40], 2**40 + 1),
        ("SELECT $2 - $1 AS found", [D1, D2], 1),
        ("SELECT $1::date AS found", [dt.date.min], dt.date.min),
        ("SELECT $1 = $2 AS found", [dt.date.max, D1], False),
        ("SELECT $1 OR false AS found", [True], True),
        (f"SELECT {any_of('7', '$1', 'bigint')} AS found", [spaced([3, -7, 7])], True),
        (f"SELECT {any_of('7', '$1', 'bigint')} AS found", [spaced([])], False),
        (f"SELECT {any_of('$2', '$1', 'date')} AS found", [spaced([D1, D2]), D2], True),
        ("SELECT $10 || $1 AS found", ["1", *"2345678", 9, "0 $1"], "0 $11"),  # bound, as one is no number
        ("SELECT $1 || '$' AS found", ["700"], "700$"),
        ("SELECT '$1' AS found", [], "$1"),
        ("SELECT $1 AS found", ["' OR true --"], "' OR true --"),
        ("SELECT $1 AS found", ["1\\"], "1\\"),
    ],
)
def test_a_query_finds_the_same_whether_its_values_are_written_out_or_bound(
    database: Database, query: str, values: list[str | int | dt.date], expected: object
) -> None:
    assert fetch(database, query, values)["found"].to_list() == [expected]


@pytest.mark.parametrize(
    "value", ["a", "'", "1;", "1\n", "\\", "\0", "\u0661", 0.5, dt.datetime(2024, 1, 2, tzinfo=dt.UTC), None], ids=repr
)
def test_what_is_no_number_and_no_day_is_left_to_the_driver(value: object) -> None:
    assert written_out("SELECT $1, $2", [1, value]) is None


def test_words_are_quoted_one_by_one() -> None:
    assert quoted(("a", "b")) == "'a', 'b'"


def test_a_list_that_no_driver_binds_is_found_again(database: Database) -> None:
    days = "(VALUES (date '2024-01-02'), (date '2024-02-02')) AS d(day)"
    query = f"SELECT day FROM {days} WHERE {any_of('day', '$1', 'date')}"
    assert fetch(database, query, (spaced([D1, D2]),))["day"].to_list() == [D1]
    assert fetch(database, query, (spaced([]),)).is_empty()


@pytest.mark.parametrize(("day", "valid"), [("2023-12-31", False), ("2024-01-01", True), ("2024-02-01", False)])
def test_an_interval_ends_before_its_last_day(database: Database, day: str, valid: bool) -> None:
    interval = "(SELECT date '2024-01-01' AS valid_from, date '2024-02-01' AS valid_to) AS i"
    assert (
        fetch(database, f"SELECT {valid_on('i', '$1')} AS valid FROM {interval}", (dt.date.fromisoformat(day),)).item()
        == valid
    )
