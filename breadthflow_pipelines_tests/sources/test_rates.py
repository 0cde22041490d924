"""Interest rates: read by their columns, refused with the line."""

import datetime as dt
from pathlib import Path

import pytest

from breadthflow_pipelines.errors import RequestError
from breadthflow_pipelines.sources.rates import read_rates


def test_rates_are_sorted_and_days_without_one_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "rates.csv"
    path.write_text("note,session,rate\nx,2024-01-03,5.25\ny,2024-01-02,5.5\nholiday,2024-01-01,\n")
    assert read_rates(path).rows() == [(dt.date(2024, 1, 2), 5.5), (dt.date(2024, 1, 3), 5.25)]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("day,rate\n2024-01-02,5\n", "session,rate"),  # another header
        ("session,rate\n2024-01-02,5\n02.01.2024,5\n", "line 3"),  # not a date
        ("session,rate\n2024-01-02,high\n", "line 2"),
        ("session,rate\n2024-01-02,nan\n", "line 2"),  # would be carried on to every session after it
        ("session,rate\n2024-01-02,5\n2024-01-03,5\n2024-01-02,6\n", "line 4: 2024-01-02 comes twice"),
    ],
)
def test_what_is_no_rate_is_refused_with_its_line(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "rates.csv"
    path.write_text(text)
    with pytest.raises(RequestError, match=said):
        read_rates(path)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match=r"rates\.csv"):
        read_rates(tmp_path / "rates.csv")
