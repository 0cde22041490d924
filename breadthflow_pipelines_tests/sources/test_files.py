"""Files of bars as vendors ship them: layouts, faults, ranges and memory."""

import datetime as dt
import gzip
import io
import os
import pickle
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from polars.testing import assert_frame_equal

from breadthflow_pipelines.errors import RequestError
from breadthflow_pipelines.sessions import exchange_calendar
from breadthflow_pipelines.sources import file_batches, file_index, parsing
from breadthflow_pipelines.sources.files import Files
from breadthflow_pipelines.sources.layout import Options
from breadthflow_pipelines.sources.protocol import (
    MEMBER_SCHEMA,
    READ_SCHEMA,
    SECURITY_SCHEMA,
    UNREAD_SCHEMA,
    Chunk,
    Outcome,
    Reading,
    Taken,
)

MARKET = Path(__file__).resolve().parents[2].parent / "shared" / "market"
needs_market = pytest.mark.skipif(not MARKET.is_dir(), reason="../shared/market is missing")

START, END = dt.date(2000, 1, 1), dt.date(2024, 12, 31)
JUNK = bytes(i * i // 7 % 256 for i in range(4000))
ORDINARY = "Date,Open,High,Low,Close,Volume\n"
STOOQ_HEADER = "Date,Open,High,Low,Close,Volume,OpenInt\n"


def write(path: Path, text: str | bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def stooq(*sessions: str) -> str:
    return STOOQ_HEADER + "".join(f"{session},1,3,0.5,2,100,0\n" for session in sessions)


def load(
    source: Files, symbols: list[str] | None = None, start: dt.date = START, end: dt.date = END
) -> tuple[pl.DataFrame, dict[str, Outcome], list[str]]:
    """All bars, the last word on each symbol, and the problems of one call."""
    chunks: list[Chunk] = list(source.bars(symbols, start, end))
    assert all(chunk.bars.schema == READ_SCHEMA for chunk in chunks)
    bars = pl.concat([pl.DataFrame(schema=READ_SCHEMA), *(chunk.bars for chunk in chunks)]).drop(UNREAD_SCHEMA.names())
    outcomes: dict[str, Outcome] = {}
    for chunk in chunks:
        outcomes |= chunk.outcomes
    return bars.sort("symbol", "session"), outcomes, [problem for chunk in chunks for problem in chunk.problems]


def read(source: Files, start: dt.date = START, end: dt.date = END) -> pl.DataFrame:
    """All rows, with what could not be read of them."""
    return pl.concat([chunk.bars for chunk in source.bars(None, start, end)]).sort("symbol", "session")


@pytest.mark.parametrize(
    ("name", "text", "adjusted"),
    [
        ("bars.csv", "symbol,session,open,high,low,close,volume\nMSFT,2020-01-02,1,4,0.5,2,100\n", None),  # ours
        (
            "any.csv",  # ours with an adjusted close, other order and case, surplus column, blanks around, lower case
            "Volume, CLOSE ,low,extra,High,Open,Close_Adjusted,Ticker,Date\n100, 2 ,0.5,x,4,1,1.5,msft,20200102\n",
            1.5,
        ),
        ("msft.us.txt", STOOQ_HEADER + "2020-01-02,1,4,0.5,2,100,0\n", None),  # Stooq: symbol in the file's name
        ("MSFT.csv", "Date,High,Low,Open,Close,Volume,Adj Close\n2020-01-02,4,0.5,1,2,100,1.5\n", 1.5),  # Yahoo, alone
        (
            "all.csv",
            "Date,High,Low,Open,Close,Volume,Adj Close,Name\n2020-01-02,4,0.5,1,2,1e2,1.5,MSFT\n",
            1.5,
        ),  # Yahoo
        ("MSFT.csv", "\ufeffDate,Open,High,Low,Close,Volume\r\n2020-01-02,1,4,0.5,2,100\r\n", None),  # BOM and CRLF
        ("b[1].csv", "symbol,session,open,high,low,close,volume\nMSFT,2020-01-02,1,4,0.5,2,100\n", None),  # not a glob
    ],
)
def test_a_known_layout_is_read_without_configuration(
    tmp_path: Path, name: str, text: str, adjusted: float | None
) -> None:
    bars, outcomes, problems = load(Files(write(tmp_path / name, text)))
    assert bars.rows() == [("MSFT", dt.date(2020, 1, 2), 1.0, 4.0, 0.5, 2.0, 100.0, adjusted)]
    assert outcomes == {"MSFT": Outcome.FETCHED}
    assert problems == []


@pytest.mark.parametrize(
    "session",
    [
        pl.Series([dt.date(2020, 1, 2)]),
        pl.Series([dt.date(2020, 1, 2)]).cast(pl.Datetime),
        # 21:00 in New York on the 2nd, which UTC calls the 3rd: the local day counts
        pl.Series([dt.datetime(2020, 1, 3, 2, tzinfo=dt.UTC)]).dt.convert_time_zone("America/New_York"),
        pl.Series([20200102]),
        pl.Series(["2020-01-02"]),
    ],
    ids=["date", "datetime", "datetime with a zone", "integer", "text"],
)
def test_parquet_dates_of_any_type_are_read(tmp_path: Path, session: pl.Series) -> None:
    frame = pl.DataFrame({"symbol": ["A"], "session": session, "open": [1], "high": [2.0], "low": [float("nan")]})
    frame.with_columns(close=pl.lit("2"), volume=pl.lit(7, pl.Int32)).write_parquet(tmp_path / "x.parquet")
    bars, _, _ = load(Files(tmp_path / "x.parquet"))
    assert bars.rows() == [("A", dt.date(2020, 1, 2), 1.0, 2.0, None, 2.0, 7.0, None)]  # nan is null, not a price


@pytest.mark.parametrize(
    ("name", "symbol"),
    [
        ("aapl.us.txt", "AAPL"),
        ("brk-b.us.txt", "BRK-B"),
        ("abr_a.us.txt", "ABR_A"),
        ("MSFT.csv", "MSFT"),
        ("bf.b.csv", "BF.B"),  # a share class is not a market
        ("^spx.txt", "^SPX"),
    ],
)
def test_the_symbol_in_a_file_name(tmp_path: Path, name: str, symbol: str) -> None:
    write(tmp_path / name, stooq("2020-01-02"))
    assert Files(tmp_path).securities()["symbol"].to_list() == [symbol]


def test_a_directory_is_searched_through_without_hidden_and_foreign_files(tmp_path: Path) -> None:
    write(tmp_path / "nyse" / "a" / "ge.us.txt", stooq("2020-01-02"))
    write(tmp_path / "IBM.CSV", stooq("2020-01-02"))
    write(tmp_path / ".hidden.csv", "junk")
    write(tmp_path / ".git" / "x.csv", "junk")
    write(tmp_path / "README.md", "junk")
    instruments = write(tmp_path / "instruments.csv", "symbol,name,sector\nGE,General Electric,Industrials\n")
    source = Files(tmp_path, instruments=instruments)
    _, outcomes, problems = load(source)
    assert (outcomes, problems) == ({"GE": Outcome.FETCHED, "IBM": Outcome.FETCHED}, [])
    securities = source.securities()
    assert securities.schema == SECURITY_SCHEMA
    assert securities.rows() == [
        ("GE", "GE", None, None, "General Electric", "Industrials"),
        ("IBM", "IBM", None, None, None, None),
    ]


def test_a_column_mapping_reads_a_foreign_layout(tmp_path: Path) -> None:
    write(tmp_path / "a.csv", "Day,Code,o,h,l,Last,Vol,Close\n2020-01-02,X,1,4,0.5,2,100,9\n")
    mapping = {
        "session": "Day",
        "symbol": "Code",
        "open": "o",
        "high": "h",
        "low": "l",
        "close": "last",
        "volume": "Vol",
    }
    bars, _, _ = load(Files(tmp_path, Options(columns=mapping)))
    assert bars.rows() == [("X", dt.date(2020, 1, 2), 1.0, 4.0, 0.5, 2.0, 100.0, None)]  # Last, not the Close beside it


@pytest.mark.parametrize(
    ("mapping", "message"),
    [
        ({"price": "Last"}, "price, which no bar has"),
        ({"close": "Last"}, "close=Last"),  # in no file; Close must not be taken in its stead
    ],
)
def test_a_mapping_that_cannot_be_meant_is_refused(tmp_path: Path, mapping: dict[str, str], message: str) -> None:
    write(tmp_path / "a.csv", stooq("2020-01-02"))
    with pytest.raises(RequestError, match=message):
        Files(tmp_path, Options(columns=mapping)).describe()


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("nowhere", "does not exist"),
        ("empty", "holds no .parquet, .csv, .txt"),
        ("notes.md", "is none of .parquet, .csv, .txt"),
    ],
)
def test_a_path_without_files_is_a_wrong_request(tmp_path: Path, path: str, message: str) -> None:
    (tmp_path / "empty").mkdir()
    write(tmp_path / "notes.md", "x")
    with pytest.raises(RequestError, match=message) as caught:
        list(Files(tmp_path / path).bars(None, START, END))
    assert str(tmp_path / path) in str(caught.value)


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("bad.csv", JUNK, ""),
        ("bad.csv", b"\0" * 300, "no column for"),
        # the header as it was read, and what is probably the matter
        ("bad.csv", ORDINARY.encode("utf-16"), "\\0O\\0p\\0e\\0n"),
        ("bad.csv", ORDINARY.encode("utf-16"), "(it looks like UTF-16; save it as UTF-8)"),
        (
            "bad.csv",
            (ORDINARY + "2020-01-02,1,2,1,2,9\n").replace("\n", "\r").encode(),
            "its lines end with CR alone; save it with LF or CR LF",
        ),
        ("bad.csv", ORDINARY.replace(",", ";").encode(), "Date;Open;High;Low;Close;Volume (separated by semicolons"),
        ("bad.csv", ORDINARY.replace(",", "\t").encode(), "Date Open High Low Close Volume (separated by tabs"),
        ("bad.parquet", JUNK, "parquet"),
        ("bad.parquet", b"PAR1" + JUNK[:300] + b"PAR1", "parquet"),
        ("bad.us.txt", b"", "empty"),
        ("bad.csv", STOOQ_HEADER.encode(), "holds no rows"),
        ("bad.csv", b"Date,Open,High,Low\n2020-01-02,1,2,3\n", "no column for close, volume"),
        ("bad.csv", STOOQ_HEADER.encode() + b"soon,1,3,0.5,2,100,0\n", "not a single date"),
    ],
)
def test_an_unreadable_file_is_named_and_the_others_still_load(
    tmp_path: Path, name: str, content: bytes, reason: str
) -> None:
    bad = write(tmp_path / name, content)
    write(tmp_path / "good.csv", stooq("2020-01-02"))
    bars, outcomes, problems = load(Files(tmp_path))
    assert bars["symbol"].to_list() == ["GOOD"]
    assert outcomes == {"GOOD": Outcome.FETCHED, "BAD": Outcome.FAILED}
    assert len(problems) == 1
    assert problems[0].startswith(f"{bad}: ")
    assert reason in problems[0]
    assert problems[0].isprintable()


