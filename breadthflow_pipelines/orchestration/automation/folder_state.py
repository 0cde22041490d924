"""What the sensor of new files remembers of a folder between two looks, and how it is stored as text."""

import datetime as dt
import hashlib
import json
from dataclasses import dataclass, field


@dataclass
class SeenFile:
    """A file as the last look saw it.

    since: when a look first saw it with this size and time. digest: of its name and content, once it is complete.
    """

    size: int
    mtime_ns: int
    since: float
    digest: str = ""
    settled: bool = False


@dataclass(frozen=True)
class ArrivedFile:
    """A file that is complete. first, last: its sessions. problem: why it cannot be read."""

    path: str
    key: str  # of its content and the time it was written: what comes back after something else is new again
    first: dt.date | None = None
    last: dt.date | None = None
    problem: str = ""


@dataclass
class FolderState:
    """What was seen up to some look. ready: read, and not requested yet. asked: what the last look requested.

    id: a hash of the rest.
    """

    id: str = ""
    files: dict[str, SeenFile] = field(default_factory=dict)
    ready: list[ArrivedFile] = field(default_factory=list)
    asked: list[ArrivedFile] = field(default_factory=list)

    @classmethod
    def from_text(cls, text: str | None, acknowledged: str | None) -> "FolderState | None":
        """The state as it was stored; None where nothing was, or another version stored it.

        acknowledged: the id of the state whose requests were made. Requests of any other state are ready once more.
        """
        if text is None:
            return None
        try:
            raw = json.loads(text)
            files = {path: SeenFile(*entry) for path, entry in raw["files"].items()}
            state = cls(raw["id"], files, *([_arrived(each) for each in raw[part]] for part in ("ready", "asked")))
        except (KeyError, TypeError, ValueError):  # of another version
            return None
        if acknowledged != state.id:
            state.ready += state.asked
        return state

    def to_text(self) -> str:
        """The state as text; sets its id."""
        parts = {
            "files": {path: [f.size, f.mtime_ns, f.since, f.digest, f.settled] for path, f in self.files.items()},
            "ready": [[file.path, file.key, file.first, file.last, file.problem] for file in self.ready],
            "asked": [[file.path, file.key, file.first, file.last, file.problem] for file in self.asked],
        }
        self.id = hashlib.sha256(json.dumps(parts, default=str).encode()).hexdigest()[:16]
        return json.dumps({"id": self.id, **parts}, default=str)


def _arrived(raw: list[str | None]) -> ArrivedFile:
    path, key, first, last, problem = raw
    start, end = (dt.date.fromisoformat(day) if day else None for day in (first, last))
    return ArrivedFile(str(path), str(key), start, end, problem or "")
