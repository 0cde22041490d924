"""Securities, memberships and bars in the store: kept apart, revised openly, found however far back."""

import datetime as dt
import os
import signal
from pathlib import Path

import polars as pl
import psycopg2
import pytest

from breadthflow_pipelines.contracts.bars import bar_contract
from breadthflow_pipelines.contracts.verdict import judge
from breadthflow_pipelines.errors import RequestError
from breadthflow_pipelines.sessions import exchange_calendar
from breadthflow_pipelines.sources.protocol import SECURITY_SCHEMA
from breadthflow_pipelines.warehouse import market, status
from breadthflow_pipelines.warehouse.bulk import Merged, fetch
from breadthflow_pipelines.warehouse.database import Database
from breadthflow_pipelines_tests.conftest import start_python, wait_until

BARS = {"security_id": pl.Int64, "session": pl.Date} | dict.fromkeys(
    ("open", "high", "low", "close", "volume", "close_adjusted"), pl.Float64
)


def day(text: str | None) -> dt.date | None:
    return dt.date.fromisoformat(text) if text else None


def listing(*rows: tuple[int, str, str, str | None, str | None]) -> pl.DataFrame:
    """security_id, key, symbol, first day, first day no longer."""
    return pl.DataFrame(
        [(key, symbol, day(start), day(end), f"{key} Inc.", None, number) for number, key, symbol, start, end in rows],
        schema={**SECURITY_SCHEMA, "security_id": pl.Int64},
        orient="row",
    )


def members(*rows: tuple[str, int, str, str | None]) -> pl.DataFrame:
    """universe, security_id, first day in, first day out."""
    return pl.DataFrame(
        [(universe, number, day(start), day(end), f"S{number}") for universe, number, start, end in rows],
        schema={
            "universe": pl.String,
            "security_id": pl.Int64,
            "valid_from": pl.Date,
            "valid_to": pl.Date,
            "symbol": pl.String,
        },
        orient="row",
    )


def bars(*rows: tuple[int, str, float]) -> pl.DataFrame:
    """security_id, session, close; the rest follows from the close."""
    complete = [(n, day(session), c, c + 1, c - 1, c, 100 * c, None) for n, session, c in rows]
    return pl.DataFrame(complete, schema=BARS, orient="row")


def figures(merged: Merged) -> tuple[int, int, int, int]:
    return merged.inserted, merged.updated, merged.unchanged, merged.deleted


TWO = listing((1, "A", "A", None, None), (2, "B", "B", None, None))


@pytest.fixture
def listed(database: Database) -> Database:
    """A store that knows two securities."""
    market.record_securities(database, TWO, synthetic=False)
    return database


def symbols(database: Database) -> set[tuple[object, ...]]:
    return set(market.symbol_intervals(database).select("security_id", "symbol", "valid_from", "valid_to").rows())


# Securities and their symbols


def test_a_listing_is_kept_and_repeating_it_changes_nothing(database: Database) -> None:
    recorded = market.record_securities(database, TWO, synthetic=True)
    assert (figures(recorded.securities), recorded.symbols_changed) == ((2, 0, 0, 0), 2)
    recorded = market.record_securities(database, TWO, synthetic=True)
    assert (figures(recorded.securities), recorded.symbols_changed) == ((0, 0, 2, 0), 0)
    assert market.known_securities(database).sort("security_id").rows() == [("A", 1), ("B", 2)]
    assert symbols(database) == {(1, "A", None, None), (2, "B", None, None)}
    assert fetch(database, "SELECT DISTINCT synthetic FROM securities").rows() == [(True,)]


def test_a_rename_and_a_name_taken_over_the_same_day_are_kept(listed: Database) -> None:
    renamed = listing(
        (1, "A", "A", None, "2020-06-01"), (1, "A", "AA", "2020-06-01", None), (3, "C", "A", "2020-06-01", None)
    )
    recorded = market.record_securities(listed, renamed, synthetic=False)
    assert (figures(recorded.securities), recorded.symbols_changed) == ((1, 0, 1, 0), 2)
    change = dt.date(2020, 6, 1)
    assert symbols(listed) == {
        (1, "A", None, change),
        (1, "AA", change, None),
        (3, "A", change, None),
        (2, "B", None, None),  # not spoken of: stays
    }


