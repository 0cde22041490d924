"""What a command says of its surroundings before it works: settings that nobody knows."""

import importlib
import json
from collections.abc import Callable

import pytest

from breadthflow_pipelines import cli, definitions
from breadthflow_pipelines.settings import get_settings

Ask = Callable[..., tuple[int, str, str]]


@pytest.fixture
def ask(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Ask:
    """A command in this process with these settings: its status, and what it wrote to stdout and stderr."""
    monkeypatch.setenv("DAGSTER_HOME", "")  # a command may name its own; this puts it back afterwards

    def run(*arguments: object, **settings: object) -> tuple[int, str, str]:
        for name, value in settings.items():
            monkeypatch.setenv(f"BREADTHFLOW_{name.upper()}", str(value))
        get_settings.cache_clear()
        with pytest.raises(SystemExit) as end:
            cli.main([str(argument) for argument in arguments])
        printed = capsys.readouterr()
        return int(end.value.code or 0), printed.out, printed.err

    return run


def test_unknown_settings_are_named_once_and_only_on_stderr(ask: Ask) -> None:
    asked = ("indicators", "--family", "mcclellan", "--format", "json")
    _, plain, silent = ask(*asked)
    status, out, err = ask(*asked, sources_path="planted", xqz="planted")
    assert (status, out, silent) == (0, plain, "")
    assert json.loads(out)
    assert err.splitlines() == [
        "BREADTHFLOW_SOURCES_PATH is not a setting, and is ignored: did you mean BREADTHFLOW_SOURCE_PATH?",
        "BREADTHFLOW_XQZ is not a setting, and is ignored: docs/settings.md lists all settings.",
    ]


def test_they_are_named_before_a_refusal_that_they_may_explain(ask: Ask) -> None:
    files = {"cluster_ca": "/a.pem", "cluster_cert": "/b.pem", "cluster_kye": "/c.pem"}
    status, _, err = ask("indicators", cluster="tls://host:8786", **files)
    assert status == 2
    first, second = err.splitlines()
    assert "BREADTHFLOW_CLUSTER_KYE" in first
    assert "did you mean BREADTHFLOW_CLUSTER_KEY?" in first
    assert second.startswith("breadthflow: BREADTHFLOW_CLUSTER cannot be used: tls:// needs")


def test_the_code_location_logs_them(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("BREADTHFLOW_UNIVERSES", "planted")
    importlib.reload(definitions)
    logged = capsys.readouterr().err
    assert "BREADTHFLOW_UNIVERSES" in logged
    assert "BREADTHFLOW_UNIVERSE_FILE" in logged
    assert "planted" not in logged
    monkeypatch.delenv("BREADTHFLOW_UNIVERSES")
    importlib.reload(definitions)
    assert "setting_unknown" in logged
    assert "setting_unknown" not in capsys.readouterr().err
