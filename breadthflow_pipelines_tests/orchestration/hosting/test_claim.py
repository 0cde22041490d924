"""One `up` for each home, however the last one ended."""

import json
import os
import signal
import subprocess
from pathlib import Path

import pytest

from breadthflow_pipelines.errors import RequestError
from breadthflow_pipelines.orchestration.hosting.claim import LOCK, Holder, claimed
from breadthflow_pipelines_tests.conftest import start_python

HOLD = """
import sys
from pathlib import Path
from breadthflow_pipelines.orchestration.hosting.claim import claimed
with claimed(Path(sys.argv[1]), 3456) as (me, before):
    print(me.token, flush=True)
    sys.stdin.read()
"""


def test_the_second_is_told_where_the_first_is_and_changes_nothing(tmp_path: Path) -> None:
    with start_python(HOLD, tmp_path, stdin=subprocess.PIPE) as first:
        assert first.stdout is not None
        token = first.stdout.readline().strip()
        written = (tmp_path / LOCK).read_text()
        with pytest.raises(RequestError) as refusal, claimed(tmp_path, 3000):
            pytest.fail("two hold one home")
        assert (tmp_path / LOCK).read_text() == written
        assert json.loads(written)["token"] == token
        for part in (str(tmp_path), "http://127.0.0.1:3456", f"process {first.pid}", f"kill {first.pid}"):
            assert part in str(refusal.value)
        assert refusal.value.exit_status == 2
        first.communicate("")
    with claimed(tmp_path, 3000) as (_, before):
        assert before is None  # it ended in order and left nothing behind


def test_one_that_was_killed_is_followed_by_the_next_who_hears_of_it(tmp_path: Path) -> None:
    with start_python(HOLD, tmp_path, stdin=subprocess.PIPE) as first:
        assert first.stdout is not None
        token = first.stdout.readline().strip()
        first.send_signal(signal.SIGKILL)
        first.wait()
    with claimed(tmp_path, 3000) as (me, before):
        assert before is not None
        assert (before.token, before.pid, before.port) == (token, first.pid, 3456)
        assert (me.pid, me.port) == (os.getpid(), 3000)
        assert me.token != token


def test_a_child_that_outlives_a_killed_holder_does_not_hold_the_home(tmp_path: Path) -> None:
    code = HOLD.replace("    print", "    import subprocess; subprocess.Popen(['sleep', '60']); print")
    with start_python(code, tmp_path, start_new_session=True, stdin=subprocess.PIPE) as first:
        assert first.stdout is not None
        first.stdout.readline()
        first.kill()
        first.wait()
        with claimed(tmp_path, 3000) as (_, before):
            assert before is not None
        os.killpg(first.pid, signal.SIGKILL)


@pytest.mark.parametrize(
    "content",
    [
        "",  # ended in order
        '{"token": "abc", "pid": 1',  # cut short by a full disk
        "[]",
        json.dumps({"token": "abc", "pid": os.getppid()}),  # another version's
    ],
)
def test_what_cannot_be_read_stops_nobody(tmp_path: Path, content: str) -> None:
    (tmp_path / LOCK).write_text(content)
    with claimed(tmp_path, 3000) as (_, before):
        assert before is None


def test_a_living_process_that_has_the_number_of_a_dead_holder_stops_nobody(tmp_path: Path) -> None:
    dead = Holder("abc", os.getpid(), 3000, "here", "2024-01-02 03:04:05")
    (tmp_path / LOCK).write_text(json.dumps(vars(dead)))
    with claimed(tmp_path, 3000) as (_, before):
        assert before == dead


def test_an_error_leaves_the_token_so_that_what_was_started_is_found(tmp_path: Path) -> None:
    def fails() -> str:
        with claimed(tmp_path, 3000) as (me, _):
            tokens.append(me.token)
            raise RuntimeError

    tokens: list[str] = []
    with pytest.raises(RuntimeError):
        fails()
    with claimed(tmp_path, 3000) as (_, before):
        assert before is not None
        assert before.token == tokens[0]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_home_that_may_not_be_written_to_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o555)
    with pytest.raises(RequestError, match="not writable"), claimed(tmp_path, 3000):
        pytest.fail("held")
