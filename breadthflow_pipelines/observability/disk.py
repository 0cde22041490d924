"""A full disk: how it is recognised, whoever ran into it, and the one line that says so."""

import errno
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

from breadthflow_pipelines.errors import DiskFullError

SQLSTATE = "53100"  # disk_full
FULL = (errno.ENOSPC, errno.EDQUOT)
# What the C library, PostgreSQL, its driver and SQLite make of the same thing.
_WORDS = re.compile(
    rf"No space left on device|Disk quota exceeded|Check free disk space|disk is full|SQLSTATE: {SQLSTATE}"
)


def full_disk(error: BaseException, place: Path | str) -> DiskFullError | None:
    """The error to show if ``error``, or what it came from, is a full disk; None if it is something else.

    place: what is written to where the error names no file; in words where that is not on this machine.
    """
    for each in _chain(error):
        if isinstance(each, DiskFullError):
            return each
        if isinstance(each, OSError) and each.errno in FULL:
            return disk_full(Path(str(each.filename)) if each.filename else place)
        if SQLSTATE in (getattr(each, "pgcode", None), getattr(each, "sqlstate", None)) or says_full(str(each)):
            return disk_full(place)
    return None


def says_full(text: str) -> bool:
    """Whether a message means that a disk is full."""
    return _WORDS.search(text) is not None


def disk_full(place: Path | str) -> DiskFullError:
    """The error that says which disk is full, and what becomes of the work."""
    advice = "What was committed is kept. Make room there, then run the same again."
    if isinstance(place, str):
        return DiskFullError(f"The disk of {place} ran full. {advice}")
    nearest = next(path for path in (place.absolute(), *place.absolute().parents) if path.exists())
    disk = shutil.disk_usage(nearest)
    left = f"{_size(disk.free)} of {_size(disk.total)} are free now"  # what was not committed is deleted again
    return DiskFullError(f"The disk of {place} ran full ({left}). {advice}")


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """The error, and those that caused it; SQLAlchemy has the driver's as ``orig``."""
    seen: set[int] = set()
    waiting = [error]
    while waiting:
        each = waiting.pop()
        if each is None or id(each) in seen:
            continue
        seen.add(id(each))
        yield each
        waiting += [each.__context__, each.__cause__, getattr(each, "orig", None)]


def _size(number: int) -> str:
    return f"{number / 2**30:,.1f} GB" if number >= 2**30 else f"{number / 2**20:,.0f} MB"
