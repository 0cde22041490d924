"""Makes the page of a universe from the store, and puts it where people look. What is on it is reports/page/."""

import datetime as dt
import os
import tempfile
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import polars as pl

from breadthflow_pipelines.errors import RequestError
from breadthflow_pipelines.evaluation.backtest import COST, plan_of
from breadthflow_pipelines.evaluation.growth import growth
from breadthflow_pipelines.evaluation.returns import levels, universe_levels
from breadthflow_pipelines.model.vocabulary import SHOWN_RULE
from breadthflow_pipelines.observability.disk import full_disk
from breadthflow_pipelines.reports.page.document import page
from breadthflow_pipelines.reports.page.facts import Facts, completed
from breadthflow_pipelines.reports.page.today import sentence
from breadthflow_pipelines.warehouse.contents_listing import PageContents, page_contents
from breadthflow_pipelines.warehouse.database import Database

PROGRAM = "breadthflow"


@dataclass(frozen=True)
class PageFile:
    """A page as it was made. said: today's state in one sentence. changed: whether the file held something else.

    facts: what it is made of.
    """

    universe: str
    path: Path
    size: int
    said: str
    synthetic: bool
    changed: bool
    facts: Facts


def write_page(
    database: Database, universe: str, path: Path, due: dt.date | None = None, rates: pl.DataFrame | None = None
) -> PageFile:
    """Make the page of a universe; a file that holds the same is left as it is.

    due: the last session that has closed, if the page is to say that it lacks it. rates: what cash earns in backtests.

    Raises:
        RequestError: nothing of the universe is stored, or the file cannot be written.
        DiskFullError: the disk has no space left.
    """
    facts = _facts(universe, page_contents(database, universe), due, rates)
    text = page(facts).encode()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        changed = not path.is_file() or path.read_bytes() != text
        if changed:
            _replace(path, text)
    except OSError as error:
        cannot = RequestError(
            f"{path} cannot be written: {error.strerror}; let this user write there, or name another."
        )
        raise full_disk(error, path.parent) or cannot from None
    return PageFile(universe, path, len(text), sentence(facts), facts.synthetic, changed, facts)


def _facts(universe: str, contents: PageContents, due: dt.date | None, rates: pl.DataFrame | None) -> Facts:
    given = dict(vars(contents))
    returns, index, trades = (given.pop(name) for name in ("returns", "index", "trades"))
    return Facts(
        universe=universe,
        due=due,
        version=version(PROGRAM),
        **given | {"breadth": completed(contents.breadth)},
        level=universe_levels(returns).select("session", "level"),
        growth=growth(levels(returns, index), trades, plan_of(SHOWN_RULE).base, COST, rates=rates),
    )


def _replace(path: Path, content: bytes) -> None:
    """Put the whole file in place at once: who has it open, or loses power, has the old one or the new one."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:40]}.")
    try:
        with os.fdopen(handle, "wb") as out:
            out.write(content)
        Path(name).chmod(0o644)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink()
        raise
