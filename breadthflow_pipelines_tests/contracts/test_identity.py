"""Whose bar a symbol's bar is, on its day."""

import datetime as dt

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from breadthflow_pipelines.contracts.identity import (
    LISTING,
    MEMBERS,
    as_listed,
    number_securities,
    resolve_bars,
    resolve_members,
    with_descriptions,
    with_unlisted,
)
from breadthflow_pipelines.contracts.verdict import judge
from breadthflow_pipelines.errors import RequestError
from breadthflow_pipelines.sources.protocol import MEMBER_SCHEMA, SECURITY_SCHEMA
from breadthflow_pipelines.sources.universe_file import INSTRUMENT_SCHEMA

Interval = tuple[str, str, str | None, str | None]
KNOWN = {"security_key": pl.String, "security_id": pl.Int64}

NOTHING_SAID = pl.DataFrame(schema=INSTRUMENT_SCHEMA)


def day(text: str | None) -> dt.date | None:
    return dt.date.fromisoformat(text) if text else None


def listing(*rows: Interval) -> pl.DataFrame:
    """key, symbol, first day, first day no longer."""
    complete = [(key, symbol, day(start), day(end), None, None) for key, symbol, start, end in rows]
    return pl.DataFrame(complete, schema=SECURITY_SCHEMA, orient="row")


def members(*rows: Interval) -> pl.DataFrame:
    """universe, symbol, first day in, first day out."""
    complete = [(universe, symbol, day(start), day(end)) for universe, symbol, start, end in rows]
    return pl.DataFrame(complete, schema=MEMBER_SCHEMA, orient="row")


def numbers(numbered: pl.DataFrame) -> dict[str, int]:
    return dict(numbered.select("source_key", "security_id").unique().iter_rows())


def resolved(listed: pl.DataFrame, membership: pl.DataFrame) -> list[tuple[object, ...]]:
    """Members after the whole way: unlisted ones added, numbered, resolved. universe, key, first day in, first out."""
    numbered = number_securities(with_unlisted(listed, membership, NOTHING_SAID), pl.DataFrame(schema=KNOWN))
    keys = numbered.select("security_id", "source_key").unique()
    found = resolve_members(membership, numbered).join(keys, on="security_id")
    return sorted(found.select("universe", "source_key", "valid_from", "valid_to").rows(), key=str)


# Meta was the symbol of an exchange-traded fund until January 2022; Facebook took it over on 2022-06-09.
META = listing(
    ("facebook", "FB", "2012-05-18", "2022-06-09"),
    ("facebook", "META", "2022-06-09", None),
    ("roundhill", "META", "2021-06-30", "2022-01-31"),
    ("roundhill", "METV", "2022-01-31", None),
)


@pytest.mark.parametrize(
    ("symbol", "session", "owner"),
    [
        ("META", "2021-12-31", "roundhill"),
        ("META", "2022-01-30", "roundhill"),  # the last day
        ("META", "2022-01-31", None),  # nobody's between the two
        ("META", "2022-06-08", None),
        ("META", "2022-06-09", "facebook"),  # the first day
        ("FB", "2022-06-08", "facebook"),  # one company under two names
        ("FB", "2022-06-09", None),
        ("FB", "2012-05-17", None),  # before it was listed
        ("METV", "2030-01-01", "roundhill"),  # still
        ("AAPL", "2020-01-02", None),  # not in the listing
    ],
)
def test_a_bar_belongs_to_whoever_had_the_symbol_that_day(symbol: str, session: str, owner: str | None) -> None:
    numbered = number_securities(META, pl.DataFrame(schema=KNOWN))
    bar = pl.DataFrame({"symbol": [symbol], "session": [day(session)]})
    found = resolve_bars(bar, numbered.select("security_id", "symbol", "valid_from", "valid_to"))
    assert found["security_id"].to_list() == [numbers(numbered)[owner] if owner else None]


