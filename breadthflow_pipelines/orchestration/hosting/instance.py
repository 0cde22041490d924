"""Where Dagster's own files are: DAGSTER_HOME inside BREADTHFLOW_HOME, with the project's dagster.yaml.

CODE_LOCATION is the name under which every workspace serves our definitions; runs of the command carry it too.
"""

from __future__ import annotations

import io
import os
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

import breadthflow_pipelines
from breadthflow_pipelines.errors import RequestError
from breadthflow_pipelines.settings import Settings, get_settings
from breadthflow_pipelines.warehouse.database import Database, dagster_url

if TYPE_CHECKING:
    import dagster as dg

CONFIGURATION = "dagster.yaml"
WORKSPACE = "workspace.yaml"
CODE_LOCATION = "breadthflow"


def configuration_file(name: str) -> Path:
    """``dagster.yaml`` or ``workspace.yaml``, wherever they are.

    Raises:
        RequestError: the installation lacks it.
    """
    place = shipped_file(name)
    if place is None:
        package = Path(breadthflow_pipelines.__file__).parent
        raise RequestError(f"{name} is missing from {package.parent}; reinstall breadthflow.")
    return place


def shipped_file(name: str) -> Path | None:
    """A file of the repository's root: in the package if that is installed, else in the root; None if in neither."""
    package = Path(breadthflow_pipelines.__file__).parent
    return next((place / name for place in (package, package.parent) if (place / name).is_file()), None)


def prepare_dagster_home(settings: Settings) -> Path:
    """Put the project's dagster.yaml where Dagster looks for it, and name the place in the environment."""
    home = settings.home / "dagster"
    home.mkdir(parents=True, exist_ok=True)
    wanted = configuration_file(CONFIGURATION).read_text()
    target = home / CONFIGURATION
    if not target.exists() or target.read_text() != wanted:
        fresh = home / f".{CONFIGURATION}.{os.getpid()}"
        fresh.write_text(wanted)
        fresh.replace(target)
    os.environ["DAGSTER_HOME"] = str(home)
    return home


_STORAGE_ERRORS = (
    "Exception while storing event batch",
    "Exception while writing logger call to event log",
    "Falling back to storing multiple single-event storage requests",
    "Retrying failed database connection",
)


class WithoutStorageErrors(io.TextIOBase):
    """A stream without the pages that Dagster writes to stderr when its storage fails; it raises the error as well."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        return len(text) if text.startswith(_STORAGE_ERRORS) else self._stream.write(text)

    def flush(self) -> None:
        self._stream.flush()

    def fileno(self) -> int:
        return self._stream.fileno()

    def isatty(self) -> bool:
        return self._stream.isatty()

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return self._stream.encoding


def show_pools(instance: dg.DagsterInstance, pools: Collection[str]) -> None:
    """Let the UI list the pools and their limits before the first run; Dagster creates them only when a run waits.

    Two first commands at once take turns: Dagster's own storage fails where another has made the same pool just now.
    """
    storage = instance.event_log_storage

    def unknown() -> list[str]:
        return sorted(set(pools) - {limit.name for limit in storage.get_pool_limits()})

    if unknown():
        with Database(dagster_url(get_settings()), None).exclusive("dagster pools"):
            for pool in unknown():
                storage.initialize_concurrency_limit_to_default(pool)


@contextmanager
def dagster_instance(settings: Settings) -> Iterator[dg.DagsterInstance]:
    """The instance that the command line, the UI and the daemon share."""
    import dagster as dg

    prepare_dagster_home(settings)
    with dg.DagsterInstance.get() as instance:
        yield instance
