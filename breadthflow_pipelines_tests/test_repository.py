"""What holds for the repository itself: its one-word commands, its wheel, and the reasons for what it depends on."""

import os
import re
import shutil
import statistics
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
MIGRATIONS = Path("breadthflow_pipelines/warehouse/migrations")


def program(path: Path, script: str) -> Path:
    """An executable shell script."""
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


@pytest.mark.parametrize(
    ("lint", "test", "status"),
    [
        (0, 0, 0),  # all is well
        (1, 0, 1),  # a linter's complaint counts, and the tests run all the same
        (0, 1, 1),  # a failing test counts
    ],
)
def test_ci_runs_linters_then_tests_and_fails_when_either_does(
    tmp_path: Path, lint: int, test: int, status: int
) -> None:
    program(tmp_path / "make", f'echo "make $1"\n[ "$1" = lint ] && exit {lint}\necho "1 passed in 1s"\nexit {test}')
    for absent in ("docker", "docker-compose"):
        program(tmp_path / absent, "exit 1")
    environment = {**os.environ, "PATH": f"{tmp_path}:/usr/bin:/bin"}
    run = subprocess.run([ROOT / ".ci" / "run"], env=environment, capture_output=True, text=True, check=False)
    assert run.returncode == status
    lines = run.stdout.splitlines()
    assert [line for line in lines if line.startswith("make")] == ["make lint", "make test"]
    assert lines[-1] == "1 passed in 1s"


@pytest.mark.parametrize(
    ("python", "target", "advice"),
    [
        ("exit 1", "python", "make run PYTHON="),  # too old
        (
            '[ "$1" = -c ] || exit 1',
            "{tools}/bin/uv",
            "apt-get install python3-venv",
        ),  # Debian's, without venv
    ],
)
def test_a_python_that_will_not_do_is_refused_with_advice(
    tmp_path: Path, python: str, target: str, advice: str
) -> None:
    own = program(tmp_path / "python", python)
    tools = tmp_path / "tools"
    command = ["make", f"PYTHON={own}", f"TOOLS={tools}", target.format(tools=tools)]
    made = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert made.returncode == 2
    assert advice in made.stderr
    assert str(own) in made.stderr


def test_every_make_target_that_a_page_names_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M))
    assert {"run", "test"} <= targets
    pages = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]
    named = {name for page in pages for name in re.findall(r"(?:`|^|^\$ )make ([a-z-]+)", page.read_text(), re.M)}
    assert named <= targets


def test_every_direct_dependency_has_its_reason() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    groups = [*project["dependency-groups"].values(), *project["project"]["optional-dependencies"].values()]
    declared = [*project["project"]["dependencies"], *(entry for group in groups for entry in group)]
    names = [re.match(r"[\w-]+", entry)[0] for entry in declared if isinstance(entry, str)]  # type: ignore[index]
    names.remove(project["project"]["name"])  # with its extras, for the tests
    rows = re.findall(r"^\| `([\w-]+)` \| (.+) \|$", (ROOT / "docs" / "dependencies.md").read_text(), re.M)
    assert sorted(name for name, _ in rows) == sorted(names)


@pytest.mark.slow
def test_the_wheel_holds_what_the_package_reads_at_run_time(tmp_path: Path) -> None:
    uv = shutil.which("uv") or shutil.which(ROOT / ".venv-tools" / "bin" / "uv")
    if uv is None:
        pytest.skip("uv is neither on the PATH nor in .venv-tools")
    command = [uv, "build", "--wheel", "--quiet", "--python", sys.executable, "--out-dir", str(tmp_path), str(ROOT)]
    built = subprocess.run(command, capture_output=True, text=True, check=False)
    if built.returncode != 0 and "Failed to fetch" in built.stderr:
        pytest.skip("the build backend cannot be fetched")
    assert built.returncode == 0, built.stderr
    (wheel,) = tmp_path.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    shipped = {f"breadthflow_pipelines/{name}" for name in ("dagster.yaml", "workspace.yaml", "uv.lock")}
    read = shipped | {f"{MIGRATIONS}/env.py"}
    versions = {f"{MIGRATIONS}/versions/{path.name}" for path in (ROOT / MIGRATIONS / "versions").glob("[0-9]*.py")}
    assert versions
    assert read | versions <= names
    # The package and what describes it, and nothing of these tests; backtests are no tests.
    assert {name.partition("/")[0].partition("-")[0] for name in names} == {"breadthflow_pipelines", "breadthflow"}
    parts = {part for name in names for part in Path(name).parts}
    assert not [part for part in parts if part.startswith(("test_", "tests", "conftest")) or part.endswith("_tests")]


def test_the_tour_shows_every_room_and_no_other() -> None:
    picture = (ROOT / "docs" / "architecture.md").read_text().split("```")[1]
    shown = set(re.findall(r"^[├└]── (\w+(?:/|\.py))", picture, re.M))
    package = ROOT / "breadthflow_pipelines"
    rooms = {f"{path.name}/" for path in package.iterdir() if (path / "__init__.py").is_file()}
    assert shown == rooms | {path.name for path in package.glob("*.py") if path.name != "__init__.py"}


# Long because they list: an entry, a formula or a column after the other.
CATALOGUES = {"indicators/technical.py", "warehouse/tables.py"}


def test_a_module_can_be_read_in_one_sitting() -> None:
    package = ROOT / "breadthflow_pipelines"
    lines = {
        str(path.relative_to(package)): len(path.read_text().splitlines())
        for path in package.rglob("*.py")
        if "migrations" not in path.parts and path.name != "__init__.py"
    }
    assert {name for name, count in lines.items() if count > 400} <= CATALOGUES
    assert statistics.median(lines.values()) < 110
