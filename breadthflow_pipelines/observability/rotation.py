"""Keeps logs that other programs write below a size, while those programs hold the file open."""

import os
import shutil
from contextlib import suppress
from pathlib import Path

LIMIT = 5 * 2**20  # bytes of one file
KEPT = 3  # older files beside it


def rotate(log: Path, limit: int = LIMIT, kept: int = KEPT) -> bool:
    """Copy a log that is larger than ``limit`` to log.1, what was there to log.2, ..., and empty it; whether it did.

    The file is emptied and not replaced: its writers append to it and go on where it then ends. What they write between
    the last byte copied and that, a fraction of a millisecond, is lost.
    """
    try:
        if log.stat().st_size <= limit:
            return False
        for number in range(kept, 1, -1):
            with suppress(FileNotFoundError):
                _numbered(log, number - 1).replace(_numbered(log, number))
        try:
            shutil.copyfile(log, _numbered(log, 1))
        except OSError:  # a full disk takes no copy; all the more reason to empty the log
            _numbered(log, 1).unlink(missing_ok=True)
        os.truncate(log, 0)
    except OSError:  # gone, or of another user
        return False
    return True


def _numbered(log: Path, number: int) -> Path:
    return log.with_name(f"{log.name}.{number}")
