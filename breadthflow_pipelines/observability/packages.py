"""Which packages this program runs with, beside what it asks for and what was tested together.

No network is asked: what is installed says its version and its needs, and uv.lock says what was tested and when each
release was published. Whether newer ones exist, or known holes, cannot be said here.
"""

import datetime as dt
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

PROJECT = "breadthflow"
# Packages that are held back because of another one. The cause is gone when what is installed of that one is newer.
CAUSES: Mapping[str, str] = {"sqlalchemy": "dagster-postgres<0.30"}
_FROM_ABOVE = {"<", "<=", "==", "~=", "==="}

Releases = Mapping[str, Mapping[str, dt.date | None]]  # by package and version, when it was published


@dataclass(frozen=True)
class Named:
    """A package that the project itself names.

    released: None where no lock says it. held: the bound that keeps newer versions out, empty where there is none.
    cause_gone: whether it is held because of another package that is newer by now.
    """

    name: str
    version: str
    released: dt.date | None
    held: str
    cause_gone: bool


@dataclass(frozen=True)
class Packages:
    """What the project runs with.

    needed: how many packages. unmet: needs that nothing installed meets. untested: packages of another version than the
    lock's. newest: the release date of the lock's newest package; None where there is no lock. named: as Named.
    """

    needed: int
    unmet: list[str]
    untested: list[str]
    newest: dt.date | None
    named: list[Named]


def installed(lock: Path | None, project: str = PROJECT) -> Packages:
    """The packages that the project needs, and those that they need, as they are installed. lock: its uv.lock, if any.

    Packages of extras that nobody asked for do not count.
    """
    releases = _releases(lock) if lock else {}
    needs = list(dict.fromkeys(_needs(project)))
    versions = {canonicalize_name(need.name): _version(need.name) for _, need in needs}
    own = {canonicalize_name(need.name): need for who, need in needs if who == project}
    published = [date for versions_of in releases.values() for date in versions_of.values() if date]
    return Packages(
        needed=len(versions),
        unmet=[unmet for who, need in needs if (unmet := _unmet(who, need))],
        untested=[
            f"{name} {version} (tested: {' or '.join(releases.get(name, {})) or 'none'})"
            for name, version in sorted(versions.items())
            if lock and version and version not in releases.get(name, {})
        ],
        newest=max(published, default=None),
        named=[
            Named(name, version, releases.get(name, {}).get(version), _held(need), _cause_gone(name))
            for name, need in sorted(own.items())
            if (version := versions[name])
        ],
    )


def _needs(project: str) -> Iterator[tuple[str, Requirement]]:
    """Who needs what, from the project down."""
    waiting, seen = [(project, frozenset[str]())], set()
    while waiting:
        who, extras = waiting.pop()
        if (who, extras) in seen:
            continue
        seen.add((who, extras))
        for need in _requirements(who):
            if need.marker is None or any(need.marker.evaluate({"extra": extra}) for extra in ("", *extras)):
                yield who, need
                waiting.append((canonicalize_name(need.name), frozenset(need.extras)))


def _requirements(name: str) -> list[Requirement]:
    try:
        return [Requirement(text) for text in metadata.requires(name) or ()]
    except metadata.PackageNotFoundError:
        return []


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _unmet(who: str, need: Requirement) -> str:
    version = _version(need.name)
    if version is not None and need.specifier.contains(version, prereleases=True):
        return ""
    return f"{who} needs {need.name}{need.specifier}; installed: {version or 'none'}"


def _held(need: Requirement) -> str:
    return ",".join(sorted(str(bound) for bound in need.specifier if bound.operator in _FROM_ABOVE))


def _cause_gone(name: str) -> bool:
    return name in CAUSES and bool(_unmet(name, Requirement(CAUSES[name])))


def _releases(lock: Path) -> Releases:
    """What the lock names. Where a package has several versions, each is for another Python or system."""
    found: dict[str, dict[str, dt.date | None]] = {}
    for package in tomllib.loads(lock.read_text())["package"]:
        files = [*package.get("wheels", ()), *([package["sdist"]] if "sdist" in package else ())]
        days = [dt.date.fromisoformat(file["upload-time"][:10]) for file in files if "upload-time" in file]
        found.setdefault(package["name"], {})[package.get("version", "")] = min(days, default=None)
    return found
