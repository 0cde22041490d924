"""Rows that broke their contract: kept once, gone where the source gives them no more."""

import datetime as dt

import polars as pl
import pytest

from breadthflow_pipelines.warehouse import bar_store, rejection_store, rejections
from breadthflow_pipelines.warehouse.bulk import fetch
from breadthflow_pipelines.warehouse.database import Database
from breadthflow_pipelines_tests.warehouse.frames import BARS, bars, day

REASONS = ["high below low"]


def rejected(*rows: tuple[str, str | None, float | None], raw: str | None = None) -> pl.DataFrame:
    """symbol, session, close; raw is the text of each."""
    return pl.DataFrame(
        [(s, day(d), 1.0, 1.0, 2.0, c, 5.5, None, None, REASONS, raw) for s, d, c in rows],
        schema={"symbol": pl.String, **{k: v for k, v in BARS.items() if k != "security_id"}}
        | {"security_id": pl.Int64, "reasons": pl.List(pl.String), "raw": pl.String},
        orient="row",
    )


def test_a_rejected_row_is_kept_once_however_often_it_comes(database: Database) -> None:
    rows = rejected(("A", "2024-01-02", 1.0), ("A", None, float("nan")), ("A", "2024-01-03", None))
    assert rejection_store.record_rejected_bars(database, rows, "s", "first")[0] == 3
    assert rejection_store.record_rejected_bars(database, rows.reverse(), "s", "second")[0] == 0  # in whatever order
    assert rejection_store.record_rejected_bars(database, rows.head(1), "another source", "third")[0] == 1
    held = fetch(database, "SELECT source, run_id, count(*) FROM rejected_bars GROUP BY 1, 2 ORDER BY 1").rows()
    assert held == [("another source", "third", 1), ("s", "first", 3)]


@pytest.mark.parametrize(
    ("answered", "whole", "gone"),
    [
        ({"A", "B"}, True, ["A", "C", None]),  # all was read: C has no file any more
        ({"A", "B"}, False, ["A"]),  # something could not be read, and C may be in it
        ({"B"}, False, []),  # A itself could not
    ],
)
def test_rows_that_a_source_does_not_give_again_are_gone_where_they_were_asked_for(
    database: Database, answered: set[str], whole: bool, gone: list[str | None]
) -> None:
    def settle(seen: list[str]) -> list[str | None]:
        days = (dt.date(2024, 1, 1), dt.date(2024, 1, 31))
        rejection_store.settle_rejected_bars(database, "s", days, seen, answered, whole=whole)
        return fetch(database, "SELECT symbol FROM rejected_bars WHERE gone_at IS NOT NULL ORDER BY 1")[
            "symbol"
        ].to_list()

    first = rejected(("A", "2024-01-02", 1.0), ("B", "2024-01-02", 2.0), ("C", "2024-01-02", 3.0), (None, None, 4.0))
    _, seen = rejection_store.record_rejected_bars(database, first, "s", "r")
    rejection_store.record_rejected_bars(database, rejected(("A", "2024-02-01", 1.0)), "s", "r")  # of another month
    rejection_store.record_rejected_bars(database, rejected(("A", "2024-01-02", 1.0)), "t", "r")  # of another source
    assert settle(seen) == []
    assert settle(rejection_store.record_rejected_bars(database, first[1:2], "s", "r")[1]) == gone
    assert settle(seen) == []  # they are back


def test_rows_without_a_day_or_of_days_to_come_are_gone_where_their_file_ends_within_what_was_asked(
    database: Database,
) -> None:
    rows = rejected(("A", None, 1.0), ("A", "2919-01-02", 2.0), ("OLD", None, 3.0), ("OLD", "2919-01-02", 4.0))
    rejection_store.record_rejected_bars(database, rows, "s", "r")

    def settle(*, latest: bool) -> list[tuple[str, float]]:
        days = (dt.date(2024, 1, 1), dt.date(2024, 1, 31))
        rejection_store.settle_rejected_bars(
            database, "s", days, [], {"A", "OLD"}, whole=True, latest=latest, behind=["OLD"]
        )
        return fetch(database, "SELECT symbol, close FROM rejected_bars WHERE gone_at IS NOT NULL ORDER BY 2").rows()

    assert settle(latest=False) == [("A", 1.0)]
    assert settle(latest=True) == [("A", 1.0), ("A", 2.0)]  # OLD's file ends before, and was not asked


def test_equal_rejected_rows_are_told_apart(database: Database) -> None:
    twins = rejected(("A", "2024-01-02", 1.0), ("A", "2024-01-02", 1.0), ("B", "2024-01-02", 1.0))
    assert rejection_store.record_rejected_bars(database, twins, "s", "r")[0] == 3
    assert rejection_store.record_rejected_bars(database, twins, "s", "r")[0] == 0
    assert rejection_store.record_rejected_bars(database, twins.clear(), "s", "r")[0] == 0


def test_the_text_of_a_rejected_row_is_kept_and_tells_rows_apart(database: Database) -> None:
    row = ("A", "2024-01-02", None)
    for raw in ("volume=2.07M", "volume=2.08M", "volume=2.07M", None):
        rejection_store.record_rejected_bars(database, rejected(row, raw=raw), "s", "r")
    shown = rejections.rejected(database, None, None, symbol="A")
    assert sorted(str(found["raw"]) for found in shown) == ["None", "volume=2.07M", "volume=2.08M"]


def test_a_rejected_row_without_text_has_the_name_that_it_had_before_text_was_kept(database: Database) -> None:
    """Else all of them would come a second time after an upgrade."""
    named = {name: [None] for name in ("high", "low", "close", "volume", "close_adjusted", "raw")}
    row = {
        "symbol": ["A"],
        "session": [dt.date(2024, 1, 2)],
        "open": [1.0],
        "reasons": [["price missing or not finite"]],
    }
    kinds = dict.fromkeys(("high", "low", "close", "volume", "close_adjusted"), pl.Float64) | {"raw": pl.String}
    rejection_store.record_rejected_bars(database, pl.DataFrame(row | named, schema_overrides=kinds), "s", "r")
    assert fetch(database, "SELECT fingerprint FROM rejected_bars").item() == "26d7da39499b4d1b517054af15eb4e6b"


def test_rejected_rows_are_shown_with_their_reasons(database: Database) -> None:
    rejection_store.record_rejected_bars(database, rejected(("A", "2024-01-02", 1.0), ("A", None, 2.0)), "s", "r")
    rejection_store.record_rejected_bars(database, rejected(("A", "2024-02-01", 1.0)), "s", "r")
    shown = rejection_store.rejected_bars(database, "s", dt.date(2024, 1, 1), dt.date(2024, 1, 31))
    assert shown.select("session", "close", "reasons").rows() == [(dt.date(2024, 1, 2), 1.0, REASONS)]


def test_a_broken_row_in_whose_place_a_good_one_came_is_shown_no_more(listed: Database) -> None:
    rejection_store.record_rejected_bars(listed, rejected(("A", "2024-01-02", 1.0), ("B", "2024-01-02", 2.0)), "s", "r")
    bar_store.load_bars(listed, bars((1, "2024-01-02", 10)), "s", "r")
    shown = rejection_store.rejected_bars(listed, "s", dt.date(2024, 1, 1), dt.date(2024, 1, 31))
    assert shown["symbol"].to_list() == ["B"]
