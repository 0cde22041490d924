"""Securities, symbols and memberships in the store: kept apart, and refused where they contradict each other."""

import datetime as dt
from uuid import uuid4

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from breadthflow_pipelines.errors import RequestError
from breadthflow_pipelines.warehouse import bar_store, member_listing, security_store, universe_listing
from breadthflow_pipelines.warehouse.bulk import fetch
from breadthflow_pipelines.warehouse.database import Database
from breadthflow_pipelines_tests.warehouse.frames import TWO, bars, figures, listing, members


def symbols(database: Database) -> set[tuple[object, ...]]:
    return set(
        security_store.symbol_intervals(database).select("security_id", "symbol", "valid_from", "valid_to").rows()
    )


# Securities and their symbols


def test_a_listing_is_kept_and_repeating_it_changes_nothing(database: Database) -> None:
    recorded = security_store.record_securities(database, TWO, synthetic=True)
    assert (figures(recorded.securities), recorded.symbols_changed) == ((2, 0, 0, 0), 2)
    recorded = security_store.record_securities(database, TWO, synthetic=True)
    assert (figures(recorded.securities), recorded.symbols_changed) == ((0, 0, 2, 0), 0)
    assert security_store.security_numbers(database).sort("security_id").rows() == [("A", 1), ("B", 2)]
    assert symbols(database) == {(1, "A", None, None), (2, "B", None, None)}
    assert fetch(database, "SELECT DISTINCT synthetic FROM securities").rows() == [(True,)]


def test_a_rename_and_a_name_taken_over_the_same_day_are_kept(listed: Database) -> None:
    renamed = listing(
        (1, "A", "A", None, "2020-06-01"), (1, "A", "AA", "2020-06-01", None), (3, "C", "A", "2020-06-01", None)
    )
    recorded = security_store.record_securities(listed, renamed, synthetic=False)
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
    security_store.record_securities(listed, renamed, synthetic=False)
    security_store.record_securities(listed, renamed.head(1), synthetic=False)
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
        security_store.record_securities(listed, contradiction, synthetic=False)
    assert symbols(listed) == before
    assert fetch(listed, securities).rows() == held.rows()


def test_a_member_nobody_listed_gives_its_symbol_up_to_the_share_in_another_spelling(database: Database) -> None:
    with_bars = (3, "C.C", "C.C", None, None)
    security_store.record_securities(database, listing((1, "A.A", "A.A", None, None), with_bars), synthetic=False)
    bar_store.load_bars(database, bars((3, "2024-01-02", 10.0)), "s", "run 1")
    told = listing((2, "A-A", "A-A", None, None), (4, "C-C", "C-C", None, None))
    security_store.record_securities(database, told, synthetic=False)
    assert symbols(database) == {
        (2, "A-A", None, None),
        (3, "C.C", None, None),  # it has bars of its own
        (4, "C-C", None, None),
    }


def test_an_index_is_found_under_another_spelling(listed: Database) -> None:
    security_store.record_securities(listed, listing((5, "I-X", "I-X", None, None)), synthetic=False)
    bar_store.load_bars(listed, bars((5, "2024-01-02", 10.0)), "s", "run 1")
    day = dt.date(2024, 1, 2)
    for name, rows in (("I-X", 1), ("I.X", 1), ("IX", 0)):
        assert bar_store.index_closes(listed, {"u": name}, day, day).height == rows


def test_members_without_a_single_bar_are_named_with_what_may_have_been_meant(listed: Database) -> None:
    known = listing(*((n, s, s, None, None) for n, s in ((5, "C-C"), (6, "CC"), (7, "GONE"), (8, "LONG"))))
    security_store.record_securities(listed, known, synthetic=False)
    bar_store.load_bars(listed, bars((1, "2024-01-02", 10.0), (6, "2024-01-02", 10.0)), "s", "run 1")
    intervals = [
        ("u", 1, "2020-01-01", None),
        ("u", 5, "2020-01-01", None),
        ("u", 7, "2020-01-01", "2024-01-03"),
        ("u", 8, "1990-01-01", "2000-01-01"),  # a member of a time of which nobody has bars
        ("v", 2, "2020-01-01", None),
    ]
    security_store.record_members(listed, members(*intervals))
    market_of = [
        (row["universe"], row["symbol"], row["nearest"]) for row in member_listing.members_without_bars(listed)
    ]
    assert market_of == [("u", "S5", []), ("u", "S7", []), ("v", "S2", [])]
    assert [row["symbol"] for row in member_listing.members_without_bars(listed, "v")] == ["S2"]
    with pytest.raises(RequestError, match="Universe w has no members; there are: u, v"):
        member_listing.members_without_bars(listed, "w")


def test_members_of_a_day_have_their_intervals_and_the_ends_of_their_bars(listed: Database) -> None:
    days = [("2024-01-02", 10.0), ("2024-01-05", 11.0)]
    bar_store.load_bars(listed, bars(*((1, day, close) for day, close in days)), "s", "run 1")
    security_store.record_members(listed, members(("u", 1, "2020-01-01", None), ("u", 2, "2020-01-01", "2024-01-03")))
    first, last = dt.date(2024, 1, 2), dt.date(2024, 1, 5)
    rows = member_listing.members(listed, "u", first)
    assert [(row["valid_to"], row["first_bar"], row["last_bar"]) for row in rows] == [
        (None, first, last),
        (dt.date(2024, 1, 3), None, None),
    ]
    assert len(member_listing.members(listed, "u", last)) == 1
    assert member_listing.members(listed, "u", dt.date(2019, 1, 1)) == []


