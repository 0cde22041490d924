"""Tables that are read together give what each gives alone: rows, accounts, outcomes and problems, in their order."""

import datetime as dt
import gzip
import random
import tempfile
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from breadthflow_pipelines.errors import RequestError
from breadthflow_pipelines.sources import alike, tree
from breadthflow_pipelines.sources.alike import Portion, portions, read_together
from breadthflow_pipelines.sources.files import Files
from breadthflow_pipelines.sources.layout import Options
from breadthflow_pipelines.sources.protocol import READ_SCHEMA, Outcome, Reading
from breadthflow_pipelines.sources.tree import TableFile
from breadthflow_pipelines_tests.examples import examples as so_many

HEADER = "Date,Open,High,Low,Close,Volume,Note\n"
DAYS = [dt.date(2023, 12, 27) + dt.timedelta(days=n) for n in range(8)]
NEXT_YEAR = dt.datetime.now(dt.UTC).date() + dt.timedelta(days=365)

# What one table of several has that is not a plain bar of every day, by name.
ODD = {
    "nothing": "",
    "no line end": "2024-01-05,1,2,0.5,1,10,x",
    "an empty cell": "2024-01-05,,2,0.5,1,10,x\n",
    "all cells empty": ",,,,,,\n",
    "a blank line": "\n",
    "blanks": "  \n2024-01-05,1,2,0.5,1,10,x\n",
    "a word": "2024-01-05,n/a,2,0.5,1,10,x\n",
    "nan": "2024-01-05,nan,2,0.5,1,10,x\n",
    "infinity": "2024-01-05,inf,2,0.5,1,10,x\n",
    "blanks around a number": "2024-01-05, 1 ,2,0.5,1,10,x\n",
    "no day": ",1,2,0.5,1,10,x\n",
    "another spelling of days": "20240105,1,2,0.5,1,10,x\n",
    "a moment": "2024-01-05 00:00:00-05:00,1,2,0.5,1,10,x\n",
    "a day to come": f"{NEXT_YEAR},1,2,0.5,1,10,x\n",
    "an impossible day": "2024-02-30,1,2,0.5,1,10,x\n",
    "a cell less": "2024-01-05,1,2,0.5,1,10\n",
    "a cell more": "2024-01-05,1,2,0.5,1,10,x,y\n",
    "a quotation": '2024-01-05,1,2,0.5,1,10,"x, y"\n',
    "a quoted line end": '2024-01-05,1,2,0.5,1,10,"x\ny"\n',
    "the header again": HEADER,
    "another header": "Close,Date,Open,High,Low,Volume,Note\n2024-01-05,1,2,0.5,1,10,x\n",
    "an umlaut": "2024-01-05,1,2,0.5,1,10,ä\n",
    "a carriage return": "2024-01-05,1,2,0.5,1,10,x\r2024-01-06,1,2,0.5,1,10,x\n",
    "nul": "2024-01-05,1,2,0.5,1,10,\0\n",
    "the same day twice": "2024-01-04,1,2,0.5,1,10,x\n",
    "a huge number": "2024-01-05,1e308,1e308,1,1e308,10,x\n",
}


def plain(seed: int, days: list[dt.date] = DAYS) -> str:
    dice = random.Random(seed)  # noqa: S311
    return HEADER + "".join(f"{day},{dice.uniform(1, 9):.3f},9,0.5,{dice.uniform(1, 9):.2f},{seed},x\n" for day in days)


def read(place: Path, options: Options | None = None) -> tuple[pl.DataFrame, dict[str, Outcome], list[str], object]:
    """What a directory gives in a stretch that cuts each table, or the error that there is nothing."""
    source = Files(place, options or Options())
    try:
        chunks = list(source.bars(None, dt.date(2023, 12, 29), dt.date(2024, 1, 31)))
        described = source.describe()
    except RequestError as error:
        return pl.DataFrame(schema=READ_SCHEMA), {}, [str(error)], None
    bars = pl.concat([chunk.bars for chunk in chunks])
    outcomes = {symbol: outcome for chunk in chunks for symbol, outcome in chunk.outcomes.items()}
    readings: list[Reading | None] = [chunk.reading for chunk in chunks]
    return bars, outcomes, [problem for chunk in chunks for problem in chunk.problems], (readings, described)


def assert_same_alone(place: Path, monkeypatch: pytest.MonkeyPatch, options: Options | None = None) -> None:
    together = read(place, options)
    with monkeypatch.context() as patched:
        patched.setattr(alike, "MOST_TABLES", 1)
        alone = read(place, options)
    assert_frame_equal(together[0], alone[0])
    assert together[1:] == alone[1:]


def tables(place: Path) -> list[tuple[int, TableFile]]:
    return list(enumerate(TableFile(path) for path in sorted(place.iterdir())))


@pytest.mark.parametrize("odd", ODD)
@pytest.mark.parametrize("place_of_it", [0, 2, 4])
def test_one_odd_table_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, odd: str, place_of_it: int
) -> None:
    for number in range(5):
        (tmp_path / f"A{number}.csv").write_text(plain(number) + (ODD[odd] if number == place_of_it else ""))
    assert_same_alone(tmp_path, monkeypatch)


