"""Files that arrive in a folder: which have come in whole, which were seen before, and which months they touch.

Knows no sensor: it is given what was known and the time, and says what is new. Reading is left to the files source.
"""

import datetime as dt
import hashlib
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from breadthflow_pipelines.errors import BreadthFlowError, RequestError
from breadthflow_pipelines.locations import shown
from breadthflow_pipelines.sources import tree
from breadthflow_pipelines.sources.files import Files
from breadthflow_pipelines.sources.layout import Options

SETTLED_SECONDS = 30  # a file that grows no more for so long has come in; an upload that stalls longer is read again
MOST_FILES = 50_000  # a folder with more is not one in which files arrive
MOST_GONE = 10_000  # files that are no longer there and are still known by their content
LOOK_SECONDS = 20.0  # of a tick, for reading; Dagster ends a tick after 60
BLOCK = 1 << 20
KNOWN_BEFORE = "-"  # in place of a hash: it was there when the last run read the folder
GONE = -1  # in place of a size


@dataclass
class Entry:
    """What is known of one file. digest: of name and content, once it came in whole. since: when it looked so first."""

    size: int
    mtime_ns: int
    since: float
    digest: str = ""
    settled: bool = False


@dataclass(frozen=True)
class Arrived:
    """A file that came in whole. first, last: its sessions. problem: why it cannot be read."""

    path: str
    key: str  # of its content and the time it was written: what comes back after something else is new again
    first: dt.date | None = None
    last: dt.date | None = None
    problem: str = ""


@dataclass
class Known:
    """What was seen up to some tick. ready: read, and not asked for yet. asked: what the last tick asked for.

    id: a name of all that.
    """

    id: str = ""
    files: dict[str, Entry] = field(default_factory=dict)
    ready: list[Arrived] = field(default_factory=list)
    asked: list[Arrived] = field(default_factory=list)

    @classmethod
    def recalled(cls, text: str | None, acknowledged: str | None) -> "Known | None":
        """The knowledge as it was written. What nobody acknowledged was asked for in vain, and is ready once more."""
        if text is None:
            return None
        try:
            raw = json.loads(text)
            files = {path: Entry(*entry) for path, entry in raw["files"].items()}
            known = cls(raw["id"], files, *([_arrived(each) for each in raw[part]] for part in ("ready", "asked")))
        except (KeyError, TypeError, ValueError):  # of another version
            return None
        if acknowledged != known.id:
            known.ready += known.asked
        return known

    def written(self) -> str:
        """The knowledge as text, under a name of its content."""
        parts = {
            "files": {path: [e.size, e.mtime_ns, e.since, e.digest, e.settled] for path, e in self.files.items()},
            "ready": [[a.path, a.key, a.first, a.last, a.problem] for a in self.ready],
            "asked": [[a.path, a.key, a.first, a.last, a.problem] for a in self.asked],
        }
        self.id = hashlib.sha256(json.dumps(parts, default=str).encode()).hexdigest()[:16]
        return json.dumps({"id": self.id, **parts}, default=str)


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
    folder: Folder, known: Known | None, now: float, read_before: float | None = None
) -> tuple[Known, list[Arrived]]:
    """Look into the folder once: what is known now, and what has arrived.

    Thousands of files take more than one look to read; they are news together, when the last of them was read.
    read_before: with nothing known yet, files that were last touched before then are taken as read.

    Raises:
        RequestError: it holds too many files.
    """
    first_look = known is None
    known = known or Known()
    until = time.monotonic() + LOOK_SECONDS
    digests = {entry.digest for entry in known.files.values() if entry.digest}
    present: set[str] = set()
    all_read = True
    for name, path in folder.files():
        present.add(name)
        if len(present) > MOST_FILES:
            raise RequestError(f"{folder.path} holds more than {MOST_FILES:,} files; name a folder for new ones only.")
        before = known.files.get(name)
        entry = _seen(before, path, now)
        if entry is None:  # gone in the meantime
            continue
        known.files[name] = entry
        if first_look and read_before is not None and _touched(path) < read_before:
            known.files[name] = replace(entry, digest=KNOWN_BEFORE, settled=True)
        elif not entry.settled and _is_whole(entry, before, now):
            if time.monotonic() > until:
                all_read = False
            else:
                _take_in(folder, known, name, path, digests)
    _forget(known, present)
    known.asked, known.ready = (known.ready, []) if all_read else ([], known.ready)
    return known, known.asked


