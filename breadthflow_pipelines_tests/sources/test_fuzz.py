"""Whatever lies outside, reading it ends in a result that can be judged, stored and shown, or in an error of ours.

Bytes, names, types and extremes are invented; a few examples run each time, many more where slow tests do.
"""

import datetime as dt
import io
import json
import os
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from breadthflow_pipelines.contracts.bars import bar_contract, judge_bars
from breadthflow_pipelines.contracts.identity import resolve_bars
from breadthflow_pipelines.errors import BreadthFlowError
from breadthflow_pipelines.sessions import exchange_calendar
from breadthflow_pipelines.sources.exchange_breadth import SERIES, read_published_counts
from breadthflow_pipelines.sources.files import Files
from breadthflow_pipelines.sources.journal import Journal
from breadthflow_pipelines.sources.layout import Options
from breadthflow_pipelines.sources.protocol import Outcome, Source
from breadthflow_pipelines.sources.stooq import Stooq
from breadthflow_pipelines.sources.throttle import Throttle
from breadthflow_pipelines.sources.universe_file import read_instruments, read_universe
from breadthflow_pipelines.sources.web import Web
from breadthflow_pipelines.sources.wikipedia import sp500
from breadthflow_pipelines_tests.examples import examples as so_many

FEW, MANY = 20, 400
CALENDAR = exchange_calendar("XNYS")
START, END = dt.date(1990, 1, 1), dt.date(2024, 12, 31)

# Pieces that texts of bars and lists are made of, right ones and others.
PIECES = [
    *(b"\n", b"\r\n", b"\r", b",", b",,", b'"', b'""', b";", b"\t", b" ", b"\0", b"\xff", b"\xef\xbb\xbf", b"\xff\xfe"),
    *(b"2020-01-02", b"20200103", b"2020-01-02 00:00:00-05:00", b"2020-01-02T15:00:00Z", b"0000-01-01", b"-001-01-01"),
    *(b"99999999", b"2919-01-01", b"00000101", b"9999-12-31 23:59:59Z", b"0001-01-01T00:00:01Z", b"2020-02-30"),
    *(b"1", b"2.5", b"-3", b"1e400", b"nan", b"inf", b"1,234", b"2.07M", b"$4", b"9" * 400, b"null", b"1e-320"),
    *(b"A", b"abc", b"ABC", b"NA", b"AMpB", b"Alpha Co", b"A\0", b"AAA.US", b"D", b"60", b"u", b"Total", b"x" * 300),
    b"Date,Open,High,Low,Close,Volume\n",
    b"symbol,date,open,high,low,close,volume\n",
    b"<TICKER>,<PER>,<DATE>,<TIME>,<OPEN>,<HIGH>,<LOW>,<CLOSE>,<VOL>,<OPENINT>\n",
    b"universe,symbol,valid_from,valid_to\n",
    *(b"\nA,2020-01-02,1,3,0.5,2,100", b"\n2020-01-02,1,3,0.5,2,100", b"\nu,A,2020-01-02,"),
]
HEADERS = [
    b"Date,Open,High,Low,Close,Volume,Name\n",
    b"ticker,date,open,high,low,close,volume,adj close\n",
    b"<TICKER>,<PER>,<DATE>,<TIME>,<OPEN>,<HIGH>,<LOW>,<CLOSE>,<VOL>,<OPENINT>\n",
    b"",
]
PIECED = st.lists(st.sampled_from(PIECES), max_size=40).map(b"".join)
TEXTS = st.one_of(st.binary(max_size=200), st.tuples(st.sampled_from(HEADERS), PIECED).map(b"".join))
NAMES = st.binary(min_size=1, max_size=12).map(lambda name: name.replace(b"/", b"=").replace(b"\0", b"0"))
ENDINGS = st.sampled_from([b".csv", b".txt", b".us.txt", b"_us_d.csv", b".csv.gz", b".csv.zst", b".zip", b".parquet"])


