"""What `make run` does: an empty home, one command, signals; and the same once more."""

import json
import re
import subprocess
from pathlib import Path

import pytest

from breadthflow_pipelines.sources.demo import BROKEN_ROWS
from breadthflow_pipelines_tests.e2e.conftest import Command, environment

MEASURES = ("breadth_score", "conviction")  # have a row on every session; the other rules have events
ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.slow
def test_make_run_ends_with_signals_and_a_second_run_changes_nothing(command: Command, home: Path) -> None:
    first = subprocess.run(
        ["make", "-C", str(ROOT), "run"],  # noqa: S607 - whichever make the machine has
        env=environment(home=home),
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    assert first.returncode == 0, first.stderr
    assert "demo (synthetic)" in first.stderr
    assert "its prices are invented" in first.stderr
    page = home / "reports" / "demo.html"
    assert f"Page:  {page}" in first.stderr
    assert "SYNTHETIC" in page.read_text()
    table = first.stderr.partition("\nRows")[2]
    bars = next(line.split() for line in table.splitlines() if line.startswith("bars  "))
    read, inserted, rejected = (int(bars[i].replace(",", "")) for i in (1, 2, 6))
    assert rejected == len(BROKEN_ROWS)
    assert inserted == read - rejected > 150_000

    assert "Latest signals of demo (synthetic)" in first.stdout
    printed = [tuple(line.split()[:2]) for line in first.stdout.splitlines() if re.match(r"\d{4}-\d\d-\d\d ", line)]
    stored = json.loads(command("signals", "--universe", "demo", "--segment", "ALL", "--format", "json").stdout)
    last = max(row["session"] for row in stored)
    assert [pair for pair in printed if pair[1] in MEASURES] == [(last, measure) for measure in MEASURES]
    events = [(row["session"], row["rule"]) for row in stored if row["rule"] not in MEASURES]
    shown = [pair for pair in printed if pair[1] not in MEASURES]
    assert len(shown) == 5
    assert set(shown) <= set(events)
    assert [session for session, _ in shown] == sorted(session for session, _ in events)[-5:]
    # The demo market was made to have these.
    assert {"zweig_breadth_thrust", "mcclellan_oversold_recovery"} <= {rule for _, rule in events}

    unchanged = command("run")
    assert unchanged.returncode == 0, unchanged.stderr
    assert "Nothing to run: nothing changed since run" in unchanged.stderr
    assert "its prices are invented" in unchanged.stderr
    assert command("status").stdout.count("SUCCESS") == 1

    again = command("run", "--again")
    assert again.returncode == 0, again.stderr
    assert "nothing changed" in again.stderr
    assert again.stdout == unchanged.stdout
    from_make = ("make", ".venv/")  # what make itself prints
    assert again.stdout.splitlines() == [line for line in first.stdout.splitlines() if not line.startswith(from_make)]

    status = command("status").stdout
    assert "demo (synthetic)" in status
    for row in BROKEN_ROWS:
        assert row.reason in status
    assert status.count("SUCCESS") == 2

    last = again.stdout.splitlines()[-1].split()[-1]
    why = command("explain", last).stdout
    assert "synthetic: demo" in why
    assert "Source" in why
    assert "not a probability" in why
