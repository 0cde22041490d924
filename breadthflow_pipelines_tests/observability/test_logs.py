"""Logs go to stderr: JSON lines for machines, plain ones for people, nothing below the level asked for."""

import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from breadthflow_pipelines.observability import logs
from breadthflow_pipelines.observability.logs import configure, configure_programs, log

PLANTED = "planted-s3cret"


@pytest.fixture(autouse=True)
def _as_it_was(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(logs, "_chosen", logs._Chosen())
    yield
    logging.getLogger().removeHandler(logs._root)


@pytest.fixture
def program() -> Iterator[None]:
    """Dagster's logger, as its programs set it up before they do anything else."""
    theirs = logging.getLogger("dagster")
    handler = logs._Now()  # of the moment, as pytest replaces it between fixtures and tests
    handler.setFormatter(logging.Formatter("dagster's own form: %(message)s"))
    before = theirs.handlers[:], theirs.level, theirs.propagate
    theirs.handlers, theirs.propagate = [handler], False
    theirs.setLevel("INFO")
    yield
    theirs.handlers, theirs.propagate = before[0], before[2]
    theirs.setLevel(before[1])


def test_machines_get_one_json_object_per_line_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    configure("INFO", "json")
    log.info("bars read", rows=3, source='a "b"')
    said = capsys.readouterr()
    assert said.out == ""  # stdout belongs to rows
    (line,) = said.err.splitlines()
    entry = json.loads(line)
    assert entry.pop("timestamp").endswith("Z")
    assert entry == {"event": "bars read", "level": "info", "rows": 3, "source": 'a "b"'}


def test_people_get_words(capsys: pytest.CaptureFixture[str]) -> None:
    configure("WARNING", "text")
    log.info("not shown")
    log.warning("a file was skipped", file="x.csv")
    said = capsys.readouterr().err
    assert "a file was skipped" in said
    assert "file=x.csv" in said
    assert "not shown" not in said


def test_other_libraries_say_it_in_the_same_form(capsys: pytest.CaptureFixture[str]) -> None:
    configure("WARNING", "json")
    logging.getLogger("urllib3.connection").info("not shown")
    logging.getLogger("urllib3.connection").warning("retrying %s", "soon")
    (line,) = capsys.readouterr().err.splitlines()
    entry = json.loads(line)
    assert entry.pop("timestamp").endswith("Z")
    assert entry == {"event": "retrying soon", "level": "warning", "logger": "urllib3.connection"}


def test_what_is_bound_stands_in_every_line(capsys: pytest.CaptureFixture[str]) -> None:
    configure("WARNING", "json")
    with structlog.contextvars.bound_contextvars(run_id="a-run", session="2024-01-02"):
        log.warning("ours")
        logging.getLogger("theirs").warning("theirs")
    log.warning("later")
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [line.get("run_id") for line in lines] == ["a-run", "a-run", None]
    assert [line.get("session") for line in lines] == ["2024-01-02", "2024-01-02", None]


@pytest.mark.parametrize("form", ["json", "text"])
def test_no_line_has_a_secret(capsys: pytest.CaptureFixture[str], form: str) -> None:
    configure("WARNING", form, [PLANTED])
    log.warning("said", about=PLANTED, url="https://me:hunter2@host/x?key=abcdef", rows=[{"inside": PLANTED}], n=3)
    try:
        raise ValueError(f"raised with {PLANTED}")
    except ValueError:
        logging.getLogger("theirs").exception("failed with %s", PLANTED)
    said = capsys.readouterr().err
    assert PLANTED not in said
    assert "hunter2" not in said
    assert "abcdef" not in said
    assert "ValueError: raised with ***" in said  # the traceback is there
    if form == "json":
        assert [json.loads(line)["level"] for line in said.splitlines()] == ["warning", "error"]


@pytest.mark.usefixtures("program")
@pytest.mark.parametrize(
    ("level", "shown"),
    [
        (None, ["started", "slow"]),  # Dagster's own level
        ("WARNING", ["slow"]),
    ],
)
def test_dagster_s_programs_speak_in_our_form(
    capsys: pytest.CaptureFixture[str], level: str | None, shown: list[str]
) -> None:
    configure_programs(level, "json", [PLANTED])
    logging.getLogger("dagster.daemon.SensorDaemon").info("started")
    logging.getLogger("dagster.daemon.SensorDaemon").warning("slow")
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [line["event"] for line in lines] == shown
    assert {line["logger"] for line in lines} == {"dagster.daemon.SensorDaemon"}


@pytest.mark.usefixtures("program")
def test_what_a_command_chose_is_left_alone(capsys: pytest.CaptureFixture[str]) -> None:
    configure("INFO", "json")
    configure_programs(None, "text", [])
    log.info("shown")
    assert json.loads(capsys.readouterr().err)["event"] == "shown"
