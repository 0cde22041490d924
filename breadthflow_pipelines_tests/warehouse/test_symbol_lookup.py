"""Symbols under which nobody is found on some days: what the company is called then, wherever one may ask for it."""

import datetime as dt

import pytest
from psycopg2.extras import RealDictCursor

from breadthflow_pipelines.errors import RequestError
from breadthflow_pipelines.warehouse import page_listing, rejections, security_store
from breadthflow_pipelines.warehouse.database import Database
from breadthflow_pipelines.warehouse.symbol_lookup import name_then
from breadthflow_pipelines_tests.warehouse.frames import listing

# A was OLD, MID and NEW. Another company took OLD over in 2022; a third came as LATE.
COMPANIES = listing(
    (1, "A", "OLD", None, "2018-06-11"),
    (1, "A", "MID", "2018-06-11", "2020-01-02"),
    (1, "A", "NEW", "2020-01-02", None),
    (2, "B", "OLD", "2022-05-02", None),
    (3, "C", "LATE", "2023-01-03", None),
)


@pytest.fixture
def named(database: Database) -> Database:
    security_store.record_securities(database, COMPANIES, synthetic=False)
    return database


@pytest.mark.parametrize(
    ("symbol", "first", "last", "said"),
    [
        ("OLD", "2019-03-01", "2019-03-01", "OLD became MID on 2018-06-11."),
        ("OLD", "2018-06-11", "2018-06-11", "OLD became MID on 2018-06-11."),  # the first day under the other name
        ("OLD", "2021-03-01", "2021-03-01", "OLD became NEW on 2020-01-02."),  # not the name between
        ("OLD", "2019-03-01", "2021-03-01", "OLD became NEW on 2020-01-02."),  # the newest of several
        ("NEW", "2017-03-01", "2017-03-01", "NEW was OLD until 2018-06-10."),
        ("NEW", None, "2019-03-01", "NEW was MID until 2020-01-01."),
        ("OLD", "2018-06-10", "2018-06-10", None),  # somebody is called so
        ("OLD", "2017-01-01", "2019-03-01", None),  # on some of the days
        ("OLD", "2023-03-01", "2023-03-01", None),  # another company
        ("OLD", None, None, None),
        ("LATE", "2019-03-01", "2019-03-01", None),  # the company had no name then
        ("ZZZ", "2019-03-01", "2019-03-01", None),
    ],
)
def test_what_a_company_is_called_then(
    named: Database, symbol: str, first: str | None, last: str | None, said: str | None
) -> None:
    days = [None if day is None else dt.date.fromisoformat(day) for day in (first, last)]
    with named.connect() as connection, connection.cursor(cursor_factory=RealDictCursor) as cursor:
        found = name_then(cursor, symbol, *days)
    assert (found and found.said) == said


def test_lists_of_what_was_refused_say_so_too(named: Database) -> None:
    since = dt.date(2019, 1, 1)
    asked = {"source": None, "symbol": "MID", "reason": None, "status": None}
    assert rejections.rejected(named, None, None, **asked) == []
    with pytest.raises(RequestError, match=r"MID became NEW on 2020-01-02. Ask for NEW."):
        rejections.rejected(named, dt.date(2021, 1, 1), None, **asked)
    with pytest.raises(RequestError, match=r"MID became NEW on 2020-01-02. Ask for NEW."):
        page_listing.rejected_page(
            named,
            ["session"],
            dt.date(2021, 1, 1),
            None,
            **asked,
            universe=None,
            as_of=None,
            with_values=True,
            after=None,
            most=5,
        )
    assert rejections.rejected(named, since, None, **asked) == []
