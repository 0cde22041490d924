"""What a command says of its surroundings before it works: settings that nobody knows, a home without a store."""

import importlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from breadthflow_pipelines import cli, definitions, reading
from breadthflow_pipelines.errors import RequestError
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


def test_a_full_disk_behind_the_output_is_not_taken_for_the_home_s(tmp_path: Path) -> None:
    with Path("/dev/full").open("w") as full:
        ended = subprocess.run(
            [Path(sys.executable).with_name("breadthflow"), "indicators", "--format", "json"],
            env={**os.environ, "BREADTHFLOW_HOME": str(tmp_path)},
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert "The disk of what the output is written to ran full." in ended.stderr
    assert str(tmp_path) not in ended.stderr
    assert ended.returncode != 0


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


READING = (
    *("status", "breadth --universe demo", "symbols --universe demo", "members --universe demo", "signals"),
    *("score --date 2024-01-02", "explain 0123456789abcdef", "accuracy --universe demo", "problems", "holes"),
    *("backtest --universe demo --rule conviction", "calibration --universe demo", "report --universe demo"),
    *("export --universe demo --to exported", "rejected", "audit", "privacy export ann", "privacy erase ann --yes"),
    *("digest", "review", "token list", "token revoke 0123456789ab", "db url", "db backup backups"),
    *("accept-hole 2024-01-02 --reason why", "release AAA 2024-01-02 --reason why"),
    *("check --select nonsense", "check --quick", "stability"),
)


@pytest.mark.parametrize("command", READING)
def test_a_mistyped_home_is_named_and_nothing_is_made_there(ask: Ask, tmp_path: Path, command: str) -> None:
    home = tmp_path / "mistyped"
    status, out, err = ask(*command.split(), home=home)
    assert (status, out) == (2, "")
    assert err == (
        f"breadthflow: There is no store in {home}: set BREADTHFLOW_HOME to where yours lies, or make one there.\n"
        "Next: breadthflow run\n"
    )
    assert list(tmp_path.iterdir()) == []


def test_notebooks_are_told_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BREADTHFLOW_HOME", str(tmp_path / "mistyped"))
    for ask in (reading.breadth, reading.signals, reading.accuracy, reading.backtests, reading.trades):
        with pytest.raises(RequestError, match=f"There is no store in {tmp_path / 'mistyped'}"):
            ask("demo")
    assert list(tmp_path.iterdir()) == []


def test_an_empty_home_is_the_default_one(ask: Ask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As that of a variable which is not set in the shell that exports it."""
    monkeypatch.setattr("breadthflow_pipelines.settings.os.geteuid", lambda: 1000)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    _, _, err = ask("status", home="")
    assert f"There is no store in {tmp_path / 'breadthflow'}: " in err


def test_a_store_that_is_there_and_empty_is_named_with_its_home(ask: Ask, home: Path) -> None:
    status, token, _ = ask("token", "create", "ann", home=home)  # whoever writes makes the store
    assert (status, bool(token)) == (0, True)
    assert (home / "postgres" / "PG_VERSION").is_file()
    said = f"The store is empty. It lies in {home} (BREADTHFLOW_HOME).\nNext: breadthflow run\n"
    assert ask("status", home=home)[:2] == (0, said)
    for command in ("breadth --universe demo", "signals", "rejected", "accuracy --universe demo"):
        assert ask(*command.split(), home=home) == (2, "", f"breadthflow: {said}")


RATES = "RISK_FREE", "session,rate\n2024-01-02,5\n2024-01-03,high\n", "is not a date and a rate in per cent a year."
INDEX = "INDEX_SYMBOLS", "date,close\n2024-01-02,5\n2024-01-03,high\n", "is not a date and a close above zero."
NEEDING = {
    "run": (RATES, INDEX),
    "backfill --from 2026-01-02 --to 2026-01-30": (RATES, INDEX),
    "import-breadth nowhere --exchange X": (RATES, INDEX),
    "report --universe demo": (RATES,),
    "backtest --universe demo --rule conviction": (RATES,),
}


@pytest.mark.parametrize(
    ("command", "setting", "text", "said"),
    [(command, *file) for command, files in NEEDING.items() for file in files],
)
def test_a_wrong_file_of_a_setting_is_refused_before_anything_is_done(
    ask: Ask, tmp_path: Path, command: str, setting: str, text: str, said: str
) -> None:
    (tmp_path / "wrong.csv").write_text(text)
    home = tmp_path / "home"
    value = tmp_path / "wrong.csv" if setting == "RISK_FREE" else f"demo={tmp_path / 'wrong.csv'}"
    told = f"breadthflow: BREADTHFLOW_{setting} cannot be used: {tmp_path / 'wrong.csv'}"
    assert ask(*command.split(), home=home, **{setting: value}) == (2, "", f"{told}, line 3: 2024-01-03,high {said}\n")
    (tmp_path / "wrong.csv").unlink()
    assert ask(*command.split()) == (2, "", f"{told} cannot be read: No such file or directory.\n")
    assert not home.exists()


def test_the_option_is_named_where_it_names_the_file(ask: Ask, tmp_path: Path) -> None:
    asked = ("backtest", "--universe", "demo", "--rule", "conviction", "--risk-free", tmp_path / "rates.csv")
    reason = f"{tmp_path / 'rates.csv'} cannot be read: No such file or directory."
    told = f"breadthflow: --risk-free cannot be used: {reason}\n"
    assert ask(*asked, home=tmp_path / "home", risk_free=tmp_path / "others.csv") == (2, "", told)


def test_commands_that_need_no_file_do_without_it(ask: Ask, tmp_path: Path) -> None:
    assert ask("indicators", risk_free=tmp_path / "missing.csv")[0] == 0


def test_help_is_printed_without_what_reads_settings(tmp_path: Path) -> None:
    """Reading them takes as long as all the rest of --help, and a wrong one is no reason to withhold it."""
    code = """
import sys
from breadthflow_pipelines import cli
try:
    cli.main(sys.argv[1:])
except SystemExit:
    print(sorted({"pydantic", "dagster", "pandas", "polars"} & set(sys.modules)), file=sys.stderr)
    raise
"""
    wrong = os.environ | {"BREADTHFLOW_API_RATE": "many", "BREADTHFLOW_HOME": str(tmp_path / "home")}
    for asked in (["--help"], ["db", "--help"], ["signals", "--help"]):
        told = subprocess.run([sys.executable, "-c", code, *asked], capture_output=True, text=True, env=wrong)
        assert (told.returncode, told.stderr) == (0, "[]\n"), asked
        assert "Usage: breadthflow" in told.stdout
