"""Files of bars as vendors ship them: layouts, faults, ranges and memory."""

import datetime as dt
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

from breadthflow_pipelines.errors import RequestError, SourceError
from breadthflow_pipelines.sources import files as files_module
from breadthflow_pipelines.sources.files import Files
from breadthflow_pipelines.sources.protocol import BAR_SCHEMA, MEMBER_SCHEMA, SECURITY_SCHEMA, Chunk, Outcome

MARKET = Path(__file__).resolve().parents[2].parent / "shared" / "market"
needs_market = pytest.mark.skipif(not MARKET.is_dir(), reason="../shared/market is missing")

START, END = dt.date(2000, 1, 1), dt.date(2024, 12, 31)
JUNK = bytes(i * i // 7 % 256 for i in range(4000))
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
    assert all(chunk.bars.schema == BAR_SCHEMA for chunk in chunks)
    bars = pl.concat([pl.DataFrame(schema=BAR_SCHEMA), *(chunk.bars for chunk in chunks)])
    outcomes: dict[str, Outcome] = {}
    for chunk in chunks:
        outcomes |= chunk.outcomes
    return bars.sort("symbol", "session"), outcomes, [problem for chunk in chunks for problem in chunk.problems]


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
        ("bf.b.csv", "BF.B"),  # a share class is no market
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
    bars, _, _ = load(Files(tmp_path, mapping))
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
        Files(tmp_path, mapping).describe()


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
    with pytest.raises(SourceError, match=r"bad\.csv: no column for session"):
        Files(tmp_path).describe()


def test_a_file_without_any_symbol_fails_for_nobody(tmp_path: Path) -> None:
    write(tmp_path / "good.csv", stooq("2020-01-02"))
    write(tmp_path / "prices of 2020.csv", stooq("2020-01-02"))
    _, outcomes, problems = load(Files(tmp_path))
    assert outcomes == {"GOOD": Outcome.FETCHED}
    assert problems == [f"{tmp_path / 'prices of 2020.csv'}: no column holds the symbol, and the file's name is none"]


def test_a_large_file_that_breaks_halfway_is_named_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files_module, "CHUNK_ROWS", 2)
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
    bars, _, _ = load(Files(tmp_path))
    assert bars.drop("symbol", "close_adjusted").rows() == [
        (None, 1.0, 3.0, 0.5, 2.0, 100.0),
        (dt.date(2020, 1, 2), None, None, None, None, 1.5),
        (dt.date(2020, 1, 3), 1.0, 3.0, None, None, None),
        (dt.date(2020, 1, 6), 1.0, 3.0, 0.5, 2.0, 100.0),
    ]


@pytest.mark.parametrize("chunk_rows", [300_000, 3, 1])  # whole, by years, by months
def test_a_history_fetched_in_pieces_shows_each_row_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chunk_rows: int
) -> None:
    monkeypatch.setattr(files_module, "CHUNK_ROWS", chunk_rows)
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
    monkeypatch.setattr(files_module, "CHUNK_ROWS", 10)
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