def test_a_symbol_that_a_listing_no_longer_has_is_given_up(listed: Database) -> None:
    renamed = listing((1, "A", "A", None, "2020-06-01"), (1, "A", "AA", "2020-06-01", None))
    market.record_securities(listed, renamed, synthetic=False)
    market.record_securities(listed, renamed.head(1), synthetic=False)
    assert symbols(listed) == {(1, "A", None, dt.date(2020, 6, 1)), (2, "B", None, None)}


@pytest.mark.parametrize(
    ("contradiction", "named"),
    [
        (listing((3, "C", "A", "2020-01-01", None)), "Symbol A"),  # A is security 1's already
        (listing((3, "C", "C", None, None), (4, "D", "C", "1999-01-01", "1999-01-02")), "Symbol C"),  # within itself
        (listing((1, "A", "Z", None, None), (3, "C", "B", None, "1990-01-01")), "Symbol B"),
        (listing((3, "C", "C", None, None), (3, "C", "CC", "2020-01-01", None)), "CC?"),  # two names of one at a time
    ],
)
def test_a_listing_that_contradicts_itself_or_the_store_is_refused_and_changes_nothing(
    listed: Database, contradiction: pl.DataFrame, named: str
) -> None:
    before = symbols(listed)
    securities = "SELECT * FROM securities ORDER BY security_id"
    held = fetch(listed, securities)
    with pytest.raises(RequestError, match=named):
        market.record_securities(listed, contradiction, synthetic=False)
    assert symbols(listed) == before
    assert fetch(listed, securities).rows() == held.rows()


def test_a_member_nobody_listed_gives_its_symbol_up_to_the_share_in_another_spelling(database: Database) -> None:
    with_bars = (3, "C.C", "C.C", None, None)
    market.record_securities(database, listing((1, "A.A", "A.A", None, None), with_bars), synthetic=False)
    market.load_bars(database, bars((3, "2024-01-02", 10.0)), "s", "run 1")
    told = listing((2, "A-A", "A-A", None, None), (4, "C-C", "C-C", None, None))
    market.record_securities(database, told, synthetic=False)
    assert symbols(database) == {
        (2, "A-A", None, None),
        (3, "C.C", None, None),  # it has bars of its own
        (4, "C-C", None, None),
    }


def test_an_index_is_found_under_another_spelling(listed: Database) -> None:
    market.record_securities(listed, listing((5, "I-X", "I-X", None, None)), synthetic=False)
    market.load_bars(listed, bars((5, "2024-01-02", 10.0)), "s", "run 1")
    day = dt.date(2024, 1, 2)
    for name, rows in (("I-X", 1), ("I.X", 1), ("IX", 0)):
        assert market.index_closes(listed, {"u": name}, day, day).height == rows


def test_members_without_a_single_bar_are_named_with_what_may_have_been_meant(listed: Database) -> None:
    known = listing(*((n, s, s, None, None) for n, s in ((5, "C-C"), (6, "CC"), (7, "GONE"), (8, "LONG"))))
    market.record_securities(listed, known, synthetic=False)
    market.load_bars(listed, bars((1, "2024-01-02", 10.0), (6, "2024-01-02", 10.0)), "s", "run 1")
    intervals = [
        ("u", 1, "2020-01-01", None),
        ("u", 5, "2020-01-01", None),
        ("u", 7, "2020-01-01", "2024-01-03"),
        ("u", 8, "1990-01-01", "2000-01-01"),  # a member of a time of which nobody has bars
        ("v", 2, "2020-01-01", None),
    ]
    market.record_members(listed, members(*intervals))
    market_of = [(row["universe"], row["symbol"], row["nearest"]) for row in status.members_without_bars(listed)]
    assert market_of == [("u", "S5", []), ("u", "S7", []), ("v", "S2", [])]
    assert [row["symbol"] for row in status.members_without_bars(listed, "v")] == ["S2"]
    with pytest.raises(RequestError, match="Universe w has no members; there are: u, v"):
        status.members_without_bars(listed, "w")