def test_where_no_file_can_be_read_the_source_does_not_answer(tmp_path: Path) -> None:
    write(tmp_path / "bad.csv", b"x\n1\n")
    with pytest.raises(RequestError, match=r"/bad\.csv cannot be read: no column for session"):
        Files(tmp_path / "bad.csv").describe()
    with pytest.raises(RequestError, match=r"None of the 1 file\(s\) in .* can be read\. bad\.csv: no column for"):
        Files(tmp_path).describe()


NAMELESS = (
    "no column holds the symbol, and the file's name does not look like one; if it is one, set "
    "BREADTHFLOW_SOURCE_SYMBOL=filename"
)


def test_a_file_without_any_symbol_fails_for_nobody(tmp_path: Path) -> None:
    write(tmp_path / "good.csv", stooq("2020-01-02"))
    write(tmp_path / "prices of 2020.csv", stooq("2020-01-02"))
    _, outcomes, problems = load(Files(tmp_path))
    assert outcomes == {"GOOD": Outcome.FETCHED}
    assert problems == [f"{tmp_path / 'prices of 2020.csv'}: {NAMELESS}"]


def test_a_large_file_that_breaks_halfway_is_named_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_batches, "CHUNK_ROWS", 2)
    monkeypatch.setattr(file_batches, "PASS_ROWS", 2)
    header = "symbol,date,open,high,low,close,volume\n"
    rows = [f"{symbol},{year}-03-02,1,3,0.5,2,100\n" for symbol in "AB" for year in (2018, 2019, 2020)]
    path = write(tmp_path / "many.csv", header + "".join(rows))
    chunks = Files(tmp_path).bars(None, START, END)
    assert next(chunks).bars["session"].unique().to_list() == [dt.date(2018, 3, 2)]
    path.write_text("replaced by something else\n1\n")
    (last,) = chunks
    assert (last.bars.height, len(last.problems)) == (0, 1)
    assert last.outcomes == {"A": Outcome.FAILED, "B": Outcome.FAILED, "MANY": Outcome.FAILED}


def test_a_file_that_breaks_after_the_first_look_fails_alone(tmp_path: Path) -> None:
    write(tmp_path / "a.csv", stooq("2020-01-02"))
    gone = write(tmp_path / "b.csv", stooq("2020-01-02"))
    source = Files(tmp_path)
    source.describe()
    gone.unlink()
    bars, outcomes, problems = load(source)
    assert bars["symbol"].to_list() == ["A"]
    assert outcomes == {"A": Outcome.FETCHED, "B": Outcome.FAILED}
    assert [problem.split(": ")[0] for problem in problems] == [str(gone)]


def test_cells_that_cannot_be_read_become_null_and_no_row_is_lost(tmp_path: Path) -> None:
    write(
        tmp_path / "a.csv",
        STOOQ_HEADER.encode()
        + b"2020-01-02,n/a,nan,,\xe9,1.5,0\n"  # text, nan, nothing, Latin-1; a fraction of a share
        + b"2020-01-03,1,3\n"  # cut short
        + b"2020-02-30,1,3,0.5,2,100,0\n"  # no such day
        + b"\n"  # no row
        + b"2020-01-06,1,3,0.5,2,100,0,surplus\n",
    )
    assert read(Files(tmp_path)).drop("symbol", "close_adjusted").rows() == [
        (None, 1.0, 3.0, 0.5, 2.0, 100.0, "session cannot be read", "session=2020-02-30"),
        (dt.date(2020, 1, 2), None, None, None, None, 1.5, "close cannot be read", "open=n/a, high=nan, close=\ufffd"),
        (dt.date(2020, 1, 3), *[None] * 5, "3 cells under a header of 7", "2020-01-03,1,3"),
        (dt.date(2020, 1, 6), *[None] * 5, "8 cells under a header of 7", "2020-01-06,1,3,0.5,2,100,0,surplus"),
    ]


@pytest.mark.parametrize("chunk_rows", [300_000, 3, 1])  # whole, by years, by months
def test_a_history_fetched_in_pieces_shows_each_row_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chunk_rows: int
) -> None:
    monkeypatch.setattr(file_batches, "CHUNK_ROWS", chunk_rows)
    sessions = ["2018-12-31", "2019-06-03", "never", "2019-06-04", "2020-02-29", "2021-01-04"]
    rows = "".join(f"{symbol},{day},1,3,0.5,2,{i}\n" for i, day in enumerate(sessions) for symbol in "AB")
    write(tmp_path / "many.csv", "symbol,date,open,high,low,close,volume\n" + rows + ",2019-06-05,1,3,0.5,2,9\n")
    source = Files(tmp_path)
    whole, _, _ = load(source)
    firsts = [dt.date(year, month, 1) for year in range(2018, 2022) for month in range(1, 13)]
    lasts = [first - dt.timedelta(days=1) for first in [*firsts[1:], dt.date(2022, 1, 1)]]
    pieces = [load(source, None, first, last)[0] for first, last in zip(firsts, lasts, strict=True)]
    expected = sorted([*((s, i) for s in "AB" for i in range(6)), ("", 9)])
    for bars in (whole, pl.concat(pieces)):
        assert sorted((s or "", v) for s, v in bars.select("symbol", "volume").iter_rows()) == expected
    assert pieces[-12].filter(pl.col("session").is_null())["symbol"].to_list() == ["A", "B"]  # with the last session


