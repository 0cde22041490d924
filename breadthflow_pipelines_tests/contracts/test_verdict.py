"""How a frame is judged: which rows broke which rule, and when nothing can be said of rows at all."""

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from breadthflow_pipelines.contracts.verdict import ContractError, contract, judge, require

THINGS = contract(
    "things",
    {"name": pl.String, "size": pl.Int64},
    {
        "too small": pl.col("size") >= 1,
        "too big": (pl.col("size") <= 10).fill_null(value=True),
        "name taken twice": pl.col("name").is_unique(),
    },
)


def things(*rows: tuple[str | None, int | None]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema={"name": pl.String, "size": pl.Int64}, orient="row")


def test_rows_are_parted_in_order_and_each_says_all_that_is_wrong_with_it() -> None:
    verdict = judge(THINGS, things(("a", 11), ("b", 5), ("c", 0), ("a", 3), ("d", 10)))
    assert verdict.good.rows() == [("b", 5), ("d", 10)]
    assert verdict.rejected.rows() == [
        ("a", 11, ["too big", "name taken twice"]),
        ("c", 0, ["too small"]),
        ("a", 3, ["name taken twice"]),
    ]
    assert verdict.by_reason() == {"too big": 1, "too small": 1, "name taken twice": 2}


def test_a_rule_that_cannot_tell_of_a_null_counts_as_broken() -> None:
    verdict = judge(THINGS, things(("a", None), ("b", 1)))
    assert verdict.rejected.rows() == [("a", None, ["too small"])]  # "too big" says itself what it thinks of null


@pytest.mark.parametrize(
    "frame",
    [
        things(("a", 1), ("b", 2)),
        things(),  # no rows break no rule
    ],
)
def test_a_frame_without_fault_comes_back_whole(frame: pl.DataFrame) -> None:
    verdict = judge(THINGS, frame)
    assert_frame_equal(verdict.good, frame)
    assert verdict.rejected.is_empty()
    assert verdict.rejected.schema == {**frame.schema, "reasons": pl.List(pl.String)}
    assert verdict.by_reason() == {}
    assert_frame_equal(require(THINGS, frame), frame)


def test_a_frame_of_which_no_row_is_good_keeps_its_columns() -> None:
    verdict = judge(THINGS, things(("a", 0)))
    assert verdict.good.schema == things().schema
    assert verdict.good.is_empty()
    assert verdict.rejected.height == 1


@pytest.mark.parametrize(
    ("frame", "named"),
    [
        (things(("a", 1)).drop("size"), "size"),  # missing
        (things(("a", 1)).with_columns(colour=pl.lit("red")), "colour"),  # surplus
        (things(("a", 0)).with_columns(pl.col("size").cast(pl.Float64)), "size"),  # of another type, and broken too
        (things().with_columns(pl.col("size").cast(pl.String)), "size"),  # even where there are no rows
        (pl.DataFrame(), "name"),
    ],
)
def test_a_frame_of_another_shape_is_no_matter_of_rows(frame: pl.DataFrame, named: str) -> None:
    with pytest.raises(ContractError, match=rf"^things: .*{named}") as failure:
        judge(THINGS, frame)
    assert "\n" not in str(failure.value)


def test_requiring_names_the_first_broken_row_and_how_many_there_are() -> None:
    with pytest.raises(ContractError, match=r"^things: 2 rows break the contract, first: too small: .*'c'.*0"):
        require(THINGS, things(("b", 5), ("c", 0), ("d", 99)))