def test_an_empty_listing_is_nothing(listed: Database) -> None:
    recorded = security_store.record_securities(listed, TWO.clear(), synthetic=False)
    assert (figures(recorded.securities), recorded.symbols_changed) == ((0, 0, 0, 0), 0)
    assert len(symbols(listed)) == 2


# Members


def intervals(database: Database) -> set[tuple[object, ...]]:
    return set(security_store.members(database).select("universe", "security_id", "valid_from", "valid_to").rows())


def test_members_become_exactly_those_given_for_the_universes_given(listed: Database) -> None:
    first = members(("u", 1, "2000-01-01", "2010-01-01"), ("u", 2, "2000-01-01", None), ("v", 1, "2000-01-01", None))
    assert figures(security_store.record_members(listed, first)) == (3, 0, 0, 0)
    second = members(("u", 1, "2000-01-01", "2005-01-01"), ("u", 1, "2005-01-01", None))
    assert figures(security_store.record_members(listed, second)) == (1, 1, 0, 1)
    assert intervals(listed) == {
        ("u", 1, dt.date(2000, 1, 1), dt.date(2005, 1, 1)),
        ("u", 1, dt.date(2005, 1, 1), None),
        ("v", 1, dt.date(2000, 1, 1), None),
    }


def test_intervals_may_overlap_on_the_way_to_where_they_do_not(listed: Database) -> None:
    """Rows are written one kind at a time; the constraint looks at the end."""
    security_store.record_members(listed, members(("u", 1, "2000-01-01", "2005-01-01"), ("u", 1, "2010-01-01", None)))
    moved = members(
        ("u", 1, "2000-01-01", "2012-01-01"),  # grows into where the next one was
        ("u", 1, "2013-01-01", None),
        ("u", 1, "2012-06-01", "2012-07-01"),
    )
    assert figures(security_store.record_members(listed, moved)) == (2, 1, 0, 1)
    assert len(intervals(listed)) == 3


def test_members_that_overlap_at_the_end_are_refused_whole(listed: Database) -> None:
    security_store.record_members(listed, members(("u", 1, "2000-01-01", None)))
    before = intervals(listed)
    overlapping = members(("u", 1, "2000-01-01", "2005-01-02"), ("u", 1, "2005-01-01", None))
    with pytest.raises(Exception, match="universe_members_no_overlap"):
        security_store.record_members(listed, overlapping)
    assert intervals(listed) == before


def test_no_members_leave_all_universes_as_they_are(listed: Database) -> None:
    security_store.record_members(listed, members(("u", 1, "2000-01-01", None)))
    assert figures(security_store.record_members(listed, members())) == (0, 0, 0, 0)
    assert len(intervals(listed)) == 1


def test_universes_that_go_on_are_those_with_a_member_that_is_still_in_of_one_kind_of_company(listed: Database) -> None:
    security_store.record_securities(listed, listing((3, "SYN-3", "SYN3", None, None)), synthetic=True)
    open_, over = ("u", 1, "2000-01-01", None), ("over", 1, "2000-01-01", "2010-01-01")
    rows = members(open_, ("u", 2, "2000-01-01", None), ("u", 3, "2000-01-01", None), over)
    security_store.record_members(listed, rows)
    assert universe_listing.open_universes(listed, synthetic=False) == [{"universe": "u", "members": 2}]
    assert universe_listing.open_universes(listed, synthetic=True) == [{"universe": "u", "members": 1}]
    key = ["universe", "security_id", "valid_from"]
    assert_frame_equal(security_store.memberships(listed, ["over", "u"]).sort(key), rows.sort(key))
    assert security_store.memberships(listed, []).is_empty()


# How many have bars


def filled(database: Database, year: int, securities: int) -> None:
    """Bars of so many securities on each day of a year but some; all are listed already."""
    days = pl.date_range(dt.date(year, 1, 1), dt.date(year, 12, 31), "1d", eager=True).to_frame("session")
    numbers = pl.DataFrame({"security_id": range(1, securities + 1)}, schema={"security_id": pl.Int64})
    prices = dict.fromkeys(("open", "high", "low", "close", "volume"), pl.lit(10.0))
    rows = numbers.join(days.head(252), how="cross").with_columns(**prices, close_adjusted=pl.lit(None, pl.Float64))
    bar_store.load_bars(database, rows, "files", str(uuid4()))


def test_a_year_is_taken_for_as_much_as_those_beside_it_and_never_for_more_than_all(database: Database) -> None:
    """A year may count for more than it has: bars differ in size, and files grow by half a megabyte at a time."""
    everybody = listing(*((n, f"K{n}", f"S{n}", "1990-01-01", None) for n in range(1, 201)))
    security_store.record_securities(database, everybody, synthetic=True)
    for year, securities in ((2000, 20), (2001, 20), (2002, 100), (2003, 200), (2010, 10)):
        filled(database, year, securities)
    listed = security_store.listed(database, range(1999, 2012))
    assert 20 <= listed[1999] <= 45  # nothing is stored of it, and of the year after it is
    assert 20 <= listed[2000] <= 45
    assert 100 <= listed[2001] <= 145
    assert {listed[year] for year in (2002, 2003, 2004)} == {200}
    assert {listed[year] for year in (2005, 2006, 2008)} == {200}  # nobody knows
    assert 10 <= listed[2009] <= 30
    assert listed[2010] == 200  # it may have bars of a few days only
