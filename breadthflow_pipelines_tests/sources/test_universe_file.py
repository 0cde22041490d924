"""Universe and instrument files: what is read, and what is refused with the line."""

import datetime as dt
import os
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from breadthflow_pipelines.errors import RequestError
from breadthflow_pipelines.sources.protocol import MEMBER_SCHEMA
from breadthflow_pipelines.sources.universe_file import instruments_beside, read_instruments, read_universe

MARKET = Path(__file__).resolve().parents[2].parent / "shared" / "market"
needs_market = pytest.mark.skipif(not MARKET.is_dir(), reason="../shared/market is missing")

HEADER = "universe,symbol,valid_from,valid_to\n"


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_members_that_leave_and_come_back_are_read(tmp_path: Path) -> None:
    path = write(
        tmp_path / "u.csv",
        "\ufeffvalid_to, Symbol ,note,universe,valid_from\n"
        ",b,came back,u,2020-01-01\n"
        "2010-05-01,B,,u,2000-01-01\n"
        "\n"
        "2020-01-01,A,,u,2010-05-01\n"
        "2010-05-01,A,leaves and joins on one day,u,2000-01-01\n"
        ",A,another universe may overlap,v,2005-01-01\n",
    )
    members = read_universe(path)
    assert members.schema == MEMBER_SCHEMA
    assert members.rows() == [
        ("u", "A", dt.date(2000, 1, 1), dt.date(2010, 5, 1)),
        ("u", "A", dt.date(2010, 5, 1), dt.date(2020, 1, 1)),
        ("u", "B", dt.date(2000, 1, 1), dt.date(2010, 5, 1)),
        ("u", "B", dt.date(2020, 1, 1), None),
        ("v", "A", dt.date(2005, 1, 1), None),
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "cannot be read: it is empty"),
        ("symbol\nA\n", "line 1: no column universe, valid_from, valid_to"),
        ("universe,symbol,valid_from\nu,A,2000-01-01\n", "line 1: no column valid_to"),  # open-ended must be said
        (HEADER, "names no member"),
        (HEADER + f"u,{'A' * 200_000},2000-01-01,\n", "line 2: symbol 'AAAAAAAAAA"),  # a file of another kind
        (HEADER + "u,A,2000-13-01,\n", "line 2: valid_from '2000-13-01' is not a date"),
        (HEADER + "u,A,,\n", "line 2: valid_from '' is not a date"),
        (HEADER + "\nu,A,2000-01-01,soon\n", "line 3: valid_to 'soon' is not a date"),  # blank lines count as lines
        (HEADER + "u,A,2000-01-01,2000-01-01\n", "line 2: valid_to 2000-01-01 is not after"),  # a member for no day
        (HEADER + "u, ,2000-01-01,\n", "line 2: no symbol"),
        (HEADER + "my universe,A,2000-01-01,\n", "line 2: universe 'my universe' is not"),
        (HEADER + f"{'u' * 41},A,2000-01-01,\n", "line 2: universe"),
        (HEADER + "u,A\0\0,2000-01-01,\n", "line 2: symbol 'A\\0\\0' cannot be one"),  # fixed-width exports
        (HEADER + f"u,{'A' * 41},2000-01-01,\n", "symbol 'AAAAAAAAAAAA...' has 41 characters, and a symbol at most"),
        (HEADER + "u\0,A,2000-01-01,\n", "line 2: universe 'u\\0' is not"),
        (HEADER + "u,A,2000-01-01\n", "line 2: 3 cells under a header of 4"),  # cut short, or still in?
        (HEADER + "u,A,2000-01-01,,x\n", "line 2: 5 cells under a header of 4"),
        (HEADER + 'u,A,2000-01-01,\nu,"B,2000-01-01,\nu,C,soon,\n', "line 4: valid_from 'soon' is not a date"),
        (HEADER + "u,A,2000-01-01,\nu,A,2010-01-01,\n", "line 3: A in u overlaps line 2"),  # still in, joins again
        (HEADER + "u,A,2005-01-01,\nu,a,2000-01-01,2005-01-02\n", "line 3: A in u overlaps line 2"),  # by one day
    ],
)
def test_a_universe_that_would_count_wrongly_is_refused(tmp_path: Path, text: str, message: str) -> None:
    path = write(tmp_path / "u.csv", text)
    with pytest.raises(RequestError) as caught:
        read_universe(path)
    assert message in str(caught.value)
    assert str(path) in str(caught.value)


