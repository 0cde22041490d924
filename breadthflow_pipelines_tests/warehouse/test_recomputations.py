"""What is due is noted with the change that makes it due, and forgotten by whoever did it, and nobody else."""

import datetime as dt

import polars as pl
import pytest

from breadthflow_pipelines.warehouse import bar_store, recomputations, security_store
from breadthflow_pipelines.warehouse.bulk import execute
from breadthflow_pipelines.warehouse.database import Database
from breadthflow_pipelines.warehouse.recomputations import Change, Some, done, due, single_session_notes
from breadthflow_pipelines_tests.warehouse.frames import bars, listing, members

TWO = listing((1, "A", "AAA", None, None), (2, "B", "BBB", None, None))
OF_SOUND_BARS = {"breadth_counts", "price_indicators", "symbol_signals"}


def noted(database: Database) -> dict[str, dt.date]:
    """By asset: from when on it is due."""
    found = {asset: due(database, asset).first for asset in ("quarantined_bars", *OF_SOUND_BARS)}
    return {asset: first for asset, first in found.items() if first is not None}


def forget(database: Database) -> None:
    for asset in ("quarantined_bars", *OF_SOUND_BARS):
        done(database, asset, due(database, asset))


@pytest.fixture
def held(database: Database) -> Database:
    """Two members with two bars each, and nothing due."""
    security_store.record_securities(database, TWO, synthetic=False)
    security_store.record_members(database, members(("u", 1, "2020-01-01", None), ("u", 2, "2020-01-01", "2022-03-01")))
    load(database, (1, "2024-01-02", 10), (1, "2024-01-03", 11), (2, "2024-01-02", 20), (2, "2024-01-03", 21))
    forget(database)
    return database


def load(database: Database, *rows: tuple[int, str, float]) -> None:
    bar_store.load_bars(database, bars(*rows), "s", "r")


@pytest.mark.parametrize(
    ("rows", "first"),
    [
        ([(1, "2024-01-02", 10)], None),  # as it was
        ([(1, "2024-01-02", 10), (2, "2024-01-03", 22)], "2024-01-03"),  # a correction
        ([(1, "2020-05-04", 9), (1, "2024-01-04", 12)], "2020-05-04"),  # late, and new
    ],
)
def test_bars_make_due_whatever_is_made_of_them_from_the_first_that_changed(
    held: Database, rows: list[tuple[int, str, float]], first: str | None
) -> None:
    load(held, *rows)
    expected = (
        {} if first is None else dict.fromkeys({"quarantined_bars", *OF_SOUND_BARS}, dt.date.fromisoformat(first))
    )
    assert noted(held) == expected


def test_a_change_of_few_securities_names_them_until_something_else_is_due(held: Database) -> None:
    load(held, (2, "2024-01-03", 22))
    load(held, (1, "2024-01-03", 11), (2, "2024-01-04", 23))  # of the first one nothing new
    assert due(held, "price_indicators").some == Some(frozenset({2}), frozenset())
    session = dt.date(2024, 1, 4)
    execute(held, single_session_notes("price_indicators", [session], "a median"))
    found = due(held, "price_indicators")
    assert (found.first, found.some) == (dt.date(2024, 1, 3), Some(frozenset({2}), frozenset({session})))
    assert due(held, "breadth_counts").some == Some(frozenset({2}), frozenset())
    security_store.record_members(held, members(("u", 1, "2020-01-01", None), ("u", 2, "2020-01-01", "2022-04-01")))
    assert due(held, "price_indicators").some is None


def test_a_change_of_many_securities_names_none(held: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recomputations, "FEW_SECURITIES", 1)
    load(held, (1, "2024-01-04", 12), (2, "2024-01-04", 22))
    assert due(held, "price_indicators").some is None
    assert noted(held).keys() == {"quarantined_bars", *OF_SOUND_BARS}


def test_a_change_of_bars_says_through_which_session_and_whose(held: Database) -> None:
    load(held, (1, "2024-01-02", 10.5), (1, "2024-01-04", 12), (2, "2024-01-03", 21))  # of the second nothing new
    assert due(held, "breadth_counts").changes == (Change(dt.date(2024, 1, 4), frozenset({1})),)
    security_store.record_members(held, members(("u", 1, "2020-01-01", None)))
    assert due(held, "breadth_counts").changes[1:] == (Change(None, None),)  # memberships have no end