def test_only_the_symbols_and_sessions_asked_for_come_out(tmp_path: Path) -> None:
    write(tmp_path / "a.csv", stooq("2020-01-02", "2020-01-03", "2020-01-06"))
    write(tmp_path / "b.csv", stooq("2020-01-02"))
    write(
        tmp_path / "many.csv",
        "symbol,date,open,high,low,close,volume\nc,2020-01-03,1,3,0.5,2,100\nd,2020-01-03,1,3,0.5,2,100\n",
    )
    day = dt.date(2020, 1, 3)
    bars, outcomes, _ = load(Files(tmp_path), ["A", "C"], day, day)
    assert bars.select("symbol", "session").rows() == [("A", day), ("C", day)]
    assert outcomes == {"A": Outcome.FETCHED, "C": Outcome.FETCHED}
    assert list(Files(tmp_path).bars([], START, END)) == []


def test_each_symbol_hears_what_became_of_it(tmp_path: Path) -> None:
    write(tmp_path / "late.csv", stooq("2020-01-02", "2020-03-02"))
    write(tmp_path / "stale.csv", stooq("2020-01-02"))
    write(tmp_path / "broken.csv", "x\n")
    write(
        tmp_path / "many.csv",
        "symbol,date,open,high,low,close,volume\ngone,2020-01-03,1,3,0.5,2,9\nhere,2020-03-03,1,3,0.5,2,9\n",
    )
    symbols = ["LATE", "STALE", "BROKEN", "GONE", "HERE", "NOBODY"]
    march = (dt.date(2020, 3, 1), dt.date(2020, 3, 31))
    _, outcomes, _ = load(Files(tmp_path), symbols, *march)
    assert outcomes == {
        "LATE": Outcome.FETCHED,
        "STALE": Outcome.NOT_YET,  # its file ends before March
        "BROKEN": Outcome.FAILED,
        "GONE": Outcome.ABSENT,  # its file reaches March without it
        "HERE": Outcome.FETCHED,
        "NOBODY": Outcome.ABSENT,
    }


def test_description_and_members_take_no_notice_of_dates_in_the_future(tmp_path: Path) -> None:
    write(tmp_path / "old.csv", stooq("2020-01-02", "2020-02-27"))
    write(tmp_path / "lag.csv", stooq("2020-01-03", "2020-02-28"))
    write(tmp_path / "new.csv", stooq("2020-03-09", "2919-03-10"))  # a slip of the pen
    source = Files(tmp_path)
    described = source.describe()
    assert (described.symbols, described.first_session, described.last_session, described.synthetic) == (
        3,
        dt.date(2020, 1, 2),
        dt.date(2020, 3, 9),
        False,
    )
    members = source.members()
    assert members.schema == MEMBER_SCHEMA
    assert members.rows() == [  # 2020-02-28 is ten days before 2020-03-09, in a leap year
        ("all", "LAG", dt.date(2020, 1, 3), None),
        ("all", "NEW", dt.date(2020, 3, 9), None),
        ("all", "OLD", dt.date(2020, 1, 2), dt.date(2020, 2, 28)),
    ]
    assert source.members_reach() == dt.date(2020, 3, 9)


@pytest.mark.parametrize("packed", [False, True])  # tables read together, and each alone
def test_membership_begins_and_ends_with_rows_that_may_be_bars(tmp_path: Path, *, packed: bool) -> None:
    days = ["2020-02-27", "2020-02-28", "2020-03-09"]
    files = {
        "old.csv": stooq("1776-07-04", *days[:2]),  # before there was an exchange
        "sunday.csv": stooq("2020-02-23", *days, "2020-03-15"),
        "only.csv": stooq("2020-02-22"),  # a Saturday
        "short.csv": stooq(*days).replace(f"{days[0]},1,3,", f"{days[0]},1,"),  # a cell less
        "zero.csv": stooq(*days).replace(f"{days[0]},1,3,", f"{days[0]},0,0,"),  # the contract rejects it, later
    }
    many = "symbol,date,open,high,low,close,volume\nMANY,2020-02-29,1,3,0.5,2,9\nMANY,2020-03-02,1,3,0.5,2,9\n"
    for name, text in files.items():
        write(tmp_path / f"{name}.gz", gzip.compress(text.encode())) if packed else write(tmp_path / name, text)
    write(tmp_path / "many.csv", many + "NEVER,2020-03-07,1,3,0.5,2,9\nNEVER,2020-03-09\n")
    source = Files(tmp_path, calendar=exchange_calendar("XNYS"))
    first, second = dt.date(2020, 2, 27), dt.date(2020, 2, 28)
    assert {symbol: (begin, end) for _, symbol, begin, end in source.members().iter_rows()} == {
        "OLD": (first, None),  # ten days before the last session, and more before that Sunday
        "SUNDAY": (first, None),
        "SHORT": (second, None),
        "ZERO": (first, None),
        "MANY": (dt.date(2020, 3, 2), None),
    }
    assert source.members_reach() == dt.date(2020, 3, 9)  # and not that Sunday
    assert sorted(source.securities()["symbol"]) == ["MANY", "NEVER", "OLD", "ONLY", "SHORT", "SUNDAY", "ZERO"]
    assert load(source, start=dt.date(1700, 1, 1))[0].height == 19  # every row is given, to be rejected with its reason


@pytest.mark.parametrize("kind", ["csv", "parquet"])
@pytest.mark.parametrize("chunk_rows", [300_000, 1])
def test_rows_of_days_to_come_are_given_with_the_last_session_and_those_of_today_are_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, chunk_rows: int
) -> None:
    """A day to come is a slip of the pen; one of today is in a file that was fetched while the market was open."""
    monkeypatch.setattr(file_batches, "CHUNK_ROWS", chunk_rows)
    today = parsing.today(Options.zone)
    closed, tomorrow = today - dt.timedelta(days=1), today + dt.timedelta(days=1)
    days = [dt.date(2020, 1, 2), closed, today, tomorrow, dt.date(2919, 3, 10)]
    if kind == "csv":
        write(tmp_path / "a.csv", ORDINARY + "".join(f"{day},1,3,0.5,2,100\n" for day in days))
    else:
        numbers = {name: [1.0] * 5 for name in ("open", "high", "low", "close", "volume")}
        pl.DataFrame({"date": days} | numbers).write_parquet(tmp_path / "a.parquet")
    source = Files(tmp_path, last=closed)

    def given(first: dt.date, last: dt.date) -> list[dt.date]:
        return sorted(read(source, first, last)["session"])

    assert given(dt.date(2000, 1, 1), closed) == [*days[:2], *days[3:]]
    assert given(closed, closed) == [closed, *days[3:]]  # the daily run, each day: to be kept once
    assert given(dt.date(2000, 1, 1), dt.date(2020, 12, 31)) == days[:1]


def test_a_file_with_nothing_but_days_to_come_says_so(tmp_path: Path) -> None:
    write(tmp_path / "new.csv", stooq("2919-03-10", "2919-03-11"))
    with pytest.raises(RequestError, match="all of its days lie in the future, as 2919-03-11"):
        Files(tmp_path).describe()


@pytest.mark.slow
@pytest.mark.market_data
@needs_market
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="only Linux tells a process its peak of memory")
def test_the_real_market_comes_out_whole_in_chunks_and_little_memory() -> None:
    script = """
import datetime as dt, sys
from pathlib import Path
from breadthflow_pipelines.sources.files import Files
sizes, outcomes = [], {}
for chunk in Files(Path(sys.argv[1])).bars(None, dt.date(2006, 1, 1), dt.date(2017, 12, 31)):
    sizes.append(chunk.bars.height)
    outcomes |= chunk.outcomes
status = Path("/proc/self/status").read_text()  # getrusage would tell the peak of the process that started this one
peak_kib = status.partition("VmHWM:")[2].split()[0]
print(sum(sizes), max(sizes), len(outcomes), *set(outcomes.values()), peak_kib)
"""
    done = subprocess.run(
        [sys.executable, "-c", script, str(MARKET / "sp500_bars.parquet")], capture_output=True, text=True, check=True
    )
    rows, largest, symbols, outcome, peak_kib = done.stdout.split()
    assert (int(rows), int(symbols), outcome) == (1_662_863, 604, "fetched")
    assert int(largest) <= 300_000
    assert int(peak_kib) < 1_000_000


