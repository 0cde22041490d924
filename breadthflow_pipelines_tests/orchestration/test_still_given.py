"""Stored bars that the source gives no more, or broken: a warning names them, and nothing of them is lost."""

import datetime as dt

import pytest

from breadthflow_pipelines.warehouse import verdicts
from breadthflow_pipelines.warehouse.database import Row
from breadthflow_pipelines_tests.orchestration.conftest import Store
from breadthflow_pipelines_tests.orchestration.small_market import LAST

CHECK = "bars_still_given"
MARCH = (dt.date(2023, 3, 1), dt.date(2023, 3, 31))
DAY, NEXT = dt.date(2023, 3, 15), dt.date(2023, 3, 16)


def without(store: Store, symbol: str, *days: dt.date) -> None:
    """The source gives the symbol's bars of these days no more."""
    gone = set(map(str, days))
    store.small.rows[symbol] = [row for row in store.small.rows[symbol] if row[0] not in gone]
    store.small.write()


def said(store: Store) -> list[Row]:
    return [row for row in verdicts.failing(store.database) if row["check"] == CHECK]


def test_a_bar_that_is_taken_away_is_named_and_stays_and_passes_when_it_is_given_again(filled: Store) -> None:
    rows, before = list(filled.small.rows["BBB"]), filled.contents()
    assert said(filled) == []
    without(filled, "BBB", DAY)
    report = filled.run(*MARCH)
    assert {check.name: check.status for check in report.checks}[CHECK] == "warned"
    [row] = said(filled)
    assert row["said"] == f"the source no longer gives 1 stored bar, or gives them broken: of BBB, on {DAY}"
    assert (row["severity"], row["first"], row["last"]) == ("warn", DAY, DAY)
    assert f"breadthflow backfill --from {DAY} --to {DAY}" in row["next"]
    assert filled.contents() == before
    filled.daily(LAST)  # of another month
    assert len(said(filled)) == 1
    filled.small.rows["BBB"] = rows
    filled.small.write()
    filled.run(*MARCH)
    assert said(filled) == []


@pytest.mark.slow
def test_each_month_counts_its_own_and_all_symbols_are_named(filled: Store) -> None:
    april = dt.date(2023, 4, 3)
    without(filled, "BBB", DAY, NEXT, april)
    without(filled, "CCC", NEXT)
    filled.run(dt.date(2023, 2, 1), dt.date(2023, 4, 30))
    faults = {row["month"]: row for row in verdicts.by_check(filled.database, [CHECK])[CHECK] if row["failing"]}
    assert {month: row["failing"] for month, row in faults.items()} == {"2023-03": 3, "2023-04": 1}
    assert faults["2023-03"]["said"].endswith(f"3 stored bars, or gives them broken: of BBB, CCC, on {DAY}, {NEXT}")


@pytest.mark.slow
def test_a_symbol_whose_file_is_gone_is_named(filled: Store) -> None:
    [(stored,)] = filled.rows(
        "SELECT count(*) FROM bars JOIN security_symbols USING (security_id) "
        "WHERE symbol = 'EEE' AND session BETWEEN %s AND %s",
        *MARCH,
    )
    (filled.small.bars / "eee.csv").unlink()
    filled.run(*MARCH)
    [row] = said(filled)
    assert (row["failing"], "of EEE" in row["said"]) == (stored, True)
    assert stored > 20


@pytest.mark.slow
def test_a_bar_that_comes_broken_now_is_told_as_well_for_the_good_one_is_counted(filled: Store) -> None:
    without(filled, "BBB", DAY)
    filled.small.rows["BBB"].append((str(DAY), 50, 40, 60, 50, 1000))
    filled.small.write()
    filled.run(*MARCH)
    [row] = said(filled)
    assert (row["failing"], row["first"]) == (1, DAY)
    assert filled.rows("SELECT symbol FROM rejected_bars WHERE session = %s AND gone_at IS NULL", DAY) == [("BBB",)]


@pytest.mark.parametrize("broken", [True, False])
def test_nothing_is_said_to_be_gone_while_a_part_of_the_source_cannot_be_read(filled: Store, broken: bool) -> None:
    without(filled, "BBB", DAY)
    if broken:
        (filled.small.bars / "ddd.csv").write_text("this,is,no\nbar,file,at all\n")
    filled.run(*MARCH)
    assert bool(said(filled)) is not broken


@pytest.mark.slow
def test_bars_of_another_source_are_not_missed(filled: Store) -> None:
    filled.execute(f"UPDATE bars SET source = 'stooq' WHERE session = '{DAY}'")
    without(filled, "BBB", DAY)
    filled.run(*MARCH)
    assert said(filled) == []
