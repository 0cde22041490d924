"""Days that a file of the user's closes or opens, each with the reason. sessions.py applies them to the calendar."""

import csv
import datetime as dt
import re
from dataclasses import dataclass
from pathlib import Path

from breadthflow_pipelines.errors import RequestError

CLOSED, OPEN = "closed", "open"
_SETTING = "BREADTHFLOW_CALENDAR_CHANGES"
_COLUMNS = ["date", "change", "reason"]


@dataclass(frozen=True)
class Change:
    """A day that is not a session although the library has one (CLOSED), or is one although it has none (OPEN)."""

    date: dt.date
    change: str
    reason: str
    line: int  # in the file, from 1


def read_changes(file: Path) -> tuple[Change, ...]:
    """The days that a file closes and opens, in order: CSV with the columns date, change, reason.

    Raises:
        RequestError: it cannot be read, or a line of it cannot be used.
    """
    try:
        with file.open(encoding="utf-8-sig", newline="") as text:
            reader = csv.reader(text, strict=True)
            rows = [(reader.line_num, [cell.strip() for cell in row]) for row in reader if "".join(row).strip()]
    except OSError as error:
        raise RequestError(f"{_SETTING}={file} cannot be read: {error.strerror}.") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise RequestError(f"{_SETTING}={file} is not a CSV file in UTF-8: {error}.") from None
    if not rows or [cell.lower() for cell in rows[0][1]] != _COLUMNS:
        raise RequestError(f"{_SETTING}={file} has to begin with the line {','.join(_COLUMNS)}.")
    changes: dict[dt.date, Change] = {}
    for line, cells in rows[1:]:
        change = _change(line, cells)
        if change.date in changes:
            raise refused(line, f"{change.date} is already in line {changes[change.date].line}; keep one of them")
        changes[change.date] = change
    return tuple(changes[date] for date in sorted(changes))


def _change(line: int, cells: list[str]) -> Change:
    if len(cells) != len(_COLUMNS):
        more = "; put a reason with commas in double quotes" if len(cells) > len(_COLUMNS) else ""
        raise refused(line, f"it has {len(cells)} cells instead of {', '.join(_COLUMNS)}{more}")
    day, change, reason = cells
    try:
        date = dt.date.fromisoformat(day if re.fullmatch(r"\d{4}-\d\d-\d\d", day, re.ASCII) else "")
    except ValueError:
        raise refused(line, f"{day!r} is not a date; write it as 2023-09-01") from None
    if change.lower() not in (CLOSED, OPEN):
        raise refused(line, f"{change!r} is not a change; write {CLOSED} or {OPEN}")
    if not reason or not reason.isprintable():
        raise refused(line, "it has no readable reason; say why, for the person who reads it in a year")
    return Change(date, change.lower(), reason, line)


def refused(line: int, why: str) -> RequestError:
    """The error that names a line of the file and what is wrong with it."""
    return RequestError(f"{_SETTING}, line {line}: {why}.")
