"""Whether files are as they were, without reading them: by their names, sizes and times. What is in them: tree.py."""

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path


def stamp(path: Path) -> str:
    """A text that changes when a file, or one below a directory, comes, goes, or is written."""
    seen = hashlib.sha256()
    for name, status in _files(path):
        seen.update(
            f"{name}\0{status.st_size}\0{status.st_mtime_ns}\0{status.st_ino}\n".encode(errors="surrogateescape")
        )
    return seen.hexdigest()


def _files(path: Path) -> Iterator[tuple[str, os.stat_result]]:
    if not path.is_dir():
        if path.exists():
            yield path.name, path.stat()
        return
    for directory, below, names in os.walk(path, followlinks=False):
        below.sort()
        for name in sorted(names):
            file = Path(directory, name)
            if file.exists():  # a link to nothing, or gone just now
                yield str(file), file.stat()
