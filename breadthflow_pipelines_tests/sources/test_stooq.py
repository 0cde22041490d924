"""Stooq's archives: both kinds of files, both headers, damaged members, and an archive at an address."""

import datetime as dt
import io
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import polars as pl
import pytest

from breadthflow_pipelines.errors import RequestError, SourceError
from breadthflow_pipelines.sessions import exchange_calendar
from breadthflow_pipelines.sources import stooq
from breadthflow_pipelines.sources.files import Files
from breadthflow_pipelines.sources.protocol import (
    MEMBER_SCHEMA,
    READ_SCHEMA,
    SECURITY_SCHEMA,
    UNREAD_SCHEMA,
    Account,
    Chunk,
    Outcome,
)
from breadthflow_pipelines.sources.stooq import Stooq
from breadthflow_pipelines.sources.throttle import Throttle
from breadthflow_pipelines.sources.web import Web
from breadthflow_pipelines_tests.sources.vendor import PAGE, Clock, FileVendor, serve

OLD = "Date,Open,High,Low,Close,Volume,OpenInt\n"
NEW = "<TICKER>,<PER>,<DATE>,<TIME>,<OPEN>,<HIGH>,<LOW>,<CLOSE>,<VOL>,<OPENINT>\n"
NASDAQ, NYSE = "data/daily/us/nasdaq stocks/1", "data/daily/us/nyse stocks/2"
MONDAY, TUESDAY = dt.date(2024, 11, 18), dt.date(2024, 11, 19)


def row(ticker: str, day: str, close: float, period: str = "D") -> str:
    return f"{ticker},{period},{day},000000,{close},{close + 1},{close - 1},{close},1000.5,0\n"


def old_row(day: str, close: float) -> str:
    return f"{day},{close},{close + 1},{close - 1},{close},1000,0\n"


def zipped(members: Mapping[str, str | bytes]) -> bytes:
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return whole.getvalue()


def source(tmp_path: Path, members: Mapping[str, str | bytes], *markets: str) -> Stooq:
    path = tmp_path / "d_us_txt.zip"
    path.write_bytes(zipped(members))
    return at(path, tmp_path, *markets)


def at(place: Path | str, tmp_path: Path, *markets: str, instruments: Path | None = None) -> Stooq:
    clock = Clock()
    web = Web(Throttle(2, 100, clock=clock.now, sleep=clock.sleep))
    return Stooq(place, markets or ("us",), web, tmp_path / "sources" / "stooq", instruments)


def read(source: Stooq, start: dt.date = MONDAY, end: dt.date = TUESDAY, symbols: set[str] | None = None) -> Chunk:
    chunks = list(source.bars(symbols, start, end))
    outcomes = {symbol: outcome for chunk in chunks for symbol, outcome in chunk.outcomes.items()}
    problems = tuple(problem for chunk in chunks for problem in chunk.problems)
    assert all(chunk.bars.schema == READ_SCHEMA for chunk in chunks)
    bars = pl.concat([chunk.bars for chunk in chunks]).drop(UNREAD_SCHEMA.names())
    return Chunk(bars, outcomes, problems, chunks[-1].reading)


MIXED = {
    f"{NASDAQ}/aapl.us.txt": NEW + row("AAPL.US", "20241115", 225) + row("AAPL.US", "20241118", 228.02),
    f"{NASDAQ}/msft.us.txt": OLD + old_row("2024-11-18", 415.76) + old_row("2024-11-19", 417.79),
    f"{NYSE}/brk-b.us.txt": NEW + row("BRK-B.US", "20241118", 471),
    f"{NYSE}/empty.us.txt": "",  # Stooq has such files for symbols that are new
    "data/daily/uk/lse stocks/bp.uk.txt": NEW + row("BP.UK", "20241118", 3.9),
    "data/daily/world/currencies/major/eurusd.txt": NEW + row("EURUSD", "20241118", 1.05),
    "data/hourly/us/nasdaq stocks/aapl.us.txt": NEW + row("AAPL.US", "20241118", 1, period="60"),
    "data/daily/us/": "",
    "readme.txt": "hello",
}