@pytest.mark.market_data
@needs_market
def test_vendor_files_give_every_line_of_theirs() -> None:
    bars, outcomes, problems = load(Files(MARKET / "stooq"), None, dt.date(1950, 1, 1))
    lines = {
        path.name.removesuffix(".us.txt").upper(): len(path.read_text().splitlines()) - 1
        for path in (MARKET / "stooq").iterdir()
    }
    assert dict(bars.group_by("symbol").len().iter_rows()) == lines
    assert lines["AAPL"] == 8364
    assert set(outcomes) == {"AAPL", "ABR_A", "BRK-B", "GE", "GME", "IBM", "JNJ", "MSFT", "SPY", "XOM"}
    assert problems == []
    first = bars.filter(symbol="AAPL").row(0)
    assert first == ("AAPL", dt.date(1984, 9, 7), 0.42388, 0.42902, 0.41874, 0.42388, 23220030.0, None)


def test_files_that_share_sessions_of_a_symbol_come_in_one_chunk_cut_alike(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the row that comes last wins, and the next reading would revise it back."""
    monkeypatch.setattr(file_batches, "CHUNK_ROWS", 10)
    header = "symbol,session,open,high,low,close,volume\n"
    days = [dt.date(2023, 12, day) for day in range(1, 13)] + [dt.date(2024, 1, day) for day in range(2, 10)]
    for name, symbols, close in (("a", "AB", 1), ("b", "XY", 2), ("c", "BC", 3), ("z", "CD", 4)):
        rows = [f"{symbol},{day},{close},{close},{close},{close},1\n" for symbol in symbols for day in days]
        (tmp_path / f"{name}.csv").write_text(header + "".join(rows))
    chunks = [chunk.bars for chunk in Files(tmp_path).bars(None, days[0], days[-1]) if chunk.bars.height]
    assert sum(chunk.height for chunk in chunks) == 4 * 2 * len(days)
    assert len(chunks) > 1
    for symbol, copies in {"A": 1, "B": 2, "C": 2, "D": 1, "X": 1, "Y": 1}.items():  # a-c-z hang together, b does not
        for chunk in chunks:
            held = chunk.filter(symbol=symbol)["session"].value_counts()["count"].unique().to_list()
            assert held in ([], [copies])


def ordinary(*sessions: str) -> str:
    return ORDINARY + "".join(f"{session},1,3,0.5,2,100\n" for session in sessions)


def symbols(path: Path, options: Options | None = None) -> list[str]:
    return Files(path, options).securities()["symbol"].to_list()


def problems(path: Path, options: Options | None = None) -> list[str]:
    """Why each file is not read, by its name within the directory."""
    found = load(Files(path, options))[2]
    return sorted(problem.removeprefix(f"{path}/") for problem in found)


def reading(source: Files, start: dt.date = START, end: dt.date = END) -> Reading:
    last = list(source.bars(None, start, end))[-1].reading
    assert last is not None
    return last


@pytest.mark.parametrize(
    ("name", "header", "symbol"),
    [
        # an ordinary table is called as it is called, whatever the ending means elsewhere
        ("SAP.DE.csv", ORDINARY, "SAP.DE"),
        ("0700.HK.csv", ORDINARY, "0700.HK"),
        ("sap.de.csv", ORDINARY, "SAP.DE"),
        ("X.US.txt", ORDINARY, "X.US"),  # Stooq writes small letters
        ("bf.b.csv", ORDINARY, "BF.B"),
        ("7203.T.csv", ORDINARY, "7203.T"),
        ("x.us.txt", "Date,Open,High,Low,Close,Volume,Adj Close\n", "X.US"),  # nor has Stooq this column
        # Stooq's own: of the archive, with either header, and the download of one symbol
        ("aapl.us.txt", ORDINARY, "AAPL"),
        ("AAPL.US.csv", STOOQ_HEADER, "AAPL"),
        ("brk-b_us_d.csv", ORDINARY, "BRK-B"),
        ("^spx.txt", STOOQ_HEADER, "^SPX"),
        # of another market than the first of BREADTHFLOW_MARKETS: SAP of New York is another share
        ("sap.de.txt", STOOQ_HEADER, "SAP.DE"),
    ],
)
def test_only_stooq_s_own_files_lose_stooq_s_endings(tmp_path: Path, name: str, header: str, symbol: str) -> None:
    cells = "2020-01-02" + ",1" * header.count(",")
    write(tmp_path / name, f"{header}{cells}\n")
    assert symbols(tmp_path) == [symbol]


def test_two_listings_of_one_company_stay_two(tmp_path: Path) -> None:
    write(tmp_path / "SAP.csv", ordinary("2020-01-02"))
    write(tmp_path / "SAP.DE.csv", ordinary("2020-01-02", "2020-01-03"))
    write(tmp_path / "sie.de.txt", stooq("2020-01-02"))
    assert symbols(tmp_path, Options(markets=("de",))) == ["SAP", "SAP.DE", "SIE"]


def test_stooq_s_newer_layout_is_read_as_well(tmp_path: Path) -> None:
    header = "<TICKER>,<PER>,<DATE>,<TIME>,<OPEN>,<HIGH>,<LOW>,<CLOSE>,<VOL>,<OPENINT>\n"
    write(tmp_path / "nyse stocks" / "1" / "aaa.us.txt", header + "AAA.US,D,20200102,000000,1,3,0.5,2,100,0\n")
    day = "AAA.US,D,20200103,000000,1,3,0.5,2,100,0\nSAP.DE,D,20200103,000000,1,3,0.5,2,100,0\n"
    write(tmp_path / "20200103_d.txt", header + day + "AAA.US,5,20200103,160000,1,3,0.5,2,9,0\n")
    write(tmp_path / "hourly" / "aaa.us.txt", header + "AAA.US,60,20200102,160000,1,3,0.5,2,9,0\n")
    bars, _, unread = load(Files(tmp_path))
    assert bars.select("symbol", "session", "volume").rows() == [
        ("AAA", dt.date(2020, 1, 2), 100.0),
        ("AAA", dt.date(2020, 1, 3), 100.0),
        ("SAP.DE", dt.date(2020, 1, 3), 100.0),
    ]
    assert unread == [f"{tmp_path}/hourly/aaa.us.txt: it has bars of hours or minutes, and none of a day"]


@pytest.mark.parametrize(
    ("column", "understood"),
    [
        *(
            (name, True)
            for name in ("Adj Close", "Adjusted_close", "adjClose", "Adj. Close", "AdjClose*", "Adj Close**")
        ),
        *((name, True) for name in ("close_adjusted", "ADJ_CLOSE", "Adjusted Close", "closeadj")),
        *((name, False) for name in ("Adj Closing", "Adj High", "unadjClose", "Closing Volume", "Trade Date")),
        *((name, None) for name in ("OpenInt", "Dividends", "Stock Splits", "Flow", "Sector")),  # like nothing of ours
    ],
)
def test_a_column_like_ours_is_understood_or_named(tmp_path: Path, column: str, understood: bool | None) -> None:
    write(tmp_path / "A.csv", f"Date,Open,High,Low,Close*,Volume,{column}\n2020-01-02,1,3,0.5,2,100,1.5\n")
    source = Files(tmp_path)
    assert load(source)[0]["close_adjusted"].to_list() == [1.5 if understood else None]
    named = {column: 1} if understood is False else {}
    assert reading(source).columns_unused == named
    assert any(column in note for note in source.describe().notes) == bool(named)


def test_the_symbol_may_stand_in_a_directory(tmp_path: Path) -> None:
    for symbol in ("AAA", "brk-b", "BF%2FB"):
        frame = pl.DataFrame({"date": [dt.date(2020, 1, 2)], "open": 1.0, "high": 3.0, "low": 0.5, "close": 2.0})
        place = tmp_path / "year=2020" / f"symbol={symbol}" / "data_0.parquet"
        place.parent.mkdir(parents=True)
        frame.with_columns(volume=pl.lit(7)).write_parquet(place)
    assert symbols(tmp_path) == ["AAA", "BF/B", "BRK-B"]
    assert symbols(tmp_path / "year=2020" / "symbol=AAA" / "data_0.parquet") == ["AAA"]  # as it arrives


def test_the_day_may_stand_in_a_directory(tmp_path: Path) -> None:
    header = "open,high,low,close,volume\n"
    for day in ("2020-01-02", "2020-01-03"):
        write(tmp_path / f"date={day}" / "part-0.csv", f"ticker,{header}A,1,3,0.5,2,100\n")
        write(tmp_path / f"date={day}" / "B.csv", f"{header}1,3,0.5,2,100\n1,3\n")  # and the symbol in the name
    write(tmp_path / "date=never" / "part-0.csv", f"ticker,{header}A,1,3,0.5,2,100\n")
    found = read(Files(tmp_path)).sort("symbol", "session", "volume")
    assert found.select("symbol", "session", "volume").rows() == [
        ("A", dt.date(2020, 1, 2), 100.0),
        ("A", dt.date(2020, 1, 3), 100.0),
        ("B", dt.date(2020, 1, 2), None),
        ("B", dt.date(2020, 1, 2), 100.0),
        ("B", dt.date(2020, 1, 3), None),
        ("B", dt.date(2020, 1, 3), 100.0),
    ]
    assert problems(tmp_path) == ["date=never/part-0.csv: its directory says never, which is not a day"]


def test_directories_of_an_unknown_key_are_not_taken_for_one_symbol(tmp_path: Path) -> None:
    for value in "12":
        write(tmp_path / f"share={value}" / "data_0.csv", ordinary(f"202{value}-01-02"))  # their days do not overlap
    hint = "if the directory share=1 does, set BREADTHFLOW_SOURCE_COLUMNS=symbol=share"
    with pytest.raises(RequestError, match=hint):
        Files(tmp_path).describe()
    assert symbols(tmp_path, Options(columns={"symbol": "share"})) == ["1", "2"]


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        # the directory is the symbol, and nothing says so
        (["AAA/prices.csv", "BBB/prices.csv"], None),
        (["AAA/daily.csv", "AAA/adj.csv", "BBB/daily.csv", "BBB/adj.csv", "CCC/daily.csv"], None),
        # one table in parts, by years or by what came first
        (["2019/AAA.csv", "2020/AAA.csv"], ["AAA"]),
        (["year=2019/AAA.csv", "year=2020/month=01/AAA.csv"], ["AAA"]),
        (["AAA.csv", "2020-01/AAA.csv"], ["AAA"]),
        (["nasdaq/aaa.us.txt", "nyse/aaa.us.txt"], ["AAA"]),  # of Stooq it is known that the name is the symbol
        (["history/AAA.csv", "history/BBB.csv", "daily/AAA.csv", "daily/BBB.csv"], ["AAA", "BBB"]),
    ],
)
def test_one_name_in_many_directories_is_no_symbol(
    tmp_path: Path, files: list[str], expected: list[str] | None
) -> None:
    for number, name in enumerate(files):
        write(tmp_path / name, ordinary(f"20{10 + number}-01-04"))
    if expected is not None:
        assert symbols(tmp_path) == expected
        return
    with pytest.raises(RequestError, match=r"BREADTHFLOW_SOURCE_SYMBOL=\{symbol\}/"):
        Files(tmp_path).describe()
    assert set(symbols(tmp_path, Options(symbol="{symbol}/*.csv"))) == {Path(name).parent.name for name in files}
    assert set(symbols(tmp_path, Options(symbol="filename"))) == {Path(name).stem.upper() for name in files}


def test_mixed_case_is_kept_apart(tmp_path: Path) -> None:
    rows = "".join(f"{symbol},2020-01-02,1,3,0.5,2,{volume}\n" for symbol, volume in (("AMpB", 1), ("AMPB", 2)))
    write(tmp_path / "all.csv", "ticker,date,open,high,low,close,volume\n" + rows)
    write(tmp_path / "files" / "BACpE.csv", ordinary("2020-01-02"))
    write(tmp_path / "files" / "BACPE.csv", ordinary("2020-01-02"))
    assert load(Files(tmp_path))[0].select("symbol", "volume").rows() == [
        ("AMPB", 2.0),
        ("AMpB", 1.0),
        ("BACPE", 100.0),
        ("BACpE", 100.0),
    ]


def test_symbols_that_small_letters_alone_tell_apart_are_refused_by_name(tmp_path: Path) -> None:
    header = "ticker,date,open,high,low,close,volume\n"
    write(tmp_path / "one.csv", header + "abc,2020-01-02,1,3,0.5,2,1\nGOOD,2020-01-02,1,3,0.5,2,1\n")
    write(tmp_path / "two.csv", header + "ABC,2020-01-03,1,3,0.5,2,1\n")  # nor may they be one because days differ
    source = Files(tmp_path)
    assert source.securities()["symbol"].to_list() == ["GOOD"]
    found = read(source)
    assert found.filter(pl.col("symbol").is_null()).select("fault", "raw").sort("raw", descending=True).rows() == [
        ("symbols that differ by case only: ABC, abc", "symbol=abc"),
        ("symbols that differ by case only: ABC, abc", "symbol=ABC"),
    ]
    assert source.describe().notes == ("refused, for they differ by case only: ABC, abc",)


def test_files_beside_each_other_whose_names_differ_by_case_only_are_refused(tmp_path: Path) -> None:
    write(tmp_path / "abc.csv", ordinary("2020-01-02"))
    write(tmp_path / "ABC.csv", ordinary("2020-01-03"))
    write(tmp_path / "good.csv", ordinary("2020-01-03"))
    assert symbols(tmp_path) == ["GOOD"]
    assert problems(tmp_path) == [
        "ABC.csv: its name differs from abc.csv by case only",
        "abc.csv: its name differs from ABC.csv by case only",
    ]


def test_a_column_of_companies_names_has_no_symbols(tmp_path: Path) -> None:
    header = "Date,Open,High,Low,Close,Volume,Name\n"
    for symbol, name in (("AAA", "Alpha Assets"), ("BBB", "Alpha Assets"), ("CCC", "")):
        write(tmp_path / f"{symbol}.csv", f"{header}2020-01-02,1,3,0.5,2,100,{name}\n2020-01-03,1,3,0.5,2,100,{name}\n")
    write(tmp_path / "all.csv", header + "2020-01-02,1,3,0.5,2,100,MSFT\n2020-01-02,1,3,0.5,2,100,AAPL\n")  # Yahoo's
    mixed = write(tmp_path / "mixed.csv", header + "2020-01-02,1,3,0.5,2,1,Alpha Co\n2020-01-02,1,3,0.5,2,1,Beta Co\n")
    assert symbols(tmp_path) == ["AAA", "AAPL", "BBB", "MSFT"]  # CCC's column says nothing
    (reason,) = [problem for problem in problems(tmp_path) if problem.startswith("mixed")]
    assert "its column Name names companies (Alpha Co, Beta Co) and no column has their symbols" in reason
    assert symbols(mixed, Options(symbol="filename")) == ["MIXED"]


@pytest.mark.parametrize(
    ("setting", "name", "symbol"),
    [
        ("filename", "AAA.csv", "AAA"),
        ("filename", "some share.csv", "SOME SHARE"),  # said outright, a name may be any symbol
        ("{symbol}_data.csv", "AAA_data.csv", "AAA"),
        ("{symbol}_data.csv", "AAA_data.csv.gz", "AAA"),
        ("{symbol}_*.csv", "brk-b_2020_x.csv", "BRK-B"),
        ("US.{symbol}.csv", "US.BRK.B.csv", "BRK.B"),
        ("{symbol}/prices.csv", "x/AAA/prices.csv", "AAA"),
        ("/daily/{symbol}.csv", "daily/AAA.csv", "AAA"),
        ("{symbol}_data.csv", "AAA.csv", None),
        ("{symbol}/prices.csv", "AAA/other.csv", None),
    ],
)
def test_a_setting_says_where_the_symbol_stands(tmp_path: Path, setting: str, name: str, symbol: str | None) -> None:
    text = "Ticker,Date,Open,High,Low,Close,Volume\nWRONG,2020-01-02,1,3,0.5,2,100\n"
    write(tmp_path / name, gzip.compress(text.encode()) if name.endswith(".gz") else text)
    if symbol is not None:
        assert symbols(tmp_path, Options(symbol=setting)) == [symbol]
        return
    with pytest.raises(RequestError, match="its path is not as BREADTHFLOW_SOURCE_SYMBOL="):
        Files(tmp_path, Options(symbol=setting)).describe()


def test_packed_tables_are_read_like_others(tmp_path: Path) -> None:
    header = "ticker,date,open,high,low,close,volume\n"
    days = [f"{header}A,2020-01-0{day},1,3,0.5,2,100\n" for day in range(2, 8)]
    write(tmp_path / "1.csv", days[0])
    write(tmp_path / "2.csv.gz", gzip.compress(days[1].encode()) + gzip.compress(days[2][len(header) :].encode()))
    write(tmp_path / "3.CSV.ZST", pa.compress(days[3].encode(), "zstd", asbytes=True))
    write(tmp_path / "4.csv", gzip.compress(days[4].encode()))  # under another name
    with zipfile.ZipFile(tmp_path / "5.zip", "w") as archive:
        archive.writestr("in/a.csv", days[5])
        archive.writestr("in/aaa.us.txt", stooq("2020-01-08"))
        archive.writestr("__MACOSX/in/._a.csv", "junk")
        archive.writestr("readme.md", "junk")
    bars, _, unread = load(Files(tmp_path))
    assert unread == []
    assert bars.filter(symbol="A")["session"].dt.day().to_list() == [2, 3, 4, 5, 6, 7]
    assert bars.filter(symbol="AAA")["session"].dt.day().to_list() == [8]


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("b.csv.gz", gzip.compress(stooq("2020-01-02").encode(), mtime=0)[:-12], "ended before"),
        ("b.csv.gz", b"\x1f\x8b" + JUNK, ""),
        ("b.csv.zst", pa.compress(stooq("2020-01-02").encode() * 99, "zstd", asbytes=True)[:-4], "Truncated"),
        ("b.zip", b"PK\x03\x04" + JUNK, "not a zip file"),
        ("b.csv", b"PK\x03\x04" + JUNK, "it is a ZIP archive under another name"),
        ("b.csv.gz", gzip.compress(b"PAR1" + JUNK, mtime=0), "a Parquet file that was packed once more"),
    ],
    ids=["gzip that ends early", "no gzip", "zstd that ends early", "no zip", "zip by another name", "parquet in gzip"],
)
def test_what_cannot_be_unpacked_is_named(tmp_path: Path, name: str, content: bytes, reason: str) -> None:
    write(tmp_path / name, content)
    write(tmp_path / "good.csv", stooq("2020-01-02"))
    bars, _, unread = load(Files(tmp_path))
    assert bars["symbol"].to_list() == ["GOOD"]
    assert len(unread) == 1
    assert unread[0].startswith(f"{tmp_path / name}: ")
    assert reason in unread[0]


def test_members_that_lie_outside_their_archive_are_read_and_equal_names_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "up.zip", "w") as archive:
        archive.writestr("../../aaa.us.txt", stooq("2020-01-02"))  # nothing is unpacked to anywhere
    with zipfile.ZipFile(tmp_path / "two.zip", "w") as archive:
        archive.writestr("b.us.txt", stooq("2020-01-03"))
        with pytest.warns(UserWarning, match="Duplicate name"):
            archive.writestr("b.us.txt", stooq("2020-01-06"))
    bars, _, unread = load(Files(tmp_path))
    assert bars.select("symbol", "session").rows() == [("AAA", dt.date(2020, 1, 2))]
    assert unread == [f"{tmp_path / 'two.zip'}: it has more than one member of the name b.us.txt; which one is meant?"]


def test_everything_else_in_a_directory_is_counted_and_the_first_named(tmp_path: Path) -> None:
    write(tmp_path / "a.csv", stooq("2020-01-02"))
    for name in ("b.xlsx", "c.md", "sub/d.json", "sub/e.sqlite"):
        write(tmp_path / name, "x")
    (tmp_path / "link").symlink_to(tmp_path / "sub", target_is_directory=True)
    source = Files(tmp_path)
    assert source.describe().notes == (f"5 other files are not read in {tmp_path}: link, b.xlsx, c.md and 2 more",)
    assert reading(source).others == ("link", "b.xlsx", "c.md", "sub/d.json", "sub/e.sqlite")
    assert load(source)[2] == []  # they are no trouble


def test_what_is_no_file_costs_itself(tmp_path: Path) -> None:
    write(tmp_path / "good.csv", stooq("2020-01-02"))
    (tmp_path / "gone.csv").symlink_to(tmp_path / "nowhere")
    (tmp_path / "loop.csv").symlink_to(tmp_path / "loop.csv")
    os.mkfifo(tmp_path / "pipe.csv")  # whoever opens it waits for a writer
    (tmp_path / "directory.csv").mkdir()
    assert symbols(tmp_path) == ["GOOD"]
    assert problems(tmp_path) == [
        "gone.csv: it is a link to nothing",
        "loop.csv: it is a link to nothing",
        "pipe.csv: it is not a regular file",
    ]


def test_a_directory_that_may_not_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Root may read all of them, so the refusal is simulated."""
    write(tmp_path / "good.csv", stooq("2020-01-02"))
    write(tmp_path / "secret" / "a.csv", stooq("2020-01-02"))
    scan = os.scandir

    def refuse(path: str | Path) -> object:
        if Path(path).name == "secret":
            raise PermissionError(13, "Permission denied", str(path))
        return scan(path)

    monkeypatch.setattr(os, "scandir", refuse)
    assert problems(tmp_path) == ["secret: Permission denied"]


def test_a_name_that_is_no_utf_8_goes_nowhere_as_it_is(tmp_path: Path) -> None:
    write(tmp_path / "good.csv", stooq("2020-01-02"))
    odd = os.fsencode(tmp_path) + b"/D\xe9J\xc0.csv"
    with open(odd, "w") as file:  # noqa: PTH123 - pathlib has no bytes
        file.write(stooq("2020-01-02"))
    with open(os.fsencode(tmp_path) + b"/\xff.parquet", "wb") as file:  # noqa: PTH123
        pl.DataFrame(BAR | {"symbol": ["X"]}).write_parquet(file)
    source = Files(tmp_path)
    assert source.securities()["symbol"].to_list() == ["GOOD", "X"]  # the column says whose bars the second one has
    (problem,) = load(source)[2]
    assert problem == f"{tmp_path}/D\\xe9J\\xc0.csv: {NAMELESS}"
    problem.encode()


BAR = {"date": [dt.date(2020, 1, 2)], "open": [1.0], "high": [3.0], "low": [0.5], "close": [2.0], "volume": [7]}


def test_days_before_the_first_year_cost_their_rows(tmp_path: Path) -> None:
    days = pa.Array.from_buffers(pa.date32(), 3, [None, pa.py_buffer(np.array([18263, -800_000, 2**31 - 1], np.int32))])
    columns = {"date": days} | {name: pa.array(cell * 3) for name, cell in BAR.items() if name != "date"}
    pq.write_table(pa.table(columns), tmp_path / "A.parquet")
    found = read(Files(tmp_path))
    assert found.select("session", "fault", "raw").rows() == [
        (None, "session cannot be read", "session=-800000 days since 1970"),
        (None, "session cannot be read", "session=2147483647 days since 1970"),
        (dt.date(2020, 1, 2), None, None),
    ]


@pytest.mark.parametrize("zone", ["UTC", "Asia/Tokyo", "+09:00"])
def test_moments_of_midnight_at_the_exchange_are_its_days(tmp_path: Path, zone: str) -> None:
    """Programs write them in UTC, where it is the day before."""
    midnight = dt.datetime(2024, 1, 4, tzinfo=ZoneInfo("Asia/Tokyo"))
    moments = pa.array([midnight], pa.timestamp("us", zone))
    columns = {"date": moments} | {name: pa.array(cell) for name, cell in BAR.items() if name != "date"}
    pq.write_table(pa.table(columns), tmp_path / "7203.T.parquet")
    assert read(Files(tmp_path, Options(zone="Asia/Tokyo")))["session"].to_list() == [dt.date(2024, 1, 4)]


@pytest.mark.parametrize(
    "values",
    [
        pa.array([True]),
        pa.array([[1.0]]),
        pa.array([{"x": 1.0}]),
        pa.array([dt.timedelta(1)]),
        pa.array([dt.date(2020, 1, 2)]),
        pa.array([dt.time(1)]),
    ],
    ids=lambda values: str(values.type),
)
def test_a_column_of_an_odd_type_costs_its_file(tmp_path: Path, values: pa.Array) -> None:
    write(tmp_path / "good.csv", stooq("2020-01-02"))
    columns = {name: pa.array(cell) for name, cell in BAR.items()} | {"close": values}
    pq.write_table(pa.table(columns), tmp_path / "A.parquet")
    (problem,) = problems(tmp_path)
    assert problem.startswith("A.parquet: its column close holds ")


@pytest.mark.parametrize(
    "values",
    [
        pa.array([2.0], pa.float32()),
        pa.array([2], pa.uint8()),
        pa.array([2]).cast(pa.decimal256(60, 5)),
        pa.array(["2"]).dictionary_encode(),
        pa.array([b" 2.0 "]),
        pa.array(["2"], pa.large_string()),
    ],
    ids=lambda values: str(values.type),
)
def test_numbers_of_any_type_are_numbers(tmp_path: Path, values: pa.Array) -> None:
    columns = {name: pa.array(cell) for name, cell in BAR.items()} | {"close": values}
    pq.write_table(pa.table(columns), tmp_path / "A.parquet")
    assert read(Files(tmp_path))["close"].to_list() == [2.0]


def test_text_in_a_parquet_file_is_kept_where_it_cannot_be_read(tmp_path: Path) -> None:
    columns = {name: pa.array(cell * 2) for name, cell in BAR.items()} | {"volume": pa.array(["1,234", "5"])}
    pq.write_table(pa.table(columns), tmp_path / "A.parquet")
    assert read(Files(tmp_path)).select("volume", "fault", "raw").rows() == [
        (None, "volume cannot be read", "volume=1,234"),
        (5.0, None, None),
    ]


def test_text_of_a_parquet_file_that_is_no_utf_8_costs_its_rows(tmp_path: Path) -> None:
    """Handed to Polars as it is, it ended the process."""
    offsets = pa.py_buffer(np.array([0, 1, 3], dtype=np.int32))
    columns = {name: pa.array(cell * 2) for name, cell in BAR.items()}
    columns["symbol"] = pa.Array.from_buffers(pa.string(), 2, [None, offsets, pa.py_buffer(b"A\xf0\xff")])
    pq.write_table(pa.table(columns), tmp_path / "x.parquet")
    assert read(Files(tmp_path)).select("symbol", "fault", "raw").rows() == [
        (None, "symbol cannot be read", "symbol=\ufffd\ufffd"),
        ("A", None, None),
    ]


def test_a_parquet_file_that_lacks_rows_is_named(tmp_path: Path) -> None:
    write(tmp_path / "good.csv", stooq("2020-01-02"))
    whole = io.BytesIO()
    pq.write_table(pa.table({name: pa.array(cell * 77) for name, cell in BAR.items()}), whole)
    damaged = bytearray(whole.getvalue())
    footer = len(damaged) - 8 - int.from_bytes(damaged[-8:-4], "little")
    number = damaged.index(b"\x16\x9a\x01", footer)  # 77, the number of all rows, stands before those of their groups
    damaged[number + 1] += 2
    write(tmp_path / "A.parquet", bytes(damaged))
    assert problems(tmp_path) == ["A.parquet: of the 78 rows that it says it has, 77 are there"]


def test_a_line_with_other_cells_than_the_header_is_kept_as_text_and_never_cut(tmp_path: Path) -> None:
    header = "symbol,date,open,high,low,close,volume\n"
    lines = ["DDD,2020-01-02,1,3,0.5,2,2,034,567", "DDD,2020-01-03,1,3,0.5", "rubbish", "GOOD,2020-01-06,1,3,0.5,2,7"]
    write(tmp_path / "x.csv", header + "\n".join(lines))
    found = read(Files(tmp_path)).select("symbol", "session", "volume", "fault", "raw")
    assert found.sort("session").rows() == [
        (None, None, None, "1 cell under a header of 7", lines[2]),  # it comes with the file's last session
        ("DDD", dt.date(2020, 1, 2), None, "9 cells under a header of 7", lines[0]),
        ("DDD", dt.date(2020, 1, 3), None, "5 cells under a header of 7", lines[1]),
        ("GOOD", dt.date(2020, 1, 6), 7.0, None, None),
    ]


def test_what_stands_behind_the_numbers_of_a_broken_line_is_not_taken_for_a_symbol(tmp_path: Path) -> None:
    write(
        tmp_path / "x.csv",
        "Date,Open,High,Low,Close,Volume,Ticker\n2020-01-02,1,3,0.5,2,2,034,A\n2020-01-02,1,3,0.5,2,7,A\n",
    )
    found = read(Files(tmp_path)).filter(pl.col("fault").is_not_null())
    assert found.select("symbol", "session").rows() == [(None, dt.date(2020, 1, 2))]


LONG = "L" * 41


def test_a_symbol_that_is_too_long_is_refused_with_the_limit(tmp_path: Path) -> None:
    told = "'LLLLLLLLLLLL...' has 41 characters, and a symbol at most 40"
    write(tmp_path / "a.csv", f"symbol,date,open,high,low,close,volume\n{LONG},2020-01-02,1,3,0.5,2,9\n")
    write(tmp_path / "a.csv", (tmp_path / "a.csv").read_text() + f"{LONG[1:]},2020-01-02,1,3,0.5,2,9\n")
    fault = read(Files(tmp_path)).filter(pl.col("fault").is_not_null())
    assert fault.select("fault", "raw").rows() == [
        ("symbol of more than 40 characters cannot be read", f"symbol={LONG}")
    ]
    write(tmp_path / f"{LONG}.csv", ordinary("2020-01-02"))
    write(tmp_path / f"symbol={LONG}" / "b.csv", ordinary("2020-01-02"))
    assert sorted(problems(tmp_path)) == [f"{LONG}.csv: {told}", f"symbol={LONG}/b.csv: {told}"]
    with pytest.raises(RequestError, match=r"'LLLLLLLLLLLL\.\.\.' has 41 characters, and a symbol at most 40"):
        Files(tmp_path / f"{LONG}.csv", Options(symbol="filename")).describe()


def test_text_of_a_broken_line_is_fit_to_be_stored_and_has_an_end(tmp_path: Path) -> None:
    write(tmp_path / "A.csv", ordinary("2020-01-02").encode() + b"x\0y\x1b\tz," + b"9" * 5_000 + b"\n")
    (raw,) = read(Files(tmp_path))["raw"].drop_nulls()
    assert raw.startswith("x\\0y? z,999")
    assert raw.endswith("... (5,007 characters)")
    assert len(raw) < 1_100


def test_another_header_among_the_rows_refuses_the_file(tmp_path: Path) -> None:
    """Below it every number would be taken for another one, without a word."""
    write(tmp_path / "good.csv", stooq("2020-01-02"))
    other = "Date,Close,High,Low,Open,Volume\n2020-01-03,2,3,0.5,1,100\n"
    write(tmp_path / "A.csv", ordinary("2020-01-02") + other)
    (problem,) = problems(tmp_path)
    assert problem.startswith("A.csv: another header stands among its rows (Date, Close, High, Low, Open, Volume)")
    last = "Date,Open,High,Low,Last,Volume\n2020-01-02,1,3,0.5,2,100\nDate,Last,High,Low,Open,Volume\n"
    write(tmp_path / "A.csv", last + "2020-01-03,2,3,0.5,1,100\n")
    (problem,) = problems(tmp_path / "A.csv", Options(columns={"close": "Last"}))
    assert "another header stands among its rows (Date, Last, High, Low, Open, Volume)" in problem
    write(tmp_path / "A.csv", ordinary("2020-01-02") + ordinary("2020-01-03"))  # the same once more is no harm
    assert load(Files(tmp_path))[0].filter(symbol="A").height == 2


@pytest.mark.parametrize("chunk_rows", [300_000, 2])
def test_every_line_of_every_file_is_accounted_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chunk_rows: int
) -> None:
    monkeypatch.setattr(file_batches, "CHUNK_ROWS", chunk_rows)
    monkeypatch.setattr(file_batches, "PASS_ROWS", chunk_rows)
    header = "symbol,date,open,high,low,close,volume\n"
    row = "A,2020-0{}-02,1,3,0.5,2,100\n"
    days = "".join(row.format(month) for month in range(1, 6))
    write(tmp_path / "a.csv", header + days + "\n,,,,,,\n" + header + "A,soon,1,3,0.5,2,1\nA,2020-01-02,1\n")
    write(tmp_path / "b.csv", "\n" + header + 'B,2020-02-03,1,3,0.5,2,"1\n2"\nB,2919-01-01,1,3,0.5,2,1')
    pl.DataFrame(BAR | {"symbol": ["C"]}).write_parquet(tmp_path / "c.parquet")
    source = Files(tmp_path)
    whole = reading(source)
    lines = sum((tmp_path / name).read_bytes().count(b"\n") for name in ("a.csv", "b.csv")) + 1
    assert whole.files == 3
    assert whole.account.lines == lines + 1  # and the Parquet file's row
    assert whole.account.balanced
    assert (whole.account.headers, whole.account.blank, whole.account.rejected, whole.account.continued) == (3, 3, 1, 1)
    assert whole.account.rows == 9
    assert (whole.delivered, whole.outside) == (10, 0)  # a slip of the pen in the year, too, is seen
    february = reading(source, dt.date(2020, 2, 1), dt.date(2020, 2, 29))
    assert february.account == whole.account
    assert (february.delivered, february.outside) == (3, 7)


