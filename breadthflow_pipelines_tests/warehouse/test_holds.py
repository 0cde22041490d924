"""Holds are settled to exactly what was found, decisions are kept, and verdicts know since when."""

import datetime as dt

import polars as pl
import pytest

from breadthflow_pipelines.errors import RequestError
from breadthflow_pipelines.model.gates import EVERY, MISSING, THIN
from breadthflow_pipelines.warehouse import breadth_store, holds, verdicts
from breadthflow_pipelines.warehouse.bulk import execute
from breadthflow_pipelines.warehouse.database import Database
from breadthflow_pipelines.warehouse.verdicts import Fault
from breadthflow_pipelines_tests.warehouse.test_breadth_store import FIRST, JANUARY, LAST

DAY, NEXT = dt.date(2024, 1, 3), dt.date(2024, 1, 4)
JAN, FEB = (dt.date(2024, 1, 1), dt.date(2024, 1, 31)), (dt.date(2024, 2, 1), dt.date(2024, 2, 29))


def settle(
    database: Database, *found: tuple[dt.date, float], days: tuple[dt.date, dt.date] = JAN, run: str = "r1"
) -> None:
    rows = [{"universe": EVERY, "session": day, "missing": share, "said": "no bars"} for day, share in found]
    execute(database, [holds.settling(MISSING, *holds.given_rows(rows), days, run)])


def member(database: Database, universe: str = "u") -> None:
    with database.connect() as connection, connection.cursor() as cursor:
        cursor.execute("INSERT INTO securities VALUES (1, 'A', NULL, NULL, false) ON CONFLICT DO NOTHING")
        cursor.execute("INSERT INTO universe_members VALUES (%s, 1, '2000-01-01', NULL, 'A')", (universe,))


def sessions(database: Database) -> list[dt.date]:
    return [row["session"] for row in holds.holding(database, [MISSING])]


def accept(database: Database, first: dt.date = DAY, last: dt.date | None = None) -> list[dict[str, object]]:
    return holds.accept(database, first, last or first, None, "ann", "none to be had")


def test_what_was_found_holds_and_what_is_mended_does_not_any_more(database: Database) -> None:
    settle(database, (DAY, 1.0), (NEXT, 1.0))
    before = {row["session"]: row for row in holds.holding(database, [MISSING])}
    settle(database, (dt.date(2024, 2, 5), 1.0), days=FEB, run="r2")
    settle(database, (NEXT, 1.0), run="r3")
    after = {row["session"]: row for row in holds.holding(database, [MISSING])}
    assert list(after) == [NEXT, dt.date(2024, 2, 5)]  # January was judged again, February was not
    assert (after[NEXT]["since"], after[NEXT]["run_id"]) == (before[NEXT]["since"], "r1")  # whoever found it first


def test_a_universe_is_held_from_its_first_hold_on(database: Database) -> None:
    member(database, "u")
    member(database, "v")
    settle(database, (NEXT, 1.0))
    thin = [{"universe": "v", "session": DAY, "missing": 0.9, "said": "1 of 10"}]
    execute(database, [holds.settling(THIN, *holds.given_rows(thin), JAN, "r")])
    firsts = {asset: holds.first_held(database, asset) for asset in ("bars", "breadth_counts", "breadth_indicators")}
    assert firsts["bars"] == {}  # nothing holds what is read from the source
    assert {u: row["session"] for u, row in firsts["breadth_counts"].items()} == {"u": NEXT, "v": NEXT}
    assert {u: row["session"] for u, row in firsts["breadth_indicators"].items()} == {"u": NEXT, "v": DAY}


def test_holes_of_an_invented_market_do_not_hold_a_real_one(database: Database) -> None:
    member(database)
    rows = [{"universe": EVERY, "session": DAY, "missing": 1.0, "said": "no bars"}]
    execute(database, [holds.settling(MISSING, *holds.given_rows(rows), JAN, "r", synthetic=True)])
    assert sessions(database) == [DAY]
    assert holds.first_held(database, "breadth_counts") == {}


def test_an_accepted_hole_does_not_hold_until_it_is_taken_back(database: Database) -> None:
    settle(database, (DAY, 1.0), (NEXT, 1.0))
    assert [row["session"] for row in accept(database, DAY, NEXT)] == [DAY, NEXT]
    assert sessions(database) == []
    told = holds.accepted(database, with_names=True)
    assert {row["decided_by"] for row in holds.accepted(database)} == {None}
    assert [(row["session"], row["decided_by"], row["reason"]) for row in told] == [
        (DAY, "ann", "none to be had"),
        (NEXT, "ann", "none to be had"),
    ]
    settle(database, (DAY, 1.0), (NEXT, 1.0), run="r2")  # found again by a later run
    assert sessions(database) == []
    holds.withdraw(database, NEXT, NEXT, None, "bob", "it will come")
    assert sessions(database) == [NEXT]
    with pytest.raises(RequestError, match="No hole was accepted on 2024-01-04; there is: 2024-01-03"):
        holds.withdraw(database, NEXT, NEXT, None, "bob", "twice")


