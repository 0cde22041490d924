"""The closes of an index: read by their columns or as an exchange writes them, refused with the line."""

import datetime as dt
from pathlib import Path

import pytest

from breadthflow_pipelines.errors import RequestError
from breadthflow_pipelines.sources.index_file import read_index

D2, D3 = dt.date(2024, 1, 2), dt.date(2024, 1, 3)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Date,Open,Close,Adj Close,Volume\n2024-01-03,1,11,10.5,9\n2024-01-02,1,10,9.5,9\n", [9.5, 10.5]),  # Yahoo's
        ("session,close\n20240102,10\n20240103,11\n2024-01-01,\n", [None, None]),  # a holiday has no close
        ("Date,Close,Adj Close\n2024-01-02,10,10\n2024-01-03,11,11\n", [None, None]),  # an index pays no dividends
        ("20240102, 10.00\n20240103, 11\n", [None, None]),  # an exchange's own
        ("\ufeffdate;x,CLOSE,date\n,10,2024-01-02\n,11,2024-01-03\n", [None, None]),
    ],
)
def test_closes_are_found_by_their_columns(tmp_path: Path, text: str, expected: list[float | None]) -> None:
    path = tmp_path / "index.csv"
    path.write_text(text)
    got = read_index(path)
    assert got.select("session", "close").rows() == [(D2, 10.0), (D3, 11.0)]
    assert got["close_adjusted"].to_list() == expected


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no columns date and close"),
        ("day,last\n2024-01-02,10\n", "no columns date and close"),
        ("date,close\n", "no close of any session"),
        ("date,close\n2024-01-02,10\n2024-01-02,11\n", "line 3: 2024-01-02 comes twice"),
        ("date,close\n02.01.2024,10\n", "line 2"),
        ("date,close\n2024-01-02,0\n", "line 2"),  # a level of zero is none
        ("date,close\n2024-01-02,nan\n", "line 2"),
        ("date,close,adj close\n2024-01-02,10,none\n", "line 2"),
        ("20240102, 10\nx, 11\n", "line 2"),
    ],
)
def test_what_is_no_index_is_refused_with_its_line(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "index.csv"
    path.write_text(text)
    with pytest.raises(RequestError, match=said):
        read_index(path)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match=r"index\.csv cannot be read"):
        read_index(tmp_path / "index.csv")


@pytest.mark.market_data
def test_real_index_files_are_read(market: Path) -> None:
    sp500 = read_index(market / "index" / "gspc.csv")
    assert sp500.row(0) == (dt.date(2005, 1, 3), 1202.08, None)  # its adjusted closes are its closes
    nasdaq = read_index(market / "index" / "NASDAQ_index.csv")
    assert nasdaq.row(0) == (dt.date(1978, 1, 3), 104.0, None)
