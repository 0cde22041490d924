"""What is said of packages: of made-up ones, whose needs and releases are known, and of those that run these tests."""

import datetime as dt
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from breadthflow_pipelines.observability import packages
from breadthflow_pipelines.observability.packages import CAUSES, Named, installed

ROOT = Path(__file__).resolve().parents[2]
Install = Callable[..., None]
LOCK = """
[[package]]
name = "first"
version = "1.5"
sdist = { url = "", upload-time = "2026-03-02T10:00:00Z" }
wheels = [{ url = "", upload-time = "2026-03-01T23:59:59.5Z" }]

[[package]]
name = "second"
version = "3.0"
wheels = [{ url = "", upload-time = "2026-05-06T00:00:00Z" }]

[[package]]
name = "made-up"
source = { editable = "." }
"""


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Makes packages that Python finds as it finds installed ones."""
    monkeypatch.syspath_prepend(tmp_path)

    def make(name: str, version: str, *needs: str) -> None:
        place = tmp_path / f"{name.replace('-', '_')}-{version}.dist-info"
        place.mkdir()
        lines = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}"]
        (place / "METADATA").write_text("\n".join([*lines, *(f"Requires-Dist: {need}" for need in needs), ""]))

    return make


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    place = tmp_path / "uv.lock"
    place.write_text(LOCK)
    return place


def test_what_is_installed_is_what_was_asked_for_and_tested(install: Install, lock: Path) -> None:
    install("made-up", "1", "First>=1.2", "second[more]>=2,<4", "unasked>=1; extra == 'some'")
    install("first", "1.5")
    install("second", "3.0", "third_one; extra == 'more'", "unasked; extra == 'other'", "nowhere; python_version < '3'")
    install("third-one", "0.1")
    found = installed(lock, "made-up")
    assert (found.needed, found.unmet) == (3, [])
    assert found.untested == ["third-one 0.1 (tested: none)"]
    assert found.newest == dt.date(2026, 5, 6)
    # The day of the first file that was published; the later ones are of the same release.
    assert found.named == [
        Named("first", "1.5", dt.date(2026, 3, 1), "", cause_gone=False),
        Named("second", "3.0", dt.date(2026, 5, 6), "<4", cause_gone=False),
    ]


def test_needs_that_nothing_meets_are_named_with_who_has_them(install: Install, lock: Path) -> None:
    install("made-up", "1", "first<1.5", "second")
    install("first", "1.5", "missing>=2")
    install("second", "2.9rc1", "first>=1")
    found = installed(lock, "made-up")
    assert found.unmet == ["made-up needs first<1.5; installed: 1.5", "first needs missing>=2; installed: none"]
    assert found.untested == ["second 2.9rc1 (tested: 3.0)"]


def test_without_a_lock_nothing_is_known_of_tests_and_dates(install: Install) -> None:
    install("made-up", "1", "first~=1.0")
    install("first", "1.5")
    found = installed(None, "made-up")
    assert (found.untested, found.newest) == ([], None)
    assert found.named == [Named("first", "1.5", None, "~=1.0", cause_gone=False)]


@pytest.mark.parametrize(
    ("version", "gone"),
    [
        ("1.5", False),  # still the one that needs it
        ("2.0", True),  # newer: the bound may have no reason any more
    ],
)
def test_a_pin_whose_cause_is_gone_is_found(
    install: Install, monkeypatch: pytest.MonkeyPatch, version: str, gone: bool
) -> None:
    monkeypatch.setattr(packages, "CAUSES", {"second": "first<2"})
    install("made-up", "1", "first", "second<3")
    install("first", version)
    install("second", "2.1")
    (_, second) = installed(None, "made-up").named
    assert (second.held, second.cause_gone) == ("<3", gone)


def test_the_lock_is_read_as_uv_writes_it() -> None:
    found = installed(ROOT / "uv.lock")
    assert found.unmet == []
    assert found.needed > len(found.named) > 30
    dagster = next(named for named in found.named if named.name == "dagster")
    assert dagster.held == "<1.14"
    assert found.newest is not None
    assert dagster.released is None or dt.date(2025, 1, 1) < dagster.released <= found.newest


def test_every_known_cause_is_that_of_a_pin_that_exists() -> None:
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    held = {need.name: str(need.specifier) for need in map(Requirement, declared) if "<" in str(need.specifier)}
    for name, cause in CAUSES.items():
        # The other package is held to what the cause says, so that its bound and this one are raised together.
        assert name in held
        assert Requirement(cause).name in held
        assert str(Requirement(cause).specifier) in held[Requirement(cause).name].split(",")
