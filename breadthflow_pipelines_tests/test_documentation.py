"""What the documents say is so: the README's commands run, settings are listed, links and pictures exist."""

import ast
import re
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest

from breadthflow_pipelines.settings import Settings, get_settings
from breadthflow_pipelines_tests.e2e.conftest import breadthflow, demo_store

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")] + sorted(
    ROOT.glob("docs/**/*.md")
)
RUN_ELSEWHERE = {  # by CI itself, and by tests that take longer
    "make run": "e2e/test_demo.py",
    "make test": "../.ci/run",
    "make up": "e2e/test_up.py",
}


def console_commands(document: Path) -> list[str]:
    """Lines after a $ in the document's console blocks."""
    blocks = re.findall(r"^```console\n(.*?)^```", document.read_text(), re.MULTILINE | re.DOTALL)
    return [line[2:] for block in blocks for line in block.splitlines() if line.startswith("$ ")]


@pytest.fixture(scope="module")
def store(fresh_database: Callable[[], str], tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    """The demo market from 2024 on: enough past for the README's examples."""
    return demo_store(tmp_path_factory.mktemp("home"), fresh_database, "2024-01")


@pytest.mark.slow
def test_every_command_of_the_readme_works(store: dict[str, object], tmp_path: Path) -> None:
    commands = console_commands(ROOT / "README.md")
    assert len(commands) > 8
    for command in commands:
        if command in RUN_ELSEWHERE:
            assert (ROOT / "breadthflow_pipelines_tests" / RUN_ELSEWHERE[command]).resolve().is_file()
            continue
        program, *arguments = shlex.split(command)
        if program == "curl":  # it needs a server: e2e/test_api.py
            continue
        assert program == "breadthflow", command
        answer = breadthflow(*(str(tmp_path / part) if part.endswith(".xml") else part for part in arguments), **store)
        assert answer.returncode == 0, f"{command}\n{answer.stderr}"
        assert answer.stdout, command


@pytest.mark.slow
def test_the_example_of_reading_runs(
    store: dict[str, object], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (example,) = re.findall(r"^```python\n(.*?)^```", (ROOT / "docs/reading.md").read_text(), re.MULTILINE | re.DOTALL)
    for name, value in store.items():
        monkeypatch.setenv(f"BREADTHFLOW_{name.upper()}", str(value))
    get_settings.cache_clear()
    exec(example, {})  # noqa: S102 - it is our own
    first, *table = capsys.readouterr().out.splitlines()
    low, _, sessions = first.partition(" of ")
    assert 0 <= int(low) < int(sessions.split()[0])
    assert int(sessions.split()[0]) > 300  # fifteen months
    assert [row.split("  ")[0] for row in table[2:]] == ["buy and hold", "rule", "same exposure"]


def test_the_readme_opens_with_what_it_is_and_the_two_commands() -> None:
    assert console_commands(ROOT / "README.md")[:2] == ["make run", "make test"]
    assert (ROOT / "README.md").read_text().index("make run") < 1_000


def test_operations_lists_every_schedule_and_sensor_and_nothing_else() -> None:
    from breadthflow_pipelines.orchestration.wiring import build

    definitions = build(Settings()).get_repository_def()
    own = {each.name: each.description for each in (*definitions.schedule_defs, *definitions.sensor_defs)}
    by_itself = (ROOT / "docs/operations.md").read_text().partition("\n## ")[0]
    rows = re.findall(r"^\| `(\w+)` \|", by_itself, re.MULTILINE)
    assert sorted(rows) == sorted(own)
    assert not [name for name, description in own.items() if len(description or "") < 30]  # the UI shows it


def test_every_setting_is_documented_and_nothing_else_is() -> None:
    documented = set(re.findall(r"^\| `(BREADTHFLOW_\w+)`", (ROOT / "docs/settings.md").read_text(), re.MULTILINE))
    assert documented == {f"BREADTHFLOW_{name.upper()}" for name in Settings.model_fields}
    secret = {name for name, field in Settings.model_fields.items() if "SecretStr" in str(field.annotation)}
    files = set(re.findall(r"BREADTHFLOW_\w+_FILE(?=`)", (ROOT / "docs/settings.md").read_text())) - documented
    assert files == {f"BREADTHFLOW_{name.upper()}_FILE" for name in secret}
    mentioned = {name for file in DOCUMENTS for name in re.findall(r"BREADTHFLOW_[A-Z_]+[A-Z]", file.read_text())}
    # Compose's own: directories of the host, and whether PostgreSQL keeps its log.
    compose = {"BREADTHFLOW_DATA", "BREADTHFLOW_ARCHIVE", "BREADTHFLOW_ARCHIVE_FOLDER"}
    assert mentioned - documented - files <= compose


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_and_pictures_lead_somewhere(document: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)", document.read_text()):
        if "://" not in target:
            assert (document.parent / target).exists(), target


def names_in(file: Path) -> set[str]:
    """The names of a file's tests as pytest writes them, those of classes with their class."""
    found = set()
    for node in ast.parse(file.read_text()).body:
        if isinstance(node, ast.FunctionDef):
            found.add(node.name)
        elif isinstance(node, ast.ClassDef):
            found |= {f"{node.name}::{inner.name}" for inner in node.body if isinstance(inner, ast.FunctionDef)}
    return {name for name in found if name.rpartition("::")[2].startswith("test_")}


def test_every_test_that_stands_for_a_promise_exists() -> None:
    _, *sections = (ROOT / "docs" / "data-trust.md").read_text().split("\n## ")
    unshown, missing = set(), []
    for section in sections:
        named = re.findall(r"`([^`]*\.py[^`]*)`", section)
        listed = section.count("\n- ")
        assert len(named) == listed, section  # a line that is written otherwise would not be looked at
        unshown |= set() if named else {section.splitlines()[0]}
        for name in named:
            file, _, test = name.partition("::")
            path = ROOT / "breadthflow_pipelines_tests" / file
            if not path.is_file() or test not in names_in(path):
                missing.append(name)
    assert missing == []
    assert unshown == set()


def test_every_decision_is_in_the_list() -> None:
    decisions = ROOT / "docs" / "decisions"
    listed = set(re.findall(r"\(([\w-]+\.md)\)", (decisions / "README.md").read_text()))
    assert listed == {file.name for file in decisions.glob("*.md")} - {"README.md"}
