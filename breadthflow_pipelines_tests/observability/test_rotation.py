"""Logs are kept below a size while programs write to them."""

import subprocess
import sys
from pathlib import Path

import pytest

from breadthflow_pipelines.observability import rotation
from breadthflow_pipelines.observability.rotation import rotate


def test_a_writer_that_knows_nothing_goes_on_and_no_line_is_lost_or_doubled(tmp_path: Path) -> None:
    log = tmp_path / "daemon.log"
    code = (
        "import sys\nfor line in sys.stdin: print(line, end='', flush=True); print('done', file=sys.stderr, flush=True)"
    )
    with (
        log.open("ab") as opened,
        subprocess.Popen(
            [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=opened, stderr=subprocess.PIPE, text=True
        ) as writer,
    ):
        assert writer.stdin is not None
        assert writer.stderr is not None
        written = []
        for number in range(120):
            line = f"{number:03} {'x' * 40}\n"
            writer.stdin.write(line)
            writer.stdin.flush()
            assert writer.stderr.readline() == "done\n"  # it is in the file
            written.append(line)
            rotate(log, limit=1000, kept=3)
        writer.stdin.close()
    files = [tmp_path / name for name in ("daemon.log.3", "daemon.log.2", "daemon.log.1", "daemon.log")]
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(path.name for path in files)
    held = "".join(path.read_text() for path in files)
    assert "".join(written).endswith(held)  # the oldest went, nothing else did
    assert all(path.stat().st_size <= 1000 + 50 for path in files)
    assert "\0" not in held


def test_a_log_within_its_limit_stays_as_it_is(tmp_path: Path) -> None:
    log = tmp_path / "daemon.log"
    log.write_text("x" * 100)
    assert not rotate(log, limit=100)
    assert [path.name for path in tmp_path.iterdir()] == ["daemon.log"]
    assert not rotate(tmp_path / "none.log")


def test_where_there_is_no_room_for_a_copy_the_log_is_emptied_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(rotation.shutil, "copyfile", full)
    log = tmp_path / "daemon.log"
    log.write_text("x" * 101)
    assert rotate(log, limit=100)
    assert log.read_text() == ""
