"""A store that knows two securities, for whatever is stored of them; a small disk."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from breadthflow_pipelines.warehouse import security_store
from breadthflow_pipelines.warehouse.database import Database
from breadthflow_pipelines.warehouse.embedded import EmbeddedServer
from breadthflow_pipelines_tests.warehouse.frames import TWO

MEGABYTE = 2**20


@pytest.fixture
def listed(database: Database) -> Database:
    """A store that knows two securities."""
    security_store.record_securities(database, TWO, synthetic=False)
    return database


class SmallDisk:
    """A file system of a few megabytes with a home on it, which can be filled up and emptied again."""

    def __init__(self, place: Path) -> None:
        self.place, self.home, self._ballast = place, place / "home", place / "ballast"

    def fill(self, leave: int) -> None:
        """Leave so many megabytes free."""
        free = shutil.disk_usage(self.place).free
        with self._ballast.open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, free - leave * MEGABYTE)

    def make_room(self) -> None:
        self._ballast.unlink()


@pytest.fixture
def small_disk() -> Iterator[SmallDisk]:
    if sys.platform != "linux" or os.geteuid() != 0:
        pytest.skip("only root on Linux may mount a small file system")
    place = Path(tempfile.mkdtemp(prefix="bf-disk-"))
    place.chmod(0o755)
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=150m,mode=755", "tmpfs", place],  # noqa: S607 - the system's own
        capture_output=True,
        text=True,
        check=False,
    )
    if mounted.returncode:
        place.rmdir()
        pytest.skip(f"this system lets nobody mount: {mounted.stderr.strip()}")
    disk = SmallDisk(place)
    try:
        yield disk
    finally:
        EmbeddedServer(disk.home).stop(at_once=True)
        subprocess.run(["umount", "--lazy", place], check=True)  # noqa: S607
        place.rmdir()
