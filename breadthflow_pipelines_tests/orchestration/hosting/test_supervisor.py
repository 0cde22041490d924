"""Services that die, hang or refuse to stop, played by small programs of the tests' own."""

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from breadthflow_pipelines.orchestration.hosting import supervisor
from breadthflow_pipelines.orchestration.hosting.supervisor import Child, Supervisor

LIVES = "import time; time.sleep(600)"
DIES = "raise SystemExit('no such table')"
DEAF = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(600)"
SOON = (0.05, 0.1, 0.15)


class Stage:
    """Stand-ins, what was said about them, and a supervisor that is asked until something has happened."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.said: list[str] = []
        self.children: list[Child] = []

    def child(
        self, name: str, code: str, asks: Callable[[], bool] = lambda: True, *needs: str, silence: float = 60
    ) -> Child:
        child = Child(
            name,
            [sys.executable, "-c", code],
            asks,
            log=self.place / f"{name}.log",
            environment=dict(os.environ),
            needs=needs,
            silence=silence,
            starting=60,
        )
        self.children.append(child)
        return child

    def supervise(self, *children: Child, calm: float = 600) -> Supervisor:
        return Supervisor(children, self.said.append, waits=SOON, calm=calm)

    def until(self, supervised: Supervisor, condition: Callable[[], object]) -> str | None:
        """Step until that holds; what step() said of going on."""
        deadline = time.monotonic() + 60
        while True:
            given_up = supervised.step()
            if given_up or condition():
                return given_up
            assert time.monotonic() < deadline, self.said
            time.sleep(0.02)


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    monkeypatch.setattr(supervisor, "KILL_AFTER", 0.5)
    stage = Stage(tmp_path)
    yield stage
    for child in stage.children:
        child.stop(0)


def pid(child: Child) -> int:
    assert child.pid is not None
    return child.pid


def test_what_was_killed_is_started_again_and_both_are_said(stage: Stage) -> None:
    child = stage.child("worker", LIVES)
    supervised = stage.supervise(child)
    stage.until(supervised, lambda: child.pid)
    first = pid(child)
    os.kill(first, signal.SIGKILL)
    stage.until(supervised, lambda: child.pid not in (None, first))
    stage.until(supervised, lambda: len(stage.said) == 2)
    assert stage.said == [
        "Worker was killed by signal 9. Starting it again in 0 s (1 of 3).",
        "Worker runs again.",
    ]
    assert psutil.pid_exists(pid(child))


def test_what_dies_each_time_is_given_up_after_growing_waits_with_its_own_last_words(stage: Stage) -> None:
    child = stage.child("worker", DIES, lambda: False)
    began = time.monotonic()
    given_up = stage.until(stage.supervise(child), lambda: False)
    assert given_up == (
        f"Worker ended with status 1 ({stage.place / 'worker.log'}: no such table). Starting it again did not help."
    )
    assert time.monotonic() - began >= sum(SOON)
    assert [line.rpartition(" (")[2] for line in stage.said] == ["1 of 3).", "2 of 3).", "3 of 3)."]
    assert (stage.place / "worker.log").read_text().count("no such table") == 4


def test_deaths_of_long_ago_do_not_count(stage: Stage) -> None:
    child = stage.child("worker", LIVES)
    supervised = stage.supervise(child, calm=0.0)
    for _ in range(len(SOON) + 2):
        stage.until(supervised, lambda: child.pid)
        killed = pid(child)
        os.kill(killed, signal.SIGKILL)
        assert stage.until(supervised, lambda: child.pid is None) is None
    assert all("(1 of 3)" in line for line in stage.said if "Starting" in line)


def test_what_hangs_is_ended_and_started_again(stage: Stage) -> None:
    mute: list[int] = []
    child = stage.child("worker", DEAF, lambda: child.pid not in mute, silence=0.3)
    supervised = stage.supervise(child)
    stage.until(supervised, lambda: "deaf" in (stage.place / "worker.log").read_text() if child.pid else False)
    stage.until(supervised, lambda: supervised._watched["worker"].pulse.answered)  # type: ignore[union-attr]
    hung = pid(child)
    mute.append(hung)
    stage.until(supervised, lambda: child.pid not in (None, hung))
    assert "has not answered for" in stage.said[0]
    assert not psutil.pid_exists(hung)  # though it is deaf to the request


def test_a_question_that_is_never_answered_or_raises_counts_as_no_answer(stage: Stage) -> None:
    def never() -> bool:
        time.sleep(600)
        return True

    def raises() -> bool:
        raise RuntimeError("broken")

    for name, asks in (("the slow one", never), ("the broken one", raises)):
        child = stage.child(name, LIVES, asks)
        child.starting = 0.2
        began = time.monotonic()
        stage.until(stage.supervise(child), lambda: any("has not answered" in line for line in stage.said))
        assert stage.said.pop().startswith(f"{name.capitalize()} has not answered")
        assert time.monotonic() - began < 20


def test_nothing_is_started_or_judged_before_what_it_needs_answers(stage: Stage) -> None:
    ready: list[bool] = []
    base = stage.child("base", LIVES, lambda: bool(ready))
    above = stage.child("above", DIES, lambda: True, "base")
    supervised = stage.supervise(above, base)
    stage.until(supervised, lambda: base.pid)
    for _ in range(20):
        assert supervised.step() is None
        time.sleep(0.02)
    assert above.pid is None
    ready.append(True)
    stage.until(supervised, lambda: any("Above" in line for line in stage.said))


def test_while_this_process_was_halted_itself_nobody_hung(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    child = stage.child("worker", LIVES, lambda: True, silence=5)
    supervised = stage.supervise(child)
    stage.until(supervised, lambda: supervised._watched["worker"].pulse)
    now = time.monotonic()
    monkeypatch.setattr(supervisor.time, "monotonic", lambda: now + 3600)  # as after Ctrl-Z and an hour later fg
    assert supervised.step() is None
    assert stage.said == []


def test_a_service_is_stopped_once_and_not_started_again(stage: Stage) -> None:
    child = stage.child("worker", LIVES)
    supervised = stage.supervise(child)
    stage.until(supervised, lambda: child.pid)
    stopped = pid(child)
    assert supervised.stop("worker", 10)
    assert not psutil.pid_exists(stopped)
    assert supervised.step() is None
    assert child.pid is None
    assert not supervised.stop("worker", 10)


@pytest.mark.parametrize(
    ("seconds", "hurried"),
    [
        (0.3, False),  # the limit is over
        (600, True),  # a second request to stop
    ],
)
def test_what_does_not_stop_is_killed(stage: Stage, seconds: float, hurried: bool) -> None:
    child = stage.child("worker", DEAF)
    supervised = stage.supervise(child)
    stage.until(supervised, lambda: "deaf" in (stage.place / "worker.log").read_text() if child.pid else False)
    number, began = pid(child), time.monotonic()
    supervised.stop("worker", seconds, lambda: hurried)
    assert time.monotonic() - began < 20
    assert not psutil.pid_exists(number)


def test_a_child_is_out_of_reach_of_the_terminals_ctrl_c(stage: Stage) -> None:
    child = stage.child("worker", LIVES)
    child.start()
    assert os.getpgid(pid(child)) != os.getpgid(0)
    assert os.getsid(pid(child)) == pid(child)
