"""How many faults, which, and what became of them."""

import os
import random
import sys

import pytest

FAULTS = int(os.environ.get("CHAOS_FAULTS", "200"))
SEED = int(os.environ.get("CHAOS_SEED") or random.SystemRandom().randrange(10**9))


def say(capsys: pytest.CaptureFixture[str], words: str) -> None:
    """What has happened so far, at once."""
    with capsys.disabled():
        sys.stdout.write(f"{words}\n")
        sys.stdout.flush()


def summary(capsys: pytest.CaptureFixture[str], injected: int, lost: list[str], impossible: list[str]) -> None:
    """What became of them all."""
    say(capsys, f"{injected} faults injected, {injected - len(lost)} survived, {len(lost)} lost, seed {SEED}")
    if impossible:
        say(capsys, f"Not tried, because this machine lacks it: {', '.join(impossible)}")