def test_bars_keep_their_order_and_number_and_repeats_are_not_lost() -> None:
    symbols = number_securities(listing(("a", "A", None, None)), pl.DataFrame(schema=KNOWN))
    bars = pl.DataFrame(
        {"symbol": ["Z", "A", None, "A"], "session": [day("2024-01-03"), day("2024-01-02"), None, None], "close": 1.0}
    )
    found = resolve_bars(bars, symbols)
    assert_frame_equal(found.drop("security_id"), bars)
    assert found["security_id"].to_list() == [None, 1, None, 1]  # without a day, whoever had it ever
    assert resolve_bars(bars.clear(), symbols).is_empty()


def test_numbers_are_stable_and_go_on_where_they_stopped() -> None:
    first = number_securities(listing(("c", "C", None, None), ("a", "A", None, None)), pl.DataFrame(schema=KNOWN))
    assert numbers(first) == {"a": 1, "c": 2}
    known = pl.DataFrame([("a", 1), ("c", 2), ("gone", 7)], schema=KNOWN, orient="row")
    more = listing(("b", "B", None, None), ("c", "C", None, None), ("d", "D", None, None), ("a", "A", None, None))
    assert numbers(number_securities(more, known)) == {"a": 1, "b": 8, "c": 2, "d": 9}
    assert numbers(number_securities(more.reverse(), known)) == {"a": 1, "b": 8, "c": 2, "d": 9}  # in whatever order


def test_all_names_of_a_security_get_one_number() -> None:
    numbered = number_securities(META, pl.DataFrame(schema=KNOWN))
    assert numbered.height == META.height
    assert numbered.group_by("source_key").agg(pl.col("security_id").n_unique())["security_id"].to_list() == [1, 1]
    assert numbered["security_id"].n_unique() == 2


def test_a_member_nobody_lists_becomes_a_security_without_bars() -> None:
    listed = listing(("a", "A", None, None))
    membership = members(("u", "A", "2000-01-01", None), ("u", "GONE", "2000-01-01", "2005-01-01"))
    every = with_unlisted(listed, membership, NOTHING_SAID)
    assert every.schema == SECURITY_SCHEMA
    assert every.select("source_key", "symbol", "valid_from", "valid_to").rows() == [
        ("a", "A", None, None),
        ("GONE", "GONE", None, None),
    ]


def test_a_member_who_leaves_and_comes_back_is_one_security_whether_listed_or_not() -> None:
    twice = members(("u", "A", "2000-01-01", "2005-01-01"), ("u", "A", "2010-01-01", None))
    for listed in (listing(("A", "A", None, None)), listing()):
        assert resolved(listed, twice) == [
            ("u", "A", day("2000-01-01"), day("2005-01-01")),
            ("u", "A", day("2010-01-01"), None),
        ]


def test_a_member_whose_symbol_was_somebody_else_s_at_other_times_is_another_security() -> None:
    listed = listing(("new", "A", "2010-01-01", None))
    membership = members(("u", "A", "1996-01-01", "2001-01-01"), ("u", "A", "2012-01-01", None))
    assert resolved(listed, membership) == [
        ("u", "A until 2010-01-01", day("1996-01-01"), day("2001-01-01")),
        ("u", "new", day("2012-01-01"), None),
    ]


def test_a_member_without_bars_counts_in_its_sector_but_never_in_that_of_a_namesake() -> None:
    said = pl.DataFrame([("A", "New A", "Energy"), ("GONE", "Gone Inc.", "Utilities")], INSTRUMENT_SCHEMA, orient="row")
    membership = members(("u", "A", "1996-01-01", "2001-01-01"), ("u", "GONE", "2000-01-01", "2005-01-01"))
    unlisted = with_unlisted(listing(("new", "A", "2010-01-01", None)), membership, said).filter(
        pl.col("source_key") != "new"
    )
    assert unlisted.select("symbol", "name", "sector").rows() == [
        ("A", None, None),  # whoever it was in 1996, the list speaks of the company of today
        ("GONE", "Gone Inc.", "Utilities"),
    ]


