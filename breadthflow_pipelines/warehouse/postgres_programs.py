"""PostgreSQL's own programs for copies of a database: which ones fit its server, and how they are run.

What is copied, and how a copy is proven, is in backups.py and restoring.py.
"""

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO
from urllib.parse import unquote, urlsplit, urlunsplit

from breadthflow_pipelines.errors import BreadthFlowError, RequestError
from breadthflow_pipelines.observability.disk import disk_full, says_full
from breadthflow_pipelines.warehouse.embedded import bundled_programs

_DEBIAN = "/usr/lib/postgresql/{}/bin"  # where Debian puts those of each version


def program(name: str, major: int, *, newer: bool = False) -> Path:
    """The program of that major version: the embedded server's, that of the PATH, or Debian's.

    newer: one of a later version will do, as it does to read an archive. To copy a database it does not: an older
    program refuses the server, a newer one writes what the server cannot read.

    Raises:
        RequestError: there is none.
    """
    on_path = shutil.which(name)
    for place in (bundled_programs() / name, Path(on_path or name), Path(_DEBIAN.format(major)) / name):
        found = _major(place) if place.is_file() else 0
        if found == major or (newer and found > major):
            return place
    raise RequestError(
        f"There is no {name} of PostgreSQL {major} here. Install it, on Debian: apt-get install "
        f"postgresql-client-{major}"
    )


def run(command: Sequence[str | Path], url: str, place: Path, feed: Callable[[IO[bytes]], None] | None = None) -> None:
    """Run a program to its end. url: the database it connects to; place: what is written to. feed: writes its input.

    Raises:
        BreadthFlowError: it failed; says why in its own words.
        DiskFullError: because there was no space.
    """
    given = subprocess.PIPE if feed else subprocess.DEVNULL
    with _started([command[0], *_target(url), *command[1:]], url, stdin=given) as (process, said):
        if feed:
            _feed(process, feed)
        _refuse(command, process.wait(), said, place)


@contextmanager
def output_of(command: Sequence[str | Path], url: str, place: Path) -> Iterator[IO[bytes]]:
    """What a program writes, while it runs; it is killed where the block is left with an error.

    Raises:
        BreadthFlowError: it failed; says why in its own words.
    """
    with _started([command[0], *_target(url), *command[1:]], url, stdout=subprocess.PIPE) as (process, said):
        assert process.stdout is not None  # noqa: S101 - for the type checker; it was asked for
        yield process.stdout
        process.communicate()  # what the block left
        _refuse(command, process.returncode, said, place)


def listing(archive: Path, major: int, feed: Callable[[IO[bytes]], None] | None) -> str:
    """The contents of an archive, after all of it was read; feed: writes it, where it is not a file to be read as is.

    Raises:
        BreadthFlowError: it cannot be read to its end.
    """
    source: list[str | Path] = [] if feed else [archive]
    for option in ("--file=/dev/null", "--list"):
        command = [program("pg_restore", major, newer=True), option, *source]
        given = subprocess.PIPE if feed else subprocess.DEVNULL
        with TemporaryFile() as listed, _started(command, "", stdin=given, stdout=listed) as (process, said):
            if feed:
                _feed(process, feed)
            _refuse(command, process.wait(), said, archive)
            listed.seek(0)
            found = listed.read().decode()
    return found


@contextmanager
def _started(
    command: Sequence[str | Path], url: str, **streams: int | IO[bytes]
) -> "Iterator[tuple[subprocess.Popen[bytes], IO[bytes]]]":
    """A program, and the file into which it says what went wrong.

    What it writes while it is fed must go into files: a pipe that nobody empties holds 64 KB, and then it waits.
    """
    secret = unquote(urlsplit(url).password or "")
    environment = {**os.environ, "LC_MESSAGES": "C", **({"PGPASSWORD": secret} if secret else {})}
    words = [str(word) for word in command]
    with (
        TemporaryFile() as said,
        subprocess.Popen(words, stderr=said, env=environment, **streams) as process,  # type: ignore[call-overload]  # noqa: S603
    ):
        try:
            yield process, said
        finally:
            process.kill()


def _feed(process: "subprocess.Popen[bytes]", feed: Callable[[IO[bytes]], None]) -> None:
    """Write its input. A program may end before that does: it has read enough, or says itself what is wrong."""
    assert process.stdin is not None  # noqa: S101 - as above
    try:
        with suppress(BrokenPipeError), process.stdin:
            feed(process.stdin)
    finally:
        process.stdin = None  # closed, which communicate() does not expect


def _target(url: str) -> list[str]:
    """The argument that names a database. Everybody can read it in the list of processes: no password is in it."""
    parts = urlsplit(url)
    user, at, host = parts.netloc.rpartition("@")
    return ["--no-password", f"--dbname={urlunsplit(parts._replace(netloc=user.partition(':')[0] + at + host))}"]


def _refuse(command: Sequence[str | Path], status: int, said: IO[bytes], place: Path) -> None:
    if status == 0:
        return
    said.seek(0)
    lines = said.read().decode(errors="replace").strip().splitlines() or [f"it ended with status {status}"]
    if any(says_full(line) for line in lines):
        raise disk_full(place)
    raise BreadthFlowError(f"{Path(command[0]).name} failed: {lines[0].partition('error: ')[2] or lines[0]}")


def _major(path: Path) -> int:
    said = subprocess.run([path, "--version"], capture_output=True, text=True, check=False).stdout  # noqa: S603
    return int(said.split()[2].partition(".")[0]) if len(said.split()) > 2 else 0