@pytest.mark.slow
def test_a_large_text_is_read_in_few_passes_and_little_memory(tmp_path: Path) -> None:
    """Each month once took a reading of the whole file, and memory must not grow with it."""
    rows = 0
    with (tmp_path / "many.csv").open("w") as file:
        file.write("symbol,date,open,high,low,close,volume,name\n")
        for month in range(1, 13):
            for day in range(1, 29):
                for number in range(900):
                    file.write(f'S{number},2020-{month:02}-{day:02},1,3,0.5,2,{number},"Company, {number}"\n')
                    rows += 1
    script = """
import datetime as dt, sys
from pathlib import Path
from breadthflow_pipelines.sources import delimited
from breadthflow_pipelines.sources.files import Files
opened = []
header = delimited.Table._header
delimited.Table._header = lambda self, piece: (opened.append(1), header(self, piece))[1]
chunks = Files(Path(sys.argv[1])).bars(None, dt.date(2020, 1, 1), dt.date(2020, 12, 31))
sizes = [chunk.bars.height for chunk in chunks]
peak_kib = Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0]
print(sum(sizes), max(sizes), len(opened), peak_kib)
"""
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, check=True
    ).stdout.split()
    assert int(done[0]) == rows == 302_400
    assert int(done[1]) <= 30_000
    assert int(done[2]) == 2  # the look, and one pass
    assert int(done[3]) < 600_000


