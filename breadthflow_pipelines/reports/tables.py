"""Rows for people and for machines: tables in the terminal, CSV and JSON on stdout, JUnit files. Fetches nothing."""

import csv
import datetime as dt
import io
import json
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TextIO
from xml.etree import ElementTree

from rich.markup import escape
from rich.table import Table

from breadthflow_pipelines.model.vocabulary import BUY, HOLD, SELL

Row = Mapping[str, Any]
LONG = 1e15  # from here on numbers are written with an exponent
MOST_DECIMALS = 12  # a smaller number is a rounding error and written as 0.000
# A spreadsheet takes a cell that begins with one of these for a formula; after an apostrophe it is text.
FORMULA = r"^[=+\-@\t\r]"
ROUNDED_BY = 0.005  # the most that writing may change a number by: three digits, as in 0.615
NAMING = frozenset({"year", "line"})  # numbers that name something and count nothing: written without separators
ACTION_STYLES: Mapping[str, str] = {BUY: "green", SELL: "red", HOLD: "dim"}


def table(title: str, rows: Iterable[Row], columns: Sequence[str]) -> Table:
    """A table of these columns: numbers to the right, actions coloured, unknown values as a dash; no markup is read."""
    rows = list(rows)
    drawn = Table(title=title, title_justify="left", header_style="bold", box=None, pad_edge=False)
    for column in columns:
        number = any(isinstance(row.get(column), int | float) and not isinstance(row[column], bool) for row in rows)
        drawn.add_column(column, justify="right" if number else "left", overflow="fold")
    for row in rows:
        style = ACTION_STYLES.get(str(row.get("action")))
        drawn.add_row(*(escape(text(row.get(column), column)) for column in columns), style=style)
    return drawn


def text(value: object, name: str = "", /) -> str:
    """One value, written for people. name: what it is called; a year is not 2,026."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return _figures(value)
    if isinstance(value, int):
        return str(value) if name in NAMING else f"{value:,}"
    if isinstance(value, list | tuple):
        return ", ".join(text(item, name) for item in value)
    if isinstance(value, dt.datetime):
        return value.strftime("%Y-%m-%d %H:%M")
    return str(value)


def _figures(value: float) -> str:
    """A number with as many digits as it needs: 1,234.50, 0.615, 0.0000042, 4.87e+15."""
    size = abs(value)
    if size >= LONG:
        return f"{value:.3g}"
    if size >= 1:
        return f"{value:,.2f}"
    decimals = range(3, MOST_DECIMALS + 1)
    enough = (places for places in decimals if abs(round(size, places) - size) <= ROUNDED_BY * size)
    return f"{value:.{next(enough, 3)}f}"


def write_csv(rows: Sequence[Row], columns: Sequence[str], out: TextIO) -> None:
    """CSV with a header; null is an empty field, floats are written so that they are read back exactly.

    A text that would start a formula is led by an apostrophe. Numbers stay numbers, negative ones included: only text
    can be a formula that somebody else wrote.
    """
    lines = io.StringIO(newline="")
    writer = csv.writer(lines)  # ends lines with \r\n, so that it quotes a text with either: Excel begins a row at both
    for cells in (columns, *([_machine(row[column]) for column in columns] for row in rows)):
        writer.writerow(cells)
        out.write(lines.getvalue().removesuffix("\r\n") + "\n")
        lines.seek(0)
        lines.truncate()


def write_json(rows: Sequence[Row], columns: Sequence[str], out: TextIO) -> None:
    """A JSON array with one object per row; null stays null."""
    plain = [{column: row[column] for column in columns} for row in rows]
    json.dump(plain, out, default=str, allow_nan=False, indent=1)
    out.write("\n")


def write_junit(checks: Collection[Row], seconds: float, path: Path) -> None:
    """A JUnit file of check outcomes (asset, name, status, detail); warnings are not failures there."""
    statuses = [check["status"] for check in checks]
    counts = {"tests": len(statuses), "failures": statuses.count("failed"), "skipped": statuses.count("skipped")}
    about = {"name": "breadthflow check", "time": f"{seconds:.3f}"}
    suite = ElementTree.Element("testsuite", {**about, **{name: str(count) for name, count in counts.items()}})
    for check in checks:
        case = ElementTree.SubElement(suite, "testcase", classname=str(check["asset"]), name=str(check["name"]))
        if check["status"] == "failed":
            ElementTree.SubElement(case, "failure", message=str(check["detail"]))
        elif check["status"] == "skipped":
            ElementTree.SubElement(case, "skipped", message=str(check["detail"]))
        elif check["status"] == "warned":
            ElementTree.SubElement(case, "system-out").text = f"warning: {check['detail']}"
    ElementTree.ElementTree(suite).write(path, encoding="utf-8", xml_declaration=True)


def _machine(value: object) -> object:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return f"'{value}" if re.match(FORMULA, value) else value
    return json.dumps(value) if isinstance(value, dict | list) else value