@pytest.mark.parametrize("second_start", ["1996-01-01", "1998-01-01"])
def test_one_vanished_company_in_two_universes_is_one_security(second_start: str) -> None:
    """Otherwise its symbol would belong to two at a time, which the store refuses."""
    listed = listing(("new", "A", "2010-01-01", None))
    membership = members(("u", "A", "1996-01-01", "2001-01-01"), ("v", "A", second_start, "2000-01-01"))
    vanished = with_unlisted(listed, membership, NOTHING_SAID).filter(pl.col("source_key") != "new")
    assert vanished["source_key"].n_unique() == 1
    assert vanished.height == 1
    assert [row[2:] for row in resolved(listed, membership)] == [
        (day("1996-01-01"), day("2001-01-01")),
        (day(second_start), day("2000-01-01")),
    ]


def test_a_member_is_not_lost_because_another_universe_holds_its_successor() -> None:
    listed = listing(("new", "A", "2010-01-01", None))
    membership = members(("u", "A", "1996-01-01", "2001-01-01"), ("v", "A", "1996-01-01", None))
    assert ("u", day("1996-01-01"), day("2001-01-01")) in [
        (u, start, end) for u, _, start, end in resolved(listed, membership)
    ]


@pytest.mark.parametrize("spelling", ["BRK.B", "BRK-B", "BRK/B", "BRK B"])
def test_a_share_class_is_a_member_however_the_universe_spells_it(spelling: str) -> None:
    listed = listing(("BRK-B", "BRK-B", None, None), ("BRK-A", "BRK-A", None, None), ("BRKB", "BRKB", None, None))
    membership = members(("u", spelling, "2010-02-16", None))
    assert resolved(listed, membership) == [("u", "BRK-B", day("2010-02-16"), None)]
    numbered = number_securities(with_unlisted(listed, membership, NOTHING_SAID), pl.DataFrame(schema=KNOWN))
    assert numbered.height == 3  # and no security without bars is made for it
    assert resolve_members(membership, numbered)["symbol"].to_list() == [spelling]  # as the file writes it


def test_the_universe_s_own_spelling_wins_where_the_source_has_it() -> None:
    listed = listing(("BRK-B", "BRK-B", None, None), ("BRK.B", "BRK.B", None, None))
    for spelling in ("BRK.B", "BRK-B"):
        assert resolved(listed, members(("u", spelling, "2010-02-16", None)))[0][1] == spelling


def test_a_spelling_that_may_mean_two_shares_is_not_guessed() -> None:
    listed = listing(("BRK-B", "BRK-B", None, None), ("BRK.B", "BRK.B", None, None))
    assert resolved(listed, members(("u", "BRK/B", "2010-02-16", None)))[0][1] == "BRK/B"  # a security without bars


def test_a_spelling_of_another_time_is_nobody_s_rival() -> None:
    listed = listing(("old", "BRK.B", None, "2000-01-01"), ("new", "BRK-B", "2010-01-01", None))
    assert resolved(listed, members(("u", "BRK.B", "2012-01-01", None)))[0][1] == "new"
    assert resolved(listed, members(("u", "BRK-B", "1996-01-01", "1999-01-01")))[0][1] == "old"


def test_one_share_under_two_spellings_at_a_time_is_refused() -> None:
    listed = listing(("BRK-B", "BRK-B", None, None))
    both = members(("u", "BRK.B", "2010-02-16", None), ("u", "BRK/B", "2015-01-01", None))
    with pytest.raises(RequestError, match=r"BRK.B and BRK/B in u are one share and overlap: remove one of them"):
        as_listed(both, listed)
    apart = members(("u", "BRK.B", "2010-02-16", "2012-01-01"), ("u", "BRK/B", "2015-01-01", None))
    assert as_listed(apart, listed)["listed"].to_list() == ["BRK-B", "BRK-B"]
    other = members(("u", "BRK.B", "2010-02-16", None), ("v", "BRK/B", "2015-01-01", None))  # in two universes
    assert as_listed(other, listed)["listed"].to_list() == ["BRK-B", "BRK-B"]