def test_the_bar_by_which_each_of_some_securities_has_so_many(held: Database) -> None:
    load(held, (1, "2024-01-04", 12), (1, "2024-01-08", 12), (2, "2024-01-05", 22))
    day = dt.date(2024, 1, 2)
    after = [bar_store.after_bars(held, {1, 2}, day, bars) for bars in (1, 2, 3)]
    assert after == [dt.date(2024, 1, 3), dt.date(2024, 1, 5), None]
    left_out = "(1, '2024-01-03', 'spike', '{}', 'f', 'quarantined', 'r')"
    columns = "security_id, session, rule, evidence, fingerprint, status, run_id"
    execute(held, [(f"INSERT INTO quarantined_bars ({columns}) VALUES {left_out}", ())])
    assert bar_store.after_bars(held, {1}, day, 1) == dt.date(2024, 1, 4)


@pytest.mark.parametrize(
    ("after", "first"),
    [
        ([("u", 1, "2020-01-01", None), ("u", 2, "2020-01-01", "2022-03-01")], None),
        ([("u", 1, "2020-01-01", None), ("u", 2, "2020-01-01", "2021-06-01")], "2021-06-01"),  # left earlier
        ([("u", 1, "2020-01-01", None), ("u", 2, "2020-01-01", None)], "2022-03-01"),  # did not leave
        ([("u", 1, "2020-01-01", "2023-01-03"), ("u", 2, "2020-01-01", "2022-03-01")], "2023-01-03"),  # left
        ([("u", 1, "2020-01-01", None)], "2020-01-01"),  # never was one
        ([("u", 1, "2019-01-02", None), ("u", 2, "2020-01-01", "2022-03-01")], "2019-01-02"),
        (
            [("u", 1, "2020-01-01", None), ("u", 2, "2020-01-01", "2022-03-01"), ("u", 2, "2023-05-01", None)],
            "2023-05-01",
        ),
        (
            [("u", 1, "2020-01-01", None), ("u", 2, "2020-01-01", "2022-03-01"), ("v", 2, "2021-05-03", None)],
            "2021-05-03",
        ),
    ],
)
def test_memberships_make_counts_due_from_the_first_day_that_differs(
    held: Database, after: list[tuple[str, int, str, str | None]], first: str | None
) -> None:
    security_store.record_members(held, members(*after))
    assert noted(held) == ({} if first is None else dict.fromkeys(OF_SOUND_BARS, dt.date.fromisoformat(first)))


def test_another_sector_makes_counts_due_from_the_first_membership_on(held: Database) -> None:
    security_store.record_securities(held, TWO.with_columns(name=pl.lit("another name")), synthetic=False)
    assert noted(held) == {}
    moved = TWO.with_columns(sector=pl.when(pl.col("security_id") == 2).then(pl.lit("Energy")).otherwise("sector"))
    security_store.record_securities(held, moved, synthetic=False)
    assert noted(held) == {"breadth_counts": dt.date(2020, 1, 1)}


def test_what_became_due_while_somebody_computed_stays_due(held: Database) -> None:
    load(held, (1, "2024-01-02", 10.5))
    known = due(held, "breadth_counts")
    assert known.causes == ("bars",)
    load(held, (1, "2023-12-01", 9))
    done(held, "breadth_counts", known)
    assert due(held, "breadth_counts").first == dt.date(2023, 12, 1)
    assert due(held, "price_indicators").first == dt.date(2023, 12, 1)
    done(held, "price_indicators", due(held, "price_indicators"))
    assert due(held, "price_indicators") == recomputations.Due(None, (), ())


def test_a_change_that_is_refused_makes_nothing_due(held: Database) -> None:
    with pytest.raises(Exception, match="bars_volume_not_negative"):
        bar_store.load_bars(held, bars((1, "2023-12-01", 9)).with_columns(volume=pl.lit(-1.0)), "s", "r")
    assert noted(held) == {}
