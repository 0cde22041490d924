"""Published counts: what is kept, and what is turned away with its line and reason."""

import datetime as dt
import os
from collections.abc import Iterator
from pathlib import Path

import exchange_calendars
import polars as pl
import pytest

from breadthflow_pipelines.errors import RequestError, SourceError
from breadthflow_pipelines.sessions import exchange_calendar
from breadthflow_pipelines.sources.exchange_breadth import (
    SERIES,
    PublishedCounts,
    fetch_published_counts,
    read_published_counts,
    unread_files,
)
from breadthflow_pipelines.sources.throttle import Throttle
from breadthflow_pipelines.sources.web import ATTEMPTS, Web
from breadthflow_pipelines_tests.sources.vendor import ERROR, PAGE, Clock, FileVendor, serve

MARKET = Path(__file__).resolve().parents[2].parent / "shared" / "market"
needs_market = pytest.mark.skipif(not MARKET.is_dir(), reason="../shared/market is missing")


def write(directory: Path, **texts: str) -> Path:
    for name, text in texts.items():
        (directory / f"{name}.csv").write_text(text, encoding="utf-8")
    return directory


def read(directory: Path, exchange: str = "X") -> PublishedCounts:
    return read_published_counts(directory, exchange, exchange_calendar("XNYS"))


def test_files_that_look_like_the_exchange_s_and_are_no_series_are_named(tmp_path: Path) -> None:
    names = ("X_advn", "X_DECLN", "X_upvol", "x_dnvol", "X_index", "XY_upvol", "notes")
    write(tmp_path, **dict.fromkeys(names, "20240102, 1\n"))
    assert unread_files(tmp_path, "X") == ["X_upvol.csv", "x_dnvol.csv"]
    assert unread_files(tmp_path, "Z") == []


def test_series_meet_in_one_row_per_session_and_a_missing_one_is_null(tmp_path: Path) -> None:
    write(
        tmp_path,
        X_advn="20200106, 12\n20200102, 10\n",
        X_decln="20200102,20\r\n20200103,21\r\n",
        X_newlo="20200102, 0\n",
    )
    published = read(tmp_path)
    columns = {"session": pl.Date} | dict.fromkeys(SERIES.values(), pl.Int64) | {"index_close": pl.Float64}
    assert published.counts.schema == columns
    assert published.counts.select("session", "advances", "declines", "new_lows", "up_volume").rows() == [
        (dt.date(2020, 1, 2), 10, 20, 0, None),
        (dt.date(2020, 1, 3), None, 21, None, None),
        (dt.date(2020, 1, 6), 12, None, None, None),
    ]
    assert published.rejected.is_empty()


def test_an_index_beside_the_counts_need_not_be_whole(tmp_path: Path) -> None:
    index = "20200102, 8945.99\n20200103, 0\n20200106, -1\n20200107, inf\n20200108, 9000\n"
    days = "".join(f"2020010{day}, 5\n" for day in (2, 3, 6, 7))
    write(tmp_path, X_advn=days, X_decln=days, X_index=index)
    published = read(tmp_path)
    levels = published.counts.select("session", "index_close").rows()
    # A level without any count makes no row: there is no breadth on that session.
    assert levels == [(dt.date(2020, 1, 2), 8945.99)] + [(dt.date(2020, 1, day), None) for day in (3, 6, 7)]
    assert published.rejected["reason"].to_list() == ["no level", "negative", "not a number"]


@pytest.mark.parametrize(
    ("line", "session", "value", "reason"),
    [
        ("20200104, 5", dt.date(2020, 1, 4), "5", "no session of XNYS"),  # a Saturday
        ("20200101, 5", dt.date(2020, 1, 1), "5", "no session of XNYS"),  # New Year
        ("20200103, five", dt.date(2020, 1, 3), "five", "not a number"),
        ("20200103,", dt.date(2020, 1, 3), "", "not a number"),
        ("20200103", dt.date(2020, 1, 3), None, "not a number"),
        ("20200103, 5, 6", dt.date(2020, 1, 3), "5, 6", "not a number"),
        ("20200103, nan", dt.date(2020, 1, 3), "nan", "not a number"),
        ("20200103, 1e300", dt.date(2020, 1, 3), "1e300", "not a number"),  # more than a count can be
        ("20200103, -5", dt.date(2020, 1, 3), "-5", "negative"),
        ("20200103, 5.5", dt.date(2020, 1, 3), "5.5", "not a whole number"),  # its unit is not single issues
        ("20200230, 5", None, "20200230, 5", "not a date"),
        ("Date, Value", None, "Date, Value", "not a date"),
        ("00000101, 5", None, "00000101, 5", "not a date"),  # in year 0, which nobody can show
        ("20200103, 5\0", dt.date(2020, 1, 3), "5\\0", "not a number"),
        ("2020\x000103, 5", None, "2020\\0" + "0103, 5", "not a date"),
        ("20200103, " + "9" * 2000, dt.date(2020, 1, 3), "9" * 990 + "... (2,010 characters)", "not a number"),
        ("20200102, 10", dt.date(2020, 1, 2), "10", "repeated session"),  # same value: the first stands
    ],
)
def test_a_line_that_cannot_be_right_is_turned_away(
    tmp_path: Path, line: str, session: dt.date | None, value: str | None, reason: str
) -> None:
    write(tmp_path, X_advn=f"20200102, 10\n\n{line}\n", X_decln="20200102, 20\n")
    published = read(tmp_path)
    assert published.rejected.rows() == [("advn", 3, session, value, reason)]
    assert published.counts.select("session", "advances", "declines").rows() == [(dt.date(2020, 1, 2), 10, 20)]


