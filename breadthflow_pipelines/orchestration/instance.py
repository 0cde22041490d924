"""Where Dagster's own files are: DAGSTER_HOME inside BREADTHFLOW_HOME, with the project's dagster.yaml.

CODE_LOCATION is the name under which every workspace serves our definitions; runs of the command carry it too.
"""

import os
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg

import breadthflow_pipelines
from breadthflow_pipelines.errors import RequestError
from breadthflow_pipelines.settings import Settings

CONFIGURATION = "dagster.yaml"
WORKSPACE = "workspace.yaml"
CODE_LOCATION = "breadthflow"


def configuration_file(name: str) -> Path:
    """``dagster.yaml`` or ``workspace.yaml``: in the package if it is installed, in the repository's root otherwise."""
    package = Path(breadthflow_pipelines.__file__).parent
    for place in (package, package.parent):
        if (place / name).is_file():
            return place / name
    raise RequestError(f"{name} is missing from {package.parent}; install breadthflow anew.")


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


def show_pools(instance: dg.DagsterInstance, pools: Collection[str]) -> None:
    """Have the UI list the pools and their limit before any run has waited for one; Dagster makes them only then."""
    shown = {limit.name for limit in instance.event_log_storage.get_pool_limits()}
    for pool in sorted(set(pools) - shown):
        instance.event_log_storage.initialize_concurrency_limit_to_default(pool)


@contextmanager
def dagster_instance(settings: Settings) -> Iterator[dg.DagsterInstance]:
    """The instance that the command line, the UI and the daemon share."""
    prepare_dagster_home(settings)
    with dg.DagsterInstance.get() as instance:
        yield instance
