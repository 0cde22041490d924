"""Rows for people and for machines: what is written reads back the same."""

import csv
import datetime as dt
import io
import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from rich.console import Console

from breadthflow_pipelines.reports import tables

ROWS: list[dict[str, Any]] = [
    {"session": dt.date(2024, 1, 2), "value": 0.1 + 0.2, "count": 0, "calibrated": True, "evidence": {"low": -1e-17}},
    {
        "session": dt.date(2024, 1, 3),
        "value": None,
        "count": None,
        "calibrated": False,
        "evidence": {"name": 'a "b", c'},
    },
    {"session": dt.date(2024, 1, 4), "value": 1e-300, "count": 2**53 + 1, "calibrated": True, "evidence": {}},
]
COLUMNS = ["session", "value", "count", "calibrated", "evidence"]


def test_csv_reads_back_the_same() -> None:
    out = io.StringIO()
    tables.write_csv(ROWS, COLUMNS, out)
    read = list(csv.DictReader(io.StringIO(out.getvalue())))
    assert out.getvalue().splitlines()[0] == ",".join(COLUMNS)
    assert [
        {
            "session": dt.date.fromisoformat(row["session"]),
            "value": float(row["value"]) if row["value"] else None,
            "count": int(row["count"]) if row["count"] else None,
            "calibrated": {"true": True, "false": False}[row["calibrated"]],
            "evidence": json.loads(row["evidence"]),
        }
        for row in read
    ] == ROWS


@pytest.mark.parametrize(
    ("value", "cell"),
    [
        ("=cmd|'/C calc'!A0", "'=cmd|'/C calc'!A0"),
        ("+1", "'+1"),
        ("-1", "'-1"),  # text, as a rejected row holds it
        ("@SUM(A1)", "'@SUM(A1)"),
        ("\t=1", "'\t=1"),
        ("\r=1", "'\r=1"),
        ("a=1", "a=1"),
        ("", ""),
        (-1.5, "-1.5"),  # a number stays one
        (dt.date(2024, 1, 2), "2024-01-02"),
        (["=1", "b"], '["=1", "b"]'),
    ],
)
def test_no_text_in_csv_starts_a_formula(value: object, cell: str) -> None:
    out = io.StringIO()
    tables.write_csv([{"cell": value, "after": 1}], ["cell", "after"], out)
    assert list(csv.reader(io.StringIO(out.getvalue(), newline="")))[1] == [cell, "1"]


def test_json_reads_back_the_same() -> None:
    out = io.StringIO()
    tables.write_json(ROWS, COLUMNS, out)
    assert json.loads(out.getvalue()) == [{**row, "session": str(row["session"])} for row in ROWS]


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_json_refuses_what_json_does_not_know(value: float) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        tables.write_json([{"value": value}], ["value"], io.StringIO())


def test_only_the_columns_asked_for_are_written_in_their_order() -> None:
    out = io.StringIO()
    tables.write_csv(ROWS[:1], ["count", "session"], out)
    assert out.getvalue() == "count,session\n0,2024-01-02\n"


def test_no_rows_are_a_header_and_an_empty_list() -> None:
    rows, text = io.StringIO(), io.StringIO()
    tables.write_csv([], COLUMNS, rows)
    tables.write_json([], COLUMNS, text)
    assert rows.getvalue() == ",".join(COLUMNS) + "\n"
    assert json.loads(text.getvalue()) == []


def test_junit_counts_failures_and_skipped_and_warnings_are_neither(tmp_path: Path) -> None:
    checks = [
        {"asset": "bars", "name": "complete", "status": "passed", "detail": ""},
        {"asset": "bars", "name": "current", "status": "failed", "detail": 'last <2024-01-02> & "older"'},
        {"asset": "counts", "name": "gate", "status": "failed", "detail": "0.4"},
        {"asset": "counts", "name": "steady", "status": "warned", "detail": "2 sessions"},
        {"asset": "published", "name": "contract", "status": "skipped", "detail": "nothing is stored"},
    ]
    tables.write_junit(checks, 1.5, tmp_path / "checks.xml")
    suite = ElementTree.parse(tmp_path / "checks.xml").getroot()  # noqa: S314 - our own file
    assert suite.tag == "testsuite"
    assert {name: suite.get(name) for name in ("tests", "failures", "skipped", "time")} == {
        "tests": "5",
        "failures": "2",
        "skipped": "1",
        "time": "1.500",
    }
    cases = {(case.get("classname"), case.get("name")): case for case in suite}
    assert len(cases) == 5
    failure = cases["bars", "current"].find("failure")
    assert failure is not None
    assert failure.get("message") == 'last <2024-01-02> & "older"'
    assert cases["published", "contract"].find("skipped") is not None
    assert [child.tag for child in cases["counts", "steady"]] == ["system-out"]
    assert list(cases["bars", "complete"]) == []


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "-"),  # unknown is not zero
        (0.0, "0.000"),
        (-0.61549, "-0.615"),
        (0.05, "0.050"),  # as a share or a confidence always was
        (0.0123, "0.0123"),  # three digits of it
        (0.000001, "0.000001"),  # a price of a millionth
        (0.00000412345, "0.00000412"),
        (-1e-17, "-0.000"),  # what rounding left of nothing
        (4.8714e15, "4.87e+15"),  # a price after many reverse splits
        (1e300, "1e+300"),
        (999_999_999_999_999.0, "999,999,999,999,999.00"),
        (1234.5, "1,234.50"),
        (1234567, "1,234,567"),
        (True, "yes"),  # not 1
        (dt.datetime(2024, 1, 2, 15, 4, 5, tzinfo=dt.UTC), "2024-01-02 15:04"),
        (dt.date(2024, 1, 2), "2024-01-02"),
    ],
)
def test_values_as_people_read_them(value: object, text: str) -> None:
    assert tables.text(value) == text


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("year", "2026"),  # the year of a threshold, the row of a monthly table
        ("line", "12041"),  # of a file, to go to
        ("sample_sessions", "2,260"),  # counted
    ],
)
def test_a_number_that_names_something_has_no_separator(name: str, written: str) -> None:
    number = int(written.replace(",", ""))
    assert tables.text(number, name) == written
    console = Console(file=io.StringIO(), width=80)
    console.print(tables.table("", [{name: number}], [name]))
    assert written in console.file.getvalue().split()  # type: ignore[attr-defined]


def test_table_has_the_columns_asked_for_and_a_dash_for_what_is_missing() -> None:
    console = Console(file=io.StringIO(), width=80, no_color=True)
    console.print(
        tables.table("Rows", [{"asset": "bars", "read": 12345, "other": 1}, {"asset": "counts"}], ("asset", "read"))
    )
    assert isinstance(console.file, io.StringIO)
    lines = [line.split() for line in console.file.getvalue().splitlines()]
    assert lines == [["Rows"], ["asset", "read"], ["bars", "12,345"], ["counts", "-"]]


def test_table_shows_square_brackets_as_they_are() -> None:
    console = Console(file=io.StringIO(), width=80)
    console.print(tables.table("", [{"reason": "no [bold]such[/bold] [trade]"}], ["reason"]))
    assert "no [bold]such[/bold] [trade]" in console.file.getvalue()  # type: ignore[attr-defined]