@pytest.mark.parametrize(
    "first",
    [
        "",
        "\n",
        HEADER,
        HEADER.replace("\n", "\r\n") + "2024-01-03,1,2,0.5,1,10,x\r\n",
        "\ufeff" + plain(7),
        "Date,Close,Open,High,Low,Volume,Note\n2024-01-03,4,1,5,1,10,x\n",
        "Date,Open,High,Low,Volume\n2024-01-03,1,2,0.5,10\n",
        "Date,Open,High,Low,Close,Volume,Name\n2024-01-03,1,2,0.5,1,10,ZZZ\n",
        "Date,Open,High,Low,Close,Volume,Name\n2024-01-03,1,2,0.5,1,10,Alpha Company\n",
        "symbol,date,open,high,low,close,volume\nZZZ,2024-01-03,1,2,0.5,1,10\n",
        "<TICKER>,<PER>,<DATE>,<TIME>,<OPEN>,<HIGH>,<LOW>,<CLOSE>,<VOL>,<OPENINT>\nA.US,5,20240103,0,1,2,0.5,1,10,0\n",
    ],
)
def test_tables_of_other_headers_are_among_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, first: str) -> None:
    for number in range(4):
        (tmp_path / f"B{number}.csv").write_text(plain(number))
        (tmp_path / f"A{number}.csv").write_text(first)
    (tmp_path / "B2z.csv").write_text(first)
    assert_same_alone(tmp_path, monkeypatch)


@given(
    st.lists(
        st.lists(st.sampled_from([*ODD.values(), *plain(3).splitlines(keepends=True)[1:]]), max_size=5), min_size=2
    )
)
@so_many(20)
def test_invented_tables_give_the_same(contents: list[list[str]]) -> None:
    with tempfile.TemporaryDirectory() as directory, pytest.MonkeyPatch.context() as monkeypatch:
        for number, lines in enumerate(contents):
            Path(directory, f"T{number:03}.csv").write_text(HEADER + "".join(lines))
        assert_same_alone(Path(directory), monkeypatch)


def test_ordinary_tables_are_read_together_and_odd_ones_alone(tmp_path: Path) -> None:
    for number in range(6):
        (tmp_path / f"A{number}.csv").write_text(plain(number))
    (tmp_path / "A3.csv").write_text(HEADER + '2024-01-03,1,2,0.5,1,10,"x"\n')
    with tree.Reader() as reader:
        found = list(portions(reader, tables(tmp_path), Options()))
        assert [portion.numbers for portion in found] == [[0, 1, 2], [3], [4, 5]]
        assert [portion.bars() is None for portion in found] == [False, True, False]
        first = found[0].bars()
    assert first is not None
    assert first.group_by("table", "symbol", maintain_order=True).len().rows() == [
        (number, f"A{number}", len(DAYS)) for number in range(3)
    ]
    assert [table.account.lines for table in found[0].together] == [len(DAYS) + 1] * 3


@pytest.mark.parametrize("odd", [[5], [0, 63], list(range(64))])
def test_where_one_is_odd_few_are_read_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, odd: list[int]) -> None:
    for number in range(64):
        (tmp_path / f"A{number:02}.csv").write_text(plain(number) + (ODD["a word"] if number in odd else ""))
    with tree.Reader() as reader:
        read = list(read_together(reader, tables(tmp_path), Options(), Portion.bars))
    assert [number for portion, _ in read for number in portion.numbers] == list(range(64))
    alone = [number for portion, bars in read if bars is None for number in portion.numbers]
    assert alone == [number for number in range(64) if number // alike.FEWEST in {one // alike.FEWEST for one in odd}]
    assert_same_alone(tmp_path, monkeypatch)


def test_no_more_are_read_at_once_than_fit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alike, "AT_ONCE", 2 * len(plain(0)))
    monkeypatch.setattr(alike, "SMALL", 2 * len(plain(0)))
    for number in range(5):
        (tmp_path / f"A{number}.csv").write_text(plain(number))
    (tmp_path / "A2.csv").write_text(plain(2, [DAYS[0] + dt.timedelta(days=n) for n in range(40)]))
    with tree.Reader() as reader:
        assert [portion.numbers for portion in portions(reader, tables(tmp_path), Options())] == [[0, 1], [2], [3, 4]]
    assert_same_alone(tmp_path, monkeypatch)


def test_packed_tables_and_symbols_in_directories(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(3):
        directory = tmp_path / f"symbol=S{number}"
        directory.mkdir()
        (directory / "bars.csv.gz").write_bytes(gzip.compress(plain(number).encode()))
    assert_same_alone(tmp_path, monkeypatch)
    assert sorted(read(tmp_path)[1]) == ["S0", "S1", "S2"]
    assert_same_alone(tmp_path, monkeypatch, Options(symbol="{symbol}/bars.csv.gz"))