def test_files_are_searched_through_once_until_one_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    searched, index = [], file_index.index
    monkeypatch.setattr(file_index, "index", lambda *what: searched.append(1) or index(*what))
    one = write(tmp_path / "aaa.us.txt", stooq("2024-01-02"))
    assert symbols(tmp_path) == symbols(tmp_path) == ["AAA"]
    assert len(searched) == 1
    assert symbols(tmp_path, Options(symbol="filename")) == ["AAA.US"]  # other options find something else
    write(tmp_path / "bbb.us.txt", stooq("2024-01-02"))
    assert symbols(tmp_path) == ["AAA", "BBB"]
    one.unlink()
    assert symbols(tmp_path) == ["BBB"]
    assert len(searched) == 4


def test_files_that_cannot_be_read_are_looked_at_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    searched, index = [], file_index.index
    monkeypatch.setattr(file_index, "index", lambda *what: searched.append(1) or index(*what))
    write(tmp_path / "aaa.us.txt", stooq("2024-01-02"))
    write(tmp_path / "bbb.parquet", b"PAR1 cut off")
    assert symbols(tmp_path) == symbols(tmp_path) == ["AAA"]
    assert len(searched) == 2


def test_parts_read_elsewhere_give_together_what_one_reading_gives(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_batches, "CHUNK_FILES", 2)
    here, there = tmp_path / "here", tmp_path / "there"
    for name in ("aaa", "bbb", "ccc", "late"):
        write(here / f"{name}.us.txt", stooq("2024-01-02", "2024-01-03") if name != "late" else stooq("1999-12-30"))
    write(here / "broken.csv", JUNK)
    write(here / "gone.us.txt", stooq("2024-01-02"))
    source = Files(here)
    whole = list(source.bars(None, START, END))
    parts = source.parts(START, END)
    shutil.copytree(here, there)  # with the times of the files
    taken, bars = list[Taken](), list[pl.DataFrame]()
    for part in pickle.loads(pickle.dumps(parts)):  # noqa: S301 - as it reaches another process
        taken.append(Taken())
        bars += [chunk.bars for chunk in Files(there).read(part, taken[-1])]
    last = source.settled(START, taken)
    assert len(parts) > 1
    order = ["symbol", "session"]
    assert_frame_equal(pl.concat(bars).sort(order), pl.concat([c.bars for c in whole if c.bars.height]).sort(order))
    assert (last.outcomes, last.reading) == (whole[-1].outcomes, whole[-1].reading)
    assert [problem.rpartition("/")[2] for problem in last.problems] == [
        problem.rpartition("/")[2] for problem in whole[-1].problems
    ]


