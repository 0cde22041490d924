"""`breadthflow metrics` as people start it: by itself, and with `breadthflow up`."""

import signal
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from breadthflow_pipelines_tests.conftest import free_port, wait_until
from breadthflow_pipelines_tests.e2e.conftest import BREADTHFLOW, breadthflow, environment

pytestmark = pytest.mark.slow


def page(port: int) -> str:
    """The figures; nothing where nobody serves them yet."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=60) as answer:
            return str(answer.read().decode())
    except OSError:
        return ""


@contextmanager
def exporter(port: int, **settings: object) -> Iterator[subprocess.Popen[bytes]]:
    """`breadthflow metrics` at that port, ended at the end."""
    process = subprocess.Popen(
        [BREADTHFLOW, "metrics", "--port", str(port)], env=environment(**settings), cwd="/", stderr=subprocess.DEVNULL
    )
    try:
        wait_until(lambda: page(port), 120)
        yield process
    finally:
        process.kill()
        process.wait()


def test_it_tells_of_a_store_that_is_down_starts_nothing_and_stops_when_told(home: Path) -> None:
    port = free_port()
    with exporter(port, home=home) as process:
        found = page(port)
        assert 'breadthflow_database_up{database="market"} 0.0' in found
        assert 'breadthflow_database_up{database="dagster"} 0.0' in found
        assert "process_resident_memory_bytes" in found
        assert list(home.iterdir()) == []  # no server, no files
        taken = breadthflow("metrics", "--port", port, home=home)
        assert taken.returncode == 2
        assert f"port {port}" in taken.stderr
        assert "Traceback" not in taken.stderr
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