def fuzz(count: int, body: Callable[..., None], **strategies: st.SearchStrategy[Any]) -> None:
    """Run the body on so many examples."""
    quiet = [HealthCheck.too_slow, HealthCheck.data_too_large]
    settings(so_many(count), suppress_health_check=quiet)(given(**strategies)(body))()


@contextmanager
def directory() -> Iterator[Path]:
    """A directory of one example's own."""
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


def consume(source: Source) -> None:
    """Everything that a run asks a source for, and that what it gives can be judged and stored."""
    about = source.describe()
    assert all(line.isprintable() for line in (about.about, *about.notes))
    listed = source.securities()
    members = source.members()
    symbols = listed.select(
        security_id=pl.int_range(pl.len(), dtype=pl.Int64),
        symbol="symbol",
        valid_from="valid_from",
        valid_to="valid_to",
    )
    for chunk in source.bars(None, START, END):
        verdict = judge_bars(bar_contract(CALENDAR), resolve_bars(chunk.bars, symbols))
        assert verdict.good.height + verdict.rejected.height == chunk.bars.height
        for frame in (verdict.good, verdict.rejected, listed, members):
            storable(frame)
        storable(pl.DataFrame({"text": [*chunk.problems, *chunk.outcomes]}, schema={"text": pl.String}))
        if chunk.reading is not None:
            assert chunk.reading.account.balanced
            assert chunk.reading.outside >= 0


def storable(frame: pl.DataFrame) -> None:
    """Text without NUL that is UTF-8, dates that Python can show."""
    for row in frame.iter_rows():
        for cell in row:
            for text in cell if isinstance(cell, list) else [cell]:
                if isinstance(text, str):
                    assert text.isprintable()
                    text.encode()


@contextmanager
def errors_of_ours() -> Iterator[None]:
    """Lets errors of ours pass, if they can be shown."""
    said = ""
    try:
        yield
    except BreadthFlowError as error:
        said = str(error)
    assert said.replace("\n", "").isprintable()
    said.encode()


few_or_many = pytest.mark.parametrize("examples", [FEW, pytest.param(MANY, marks=pytest.mark.slow)])


@few_or_many
def test_files_of_text(examples: int) -> None:
    def body(files: list[tuple[bytes, bytes, bytes]], setting: str | None) -> None:
        with directory() as place, errors_of_ours():
            for name, ending, content in files:
                path = os.fsencode(place) + b"/" + name + ending
                with open(path, "wb") as file:  # noqa: PTH123 - pathlib has no bytes
                    file.write(content)
            consume(Files(place, Options(symbol=setting)))

    files = st.lists(
        st.tuples(NAMES.filter(lambda name: name not in (b".", b"..")), ENDINGS, TEXTS), min_size=1, max_size=4
    )
    fuzz(examples, body, files=files, setting=st.sampled_from([None, None, "filename", "{symbol}_x.csv"]))


@few_or_many
def test_a_good_file_beside_any_other_is_read_whatever_that_is(examples: int) -> None:
    def body(name: bytes, ending: bytes, content: bytes) -> None:
        with directory() as place:
            (place / "good.csv").write_text("Date,Open,High,Low,Close,Volume\n2020-01-02,1,3,0.5,2,100\n")
            with open(os.fsencode(place) + b"/bad" + name + ending, "wb") as file:  # noqa: PTH123
                file.write(content)
            source = Files(place)
            consume(source)
            assert "GOOD" in source.securities()["symbol"]

    fuzz(examples, body, name=NAMES, ending=ENDINGS, content=TEXTS)


def extremes(kind: pa.DataType, width: str) -> st.SearchStrategy[pa.Array]:
    """Arrays of a type with any bits in them, some of them null."""

    def array(bits: list[int]) -> pa.Array:
        values = np.array(bits, dtype=width)
        return pa.Array.from_buffers(kind, len(bits), [None, pa.py_buffer(values)])

    limits = np.iinfo(width)
    return st.lists(st.integers(int(limits.min), int(limits.max)) | st.integers(0, 20_000), min_size=2, max_size=2).map(
        array
    )