def _take_in(folder: Folder, known: Known, name: str, path: Path, digests: set[str]) -> None:
    """Read a file that came in whole, if its content is news."""
    entry = known.files[name]
    digest = _digest(name, path)
    if digest is None or not _unchanged(entry, path):
        return
    known.files[name] = replace(entry, digest=digest, settled=True)
    if digest not in digests or entry.digest not in ("", digest):
        known.ready.append(_read(folder, name, path, f"{digest} {entry.mtime_ns}"))
    digests.add(digest)


def ranges(arrived: list[Arrived], start: dt.date, closed: dt.date) -> list[tuple[dt.date, dt.date, list[Arrived]]]:
    """The days from and through which runs must read, months apart from each other, each with the files behind it."""
    spans = [
        (max(start, file.first), min(closed, file.last), file)
        for file in arrived
        if file.first and file.last and file.first <= closed and file.last >= start
    ]
    spans.sort(key=lambda span: (span[0], span[2].path))
    found: list[tuple[dt.date, dt.date, list[Arrived]]] = []
    for first, last, file in spans:
        if found and _months_apart(found[-1][1], first) <= 1:
            before = found.pop()
            found.append((before[0], max(before[1], last), [*before[2], file]))
        else:
            found.append((first, last, [file]))
    return found


def key(files: list[Arrived]) -> str:
    """One name for these contents: the same files ask for the same run."""
    return hashlib.sha256(json.dumps(sorted(file.key for file in files)).encode()).hexdigest()[:16]


def _arrived(raw: list[str | None]) -> Arrived:
    path, key_, first, last, problem = raw
    start, end = (dt.date.fromisoformat(day) if day else None for day in (first, last))
    return Arrived(str(path), str(key_), start, end, problem or "")


def _months_apart(one: dt.date, other: dt.date) -> int:
    return (other.year - one.year) * 12 + other.month - one.month


def _seen(before: Entry | None, path: Path, now: float) -> Entry | None:
    """What is known of a file with the look that is taken now."""
    try:
        found = path.stat()
    except OSError:
        return None
    if before is not None and (before.size, before.mtime_ns) == (found.st_size, found.st_mtime_ns):
        return before
    return Entry(found.st_size, found.st_mtime_ns, now, before.digest if before else "")


def _touched(path: Path) -> float:
    """When a file was last written or put here; copies keep the time of writing."""
    try:
        found = path.stat()
    except OSError:
        return float("inf")
    return max(found.st_mtime, found.st_ctime)


def _is_whole(entry: Entry, before: Entry | None, now: float) -> bool:
    """Two looks saw the same, and it is old enough; a clock of another machine may run ahead."""
    if entry is not before or entry.size == 0:
        return False
    return max(now - entry.mtime_ns / 1e9, now - entry.since) >= SETTLED_SECONDS


def _unchanged(entry: Entry, path: Path) -> bool:
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


def _read(folder: Folder, name: str, path: Path, key_: str) -> Arrived:
    try:
        about = Files(path, folder.options).describe()
    except BreadthFlowError as error:
        return Arrived(name, key_, problem=str(error))
    return Arrived(name, key_, about.first_session, about.last_session)


def _forget(known: Known, present: set[str]) -> None:
    """Keep the contents of files that are gone, so that one that comes back is no news; the oldest are forgotten."""
    gone = [name for name in known.files if name not in present]
    for name in gone:
        known.files[name].size = GONE
    for name in [name for name in gone if not known.files[name].digest] + gone[: max(0, len(gone) - MOST_GONE)]:
        known.files.pop(name, None)
