"""Exports: what the store says of a universe as CSV, Parquet and JSON, with a manifest that says what it is.

An export is a directory that appears whole, under its name, or not at all.
"""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import polars as pl

from breadthflow_pipelines.errors import RequestError
from breadthflow_pipelines.model.vocabulary import ALL
from breadthflow_pipelines.observability.disk import full_disk
from breadthflow_pipelines.publishing.pages import PROGRAM
from breadthflow_pipelines.reports.tables import FORMULA
from breadthflow_pipelines.warehouse.contents_listing import ExportContents, universe_contents
from breadthflow_pipelines.warehouse.database import Database

MANIFEST = "manifest.json"
FORMAT = 2  # of the manifest
OF_MEMBERS = "bars, indicators and signals of single members, and how good those signals were"
_LIST = "; "  # between the items of a list, in CSV


def export(database: Database, universe: str, place: Path, *, sectors: bool = False) -> dict[str, Any]:
    """Write what the store says of a universe as a whole into a new directory; returns the manifest.

    sectors: whether breadth, signals and outcomes are of every sector, too: twelve times as many rows.

    Raises:
        RequestError: nothing of the universe is stored; the directory exists and is not empty, or cannot be made.
        DiskFullError: the disk has no space left.
    """
    _check_free(place)
    contents = universe_contents(database, universe, sectors=sectors)
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(dir=place.parent, prefix=f".{place.name[:40]}."))
        try:
            manifest = _written(draft, universe, contents)
            draft.chmod(0o755)
            draft.replace(place)  # onto nothing, or an empty directory: at once
        except BaseException:
            shutil.rmtree(draft, ignore_errors=True)
            raise
    except OSError as error:
        cannot = RequestError(f"--to {place} cannot be written: {error.strerror}. Name another directory.")
        raise full_disk(error, place.parent) or cannot from None
    return manifest


def _check_free(place: Path) -> None:
    if place.exists() and not (place.is_dir() and not any(place.iterdir())):
        raise RequestError(f"--to {place} is there already: name a directory that is not, or an empty one.")


def _written(draft: Path, universe: str, contents: ExportContents) -> dict[str, Any]:
    """Write the files and, last, the manifest."""
    files: dict[str, Any] = {}
    for name, rows in {"breadth": contents.breadth, "signals": contents.signals, **contents.judged}.items():
        marked = rows.with_columns(synthetic=pl.lit(contents.synthetic))
        for ending, write in WRITERS.items():
            path = draft / f"{name}.{ending}"
            write(marked, path)
            _to_disk(path)
            files[path.name] = {
                "rows": rows.height,
                "columns": marked.width,
                "bytes": path.stat().st_size,
                "sha256": _sha256(path),
            }
    manifest = {**_about(universe, contents), "files": files}
    path = draft / MANIFEST
    path.write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")
    _to_disk(path)
    return manifest


def _about(universe: str, contents: ExportContents) -> dict[str, Any]:
    last = contents.breadth.filter(segment=ALL).row(-1, named=True)
    held = contents.breadth["segment"].unique().sort().to_list()
    return {
        "format": FORMAT,
        "universe": universe,
        "synthetic": contents.synthetic,
        "as_of": str(last["session"]),
        "first": str(contents.breadth["session"].min()),
        "segments": held,
        "segments_left_out": [segment for segment in contents.segments if segment not in held],
        "left_out": OF_MEMBERS,
        "known_at": contents.known_at.isoformat(),
        "state": last["state"],
        "members": last["members"],
        "priced": last["priced"],
        "coverage": last["coverage"],
        "convention": contents.convention,
        "program": f"{PROGRAM} {version(PROGRAM)}",
    }


def csv_safe(rows: pl.DataFrame) -> pl.DataFrame:
    """The rows as CSV holds them: lists joined, and texts that would start a formula led by an apostrophe.

    Numbers stay numbers, negative ones included: only text can be a formula that somebody else wrote.
    """
    lists = [name for name, kind in rows.schema.items() if isinstance(kind, pl.List)]
    flat = rows.with_columns(pl.col(lists).list.join(_LIST)) if lists else rows
    text = pl.col(pl.String)
    return flat.with_columns(pl.when(text.str.contains(FORMULA)).then(pl.lit("'") + text).otherwise(text).name.keep())


def _csv(rows: pl.DataFrame, path: Path) -> None:
    csv_safe(rows).write_csv(path)


def _parquet(rows: pl.DataFrame, path: Path) -> None:
    rows.write_parquet(path)


def _json(rows: pl.DataFrame, path: Path) -> None:
    rows.write_json(path)


WRITERS: Mapping[str, Callable[[pl.DataFrame, Path], None]] = {"csv": _csv, "parquet": _parquet, "json": _json}


def _to_disk(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