def test_members_of_a_day_have_their_intervals_and_the_ends_of_their_bars(listed: Database) -> None:
    days = [("2024-01-02", 10.0), ("2024-01-05", 11.0)]
    market.load_bars(listed, bars(*((1, day, close) for day, close in days)), "s", "run 1")
    market.record_members(listed, members(("u", 1, "2020-01-01", None), ("u", 2, "2020-01-01", "2024-01-03")))
    first, last = dt.date(2024, 1, 2), dt.date(2024, 1, 5)
    rows = status.members(listed, "u", first)
    assert [(row["valid_to"], row["first_bar"], row["last_bar"]) for row in rows] == [
        (None, first, last),
        (dt.date(2024, 1, 3), None, None),
    ]
    assert len(status.members(listed, "u", last)) == 1
    assert status.members(listed, "u", dt.date(2019, 1, 1)) == []


def test_an_empty_listing_is_nothing(listed: Database) -> None:
    recorded = market.record_securities(listed, TWO.clear(), synthetic=False)
    assert (figures(recorded.securities), recorded.symbols_changed) == ((0, 0, 0, 0), 0)
    assert len(symbols(listed)) == 2


# Members


def intervals(database: Database) -> set[tuple[object, ...]]:
    return set(market.members(database).select("universe", "security_id", "valid_from", "valid_to").rows())


def test_members_become_exactly_those_given_for_the_universes_given(listed: Database) -> None:
    first = members(("u", 1, "2000-01-01", "2010-01-01"), ("u", 2, "2000-01-01", None), ("v", 1, "2000-01-01", None))
    assert figures(market.record_members(listed, first)) == (3, 0, 0, 0)
    second = members(("u", 1, "2000-01-01", "2005-01-01"), ("u", 1, "2005-01-01", None))
    assert figures(market.record_members(listed, second)) == (1, 1, 0, 1)
    assert intervals(listed) == {
        ("u", 1, dt.date(2000, 1, 1), dt.date(2005, 1, 1)),
        ("u", 1, dt.date(2005, 1, 1), None),
        ("v", 1, dt.date(2000, 1, 1), None),
    }


def test_intervals_may_overlap_on_the_way_to_where_they_do_not(listed: Database) -> None:
    """Rows are written one kind at a time; the constraint looks at the end."""
    market.record_members(listed, members(("u", 1, "2000-01-01", "2005-01-01"), ("u", 1, "2010-01-01", None)))
    moved = members(
        ("u", 1, "2000-01-01", "2012-01-01"),  # grows into where the next one was
        ("u", 1, "2013-01-01", None),
        ("u", 1, "2012-06-01", "2012-07-01"),
    )
    assert figures(market.record_members(listed, moved)) == (2, 1, 0, 1)
    assert len(intervals(listed)) == 3


def test_members_that_overlap_at_the_end_are_refused_whole(listed: Database) -> None:
    market.record_members(listed, members(("u", 1, "2000-01-01", None)))
    before = intervals(listed)
    overlapping = members(("u", 1, "2000-01-01", "2005-01-02"), ("u", 1, "2005-01-01", None))
    with pytest.raises(Exception, match="universe_members_no_overlap"):
        market.record_members(listed, overlapping)
    assert intervals(listed) == before


def test_no_members_leave_all_universes_as_they_are(listed: Database) -> None:
    market.record_members(listed, members(("u", 1, "2000-01-01", None)))
    assert figures(market.record_members(listed, members())) == (0, 0, 0, 0)
    assert len(intervals(listed)) == 1


# Bars


def closes(database: Database) -> list[tuple[object, ...]]:
    return fetch(database, "SELECT security_id, session, close, volume, run_id FROM bars ORDER BY 1, 2").rows()


def test_partitions_are_made_when_their_years_come(listed: Database) -> None:
    merged = market.load_bars(
        listed, bars((1, "1999-12-31", 10), (1, "2000-01-03", 11), (2, "2024-02-29", 12)), "s", "r"
    )
    assert figures(merged) == (3, 0, 0, 0)
    days = merged.changes.sort("session")["session"].to_list()
    assert days == [dt.date(1999, 12, 31), dt.date(2000, 1, 3), dt.date(2024, 2, 29)]
    held = fetch(listed, "SELECT tableoid::regclass::text, count(*) FROM bars GROUP BY 1 ORDER BY 1").rows()
    assert held == [("bars_1999", 1), ("bars_2000", 1), ("bars_2024", 1)]


