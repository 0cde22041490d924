"""Files that arrive in a folder: which are complete, which were seen before, and which months they touch.

Knows no sensor: it is given the state of the last look and the time, and returns what is new. The files source reads.
"""

import datetime as dt
import hashlib
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from breadthflow_pipelines.errors import BreadthFlowError, RequestError
from breadthflow_pipelines.locations import shown
from breadthflow_pipelines.orchestration.automation.folder_state import ArrivedFile, FolderState, SeenFile
from breadthflow_pipelines.sources import tree
from breadthflow_pipelines.sources.files import Files
from breadthflow_pipelines.sources.layout import Options

SETTLED_SECONDS = 30  # a file unchanged for so long is complete; an upload that stalls longer is read again
MOST_FILES = 50_000  # a folder with more is not one in which files arrive
MOST_GONE = 10_000  # files that are no longer there and whose content is still remembered
LOOK_SECONDS = 20.0  # of a tick, for reading; Dagster ends a tick after 60
BLOCK = 1 << 20
KNOWN_BEFORE = "-"  # in place of a hash: it was there when the last run read the folder
GONE = -1  # in place of a size


@dataclass(frozen=True)
class Folder:
    """A folder that is watched, or one file. ignored: files of other kinds, such as the universe's."""

    path: Path
    options: Options
    ignored: tuple[Path, ...] = ()

    def files(self) -> Iterator[tuple[str, Path]]:
        """Name within the folder and path of everything that may be bars; hidden and partial files are not."""
        if self.path.is_file():
            yield shown(Path(self.path.name)), self.path
            return
        for path in tree.search(self.path).files:
            name = path.relative_to(self.path)
            if path not in self.ignored and not any(part.startswith("~") for part in name.parts):
                yield shown(name), path


def look(
    folder: Folder, state: FolderState | None, now: float, read_before: float | None = None
) -> tuple[FolderState, list[ArrivedFile]]:
    """Look into the folder once; returns the new state and the files that have arrived.

    Thousands of files take more than one look to read; they arrive together, when the last of them was read.
    read_before: without a state, files that were last touched before then count as read.

    Raises:
        RequestError: it holds too many files.
    """
    first_look = state is None
    state = state or FolderState()
    until = time.monotonic() + LOOK_SECONDS
    digests = {entry.digest for entry in state.files.values() if entry.digest}
    present: set[str] = set()
    all_read = True
    for name, path in folder.files():
        present.add(name)
        if len(present) > MOST_FILES:
            raise RequestError(f"{folder.path} holds more than {MOST_FILES:,} files; name a folder for new ones only.")
        before = state.files.get(name)
        entry = _seen(before, path, now)
        if entry is None:  # gone in the meantime
            continue
        state.files[name] = entry
        if first_look and read_before is not None and _touched(path) < read_before:
            state.files[name] = replace(entry, digest=KNOWN_BEFORE, settled=True)
        elif not entry.settled and _is_whole(entry, before, now):
            if time.monotonic() > until:
                all_read = False
            else:
                _take_in(folder, state, name, path, digests)
    _forget(state, present)
    state.asked, state.ready = (state.ready, []) if all_read else ([], state.ready)
    return state, state.asked


def _take_in(folder: Folder, state: FolderState, name: str, path: Path, digests: set[str]) -> None:
    """Read a complete file, if its content is new."""
    entry = state.files[name]
    digest = _digest(name, path)
    if digest is None or not _unchanged(entry, path):
        return
    state.files[name] = replace(entry, digest=digest, settled=True)
    if digest not in digests or entry.digest not in ("", digest):
        state.ready.append(_read(folder, name, path, f"{digest} {entry.mtime_ns}"))
    digests.add(digest)


def ranges(
    arrived: list[ArrivedFile], start: dt.date, closed: dt.date
) -> list[tuple[dt.date, dt.date, list[ArrivedFile]]]:
    """The days from and through which runs must read, months apart from each other, each with the files behind it."""
    spans = [
        (max(start, file.first), min(closed, file.last), file)
        for file in arrived
        if file.first and file.last and file.first <= closed and file.last >= start
    ]
    spans.sort(key=lambda span: (span[0], span[2].path))
    found: list[tuple[dt.date, dt.date, list[ArrivedFile]]] = []
    for first, last, file in spans:
        if found and _months_apart(found[-1][1], first) <= 1:
            before = found.pop()
            found.append((before[0], max(before[1], last), [*before[2], file]))
        else:
            found.append((first, last, [file]))
    return found


def key(files: list[ArrivedFile]) -> str:
    """One name for these contents: the same files request the same run."""
    return hashlib.sha256(json.dumps(sorted(file.key for file in files)).encode()).hexdigest()[:16]


def _months_apart(one: dt.date, other: dt.date) -> int:
    return (other.year - one.year) * 12 + other.month - one.month


def _seen(before: SeenFile | None, path: Path, now: float) -> SeenFile | None:
    """What this look sees of a file; None where it is gone."""
    try:
        found = path.stat()
    except OSError:
        return None
    if before is not None and (before.size, before.mtime_ns) == (found.st_size, found.st_mtime_ns):
        return before
    return SeenFile(found.st_size, found.st_mtime_ns, now, before.digest if before else "")


def _touched(path: Path) -> float:
    """When a file was last written or put here; copies keep the time of writing."""
    try:
        found = path.stat()
    except OSError:
        return float("inf")
    return max(found.st_mtime, found.st_ctime)


def _is_whole(entry: SeenFile, before: SeenFile | None, now: float) -> bool:
    """Two looks saw the same, and it is old enough; a clock of another machine may run ahead."""
    if entry is not before or entry.size == 0:
        return False
    return max(now - entry.mtime_ns / 1e9, now - entry.since) >= SETTLED_SECONDS


def _unchanged(entry: SeenFile, path: Path) -> bool:
    try:
        found = path.stat()
    except OSError:
        return False
    return (entry.size, entry.mtime_ns) == (found.st_size, found.st_mtime_ns)


def _digest(name: str, path: Path) -> str | None:
    """Of the content and of the file's own name, which may be the symbol; None where it cannot be opened."""
    found = hashlib.sha256(Path(name).name.lower().encode())
    try:
        with path.open("rb") as file:
            while block := file.read(BLOCK):
                found.update(block)
    except OSError:
        return None
    return found.hexdigest()[:24]


def _read(folder: Folder, name: str, path: Path, key_: str) -> ArrivedFile:
    try:
        about = Files(path, folder.options).describe()
    except BreadthFlowError as error:
        return ArrivedFile(name, key_, problem=str(error))
    return ArrivedFile(name, key_, about.first_session, about.last_session)


def _forget(state: FolderState, present: set[str]) -> None:
    """Remember the contents of files that are gone, so that one that comes back is not new; forget the oldest."""
    gone = [name for name in state.files if name not in present]
    for name in gone:
        state.files[name].size = GONE
    for name in [name for name in gone if not state.files[name].digest] + gone[: max(0, len(gone) - MOST_GONE)]:
        state.files.pop(name, None)