def test_an_acceptance_covers_what_was_missing_then_and_lapses_when_nothing_is(database: Database) -> None:
    settle(database, (DAY, 0.5))
    accept(database)
    settle(database, (DAY, 0.6))
    assert sessions(database) == [DAY]  # more is missing than was accepted
    settle(database, (DAY, 0.4))
    assert sessions(database) == []
    settle(database)
    settle(database, (DAY, 0.4))  # it was mended in between, so this is another one
    assert sessions(database) == [DAY]
    log = holds.rows_of(database, "SELECT decision, decided_by FROM hole_decisions ORDER BY decision_id")
    assert [tuple(row.values()) for row in log] == [("accepted", "ann"), ("lapsed", "run r1")]


def test_what_follows_an_accepted_hole_is_due(database: Database) -> None:
    settle(database, (DAY, 1.0))
    accept(database)
    due = holds.rows_of(database, "SELECT asset, first_session FROM recomputations ORDER BY asset")
    assert [tuple(row.values()) for row in due] == [
        (asset, DAY)
        for asset in ("breadth_counts", "price_indicators", "symbol_calibration", "symbol_signals", "universe_returns")
    ]


def test_a_day_that_is_no_hole_is_refused_with_those_there_are(database: Database) -> None:
    with pytest.raises(RequestError, match="Nothing is missing on 2024-01-03; there is no hole that could be decided"):
        accept(database)
    settle(database, *[(DAY + dt.timedelta(days=number), 1.0) for number in range(7)])
    with pytest.raises(RequestError, match=r"there is: 2024-01-03, .*2024-01-07 and 2 more\. breadthflow holes"):
        accept(database, dt.date(2023, 1, 3))


def test_counts_below_the_gate_hold_with_the_counts_and_go_with_them(database: Database) -> None:
    gate = breadth_store.settling_coverage(0.9, FIRST, LAST, "r")
    breadth_store.record_counts(database, JANUARY, FIRST, LAST, gate)
    thin = JANUARY.filter((pl.col("segment") == "ALL") & (pl.col("coverage") < 0.9))
    assert thin.height > 0
    held = holds.holding(database, [THIN])
    assert [(row["universe"], row["session"]) for row in held] == thin.select("universe", "session").sort(
        "session"
    ).rows()
    first = thin.row(0, named=True)
    assert held[0]["said"] == (
        f"{first['priced']} of {first['members']} members priced ({100 * first['coverage']:.1f} %, gate 90 %)"
    )
    execute(database, [breadth_store.settling_coverage(0.01, FIRST, LAST, "r")])
    assert holds.holding(database, [THIN]) == []


def test_rows_from_a_hold_on_stay_as_they_were(database: Database) -> None:
    breadth_store.record_counts(database, JANUARY, FIRST, LAST)
    merged = breadth_store.record_counts(database, JANUARY.clear(), FIRST, LAST, None, {"u": DAY})
    assert merged.deleted == 1
    assert breadth_store.counts(database, FIRST, LAST)["session"].to_list() == [DAY, DAY]  # all of it, and a sector
    assert breadth_store.record_counts(database, JANUARY.clear(), FIRST, LAST, None, {"v": DAY}).deleted == 2


def test_a_verdict_keeps_since_when_it_holds(database: Database) -> None:
    months = ["2024-01", "2024-02"]
    fault = {"2024-02": Fault(2, "no bars on 2024-02-05, 2024-02-06", dt.date(2024, 2, 5), dt.date(2024, 2, 6))}
    for faults in (fault, fault, {}):
        verdicts.record(database, "bars", "bars_complete", months, faults, run_id="r")
        rows = verdicts.by_check(database, ["bars_complete"])["bars_complete"]
        assert [row["failing"] for row in rows] == [0, 2 if faults else 0]
        if faults is fault:
            since = rows[1]["since"]
            (failing,) = verdicts.failing(database)
            assert failing["since"] == since
            assert failing["next"].startswith("breadthflow backfill --from 2024-02-05 --to 2024-02-06; ")
    assert verdicts.failing(database) == []
    assert rows[1]["since"] > since


def test_whether_the_last_session_is_in_is_a_matter_of_the_newest_month(database: Database) -> None:
    fault = Fault(1, "no bars on 2024-01-31")
    verdicts.record(database, "bars", "bars_current", ["2024-01"], {"2024-01": fault}, run_id="r")
    assert [row["check"] for row in verdicts.failing(database)] == ["bars_current"]
    verdicts.record(database, "bars", "bars_current", ["2024-02"], {}, run_id="r")
    assert verdicts.failing(database) == []