@pytest.mark.parametrize("otherwise", ["missing", "shorter", "later"])
def test_a_part_is_not_read_from_another_file(tmp_path: Path, otherwise: str) -> None:
    path = write(tmp_path / "aaa.us.txt", stooq("2024-01-02", "2024-01-03"))
    [part] = Files(tmp_path).parts(START, END)
    written = path.stat().st_mtime_ns
    if otherwise == "missing":
        path.unlink()
    if otherwise == "shorter":
        write(path, stooq("2024-01-02"))
        os.utime(path, ns=(written, written))
    if otherwise == "later":
        os.utime(path, ns=(written, written + 10**9))
    with pytest.raises(RequestError, match=r"aaa\.us\.txt is not the file that the run reads"):
        list(Files(tmp_path).read(part, Taken()))


@pytest.mark.parametrize("files", [1, 2])
def test_rows_without_a_date_come_with_the_last_day_that_is_asked_for_where_a_later_row_is_there_already(
    tmp_path: Path, files: int
) -> None:
    """A file that was fetched while the market was open has a row of today, which nobody asks for yet."""
    today = parsing.today(Files(tmp_path).options.zone)  # at the exchange, where it is yesterday's for some hours
    sound, odd = "1,3,0.5,2,100\n", "2026-02-30,1,3,0.5,2,100\n"
    for number in range(files):
        write(tmp_path / f"S{number}.csv", f"{ORDINARY}2026-02-26,{sound}2026-02-27,{sound}{odd}{today},{sound}")
    closed = dt.date(2026, 2, 27)
    source = Files(tmp_path, last=closed)
    for start in (dt.date(2026, 1, 1), closed):
        found = read(source, start, closed)
        assert found.filter(pl.col("session").is_null())["raw"].str.contains("2026-02-30").to_list() == [True] * files
        assert set(found["session"].drop_nulls()) <= {dt.date(2026, 2, 26), closed}
    assert read(source, dt.date(2026, 1, 1), dt.date(2026, 2, 26))["fault"].null_count() == files  # they count later
