"""The S&P 500's members from Wikipedia's two tables: folded back, counted, and refused where they do not hold."""

import datetime as dt
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path

import polars as pl
import pytest

from breadthflow_pipelines.cli import main
from breadthflow_pipelines.errors import RequestError, SourceError
from breadthflow_pipelines.sources.throttle import Throttle
from breadthflow_pipelines.sources.universe_file import read_instruments, read_universe
from breadthflow_pipelines.sources.web import Web
from breadthflow_pipelines.sources.wikipedia import (
    Change,
    Constituent,
    Interval,
    Membership,
    fold,
    parse,
    sound,
    sp500,
    write,
)
from breadthflow_pipelines_tests.sources.vendor import ERROR, PAGE, Answer, Clock, FileVendor, serve

D2010, D2015, D2020 = dt.date(2010, 6, 28), dt.date(2015, 3, 23), dt.date(2020, 9, 21)
PATH = "/wiki/List_of_S&P_500_companies"


def member(symbol: str, added: dt.date | None = None) -> Constituent:
    return Constituent(symbol, f"{symbol} Inc.", "Energy", added)


def page(
    current: Sequence[tuple[str, str]], changes: Sequence[tuple[str, str, str]], *, symbol: str = "Symbol"
) -> bytes:
    """A page as Wikipedia's: footnotes, links, a heading of two rows, and a date that covers the changes of its day."""
    rows = [
        f'<tr><td><a href="/q">{name}</a></td><td>{name} &amp; Co</td><td>Energy</td><td>Oil</td><td>Texas</td>'
        f"<td>{added}</td><td>0000012345</td><td>1901</td></tr>"
        for name, added in current
    ]
    days = []
    for day, same in groupby(changes, key=lambda change: change[0]):
        cells = [f"<td>{a}</td><td>A</td><td>{r}</td><td>R</td><td>Market cap.<sup>[7]</sup></td>" for _, a, r in same]
        cells[0] = f'<td rowspan="{len(cells)}">{day}<sup class="reference">[12]</sup></td>{cells[0]}'
        days += [f"<tr>{cell}</tr>" for cell in cells]
    heads = f"<th>{symbol}<sup>[b]</sup></th>" + "".join(
        f"<th>{name}</th>"
        for name in (
            "Security",
            "GICS Sector",
            "GICS Sub-Industry",
            "Headquarters Location",
            "Date added",
            "CIK",
            "Founded",
        )
    )
    return f"""<!DOCTYPE html><html><head><style>table {{}}</style></head><body><table><tr><td>x</td></tr></table>
    <table id="constituents"><tbody><tr>{heads}</tr>{"".join(rows)}</tbody></table>
    <table id="changes"><tbody><tr><th rowspan="2">Effective Date</th><th colspan="2">Added</th>
    <th colspan="2">Removed</th><th rowspan="2">Reason</th></tr>
    <tr><th>Ticker</th><th>Security</th><th>Ticker</th><th>Security</th></tr>{"".join(days)}</tbody></table>
    </body></html>""".encode()


def five_hundred(*others: str, number: int = 500) -> list[tuple[str, str]]:
    names = [f"M{index}" for index in range(number - len(others))]
    return [(name, "1957-03-04") for name in (*names, *others)]


@pytest.fixture
def vendor() -> Iterator[FileVendor]:
    yield from serve(FileVendor())  # type: ignore[misc]


@pytest.fixture
def web() -> Web:
    clock = Clock()
    return Web(Throttle(2, 100, clock=clock.now, sleep=clock.sleep))


def saved(tmp_path: Path, content: bytes) -> Path:
    (tmp_path / "page.html").write_bytes(content)
    return tmp_path / "page.html"