def test_both_headers_are_read_and_other_markets_and_periods_are_not(tmp_path: Path) -> None:
    got = read(source(tmp_path, MIXED))
    assert got.bars.sort("symbol", "session").rows() == [
        ("AAPL", MONDAY, 228.02, 229.02, 227.02, 228.02, 1000.5, None),
        ("BRK-B", MONDAY, 471.0, 472.0, 470.0, 471.0, 1000.5, None),
        ("MSFT", MONDAY, 415.76, 416.76, 414.76, 415.76, 1000.0, None),
        ("MSFT", TUESDAY, 417.79, 418.79, 416.79, 417.79, 1000.0, None),
    ]
    assert got.outcomes == dict.fromkeys(("AAPL", "BRK-B", "MSFT"), Outcome.FETCHED) | {"EMPTY": Outcome.ABSENT}
    assert got.problems == ()


def test_symbols_of_further_markets_keep_their_market(tmp_path: Path) -> None:
    found = source(tmp_path, MIXED, "us", "uk")
    assert found.securities()["symbol"].to_list() == ["AAPL", "BP.UK", "BRK-B", "EMPTY", "MSFT"]
    assert read(source(tmp_path, MIXED, "uk")).bars["symbol"].to_list() == ["BP"]
    assert found.securities().schema == SECURITY_SCHEMA


def test_a_file_of_a_day_has_all_its_symbols_in_a_column(tmp_path: Path) -> None:
    day = NEW + row("AAPL.US", "20241118", 228) + row("BRK-B.US", "20241118", 471) + row("BP.UK", "20241118", 3.9)
    day += row("EURUSD", "20241118", 1.05) + row("AAPL.US", "20241118", 229, period="5")
    found = source(tmp_path, {"20241118_d.txt": day})
    assert read(found).bars.select("symbol", "close").rows() == [("AAPL", 228.0), ("BRK-B", 471.0)]
    assert read(found).outcomes == dict.fromkeys(("AAPL", "BRK-B"), Outcome.FETCHED)
    assert read(found, symbols={"BRK-B", "MSFT"}).outcomes == {"BRK-B": Outcome.FETCHED, "MSFT": Outcome.ABSENT}
    assert found.securities()["symbol"].to_list() == ["AAPL", "BRK-B"]
    single = tmp_path / "20241118_d.txt"
    single.write_text(day)
    assert read(at(single, tmp_path)).bars.equals(read(found).bars)  # without a ZIP around it


def test_a_directory_reads_as_the_archive_it_was_unpacked_from(tmp_path: Path) -> None:
    packed = source(tmp_path, MIXED)
    with zipfile.ZipFile(tmp_path / "d_us_txt.zip") as archive:
        archive.extractall(tmp_path / "unpacked")
    assert read(at(tmp_path / "unpacked", tmp_path)).bars.equals(read(packed).bars)


def test_outcomes_tell_over_from_missing_and_broken(tmp_path: Path) -> None:
    members = {
        f"{NASDAQ}/over.us.txt": NEW + row("OVER.US", "20241101", 5),
        f"{NASDAQ}/hole.us.txt": NEW + row("HOLE.US", "20241101", 5) + row("HOLE.US", "20241122", 5),
        f"{NASDAQ}/page.us.txt": PAGE.body,
        f"{NASDAQ}/other.us.txt": NEW.replace("<CLOSE>", "<LAST>") + row("OTHER.US", "20241118", 5),
        f"{NASDAQ}/good.us.txt": NEW + row("GOOD.US", "20241118", 5),
    }
    got = read(source(tmp_path, members))
    assert got.outcomes == {
        "OVER": Outcome.NOT_YET,
        "HOLE": Outcome.ABSENT,
        "PAGE": Outcome.FAILED,
        "OTHER": Outcome.FAILED,
        "GOOD": Outcome.FETCHED,
    }
    assert len(got.problems) == 2
    assert "other.us.txt in" in got.problems[0]
    assert "no column for close; its columns are <TICKER>" in got.problems[0]
    assert "it is a web page" in got.problems[1]


def test_a_damaged_member_is_named_and_the_others_are_read(tmp_path: Path) -> None:
    members = {f"{NASDAQ}/{name}.us.txt": NEW + row(name, "20241118", 5) * 200 for name in ("a", "b", "c")}
    whole = bytearray(zipped(members))
    place = whole.index(b"b.us.txt") + 12  # the content begins after the name
    whole[place : place + 8] = b"\xff" * 8
    (tmp_path / "d.zip").write_bytes(whole)
    got = read(at(tmp_path / "d.zip", tmp_path))
    assert got.outcomes == {"A": Outcome.FETCHED, "B": Outcome.FAILED, "C": Outcome.FETCHED}
    assert "b.us.txt in" in got.problems[0]