def test_a_share_stays_one_security_when_the_next_source_spells_it_otherwise() -> None:
    known = pl.DataFrame([("BRK.B", 7), ("GE", 8), ("BF.B", 9), ("BF/B", 10)], KNOWN, orient="row")
    told = listing(("BRK-B", "BRK-B", None, None), ("GE", "GE", None, None), ("BF-B", "BF-B", None, None))
    assert numbers(number_securities(told, known)) == {"BRK.B": 7, "GE": 8, "BF-B": 11}  # two could be BF-B
    both = listing(("BRK-B", "BRK-B", None, None), ("BRK.B", "BRK.B", None, None))
    assert numbers(number_securities(both, known)) == {"BRK.B": 7, "BRK-B": 11}  # the source tells them apart
    keyed = listing(("BRK-B", "HATHAWAY", None, None))
    assert numbers(number_securities(keyed, known)) == {"BRK-B": 11}  # a key of the source's own is not a symbol


def test_names_and_sectors_are_found_under_another_spelling() -> None:
    said = [("BRK.B", "Berkshire Hathaway", "Financials"), ("BF.B", "one", "A"), ("BF/B", "two", "B")]
    instruments = pl.DataFrame(said, INSTRUMENT_SCHEMA, orient="row")
    listed = listing(("BRK-B", "BRK-B", None, None), ("BF-B", "BF-B", None, None)).vstack(
        pl.DataFrame([("BRK B", "BRK B", None, None, "its own", None)], SECURITY_SCHEMA, orient="row")
    )
    assert with_descriptions(listed, instruments).select("name", "sector").rows() == [
        ("Berkshire Hathaway", "Financials"),
        (None, None),  # of two, nobody knows which
        ("its own", "Financials"),
    ]


def test_members_are_cut_to_where_the_symbol_was_theirs() -> None:
    membership = members(("u", "FB", "2013-12-23", None), ("u", "META", "2022-02-01", None))
    numbered = number_securities(META, pl.DataFrame(schema=KNOWN))
    facebook = numbers(numbered)["facebook"]
    found = resolve_members(membership, numbered)
    assert found.columns == ["universe", "security_id", "valid_from", "valid_to", "symbol"]
    assert found.rows() == [
        ("u", facebook, day("2013-12-23"), day("2022-06-09"), "FB"),
        ("u", facebook, day("2022-06-09"), None, "META"),  # not from February, when the name was nobody's
    ]


def test_a_membership_that_ended_before_the_symbol_was_taken_over_stays_with_its_owner() -> None:
    membership = members(("u", "META", "2021-07-01", "2021-08-01"))
    assert [row[1:] for row in resolved(META, membership)] == [("roundhill", day("2021-07-01"), day("2021-08-01"))]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (("a", "A", "2020-01-01", "2020-01-01"), "ends before it begins"),  # no day at all
        (("a", "A", "2020-01-02", "2020-01-01"), "ends before it begins"),
        ((None, "A", None, None), "key or symbol missing"),
        (("a", None, None, None), "key or symbol missing"),
    ],
)
def test_a_listing_s_faults_are_named(row: Interval, reason: str) -> None:
    verdict = judge(LISTING, listing(("b", "B", None, "1999-01-01"), row))
    assert verdict.rejected["reasons"].to_list() == [[reason]]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (("u", "A", "2020-01-01", "2020-01-01"), "ends before it begins"),
        ((None, "A", "2020-01-01", None), "universe, symbol or first day missing"),
        (("u", None, "2020-01-01", None), "universe, symbol or first day missing"),
        (("u", "A", None, None), "universe, symbol or first day missing"),
    ],
)
def test_a_membership_s_faults_are_named(row: Interval, reason: str) -> None:
    verdict = judge(MEMBERS, members(("u", "B", "2000-01-01", None), row))
    assert verdict.rejected["reasons"].to_list() == [[reason]]
