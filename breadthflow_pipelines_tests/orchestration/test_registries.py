"""Whatever orchestration/ declares is registered: a check, a sensor or a job that Dagster does not see is dead.

Declarations are read from the source, so that one counts even where nothing imports its module.
"""

import ast
import importlib
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from breadthflow_pipelines import orchestration
from breadthflow_pipelines.model.datasets import DAILY_ASSETS, LATE_CHECK, MONTHLY_ASSETS, WATCHED, WEEKLY_ASSETS
from breadthflow_pipelines.orchestration import freshness, planning
from breadthflow_pipelines.orchestration.automation import alert_messages
from breadthflow_pipelines.orchestration.suite_checks import SUITE_NAMES
from breadthflow_pipelines.orchestration.wiring import build
from breadthflow_pipelines.settings import Settings
from breadthflow_pipelines_tests.orchestration.conftest import Store
from breadthflow_pipelines_tests.orchestration.small_market import LAST

ROOM = Path(orchestration.__file__).parent
DEFINITIONS = build(Settings())
GRAPH = DEFINITIONS.resolve_asset_graph()
REPOSITORY = DEFINITIONS.get_repository_def()


def modules() -> Iterator[tuple[str, ast.Module]]:
    for path in sorted(ROOM.rglob("*.py")):
        parts = path.relative_to(ROOM).with_suffix("").parts
        name = ".".join((orchestration.__name__, *(part for part in parts if part != "__init__")))
        yield name, ast.parse(path.read_text())


def declared(*makers: str) -> set[str]:
    """The names that these functions give: their keyword name, their first text, or that of the decorated function."""
    found: set[str] = set()
    for module, tree in modules():
        of_decorated = {
            id(decorator): node.name
            for node in ast.walk(tree)
            if isinstance(node, ast.FunctionDef)
            for decorator in node.decorator_list
        }
        for call in ast.walk(tree):
            if isinstance(call, ast.Call) and made_by(call) in makers:
                found.add(name_of(call, module, of_decorated.get(id(call), "")))
    return found - {""}


def made_by(call: ast.Call) -> str:
    return call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")


def name_of(call: ast.Call, module: str, decorated: str) -> str:
    """The name that a call says, else that of what it decorates; empty where it is known only when it runs."""
    said = next((word.value for word in call.keywords if word.arg == "name"), call.args[0] if call.args else None)
    if said is None:
        return decorated
    if isinstance(said, ast.Constant):
        return str(said.value)
    constant = getattr(importlib.import_module(module), said.id, None) if isinstance(said, ast.Name) else None
    return constant if isinstance(constant, str) else ""


def test_every_asset_is_registered() -> None:
    assets = {key.to_user_string() for key in GRAPH.get_all_asset_keys()}
    makers = ("stored_asset", "own_asset", "monthly_asset", "derived_monthly_asset")
    assert declared(*makers) == assets == {*DAILY_ASSETS, *WEEKLY_ASSETS}


def test_every_check_is_registered() -> None:
    checks = {key.name for key in GRAPH.asset_check_keys}
    assert declared("asset_check") | SUITE_NAMES == checks


@pytest.mark.parametrize(
    ("makers", "registered"),
    [
        (("sensor", "run_failure_sensor", "run_status_sensor"), [sensor.name for sensor in REPOSITORY.sensor_defs]),
        (("schedule", "ScheduleDefinition", "_by_the_clock"), [schedule.name for schedule in REPOSITORY.schedule_defs]),
        (("define_asset_job", "job"), [job.name for job in REPOSITORY.get_all_jobs() if not job.name.startswith("__")]),
    ],
    ids=["sensors", "schedules", "jobs"],
)
def test_every_automation_is_registered(makers: tuple[str, ...], registered: list[str]) -> None:
    assert declared(*makers) == set(registered) != set()


def test_what_is_declared_and_not_registered_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "forgotten.py").write_text('@dg.asset_check(asset="bars")\ndef forgotten() -> None: ...\n')
    monkeypatch.setattr("breadthflow_pipelines_tests.orchestration.test_registries.ROOM", tmp_path)
    assert declared("asset_check") == {"forgotten"}


def test_every_watched_asset_has_a_check_by_the_clock_a_last_session_and_an_alert(filled: Store) -> None:
    by_the_clock = {key.asset_key.to_user_string() for key in GRAPH.asset_check_keys if key.name == LATE_CHECK}
    assert by_the_clock == set(WATCHED)
    held = planning.held_sessions(filled.market, LAST)
    assert held == dict.fromkeys(WATCHED, LAST)
    evaluations = freshness.evaluations(LAST, held)
    assert {evaluation.asset_key for evaluation in evaluations} == {dg.AssetKey(name) for name in WATCHED}
    alert = alert_messages.late_session(LAST, WATCHED, held)
    assert all(f"{name} through {LAST}" in alert.what for name in WATCHED)


def test_months_are_those_of_the_assets_that_are_cut_into_months() -> None:
    assert declared("monthly_asset", "derived_monthly_asset") == set(MONTHLY_ASSETS)
