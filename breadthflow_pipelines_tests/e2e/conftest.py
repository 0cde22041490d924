"""The command as people run it: a process of its own, with a store of its own."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

BREADTHFLOW = str(Path(sys.executable).with_name("breadthflow"))
Command = Callable[..., "subprocess.CompletedProcess[str]"]


def environment(**settings: object) -> dict[str, str]:
    """This process's environment with only these settings of ours."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith(("BREADTHFLOW_", "DAGSTER_"))}
    return {**plain, **{f"BREADTHFLOW_{name.upper()}": str(value) for name, value in settings.items()}}


def breadthflow(*arguments: object, **settings: object) -> "subprocess.CompletedProcess[str]":
    """Run the command to its end, from a directory without a .env, with these settings."""
    return subprocess.run(
        [BREADTHFLOW, *map(str, arguments)],
        env=environment(**settings),
        cwd="/",
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )


def demo_store(home: Path, fresh_database: Callable[[], str], start: str, *run: str) -> dict[str, object]:
    """Settings of a store of its own that `breadthflow run` has filled with the demo market from ``start`` on."""
    settings: dict[str, object] = {
        "home": home,
        "database_url": fresh_database(),
        "dagster_database_url": fresh_database(),
        "start": start,
    }
    assert breadthflow("db", "upgrade", **settings).returncode == 0
    ran = breadthflow("run", *run, **settings)
    assert ran.returncode == 0, ran.stderr
    return settings


@pytest.fixture
def command(home: Path) -> Command:
    """The command with an empty home of its own."""

    def run(*arguments: object, **settings: object) -> "subprocess.CompletedProcess[str]":
        return breadthflow(*arguments, home=home, **settings)

    return run
