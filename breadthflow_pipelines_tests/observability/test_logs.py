"""Logs go to stderr: JSON lines for machines, plain ones for people, nothing below the level asked for."""

import json
from collections.abc import Iterator

import pytest

from breadthflow_pipelines.observability.logs import configure, log


@pytest.fixture(autouse=True)
def _as_it_was() -> Iterator[None]:
    yield
    configure("WARNING", machine=True)


def test_machines_get_one_json_object_per_line_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    configure("INFO", machine=True)
    log.info("bars read", rows=3, source='a "b"')
    said = capsys.readouterr()
    assert said.out == ""  # stdout belongs to rows
    (line,) = said.err.splitlines()
    entry = json.loads(line)
    assert entry.pop("timestamp").endswith("Z")
    assert entry == {"event": "bars read", "level": "info", "rows": 3, "source": 'a "b"'}


def test_people_get_words(capsys: pytest.CaptureFixture[str]) -> None:
    configure("WARNING", machine=False)
    log.info("not shown")
    log.warning("a file was skipped", file="x.csv")
    said = capsys.readouterr().err
    assert "a file was skipped" in said
    assert "file=x.csv" in said
    assert "not shown" not in said
