"""Whatever model/counts.py lists is counted, stored, held to a contract and described; half a count fails."""

import datetime as dt

import polars as pl
import pytest
import sqlalchemy as sa

from breadthflow_pipelines.contracts import breadth as contracts
from breadthflow_pipelines.indicators.counts import count_breadth
from breadthflow_pipelines.model.counts import COUNT_COLUMNS, COUNTS, DIRECTED, DIRECTIONS, PUBLISHED, Count, Unit
from breadthflow_pipelines.model.vocabulary import KEY
from breadthflow_pipelines.warehouse import tables, views

DAY = dt.date(2024, 1, 2)
STORED = tables.breadth_counts.c


@pytest.fixture(scope="module")
def counted() -> pl.DataFrame:
    """One member with one bar."""
    bar = {"security_id": 1, "session": DAY, "high": 1.0, "low": 1.0, "close": 1.0, "volume": 1, "close_adjusted": 1.0}
    member = {"universe": "u", "security_id": 1, "sector": None, "valid_from": DAY, "valid_to": None}
    session = {"session": DAY, "ordinal": 1, "counted": True}
    kinds = {"sector": pl.String, "valid_to": pl.Date}
    return count_breadth(pl.DataFrame(bar), pl.DataFrame(member, schema_overrides=kinds), pl.DataFrame(session))


def test_columns_of_the_table_are_the_counts_and_what_every_row_has() -> None:
    assert tuple(STORED.keys()) == (*KEY, *COUNT_COLUMNS, "convention", "computed_at")
    assert len(set(COUNT_COLUMNS)) == len(COUNTS)


@pytest.mark.parametrize("count", COUNTS, ids=lambda count: count.name)
def test_a_count_is_a_column_with_a_comment_a_contract_and_an_expression(count: Count, counted: pl.DataFrame) -> None:
    column, kind = STORED[count.name], pl.Int64 if count.whole else pl.Float64
    assert column.comment == count.about
    assert column.nullable == count.nullable
    assert isinstance(column.type, sa.BigInteger) == count.whole
    assert contracts.COUNTS.columns[count.name].dtype.type == kind
    assert counted.schema[count.name] == kind
    assert count.name in views.ALL_COUNTS.query


@pytest.mark.parametrize("count", COUNTS, ids=lambda count: count.name)
def test_a_count_is_made_of_columns_that_are_stored(count: Count) -> None:
    assert count.made_of
    assert all(column in tables.metadata.tables[asset].c for asset, column in count.made_of)


def test_a_count_that_some_cannot_add_to_is_null_where_none_can() -> None:
    able = {count.able for count in COUNTS if count.able is not None} - {DIRECTED}
    assert able <= set(COUNT_COLUMNS)
    assert not any(STORED[name].nullable for name in able)  # how many could is always known
    assert {count.name for count in COUNTS if count.nullable and count.able is None} == {"index_close"}
    assert {count.name for count in COUNTS if count.able == DIRECTED} >= set(DIRECTIONS)


def test_what_exchanges_publish_is_a_column_of_theirs_and_a_contract() -> None:
    series = [count.series for count in COUNTS if count.series]
    assert len(set(series)) == len(series)
    published = {count.name: count for count in COUNTS if count.series}
    assert set(published) <= set(tables.exchange_breadth.c.keys()) & set(contracts.PUBLISHED.columns)
    assert set(published) - set(PUBLISHED) == {"index_close"}
    assert {published[name].unit for name in PUBLISHED} == {Unit.ISSUES, Unit.SHARES}  # as the view has them