COLUMNS = st.one_of(
    extremes(pa.date32(), "int32"),
    extremes(pa.date64(), "int64"),
    *(
        extremes(pa.timestamp(unit, zone), "int64")
        for unit in ("ms", "us", "ns")
        for zone in (None, "UTC", "Asia/Tokyo")
    ),
    extremes(pa.timestamp("us", "Nowhere/Else"), "int64"),
    extremes(pa.timestamp("us", "+99:99"), "int64"),
    extremes(pa.float64(), "int64"),
    extremes(pa.float32(), "int32"),
    extremes(pa.uint64(), "int64"),
    st.lists(st.text(max_size=6) | st.none(), min_size=2, max_size=2).map(lambda cells: pa.array(cells, pa.string())),
    st.lists(st.binary(max_size=6) | st.none(), min_size=2, max_size=2).map(lambda cells: pa.array(cells, pa.binary())),
    st.sampled_from(
        [
            pa.nulls(2),
            pa.array([True, None]),
            pa.array([[1.0], None]),
            pa.array([{"x": 1}, None]),
            pa.array(["A", "B"]).dictionary_encode(),
            pa.array([dt.timedelta(1), None]),
            pa.array([dt.time(1), None]),
            pa.array([1, 2]).cast(pa.decimal256(76, 40)),
            pa.array(np.array([1, 2], dtype=np.float16)),
            pa.array([b"0123456789abcdef", None], pa.binary(16)),
            pa.array(["2020-01-02", "2020-01-03"]),
            pa.array([1.0, 2.0]),
        ]
    ),
)
OURS = ("symbol", "session", "open", "high", "low", "close", "volume", "close_adjusted")


@few_or_many
def test_parquet_files_of_any_type(examples: int) -> None:
    def body(columns: dict[str, pa.Array], damage: list[tuple[int, int]]) -> None:
        good = {"session": pa.array([dt.date(2020, 1, 2), dt.date(2020, 1, 3)]), "volume": pa.array([1, 2])}
        prices = {name: pa.array([1.0, 2.0]) for name in ("open", "high", "low", "close")}
        whole = io.BytesIO()
        pq.write_table(pa.table({**good, **prices, **columns}), whole)
        content = bytearray(whole.getvalue())
        for place, byte in damage:
            content[place % len(content)] = byte
        with directory() as place, errors_of_ours():
            (place / "A.parquet").write_bytes(content)
            consume(Files(place))

    damage = st.one_of(st.just([]), st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), max_size=3))
    fuzz(examples, body, columns=st.dictionaries(st.sampled_from(OURS), COLUMNS, max_size=3), damage=damage)


@few_or_many
def test_archives_of_stooq(examples: int) -> None:
    def body(members: dict[str, bytes], damage: list[tuple[int, int]]) -> None:
        whole = io.BytesIO()
        with zipfile.ZipFile(whole, "w") as archive:
            for name, content in members.items():
                archive.writestr(name, content)
        content = bytearray(whole.getvalue())
        for place, byte in damage:
            content[place % len(content)] = byte
        with directory() as place, errors_of_ours():
            (place / "d.zip").write_bytes(content)
            consume(Stooq(place / "d.zip", ("us",), Web(Throttle(2, 1)), place / "kept"))

    names = st.sampled_from(
        ["data/aaa.us.txt", "data/b.us.txt", "x/aaa.us.txt", "20200102_d.txt", "c.uk.txt", "../d.us.txt"]
    )
    damage = st.one_of(st.just([]), st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), max_size=2))
    fuzz(examples, body, members=st.dictionaries(names, TEXTS, min_size=1, max_size=4), damage=damage)