@pytest.mark.parametrize(
    ("current", "changes", "expected", "notes"),
    [
        # joined, replacing another
        (
            [member("A"), member("B")],
            [Change(D2015, "B", "C")],
            [("A", None, None), ("B", D2015, None), ("C", None, D2015)],
            0,
        ),
        # left and came back
        (
            [member("A")],
            [Change(D2020, "A", None), Change(D2010, None, "A")],
            [("A", D2020, None), ("A", None, D2010)],
            0,
        ),
        # out and in on one day, under one symbol: two companies
        ([member("A")], [Change(D2015, "A", "A")], [("A", D2015, None), ("A", None, D2015)], 0),
        # an order of changes that is not that of time
        (
            [member("A")],
            [Change(D2010, "B", None), Change(D2020, "A", "B")],
            [("A", D2020, None), ("B", D2010, D2020)],
            0,
        ),
        # no change says when it came, but the constituent does
        ([member("A", D2015)], [], [("A", D2015, None)], 0),
        # the change and not the constituent is believed
        ([member("A", D2010)], [Change(D2015, "A", None)], [("A", D2015, None)], 0),
        # FB came, META is there: the same day of adding tells it
        (
            [member("META", D2015), member("KKR", D2015)],
            [Change(D2015, "FB", None), Change(D2015, "KKR", "X")],
            [("KKR", D2015, None), ("META", D2015, None), ("X", None, D2015)],
            1,
        ),
        # two could be it, so neither is
        (
            [member("P", D2015), member("Q", D2015)],
            [Change(D2015, "OLD", None)],
            [("P", D2015, None), ("Q", D2015, None)],
            1,
        ),
        # went, is there later, and never came: it stayed
        ([member("A")], [Change(D2015, None, "A")], [("A", None, None)], 1),
        # came and went on one day: never a member
        ([], [Change(D2015, "A", None), Change(D2015, None, "A")], [("A", None, D2015)], 1),
    ],
)
def test_changes_are_folded_back(
    current: list[Constituent], changes: list[Change], expected: list[tuple[object, ...]], notes: int
) -> None:
    intervals, doubts = fold(current, changes)
    assert sorted(intervals, key=lambda one: (one.symbol, one.first is None)) == [
        Interval(*one)  # type: ignore[arg-type]
        for one in expected
    ]
    assert len(doubts) == notes


@pytest.mark.parametrize(
    ("written", "day"),
    [
        ("June 24, 2024", dt.date(2024, 6, 24)),
        ("2024-06-24", dt.date(2024, 6, 24)),
        ("24 June 2024", dt.date(2024, 6, 24)),
        ("Jun 24, 2024", dt.date(2024, 6, 24)),
        ("Sept. 4, 2018", dt.date(2018, 9, 4)),
        ("June 24,&nbsp;2024 [a]", dt.date(2024, 6, 24)),
        ("June 24 2024 (effective)", dt.date(2024, 6, 24)),
    ],
)
def test_dates_are_read_as_people_write_them(written: str, day: dt.date) -> None:
    assert parse(page([("A", "1957-03-04")], [(written, "A", "")]), "page")[1] == [Change(day, "A", None)]


def test_both_tables_are_read_with_cells_that_cover_others() -> None:
    changes = [("June 24, 2024", "KKR", "RHI"), ("June 24, 2024", "GDDY", "CMA"), ("June 3, 2024", "", "BRK.B")]
    current, found = parse(page([("MMM", "1957-03-04"), ("brk.b", "2010?")], changes), "page")
    assert current == [
        Constituent("MMM", "MMM & Co", "Energy", dt.date(1957, 3, 4)),
        Constituent("BRK-B", "brk.b & Co", "Energy", None),
    ]
    assert found == [
        Change(dt.date(2024, 6, 24), "KKR", "RHI"),
        Change(dt.date(2024, 6, 24), "GDDY", "CMA"),
        Change(dt.date(2024, 6, 3), None, "BRK-B"),
    ]


@pytest.mark.parametrize(
    "cell",
    [
        *("-", "\N{EM DASH}", "\N{EN DASH}", "\N{MINUS SIGN}", "&mdash;", "?", "&nbsp;"),
        *("N/A", "n.a.", "None", "none[4]", "(none)", "TBD", "[a]", "<sup>[1]</sup>"),
    ],
)
def test_a_cell_that_names_nobody_adds_and_removes_nobody(cell: str) -> None:
    changes = [("June 24, 2024", "KKR", cell), ("June 3, 2024", cell, "RHI"), ("May 1, 2024", cell, cell)]
    current, found = parse(page([("MMM", "1957-03-04"), (cell, "")], changes), "page")
    assert [one.symbol for one in current] == ["MMM"]
    assert [(change.added, change.removed) for change in found] == [("KKR", None), (None, "RHI"), (None, None)]


