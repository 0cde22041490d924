"""The files at a path: tables that can be read, compressed or not, and other files by name. Knows no contents.

A table is a Parquet file, or delimited text that may be compressed by gzip or Zstandard, by itself or as a member of a
ZIP archive. Files are selected by their endings; compression is recognised by the first bytes.
"""

import gzip
import io
import os
import stat
import zipfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import pyarrow as pa

from breadthflow_pipelines.errors import printable
from breadthflow_pipelines.locations import shown
from breadthflow_pipelines.sources.unreadable import UnreadableError, reason

TEXTS = (".csv", ".txt")
PACKED = (".gz", ".zst")
ARCHIVE = ".zip"
ENDINGS = (".parquet", *TEXTS, *(text + packed for text in TEXTS for packed in PACKED), ARCHIVE)
SHOWN = 3  # names of what is not read; a directory may have thousands

_GZIP, _ZSTD, _PARQUET, _ZIP = b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"PAR1", b"PK\x03\x04"


@dataclass(frozen=True)
class TableFile:
    """The file of a table: a file by itself, or a member of an archive."""

    path: Path
    member: str = ""

    @property
    def parts(self) -> tuple[str, ...]:
        """The directories and the name; for a member, those inside the archive follow."""
        return (*self.path.parts, *PurePosixPath(self.member).parts) if self.member else self.path.parts

    @property
    def ending(self) -> str:
        """The ending of the name, such as ".csv.gz", in lower case."""
        return _ending(self.parts[-1])

    @property
    def stem(self) -> str:
        """The name without its ending."""
        return self.parts[-1][: len(self.parts[-1]) - len(self.ending)]

    def __str__(self) -> str:
        return shown(self.path) + (f"/{printable(self.member)}" if self.member else "")


@dataclass
class Listing:
    """The files in a directory. others: names that are not read. problems: files that cannot be read, and why."""

    files: list[Path] = field(default_factory=list)
    others: list[str] = field(default_factory=list)
    problems: dict[str, str] = field(default_factory=dict)


def note_of_others(others: Sequence[str], where: str) -> tuple[str, ...]:
    """One line with the number and the first names of files that are not read; empty if there are none."""
    if not others:
        return ()
    more = f" and {len(others) - SHOWN:,} more" if len(others) > SHOWN else ""
    files = "file is" if len(others) == 1 else "files are"
    return (f"{len(others):,} other {files} not read in {where}: {', '.join(others[:SHOWN])}{more}",)


def is_table(name: str) -> bool:
    """Whether a file of that name is opened."""
    return bool(_ending(name))


def search(root: Path) -> Listing:
    """The files in a directory and those below it, in the order of names, without hidden files and directories.

    Links to directories are not followed, because they often lead to files that are found anyway.
    """
    found = Listing()

    def unreadable(error: OSError) -> None:
        found.problems[shown(Path(error.filename or root))] = reason(error)

    for directory, below, names in os.walk(root, onerror=unreadable):
        here = Path(directory)
        hidden_or_linked = [name for name in below if name.startswith(".") or (here / name).is_symlink()]
        found.others += [_within(here / name, root) for name in hidden_or_linked if not name.startswith(".")]
        below[:] = sorted(set(below) - set(hidden_or_linked))
        for name in sorted(names):
            if not name.startswith("."):
                _sort(here / name, root, found)
    found.files.sort()
    return found


def _sort(path: Path, root: Path, found: Listing) -> None:
    if not is_table(path.name):
        found.others.append(_within(path, root))
        return
    try:
        kind = path.stat().st_mode
    except OSError as error:
        found.problems[shown(path)] = "it is a link to nothing" if path.is_symlink() else reason(error)
        return
    if stat.S_ISREG(kind):
        found.files.append(path)
    else:
        found.problems[shown(path)] = "it is not a regular file"


def _within(path: Path, root: Path) -> str:
    return shown(path.relative_to(root))


def tables_in(path: Path) -> list[TableFile]:
    """The tables in a file: itself, or the members of an archive.

    Raises:
        UnreadableError, OSError, zipfile.BadZipFile and others: it is an archive that cannot be opened.
    """
    if not path.name.lower().endswith(ARCHIVE):
        return [TableFile(path)]
    with zipfile.ZipFile(path) as archive:
        members = [info.filename for info in archive.infolist() if not info.is_dir()]
    tables = [name for name in members if _is_wanted(name)]
    if not tables:
        raise UnreadableError(f"no {', '.join(TEXTS)} file is in it")
    if twice := [name for name, times in Counter(tables).items() if times > 1]:
        raise UnreadableError(f"it has more than one member of the name {twice[0]}; which one is meant?")
    return [TableFile(path, name) for name in sorted(tables)]


def _is_wanted(member: str) -> bool:
    parts = PurePosixPath(member).parts
    hidden = any(part.startswith((".", "__MACOSX")) and part not in (".", "..") for part in parts)
    return not hidden and is_table(member) and not member.lower().endswith((ARCHIVE, ".parquet"))


def is_parquet(stream: io.BufferedReader) -> bool:
    """Whether an opened table is a Parquet file, by its first bytes."""
    return stream.peek(4)[:4] == _PARQUET


class Reader:
    """Opens tables; keeps the last archive open, because reading its list of members takes long. A context."""

    def __init__(self) -> None:
        self._archive: zipfile.ZipFile | None = None

    def __enter__(self) -> "Reader":
        return self

    def __exit__(self, *_: object) -> None:
        if self._archive is not None:
            self._archive.close()

    @contextmanager
    def open(self, table: TableFile) -> Iterator[io.BufferedReader]:
        """The content of a table, decompressed.

        Raises:
            UnreadableError: it is packed twice. OSError and what the unpackers raise: it cannot be opened or unpacked.
        """
        with ExitStack() as stack:
            stream = stack.enter_context(self._member(table) if table.member else opened(table.path))
            head = stream.peek(4)[:4]
            if head[:2] == _GZIP:
                stream = stack.enter_context(io.BufferedReader(gzip.GzipFile(fileobj=stream)))
            elif head == _ZSTD:
                unpacked = pa.CompressedInputStream(pa.PythonFile(stream, mode="r"), "zstd")
                stream = stack.enter_context(io.BufferedReader(unpacked))
            elif head == _ZIP:
                raise UnreadableError("it is a ZIP archive under another name; call it .zip")
            if head != _PARQUET and is_parquet(stream):
                raise UnreadableError("it is a Parquet file that was packed once more; unpack it")
            yield stream

    def _member(self, table: TableFile) -> io.BufferedReader:
        if self._archive is None or self._archive.filename != str(table.path):
            if self._archive is not None:
                self._archive.close()
            self._archive = zipfile.ZipFile(table.path)
        return io.BufferedReader(self._archive.open(table.member))  # type: ignore[arg-type]


def opened(path: Path) -> io.BufferedReader:
    """A regular file, opened; opening anything else might block for ever.

    Raises:
        UnreadableError: it is not a regular file. OSError: it cannot be opened.
    """
    stream = os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb")
    if not stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
        stream.close()
        raise UnreadableError("it is not a regular file")
    return stream


def _ending(name: str) -> str:
    lower = name.lower()
    return next((ending for ending in ENDINGS if lower.endswith(ending) and len(lower) > len(ending)), "")