@few_or_many
def test_universes_and_instruments(examples: int) -> None:
    headers = [b"universe,symbol,valid_from,valid_to\n", b"symbol,name,sector\n", b""]

    def body(content: bytes) -> None:
        with directory() as place:
            path = place / "list.csv"
            path.write_bytes(content)
            for read in (read_universe, read_instruments):
                with errors_of_ours():
                    storable(read(path))

    fuzz(
        examples,
        body,
        content=st.one_of(st.binary(max_size=200), st.tuples(st.sampled_from(headers), PIECED).map(b"".join)),
    )


@few_or_many
def test_published_counts(examples: int) -> None:
    lines = st.lists(st.sampled_from([b"20200102, 10\n", b"20200103,", *PIECES]), max_size=20).map(b"".join)

    def body(contents: dict[str, bytes]) -> None:
        with directory() as place, errors_of_ours():
            for series, content in contents.items():
                (place / f"X_{series}.csv").write_bytes(content)
            published = read_published_counts(place, "X", CALENDAR)
            storable(published.counts)
            storable(published.rejected)

    needed = st.fixed_dictionaries({"advn": lines, "decln": lines | st.binary(max_size=60)})
    others = st.dictionaries(st.sampled_from([*SERIES, "index"]), lines, max_size=2)
    fuzz(examples, body, contents=st.tuples(others, needed).map(lambda both: both[0] | both[1]))


@few_or_many
def test_pages_of_wikipedia(examples: int) -> None:
    tags = [
        *(
            "<table>",
            "</table>",
            "<tr>",
            "</tr>",
            "<td>",
            "</td>",
            "<th rowspan=2>",
            "<td colspan=999>",
            "<sup>x</sup>",
        ),
        *(
            "<td rowspan=-1>",
            "<td rowspan=²>",
            "<!--",
            "-->",
            "<?x?>",
            "&#0;",
            "&#xD800;",
            "\0",
            "\ud800",
            "<sup>",
            "<html>",
        ),
        *(
            "Symbol",
            "Security",
            "GICS Sector",
            "Date added",
            "Date",
            "Added Ticker",
            "Removed Ticker",
            "A",
            "2020-01-02",
        ),
        "<table><tr><th>Symbol<th>Security<th>GICS Sector<th>Date added</tr>",
        "<table><tr><th>Date<th>Added Ticker<th>Removed Ticker</tr>",
        "<tr><td>A<td>Alpha<td>Energy<td>January 2, 2020</tr>",
        "<tr><td>January 0, 2020<td>A<td>B</tr>",
    ]

    def body(page: bytes) -> None:
        with directory() as place, errors_of_ours():
            (place / "page.html").write_bytes(page)
            sp500(Web(Throttle(2, 1)), place / "page.html")

    pieces = st.lists(st.sampled_from(tags), max_size=30).map(
        lambda parts: "".join(parts).encode(errors="surrogatepass")
    )
    fuzz(examples, body, page=st.one_of(st.binary(max_size=100), pieces))


@few_or_many
def test_journals(examples: int) -> None:
    right = {
        "symbol": "A",
        "start": "2020-01-02",
        "end": "2020-01-03",
        "outcome": "fetched",
        "since": "2024-01-01T00:00Z",
    }
    values = (
        st.none() | st.integers() | st.text(max_size=8) | st.lists(st.integers(), max_size=2) | st.just("0001-01-01")
    )
    entries = st.dictionaries(st.sampled_from(list(right)), values, max_size=3).map(lambda wrong: right | wrong)
    lines = st.one_of(entries.map(json.dumps), st.text(max_size=30), st.just("[" * 100_000), st.just('"A"'))

    def body(written: list[str], rest: bytes) -> None:
        with directory() as place, errors_of_ours():
            path = place / "journal.jsonl"
            path.write_bytes("\n".join(written).encode(errors="replace") + rest)
            journal = Journal(path)
            journal.settled("A", START, END)
            journal.unfinished_since()
            journal.note({"A": Outcome.FAILED}, START, END)
            journal.close()

    fuzz(examples, body, written=st.lists(lines, max_size=4), rest=st.binary(max_size=30))