def test_lines_that_contradict_each_other_all_go(tmp_path: Path) -> None:
    write(
        tmp_path,
        X_advn="20200102, 10\n20200103, 11\n20200102, 10\n20200102, 12\n20200103, x\n",
        X_decln="20200102, 20\n",
    )
    published = read(tmp_path)
    assert published.rejected.select("line", "reason").rows() == [
        (1, "repeated session"),
        (3, "repeated session"),
        (4, "repeated session"),
        (5, "not a number"),  # contradicts nobody: line 2 stands
    ]
    assert published.counts.select("session", "advances", "declines").rows() == [
        (dt.date(2020, 1, 2), None, 20),
        (dt.date(2020, 1, 3), 11, None),
    ]


def test_whole_numbers_may_be_written_as_floats(tmp_path: Path) -> None:
    write(tmp_path, X_advn="20200102, 10\n", X_decln="20200102, 2.0e1\n", X_advv="20200102, 4173332418.0\n")
    published = read(tmp_path)
    assert published.counts.select("declines", "up_volume").rows() == [(20, 4_173_332_418)]
    assert published.rejected.is_empty()


def test_the_exchange_is_found_in_any_case_and_its_own_case_first(tmp_path: Path) -> None:
    write(tmp_path, NYSE_advn="20200102, 1\n", NYSE_decln="20200102, 2\n")
    assert read(tmp_path, "nyse").counts["advances"].to_list() == [1]
    write(tmp_path, nyse_advn="20200102, 3\n", nyse_decln="20200102, 4\n")
    assert read(tmp_path, "nyse").counts["advances"].to_list() == [3]
    assert read(tmp_path, "NYSE").counts["advances"].to_list() == [1]


def test_two_files_of_one_series_are_refused(tmp_path: Path) -> None:
    write(tmp_path, X_advn="20200102, 1\n", X_decln="20200102, 2\n", X_ADVN="20200102, 3\n")
    with pytest.raises(RequestError, match=r"X_ADVN\.csv and X_advn\.csv are one series; keep one"):
        read(tmp_path)


@pytest.mark.parametrize(
    ("directory", "exchange", "message"),
    [
        ("here", "Y", "has no file Y_advn.csv or like it; it has AMEX, X."),
        ("bare", "Y", "it has no published counts at all"),
        ("here", "X", "has no X_decln.csv"),
        ("here", "AMEX", "has no AMEX_advn.csv and no AMEX_decln.csv"),
        ("nowhere", "X", "is not a directory"),
        ("here", "../X", "is not an exchange name"),
    ],
)
def test_a_request_that_cannot_be_met_says_what_is_there(
    tmp_path: Path, directory: str, exchange: str, message: str
) -> None:
    (tmp_path / "here").mkdir()
    (tmp_path / "bare").mkdir()
    write(tmp_path / "here", X_advn="20200102, 1\n", AMEX_newhi="20200102, 1\n", X_other="20200102, 1\n")
    with pytest.raises(RequestError) as caught:
        read(tmp_path / directory, exchange)
    assert message in str(caught.value)


def test_what_is_no_file_or_directory_is_named_and_not_waited_for(tmp_path: Path) -> None:
    write(tmp_path, X_advn="20200102, 1\n")
    os.mkfifo(tmp_path / "X_decln.csv")
    with pytest.raises(RequestError, match=r"X_decln\.csv cannot be read: it is not a regular file"):
        read(tmp_path)
    (tmp_path / "X_decln.csv").unlink()
    (tmp_path / "X_decln.csv").mkdir()
    with pytest.raises(RequestError, match=r"X_decln\.csv cannot be read: "):
        read(tmp_path)