def test_a_row_that_makes_no_sense_comes_along_to_be_rejected(tmp_path: Path) -> None:
    lines = (
        NEW
        + row("X.US", "20241118", 5).replace("5,6", "n/a,6")
        + row("X.US", "2024111", 5)
        + row("X.US", "20241119", 6)
    )
    got = read(source(tmp_path, {f"{NASDAQ}/x.us.txt": lines}))
    assert got.bars["session"].to_list() == [MONDAY, None, TUESDAY]
    assert got.bars["open"].to_list()[0] is None
    before = read(source(tmp_path, {f"{NASDAQ}/x.us.txt": lines}), MONDAY, MONDAY)
    assert before.bars["session"].to_list() == [MONDAY]  # a row without a day is shown with the last one, once


def test_files_of_one_symbol_come_in_one_chunk_and_memory_stays_small(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stooq, "CHUNK_MEMBERS", 2)
    members = {f"{NASDAQ}/{name}.us.txt": NEW + row(name, "20241118", 5) for name in "abcdef"}
    members[f"{NYSE}/b.us.txt"] = NEW + row("b", "20241118", 7)  # it changed its exchange
    chunks = list(source(tmp_path, members).bars(None, MONDAY, TUESDAY))
    assert [sorted(chunk.bars["symbol"]) for chunk in chunks[:-1]] == [["A", "B", "B"], ["C", "D"], ["E", "F"]]


def test_a_member_that_is_too_large_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stooq, "MEMBER_BYTES", 100)
    got = read(source(tmp_path, {f"{NASDAQ}/x.us.txt": NEW + row("X", "20241118", 5) * 50}))
    assert got.outcomes == {"X": Outcome.FAILED}


def test_without_a_universe_file_all_symbols_are_members_while_they_have_bars(tmp_path: Path) -> None:
    members = dict(MIXED) | {f"{NYSE}/gone.us.txt": OLD + old_row("2024-01-02", 5) + old_row("2024-03-01", 5)}
    archive = source(tmp_path, members)
    found = archive.members()
    assert found.schema == MEMBER_SCHEMA
    assert found.rows() == [
        ("all", "AAPL", dt.date(2024, 11, 15), None),
        ("all", "BRK-B", MONDAY, None),
        ("all", "GONE", dt.date(2024, 1, 2), dt.date(2024, 3, 2)),
        ("all", "MSFT", MONDAY, None),
    ]
    assert archive.members_reach() == TUESDAY


def test_an_archive_without_a_row_has_no_members(tmp_path: Path) -> None:
    archive = source(tmp_path, {f"{NASDAQ}/empty.us.txt": ""})
    assert (archive.members().schema, archive.members().rows(), archive.members_reach()) == (MEMBER_SCHEMA, [], None)


def test_no_line_of_a_member_is_lost_or_cut(tmp_path: Path) -> None:
    lines = [
        row("X.US", "20241115", 5),
        row("X.US", "20241118", 6).replace("1000.5", "1,000.5"),  # eleven cells: a volume of 1 share
        row("X.US", "20241119", 7).replace("\n", ',8" pipe\n'),
        "\n",
        NEW,
        row("X.US", "20241119", 7).replace("1000.5", "2.07M"),
        row("X.US", "20241119", 9, period="60"),
        row("X.UK", "20241119", 9),
    ]
    members = {"20241118_d.txt": NEW + "".join(lines), f"{NASDAQ}/y.us.txt": "", f"{NASDAQ}/z.us.txt": "\n"}
    chunk, last = source(tmp_path, members).bars(None, MONDAY, TUESDAY)
    assert chunk.bars.sort("session", "fault").select("session", "volume", "fault", "raw").rows() == [
        (MONDAY, None, "11 cells under a header of 10", lines[1].strip()),
        (TUESDAY, None, "11 cells under a header of 10", lines[2].strip()),
        (TUESDAY, None, "volume cannot be read", "volume=2.07M"),
    ]
    assert last.reading is not None
    assert last.reading.account == Account(lines=10, rows=4, rejected=2, blank=2, headers=2)
    assert (last.reading.delivered, last.reading.outside) == (3, 3)  # Friday, an hour and London are not asked for