def test_volumes_are_kept_as_whole_shares(listed: Database) -> None:
    market.load_bars(listed, bars((1, "2024-01-02", 10)).with_columns(volume=pl.lit(1234.6)), "s", "r")
    assert closes(listed) == [(1, dt.date(2024, 1, 2), 10.0, 1235, "r")]


def test_a_volume_that_no_exchange_ever_traded_does_not_end_the_run(listed: Database) -> None:
    """1e20 is a finite number that no count of shares can be: the contract or the load has to say something of it."""
    absurd = bars((1, "2024-01-02", 10)).with_columns(volume=pl.lit(1e20), symbol=pl.lit("A"))
    verdict = judge(bar_contract(exchange_calendar("XNYS")), absurd)
    market.load_bars(listed, verdict.good, "s", "r")
    assert verdict.rejected.height == 1


def test_a_changed_bar_keeps_its_old_values_and_an_equal_one_is_not_written(listed: Database) -> None:
    market.load_bars(listed, bars((1, "2024-01-02", 10), (1, "2024-01-03", 11), (2, "2024-01-02", 50)), "old", "first")
    stamps = "SELECT session, ingested_at, xmin::text FROM bars WHERE security_id = 1 ORDER BY session"
    first, second = fetch(listed, stamps).rows()

    new = bars((1, "2024-01-02", 10), (1, "2024-01-03", 12), (1, "2024-01-04", 13))
    merged = market.load_bars(listed, new, "old", "second")
    assert figures(merged) == (1, 1, 1, 0)
    assert fetch(listed, stamps).rows()[0] == first
    assert fetch(listed, stamps).rows()[1] != second
    assert closes(listed) == [
        (1, dt.date(2024, 1, 2), 10.0, 1000, "first"),
        (1, dt.date(2024, 1, 3), 12.0, 1200, "second"),
        (1, dt.date(2024, 1, 4), 13.0, 1300, "second"),
        (2, dt.date(2024, 1, 2), 50.0, 5000, "first"),  # not in the load: stays
    ]
    revisions = fetch(
        listed,
        "SELECT security_id, session, run_id, old_run_id, old_close, new_close, old_high, new_high, old_volume, "
        "new_volume, old_close_adjusted, new_close_adjusted, old_source, new_source, old_ingested_at "
        "FROM bar_revisions",
    ).rows()
    assert revisions == [
        (1, second[0], "second", "first", 11.0, 12.0, 12.0, 13.0, 1100, 1200, None, None, "old", "old", second[1])
    ]


def test_every_revision_of_a_bar_is_kept(listed: Database) -> None:
    for run, close in enumerate([10, 11, 10]):
        market.load_bars(listed, bars((1, "2024-01-02", close)), "s", str(run))
    history = fetch(listed, "SELECT old_close, new_close, run_id FROM bar_revisions ORDER BY revised_at").rows()
    assert history == [(10.0, 11.0, "1"), (11.0, 10.0, "2")]


def test_the_same_values_from_another_source_are_a_revision(listed: Database) -> None:
    market.load_bars(listed, bars((1, "2024-01-02", 10)), "one", "r")
    assert figures(market.load_bars(listed, bars((1, "2024-01-02", 10)), "two", "r")) == (0, 1, 0, 0)
    assert fetch(listed, "SELECT old_source, new_source FROM bar_revisions").rows() == [("one", "two")]


def test_no_bars_are_no_work(listed: Database) -> None:
    assert figures(market.load_bars(listed, bars(), "s", "r")) == (0, 0, 0, 0)


def test_bars_of_invented_and_of_real_companies_are_counted_apart(listed: Database) -> None:
    market.record_securities(listed, listing((3, "demo:C", "C", None, None)), synthetic=True)
    assert market.reach(listed, synthetic=True) is None
    rows = [(1, "2024-01-02", 10.0), (2, "2024-01-02", 20.0), (1, "2024-01-03", 10.0), (3, "2024-01-04", 30.0)]
    market.load_bars(listed, bars(*rows), "s", "r")
    january = dt.date(2024, 1, 1), dt.date(2024, 1, 31)
    real = market.sessions_held(listed, *january, synthetic=False)
    assert real.rows() == [(dt.date(2024, 1, 2), 2), (dt.date(2024, 1, 3), 1)]
    assert market.sessions_held(listed, *january, synthetic=True).rows() == [(dt.date(2024, 1, 4), 1)]
    assert market.sessions_held(listed, january[0], dt.date(2024, 1, 2), synthetic=False).height == 1
    assert market.reach(listed, synthetic=False) == (dt.date(2024, 1, 2), dt.date(2024, 1, 3))
    assert market.reach(listed, synthetic=True) == (dt.date(2024, 1, 4), dt.date(2024, 1, 4))