def test_what_does_not_look_like_a_symbol_is_no_member_and_is_named(web: Web, tmp_path: Path) -> None:
    changes = [
        ("2020-09-21", "M1", "see below"),
        ("2019-02-01", "2018", "X"),
        ("2018-01-03", "Berkshire Hathaway", "BRK.B"),
    ]
    current, found, notes = sound(*parse(page([("MMM", "1957-03-04"), ("to come", "")], changes), "page"))
    assert [one.symbol for one in current] == ["MMM"]
    assert [(change.added, change.removed) for change in found] == [("M1", None), (None, "X"), (None, "BRK-B")]
    assert [note.split("'")[1] for note in notes] == ["to come", "see below", "2018", "Berkshire Hathaway"]
    place = saved(tmp_path, page(five_hundred(), changes))
    taken = sp500(web, place)
    assert not {"see below", "2018", "Berkshire Hathaway"} & set(taken.members["symbol"])
    assert "'see below' was removed on 2020-09-21: that is not a symbol" in " ".join(taken.notes)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (page([("A", "x")], [], symbol="Ticker symbol"), "no table with the columns symbol, security"),
        (
            page([("A", "x")], []).replace(b"Removed", b"Dropped"),
            "no table with the columns added ticker, removed ticker",
        ),
        (page([("A", "x"), ("B", "x"), ("A", "x")], []), "lists A twice"),
        (page([("A", "x")], [("some day in 2024", "A", "B")]), "a change on 'some day in 2024', which is not a date"),
        (PAGE.body, "no table with the columns"),
        (b"", "is not a web page"),
    ],
    ids=["columns of constituents", "columns of changes", "twice", "no date", "another page", "nothing"],
)
def test_a_page_that_changed_is_refused_with_what_changed(content: bytes, message: str) -> None:
    with pytest.raises(SourceError, match=message):
        parse(content, "page")


def test_the_universe_begins_where_counts_hold(web: Web, tmp_path: Path) -> None:
    # Twelve went before 2015 whom nobody replaced: before that day there were 512.
    changes = [("September 21, 2020", "M1", "X"), *[("March 23, 2015", "", f"Y{n}") for n in range(12)]]
    changes.append(("June 28, 2010", "M2", "Z"))
    place = saved(tmp_path, page(five_hundred(), changes))
    found = sp500(web, place)
    assert found.since == D2015
    assert found.members.filter(pl.col("symbol").is_in(["M1", "M2", "X", "Y0"])).rows() == [
        ("sp500", "M1", D2020, None),
        ("sp500", "M2", D2015, None),  # a member since 2010, but the file says nothing before its first day
        ("sp500", "X", D2015, D2020),
    ]
    later = sp500(web, place, dt.date(2018, 1, 1))
    assert set(later.members["valid_from"]) == {dt.date(2018, 1, 1), D2020}
    with pytest.raises(SourceError, match=r"from 2012-01-01 on: 512 of 2012-01-01 to 2015-03-22.*--from 2015-03-23"):
        sp500(web, place, dt.date(2012, 1, 1))


@pytest.mark.parametrize(("number", "holds"), [(489, False), (490, True), (510, True), (511, False)])
def test_a_list_of_490_to_510_members_is_taken_and_no_other(
    web: Web, tmp_path: Path, number: int, *, holds: bool
) -> None:
    place = saved(tmp_path, page(five_hundred(number=number), [("2020-09-21", "M1", "X")]))
    if holds:
        assert sp500(web, place).members["valid_to"].null_count() == number
    else:
        with pytest.raises(SourceError, match=f"has {number} constituents; that is not the S&P 500"):
            sp500(web, place)


def test_a_list_of_another_length_is_refused(web: Web, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="has 480 constituents; that is not the S&P 500"):
        sp500(web, saved(tmp_path, page(five_hundred(number=480), [("2020-09-21", "M1", "X")])))