def test_rows_of_days_to_come_are_given_once_and_count_for_no_member(tmp_path: Path) -> None:
    members = {
        f"{NASDAQ}/aapl.us.txt": OLD + old_row("2024-11-16", 1) + old_row("2024-11-18", 2) + old_row("29191119", 3),
        f"{NASDAQ}/gone.us.txt": OLD + old_row("2024-11-17", 1),  # a Sunday
    }
    (tmp_path / "d.zip").write_bytes(zipped(members))
    web = Web(Throttle(2, 100))
    found = Stooq(tmp_path / "d.zip", ("us",), web, tmp_path / "kept", calendar=exchange_calendar("XNYS"))
    assert found.members().rows() == [("all", "AAPL", MONDAY, None)]
    slip = dt.date(2919, 11, 19)
    assert read(found, MONDAY, MONDAY).bars["session"].to_list() == [MONDAY, slip]
    assert read(found, MONDAY - dt.timedelta(days=3), MONDAY - dt.timedelta(days=1)).bars["session"].max() < MONDAY
    assert read(found, TUESDAY, TUESDAY).outcomes == {"AAPL": Outcome.NOT_YET, "GONE": Outcome.NOT_YET}


@pytest.mark.market_data
def test_real_files_read_as_the_files_source_reads_them(tmp_path: Path, market: Path) -> None:
    raw = sorted((market / "stooq").glob("*.txt"))
    path = tmp_path / "d.zip"
    path.write_bytes(zipped({f"{NASDAQ}/{file.name}": file.read_bytes() for file in raw}))
    found, start, end = at(path, tmp_path), dt.date(1962, 1, 1), dt.date(2017, 11, 10)
    unpacked = pl.concat([chunk.bars for chunk in Files(market / "stooq").bars(None, start, end)])
    unpacked = unpacked.drop(UNREAD_SCHEMA.names())
    key = ["symbol", "session"]
    assert read(found, start, end).bars.sort(key).equals(unpacked.sort(key))
    assert found.members().equals(Files(market / "stooq").members())


@pytest.mark.parametrize(
    ("content", "error", "message"),
    [
        (PAGE.body, RequestError, "is not an archive that can be read: it is a web page. Fetch it again"),
        (zipped(MIXED)[:-200], RequestError, "is not an archive that can be read"),  # a download that broke off
        (b"", RequestError, "is not an archive that can be read"),
        (zipped({"readme.txt": ""}), RequestError, "has no daily bars of us in Stooq's form"),
    ],
    ids=["a page", "half an archive", "nothing", "another archive"],
)
def test_what_is_no_archive_of_stooq_s_is_said_to_be_none(
    tmp_path: Path, content: bytes, error: type[Exception], message: str
) -> None:
    path = tmp_path / "d.zip"
    path.write_bytes(content)
    with pytest.raises(error, match=message):
        at(path, tmp_path).describe()


def test_wrong_settings_are_wrong_requests(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="mars is not a market of Stooq's; there are: us, uk"):
        at(tmp_path, tmp_path, "mars")
    with pytest.raises(RequestError, match="does not exist"):
        at(tmp_path / "none.zip", tmp_path).describe()


@pytest.fixture
def vendor() -> Iterator[FileVendor]:
    yield from serve(FileVendor())  # type: ignore[misc]


def test_an_archive_at_an_address_is_fetched_once_and_again_when_it_changed(tmp_path: Path, vendor: FileVendor) -> None:
    address = vendor.url.replace("http://", "http://me:geheim@") + "/db/d/?b=d_us_txt&token=geheim"
    vendor.files["/db/d/"] = zipped(MIXED)
    found = at(address, tmp_path)
    described = found.describe()
    assert (described.symbols, "geheim" in described.about) == (None, False)  # not downloaded for that
    assert [request.method for request in vendor.asked] == ["HEAD"]
    assert read(found).bars.height == 4
    assert len(found.securities()) == 4
    assert at(address, tmp_path).describe().symbols == 4
    assert [request.method for request in vendor.asked].count("GET") == 2  # the second run asked whether it changed
    vendor.files["/db/d/"] = zipped({f"{NASDAQ}/x.us.txt": NEW + row("X", "20241118", 5)})
    assert read(at(address, tmp_path)).outcomes == {"X": Outcome.FETCHED}


def test_a_page_instead_of_the_archive_is_refused_and_not_kept(tmp_path: Path, vendor: FileVendor) -> None:
    vendor.files["/d.zip"] = PAGE.body
    with pytest.raises(SourceError, match="it is a web page"):
        read(at(f"{vendor.url}/d.zip", tmp_path))
    vendor.files["/d.zip"] = zipped(MIXED)
    assert read(at(f"{vendor.url}/d.zip", tmp_path)).bars.height == 4
