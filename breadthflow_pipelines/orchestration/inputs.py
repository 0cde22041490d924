"""What a daily run is made from, as one text: where the last run was made from the same, there is nothing to do.

Imports no Dagster, so that a command can ask before it loads what runs need. What is remembered: warehouse/readings.py.
"""

import datetime as dt
import hashlib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from pydantic import SecretStr

from breadthflow_pipelines.settings import Settings
from breadthflow_pipelines.sources.protocol import Fingerprinted, Source
from breadthflow_pipelines.sources.stamp import stamp
from breadthflow_pipelines.warehouse import publications
from breadthflow_pipelines.warehouse.database import Database

_PROGRAM = Path(__file__).parents[1]
_OF_NO_INPUT = {"home", "log_level", "log_format", "late_after_hours", "drop_folder", "request_rate", "request_budget"}


def inputs_of(settings: Settings, source: Source, store: Database, through: dt.date) -> str | None:
    """All that a run through a session depends on, hashed: the source, settings, files that they name, this program.

    None where that is known only after reading, as of what a vendor serves.
    """
    published = {**publications.remembered(store), **settings.publications}
    if not isinstance(source, Fingerprinted) or any(isinstance(where, str) for where in published.values()):
        return None
    parts = [
        f"through {through}",
        f"source {source.name} {source.fingerprint()}",
        *(f"published {exchange} {where} {stamp(Path(where))}" for exchange, where in sorted(published.items())),
        *_settings(settings),
        f"program {program()}",
    ]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _settings(settings: Settings) -> Iterator[str]:
    """What is set, and the files that are named; no secret is an input."""
    for name in sorted(type(settings).model_fields.keys() - _OF_NO_INPUT):
        value = getattr(settings, name)
        if not isinstance(value, SecretStr):
            files = [
                part for part in (value.values() if isinstance(value, dict) else [value]) if isinstance(part, Path)
            ]
            yield f"{name} {value} {' '.join(stamp(file) for file in files)}"


@cache
def program() -> str:
    """This program's own files: whoever changes a formula, or how a page looks, wants to see what becomes of it."""
    text = hashlib.sha256()
    for file in sorted(path for path in _PROGRAM.rglob("*") if path.is_file() and path.suffix != ".pyc"):
        text.update(file.read_bytes())
    return text.hexdigest()