def test_three_faults_are_named_and_the_rest_counted(tmp_path: Path) -> None:
    path = write(tmp_path / "u.csv", HEADER + "u,,2000-01-01,\n" * 5)
    with pytest.raises(RequestError, match=r"line 2: no symbol; line 3: no symbol; line 4: no symbol; and 2 more\.$"):
        read_universe(path)


@pytest.mark.parametrize("read", [read_universe, read_instruments])
def test_a_missing_file_is_a_wrong_request(tmp_path: Path, read: Callable[[Path], pl.DataFrame]) -> None:
    with pytest.raises(RequestError, match="No such file"):
        read(tmp_path / "none.csv")
    os.mkfifo(tmp_path / "pipe.csv")  # whoever opens it waits for a writer
    with pytest.raises(RequestError, match="it is not a regular file"):
        read(tmp_path / "pipe.csv")
    with pytest.raises(RequestError, match=r"n\\xe9ant\.csv cannot be read: No such file"):
        read(Path(os.fsdecode(os.fsencode(tmp_path) + b"/n\xe9ant.csv")))


def test_files_that_were_put_together_are_one(tmp_path: Path) -> None:
    path = write(tmp_path / "u.csv", HEADER + "u,A,2000-01-01,\n\ufeff" + HEADER + '\nu,"B",2000-01-01,\n')
    assert read_universe(path)["symbol"].to_list() == ["A", "B"]


def test_symbols_are_spelled_as_those_of_bars(tmp_path: Path) -> None:
    path = write(
        tmp_path / "u.csv", HEADER + "".join(f"u,{symbol},2000-01-01,\n" for symbol in ("aapl", "AMpB", "AMPB"))
    )
    assert read_universe(path)["symbol"].to_list() == ["AAPL", "AMPB", "AMpB"]


def test_names_that_cannot_be_stored_are_written_so_that_they_can(tmp_path: Path) -> None:
    path = tmp_path / "i.csv"
    path.write_bytes(b"symbol,name,sector\nA,Nul\0 \xc9tablissement,\x1b[31mred\n")
    assert read_instruments(path).rows() == [("A", "Nul\\0 \ufffdtablissement", "?[31mred")]


def test_instruments_stand_beside_the_universe(tmp_path: Path) -> None:
    universe = tmp_path / "u.csv"
    assert instruments_beside(universe) is None
    path = write(tmp_path / "instruments.csv", 'sector,symbol,name\n,zz,\nEnergy,XOM,"Exxon, Mobil"\n')
    assert instruments_beside(universe) == path
    assert read_instruments(path).rows() == [("XOM", "Exxon, Mobil", "Energy"), ("ZZ", None, None)]


def test_an_instrument_that_stands_twice_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "i.csv", "symbol,name,sector\nA,Agilent,Tech\n,x,y\na,Alcoa,Materials\n")
    with pytest.raises(RequestError, match="line 3: no symbol; line 4: A is already in line 2"):
        read_instruments(path)


@pytest.mark.market_data
@needs_market
def test_the_real_membership_is_read_whole() -> None:
    members = read_universe(MARKET / "sp500_membership.csv")
    assert members.height == 773 == len((MARKET / "sp500_membership.csv").read_text().splitlines()) - 1
    day = dt.date(2015, 8, 24)
    alive = (pl.col("valid_from") <= day) & (pl.col("valid_to").is_null() | (pl.col("valid_to") > day))
    assert members.filter(alive).height == 500
    assert read_instruments(MARKET / "instruments.csv").filter(symbol="MMM").rows() == [
        ("MMM", "3M Company", "Industrials")
    ]
