"""The page's scripts, styles and pictures: each has an address that changes with its content, so browsers keep it."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from breadthflow_pipelines.reports.page.document import chart_library

_OWN = "breadthflow_pipelines.api.page"
_REPORT = "breadthflow_pipelines.reports.page"
_TYPES = {"css": "text/css; charset=utf-8", "js": "text/javascript; charset=utf-8", "svg": "image/svg+xml"}


@dataclass(frozen=True)
class StaticFile:
    """A file as browsers get it. digest: names its content."""

    content: bytes
    media_type: str
    digest: str


@cache
def static_files() -> Mapping[str, StaticFile]:
    """All of them, by name."""
    texts = {
        "charts.js": (files(_REPORT) / "charts.js").read_text(encoding="utf-8"),
        "page.css": (files(_REPORT) / "page.css").read_text(encoding="utf-8"),
        "lightweight-charts.js": chart_library(),
    }
    for name in ("live.css", "live.js", "icon.svg"):
        texts[name] = (files(_OWN) / "static" / name).read_text(encoding="utf-8")
    return {name: _file(name, text.encode()) for name, text in texts.items()}


def address(name: str) -> str:
    """Where a file is fetched from."""
    return f"/static/{static_files()[name].digest}/{name}"


def _file(name: str, content: bytes) -> StaticFile:
    return StaticFile(content, _TYPES[name.rpartition(".")[2]], hashlib.sha256(content).hexdigest()[:12])