LOAD = """
import sys
import polars as pl
from breadthflow_pipelines.warehouse.database import Database
from breadthflow_pipelines.warehouse.market import load_bars
merged = load_bars(Database(sys.argv[1], None), pl.read_ipc(sys.argv[2]), "s", sys.argv[3])
print(merged.inserted, merged.updated, merged.unchanged)
"""


@pytest.fixture
def month(tmp_path: Path) -> Path:
    """January 2024 of two securities, as a file that another process can load; differs from FIRST_DAYS in two bars."""
    sessions = [dt.date(2024, 1, d).isoformat() for d in (2, 3, 4, 5, 8)]
    bars(*[(n, s, 10.0 * n + i) for n in (1, 2) for i, s in enumerate(sessions)]).write_ipc(tmp_path / "month.arrow")
    return tmp_path / "month.arrow"


FIRST_DAYS = bars((1, "2024-01-02", 9), (2, "2024-01-02", 20), (2, "2024-01-03", 19))


def waiting(database: Database) -> list[int]:
    with database.connect() as connection, connection.cursor() as cursor:
        cursor.execute(
            "SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
        )
        return [pid for (pid,) in cursor.fetchall()]


def test_a_load_killed_after_its_revisions_were_written_leaves_none_of_it(listed: Database, month: Path) -> None:
    market.load_bars(listed, FIRST_DAYS, "s", "first")
    before = closes(listed)
    blocker = psycopg2.connect(listed.url)
    with blocker.cursor() as cursor:  # the old values are kept first, then this row is updated
        cursor.execute("SELECT FROM bars WHERE security_id = 2 AND session = '2024-01-03' FOR UPDATE")
    process = start_python(LOAD, listed.url, month, "killed")
    wait_until(lambda: waiting(listed))
    stuck = waiting(listed)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    blocker.rollback()
    blocker.close()
    wait_until(lambda: fetch(listed, f"SELECT FROM pg_stat_activity WHERE pid = {stuck[0]}").is_empty())
    assert closes(listed) == before
    assert fetch(listed, "SELECT * FROM bar_revisions").is_empty()

    assert figures(market.load_bars(listed, pl.read_ipc(month), "s", "again")) == (7, 2, 1, 0)
    assert fetch(listed, "SELECT DISTINCT run_id, count(*) FROM bar_revisions GROUP BY 1").rows() == [("again", 2)]


def test_two_loads_of_one_month_at_once_end_with_the_rows_of_one(listed: Database, month: Path) -> None:
    market.load_bars(listed, FIRST_DAYS, "s", "first")
    blocker = psycopg2.connect(listed.url)
    with blocker.cursor() as cursor:
        cursor.execute("LOCK TABLE bars IN SHARE MODE")
    loads = [start_python(LOAD, listed.url, month, run) for run in ("one", "two")]
    wait_until(lambda: len(waiting(listed)) == 2)
    blocker.rollback()
    blocker.close()
    answers = [load.communicate(timeout=60) for load in loads]
    assert sorted(output.split() for output, _ in answers) == [["0", "0", "10"], ["7", "2", "1"]], answers
    expected = pl.read_ipc(month).select("security_id", "session", "close").rows()
    assert [row[:3] for row in closes(listed)] == expected
    assert fetch(listed, "SELECT count(*) FROM bar_revisions").item() == 2


