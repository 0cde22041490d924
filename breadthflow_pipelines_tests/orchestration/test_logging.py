"""What is logged while a run is executed says of which run and session it is, whoever says it."""

import json
from typing import Any

import dagster as dg
import pytest

from breadthflow_pipelines.model.run_tags import THROUGH_TAG
from breadthflow_pipelines.observability.logs import configure, log
from breadthflow_pipelines.orchestration.resources import Market
from breadthflow_pipelines.settings import get_settings
from breadthflow_pipelines_tests.conftest import start_python
from breadthflow_pipelines_tests.orchestration.conftest import Store


@dg.asset
def talkative(context: dg.AssetExecutionContext, market: Market) -> None:
    """Says something in two ways."""
    log.warning("ours", home=str(market.settings.home))
    context.log.warning("theirs")


def said_by_a_run(store: Store, capsys: pytest.CaptureFixture[str]) -> tuple[str, list[dict[str, Any]]]:
    """The run's id, and what was logged while it worked."""
    configure("WARNING", "json")
    job = dg.Definitions([talkative], resources={"market": Market()}).resolve_implicit_global_asset_job_def()
    done = job.execute_in_process(instance=store.instance, tags={THROUGH_TAG: "2023-12-27"})
    return done.run_id, [json.loads(line) for line in capsys.readouterr().err.splitlines()]


def test_ours_and_dagster_s_lines_name_run_session_and_step(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    run_id, entries = said_by_a_run(store, capsys)
    said = {entry["event"]: entry for entry in entries}
    for event in ("ours", "theirs"):
        assert (said[event]["run_id"], said[event]["session"]) == (run_id, "2023-12-27")
    assert said["ours"]["home"] == str(get_settings().home)
    assert said["theirs"]["step"] == "talkative"
    assert {"STEP_START", "STEP_SUCCESS"} <= {entry.get("type") for entry in entries}


def test_the_level_is_the_setting_s(
    store: Store, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BREADTHFLOW_LOG_LEVEL", "WARNING")
    get_settings.cache_clear()
    _, entries = said_by_a_run(store, capsys)
    assert [entry["event"] for entry in entries] == ["ours", "theirs"]


WEBSERVER_S_LIBRARY = """
import logging, logging.config
import uvicorn.config
from breadthflow_pipelines.orchestration.hosting.program_logs import take_over_logs
from breadthflow_pipelines.settings import Settings

take_over_logs(Settings(log_format="json"))
logging.config.dictConfig(uvicorn.config.LOGGING_CONFIG)  # as it does itself when it begins to listen
logging.getLogger("uvicorn.error").warning("Invalid HTTP request received.")
logging.getLogger("uvicorn.access").info('%s - "%s %s HTTP/%s" %d', "127.0.0.1", "GET", "/", "1.1", 200)
"""


def test_the_webserver_s_lines_have_the_form_of_all_others() -> None:
    with start_python(WEBSERVER_S_LIBRARY) as process:
        access, error = process.communicate(timeout=120)
    assert process.returncode == 0, error
    entries = [json.loads(line) for line in (error + access).splitlines()]
    assert [entry["event"] for entry in entries] == [
        "Invalid HTTP request received.",
        '127.0.0.1 - "GET / HTTP/1.1" 200',
    ]
    assert [entry["level"] for entry in entries] == ["warning", "info"]


@pytest.mark.slow
def test_a_run_of_the_command_line_leaves_the_terminal_to_its_report(
    store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    configure("WARNING", "json")
    assert store.run().exit_status == 0
    assert [line for line in capsys.readouterr().err.splitlines() if '"type"' in line] == []
