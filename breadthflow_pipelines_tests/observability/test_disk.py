"""A full disk is recognised in whatever it comes wrapped in, and nothing else is taken for one."""

import errno
import sqlite3
from pathlib import Path

import psycopg2
import pytest
import sqlalchemy.exc

from breadthflow_pipelines.errors import DiskFullError, SourceError
from breadthflow_pipelines.observability.disk import disk_full, full_disk, says_full


class FromTheServer(psycopg2.OperationalError):
    """As the driver makes it of an answer of the server; one made by hand has no number."""

    pgcode = "53100"


def chained(inner: Exception, outer: Exception) -> Exception:
    outer.__context__, outer.__suppress_context__ = inner, True  # as `raise outer from None` leaves it
    return outer


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        OSError(errno.EDQUOT, "Disk quota exceeded"),
        FromTheServer("wie auch immer der Server es sagt"),  # by its number: words come in many languages
        # as SQLAlchemy raises it out of Dagster's storage
        sqlalchemy.exc.OperationalError("INSERT INTO event_logs", {}, FromTheServer("x")),
        # as ADBC's COPY has it
        RuntimeError("ERROR:  could not extend file: wrote only 4096 of 8192 bytes\nHINT:  Check free disk space."),
        RuntimeError("IO: [libpq] COPY failed. SQLSTATE: 53100"),
        sqlite3.OperationalError("database or disk is full"),
        chained(OSError(errno.ENOSPC, "x"), SourceError("feed.example: the archive cannot be kept")),
        DiskFullError("The disk of /x ran full."),
    ],
    ids=repr,
)
def test_a_full_disk_is_recognised(error: Exception, tmp_path: Path) -> None:
    found = full_disk(error, tmp_path)
    assert isinstance(found, DiskFullError)
    assert found.exit_status == 1
    assert "\n" not in str(found)


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.EACCES, "Permission denied"),
        psycopg2.ProgrammingError("permission denied for tablespace"),
        psycopg2.OperationalError("server closed the connection unexpectedly"),
        RuntimeError("could not extend file: it is read-only"),
        SourceError("feed.example: no answer"),
    ],
    ids=repr,
)
def test_nothing_else_is(error: Exception, tmp_path: Path) -> None:
    assert full_disk(error, tmp_path) is None


def test_the_line_names_the_file_that_was_written_where_there_is_one(tmp_path: Path) -> None:
    file = tmp_path / "not" / "there" / "yet.csv"
    told = str(full_disk(OSError(errno.ENOSPC, "No space left on device", str(file)), Path("/elsewhere")))
    assert told.startswith(f"The disk of {file} ran full (")
    assert told.endswith("What was committed is kept. Make room there, then run the same again.")


def test_a_disk_elsewhere_is_named_in_words() -> None:
    told = str(full_disk(FromTheServer("x"), "the database server db.example"))
    assert told.startswith("The disk of the database server db.example ran full. What")


def test_figures_are_those_of_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = type("Usage", (), {"free": 3 * 2**20, "total": 60 * 2**30})
    monkeypatch.setattr("shutil.disk_usage", lambda _: usage)
    assert "(3 MB of 60.0 GB are free now)" in str(disk_full(tmp_path))


def test_errors_in_a_circle_come_to_an_end(tmp_path: Path) -> None:
    first, second = ValueError("a"), ValueError("b")
    first.__context__, second.__context__ = second, first
    assert full_disk(first, tmp_path) is None
    assert not says_full("")