# Rejected bars

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
    assert market.record_rejected_bars(database, rows, "s", "first")[0] == 3
    assert market.record_rejected_bars(database, rows.reverse(), "s", "second")[0] == 0  # in whatever order
    assert market.record_rejected_bars(database, rows.head(1), "another source", "third")[0] == 1
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
        market.settle_rejected_bars(database, "s", days, seen, answered, whole=whole)
        return fetch(database, "SELECT symbol FROM rejected_bars WHERE gone_at IS NOT NULL ORDER BY 1")[
            "symbol"
        ].to_list()

    first = rejected(("A", "2024-01-02", 1.0), ("B", "2024-01-02", 2.0), ("C", "2024-01-02", 3.0), (None, None, 4.0))
    _, seen = market.record_rejected_bars(database, first, "s", "r")
    market.record_rejected_bars(database, rejected(("A", "2024-02-01", 1.0)), "s", "r")  # of another month
    market.record_rejected_bars(database, rejected(("A", "2024-01-02", 1.0)), "t", "r")  # of another source
    assert settle(seen) == []
    assert settle(market.record_rejected_bars(database, first[1:2], "s", "r")[1]) == gone
    assert settle(seen) == []  # they are back


def test_equal_rejected_rows_are_told_apart(database: Database) -> None:
    twins = rejected(("A", "2024-01-02", 1.0), ("A", "2024-01-02", 1.0), ("B", "2024-01-02", 1.0))
    assert market.record_rejected_bars(database, twins, "s", "r")[0] == 3
    assert market.record_rejected_bars(database, twins, "s", "r")[0] == 0
    assert market.record_rejected_bars(database, twins.clear(), "s", "r")[0] == 0


def test_the_text_of_a_rejected_row_is_kept_and_tells_rows_apart(database: Database) -> None:
    row = ("A", "2024-01-02", None)
    for raw in ("volume=2.07M", "volume=2.08M", "volume=2.07M", None):
        market.record_rejected_bars(database, rejected(row, raw=raw), "s", "r")
    shown = status.rejected(database, None, None, symbol="A")
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
    market.record_rejected_bars(database, pl.DataFrame(row | named, schema_overrides=kinds), "s", "r")
    assert fetch(database, "SELECT fingerprint FROM rejected_bars").item() == "26d7da39499b4d1b517054af15eb4e6b"


def test_rejected_rows_are_shown_with_their_reasons(database: Database) -> None:
    market.record_rejected_bars(database, rejected(("A", "2024-01-02", 1.0), ("A", None, 2.0)), "s", "r")
    market.record_rejected_bars(database, rejected(("A", "2024-02-01", 1.0)), "s", "r")
    shown = market.rejected_bars(database, "s", dt.date(2024, 1, 1), dt.date(2024, 1, 31))
    assert shown.select("session", "close", "reasons").rows() == [(dt.date(2024, 1, 2), 1.0, REASONS)]


def test_a_broken_row_in_whose_place_a_good_one_came_is_shown_no_more(listed: Database) -> None:
    market.record_rejected_bars(listed, rejected(("A", "2024-01-02", 1.0), ("B", "2024-01-02", 2.0)), "s", "r")
    market.load_bars(listed, bars((1, "2024-01-02", 10)), "s", "r")
    shown = market.rejected_bars(listed, "s", dt.date(2024, 1, 1), dt.date(2024, 1, 31))
    assert shown["symbol"].to_list() == ["B"]


# What the counts are made from


def test_the_last_bars_before_a_range_are_found_however_far_back_they_lie(listed: Database) -> None:
    """Security 1 has 300 bars up to 2018, three years of nothing, and is back in 2021; 2 is not a member."""
    old = [dt.date(2018, 12, 31) - dt.timedelta(days=n) for n in range(300)]
    recent = ["2021-12-30", "2021-12-31", "2022-01-03", "2022-01-04"]
    rows = [(1, d.isoformat(), 10.0) for d in old] + [(1, s, 20.0) for s in recent] + [(2, "2022-01-03", 5.0)]
    market.load_bars(listed, bars(*rows), "s", "r")
    market.record_members(listed, members(("u", 1, "2000-01-01", None), ("v", 1, "2000-01-01", None)))

    found = market.bars_to_count(listed, dt.date(2022, 1, 1), dt.date(2022, 1, 3), 252)
    assert found.columns == ["security_id", "session", "high", "low", "close", "volume", "close_adjusted"]
    expected = [*sorted(old)[-250:], *map(dt.date.fromisoformat, recent[:3])]
    assert found.sort("session")["session"].to_list() == expected  # 250 + 2 before, 1 within, each once
    assert found["security_id"].unique().to_list() == [1]