@pytest.mark.market_data
def test_real_memberships_are_found_again_from_their_last_day_and_their_changes(
    web: Web, tmp_path: Path, market: Path
) -> None:
    last = dt.date(2017, 11, 10)  # the file knows fewer and fewer members after that
    whole = read_universe(market / "sp500_membership.csv").filter(pl.col("valid_from") <= last)
    truth = whole.with_columns(valid_to=pl.when(pl.col("valid_to") <= last).then("valid_to"))
    current = [(symbol, "") for symbol in truth.filter(pl.col("valid_to").is_null())["symbol"]]
    came = [(first, symbol, "") for first, symbol in truth.select("valid_from", "symbol").iter_rows()]
    went = [(out, "", symbol) for out, symbol in truth.select("valid_to", "symbol").drop_nulls().iter_rows()]
    changes = [(f"{day:%B %d, %Y}", a, r) for day, a, r in sorted(came + went, reverse=True)]
    found = sp500(web, saved(tmp_path, page(current, changes)))
    assert found.notes == ()
    assert found.since < dt.date(2007, 7, 1)
    expected = (
        truth.filter(pl.col("valid_to").is_null() | (pl.col("valid_to") > found.since))
        .with_columns(pl.col("valid_from").clip(found.since), universe=pl.lit("sp500"))
        .sort("symbol", "valid_from")
    )
    assert found.members.sort("symbol", "valid_from").equals(expected)


def test_the_page_is_asked_for_again_when_that_may_help(web: Web, vendor: FileVendor) -> None:
    vendor.files[PATH] = page(five_hundred(), [("2020-09-21", "M1", "X")])
    vendor.first[PATH] = [ERROR, Answer(vendor.files[PATH], half=True)]
    address = vendor.url + PATH.replace("&", "%26")
    assert sp500(web, address).members["valid_to"].null_count() == 500
    assert len(vendor.asked) == 3
    assert vendor.asked[0].headers["User-Agent"].startswith("BreadthFlow/")  # Wikipedia wants to know who asks
    with pytest.raises(SourceError, match="does not exist any more; name another page"):
        sp500(web, vendor.url + "/wiki/None")


@pytest.fixture
def membership(web: Web, tmp_path: Path) -> Membership:
    return sp500(web, saved(tmp_path, page(five_hundred("BRK.B"), [("2020-09-21", "M1", "X")])))


def test_the_file_is_a_universe_file_with_instruments_beside(membership: Membership, tmp_path: Path) -> None:
    path = tmp_path / "universes" / "sp500.csv"
    assert write(membership, path) == (501, 0)
    assert read_universe(path).sort("symbol").equals(membership.members.sort("symbol"))
    assert read_instruments(path.parent / "instruments.csv").row(0) == ("BRK-B", "BRK.B & Co", "Energy")
    assert write(membership, path) == (0, 0)
    assert sorted(file.name for file in path.parent.iterdir()) == ["instruments.csv", "sp500.csv"]


def test_other_universes_and_known_instruments_stay(membership: Membership, tmp_path: Path) -> None:
    path = tmp_path / "universes.csv"
    path.write_text("universe,symbol,valid_from,valid_to\nmine,AAPL,2010-01-04,\nsp500,GONE,2010-01-04,2012-01-03\n")
    (tmp_path / "instruments.csv").write_text("symbol,name,sector\nM1,My name,My sector\nAAPL,Apple,Technology\n")
    assert write(membership, path) == (501, 1)
    assert read_universe(path).filter(universe="mine").rows() == [("mine", "AAPL", dt.date(2010, 1, 4), None)]
    known = read_instruments(tmp_path / "instruments.csv")
    assert known.filter(pl.col("symbol").is_in(["M1", "AAPL"])).rows() == [
        ("AAPL", "Apple", "Technology"),
        ("M1", "My name", "My sector"),
    ]


def test_a_file_that_cannot_be_used_is_not_replaced(membership: Membership, tmp_path: Path) -> None:
    path = tmp_path / "notes.csv"
    path.write_text("my notes\n")
    with pytest.raises(RequestError, match="no column universe"):
        write(membership, path)
    assert path.read_text() == "my notes\n"


def test_the_command_writes_the_file_and_names_what_is_doubtful(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = saved(tmp_path, page(five_hundred(), [("2020-09-21", "M1", "X"), ("2015-03-23", "OLD", "Y")]))
    arguments = ["fetch-universe", "sp500", str(tmp_path / "u.csv"), "--page", str(copy), "--from", "2018-01-02"]
    with pytest.raises(SystemExit) as end:
        main(arguments)
    said = capsys.readouterr()
    assert end.value.code == 0
    assert "sp500 from 2018-01-02 on, 500 members today; 501 rows came, 0 went" in " ".join(said.out.split())
    assert "doubtful: OLD was added on 2015-03-23, but is not a member after that" in " ".join(said.err.split())
    assert read_universe(tmp_path / "u.csv").height == 501