@pytest.mark.market_data
@needs_market
def test_the_phantom_sessions_of_nasdaq_are_turned_away_and_nothing_else() -> None:
    directory = MARKET / "exchange_breadth"
    calendar = exchange_calendars.get_calendar("XNYS", start="1977-01-01", end="2016-12-31")
    phantoms = {
        (series, number, int(line[:8]))
        for series in SERIES
        for number, line in enumerate((directory / f"NASDAQ_{series}.csv").read_text().splitlines(), start=1)
        if not calendar.is_session(f"{line[:4]}-{line[4:6]}-{line[6:8]}")
    }
    published = read(directory, "NASDAQ")
    rejected = published.rejected.select("series", "line", pl.col("session").dt.strftime("%Y%m%d").cast(pl.Int64))
    assert set(rejected.rows()) == phantoms
    assert published.rejected.height == len(phantoms) == 252
    assert published.rejected["reason"].unique().to_list() == ["no session of XNYS"]
    days = published.rejected["session"].unique()
    assert {dt.date(2007, 1, 2), dt.date(2009, 10, 24)} <= set(days)  # a day of mourning; a Saturday
    assert len(days) == 33
    assert published.counts.height == 9583 - 33
    assert published.counts.filter(session=dt.date(2015, 11, 11)).row(0)[1:-1] == (
        1004,
        1810,
        94,
        505702905,
        1118016052,
        28170000,
        96,
        119,
    )


@pytest.fixture
def vendor() -> Iterator[FileVendor]:
    yield from serve(FileVendor())  # type: ignore[misc]


def fetch(address: str, tmp_path: Path, exchange: str = "NYSE") -> Path:
    clock = Clock()
    web = Web(Throttle(2, 100, clock=clock.now, sleep=clock.sleep))
    return fetch_published_counts(address, exchange, web, tmp_path / "sources")


@pytest.mark.parametrize("ending", ["/breadth/NYSE_", "/breadth/", "/breadth"])
def test_series_at_an_address_are_fetched_one_by_one_and_read_like_files(
    vendor: FileVendor, tmp_path: Path, ending: str
) -> None:
    vendor.files["/breadth/NYSE_advn.csv"] = b"20200102, 10\n20200103, 11\n"
    vendor.files["/breadth/NYSE_decln.csv"] = b"20200102, 20\n"
    published = read(fetch(vendor.url + ending, tmp_path), "NYSE")
    assert published.counts.select("session", "advances", "declines").rows() == [
        (dt.date(2020, 1, 2), 10, 20),
        (dt.date(2020, 1, 3), 11, None),
    ]


def test_a_fetch_that_broke_off_keeps_what_it_got_and_a_series_that_is_gone_does_not_stay(
    vendor: FileVendor, tmp_path: Path
) -> None:
    for series in ("advn", "decln", "unchn", "newhi"):
        vendor.files[f"/NYSE_{series}.csv"] = b"20200102, 10\n"
    vendor.first["/NYSE_unchn.csv"] = [ERROR] * ATTEMPTS
    with pytest.raises(SourceError, match=r"/NYSE_unchn\.csv cannot be read: HTTP 500"):
        fetch(vendor.url + "/NYSE_", tmp_path)
    vendor.asked.clear()
    del vendor.files["/NYSE_newhi.csv"]
    directory = fetch(vendor.url + "/NYSE_", tmp_path)
    unchanged = [request.path for request in vendor.asked if "If-None-Match" in request.headers]
    assert unchanged == ["/NYSE_advn.csv", "/NYSE_decln.csv"]
    assert sorted(path.name for path in directory.glob("*.csv")) == [
        f"NYSE_{series}.csv" for series in ("advn", "decln", "unchn")
    ]


def test_what_is_no_series_is_refused(vendor: FileVendor, tmp_path: Path) -> None:
    with pytest.raises(RequestError, match=r"/NYSE_ has no advn\.csv and no decln\.csv; advances and declines"):
        fetch(vendor.url + "/NYSE_", tmp_path)
    vendor.files["/NYSE_advn.csv"] = PAGE.body  # "not found", under status 200
    with pytest.raises(RequestError, match=r"/NYSE_advn\.csv is a web page and no series"):
        fetch(vendor.url + "/NYSE_", tmp_path)
    with pytest.raises(RequestError, match="is not an exchange name"):
        fetch(vendor.url, tmp_path, "../NYSE")
